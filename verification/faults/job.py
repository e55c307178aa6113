"""What every client has to do while things go wrong, and what it has to write down about it.

A :class:`Job` is a value: the server's command line, the prompts, and how long each step may take. A :class:`Doer` is a
client that can do the steps; :func:`carry_out` takes it through all of them, whatever happens on the way, and writes the
history. Nothing here knows what goes wrong: that is the server's part.

The one idea: the same steps for each client, each step with a bound, and a step that fails does not end the job: the next
one tells whether the client can still be used.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing, suppress
from typing import Protocol

import msgspec

from verification.faults.history import Called, Ended, Event, Heard, Hung, Missed, Settled, dump

__all__ = ["CLOSE", "ECHO", "Doer", "Job", "Log", "carry_out", "question_of"]

CLOSE = "close"
ECHO = "test/echo"
"""A request of no real server: the answer is its params."""


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be done: a turn for each prompt, one after the other in one thread, and calls beside the first.

    ``calls_late``: they begin only when the first turn speaks.
    ``command`` is the server's command line. ``accepts``: the owner says yes to every question, else nobody says anything.
    ``cancels_after``: the first turn is given up by its reader after so many pieces of text; ``sleeps``: the reader of the
    first turn looks away for so many seconds after its first piece. ``closes_after``: the client is closed while the first
    turn is read, after so many pieces, and nothing more is asked of it. ``bound`` holds for each step but the closing.
    ``growth``: by how many bytes the client's process may grow while it does all this. ``weight``: how many bytes each call
    carries beside its token. ``full_access``: what the agent runs is not held in a sandbox. ``world``: what is odd in the client's own process (see ``worlds``).

    ``start``, ``silence`` and ``deadline`` are told to clients that can be told such things: how long a server may take to
    be ready, to say nothing during a turn, and to answer a call.
    """

    command: tuple[str, ...] = ()
    prompts: tuple[str, ...] = ("first", "second")
    calls: int = 0
    calls_late: bool = False
    accepts: bool = False
    cancels_after: int | None = None
    sleeps: float = 0.0
    closes_after: int | None = None
    weight: int = 0
    full_access: bool = False
    world: str | None = None
    start: float | None = None
    silence: float | None = None
    deadline: float | None = None
    bound: float = 10.0
    closing: float = 3.5
    growth: int | None = None


class Log:
    """Writes the history down, where ``write`` says; keeps it as well."""

    def __init__(self, write: Callable[[bytes], object] | None = None) -> None:
        self.events: list[Event] = []
        self._write = write
        self.told: list[Callable[[Event], object]] = []

    def __call__(self, event: Event) -> None:
        """Add what happened now."""
        self.events.append(event)
        if self._write is not None:
            self._write(dump(event) + b"\n")
        for tell in list(self.told):
            tell(event)


class Doer(Protocol):
    """A client, as far as a job needs it. Each method may raise whatever the client raises."""

    documented: tuple[type[BaseException], ...]
    """The errors that its documentation tells of."""

    async def open(self, job: Job, log: Log) -> None:
        """Start the server and greet it. If ``job.accepts``, say yes to all questions, and :class:`Decided` to the log."""

    async def call(self, token: str) -> str:
        """Make the request ``test/echo`` and return the token that came back."""

    def turn(self, prompt: str) -> AsyncGenerator[Heard | Missed | Ended, None]:
        """Run a turn and yield what a reader gets; :class:`Ended` is the last. Closing it early gives the turn up."""

    async def close(self) -> None:
        """End the server."""


def question_of(method: str, params: Mapping[str, object] | None) -> str:
    """Name what a server asked, the same on both sides, whatever request id it has: ids begin anew in each generation."""
    named = params or {}
    return f"{method} {named.get('itemId') or named.get('callId') or named.get('turnId') or ''}".strip()


async def carry_out(job: Job, doer: Doer, log: Log) -> None:
    """Do all of it. Returns when the client is closed, or was given up."""
    if await _step(job, doer, log, "open", lambda: doer.open(job, log)):
        for number, prompt in enumerate(job.prompts):
            calls = range(job.calls if number == 0 else 0)
            late = _late(log) if job.calls_late else None
            await asyncio.gather(
                _step(job, doer, log, f"turn {prompt}", lambda: _read(job, doer, log, prompt, number)),  # noqa: B023
                *(_echo(job, doer, log, f"call {index}", late) for index in calls),
            )
            if job.closes_after is not None:
                break
    again = " again" if any(isinstance(event, Called) and event.call == CLOSE for event in log.events) else ""
    await _step(job, doer, log, CLOSE + again, doer.close, bound=job.closing)


async def _echo(job: Job, doer: Doer, log: Log, name: str, late: asyncio.Future[None] | None) -> None:
    if late is not None:
        await asyncio.shield(late)
    token = f"token of {name}"
    filling = "." * job.weight  # too much to be written down

    async def call() -> str:
        return (await doer.call(token + filling)).removesuffix(filling)

    await _step(job, doer, log, name, call, token=token)


def _late(log: Log) -> asyncio.Future[None]:
    """Done as soon as a turn has spoken, or is over."""
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def tell(event: Event) -> None:
        over = isinstance(event, Settled | Hung) and event.call.startswith("turn ")
        if (over or isinstance(event, Heard)) and not future.done():
            future.set_result(None)

    log.told.append(tell)
    return future


async def _read(job: Job, doer: Doer, log: Log, prompt: str, number: int) -> None:
    pieces, is_over = 0, False
    sleeps, leaves_after = (job.sleeps, job.cancels_after) if number == 0 else (0.0, None)
    closes_after = job.closes_after if number == 0 else None
    closing: asyncio.Future[bool] | None = None
    try:
        async with aclosing(doer.turn(prompt)) as stream:
            async for event in stream:
                log(msgspec.structs.replace(event, at=time.monotonic()))
                pieces += isinstance(event, Heard)
                is_over = is_over or isinstance(event, Ended)
                if pieces == 1 and sleeps:
                    await asyncio.sleep(sleeps)
                if pieces == closes_after and closing is None:
                    closing = asyncio.ensure_future(_step(job, doer, log, CLOSE, doer.close, bound=job.closing))
                if pieces == leaves_after:
                    break
    except Exception:
        if not is_over:  # an error tells the end as well
            log(Ended(at=time.monotonic(), turn=prompt, how="error"))
        raise
    finally:
        if closing is not None:
            await asyncio.wait([closing])
    if leaves_after is not None and not is_over:
        log(Ended(at=time.monotonic(), turn=prompt, how="interrupted"))


async def _as_coroutine(work: Awaitable[object]) -> object:
    return await work


async def _step(
    job: Job,
    doer: Doer,
    log: Log,
    name: str,
    do: Callable[[], Awaitable[object]],
    *,
    token: str | None = None,
    bound: float | None = None,
) -> bool:
    """Do one thing and write down how it ended; false if it failed."""
    bound = job.bound if bound is None else bound
    log(Called(at=time.monotonic(), call=name, bound=bound, token=token))
    task = asyncio.ensure_future(_as_coroutine(do()))
    await asyncio.wait([task], timeout=bound)
    if not task.done():
        log(Hung(at=time.monotonic(), call=name))
        task.cancel()
        with suppress(BaseException):
            await asyncio.wait([task], timeout=1.0)
        return False
    error = task.exception() if not task.cancelled() else asyncio.CancelledError()
    value = task.result() if error is None else None
    log(
        Settled(
            at=time.monotonic(),
            call=name,
            error=None if error is None else type(error).__name__,
            typed=error is None or isinstance(error, doer.documented),
            value=value if isinstance(value, str) else None,
        )
    )
    return error is None
