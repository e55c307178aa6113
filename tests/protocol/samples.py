"""Sample payloads made from the pinned schema alone, without the generator's own idea of it.

A :class:`Sampler` walks the facts and builds one JSON value for a type. Its options choose what the value shows: which
arm of each union, all fields or only the required ones, null where it is allowed, and things no schema knows yet.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import cast

from tools.codegen.load import Facts, Node, read_pinned

SCHEMA = Path(__file__).parents[2] / "schema"
FACTS: Facts = read_pinned(SCHEMA)
NEW = "somethingNobodyKnows"


@dataclass(frozen=True, kw_only=True)
class Sampler:
    """Builds samples. ``arm`` picks the arm of each union, modulo their number."""

    arm: int = 0
    full: bool = True
    nulls: bool = False
    new_fields: bool = False
    new_values: bool = False
    new_tags: bool = False

    def of(self, name: str) -> object:
        """A value of the type called ``name``."""
        return self._value({"$ref": name}, ())

    def _value(self, node: Node, stack: tuple[str, ...]) -> object:
        if "$ref" in node:
            name = str(node["$ref"])
            return self._value(FACTS.types[name], (*stack, name))
        if "enum" in node:
            return NEW if self.new_values else cast("list[str]", node["enum"])[0]
        if "allOf" in node:
            return self._value(cast("list[Node]", node["allOf"])[0], stack)
        arms = _arms(node)
        if arms:
            return self._arm(node, arms, stack)
        kinds = node.get("type", "any")
        kind = kinds if isinstance(kinds, str) else cast("list[str]", kinds)[0]
        return self._simple(kind, node, stack)

    def _simple(self, kind: str, node: Node, stack: tuple[str, ...]) -> object:
        match kind:
            case "object" if "properties" in node:
                return self._object(node, stack)
            case "object":
                extra = node.get("additionalProperties")
                return {"key": self._value(cast("Node", extra), stack)} if isinstance(extra, dict) else {}
            case "array":
                return [] if _endless(stack) else [self._value(cast("Node", node["items"]), stack)]
        return {"string": "text", "integer": 7, "number": 1.5, "boolean": True, "any": {"any": [1, None]}}[kind]

    def _arm(self, node: Node, arms: list[Node], stack: tuple[str, ...]) -> object:
        arm = arms[(0 if _endless(stack) else self.arm) % len(arms)]
        if "properties" not in arm:
            return self._value(arm, stack)
        return {**self._object(node, stack), **self._object(arm, stack, tagged=True)}

    def _object(self, node: Node, stack: tuple[str, ...], *, tagged: bool = False) -> dict[str, object]:
        props = cast("dict[str, Node]", node.get("properties", {}))
        required = cast("list[str]", node.get("required", []))
        fields: dict[str, object] = {}
        for name, prop in props.items():
            if name not in required and (not self.full or _endless(stack)):
                continue
            values = cast("list[str]", prop.get("enum", []))
            if tagged and len(values) == 1:
                fields[name] = NEW if self.new_tags else values[0]
            elif self.nulls and _nullable(prop):
                fields[name] = None
            else:
                fields[name] = self._value(prop, stack)
        if self.new_fields and props:
            fields[NEW] = {"deep": [1]}
        for inner in _arms(node)[:1] if tagged else ():
            fields |= self._object(inner, stack, tagged=True)
        return fields


def arms_of(name: str) -> int:
    """How many samples show each arm of a union at least once; 1 for anything else."""
    return max(1, len(_arms(FACTS.types[name])))


def _arms(node: Node) -> list[Node]:
    arms = cast("list[Node]", node.get("oneOf", node.get("anyOf", [])))
    return [arm for arm in arms if arm.get("type") != "null"]


def _nullable(node: Node) -> bool:
    arms = cast("list[Node]", node.get("anyOf", []))
    kinds = node.get("type")
    return {"type": "null"} in arms or (isinstance(kinds, list) and "null" in kinds)


def _endless(stack: tuple[str, ...]) -> bool:
    return len(stack) != len(set(stack))
