"""One running process of the fake app server: its rules, and the time and gates that they wait for.

It cuts bytes into lines and carries out waits; the rest goes to a :class:`Body`, which is memory or a real process. The
one idea: the core decides, this file waits, the body acts.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol, final

from codex_runtime.testing._fake_core import Output, Waiting
from codex_runtime.testing._fake_script import StopReading
from codex_runtime.testing._reply import Hold, Pause

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from codex_runtime._io.clock import Cancellable, Clock
    from codex_runtime.testing._fake_core import FakeServerCore
    from codex_runtime.testing._fake_script import Fault, Step

__all__ = ["Body", "FakeSession"]


class Body(Protocol):
    """What a session acts through."""

    def send(self, data: bytes) -> None:
        """Put bytes on stdout."""
        ...

    def inflict(self, fault: Fault) -> None:
        """Do something to the process."""
        ...


@final
class FakeSession:
    """A core at work. ``tell`` is called after each line that it took, and after whatever else befalls it."""

    def __init__(self, core: FakeServerCore, clock: Clock, tell: Callable[[], None]) -> None:
        self.core = core
        self._clock = clock
        self.tell = tell
        self._body: Body | None = None
        self._rest = b""
        self._is_deaf = False
        self._timers: dict[int, Cancellable] = {}
        self._waits: set[asyncio.Task[None]] = set()

    @property
    def is_busy(self) -> bool:
        """Whether tasks of it still run; after :meth:`close` they end within a turn or two of the loop."""
        return bool(self._waits)

    def start(self, body: Body) -> None:
        """Begin; the process may die before it reads anything."""
        self._body = body
        self._act(self.core.start())

    def disconnect(self) -> None:
        """Lose the client: what is said from now on, nobody hears."""
        self._body = None
        self._rest = b""
        self.core.disconnect()
        self.tell()

    def connect(self, body: Body) -> None:
        """Serve another client."""
        self._body = body

    def feed(self, data: bytes) -> None:
        """The client wrote this much."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            if self._is_deaf:
                return
            self._act(self.core.receive(line))
            self.tell()

    def play(self, steps: Iterable[Step]) -> None:
        """Play steps now, outside of any turn."""
        self._act(self.core.play(steps))

    def close(self) -> None:
        """The process is gone: nothing is waited for any more. Safe to call again."""
        self.core.end()
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        for wait in self._waits:
            wait.cancel()
        self.tell()

    async def closed(self) -> None:
        """Wait until nothing of it runs, after :meth:`close`."""
        await asyncio.gather(*self._waits, return_exceptions=True)

    def _act(self, outputs: Iterable[Output]) -> None:
        said: list[bytes] = []
        body = self._body or _NOBODY
        for output in outputs:
            if isinstance(output, bytes):
                said.append(output)
                continue
            if said:
                body.send(b"".join(said))
                said.clear()
            if isinstance(output, Waiting):
                self._wait(output)
            else:
                self._is_deaf = self._is_deaf or isinstance(output, StopReading)
                body.inflict(output)
        if said:
            body.send(b"".join(said))

    def _wait(self, waiting: Waiting) -> None:
        match waiting.until:
            case Pause(seconds):
                when = self._clock.monotonic() + seconds
                self._timers[waiting.key] = self._clock.call_at(when, self._proceed, waiting.key)
            case Hold():
                task = asyncio.get_running_loop().create_task(self._pass(waiting.key, waiting.until), name="fake gate")
                self._waits.add(task)
                task.add_done_callback(self._waits.discard)

    async def _pass(self, key: int, hold: Hold) -> None:
        await hold.gate.wait()
        self._proceed(key)

    def _proceed(self, key: int) -> None:
        self._timers.pop(key, None)
        self._act(self.core.proceed(key))
        self.tell()


class _Nobody:
    """No client is there."""

    def send(self, data: bytes) -> None:
        pass

    def inflict(self, fault: Fault) -> None:
        pass


_NOBODY = _Nobody()
