"""The values of a snapshot: what their limits accept and what they decode on use."""

from __future__ import annotations

import pytest

from codex_runtime._sansio.state import ItemState, RuntimeState, StateLimits, ThreadState, TurnState, json_part
from codex_runtime.errors import ConfigError


@pytest.mark.parametrize("name", StateLimits.__struct_fields__)
@pytest.mark.parametrize("value", [0, -1, 1.5, True, None])
def test_a_limit_that_is_not_a_whole_number_above_zero_is_refused_by_name(name: str, value: object) -> None:
    """A wrong limit is found before anything starts, and the error names the setting."""
    with pytest.raises(ConfigError) as caught:
        StateLimits(**{name: value})  # type: ignore[arg-type]
    assert caught.value.field == f"state_limits.{name}"


def test_the_default_limits_are_those_that_are_documented() -> None:
    """The five bounds that users know from the reference."""
    limits = StateLimits()
    assert (limits.threads, limits.turns_per_thread, limits.items_per_turn) == (256, 256, 256)
    assert (limits.text_bytes, limits.output_bytes) == (262_144, 262_144)


def test_documents_are_decoded_on_use_and_belong_to_the_caller() -> None:
    """Changing what was read changes neither the snapshot nor what the next reader gets."""
    item = ItemState(id="i", kind="plan", status="completed", completed_line=b'{"params":{"item":{"text":"a"}}}')
    item.completed["text"] = "b"
    assert item.completed == {"text": "a"}
    assert item.started is None


def test_each_document_is_read_from_its_own_place() -> None:
    """Plan, usage, goal, error and rate limits keep the server's form."""
    thread = ThreadState(
        id="t",
        turns={},
        plan_line=b'{"params":{"plan":[{"step":"s","status":"pending"}]}}',
        usage_line=b'{"params":{"tokenUsage":{"total":{}}}}',
        goal_line=b'{"params":{"goal":{"objective":"o"}}}',
    )
    assert thread.plan == [{"step": "s", "status": "pending"}]
    assert thread.usage == {"total": {}}
    assert thread.goal == {"objective": "o"}
    assert TurnState(id="u", status="failed", items={}, error_json=b'{"message":"m"}').error == {"message": "m"}
    assert RuntimeState(rate_limits_line=b'{"params":{"rateLimits":{"limitId":"codex"}}}').rate_limits == {
        "limitId": "codex"
    }


@pytest.mark.parametrize(
    "line", [None, b"", b"nonsense", b"[]", b"{}", b'{"params":[]}', b'{"params":{}}', b"[" * 9999]
)
def test_a_document_that_is_not_there_reads_as_none(line: bytes | None) -> None:
    """Reading the state never raises, whatever the server wrote."""
    assert json_part(line, "plan") is None


def test_what_a_state_prints_leaves_out_raw_lines() -> None:
    """A line may be megabytes long, and nobody wants it in a log."""
    item = ItemState(id="i", kind="plan", status="completed", text="p", completed_line=b"x" * 1000)
    assert "completed_line" not in repr(item)
    assert "text='p'" in repr(item)


def test_values_cannot_be_changed() -> None:
    """A snapshot is shared by everybody who asks."""
    with pytest.raises(AttributeError, match="immutable"):
        RuntimeState().rate_limits_line = b""  # type: ignore[misc]
    with pytest.raises(TypeError):
        RuntimeState().threads["t"] = ThreadState(id="t", turns={})  # type: ignore[index]
