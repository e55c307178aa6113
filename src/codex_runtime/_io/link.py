"""One live app server with its pipes and its peer: one generation.

The link joins a transport to a peer and knows when it is over. It never opens a second server, and it does not know
what the messages mean.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Generic, TypeVar

from msgspec.structs import replace

from codex_runtime._sansio.peer import Peer

if TYPE_CHECKING:
    from codex_runtime._io.transport import Launcher, Transport
    from codex_runtime._sansio.restart import Exit

__all__ = ["Link"]

T = TypeVar("T")


class Link(Generic[T]):
    """A connection of one generation. Implements the transport's ``Receiver``.

    ``write`` sends a line to the server of this generation, and to no other; ``data_received`` takes what that wrote.

    ``on_data`` is called with each chunk, ``on_lost`` once when the server is gone, both on the loop; they must not raise.
    :attr:`lost` is done from then on. :attr:`is_retired` tells whether it had to end because of :meth:`retire`, and
    ``left_work``, set by its owner, whether anybody waited for anything when it was lost.
    """

    def __init__(
        self,
        *,
        generation: int,
        first_id: int,
        line_limit: int,
        on_data: Callable[[Link[T], bytes], None],
        on_lost: Callable[[Link[T], Exit], None],
    ) -> None:
        self.generation = generation
        self.peer: Peer[T] = Peer(first_id=first_id, line_limit=line_limit)
        self.lost: asyncio.Future[Exit] = asyncio.get_running_loop().create_future()
        # What is done for every message is bound once: the road is as long as the calls on it.
        self.data_received: Callable[[bytes], None] = partial(on_data, self)
        self.write: Callable[[bytes], None] = _drop
        self._on_lost = on_lost
        self._transport: Transport | None = None
        self._ending: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._reason = ""
        self.is_retired = self.left_work = False

    async def open(self, launcher: Launcher) -> None:
        """Start the server, or connect to it. Raises :class:`StartError`."""
        self._transport = await launcher.launch(self)
        self.write = self._transport.write

    @property
    def transport(self) -> Transport:
        """The bytes' own road. Only an opened link has one."""
        if self._transport is None:
            raise RuntimeError("the link is not open")
        return self._transport

    @property
    def alive(self) -> bool:
        """True while the server can still be heard."""
        return self._transport is not None and not self.lost.done()

    @property
    def unsent(self) -> int:
        """Bytes that wait for the server to read them."""
        return 0 if self._transport is None else self._transport.unsent

    def connection_lost(self, exit: Exit, /) -> None:  # noqa: A002
        """Take note that the server is gone."""
        if not self.lost.done():
            if self._reason:
                exit = replace(exit, reason=self._reason)  # noqa: A001
            self.lost.set_result(exit)
            if not self._ending.done():
                self._ending.set_result(None)
            self._on_lost(self, exit)
            self.data_received = _drop  # it names us: a circle would wait for the collector, with all that it holds

    async def aclose(self) -> Exit | None:
        """End the server in good order, or else by force. Bounded; idempotent."""
        return None if self._transport is None else await self._transport.aclose()

    def kill(self, reason: str) -> None:
        """End the server at once. ``reason`` is told as the cause of its end."""
        if self.alive:
            self._reason = reason
            self.transport.kill()

    def retire(self, reason: str) -> None:
        """Let whoever waits for the end bring it about, in good order. ``reason`` is told as its cause."""
        if self.alive and not self.is_retired:
            self.is_retired = True
            self._reason = reason
            self._ending.set_result(None)

    async def over(self) -> Exit:
        """Wait until the server is gone: by itself, or by our hand once it was retired."""
        await asyncio.shield(self._ending)
        if not self.lost.done():
            await self.aclose()
        return await asyncio.shield(self.lost)


def _drop(data: bytes) -> None:
    """Carry nothing: the link is not open yet, or is lost."""
