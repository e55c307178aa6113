"""What another codex version added, removed or changed, as lines for a changelog.

Pure: two sets of facts in, lines out. Both sides are laid flat into ``place -> what is said there`` (a method, a type,
one of its fields, values or union arms); the report is the difference of the two maps.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from tools.codegen.load import arm_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tools.codegen.load import Facts, Node


def compare(ours: Facts, theirs: Facts) -> list[str]:
    """The report from ``ours`` to ``theirs``: a heading, then ``+`` added, ``-`` removed and ``~`` changed lines."""
    old, new = dict(_flat(ours)), dict(_flat(theirs))
    lines = [f"codex {ours.version} -> {theirs.version}"]
    for place in sorted(old.keys() | new.keys()):
        if place not in old:
            if not _inside(place, new.keys() - old.keys()):
                lines.append(f"+ {place}: {new[place]}")
        elif place not in new:
            if not _inside(place, old.keys() - new.keys()):
                lines.append(f"- {place}")
        elif old[place] != new[place]:
            lines.append(f"~ {place}: {old[place]} -> {new[place]}")
    return lines if len(lines) > 1 else [*lines, "no difference"]


def _inside(place: str, places: set[str]) -> bool:
    """Whether a bigger thing around this one was added or removed as a whole, so that one line says it all."""
    parts = place.split(" / ")
    return any(" / ".join(parts[:length]) in places for length in range(1, len(parts)))


def _flat(facts: Facts) -> Iterator[tuple[str, str]]:
    for method in facts.methods:
        said = f"{str(method['direction']).replace('_', ' ')}, params {method['params'] or 'none'}{_flags(method)}"
        yield f"method {method['method']}", said
    for name, node in facts.types.items():
        yield f"type {name}", _said(node)
        yield from _parts(f"type {name}", node)


def _parts(place: str, node: Node) -> Iterator[tuple[str, str]]:
    """The places inside a type: fields, values, and the arms of a union with the same inside them."""
    required = cast("list[str]", node.get("required", []))
    for name, prop in cast("dict[str, Node]", node.get("properties", {})).items():
        need = "required" if name in required else "optional"
        yield f"{place} / field {name}", f"{_said(prop)}, {need}"
        yield from _parts(f"{place} / field {name}", prop)
    for value in cast("list[str]", node.get("enum", [])):
        new = value in cast("list[str]", node.get("experimentalValues", []))
        yield f"{place} / value {value}", "experimental" if new else "stable"
    for key in ("oneOf", "anyOf"):
        for arm in cast("list[Node]", node.get(key, [])):
            if "enum" in arm:
                yield from _parts(place, arm)
            elif "properties" in arm:
                yield f"{place} / form {arm_name(arm)}", _said(arm)
                yield from _parts(f"{place} / form {arm_name(arm)}", arm)


def _said(node: Node) -> str:
    return _spell(node) + _flags(node)


def _flags(node: Node) -> str:
    return "".join(f", {flag}" for flag in ("experimental", "deprecated") if node.get(flag))


def _spell(node: Node) -> str:
    """A type in one phrase; what has places of its own is only named by its kind."""
    if "$ref" in node:
        return str(node["$ref"])
    for key in ("oneOf", "anyOf", "allOf"):
        if key in node:
            arms = [
                _spell(arm) for arm in cast("list[Node]", node[key]) if "enum" not in arm and "properties" not in arm
            ]
            return " | ".join(arms) or "union"
    kinds = node.get("type", "any")
    words = [kinds] if isinstance(kinds, str) else cast("list[str]", kinds)
    text = " | ".join(words)
    if "format" in node:
        text += f" ({node['format']})"
    if "items" in node:
        text += f" of {_spell(cast('Node', node['items']))}"
    extra = node.get("additionalProperties")
    if isinstance(extra, dict):
        text += f" of {_spell(cast('Node', extra))}"
    if "default" in node:
        text += f" = {node['default']!r}"
    return text
