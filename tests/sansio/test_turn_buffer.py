"""The buffers: a reader's events, merged when it lags, and the two ends of an endless text."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from codex_runtime._sansio.turn_buffer import OUTPUT_LIMIT, TextWindow, TurnBuffer
from codex_runtime._sansio.turn_events import (
    CommandOutput,
    DiffUpdated,
    PlanDelta,
    ReasoningDelta,
    TextDelta,
    TurnEvent,
    TurnStarted,
)


def drained(buffer: TurnBuffer[TurnEvent]) -> list[TurnEvent]:
    """All that waits."""
    events = []
    while (event := buffer.pop()) is not None:
        events.append(event)
    assert len(buffer) == 0
    return events


def test_a_reader_that_keeps_up_gets_every_event_as_it_came() -> None:
    """Our promise: below the limit nothing is touched."""
    buffer: TurnBuffer[TurnEvent] = TurnBuffer(10)
    events: list[TurnEvent] = [TurnStarted("t"), TextDelta("a", "m"), TextDelta("b", "m")]
    for event in events:
        buffer.push(event)
    assert len(buffer) == 3
    assert all(got is event for got, event in zip(drained(buffer), events, strict=True))
    assert buffer.merged == 0


def test_a_reader_that_lags_gets_fewer_deltas_and_the_whole_text() -> None:
    """Our promise: a text is never cut."""
    buffer: TurnBuffer[TurnEvent] = TurnBuffer(2)
    for number in range(100):
        buffer.push(TextDelta(f"{number} ", "m"))
        buffer.push(PlanDelta(f"{number} ", "p"))
    assert len(buffer) == 4
    assert buffer.merged == 196
    *first, text, plan = drained(buffer)
    assert first == [TextDelta("0 ", "m"), PlanDelta("0 ", "p")]
    assert text == TextDelta("".join(f"{number} " for number in range(1, 100)), "m")
    assert plan == PlanDelta("".join(f"{number} " for number in range(1, 100)), "p")


def test_a_summary_and_the_reasoning_itself_are_not_mixed() -> None:
    """Our promise: two texts of one item stay two texts."""
    buffer: TurnBuffer[TurnEvent] = TurnBuffer(0)
    for summary, text in ((True, "s"), (False, "r"), (True, "S"), (False, "R")):
        buffer.push(ReasoningDelta(text, "i", summary))
    assert drained(buffer) == [ReasoningDelta("sS", "i", summary=True), ReasoningDelta("rR", "i", summary=False)]


def test_other_events_are_never_dropped_and_never_overtaken() -> None:
    """Our promise: a delta does not jump over an event of another kind, whatever the lag."""
    buffer: TurnBuffer[TurnEvent] = TurnBuffer(1)
    events: list[TurnEvent] = [
        TextDelta("a", "m"),
        TextDelta("b", "m"),
        DiffUpdated("1"),
        TextDelta("c", "m"),
        DiffUpdated("2"),
        DiffUpdated("3"),
    ]
    for event in events:
        buffer.push(event)
    assert drained(buffer) == events


def test_a_reader_that_caught_up_gets_single_deltas_again() -> None:
    """Our promise: merging is for the lag only, and keeps the order across it."""
    buffer: TurnBuffer[TurnEvent] = TurnBuffer(2)
    for text in "abc":
        buffer.push(TextDelta(text, "m"))
    assert [buffer.pop(), buffer.pop()] == [TextDelta("a", "m"), TextDelta("b", "m")]
    for text in "de":
        buffer.push(TextDelta(text, "m"))
    assert drained(buffer) == [TextDelta("cde", "m")]
    buffer.push(TextDelta("f", "m"))
    buffer.push(DiffUpdated("1"))
    assert drained(buffer) == [TextDelta("f", "m"), DiffUpdated("1")]


def test_output_that_nobody_reads_loses_its_middle_and_says_so() -> None:
    """Our promise: the output of a command is bounded; its completion has what the server kept."""
    buffer: TurnBuffer[TurnEvent] = TurnBuffer(0)
    for number in range(40):
        buffer.push(CommandOutput(f"{number:02}" + "x" * 65536, "c"))
    [output] = drained(buffer)
    assert isinstance(output, CommandOutput)
    assert output.is_truncated
    assert output.text.startswith("00x")
    assert "39x" in output.text
    assert len(output.text) < OUTPUT_LIMIT + 100


def test_pieces_are_kept_as_they_came_and_joined_once() -> None:
    """Our promise: n deltas cost n steps: pushing keeps the very objects and copies nothing."""
    buffer: TurnBuffer[TurnEvent] = TurnBuffer(0)
    texts = [f"piece {number}" for number in range(300)]
    for text in texts:
        buffer.push(TextDelta(text, "m"))
    [run] = buffer._queue
    pieces: Any = getattr(run, "pieces", None)
    assert all(piece is text for piece, text in zip(pieces, texts, strict=True))


EVENTS = st.lists(
    st.one_of(
        st.builds(TextDelta, st.text(max_size=3), st.sampled_from("ab")),
        st.builds(ReasoningDelta, st.text(max_size=3), st.sampled_from("ab"), st.booleans()),
        st.builds(CommandOutput, st.text(max_size=3), st.sampled_from("ab")),
        st.builds(DiffUpdated, st.text(max_size=3)),
        st.none(),
    ),
    max_size=60,
)


def texts_of(events: list[TurnEvent]) -> dict[object, str]:
    """The whole text of each item between two other events, with those events in their places."""
    texts: dict[object, str] = {}
    place = 0
    for event in events:
        if isinstance(event, DiffUpdated):
            place += 1
            texts[place] = event.diff
        elif isinstance(event, (TextDelta, ReasoningDelta, CommandOutput)):
            key = (place, type(event), event.item_id, isinstance(event, ReasoningDelta) and event.summary)
            texts[key] = texts.get(key, "") + event.text
    return texts


@given(EVENTS, st.integers(0, 5))
def test_however_slow_the_reader_the_texts_are_the_same(steps: list[TurnEvent | None], limit: int) -> None:
    """Our promise: for any events and any reader, all texts and all other events arrive, in their order."""
    buffer: TurnBuffer[TurnEvent] = TurnBuffer(limit)
    pushed: list[TurnEvent] = []
    popped: list[TurnEvent] = []
    for step in steps:
        if step is not None:
            buffer.push(step)
            pushed.append(step)
        elif (event := buffer.pop()) is not None:
            popped.append(event)
    popped += drained(buffer)
    assert texts_of(popped) == texts_of(pushed)
    assert len(popped) == len(pushed) - buffer.merged


@given(st.lists(st.text(alphabet="abc", max_size=12), max_size=30), st.integers(0, 20))
def test_a_window_keeps_both_ends(pieces: list[str], limit: int) -> None:
    """Our promise: a text within the limit is whole; of a longer one both halves stay and the rest is counted."""
    window = TextWindow(limit)
    for piece in pieces:
        window.append(piece)
    whole, half = "".join(pieces), max(1, limit // 2)
    if len(whole) <= 2 * half:
        assert window.text() == whole
        assert not window.is_truncated
    else:
        gap = f"\n[... {len(whole) - 2 * half} characters left out ...]\n"
        assert window.text() == whole[:half] + gap + whole[-half:]
        assert window.is_truncated


def test_a_window_holds_little_more_than_its_limit() -> None:
    """Our promise: whole pieces go as soon as they are not needed."""
    window = TextWindow(100)
    sizes = []
    for _ in range(1000):
        window.append("x" * 7)
        sizes.append(window._tail_size)
    assert max(sizes) < 100
    assert all(after >= 50 for _, after in pairwise(sizes[20:]))
