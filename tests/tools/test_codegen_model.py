"""Names, shapes and homes: what the generator makes of facts."""

from __future__ import annotations

from typing import Any

import pytest

from tools.codegen import emit, emit_calls
from tools.codegen.build import build, namespace
from tools.codegen.load import Facts
from tools.codegen.model import (
    Array,
    EnumDef,
    Mapping,
    Model,
    Nullable,
    Plain,
    Ref,
    StructDef,
    UnionDef,
    camel,
    pascal,
    snake,
)


def model(types: dict[str, Any], *methods: dict[str, Any]) -> Model:
    """A model of ``types``, used by one request unless other methods are given."""
    request = {"method": "box/open", "direction": "client_request", "params": "BoxOpenParams"}
    types = {"BoxOpenParams": {"type": "object"}, "BoxOpenResponse": {"type": "object"}, **types}
    return build(Facts("1.0.0", list(methods) or [request], types))


def struct(properties: dict[str, Any], *required: str) -> dict[str, Any]:
    """A schema node of an object."""
    return {"type": "object", "properties": properties, "required": list(required)}


@pytest.mark.parametrize(
    ("wire", "name"),
    [
        ("threadId", "thread_id"),
        ("async", "async_"),
        ("_meta", "meta"),
        ("$schema", "schema"),
        ("HTTPCode", "http_code"),
    ],
)
def test_a_wire_name_becomes_a_python_name(wire: str, name: str) -> None:
    """Words apart, keywords with an underscore, odd characters gone."""
    assert snake(wire) == name


def test_names_are_built_from_words() -> None:
    """Classes from methods and tags, wire names back from Python names."""
    assert pascal("thread/shellCommand") == "ThreadShellCommand"
    assert pascal("on-request") == "OnRequest"
    assert camel("thread_id") == "threadId"


@pytest.mark.parametrize(
    ("method", "module"),
    [("fs/readFile", "fs"), ("externalAgentConfig/import", "external_agent_config"), ("initialize", "connection"),
     ("thread/realtime/start", "realtime"), ("thread/start", "thread")],
)  # fmt: skip
def test_a_method_has_a_namespace(method: str, module: str) -> None:
    """Its first word, unless the table knows better."""
    assert namespace(method) == module


def test_a_plain_alias_is_spelled_out() -> None:
    """A named string is a string; only structs, enums and unions get a name."""
    built = model(
        {
            "Path": {"type": "string"},
            "Extra": {"type": "object", "additionalProperties": {"$ref": "Path"}},
            "BoxOpenParams": struct(
                {
                    "path": {"$ref": "Path"},
                    "many": {"type": ["array", "null"], "items": {"anyOf": [{"$ref": "Path"}, {"type": "null"}]}},
                    "extra": {"allOf": [{"$ref": "Extra"}]},
                    "any": {},
                },
                "path",
            ),
        }
    )
    params = built.definitions["BoxOpenParams"]
    assert isinstance(params, StructDef)
    assert {field.name: field.type for field in params.fields} == {
        "path": Plain("str"),
        "many": Nullable(Array(Nullable(Plain("str")))),
        "extra": Mapping(Plain("str")),
        "any": Plain("object"),
    }
    assert sorted(built.definitions) == ["BoxOpenParams", "BoxOpenResponse"]


def test_arms_are_named_after_their_tag_and_owner() -> None:
    """Fields beside the union belong to each arm, and two tags of the same words do not collide."""
    arms = [
        {"properties": {"type": {"enum": [tag]}, "own": {"type": "string"}}, "required": ["type"]}
        for tag in ("big", "open/form", "openForm")
    ]
    built = model({"Box": {"oneOf": arms, "properties": {"id": {"type": "string"}}, "required": ["id"]}})
    box = built.definitions["Box"]
    assert isinstance(box, UnionDef)
    assert (box.kind, box.tag) == ("tagged", "type")
    assert box.arms == (("big", "BigBox"), ("open/form", "OpenSlashFormBox"), ("openForm", "OpenFormBox"))
    big = built.definitions["BigBox"]
    assert isinstance(big, StructDef)
    assert big.tag == ("type", "big")
    assert [(field.name, field.required) for field in big.fields] == [("id", True), ("own", False)]


def test_a_union_of_strings_and_single_keys_is_keyed() -> None:
    """The content of an arm gets a name of its own."""
    inner = struct({"deep": {"type": "boolean"}}, "deep")
    arm = {"properties": {"custom": inner}, "required": ["custom"], "additionalProperties": False}
    built = model({"Mode": {"oneOf": [{"enum": ["on", "off"], "type": "string"}, arm]}})
    mode = built.definitions["Mode"]
    assert isinstance(mode, UnionDef)
    assert (mode.kind, mode.arms, mode.literals) == ("keyed", (("custom", "CustomMode"),), ("on", "off"))
    custom = built.definitions["CustomMode"]
    assert isinstance(custom, StructDef)
    assert custom.fields[0].type == Ref("CustomModeDetails")
    assert built.homes["CustomModeDetails"] == built.homes["Mode"]


def test_an_enum_may_be_written_as_a_union() -> None:
    """One documented value per arm is still an enum."""
    built = model({"Colour": {"oneOf": [{"enum": ["red"], "type": "string"}, {"enum": ["blue"], "type": "string"}]}})
    assert built.definitions["Colour"] == EnumDef("Colour", ("red", "blue"))


def test_what_we_send_is_closed_and_what_we_read_is_open() -> None:
    """A wrong literal in a call is a type error; a new one from the server is a string."""
    colour = {"type": "string", "enum": ["red"]}
    paint = struct({"colour": {"$ref": "Colour"}}, "colour")
    built = model({"Colour": colour, "BoxOpenParams": paint, "BoxOpenResponse": paint})
    text = emit.protocol(built, "x")["box.py"]
    sent, read = text.split("class BoxOpenResponse")
    assert "    colour: Colour\n" in sent
    assert "    colour: Colour | str\n" in read
    assert "colour: p.Colour,\n" in emit_calls.appserver(built, "x")


def test_a_type_lives_where_it_is_used() -> None:
    """Alone with its namespace; with several users in a shared place."""
    one = {"method": "box/open", "direction": "client_request", "params": "BoxOpenParams"}
    two = {"method": "bag/open", "direction": "client_request", "params": "BagOpenParams"}
    only, both = {"$ref": "Only"}, {"$ref": "Both"}
    built = model(
        {
            "Only": struct({"x": {}}),
            "Both": struct({"x": {}}),
            "BoxOpenParams": struct({"only": only, "both": both}),
            "BagOpenParams": struct({"both": both}),
            "BagOpenResponse": {"type": "object"},
        },
        one,
        two,
    )
    assert built.homes["Only"] == "box"
    assert built.homes["Both"] == "shared"
    assert list(built.modules()) == ["bag", "box", "shared"]


def test_two_types_of_one_name_are_refused() -> None:
    """A numbered name would hide the clash."""
    inner = struct({"x": {"type": "string"}})
    with pytest.raises(ValueError, match="two types want the name BoxLid"):
        model({"BoxLid": struct({"y": {}}), "Box": struct({"lid": inner})})


def test_a_request_without_result_type_is_refused() -> None:
    """The table of exceptions has to grow by hand, so that nobody answers with a guess."""
    with pytest.raises(ValueError, match="no result type found for box/shut"):
        model({}, {"method": "box/shut", "direction": "client_request", "params": None})
