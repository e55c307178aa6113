"""What is read out of rarer messages, whatever a server writes there."""

from __future__ import annotations

import pytest

from codex_runtime._sansio.envelope import NO_STAMP, Envelope, decode_lines, params_of
from codex_runtime._sansio.state_messages import error_of, item_content, turn_report


def message(line: bytes) -> Envelope:
    """Decode one line as the runtime does."""
    return decode_lines([line + b"\n"], 1, NO_STAMP)[0][0]


def test_a_turn_is_read_without_its_items() -> None:
    """Status, times, root and error are what the state needs."""
    report = turn_report(
        message(
            b'{"method":"turn/completed","params":{"threadId":"t","turn":{"id":"u","rootTurnId":"r","items":[{"a":1}],'
            b'"status":"failed","error":{"message":"m"},"startedAt":5,"completedAt":null}}}'
        )
    )
    assert (report.id, report.root_turn_id, report.status) == ("u", "r", "failed")
    assert (bytes(report.error), report.started_at, report.completed_at) == (b'{"message":"m"}', 5.0, None)


def test_a_turn_with_odd_details_still_has_its_id_and_status() -> None:
    """A changed type of one field must not leave a turn running for ever."""
    report = turn_report(
        message(b'{"method":"turn/completed","params":{"turn":{"id":"u","status":"failed","startedAt":"x"}}}')
    )
    assert (report.id, report.status, report.started_at) == ("u", "failed", None)
    assert turn_report(message(b'{"method":"turn/completed","params":{"turn":7}}')).id is None


@pytest.mark.parametrize(
    ("kind", "item", "content"),
    [
        ("agentMessage", b'{"text":"hi"}', ("hi", None)),
        ("plan", b'{"text":"p"}', ("p", None)),
        ("commandExecution", b'{"aggregatedOutput":"out"}', (None, "out")),
        ("commandExecution", b'{"aggregatedOutput":null}', (None, None)),
        ("reasoning", b'{"summary":["a","b"],"content":["c","d"]}', ("a\n\nb", "cd")),
        ("reasoning", b'{"summary":[1]}', (None, None)),
        ("userMessage", b'{"content":[]}', (None, None)),
    ],
)
def test_a_completed_item_tells_its_content_by_kind(
    kind: str, item: bytes, content: tuple[str | None, str | None]
) -> None:
    """Each kind has its own place for what it says; odd shapes tell nothing."""
    assert item_content(kind, b'{"method":"item/completed","params":{"item":' + item + b"}}") == content


def test_unreadable_parameters_are_none() -> None:
    """A message nested too deeply for a full decode has no parameters and no error, and raises nothing."""
    deep = message(b'{"method":"error","params":{"threadId":"t","x":' + b"[" * 100_000 + b"]" * 100_000 + b"}}")
    assert params_of(deep) == {}
    assert error_of(deep) == error_of(message(b'{"method":"error","params":[]}')) == b"null"
    assert error_of(message(b'{"method":"error","params":{"error":{"message":"m"}}}')) == b'{"message":"m"}'
