"""A program that has a client and a turn, and then ends in one of the ways in which programs end.

Usage: python -m tests.faults.ending HOW COMMAND…, where the command is that of an app server. It says `ending` when its turn
has spoken and it begins to end, and then tidies up no more than HOW says.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from typing import TYPE_CHECKING, Any

from codex_runtime import Client, RunProfile, RuntimeConfig
from codex_runtime.hooks import Hook, HookMatcher
from codex_runtime.runtime import EventSink
from codex_runtime.sync import Client as SyncClient

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from codex_runtime import Session

STOPS: dict[str, type[BaseException]] = {"exit": SystemExit, "interrupt": KeyboardInterrupt}

kept: list[Any] = []
"""What the program keeps to its end, as a program's globals do."""


def tell(*words: object) -> None:
    """Say it to the test."""
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


async def opened(command: Sequence[str], **options: Any) -> Session:
    """A session of a client, which nobody closes."""
    client = Client(RuntimeConfig(command=tuple(command), **options))
    await client.open()
    kept.append(client)
    return await client.start_session()


async def speaking(session: Session) -> None:
    """Begin a turn, and return when it speaks."""
    turn = session.stream("go")
    await turn.__aenter__()
    kept.append(turn)
    async for event in turn:
        if type(event).__name__ == "TextDelta":
            break


# -- a loop that goes away -------------------------------------------------------------------------------------------


def run_ends(command: Sequence[str]) -> None:
    """`asyncio.run` ends, and the client was never closed."""

    async def main() -> None:
        await speaking(await opened(command))
        tell("ending")

    asyncio.run(main())


def run_ends_and_all_is_dropped(command: Sequence[str]) -> None:
    """The same, and nobody keeps anything."""
    run_ends(command)
    kept.clear()


def loop_is_closed(command: Sequence[str]) -> None:
    """The loop is closed with tasks on it, without a word to anybody."""
    loop = asyncio.new_event_loop()
    loop.run_until_complete(_open_and_speak(command))
    tell("ending")
    loop.close()


def loop_is_stopped(command: Sequence[str]) -> None:
    """`loop.stop()` in the middle, and the program just ends."""
    loop = asyncio.new_event_loop()

    async def main() -> None:
        await _open_and_speak(command)
        tell("ending")
        loop.call_soon(loop.stop)
        await asyncio.Event().wait()

    task = loop.create_task(main())
    kept.append(task)
    loop.run_forever()


def loop_is_left(command: Sequence[str]) -> None:
    """Nobody runs the loop any more, nobody closes it."""
    loop = asyncio.new_event_loop()
    kept.append(loop)
    loop.run_until_complete(_open_and_speak(command))
    tell("ending")


async def _open_and_speak(command: Sequence[str]) -> None:
    await speaking(await opened(command))


# -- a program that goes away ----------------------------------------------------------------------------------------


def exits_at_once(command: Sequence[str]) -> None:
    """`os._exit`: not even the interpreter tidies up."""

    async def main() -> None:
        await _open_and_speak(command)
        tell("ending")
        os._exit(0)

    asyncio.run(main())


def exits_from_a_task(command: Sequence[str]) -> None:
    """`sys.exit` in a task that is not the main one, within the block of the client."""

    async def leave() -> None:
        tell("ending")
        sys.exit(3)

    async def main() -> None:
        async with Client(RuntimeConfig(command=tuple(command))) as client:
            await speaking(await client.start_session())
            kept.append(asyncio.get_running_loop().create_task(leave()))
            await asyncio.Event().wait()

    asyncio.run(main())


def is_interrupted(command: Sequence[str]) -> None:
    """Ctrl-C, within the block of the client."""

    async def main() -> None:
        async with Client(RuntimeConfig(command=tuple(command))) as client:
            await speaking(await client.start_session())
            tell("ending")
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.Event().wait()

    asyncio.run(main())


def is_interrupted_twice(command: Sequence[str]) -> None:
    """Ctrl-C by somebody who has no patience: the second one while the first is tidied up after."""

    async def main() -> None:
        async with Client(RuntimeConfig(command=tuple(command))) as client:
            await speaking(await client.start_session())
            tell("ending")
            loop = asyncio.get_running_loop()
            loop.call_later(0.01, os.kill, os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.Event().wait()

    asyncio.run(main())


def sync_client_is_never_closed(command: Sequence[str]) -> None:
    """The client without an event loop: its loop lives on a thread."""
    client = SyncClient(RuntimeConfig(command=tuple(command)))
    client.open()
    kept.append(client)
    turn = client.start_session().stream("go")
    turn.__enter__()
    kept.append(turn)
    next(event for event in turn if type(event).__name__ == "TextDelta")
    tell("ending")


def a_thread_runs_the_loop(command: Sequence[str]) -> None:
    """The loop is on a thread that the interpreter does not wait for."""
    spoke = threading.Event()

    async def main() -> None:
        await _open_and_speak(command)
        spoke.set()
        await asyncio.Event().wait()

    threading.Thread(target=asyncio.run, args=(main(),), daemon=True).start()
    spoke.wait()
    tell("ending")


def sink_hangs(command: Sequence[str]) -> None:
    """A sink that never ends its write, and a program that does not close the client."""

    class Hangs(EventSink):
        async def write(self, batch: object, /) -> None:
            await asyncio.Event().wait()

    async def main() -> None:
        await speaking(await opened(command, sinks=(Hangs(),)))
        tell("ending")

    asyncio.run(main())


# -- guests who want the program to end ------------------------------------------------------------------------------


def _guest(who: str, stop: type[BaseException]) -> Callable[[Sequence[str]], None]:
    def bad(*_: object) -> None:
        tell("ending")
        raise stop(5) if stop is SystemExit else stop

    async def bad_coroutine(*_: object) -> None:
        bad()

    def end(command: Sequence[str]) -> None:
        options: dict[str, Any] = {
            "handler": {"approvals": bad},
            "coroutine": {"approvals": bad_coroutine},
            "hook": {"hooks": (Hook("bad", bad_coroutine, when=HookMatcher(phases=("pre_tool_use",))),)},
        }.get(who, {})
        settings = RuntimeConfig(
            command=tuple(command),
            on_decision=bad if who == "record" else None,
            on_restart=bad if who == "restart" else None,
        )

        async def main() -> None:
            try:
                async with Client(settings, profile=RunProfile().changed(**options)) as client:
                    if who == "restart":
                        os.kill(client.runtime.pid or 0, signal.SIGKILL)
                    else:
                        await client.run("ask")
                    await asyncio.Event().wait()
            finally:
                tell("closed")

        asyncio.run(main())

    return end


WAYS: dict[str, Callable[[Sequence[str]], None]] = {
    function.__name__: function
    for function in (
        run_ends,
        run_ends_and_all_is_dropped,
        loop_is_closed,
        loop_is_stopped,
        loop_is_left,
        exits_at_once,
        exits_from_a_task,
        is_interrupted,
        is_interrupted_twice,
        sync_client_is_never_closed,
        a_thread_runs_the_loop,
        sink_hangs,
    )
}
GUESTS = {
    f"{who} {word}": _guest(who, stop)
    for who in ("handler", "coroutine", "record", "restart", "hook")
    for word, stop in STOPS.items()
    if word == "exit" or who in ("handler", "coroutine")
}

if __name__ == "__main__":
    {**WAYS, **GUESTS}[sys.argv[1]](sys.argv[2:])
