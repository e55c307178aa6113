"""What the generator knows about the protocol, in Python's terms: methods, structs, enums, unions and their fields.

Pure data and the rules of naming. Facts become a model in ``build``; ``emit`` only spells what stands here. A type of
the schema that is a plain string, list or map has no name of its own in Python and appears spelled out.
"""

from __future__ import annotations

import keyword
import re
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

# --- Types as they appear in a field ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Plain:
    """A builtin: ``str``, ``int``, ``float``, ``bool``, or ``object`` for JSON nobody described."""

    name: str


@dataclass(frozen=True)
class Ref:
    """A named struct, enum or union."""

    name: str


@dataclass(frozen=True)
class Array:
    """A JSON array."""

    item: Type


@dataclass(frozen=True)
class Mapping:
    """A JSON object with free keys."""

    value: Type


@dataclass(frozen=True)
class Either:
    """One of several types msgspec can tell apart by itself, such as a string or a list."""

    options: tuple[Type, ...]


@dataclass(frozen=True)
class Nullable:
    """The inner type or null."""

    inner: Type


Type = Plain | Ref | Array | Mapping | Either | Nullable


# --- Definitions -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Field:
    """One field of a struct. ``default`` is only meaningful when ``has_default`` (null counts as a default)."""

    wire: str
    name: str
    type: Type
    required: bool
    default: object = None
    has_default: bool = False
    experimental: bool = False
    deprecated: bool = False


@dataclass(frozen=True)
class StructDef:
    """A JSON object with known fields; ``tag`` is the (field, value) that marks it as one arm of a union.

    An open struct may hold fields on the wire that the schema does not list.
    """

    name: str
    fields: tuple[Field, ...]
    tag: tuple[str, str] | None = None
    union: str | None = None
    method: str | None = None
    role: str | None = None
    is_open: bool = False
    outbound: bool = False
    inbound: bool = False
    experimental: bool = False
    deprecated: bool = False


@dataclass(frozen=True)
class EnumDef:
    """A string with known values."""

    name: str
    values: tuple[str, ...]


@dataclass(frozen=True)
class UnionDef:
    """One of several structs.

    ``kind`` says how the arms are told apart: ``tagged`` by the value of the field ``tag``, ``keyed`` by their only key
    (then ``literals`` are the arms that are bare strings), ``shaped`` by which arm fits. ``arms`` pairs a tag or key
    with a struct. ``text`` is true when any string may stand in place of a struct.
    """

    name: str
    kind: str
    arms: tuple[tuple[str, str], ...]
    tag: str = ""
    literals: tuple[str, ...] = ()
    text: bool = False
    inbound: bool = False


Definition = StructDef | EnumDef | UnionDef


@dataclass(frozen=True)
class Method:
    """One method of the wire, with the names of its Python types (``None`` where there is nothing to type)."""

    name: str
    direction: str
    namespace: str
    params: str | None
    result: str | None
    experimental: bool
    deprecated: bool


@dataclass(frozen=True)
class Model:
    """Everything ``emit`` needs: methods, definitions by name, and the module each definition lives in."""

    version: str
    methods: tuple[Method, ...]
    definitions: dict[str, Definition]
    homes: dict[str, str]

    def modules(self) -> dict[str, list[Definition]]:
        """The definitions by module, both sorted by name."""
        grouped: dict[str, list[Definition]] = defaultdict(list)
        for name in sorted(self.definitions):
            grouped[self.homes[name]].append(self.definitions[name])
        return dict(sorted(grouped.items()))


# --- References ------------------------------------------------------------------------------------------------------


def references(kind: Type) -> Iterator[str]:
    """The names a type mentions."""
    match kind:
        case Ref(name):
            yield name
        case Array(inner) | Mapping(inner) | Nullable(inner):
            yield from references(inner)
        case Either(options):
            for option in options:
                yield from references(option)
        case Plain():
            pass


def uses(definition: Definition) -> Iterable[str]:
    """The names a definition mentions."""
    match definition:
        case StructDef(fields=fields):
            return [name for f in fields for name in references(f.type)]
        case UnionDef(arms=arms):
            return [struct for _, struct in arms]
        case EnumDef():
            return []


# --- Names -----------------------------------------------------------------------------------------------------------


def pascal(text: str) -> str:
    """``thread/shellCommand`` or ``on-request`` as part of a class name."""
    return "".join(part[:1].upper() + part[1:] for part in re.split(r"[^A-Za-z0-9]+", text))


def snake(text: str) -> str:
    """A wire name as a Python name: ``threadId`` becomes ``thread_id``, ``async`` becomes ``async_``."""
    words = re.sub(r"([a-z0-9])([A-Z])|([A-Z])(?=[A-Z][a-z])", r"\1\3_\2", text)
    name = re.sub(r"\W+", "_", words).strip("_").lower()
    return f"{name}_" if keyword.iskeyword(name) else name


def camel(name: str) -> str:
    """What msgspec's ``rename="camel"`` makes of a Python name."""
    head, *tail = name.split("_")
    return head + "".join(part.title() for part in tail)
