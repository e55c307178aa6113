"""The JSON lines have the shape that is promised."""

from __future__ import annotations

import io
import json
import typing

import msgspec
import pytest

from codex_runtime.cli._jsonl import JsonLines, event_record, result_record
from codex_runtime.client import (
    CommandCompleted,
    Event,
    FileChange,
    FileChangeStarted,
    ReasoningDelta,
    TextDelta,
    TokenCounts,
    TokenUsage,
    TurnCompleted,
    TurnEvent,
    TurnFault,
    TurnResult,
    TurnStarted,
)
from codex_runtime.client import Item as TurnItem

RESULT = TurnResult(
    thread_id="t",
    turn_id="u",
    status="failed",
    text="Hi",
    items=(TurnItem("i", "agentMessage", "completed", b"{}"),),
    usage=TokenUsage(TokenCounts(), TokenCounts(), TokenCounts(total=3)),
    error=TurnFault("no", kind="other"),
)


@pytest.mark.parametrize(
    ("event", "record"),
    [
        (TurnStarted("u"), {"type": "turn_started", "turn_id": "u"}),
        (TextDelta("Hi", "m"), {"type": "text_delta", "text": "Hi", "item_id": "m"}),
        (ReasoningDelta("Hm", "r"), {"type": "reasoning_delta", "text": "Hm", "item_id": "r", "summary": True}),
        (
            FileChangeStarted((FileChange("/a", "add", "x"),), "inProgress", "p"),
            {
                "type": "file_change_started",
                "changes": [{"path": "/a", "kind": "add", "diff": "x", "move_path": None}],
                "status": "inProgress",
                "item_id": "p",
            },
        ),
        (TurnCompleted(RESULT), {"type": "turn_completed", "status": "failed", "turn_id": "u"}),
    ],
)
def test_an_event_is_its_name_and_its_fields(event: Event, record: dict[str, object]) -> None:
    """The name in lower case with underscores; the end of a turn is told short, for its result comes next."""
    assert json.loads(json.dumps(event_record(event))) == record


def test_every_kind_of_event_has_a_name_of_its_own() -> None:
    """The names of the classes are the names in the documentation, and no two are alike."""
    names = {
        "".join(f"_{c.lower()}" if c.isupper() else c for c in kind.__name__)[1:] for kind in typing.get_args(TurnEvent)
    }
    assert {"text_delta", "command_completed", "file_change_started", "turn_completed"} <= names
    assert len(names) == len(typing.get_args(TurnEvent))


def test_a_result_tells_all_but_the_raw_items() -> None:
    """Every field of the result is there, and the code that the command ends with."""
    record = result_record(RESULT, exit_code=1)
    assert set(record) == {"type", "exit_code", *RESULT.__struct_fields__} - {"final_message"}
    assert record["items"] == [{"id": "i", "kind": "agentMessage", "state": "completed"}]
    assert record["error"]["message"] == "no"
    assert record["usage"]["turn"]["total"] == 3
    assert record["exit_code"] == 1


def test_lines_are_exact_and_steer_nothing() -> None:
    """What a terminal would obey is spelled as an escape; the value is the same."""
    text = "\x1b[2J\x9b \u202e \U000e0041 日本 \x7f\n"
    stream = io.StringIO()
    JsonLines(stream).show(TextDelta(text, "m"))
    line = stream.getvalue()
    assert line.endswith("\n")
    assert line.count("\n") == 1
    assert line.isprintable() is False  # the newline
    assert line.removesuffix("\n").isprintable()
    assert "日本" in line
    assert json.loads(line)["text"] == text
    assert msgspec.json.decode(line)["text"] == text


def test_a_command_tells_its_output() -> None:
    """The fields are those of the class."""
    event = CommandCompleted("ls", "completed", 0, "a\n", 0.5, "c", "/ws", "bash -c ls")
    record = event_record(event)
    assert record == {"type": "command_completed", **{name: getattr(event, name) for name in event.__struct_fields__}}
