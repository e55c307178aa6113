"""What all generated types are made of, and why nothing new from the server can break them.

A message is decoded by msgspec into frozen structs. msgspec itself would refuse three things a newer server may send,
so they are made open here: an enum is a ``str`` at run time (type checkers see the known values), a field nobody knows
is skipped, and a union is a :class:`OneOf`: it looks at the tag, decodes the arm it knows, and keeps anything else as
:class:`Unknown`. An arm that does not fit is kept as ``Unknown`` as well, so drift costs one item, not its message.

Absent and null: where *we* speak, an optional field defaults to ``UNSET`` and is left out, while ``None`` is sent as
null, which to some methods means "clear this". Where only the *server* speaks, an absent nullable field reads ``None``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias, TypeVar

import msgspec
from msgspec import Struct, ValidationError

__all__ = ["Json", "Keyed", "OneOf", "RequestId", "Shaped", "Tagged", "Unknown", "Wire", "convert", "decoder"]

T = TypeVar("T")

RequestId: TypeAlias = int | str
"""The id of a request, ours or the server's."""

# What is never shown. The words of the pinned schema for it.
CREDENTIALS = frozenset({"access_token", "api_key", "auth_bearer_token", "secret_access_key", "session_token", "token"})
# What may hold some, under names of others' choosing.
TABLES = frozenset({"config", "edits", "env", "http_headers", "query_params"})

if TYPE_CHECKING:
    Json: TypeAlias = object
else:
    Json = Any  # msgspec takes `object` for a custom type
"""JSON that the schema does not describe: look before you use it."""


class Wire(Struct, frozen=True, rename="camel", repr_omit_defaults=True):
    """The base of every generated struct: frozen, keyword-only, snake_case here and upstream's spelling on the wire."""

    def __rich_repr__(self) -> list[tuple[str, object]]:
        """Name the fields that are not as by default; credentials stay hidden."""
        told = Struct.__rich_repr__(self)
        return [(name, "***" if self._hides(name, value) else value) for name, value in told]

    def _hides(self, name: str, value: object) -> bool:
        if name == "value":
            return hasattr(self, "key_path")  # a setting, whatever it is called
        return (name in CREDENTIALS and isinstance(value, str)) or (
            name in TABLES and isinstance(value, (dict, list, tuple))
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self.__rich_repr__())})"


class Unknown(dict[str, object]):
    """A JSON object of a kind this version does not know, as the server sent it.

    It takes the place of a struct wherever the protocol has a union, so a ``match`` needs one more arm:
    ``case Unknown(type=kind): ...``. The object itself is the raw content and encodes to what came in.
    """

    __slots__ = ("type",)

    type: str
    """The tag that was not known; empty when the union has no tag."""

    def __init__(self, fields: dict[str, object], /, *, type: str = "") -> None:  # noqa: A002
        super().__init__(fields)
        self.type = type

    def __repr__(self) -> str:
        return f"Unknown({super().__repr__()}, type={self.type!r})"


class _Open(type):
    """Lets msgspec accept whatever a union decoded to, and users ask ``isinstance(item, ThreadItem)``."""

    structs: frozenset[type]

    def __instancecheck__(cls, value: object) -> bool:
        return type(value) in cls.structs or isinstance(value, (Unknown, str))

    def __or__(cls, other: Any) -> Any:
        """``Union | str`` is the union itself: it reads strings where it may, and msgspec refuses the pair."""
        return cls if other is str else super().__or__(other)


class OneOf(metaclass=_Open):
    """A union of structs, open towards the future. Type checkers see a plain union in its place."""

    def __init_subclass__(cls, *, structs: tuple[type[Wire], ...] = ()) -> None:
        cls.structs = frozenset(structs)

    @classmethod
    def read(cls, value: object) -> object:
        """Turn a decoded JSON value into the arm it belongs to; raises ``ValidationError`` for a non-object."""
        if not isinstance(value, dict):
            raise ValidationError(f"Expected `object`, got `{type(value).__name__}`")
        return cls._pick(value)

    @classmethod
    def _pick(cls, fields: dict[str, object]) -> object:
        raise NotImplementedError


class Tagged(OneOf):
    """A union whose arms carry their name in the field ``tag``."""

    tag: ClassVar[str]
    arms: ClassVar[dict[str, type[Wire]]]

    def __init_subclass__(cls, *, tag: str, arms: dict[str, type[Wire]]) -> None:
        super().__init_subclass__(structs=tuple(arms.values()))
        cls.tag, cls.arms = tag, arms

    @classmethod
    def _pick(cls, fields: dict[str, object]) -> object:
        kind = fields.get(cls.tag)
        arm = cls.arms.get(kind) if isinstance(kind, str) else None
        kind = kind if isinstance(kind, str) else ""
        return _fit(fields, arm, kind) if arm else Unknown(fields, type=kind)


class Keyed(OneOf):
    """A union whose arms are either bare strings or objects with one key, which names the arm."""

    arms: ClassVar[dict[str, type[Wire]]]

    def __init_subclass__(cls, *, arms: dict[str, type[Wire]]) -> None:
        super().__init_subclass__(structs=tuple(arms.values()))
        cls.arms = arms

    @classmethod
    def read(cls, value: object) -> object:
        return value if isinstance(value, str) else super().read(value)

    @classmethod
    def _pick(cls, fields: dict[str, object]) -> object:
        known = [key for key in fields if key in cls.arms]
        if len(known) == 1:
            return _fit(fields, cls.arms[known[0]], known[0])
        return Unknown(fields, type=next(iter(fields)) if len(fields) == 1 else "")


class Shaped(OneOf):
    """A union without a tag: the arm is the one that fits and knows most of the fields.

    ``fixed`` lists, per arm, the fields that only allow certain strings. With ``text`` a bare string is fine as well.
    """

    arms: ClassVar[tuple[tuple[type[Wire], dict[str, tuple[str, ...]]], ...]]
    text: ClassVar[bool]

    def __init_subclass__(cls, *, arms: tuple[tuple[type[Wire], dict[str, tuple[str, ...]]], ...], text: bool) -> None:
        super().__init_subclass__(structs=tuple(arm for arm, _ in arms))
        cls.arms, cls.text = arms, text

    @classmethod
    def read(cls, value: object) -> object:
        return value if cls.text and isinstance(value, str) else super().read(value)

    @classmethod
    def _pick(cls, fields: dict[str, object]) -> object:
        by_knowledge = sorted(cls.arms, key=lambda entry: -len(fields.keys() & set(entry[0].__struct_encode_fields__)))
        for arm, fixed in by_knowledge:
            if all(fields.get(name) in values for name, values in fixed.items()):
                found = _fit(fields, arm, "")
                if not isinstance(found, Unknown):
                    return found
        return Unknown(fields)


def _fit(fields: dict[str, object], arm: type[Wire], kind: str) -> Wire | Unknown:
    try:
        return msgspec.convert(fields, arm, dec_hook=_read_union)
    except ValidationError:
        return Unknown(fields, type=kind)


def _read_union(kind: type, value: object) -> object:
    """Called by msgspec for the only custom types there are, our unions."""
    if issubclass(kind, OneOf):
        return kind.read(value)
    raise NotImplementedError(f"{kind!r} is not part of the protocol")


def decoder(kind: type[T]) -> msgspec.json.Decoder[T]:
    """A decoder from JSON bytes to ``kind``, with open unions."""
    return msgspec.json.Decoder(kind, dec_hook=_read_union)


def convert(value: Any, kind: type[T]) -> T:
    """Turn already parsed JSON into ``kind``, with open unions. Raises ``msgspec.ValidationError`` if it does not fit."""
    return msgspec.convert(value, kind, dec_hook=_read_union)
