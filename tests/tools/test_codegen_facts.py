"""Folding two bundles into facts, and telling two sets of facts apart."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Any

import pytest

from tools.codegen.diff import compare
from tools.codegen.load import Bundles, Facts, reduce


def bundle(**types: Any) -> bytes:
    """A bundle with one method of each direction and ``types`` beside them."""

    def methods(*names: str) -> dict[str, Any]:
        arms = [
            {
                "title": name,
                "properties": {"method": {"enum": [name]}, "params": {"$ref": "#/definitions/v2/AParams"}},
                "required": ["method", "params"],
            }
            for name in names
        ]
        return {"oneOf": arms}

    requests = ["a/one", *(["a/two"] if "Two" in types else [])]
    unions = {
        "ClientRequest": methods(*requests),
        "ServerRequest": methods("a/ask"),
        "ServerNotification": methods("a/told"),
        "ClientNotification": {"oneOf": [{"properties": {"method": {"enum": ["ready"]}}}]},
    }
    return json.dumps({"definitions": {**unions, "v2": {"AParams": {"type": "object"}, **types}}}).encode()


def facts(stable: bytes, full: bytes) -> Facts:
    """What both bundles say together."""
    return reduce(Bundles("1.0.0", stable, full))


def test_what_only_the_second_bundle_knows_is_experimental() -> None:
    """Methods, types, fields, values and forms alike."""
    kind = {"type": "object", "properties": {"x": {"type": "string"}}}
    enum = {"type": "string", "enum": ["a"]}
    form = {"title": "AForm", "properties": {"type": {"enum": ["a"]}}}
    stable = bundle(Kind=kind, Enum=enum, Form={"oneOf": [form]})
    full = bundle(
        Kind={**kind, "properties": {"x": {"type": "string"}, "y": {"type": "string"}}},
        Enum={"type": "string", "enum": ["a", "b"]},
        Form={"oneOf": [form, {"title": "BForm", "properties": {"type": {"enum": ["b"]}}}]},
        Two={"type": "object"},
    )
    found = facts(stable, full)
    assert [m["method"] for m in found.methods if m.get("experimental")] == ["a/two"]
    assert found.types["Two"] == {"type": "object", "experimental": True}
    assert found.types["Kind"]["properties"] == {
        "x": {"type": "string"},
        "y": {"type": "string", "experimental": True},
    }
    assert found.types["Enum"]["experimentalValues"] == ["b"]
    arms: Any = found.types["Form"]["oneOf"]
    assert [arm.get("experimental", False) for arm in arms] == [False, True]


@pytest.mark.parametrize(
    ("prose", "flag"),
    [
        ("Deprecated: use something else.", True),
        ("@deprecated Ignored.", True),
        ("DEPRECATED APIs below", True),
        ("Sent for turns started via the legacy APIs.", True),
        ("What is deprecated.", False),
        ("Feature is deprecated and should be avoided.", False),
    ],
)
def test_prose_is_dropped_and_only_deprecation_is_read_from_it(prose: str, flag: bool) -> None:  # noqa: FBT001
    """The word has to open the description; elsewhere it speaks of something else."""
    data = bundle(Kind={"type": "object", "description": prose, "$comment": "words"})
    assert facts(data, data).types["Kind"] == ({"type": "object"} | ({"deprecated": True} if flag else {}))


def test_a_contradiction_between_the_bundles_is_told() -> None:
    """Stability is a difference by addition; anything else needs a human."""
    with pytest.raises(ValueError, match="disagree about type"):
        facts(bundle(Kind={"type": "string"}), bundle(Kind={"type": "integer"}))


def test_an_unknown_keyword_is_told() -> None:
    """A schema that says more than we read must not be read as saying less."""
    data = bundle(Kind={"type": "string", "pattern": "x"})
    with pytest.raises(ValueError, match="unknown keyword 'pattern'"):
        facts(data, data)


KIND = {
    "type": "object",
    "properties": {"x": {"type": "string"}, "e": {"enum": ["a", "b"], "type": "string"}},
    "required": ["x"],
}
FORMS = {"oneOf": [{"title": "OneForm", "properties": {"type": {"enum": ["one"]}, "n": {"type": ["integer", "null"]}}}]}


def changed(change: Any) -> list[str]:
    """The report after ``change`` was applied to a copy of the facts."""
    data = bundle(Kind=KIND, Forms=FORMS, Two={"type": "object"})
    ours = facts(data, data)
    theirs = deepcopy(ours)
    change(theirs)
    return compare(ours, theirs)[1:]


def test_no_change_is_said_to_be_none() -> None:
    """An empty report would look like a failure."""
    assert changed(lambda _: None) == ["no difference"]


def test_the_report_names_methods() -> None:
    """Added, removed, and changed in stability or params."""

    def change(new: Facts) -> None:
        new.methods[0]["experimental"] = True
        new.methods[1] = {"method": "a/three", "direction": "client_request", "params": None}

    assert changed(change) == [
        "~ method a/one: client request, params AParams -> client request, params AParams, experimental",
        "+ method a/three: client request, params none",
        "- method a/two",
    ]


def test_the_report_names_types_fields_values_and_forms() -> None:
    """A whole type is one line; inside a type each field, enum value and form speaks for itself."""

    def change(new: Facts) -> None:
        kind: Any = new.types["Kind"]
        kind["properties"]["e"]["enum"] = ["a", "c"]
        kind["properties"]["y"] = {"$ref": "Two", "experimental": True}
        kind["required"] = []
        forms: Any = new.types["Forms"]
        forms["oneOf"][0]["properties"]["n"]["deprecated"] = True
        forms["oneOf"].append({"title": "TwoForm", "properties": {"type": {"enum": ["two"]}}})
        del new.types["Two"]
        new.types["New"] = {"type": "array", "items": {"type": "integer", "format": "int64"}, "default": []}

    assert changed(change) == [
        "~ type Forms / form OneForm / field n: integer | null, optional -> integer | null, deprecated, optional",
        "+ type Forms / form TwoForm: any",
        "- type Kind / field e / value b",
        "+ type Kind / field e / value c: stable",
        "~ type Kind / field x: string, required -> string, optional",
        "+ type Kind / field y: Two, experimental, optional",
        "+ type New: array of integer (int64) = []",
        "- type Two",
    ]
