"""A fake app server in memory: faults done to a link, as they would be done to a process.

The rules are elsewhere. The one idea: what ends the link ends the server, unless only the connection breaks.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from codex_runtime._sansio.restart import Exit
from codex_runtime.testing._fake_script import CloseStdout, Die, Fault, IgnoreTerm, Stderr, StopReading

if TYPE_CHECKING:
    from codex_runtime.testing._fake_session import FakeSession
    from codex_runtime.testing._memory_link import MemoryLink

__all__ = ["Ending", "MemoryBody"]


class Ending:
    """A session whose end is also told to the fake."""

    def __init__(self, session: FakeSession, gone: Callable[[], None]) -> None:
        self._session = session
        self._gone = gone

    def feed(self, data: bytes) -> None:
        self._session.feed(data)

    def close(self) -> None:
        self._session.close()
        self._gone()


class MemoryBody:
    """Faults, done to a link in memory."""

    def __init__(self, link: MemoryLink) -> None:
        self.link = link

    def send(self, data: bytes) -> None:
        self.link.send(data)

    def kill(self) -> None:
        self.link.kill()

    def inflict(self, fault: Fault) -> None:
        match fault:
            case Die(signal=signal, code=code):
                self.link.end(Exit(code=code, signal=signal, stderr_tail=self.link.stderr_tail()))
            case CloseStdout():
                self.link.hang_up()  # for whoever can hear a server no more ends it
            case StopReading():
                self.link.stop_reading()
            case IgnoreTerm():
                self.link.ignore_term()
            case Stderr(text):
                self.link.log(text)
