"""The turn reducer: which messages belong to a turn, how it begins, how it ends, and what its result says."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codex_runtime._sansio.envelope import Envelope, Fault, Params, Ref
from codex_runtime._sansio.turn import TurnReducer
from codex_runtime._sansio.turn_events import (
    DiffUpdated,
    OtherNotification,
    TextDelta,
    TurnCompleted,
    TurnEvent,
    TurnStarted,
    TurnWarning,
)
from codex_runtime._sansio.turn_result import TurnFault
from codex_runtime.errors import LocalProtocolError
from codex_runtime.protocol import registry
from tests.support.turn_lines import (
    THREAD,
    TURN,
    delta,
    envelope,
    fold,
    item_completed,
    item_started,
    note,
    of_thread,
    reducer,
    said,
    turn_completed,
    turn_started,
)

# --- Beginning ------------------------------------------------------------------------------------------------------


def test_what_comes_before_the_reply_is_replayed_in_order() -> None:
    """Our promise: the order of reply and events does not matter."""
    turn = TurnReducer(THREAD)
    early = [turn_started("turn-0"), delta("m", "old", turn="turn-0"), turn_started(), delta("m", "a"), delta("m", "b")]
    assert all(turn.apply(line) == () for line in early)
    assert (turn.is_started, turn.turn_id) == (False, None)
    assert turn.begin(TURN) == [TurnStarted(TURN), TextDelta("a", "m"), TextDelta("b", "m")]
    assert (turn.is_started, turn.turn_id) == (True, TURN)


def test_a_turn_can_be_over_before_its_reply_is_read() -> None:
    """Our promise: an instant turn is folded like any other."""
    turn = TurnReducer(THREAD)
    for line in (turn_started(), said("m", "fast"), turn_completed()):
        turn.apply(line)
    assert not turn.is_over
    assert isinstance(turn.begin(TURN)[-1], TurnCompleted)
    assert turn.result is not None
    assert turn.result.text == "fast"


def test_the_early_buffer_is_bounded_and_keeps_the_newest() -> None:
    """Our promise: each buffer has a size, and what is dropped is counted."""
    turn = TurnReducer(THREAD)
    for number in range(1024):
        turn.apply(delta("m", f"{number} "))
    assert turn.early_dropped == 0
    for number in range(1024, 1027):
        turn.apply(delta("m", f"{number} "))
    turn.apply(delta("m", "foreign", thread="thread-2"))
    assert turn.early_dropped == 3
    events = turn.begin(TURN)
    assert (events[1], events[-1]) == (TextDelta("3 ", "m"), TextDelta("1026 ", "m"))


def test_beginning_twice_is_harmless_but_not_under_another_id() -> None:
    """Our promise: a caller's mistake is loud."""
    turn = reducer()
    assert turn.begin(TURN) == []
    with pytest.raises(LocalProtocolError, match="the turn has begun under another id"):
        turn.begin("turn-2")
    turn.end("lost")
    assert turn.begin("turn-2") == []
    assert turn.turn_id == TURN


def test_a_steered_turn_starts_with_its_first_event() -> None:
    """Upstream rule: turn/start on a busy thread joins the running turn, whose start is not repeated."""
    events, result = fold(delta("m", "on the way"))
    assert events == [TurnStarted(TURN), TextDelta("on the way", "m")]
    assert result.started_at == 1100


def test_a_repeated_start_is_no_event() -> None:
    """Our promise: TurnStarted comes once."""
    events, _ = fold(turn_started(), turn_started())
    assert events == [TurnStarted(TURN)]


# --- What belongs ---------------------------------------------------------------------------------------------------


def test_requests_and_responses_are_not_events_of_the_turn() -> None:
    """Our promise: approvals become events where the tickets are."""
    request = {
        "method": "item/commandExecution/requestApproval",
        "id": 0,
        "params": {"threadId": THREAD, "turnId": TURN},
    }
    events, _ = fold(turn_started(), envelope(request), envelope({"id": 3, "result": {"turn": {"id": TURN}}}))
    assert events == [TurnStarted(TURN)]


def test_warnings_count_with_the_thread_or_with_no_thread_at_all() -> None:
    """Upstream rule: configWarning and deprecationNotice name no thread; warnings name no turn."""
    events, result = fold(
        of_thread("warning", message="one"),
        of_thread("guardianWarning", message="two"),
        envelope({"method": "configWarning", "params": {"summary": "three", "details": "where"}}),
        envelope({"method": "deprecationNotice", "params": {"summary": "four", "details": None}}),
        envelope({"method": "warning", "params": {"message": "five"}}),
        envelope({"method": "warning", "params": {"threadId": "thread-2", "message": "not ours"}}),
        envelope({"method": "guardianWarning", "params": {"message": "nobody's"}}),
        of_thread("warning", message="of another turn", turnId="turn-2"),
    )
    told = [
        TurnWarning("one"),
        TurnWarning("two"),
        TurnWarning("three", "where"),
        TurnWarning("four"),
        TurnWarning("five"),
    ]
    assert events == told
    assert result.warnings == ("one", "two", "three", "four", "five")


def test_a_method_that_we_do_not_know_is_passed_on() -> None:
    """Our promise: tomorrow's notifications reach those who know them."""
    line = note("item/hologram/delta", itemId="h", delta="x")
    events, _ = fold(turn_started(), line, of_thread("thread/status/changed", status={"type": "active"}))
    assert events[1:] == [OtherNotification("item/hologram/delta", line)]


def test_a_review_starts_under_another_id_and_ends_under_ours() -> None:
    """Upstream rule: items come before turn/started, which names our turn as its root; one message stays open."""
    events, result = fold(
        item_started("enteredReviewMode", "e", review="current changes"),
        turn_started("turn-other", rootTurnId=TURN),
        delta("m1", "{json"),
        said("m2", "One bug."),
        turn_completed(),
    )
    assert [type(event) for event in events].count(TurnStarted) == 1
    assert events[0] == TurnStarted(TURN)
    assert result.text == "One bug."
    assert {item.id: item.state for item in result.items} == {"e": "closed", "m1": "closed", "m2": "completed"}


def test_a_start_under_another_id_counts_if_it_names_our_turn_as_its_root() -> None:
    """Upstream rule: so does a review, also when its start comes first. Its end does not count, and no other turn's start."""
    turn = reducer()
    assert turn.apply(turn_started("turn-0")) == ()
    assert turn.apply(turn_completed(turn="turn-other", rootTurnId=TURN)) == ()
    assert not turn.is_started
    assert turn.apply(turn_started("turn-other", rootTurnId=TURN)) == (TurnStarted(TURN),)
    assert turn.apply(turn_completed(turn="turn-other", rootTurnId=TURN)) == ()
    assert not turn.is_over


def test_a_message_that_names_two_turns_belongs_to_the_one_it_names_first() -> None:
    """Its own turn stands in ``turnId``; what is told about another stands under ``turn``."""
    ours = {"threadId": THREAD, "turnId": TURN, "turn": {"id": "turn-2"}, "diff": "a"}
    events, _ = fold(envelope({"method": "turn/diff/updated", "params": ours}))
    assert events == [TurnStarted(TURN), DiffUpdated("a")]
    theirs = {"threadId": THREAD, "turnId": "turn-2", "turn": {"id": TURN}, "diff": "a"}
    assert fold(envelope({"method": "turn/diff/updated", "params": theirs}))[0] == []


def left_out(head: str, reason: Any = "too_long") -> Envelope:
    """A line of which only the head is left."""
    return Envelope(raw=head.encode(), fault=Fault(reason, 70_000_000))


def test_a_message_that_was_too_long_to_be_read_is_told_as_a_warning() -> None:
    """Nothing is lost silently: if the thread can be seen in what is left of it, its turn says what is missing."""
    line = left_out(f'{{"method":"item/completed","params":{{"threadId":"{THREAD}","item":{{"type":')
    told = TurnWarning("a message of 70000000 bytes is longer than the line limit and was left out")
    turn = TurnReducer(THREAD)
    assert turn.apply(line) == ()
    assert turn.begin(TURN) == [told]
    assert turn.apply(line) == (told,)
    assert turn.partial().warnings == (told.message, told.message)
    turn.end("lost")
    assert turn.apply(line) == ()
    assert turn.late_items == 0


@pytest.mark.parametrize(
    "line",
    [
        left_out('{"method":"item/completed","params":{"threadId":"thread-2","item":{"type":'),
        left_out(f'{{"id":7,"result":{{"thread":{{"id":"{THREAD}","turns":['),
        left_out(f' {{ "error" : {{"data":"{THREAD}'),
        left_out(f'{{"method":"item/completed","params":{{"threadId":"{THREAD}"', "not_json"),
    ],
)
def test_what_was_too_long_and_is_not_the_turns_is_told_elsewhere(line: Envelope) -> None:
    """Another thread's, an answer's (whoever asked is told), and what is no message at all."""
    assert reducer().apply(line) == ()


def test_the_turn_of_a_sub_agent_is_not_ours() -> None:
    """Upstream rule: a child's events come under another thread, with our turn as their root."""
    events, result = fold(
        turn_started(),
        turn_started("turn-child", thread="thread-child", rootTurnId=TURN),
        delta("m", "child", thread="thread-child", turn="turn-child"),
        turn_completed(turn="turn-child", thread="thread-child"),
    )
    assert events == [TurnStarted(TURN)]
    assert result.status == "running"


# --- Ending ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("completed", "completed"),
        ("interrupted", "interrupted"),
        ("cancelled", "interrupted"),
        ("failed", "failed"),
        ("inProgress", "failed"),
        ("exploded", "failed"),
        (7, "failed"),
        (None, "completed"),
    ],
)
def test_the_word_in_the_terminal_decides(status: Any, expected: str) -> None:
    """Our promise: a word that we do not know is no success; a missing one is, as with servers of long ago."""
    _, result = fold(turn_started(), turn_completed(status))
    assert result.status == expected


def test_no_word_but_an_error_is_a_failure() -> None:
    """Our promise: an error is never a success."""
    _, result = fold(turn_started(), turn_completed(None, error={"message": "no"}))
    assert result.status == "failed"


def test_a_turn_fails_of_its_own_error_wherever_the_terminal_tells_it() -> None:
    """In the turn or beside it; what was reported before is only taken where the terminal says nothing."""
    before = note("error", error={"message": "before"}, willRetry=False)
    _, result = fold(turn_started(), before, turn_completed("failed", error={"message": "its own"}))
    assert str(result.error) == "its own"
    params = {"threadId": THREAD, "turn": {"id": TURN, "status": "failed"}, "error": {"message": "beside"}}
    _, result = fold(turn_started(), before, envelope({"method": "turn/completed", "params": params}))
    assert str(result.error) == "beside"
    _, result = fold(turn_started(), before, turn_completed("failed"))
    assert str(result.error) == "before"
    _, result = fold(turn_started(), turn_completed("failed"))
    assert str(result.error) == "the turn failed and the server did not say why"


def test_one_message_ends_a_turn_and_the_server_has_no_other() -> None:
    """The state, the desk and the journal know this one, too. A method that comes later has to be looked at."""
    told = {method.name for method in registry.of("server_notification") if method.name.startswith("turn/")}
    others = {"turn/diff/updated", "turn/moderationMetadata", "turn/plan/updated", "turn/started"}
    assert told == {"turn/completed", *others}
    _, result = fold(turn_started(), note("turn/failed", error={"message": "why"}))
    assert result.status == "running"


def test_a_caller_may_end_the_turn_and_keeps_everything() -> None:
    """Our promise: a lost turn has what had arrived."""
    turn = reducer()
    for line in (turn_started(at=10), delta("m", "half", at=12), item_started("commandExecution", "c", command="ls")):
        turn.apply(line)
    [event] = turn.end("lost", TurnFault("the app server went away"))
    assert event == TurnCompleted(turn.partial())
    assert turn.is_over
    assert turn.result is turn.partial()
    assert turn.result is not None
    assert (turn.result.status, turn.result.text, turn.result.duration) == ("lost", "half", 90.0)
    assert [item.state for item in turn.result.items] == ["closed", "closed"]
    assert turn.result.commands[0].status == "inProgress"
    assert turn.end("lost") == []


def test_a_turn_can_end_before_it_began() -> None:
    """Our promise: also then there is one terminal, and the reply comes too late."""
    turn = TurnReducer(THREAD)
    turn.apply(turn_started())
    [event] = turn.end("timed_out", duration=2.0)
    assert isinstance(event, TurnCompleted)
    assert (event.result.status, event.result.turn_id, event.result.duration) == ("timed_out", None, 2.0)
    assert turn.begin(TURN) == []
    assert turn.apply(item_completed("agentMessage", "m", text="late")) == ()
    assert (turn.late_items, turn.turn_id) == (0, None)


def test_how_long_a_turn_took_is_told_from_its_messages_if_the_server_does_not_say() -> None:
    """From the first to the last; nothing for a single one; and nothing is known of a turn that never began."""
    turn = reducer()
    assert turn.partial().duration is None
    turn.apply(turn_started(at=10))
    assert turn.partial().duration == 0.0
    turn.apply(delta("m", "a", at=12.5))
    turn.apply(delta("m", "foreign", thread="thread-2", at=99))
    turn.apply(delta("m", "of another turn", turn="turn-2", at=99))
    assert turn.partial().duration == 2.5
    [event] = turn.end("interrupted", duration=7.0)
    assert isinstance(event, TurnCompleted)
    assert event.result.duration == 7.0
    _, result = fold(turn_started(at=50), delta("m", "read by the next program", at=3))
    assert result.duration == 0.0, "the clock began anew"


def test_what_a_turn_gathered_is_given_up_with_its_result() -> None:
    """I8: a program that keeps its finished turns keeps their results and no more."""
    turn = TurnReducer(THREAD)
    for line in (turn_started(), said("m", "text"), of_thread("warning", message="one")):
        turn.apply(line)
    turn.end("lost")
    assert list(turn._early) == []
    turn = reducer()
    for line in (turn_started(), said("m", "text"), turn_completed()):
        turn.apply(line)
    assert turn._fold.result(THREAD, TURN, "completed").items == ()
    assert turn.result is not None
    assert turn.result.text == "text"


def test_an_interrupt_for_the_deadline_is_told_as_such() -> None:
    """Our promise: the server says "interrupted"; who asked for it knows why."""
    turn = reducer()
    turn.interrupted_as = "timed_out"
    turn.apply(turn_completed("interrupted"))
    assert turn.result is not None
    assert turn.result.status == "timed_out"


def test_what_comes_after_the_end_is_only_counted() -> None:
    """Upstream rule: items may complete after turn/completed, and requests are resolved after it."""
    turn = reducer()
    turn.apply(turn_completed())
    result = turn.result
    late = [
        item_completed("commandExecution", "c", aggregatedOutput="x"),
        item_completed("commandExecution", "d", aggregatedOutput="x"),
        of_thread("serverRequest/resolved", requestId=0),
        delta("m", "more"),
        turn_completed("failed"),
        note("item/completed", turn="turn-2", item={"type": "agentMessage", "id": "m", "text": "next turn"}),
    ]
    assert all(turn.apply(line) == () for line in late)
    assert turn.late_items == 2
    assert turn.result is result


def test_a_partial_result_is_running_and_does_not_end_the_turn() -> None:
    """Our promise: one may look at any time."""
    turn = reducer()
    turn.apply(delta("m", "so far"))
    assert (turn.partial().status, turn.partial().text) == ("running", "so far")
    assert turn.partial().items[0].state == "started"
    assert turn.result is None


def test_a_terminal_that_cannot_be_read_as_a_whole_is_a_failure() -> None:
    """Our promise: what only the shallow pass could read does not raise, and is no success."""
    shallow = Params(thread_id=THREAD, turn=Ref(TURN))
    turn = reducer()
    turn.apply(Envelope(method="turn/completed", shallow=shallow, raw=b"not json"))
    assert turn.partial().status == "failed"


def test_a_message_that_was_never_stamped_does_not_date_the_turn() -> None:
    """One that was made by hand, say: 1970 is no time of a turn."""
    turn = reducer()
    shallow = Params(thread_id=THREAD, turn_id=TURN, item_id="m", delta="x")
    assert len(turn.apply(Envelope(method="item/agentMessage/delta", shallow=shallow))) == 2
    assert (turn.partial().text, turn.partial().started_at) == ("x", None)


# --- Anything at all ------------------------------------------------------------------------------------------------

KEY_NAMES = """
id type text phase command cwd status aggregatedOutput exitCode durationMs changes kind path diff move_path
summary content tool arguments server result error message codexErrorInfo plan step explanation tokenUsage
total last inputTokens items startedAt rootTurnId details requestId stdin query willRetry contentItems
"""
KEYS = st.sampled_from(KEY_NAMES.split())
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)
METHOD_NAMES = """
turn/started turn/diff/updated turn/plan/updated thread/tokenUsage/updated error warning configWarning
serverRequest/resolved item/started item/completed item/agentMessage/delta item/plan/delta
item/reasoning/summaryTextDelta item/reasoning/textDelta item/reasoning/summaryPartAdded
item/commandExecution/outputDelta item/commandExecution/terminalInteraction item/fileChange/patchUpdated
item/mcpToolCall/progress something/else
"""
METHODS = st.sampled_from(METHOD_NAMES.split())
KIND_NAMES = """
agentMessage reasoning plan commandExecution fileChange mcpToolCall dynamicToolCall webSearch sleep
"""
KINDS = st.sampled_from(KIND_NAMES.split())


@st.composite
def odd_messages(draw: st.DrawFn, *, methods: st.SearchStrategy[str] = METHODS) -> Envelope:
    """A message of our turn with anything in it."""
    params: dict[str, Any] = draw(st.dictionaries(KEYS, JSON, max_size=5))
    params |= {"threadId": THREAD, "turnId": TURN}
    if draw(st.booleans()):
        params["item"] = draw(st.dictionaries(KEYS, JSON, max_size=5)) | {
            "type": draw(KINDS),
            "id": draw(st.sampled_from(["a", "b", ""])),
        }
    else:
        params |= {"itemId": draw(st.sampled_from(["a", "b"]) | st.none()), "delta": draw(st.text(max_size=4) | JSON)}
    if draw(st.booleans()):
        params["turn"] = draw(st.dictionaries(KEYS, JSON, max_size=5)) | {"id": TURN}
    return envelope({"method": draw(methods), "params": params})


@settings(max_examples=60)
@given(st.lists(odd_messages(), max_size=8), odd_messages(methods=st.just("turn/completed")), st.integers(0, 8))
def test_no_json_makes_the_reducer_raise_and_the_terminal_comes_once(
    lines: list[Envelope], last: Envelope, cut: int
) -> None:
    """Our promise: any messages, cut anywhere, give one terminal event, and it is the last."""
    turn = reducer()
    events = [event for line in [*lines[:cut], last, *lines[cut:]] for event in turn.apply(line)]
    events += turn.end("lost")
    assert [type(event) for event in events].count(TurnCompleted) == 1
    assert isinstance(events[-1], TurnCompleted)
    assert isinstance(turn.partial().text, str)
    json.dumps([item.data for item in turn.partial().items])


GOLDEN = [
    turn_started(),
    said("m1", "comment", "commentary"),
    item_started("commandExecution", "c", command="ls", cwd="/w", status="inProgress"),
    delta("c", "out", "commandExecution/outputDelta"),
    item_completed("commandExecution", "c", command="ls", cwd="/w", status="completed", aggregatedOutput="out"),
    delta("m2", "an"),
    delta("m2", "swer"),
    said("m2", "answer", "final_answer"),
    turn_completed(),
]
NOISE = [
    turn_started("turn-2"),
    delta("m2", "noise", turn="turn-2"),
    note("item/completed", turn="turn-2", item={"type": "agentMessage", "id": "m2", "text": "n"}),
    turn_completed("failed", "turn-2"),
    turn_started(thread="thread-2"),
    delta("m2", "noise", thread="thread-2"),
    turn_completed("failed", thread="thread-2"),
    of_thread("thread/status/changed", status={"type": "idle"}),
    envelope({"id": 4, "result": {}}),
]


@given(
    st.lists(st.tuples(st.integers(0, len(GOLDEN)), st.sampled_from(NOISE)), max_size=12), st.integers(0, len(GOLDEN))
)
def test_other_turns_and_threads_change_nothing(noise: list[tuple[int, Envelope]], begin_at: int) -> None:
    """Our promise: however the messages of others come between, and whenever the reply does."""
    expected, result = fold(*GOLDEN)
    turn = TurnReducer(THREAD)
    events: list[TurnEvent] = []
    for index, line in enumerate(GOLDEN):
        if index == begin_at:
            events += turn.begin(TURN)
        for at, other in noise:
            if at == index:
                events += turn.apply(other)
        events += turn.apply(line)
    events += turn.begin(TURN)
    assert events == expected
    assert turn.result == result


@given(st.integers(0, len(GOLDEN)))
def test_any_part_of_a_turn_can_be_ended(length: int) -> None:
    """Our promise: after any prefix, end() closes all items and there is exactly one terminal."""
    turn = reducer()
    events = [event for line in GOLDEN[:length] for event in turn.apply(line)] + turn.end("interrupted")
    assert [type(event) for event in events].count(TurnCompleted) == 1
    assert turn.result is not None
    assert all(item.state != "started" for item in turn.result.items)
