"""Open unions, absent against null, and the look of a generated struct."""

from __future__ import annotations

import json

import msgspec
import pytest
from msgspec import UNSET, ValidationError

from codex_runtime.protocol import (
    AgentMessageThreadItem,
    AskForApproval,
    CommandExecutionApprovalDecision,
    GranularAskForApproval,
    McpElicitationLegacyTitledEnumSchema,
    McpElicitationPrimitiveSchema,
    McpElicitationStringSchema,
    McpElicitationUntitledSingleSelectEnumSchema,
    ThreadItem,
    ThreadItemsListCursor,
    ThreadMetadataGitInfoUpdateParams,
    ThreadStartParams,
    Turn,
    Unknown,
    UserMessageThreadItem,
    encode_params,
)
from codex_runtime.protocol._base import convert, decoder


def test_a_union_gives_the_struct_of_its_tag() -> None:
    """An item is matched by its class, and still tells its tag."""
    match convert({"type": "agentMessage", "id": "a", "text": "hello"}, ThreadItem):
        case AgentMessageThreadItem(text=text, type=tag):
            assert (text, tag) == ("hello", "agentMessage")
        case other:
            pytest.fail(f"matched nothing: {other!r}")


def test_an_unknown_tag_keeps_the_object() -> None:
    """What this version does not know stays readable as the JSON object that came."""
    match convert({"type": "hologram", "id": "a", "depth": [3]}, ThreadItem):
        case Unknown(type="hologram") as item:
            assert item["depth"] == [3]
            assert json.loads(msgspec.json.encode(item)) == {"type": "hologram", "id": "a", "depth": [3]}
            assert repr(item) == "Unknown({'type': 'hologram', 'id': 'a', 'depth': [3]}, type='hologram')"
        case other:
            pytest.fail(f"matched {other!r}")


@pytest.mark.parametrize("tag", [None, 5, ["agentMessage"]])
def test_a_tag_that_is_no_string_is_unknown(tag: object) -> None:
    """Even the tag itself may be something nobody expected."""
    found = convert({"type": tag}, ThreadItem)
    assert isinstance(found, Unknown)
    assert found.type == ""


def test_an_arm_that_does_not_fit_costs_only_itself() -> None:
    """One item that drifted leaves its neighbours typed."""
    turn = convert(
        {
            "id": "t",
            "status": "completed",
            "items": [
                {"type": "agentMessage", "id": "a", "text": 7},
                {"type": "userMessage", "id": "b", "content": []},
            ],
        },
        Turn,
    )
    broken, whole = turn.items
    assert isinstance(broken, Unknown)
    assert broken.type == "agentMessage"
    assert isinstance(whole, UserMessageThreadItem)


@pytest.mark.parametrize("value", [7, "text", None, ["x"]])
def test_a_union_of_objects_refuses_anything_else(value: object) -> None:
    """There is nothing to keep it in, so the message as a whole does not fit."""
    with pytest.raises(ValidationError, match="Expected `object`"):
        convert(value, ThreadItem)


def test_a_keyed_union_takes_strings_and_objects() -> None:
    """Known and new strings pass as they are; the only key of an object names its arm."""
    assert convert("never", AskForApproval) == "never"
    assert convert("on-full-moon", AskForApproval) == "on-full-moon"
    granular = {"granular": {"mcp_elicitations": True, "rules": False, "sandbox_approval": True}}
    found = convert(granular, AskForApproval)
    assert isinstance(found, GranularAskForApproval)
    assert found.granular.sandbox_approval is True
    new = convert({"acceptTwice": {}}, CommandExecutionApprovalDecision)
    assert isinstance(new, Unknown)
    assert new.type == "acceptTwice"
    with pytest.raises(ValidationError):
        convert(7, AskForApproval)


def test_a_union_without_tag_takes_the_arm_that_knows_most() -> None:
    """Forms of an elicitation differ only in their fields and in the values these allow."""
    plain = {"type": "string", "enum": ["a"]}
    assert isinstance(convert(plain, McpElicitationPrimitiveSchema), McpElicitationUntitledSingleSelectEnumSchema)
    titled = {"type": "string", "enum": ["a"], "enumNames": ["A"]}
    assert isinstance(convert(titled, McpElicitationPrimitiveSchema), McpElicitationLegacyTitledEnumSchema)
    assert isinstance(convert({"type": "string"}, McpElicitationPrimitiveSchema), McpElicitationStringSchema)
    assert isinstance(convert({"type": "colour"}, McpElicitationPrimitiveSchema), Unknown)


def test_a_union_without_tag_may_allow_text() -> None:
    """A cursor is a string or an anchor."""
    assert convert("abc", ThreadItemsListCursor) == "abc"
    with pytest.raises(ValidationError):
        convert("abc", McpElicitationPrimitiveSchema)


def test_absent_and_null_are_told_apart_where_we_speak() -> None:
    """Null clears a branch, absence leaves it alone."""
    assert encode_params(ThreadMetadataGitInfoUpdateParams(branch=None)) == b'{"branch":null}'
    assert encode_params(ThreadMetadataGitInfoUpdateParams()) == b"{}"
    assert ThreadStartParams().cwd is UNSET
    read = decoder(ThreadMetadataGitInfoUpdateParams).decode(b'{"branch":null}')
    assert (read.branch, read.sha) == (None, UNSET)


def test_an_absent_nullable_field_reads_as_none_where_the_server_speaks() -> None:
    """Nobody wants to ask twice whether a turn has an error."""
    assert convert({"id": "t", "items": [], "status": "completed"}, Turn).error is None


def test_a_struct_is_frozen() -> None:
    """A message that was received is a fact."""
    item = AgentMessageThreadItem(id="a", text="b")
    with pytest.raises(AttributeError):
        item.text = "c"  # type: ignore[misc]


def test_a_union_can_be_asked_for_its_members() -> None:
    """At run time a union is a class that its arms, and unknown ones, count as instances of."""
    assert isinstance(AgentMessageThreadItem(id="a", text="b"), ThreadItem)
    assert isinstance(Unknown({}), ThreadItem)
    assert not isinstance(Turn(id="t", items=[], status="completed"), ThreadItem)


def test_a_type_from_elsewhere_is_refused() -> None:
    """The decoders are for protocol types only."""
    with pytest.raises(NotImplementedError, match="not part of the protocol"):
        convert({}, complex)


def test_tables_and_settings_are_not_shown_either() -> None:
    """There may be keys among them, under names of others' choosing."""
    from codex_runtime.protocol._generated import command, config

    told = repr(command.CommandExecParams(command=["ls"], env={"K": "canary"}))
    assert "canary" not in told
    assert "'ls'" in told
    written = config.ConfigValueWriteParams(key_path="a.token", value="canary", merge_strategy="replace")
    assert "canary" not in repr(written)
