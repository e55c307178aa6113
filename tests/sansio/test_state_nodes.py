"""Text within a limit, and what is read out of rarer messages."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codex_runtime._sansio.envelope import NO_STAMP, Envelope, decode_lines, params_of
from codex_runtime._sansio.state import StateLimits
from codex_runtime._sansio.state_nodes import (
    LOOSE,
    ItemNode,
    Text,
    ThreadNode,
    TurnNode,
    byte_size,
    cut,
    error_of,
    item_content,
    turn_report,
)

ANY_TEXT = st.text(st.characters(codec=None), max_size=40)  # lone surrogates too


def message(line: bytes) -> Envelope:
    """Decode one line as the runtime does."""
    return decode_lines([line + b"\n"], 1, NO_STAMP)[0][0]


@given(ANY_TEXT, st.integers(1, 60))
def test_text_is_cut_at_a_character_boundary_and_no_earlier_than_needed(text: str, limit: int) -> None:
    """What is kept is a start of the text, fits, and one more character would not."""
    kept = cut(text, limit)
    assert text.startswith(kept)
    assert byte_size(kept) <= limit
    assert kept == text or byte_size(text[: len(kept) + 1]) > limit


@given(st.lists(ANY_TEXT, max_size=30), st.integers(1, 200))
def test_text_added_in_pieces_is_the_text_added_at_once(pieces: list[str], limit: int) -> None:
    """However it came, the same start of it is kept, and the flag says whether any was lost."""
    text, whole = Text(limit), "".join(pieces)
    booked = 0
    for piece in pieces:
        before = max(text.room, 0)
        text.add(piece)
        booked += text.book(before)
    assert text.value() == cut(whole, limit)
    assert text.truncated == (byte_size(whole) > limit)
    assert byte_size(text.value()) <= booked <= limit


def test_many_small_pieces_are_joined_without_a_look() -> None:
    """A long text of tiny deltas does not stay a hundred thousand objects."""
    text = Text(1_000_000)
    for _ in range(20 * LOOSE):
        before = text.room
        text.add("ab")
        text.book(before)
    assert len(text.parts) < 2 * LOOSE
    assert text.value() == "ab" * (20 * LOOSE)


@pytest.mark.parametrize(
    ("told", "value", "truncated"), [(None, "old", False), ("", "old", False), ("longer than six", "longer", True)]
)
def test_what_is_told_at_the_end_replaces_what_came_before(told: str | None, value: str, truncated: bool) -> None:  # noqa: FBT001
    """Without a last word, what came stays; after either, nothing more is taken."""
    text = Text(6)
    text.add("old")
    text.book(6)
    text.end()
    text.replace(told)
    text.add("more")
    assert (text.value(), text.truncated, text.held) == (value, truncated, len(value))


def test_an_item_weighs_what_it_will_hold_once_it_was_read() -> None:
    """Reading a kept line later must not push the state over its bound."""
    item = ItemNode("i", TurnNode("u", ThreadNode("t")), StateLimits())
    item.kind = "agentMessage"
    item.complete(b'{"params":{"item":{"text":"hello"}}}', keep=True)
    before = item.size()
    assert item.freeze().text == "hello"
    assert item.size() <= before


def test_frozen_values_stay_the_same_until_a_node_is_dropped() -> None:
    """A node gives out one value as long as nobody drops it."""
    thread = ThreadNode("t")
    turn = thread.turns["u"] = TurnNode("u", thread)
    turn.items["i"] = ItemNode("i", turn, StateLimits())
    frozen = thread.freeze()
    assert thread.freeze() is frozen
    assert turn.freeze() is frozen.turns["u"]
    assert turn.items["i"].freeze() is frozen.turns["u"].items["i"]
    thread.frozen = None
    assert thread.freeze() is not frozen
    assert thread.freeze().turns["u"] is frozen.turns["u"]


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
