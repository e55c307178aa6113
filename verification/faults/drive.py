"""Runs a scenario against a client and judges it: the server's side here, the client here or in a process of its own.

:func:`run_here` is for our own client, in this event loop: quick, and with the server in memory if the scenario can be
played there. :func:`run_apart` starts the client as a process, as its users do: then it may hang, swell or leave things
behind without harm, and may be killed. Nothing is decided here: that is the judge's business (``history``).

The one idea: what a client says of itself counts only as far as the server's record and the process table agree.
"""

from __future__ import annotations

import asyncio
import os
import re
import secrets
import signal
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from codex_runtime.testing import FakeAppServer
from verification.faults.history import (
    Answered,
    Asked,
    Born,
    Called,
    Died,
    Ended,
    Event,
    Greeted,
    Hung,
    Left,
    Loud,
    Received,
    Said,
    Settled,
    Violation,
    check,
    load,
)
from verification.faults.job import ECHO, Job, Log, carry_out, question_of
from verification.faults.ours import Ours
from verification.faults.scenario import Scenario, say

if TYPE_CHECKING:
    from codex_runtime.testing import Answer

__all__ = ["MARK", "Outcome", "complained", "employ", "judged", "left", "marked", "run_apart", "run_here"]

ROOT = Path(__file__).parents[2]

MARK = "CODEX_VERIFICATION_RUN"
"""Environment variable by which everything that a client started is found, wherever it went."""

PATIENCE = 1.0
"""How long what was left may take to end, in seconds."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one scenario with one client."""

    fault: str
    point: str
    client: str
    violations: tuple[Violation, ...]
    goes_on: bool | None
    """Whether the last turn was completed; ``None`` where that is not asked."""
    first: str
    """How the first turn ended for its reader, in a word."""
    seconds: float

    @property
    def holds(self) -> bool:
        """Whether nothing was broken."""
        return not self.violations


async def run_here(scenario: Scenario, *, process: bool = False, **settings: object) -> Outcome:
    """Run our own client in this loop, against a server in memory or as a process."""
    async with FakeAppServer(default=say(), process=process) as fake:
        _arrange(fake, scenario)
        log = Log()
        began = time.monotonic()
        job = msgspec.structs.replace(scenario.job, command=_command(fake, scenario) if process else ())
        orders = asyncio.create_task(_give_orders(fake, scenario))
        try:
            await carry_out(job, Ours(None if process else fake, settings=settings), log)
        finally:
            await _ended(orders)
        history = [*_said(scenario), *_merged(log.events, fake)]
        return judged(scenario, "ours", history, time.monotonic() - began)


async def run_apart(scenario: Scenario, client: str, *, python: str = sys.executable) -> Outcome:
    """Run a client in a process of its own, against a server that is a process as well."""
    async with FakeAppServer(default=say(), process=True) as fake:
        _arrange(fake, scenario)
        job = msgspec.structs.replace(scenario.job, command=_command(fake, scenario))

        async def meanwhile(worker: asyncio.subprocess.Process, _: Log) -> None:
            await asyncio.gather(_kill(worker, fake, scenario), _give_orders(fake, scenario))

        mark, began = secrets.token_hex(8), time.monotonic()
        log, complaints = await employ(client, job, mark=mark, meanwhile=meanwhile, python=python)
        ends = [*await left(mark), *complained(complaints, scenario)]
        history = [*_said(scenario), *_merged(log.events, fake), *ends]
        return judged(scenario, client, history, time.monotonic() - began)


async def employ(
    client: str,
    job: Job,
    *,
    mark: str,
    meanwhile: Callable[[asyncio.subprocess.Process, Log], Awaitable[None]],
    python: str = sys.executable,
    **around: str,
) -> tuple[Log, str]:
    """Have a client do a job in a process of its own; return what it told, and what was complained of on stderr.

    ``mark`` marks everything that it starts. ``around`` is added to its environment.
    """
    log = Log()
    with tempfile.TemporaryFile() as complaints:
        worker = await asyncio.create_subprocess_exec(
            *(python, "-W", "default", "-m", "verification.faults.worker", client),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=complaints,
            limit=2**26,
            start_new_session=True,
            cwd=ROOT,
            env={**os.environ, MARK: mark, **around},
        )
        assert worker.stdin is not None
        worker.stdin.write(msgspec.json.encode(job))
        worker.stdin.close()
        try:
            await asyncio.wait_for(_follow(worker, log, meanwhile), _limit(job))
        except TimeoutError:
            _give_up(log)
        finally:
            with suppress(ProcessLookupError):
                worker.kill()  # and nobody else: what it leaves is what the judge wants to see
            await worker.wait()
        complaints.seek(0)
        return log, complaints.read().decode(errors="replace")


# -- before ----------------------------------------------------------------------------------------------------------


def _arrange(fake: FakeAppServer, scenario: Scenario) -> None:
    fake.on_request(ECHO, lambda params: params)
    for prompt, script in zip(scenario.job.prompts, scenario.scripts, strict=False):
        fake.on_turn(script, match=prompt)  # not the next turn's, if that prompt never arrives
    scenario.arrange(fake)


def _command(fake: FakeAppServer, scenario: Scenario) -> tuple[str, ...]:
    return fake.argv if scenario.through is None else scenario.through(fake.argv)


def _limit(job: Job) -> float:
    """When even a client that overruns every bound has had its time."""
    return job.bound * (1 + len(job.prompts)) + job.closing + 5.0


# -- meanwhile -------------------------------------------------------------------------------------------------------


async def _follow(
    worker: asyncio.subprocess.Process,
    log: Log,
    meanwhile: Callable[[asyncio.subprocess.Process, Log], Awaitable[None]],
) -> None:
    orders = asyncio.ensure_future(meanwhile(worker, log))
    try:
        assert worker.stdout is not None
        async for line in worker.stdout:
            log(load(line))
        await worker.wait()
    finally:
        await _ended(orders)


async def _give_orders(fake: FakeAppServer, scenario: Scenario) -> None:
    if scenario.meanwhile is not None:
        with suppress(TimeoutError):  # what it waited for did not come
            await scenario.meanwhile(fake)


async def _ended(task: asyncio.Future[None]) -> None:
    task.cancel()
    await asyncio.wait([task])
    if not task.cancelled() and (error := task.exception()) is not None:
        raise error


async def _kill(worker: asyncio.subprocess.Process, fake: FakeAppServer, scenario: Scenario) -> None:
    if (kills := scenario.kills) is None:
        return
    await fake.until(lambda: kills.when(fake), timeout=30.0)
    for _ in range(kills.times):
        worker.send_signal(kills.signal)


def _give_up(log: Log) -> None:
    """Nothing more comes of this client: whatever it had begun hangs."""
    ended = {event.call for event in log.events if isinstance(event, Settled | Hung)}
    for event in list(log.events):
        if isinstance(event, Called) and event.call not in ended:
            log(Hung(call=event.call))


# -- after -----------------------------------------------------------------------------------------------------------


def _said(scenario: Scenario) -> Iterator[Event]:
    for prompt, text in scenario.texts.items():
        yield Said(turn=prompt, text=text)


def _merged(told: Sequence[Event], fake: FakeAppServer) -> Iterator[Event]:
    """The client's events, and then the server's: decisions come before the answers that need them."""
    yield from told
    together = fake.most_alive > 1
    for generation in range(fake.launches):
        yield Born(generation=generation)
        for line in (line for line in fake.received if line.generation == generation):
            if line.method == "initialized":
                yield Greeted(generation=generation)
            elif line.method not in (None, "initialize") and line.rpc_id is not None:
                yield Received(generation=generation, method=line.method or "")
        if not together:
            yield Died(generation=generation)
    for asked in fake.asked:
        yield Asked(question=question_of(asked.method, asked.params), method=asked.method)
    for answer in fake.answers:
        yield Answered(question=_question(answer), accept=_accepts(answer), counted=answer.counted)


def _question(answer: Answer) -> str:
    if answer.to is None:
        return f"id {answer.rpc_id} of generation {answer.generation}"
    return question_of(answer.to.method, answer.to.params)


def _accepts(answer: Answer) -> bool:
    """Whether it permits anything. What the seven kinds that are no plain approvals permit stands in their results."""
    result = answer.result
    if not isinstance(result, dict):
        return False
    decision = result.get("decision", result.get("action"))
    if isinstance(decision, dict):
        return "denied" not in decision  # what is left are amendments
    if isinstance(decision, str):
        return decision.startswith(("accept", "approved"))
    return bool(result.get("permissions") or result.get("answers") or result.get("success"))


async def left(mark: str) -> list[Event]:
    """Whatever still runs of what the client started; it is ended."""
    deadline = time.monotonic() + PATIENCE
    while (pids := marked(mark)) and time.monotonic() < deadline:  # noqa: ASYNC110
        await asyncio.sleep(0.02)  # nobody tells when a process of somebody else's ends
    things = tuple(f"process {_name(pid)}" for pid in pids)
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return [Left(things=things)] if things else []


def marked(mark: str, name: str = MARK) -> list[int]:
    """Every process that carries the mark, in the variable of this name."""
    entry, found = f"{name}={mark}".encode(), []
    for folder in Path("/proc").iterdir():
        with suppress(OSError):
            if folder.name.isdigit() and entry in (folder / "environ").read_bytes().split(b"\0"):
                found.append(int(folder.name))
    return found


def _name(pid: int) -> str:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").split(b"\0")
    except OSError:
        return "gone by now"
    return " ".join(Path(word.decode(errors="replace")).name for word in words)[:80]


COMPLAINTS = (
    "Traceback",
    "ResourceWarning",
    "was never retrieved",
    "Exception ignored",
    "was destroyed but it is pending",
)


def complained(text: str, scenario: Scenario) -> Iterator[Event]:
    """What was complained of on stderr; a client that was killed by a signal may say so."""
    if scenario.kills is not None:
        return
    told = (line for line in text.splitlines() if "Enable tracemalloc" not in line)
    # Of a path only its end is of interest to anybody elsewhere.
    yield from (Loud(text=re.sub(r"/\S*/", "", line)) for line in told if any(word in line for word in COMPLAINTS))


def judged(scenario: Scenario, client: str, history: Sequence[Event], seconds: float) -> Outcome:
    """What the judge says of it."""
    violations = check(history, budget=scenario.budget)
    if scenario.kills is not None:  # whoever is killed settles nothing
        violations = [broken for broken in violations if broken.invariant in ("I6", "I7", "I9", "I11", "I12")]
    ends = {event.turn: event for event in history if isinstance(event, Ended)}
    first, last = scenario.job.prompts[0], scenario.job.prompts[-1]
    return Outcome(
        fault=scenario.fault,
        point=scenario.point,
        client=client,
        violations=tuple(violations),
        goes_on=(last in ends and ends[last].how == "completed") if scenario.goes_on else None,
        first=ends[first].how if first in ends else _how(f"turn {first}", history),
        seconds=seconds,
    )


def _how(call: str, history: Sequence[Event]) -> str:
    for event in history:
        if isinstance(event, Settled) and event.call == call:
            return event.error or "done"
        if isinstance(event, Hung) and event.call == call:
            return "hung"
    if call != "open":
        return _how("open", history)
    return "never began"
