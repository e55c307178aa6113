"""From schema nodes to definitions: which nodes become structs, enums or unions, and what a nested shape is called.

Pure. The one hard question is how the arms of a union are told apart: by the value of a field all have (tagged), by
their only key (keyed), or only by trying which one fits (shaped).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from tools.codegen.model import (
    Array,
    Definition,
    Either,
    EnumDef,
    Field,
    Mapping,
    Nullable,
    Plain,
    Ref,
    StructDef,
    Type,
    UnionDef,
    pascal,
    snake,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tools.codegen.load import Node

INNER = "Details"
"""What the content of a keyed arm is called after."""


@dataclass
class Shapes:
    """Walks the facts and collects definitions; nested shapes get a name made from their place."""

    types: dict[str, Node]
    definitions: dict[str, Definition] = field(default_factory=dict)

    def define(self, name: str, node: Node) -> None:
        """Add the definition of a named type, unless it is a plain type that is spelled out where it is used."""
        experimental, deprecated = bool(node.get("experimental")), bool(node.get("deprecated"))
        if values := _strings(node):
            self._add(EnumDef(name, values))
        elif self._is_union(node):
            self._union(name, node)
        elif node.get("type") == "object" and not self._is_map(name, node):
            fields = self._fields(name, node)
            is_open = node.get("additionalProperties") is True
            self._add(StructDef(name, fields, is_open=is_open, experimental=experimental, deprecated=deprecated))

    def _add(self, definition: Definition) -> None:
        if definition.name in self.definitions:
            raise ValueError(f"two types want the name {definition.name}")
        self.definitions[definition.name] = definition

    def _is_map(self, name: str, node: Node) -> bool:
        """A map is an object without fields, unless it is the empty params or result of a method."""
        return not node.get("properties") and not re.search(r"(Params|Response|Notification)$", name)

    def _is_union(self, node: Node) -> bool:
        """Whether a node needs a union class of ours because msgspec cannot tell its arms apart."""
        arms = _arms(node)
        return len(arms) > 0 and any(self._struct_like(arm) for arm in arms) and not _is_nullable_ref(node)

    def _struct_like(self, arm: Node) -> bool:
        if "$ref" in arm:
            target = self.types[str(arm["$ref"])]
            return self._is_union(target) or ("properties" in target and target.get("type") == "object")
        return "properties" in arm

    def _union(self, name: str, node: Node) -> None:
        arms = _arms(node)
        if tag := _tag_of(arms):
            self._add(UnionDef(name, "tagged", tuple(self._tagged(name, node, arms, tag)), tag))
            return
        literals = tuple(value for arm in arms for value in _strings(arm))
        text = any("string" in _kinds(arm) and not _strings(arm) for arm in arms)
        structs = [arm for arm in arms if self._struct_like(arm)]
        keyed = all(len(_props(arm)) == 1 and arm.get("additionalProperties") is False for arm in structs)
        if keyed:
            self._add(UnionDef(name, "keyed", tuple(self._keyed(name, structs)), literals=literals, text=text))
        else:
            self._add(UnionDef(name, "shaped", tuple(self._shaped(name, structs)), literals=literals, text=text))

    def _tagged(self, name: str, node: Node, arms: list[Node], tag: str) -> Iterator[tuple[str, str]]:
        values = [_strings(_props(arm)[tag])[0] for arm in arms]
        for arm, value in zip(arms, values, strict=True):
            clash = sum(pascal(other) == pascal(value) for other in values) > 1
            struct = pascal(value.replace("/", "-slash-") if clash else value) + name
            self._add(
                StructDef(
                    struct,
                    self._fields(struct, arm, beside=node, tag=tag),
                    tag=(tag, value),
                    union=name,
                    experimental=bool(arm.get("experimental")),
                    deprecated=bool(arm.get("deprecated")),
                )
            )
            yield value, struct

    def _keyed(self, name: str, arms: list[Node]) -> Iterator[tuple[str, str]]:
        for arm in arms:
            key = next(iter(_props(arm)))
            struct = pascal(key) + name
            self._add(StructDef(struct, self._fields(struct, arm, inner=INNER), union=name))
            yield key, struct

    def _shaped(self, name: str, arms: list[Node]) -> Iterator[tuple[str, str]]:
        inline = [arm for arm in arms if "$ref" not in arm]
        for arm in arms:
            if "$ref" in arm:
                yield from self._arms_of(str(arm["$ref"]))
                continue
            others = {key for other in inline if other is not arm for key in _required(other)}
            own = [key for key in _required(arm) if key not in others]
            struct = pascal(own[0]) + name
            self._add(StructDef(struct, self._fields(struct, arm), union=name))
            yield "", struct

    def _arms_of(self, name: str) -> Iterator[tuple[str, str]]:
        """The structs behind a name: the struct itself, or all arms of a union, flattened."""
        node = self.types[name]
        if not self._is_union(node):
            yield "", name
        elif tag := _tag_of(_arms(node)):
            for arm in _arms(node):
                yield "", pascal(_strings(_props(arm)[tag])[0]) + name
        else:
            for arm in _arms(node):
                yield from self._arms_of(str(arm["$ref"]))

    def _fields(
        self, owner: str, node: Node, *, beside: Node | None = None, tag: str = "", inner: str = ""
    ) -> tuple[Field, ...]:
        """The fields of an object but its tag; those beside its union, and of arms nested in it, become its own."""
        props = {**_props(beside or {}), **_props(node)}
        required = {*_required(beside or {}), *_required(node)}
        for arm in _arms(node):
            props |= _props(arm)
        fields = [
            self._field(owner, wire, props[wire], wire in required, inner) for wire in sorted(props) if wire != tag
        ]
        return tuple(sorted(fields, key=lambda f: (not f.required, f.name)))

    def _field(self, owner: str, wire: str, node: Node, required: bool, inner: str) -> Field:  # noqa: FBT001
        name = snake(wire)
        return Field(
            wire,
            name,
            self._type(node, owner + (inner or pascal(wire))),
            required,
            node.get("default"),
            "default" in node,
            bool(node.get("experimental")),
            bool(node.get("deprecated")),
        )

    def _type(self, node: Node, place: str) -> Type:
        """The type of a schema node; ``place`` names whatever has to be defined on the way."""
        if "$ref" in node:
            return self._ref(str(node["$ref"]))
        arms = [arm for key in ("anyOf", "oneOf", "allOf") for arm in cast("list[Node]", node.get(key, []))]
        if arms:
            options = tuple(self._type(arm, place) for arm in arms if arm.get("type") != "null")
            inner = options[0] if len(options) == 1 else Either(options)
            return Nullable(inner) if len(options) < len(arms) else inner
        kinds = _kinds(node)
        options = tuple(self._simple(kind, node, place) for kind in kinds if kind != "null")
        if not options:
            return Plain("object")
        inner = options[0] if len(options) == 1 else Either(options)
        return Nullable(inner) if "null" in kinds else inner

    def _simple(self, kind: str, node: Node, place: str) -> Type:
        if kind == "array":
            return Array(self._type(cast("Node", node.get("items", {})), place))
        if kind == "object" and node.get("properties"):
            self._add(StructDef(place, self._fields(place, node)))
            return Ref(place)
        if kind == "object":
            value = node.get("additionalProperties", True)
            return Mapping(Plain("object") if isinstance(value, bool) else self._type(cast("Node", value), place))
        if values := _strings(node):
            self._add(EnumDef(place, values))
            return Ref(place)
        return Plain({"string": "str", "integer": "int", "number": "float", "boolean": "bool"}[kind])

    def _ref(self, name: str) -> Type:
        """A named type, or what it stands for when it gets no name in Python."""
        node = self.types[name]
        if _strings(node) or self._is_union(node):
            return Ref(name)
        if node.get("type") == "object" and not self._is_map(name, node):
            return Ref(name)
        return self._type(node, name)


def _props(node: Node) -> dict[str, Node]:
    return cast("dict[str, Node]", node.get("properties", {}))


def _required(node: Node) -> list[str]:
    return cast("list[str]", node.get("required", []))


def _arms(node: Node) -> list[Node]:
    arms = cast("list[Node]", node.get("oneOf", node.get("anyOf", [])))
    return [arm for arm in arms if arm.get("type") != "null"]


def _kinds(node: Node) -> list[str]:
    kind = node.get("type", [])
    return [kind] if isinstance(kind, str) else cast("list[str]", kind)


def _is_nullable_ref(node: Node) -> bool:
    return len(cast("list[Node]", node.get("anyOf", []))) == 2 and len(_arms(node)) == 1  # noqa: PLR2004


def _strings(node: Node) -> tuple[str, ...]:
    """The values of a string enum, also of one written as a union of one-value enums; empty for anything else."""
    if "enum" in node:
        return tuple(cast("list[str]", node["enum"]))
    arms = _arms(node)
    if arms and "properties" not in node and all("enum" in arm for arm in arms):
        return tuple(value for arm in arms for value in cast("list[str]", arm["enum"]))
    return ()


def _tag_of(arms: list[Node]) -> str | None:
    """The field that tells all arms apart by a value of its own, if there is one."""
    shared = set.intersection(*(set(_props(arm)) for arm in arms))
    for name in sorted(shared, key=lambda name: (name != "type", name)):
        values = [_strings(_props(arm)[name]) for arm in arms]
        if all(len(v) == 1 for v in values) and len({v[0] for v in values}) == len(arms):
            return name
    return None
