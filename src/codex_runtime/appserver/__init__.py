"""Every request of the app server as a typed coroutine: ``await app.thread_start(cwd="/src", sandbox="read-only")``.

This is the thinnest door: a call becomes the params struct of its method, the answer becomes its result struct, and
nothing else happens. There is no policy, no retry and no session here; who sends, waits and fails is the
:class:`Requester` that was given, usually a :class:`codex_runtime.runtime.Runtime`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import msgspec

from codex_runtime.appserver._generated import GeneratedAppServer
from codex_runtime.errors import RemoteProtocolError
from codex_runtime.protocol import Undecodable, UnknownMessage, decode_result

if TYPE_CHECKING:
    from codex_runtime.protocol import Json

__all__ = ["AppServer", "Requester"]


class Requester(Protocol):
    """Anything that can send one request and wait for its answer."""

    async def request_raw(self, method: str, params: object = None, *, deadline: float | None = None) -> msgspec.Raw:
        """Send ``method`` with whatever msgspec can encode and return the JSON of the result.

        ``deadline`` is how many seconds the answer may take; ``None`` leaves that to the requester.
        """
        ...


class AppServer(GeneratedAppServer):
    """All requests of the app server, typed, through a :class:`Requester`.

    An option that is left out is not sent; ``None`` is sent as null, which to some methods means "clear this". Each
    call takes ``deadline``, the seconds its answer may take. Experimental methods and options need a connection that
    was opened with the ``experimentalApi`` capability.

    Raises what the requester raises, and ``RemoteProtocolError`` when the result does not have its documented shape.
    """

    def __init__(self, requester: Requester) -> None:
        self._requester = requester

    async def request(self, method: str, params: object = None, *, deadline: float | None = None) -> Json:
        """Call any method, also one this version does not know, and return its result as plain JSON values."""
        raw = await self._requester.request_raw(method, params, deadline=deadline)
        try:
            value: Json = msgspec.json.decode(raw) if bytes(raw) else None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise RemoteProtocolError(f"the result of {method} cannot be read: {type(error).__name__}") from None
        return value

    async def _call(self, method: str, params: object, deadline: float | None) -> object:
        raw = await self._requester.request_raw(method, params, deadline=deadline)
        match decode_result(method, raw):
            case Undecodable(reason=reason):
                raise RemoteProtocolError(f"the result of {method} does not fit: {reason}")
            case UnknownMessage():
                raise RemoteProtocolError(f"{method} is not part of the protocol")
            case result:
                return result
