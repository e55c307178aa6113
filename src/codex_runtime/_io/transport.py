"""The seam between one app server and whoever talks to it: bytes both ways, and one end.

Three small protocols. A :class:`Launcher` makes a :class:`Transport`, which hands what arrives to a :class:`Receiver`.
The child process, an in-memory fake and a socket all fit behind it. Nothing here knows about lines or messages.

The one idea: data is pushed. ``data_received`` is called from the event loop, and there is no ``await`` between the pipe
and the receiver.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from codex_runtime._sansio.restart import Exit

__all__ = ["Launcher", "Receiver", "Transport"]


class Receiver(Protocol):
    """What the far side of a transport calls, always on the event loop. Its methods do not raise."""

    def data_received(self, data: bytes, /) -> None:
        """Take one chunk of what the server wrote, cut anywhere."""

    def connection_lost(self, exit: Exit, /) -> None:  # noqa: A002
        """Learn that the server is gone. Called exactly once, after the last ``data_received``."""


class Transport(Protocol):
    """One live app server. Use it on the event loop that launched it, in the process that launched it."""

    @property
    def pid(self) -> int | None:
        """Process id of the app server itself; ``None`` when it is not a process of this machine."""

    def write(self, data: bytes) -> None:
        """Send ``data`` after everything sent before. Never blocks; after the loss it is dropped without a word."""

    @property
    def unsent(self) -> int:
        """Bytes that were accepted and that the system has not taken yet."""

    async def drain(self) -> None:
        """Wait until ``unsent`` is below the low-water mark, or the link is lost."""

    def pause_reading(self) -> None:
        """Stop delivery; the server is held back once its pipe is full. What the server's end still holds is delivered."""

    def resume_reading(self) -> None:
        """Go on with delivery. Nothing was lost in between."""

    def stderr_tail(self) -> str:
        """Return the last that the server wrote to stderr, without control sequences."""

    def kill(self) -> None:
        """End the server at once, with everything that it started."""

    async def aclose(self) -> Exit:
        """End the server in good order and return how it ended.

        Bounded, and safe to call twice, from several tasks, or in a task that is cancelled: cancelling a caller does not
        stop the end.
        """


class Launcher(Protocol):
    """Something that can bring up an app server, again and again."""

    async def launch(self, receiver: Receiver, /) -> Transport:
        """Start one; ``receiver`` hears from it only after this has returned.

        Raises:
            StartError: the server could not be started. Nothing is left behind.
        """
