"""The words of the app server: every method and every message as a typed, frozen struct.

Names are upstream's. Import what you need from here, ``from codex_runtime.protocol import ThreadStartParams``; the
module behind a name is loaded when the name is first used, so importing this package costs next to nothing. Known
values of an enum are known to type checkers only; at run time an enum is a ``str``, because the server may learn new
ones. Reading never fails on what is new: see :class:`Unknown`, :class:`UnknownMessage` and :class:`Undecodable`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from codex_runtime.protocol import _generated
from codex_runtime.protocol._base import Json, RequestId, Unknown, Wire
from codex_runtime.protocol._registry import (
    HOMES as _HOMES,
)
from codex_runtime.protocol._registry import (
    Decoded,
    Direction,
    Method,
    Registry,
    Stability,
    Undecodable,
    UnknownMessage,
    decode_message,
    decode_params,
    decode_result,
    encode_params,
    event_type,
    registry,
)
from codex_runtime.protocol._registry import (
    load as _load,
)

if TYPE_CHECKING:
    from codex_runtime.protocol._generated import *  # noqa: F403

__all__ = [
    "Decoded",
    "Direction",
    "Json",
    "Method",
    "Registry",
    "RequestId",
    "Stability",
    "Undecodable",
    "Unknown",
    "UnknownMessage",
    "Wire",
    "decode_message",
    "decode_params",
    "decode_result",
    "encode_params",
    "event_type",
    "registry",
]
__all__ += _generated.__all__


if not TYPE_CHECKING:

    def __getattr__(name: str) -> type[Wire]:
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = globals()[name] = _load(name)
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
