"""A snapshot as bytes, and back: what a state store keeps.

The bytes are one JSON object: a head that says the format, its version, the codex version and a checksum, and the state.
A line of the server is a string in there, so that people can read it, and comes back byte for byte; so does text that
JSON cannot hold. Decoding never raises: what cannot be read is an :class:`Unreadable`, which shows nothing of it.

The one idea: how each field is written follows from its type, so a new field of the state needs no word here. One that
is unknown when it is read is passed over, one that is missing has its default; whatever else changes the meaning of the
bytes must raise :data:`VERSION`.
"""

from __future__ import annotations

import zlib
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, Literal, NamedTuple, TypeAlias, TypeVar, cast, get_args, get_origin

import msgspec
from msgspec import NODEFAULT, Raw, Struct

from codex_runtime._sansio.envelope import DECODE_ERRORS
from codex_runtime._sansio.state import NOTHING, Notes, RuntimeState, TurnState
from codex_runtime.protocol._generated.methods import VERSION as CODEX

__all__ = ["FORMAT", "VERSION", "Encoder", "Unreadable", "decode", "encode"]

T = TypeVar("T", bound=Struct)

FORMAT: Final = "codex-runtime state"
VERSION: Final = 1


class Unreadable(Struct, frozen=True):
    """Why bytes are no state: they are ``"damaged"``, or ``"newer"``, written by a later version of this package."""

    reason: Literal["damaged", "newer"]
    version: int | None = None


DAMAGED: Final = Unreadable("damaged")


def encode(state: RuntimeState) -> bytes:
    """Return a state as bytes."""
    return Encoder().encode(state)


class Encoder:
    """Encodes one snapshot after another, and remembers the turns of the last: those that did not change cost nothing."""

    def __init__(self) -> None:
        self._before: dict[int, tuple[TurnState, Raw]] = {}
        self._now: dict[int, tuple[TurnState, Raw]] = {}

    def encode(self, state: RuntimeState) -> bytes:
        """Return a state as bytes."""
        body = msgspec.json.encode(_packed(state, self._turn))
        self._before, self._now = self._now, {}
        head = msgspec.json.encode({"format": FORMAT, "version": VERSION, "codex": CODEX, "checksum": zlib.crc32(body)})
        return b"".join((head[:-1], b',"state":', body, b"}\n"))  # copied once: it may be many megabytes

    def _turn(self, turn: TurnState) -> Raw:
        # A turn that is remembered is held, so its number cannot be another's by now.
        _, raw = self._before.get(id(turn)) or (turn, Raw(msgspec.json.encode(_packed(turn, self._turn))))
        self._now[id(turn)] = turn, raw
        return raw


def decode(data: bytes) -> RuntimeState | Unreadable:
    """Return the state that the bytes hold, or why they hold none."""
    try:
        probe = msgspec.json.decode(data, type=_Probe)
    except DECODE_ERRORS:
        return DAMAGED
    if probe.format != FORMAT or probe.version < 1:
        return DAMAGED
    if probe.version > VERSION:
        return Unreadable("newer", probe.version)
    try:
        head = msgspec.json.decode(data, type=_Head)
        if zlib.crc32(head.state) != head.checksum:
            return DAMAGED
        return _unpacked(RuntimeState, _decode_state(bytes(head.state)))
    except DECODE_ERRORS:
        return DAMAGED


class _Probe(Struct):
    format: str
    version: int


class _Head(Struct, kw_only=True):
    format: str
    version: int
    codex: str
    checksum: int
    state: Raw


class _Odd(Struct):
    """Text or a line that is no proper UTF-8."""

    odd: str


_Text: TypeAlias = str | _Odd
_Turn: TypeAlias = Callable[[TurnState], Raw]


class _Field(NamedTuple):
    """How a field of a value is written: its name, what is left out, the type in JSON, and both ways between them."""

    name: str
    default: object
    stored: object
    pack: Callable[[object, _Turn], object]
    unpack: Callable[[object], object]


# -- text and lines ----------------------------------------------------------------------------------------------------


def _pack_text(text: object, _: _Turn) -> object:
    if not isinstance(text, str) or text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return _Odd(b64encode(text.encode("utf-8", "surrogatepass")).decode("ascii"))
    return text


def _unpack_text(stored: object) -> object:
    return b64decode(stored.odd, validate=True).decode("utf-8", "surrogatepass") if isinstance(stored, _Odd) else stored


def _pack_line(line: object, _: _Turn) -> object:
    if not isinstance(line, bytes):
        return line
    try:
        return line.decode()
    except UnicodeDecodeError:
        return _Odd(b64encode(line).decode("ascii"))


def _unpack_line(stored: object) -> object:
    if isinstance(stored, _Odd):
        return b64decode(stored.odd, validate=True)
    return stored.encode() if isinstance(stored, str) else stored


def _pack_notes(notes: object, turn: _Turn) -> object:
    lines = cast("Notes", notes).lines
    return [(_pack_text(name, turn), _pack_line(line, turn)) for name, line in lines.items()]


def _unpack_notes(stored: object) -> object:
    pairs = cast("list[tuple[_Text, _Text]]", stored)
    lines = {cast("str", _unpack_text(name)): cast("bytes", _unpack_line(line)) for name, line in pairs}
    return Notes(MappingProxyType(lines)) if lines else Notes()


def _pack_texts(texts: object, turn: _Turn) -> object:
    return [_pack_text(text, turn) for text in cast("tuple[str, ...]", texts)]


def _unpack_texts(stored: object) -> object:
    return tuple(map(_unpack_text, cast("list[_Text]", stored)))


def _same(value: object) -> object:
    return value


# -- values ------------------------------------------------------------------------------------------------------------


def _field_of(field: msgspec.structs.FieldInfo) -> _Field:
    hint = field.type
    default = field.default if field.default_factory is NODEFAULT else field.default_factory()

    def of(stored: object, pack: Callable[[object, _Turn], object], unpack: Callable[[object], object]) -> _Field:
        return _Field(field.name, default, stored, pack, unpack)

    if hint is Notes:
        return of(list[tuple[_Text, _Text]], _pack_notes, _unpack_notes)
    if hint in {str, str | None}:
        return of(_Text if hint is str else _Text | None, _pack_text, _unpack_text)
    if hint in {bytes, bytes | None}:
        return of(_Text if hint is bytes else _Text | None, _pack_line, _unpack_line)
    if get_origin(hint) is tuple:
        return of(list[_Text], _pack_texts, _unpack_texts)
    if get_origin(hint) is Mapping:
        return of(*_values(get_args(hint)[1]))
    if isinstance(hint, type) and issubclass(hint, Struct):
        return of(_stored(hint), _packed, lambda stored: _unpacked(hint, cast("Struct", stored)))
    return of(hint, lambda value, _: value, _same)


def _values(
    kind: type[Struct],
) -> tuple[object, Callable[[object, _Turn], object], Callable[[object], object]]:
    """How a mapping from ids to values of one kind is written: as a list, since each holds its id."""
    key = kind.__struct_fields__[0]

    def pack(values: object, turn: _Turn) -> object:
        each = cast("Mapping[str, object]", values).values()
        return [turn(value) if isinstance(value, TurnState) else _packed(value, turn) for value in each]

    def unpack(stored: object) -> object:
        values = [_unpacked(kind, each) for each in cast("list[Struct]", stored)]
        return MappingProxyType({getattr(value, key): value for value in values}) if values else NOTHING

    return list[_stored(kind)], pack, unpack  # type: ignore[misc]  # a type that is made here


_FIELDS: dict[type[Struct], list[_Field]] = {}
_STORED: dict[type[Struct], type[Struct]] = {}


def _fields(kind: type[Struct]) -> list[_Field]:
    if kind not in _FIELDS:
        _FIELDS[kind] = [_field_of(field) for field in msgspec.structs.fields(kind)]
    return _FIELDS[kind]


def _stored(kind: type[Struct]) -> type[Struct]:
    """Make the type that a value has in JSON."""
    if kind not in _STORED:
        columns = [
            (field.name, field.stored)
            if field.default is NODEFAULT
            else (field.name, field.stored | msgspec.UnsetType, msgspec.UNSET)
            for field in _fields(kind)
        ]
        _STORED[kind] = msgspec.defstruct(f"Stored{kind.__name__}", columns, kw_only=True)
    return _STORED[kind]


def _packed(value: object, turn: _Turn) -> dict[str, object]:
    pairs = [(field, getattr(value, field.name)) for field in _fields(cast("type[Struct]", type(value)))]
    return {
        field.name: field.pack(held, turn)
        for field, held in pairs
        if field.default is NODEFAULT or held != field.default
    }


def _unpacked(kind: type[T], stored: Struct) -> T:
    held = {field.name: (field, getattr(stored, field.name)) for field in _fields(kind)}
    return kind(**{name: field.unpack(value) for name, (field, value) in held.items() if value is not msgspec.UNSET})


_decode_state = msgspec.json.Decoder(_stored(RuntimeState)).decode
