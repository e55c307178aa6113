"""Method by method: who may send it, what it carries, what answers it, and how to read it.

This is the only hand-written place that looks at the generated table of methods. Reading never raises, whatever the
server sent: a method nobody knows becomes an :class:`UnknownMessage`, a known one whose content does not fit becomes
an :class:`Undecodable`; both keep the raw bytes. A struct is loaded, and its decoder built, when it is first asked for.
"""

from __future__ import annotations

from functools import cached_property
from importlib import import_module
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, cast

import msgspec
from msgspec import UNSET, Struct, UnsetType

from codex_runtime.protocol import _generated
from codex_runtime.protocol._base import Unknown, Wire, decoder
from codex_runtime.protocol._generated.methods import METHODS, VERSION

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "HOMES",
    "Decoded",
    "Direction",
    "Method",
    "Registry",
    "Stability",
    "Undecodable",
    "UnknownMessage",
    "decode_message",
    "decode_params",
    "decode_result",
    "encode_params",
    "event_type",
    "load",
    "registry",
]

Direction: TypeAlias = Literal["client_request", "server_request", "server_notification", "client_notification"]
Stability: TypeAlias = Literal["stable", "experimental"]

HOMES: Final = {name: module for module, names in _generated.MODULES.items() for name in names}
"""The module each generated name lives in."""


class UnknownMessage(Struct, frozen=True):
    """A message whose method this version does not know, or a line that names no method (then ``method`` is empty)."""

    method: str
    raw: bytes

    def __repr__(self) -> str:
        return f"UnknownMessage(method={self.method!r}, raw=<{len(self.raw)} bytes>)"


class Undecodable(Struct, frozen=True):
    """Content that does not fit its method. ``reason`` names the place and the mismatch, never a value."""

    method: str
    reason: str
    raw: bytes

    def __repr__(self) -> str:
        return f"Undecodable(method={self.method!r}, reason={self.reason!r}, raw=<{len(self.raw)} bytes>)"


Decoded: TypeAlias = Wire | Unknown | UnknownMessage | Undecodable | None
"""What reading can give: a struct of this package, ``Unknown`` for an unknown arm of a union, one of the two above, or
``None`` where the method carries nothing."""


class Method:
    """One method of the wire. ``params`` and ``result`` are its types: a struct, a union, or ``None`` for nothing."""

    def __init__(
        self,
        name: str,
        direction: Direction,
        *,
        namespace: str,
        params_name: str | None,
        result_name: str | None,
        stability: Stability,
        deprecated: bool,
    ) -> None:
        self.name = name
        self.direction: Direction = direction
        self.namespace = namespace
        self.params_name = params_name
        self.result_name = result_name
        self.stability: Stability = stability
        self.deprecated = deprecated

    def __repr__(self) -> str:
        return f"Method({self.name!r}, {self.direction!r}, stability={self.stability!r})"

    @cached_property
    def params(self) -> type[Wire] | None:
        """The type of the params."""
        return load(self.params_name) if self.params_name else None

    @cached_property
    def result(self) -> type[Wire] | None:
        """The type of the result; ``None`` for notifications."""
        return load(self.result_name) if self.result_name else None

    @cached_property
    def read_params(self) -> msgspec.json.Decoder[Wire] | None:
        """The decoder of the params, if there are any."""
        return decoder(self.params) if self.params else None

    @cached_property
    def read_result(self) -> msgspec.json.Decoder[Wire] | None:
        """The decoder of the result, if there is one."""
        return decoder(self.result) if self.result else None


class Registry:
    """All methods, by name and in alphabetical order."""

    version: Final = VERSION
    """The codex version the methods were taken from."""

    def __init__(self) -> None:
        self._methods = {row[0]: _method(*row) for row in METHODS}

    def get(self, name: str) -> Method | None:
        """The method called ``name``, or ``None`` when this version does not know it."""
        return self._methods.get(name)

    def __contains__(self, name: object) -> bool:
        return name in self._methods

    def __iter__(self) -> Iterator[Method]:
        return iter(self._methods.values())

    def __len__(self) -> int:
        return len(self._methods)

    def of(self, direction: Direction) -> list[Method]:
        """The methods that travel in ``direction``."""
        return [method for method in self if method.direction == direction]


def _method(  # noqa: PLR0917 - the order of the generated table
    name: str,
    direction: str,
    namespace: str,
    params: str | None,
    result: str | None,
    stability: str,
    deprecated: bool,  # noqa: FBT001
) -> Method:
    return Method(
        name,
        cast("Direction", direction),
        namespace=namespace,
        params_name=params,
        result_name=result,
        stability=cast("Stability", stability),
        deprecated=deprecated,
    )


def load(name: str) -> type[Wire]:
    """The generated type called ``name``. Raises ``KeyError`` if there is none."""
    module = import_module(f"codex_runtime.protocol._generated.{HOMES[name]}")
    return cast("type[Wire]", getattr(module, name))


registry: Final = Registry()
"""The methods of the pinned codex version."""


def event_type(method: str) -> type[Wire] | None:
    """The type that carries the content of ``method``; a union's name stands for all its arms."""
    found = registry.get(method)
    return found.params if found else None


def decode_params(method: str, raw: bytes | msgspec.Raw | None) -> Decoded:
    """Read the params of a message in either direction. Never raises; see the module for what comes instead."""
    found = registry.get(method)
    data = b"null" if raw is None else bytes(raw)
    return _read(method, found.read_params, data) if found else UnknownMessage(method, data)


def decode_result(method: str, raw: bytes | msgspec.Raw) -> Decoded:
    """Read the result that answers ``method``. Never raises; see the module for what comes instead."""
    found = registry.get(method)
    return _read(method, found.read_result, bytes(raw)) if found else UnknownMessage(method, bytes(raw))


def decode_message(line: bytes) -> Decoded:
    """Read a whole line: what a request or notification carries, or an ``UnknownMessage`` for anything else.

    An answer is not self-describing; use :func:`decode_result` with the method that was asked.
    """
    try:
        head = _HEAD.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return UnknownMessage("", line)
    if not isinstance(head.method, str):
        return UnknownMessage("", line)
    if head.method not in registry:
        return UnknownMessage(head.method, line)
    return decode_params(head.method, None if isinstance(head.params, UnsetType) else head.params)


def encode_params(params: object) -> bytes:
    """The JSON of a struct: what is ``UNSET`` is left out, ``None`` goes as null."""
    return _ENCODER.encode(params)


class _Head(Struct):
    method: str | UnsetType = UNSET
    params: msgspec.Raw | UnsetType = UNSET


_HEAD: Final = msgspec.json.Decoder(_Head)
_ENCODER: Final = msgspec.json.Encoder()
_NOTHING: Final = (b"", b"null", b"{}")


def _read(method: str, read: msgspec.json.Decoder[Wire] | None, data: bytes) -> Decoded:
    if read is None:
        return None if data in _NOTHING else Undecodable(method, "Expected nothing", data)
    try:
        return read.decode(data if data and data != b"null" else b"{}")
    except msgspec.MsgspecError as error:
        return Undecodable(method, str(error), data)
    except (UnicodeDecodeError, RecursionError) as error:
        return Undecodable(method, type(error).__name__, data)
