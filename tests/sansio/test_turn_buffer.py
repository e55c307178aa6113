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
    FileChangeCompleted,
    FileChangeUpdated,
    PlanDelta,
    PlanUpdated,
    ReasoningDelta,
    TextDelta,
    ToolProgress,
    TurnEvent,
    TurnStarted,
    TurnWarning,
)
from codex_runtime._sansio.turn_result import PlanStep


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
        TurnWarning("1"),
        TextDelta("c", "m"),
        TurnWarning("2"),
        TurnWarning("3"),
    ]
    for event in events:
        buffer.push(event)
    assert drained(buffer) == events


def test_a_hundred_thousand_unread_diffs_cost_little_and_the_latest_arrives() -> None:
    """Our promise: a turn that nobody reads grows with what happens in it, not with how often it tells how things stand."""
    buffer: TurnBuffer[TurnEvent] = TurnBuffer(100)
    for number in range(100_000):
        buffer.push(DiffUpdated(f"diff {number}"))
        buffer.push(PlanUpdated(None, (PlanStep(f"step {number}", "pending"),)))
        buffer.push(FileChangeUpdated((), f"patch {number % 10}"))
        buffer.push(TextDelta("x", "m"))
    assert len(buffer) < 120
    assert len(buffer._queue) < 250
    *_, diff, plan, patch = [event for event in drained(buffer) if not isinstance(event, TextDelta)]
    assert diff == DiffUpdated("diff 99999")
    assert plan == PlanUpdated(None, (PlanStep("step 99999", "pending"),))
    assert patch == FileChangeUpdated((), "patch 9")


def test_a_later_diff_waits_behind_the_change_that_it_tells_of() -> None:
    """Our promise: how something stands is never told before what brought it there."""
    buffer: TurnBuffer[TurnEvent] = TurnBuffer(0)
    change = FileChangeCompleted((), "completed", "p")
    for event in (DiffUpdated("1"), TextDelta("a", "m"), change, DiffUpdated("2"), TextDelta("b", "m")):
        buffer.push(event)
    assert drained(buffer) == [TextDelta("a", "m"), change, DiffUpdated("2"), TextDelta("b", "m")]
    assert buffer.merged == 1


def test_each_item_keeps_its_own_progress() -> None:
    """Our promise: only news of the same thing replaces what was told of it."""
    buffer: TurnBuffer[TurnEvent] = TurnBuffer(0)
    for event in (ToolProgress("1", "a"), ToolProgress("1", "b"), ToolProgress("2", "a")):
        buffer.push(event)
    assert drained(buffer) == [ToolProgress("1", "b"), ToolProgress("2", "a")]


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
        st.builds(TurnWarning, st.text(max_size=3)),
        st.none(),
    ),
    max_size=60,
)


def texts_of(events: list[TurnEvent]) -> dict[object, str]:
    """The whole text of each item between two other events, with those events in their places."""
    texts: dict[object, str] = {}
    place = 0
    for event in events:
        if isinstance(event, TurnWarning):
            place += 1
            texts[place] = event.message
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


STANDINGS = st.lists(
    st.one_of(
        st.builds(TextDelta, st.text(max_size=2), st.sampled_from("ab")),
        st.builds(DiffUpdated, st.text(max_size=2)),
        st.builds(ToolProgress, st.text(max_size=2), st.sampled_from("ab")),
        st.builds(TurnWarning, st.text(max_size=2)),
        st.none(),
    ),
    max_size=60,
)


@given(STANDINGS, st.integers(0, 3))
def test_however_slow_the_reader_it_ends_with_how_everything_stands(steps: list[TurnEvent | None], limit: int) -> None:
    """Our promise: the latest of each kind and item arrives last of its kind, after all that happened before it."""
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
    assert last_of_each(popped) == last_of_each(pushed)
    assert len(popped) == len(pushed) - buffer.merged
    warnings = [event for event in pushed if isinstance(event, TurnWarning)]
    assert [event for event in popped if isinstance(event, TurnWarning)] == warnings
    for item in "ab":
        assert text_of(popped, item) == text_of(pushed, item)


def last_of_each(events: list[TurnEvent]) -> dict[object, tuple[TurnEvent, int]]:
    """How everything stands in the end, and how many warnings had come by then."""
    stands: dict[object, tuple[TurnEvent, int]] = {}
    warnings = 0
    for event in events:
        if isinstance(event, TurnWarning):
            warnings += 1
        elif isinstance(event, (DiffUpdated, ToolProgress)):
            stands[type(event), getattr(event, "item_id", "")] = (event, warnings)
    return stands


def text_of(events: list[TurnEvent], item: str) -> str:
    """The whole text of one message."""
    return "".join(event.text for event in events if isinstance(event, TextDelta) and event.item_id == item)


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


def test_a_window_says_where_something_may_be_missing() -> None:
    """Our promise: pieces before and after a gap are not joined as if nothing were between them."""
    window = TextWindow(1000)
    window.append("before")
    window.miss()
    window.append("after")
    assert window.is_truncated
    assert window.text() == "before\n[... what came while the connection was broken ...]\nafter"


def test_a_window_holds_little_more_than_its_limit() -> None:
    """Our promise: whole pieces go as soon as they are not needed."""
    window = TextWindow(100)
    sizes = []
    for _ in range(1000):
        window.append("x" * 7)
        sizes.append(window._tail_size)
    assert max(sizes) < 100
    assert all(after >= 50 for _, after in pairwise(sizes[20:]))
