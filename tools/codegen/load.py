"""From a codex binary to pinned facts, and from pinned facts back into memory.

The binary prints two JSON schema bundles: the stable one, and one that also holds everything experimental. This file
folds them into a single set of facts (names, types, required, defaults, enums, unions, titles, formats) and marks what
only the second bundle knows with ``"experimental": true``. Prose is dropped; the one thing read from it is whether
upstream calls a thing deprecated, kept as ``"deprecated": true``. It never decides how a fact looks in Python.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import cast

Node = dict[str, object]
"""One JSON schema node."""

BUNDLE = "codex_app_server_protocol.schemas.json"
GENERATE = ("app-server", "generate-json-schema", "--out")
UNIONS = {
    "ClientRequest": "client_request",
    "ServerRequest": "server_request",
    "ServerNotification": "server_notification",
    "ClientNotification": "client_notification",
}
"""The four unions of the bundle that list methods, and the direction of each."""

_LEFT_OUT = {"description", "$comment", "examples", "$schema", "minimum", "maximum", "minLength"}
_DEPRECATED = re.compile(r"\s*@?deprecated\b|.*\bvia the legacy APIs\b", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True)
class Facts:
    """What one codex version says: its methods (in upstream's order) and its named types."""

    version: str
    methods: list[Node]
    types: dict[str, Node]


@dataclass(frozen=True)
class Bundles:
    """The two bundles as the binary wrote them."""

    version: str
    stable: bytes
    experimental: bytes


def generate(binary: Path) -> Bundles:
    """Ask ``binary`` for its version and both bundles. Raises ``CalledProcessError`` when it refuses."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder, "home")
        home.mkdir()
        env = {**os.environ, "CODEX_HOME": str(home)}

        def run(*args: str) -> str:
            done = subprocess.run([str(binary), *args], env=env, check=True, capture_output=True, text=True)
            return done.stdout

        version = run("--version").split()[-1]
        run(*GENERATE, str(Path(folder, "stable")))
        run(*GENERATE, str(Path(folder, "experimental")), "--experimental")
        return Bundles(
            version, Path(folder, "stable", BUNDLE).read_bytes(), Path(folder, "experimental", BUNDLE).read_bytes()
        )


def reduce(bundles: Bundles) -> Facts:
    """Fold both bundles into facts without prose."""
    stable, full = _definitions(bundles.stable), _definitions(bundles.experimental)
    types: dict[str, Node] = {}
    for name in sorted(full):
        if name not in UNIONS:
            facts = _strip(full[name])
            _mark(facts, _strip(stable[name]) if name in stable else None)
            types[name] = facts
    methods = [
        _method(arm, direction, _arm_methods(stable[union]))
        for union, direction in UNIONS.items()
        for arm in _nodes(full[union], "oneOf")
    ]
    return Facts(bundles.version, methods, types)


def read_pinned(schema: Path) -> Facts:
    """Read the pinned facts below ``schema``; raises ``ValueError`` when a file is not the one that was pinned."""
    pinned = json.loads(Path(schema, "PINNED.json").read_text())
    version = str(pinned["version"])
    parts: dict[str, object] = {}
    for name, digest in pinned["facts"].items():
        data = Path(schema, name).read_bytes()
        if hashlib.sha256(data).hexdigest() != digest:
            raise ValueError(f"{name} differs from what PINNED.json says; pin again")
        parts[Path(name).stem] = json.loads(data)
    return Facts(version, cast("list[Node]", parts["methods"]), cast("dict[str, Node]", parts["types"]))


def fingerprint(schema: Path) -> str:
    """The sha256 over all pinned facts, as it stands in the header of each generated file."""
    pinned = json.loads(Path(schema, "PINNED.json").read_text())
    return hashlib.sha256("".join(sorted(pinned["facts"].values())).encode()).hexdigest()


def write_pinned(schema: Path, bundles: Bundles) -> Facts:
    """Pin ``bundles`` below ``schema`` in place of any earlier version."""
    facts = reduce(bundles)
    for old in schema.glob("codex-*"):
        shutil.rmtree(old)
    folder = Path(schema, f"codex-{facts.version}")
    folder.mkdir(parents=True)
    digests = {}
    for stem, part in (("methods", facts.methods), ("types", facts.types)):
        data = (json.dumps(part, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()
        Path(folder, f"{stem}.json").write_bytes(data)
        digests[f"{folder.name}/{stem}.json"] = hashlib.sha256(data).hexdigest()
    command = " ".join(("codex", *GENERATE, "DIR"))
    pinned = {
        "version": facts.version,
        "originals": {
            "stable": {"command": command, "file": BUNDLE, "sha256": hashlib.sha256(bundles.stable).hexdigest()},
            "experimental": {
                "command": f"{command} --experimental",
                "file": BUNDLE,
                "sha256": hashlib.sha256(bundles.experimental).hexdigest(),
            },
        },
        "facts": digests,
    }
    Path(schema, "PINNED.json").write_text(json.dumps(pinned, indent=1) + "\n")
    return facts


def _definitions(bundle: bytes) -> dict[str, Node]:
    """All named types of a bundle; the nested group ``v2`` is laid flat and wins where a name stands twice."""
    outer = cast("dict[str, Node]", json.loads(bundle)["definitions"])
    inner = cast("dict[str, Node]", outer.pop("v2", {}))
    return {**outer, **inner}


def _nodes(node: Node, key: str) -> list[Node]:
    return cast("list[Node]", node.get(key, []))


def _strip(schema: object) -> Node:
    """A copy of a schema node without prose; deprecation in the prose becomes a flag, ``true`` becomes ``{}``."""
    if not isinstance(schema, dict):
        return {}
    node = cast("Node", schema)
    facts = {key: _fact(key, value) for key, value in node.items() if key not in _LEFT_OUT}
    if _DEPRECATED.match(str(node.get("description", ""))):
        facts["deprecated"] = True
    return facts


def _fact(key: str, value: object) -> object:
    """The value of one schema keyword without prose in it."""
    match key:
        case "properties":
            return {name: _strip(prop) for name, prop in cast("Node", value).items()}
        case "oneOf" | "anyOf" | "allOf":
            return [_strip(arm) for arm in cast("list[object]", value)]
        case "items":
            return _strip(value)
        case "additionalProperties":
            return value if isinstance(value, bool) else _strip(value)
        case "$ref":
            return str(value).rsplit("/", 1)[-1]
        case "title":
            return str(value).replace("v2::", "")
        case "type" | "format" | "required" | "enum" | "default":
            return value
        case _:
            raise ValueError(f"the schema uses the unknown keyword {key!r}")


def _mark(node: Node, stable: Node | None) -> None:
    """Mark, in place, what of ``node`` the stable bundle does not have; raise where the two contradict each other."""
    if stable is None:
        node["experimental"] = True
        return
    for key, value in node.items():
        if key == "properties":
            old = cast("dict[str, Node]", stable.get(key, {}))
            for name, prop in cast("dict[str, Node]", value).items():
                _mark(prop, old.get(name))
        elif key in ("oneOf", "anyOf", "allOf"):
            _mark_arms(cast("list[Node]", value), _nodes(stable, key))
        elif isinstance(value, dict) and key != "default":
            _mark(cast("Node", value), cast("Node", stable.get(key, {})))
        elif key not in ("required", "enum") and stable.get(key) != value:
            raise ValueError(f"stable and experimental disagree about {key}: {stable.get(key)!r} and {value!r}")
    new = [value for value in cast("list[str]", node.get("enum", [])) if value not in cast("list[str]", stable["enum"])]
    if new:
        node["experimentalValues"] = new


def _mark_arms(arms: list[Node], stable: list[Node]) -> None:
    old = {arm_name(arm): arm for arm in stable}
    for arm in arms:
        _mark(arm, old.get(arm_name(arm)))


def arm_name(arm: Node) -> str:
    """What makes one arm of a union the same arm in another bundle or another version."""
    if "title" in arm or "$ref" in arm:
        return str(arm.get("title", arm.get("$ref")))
    props = cast("dict[str, Node]", arm.get("properties", {}))
    single = {name: p["enum"] for name, p in props.items() if len(cast("list[str]", p.get("enum", []))) == 1}
    return json.dumps([arm.get("type"), single or sorted(props), arm.get("enum")])


def _arm_methods(union: Node) -> set[str]:
    return {_method_name(_strip(arm)) for arm in _nodes(union, "oneOf")}


def _method_name(arm: Node) -> str:
    method = cast("dict[str, Node]", arm["properties"])["method"]
    return str(cast("list[str]", method["enum"])[0])


def _method(arm: Node, direction: str, stable: set[str]) -> Node:
    """The facts of one method: name, direction, params type (null where it takes none) and flags."""
    facts = _strip(arm)
    name = _method_name(facts)
    props = cast("dict[str, Node]", facts["properties"])
    params = props.get("params", {})
    options = [params, *_nodes(params, "anyOf")]
    refs = [str(option["$ref"]) for option in options if "$ref" in option]
    entry: Node = {"method": name, "direction": direction, "params": refs[0] if refs else None}
    if refs and "params" not in cast("list[str]", facts["required"]):
        entry["paramsOptional"] = True
    if name not in stable:
        entry["experimental"] = True
    if facts.get("deprecated"):
        entry["deprecated"] = True
    return entry
