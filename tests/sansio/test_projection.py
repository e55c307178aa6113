"""The projection: what each message of the server does to the state, and that its limits and sharing always hold."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codex_runtime._sansio.envelope import NO_STAMP, Envelope, decode_lines
from codex_runtime._sansio.projection import Connection, Projection, RuntimeState, StateLimits
from codex_runtime._sansio.state import ItemState, PendingRequest, ThreadState, TurnState
from codex_runtime._sansio.state_text import byte_size

THREAD, TURN, ITEM = "01a20439-970b", "01a20439-972d", "msg_1"
KINDS = [
    "userMessage",
    "hookPrompt",
    "agentMessage",
    "functionCallOutput",
    "plan",
    "reasoning",
    "commandExecution",
    "fileChange",
    "mcpToolCall",
    "dynamicToolCall",
    "collabAgentToolCall",
    "subAgentActivity",
    "webSearch",
    "imageView",
    "sleep",
    "imageGeneration",
    "enteredReviewMode",
    "exitedReviewMode",
    "contextCompaction",
]


def told(*messages: tuple[str, dict[str, Any]], seq: int = 1) -> list[Envelope]:
    """Make the envelopes of one read."""
    lines = [json.dumps({"method": method, "params": params}).encode() + b"\n" for method, params in messages]
    return decode_lines(lines, seq, NO_STAMP)[0]


def about(method: str, *, thread: str = THREAD, turn: str = TURN, **params: Any) -> tuple[str, dict[str, Any]]:
    """Name a message about a turn."""
    return method, {"threadId": thread, "turnId": turn, **params}


def delta(text: str, item: str = ITEM, method: str = "item/agentMessage/delta", turn: str = TURN) -> tuple[str, Any]:
    """Name a delta."""
    return about(method, turn=turn, itemId=item, delta=text)


def item_message(what: str, kind: str, item: str = ITEM, turn: str = TURN, **fields: Any) -> tuple[str, dict[str, Any]]:
    """Name the start or end of an item."""
    return about(f"item/{what}", turn=turn, item={"type": kind, "id": item, **fields})


def turn_message(what: str, turn: str = TURN, thread: str = THREAD, **fields: Any) -> tuple[str, dict[str, Any]]:
    """Name the start or end of a turn."""
    return f"turn/{what}", {"threadId": thread, "turn": {"id": turn, **fields}}


def folded(*messages: tuple[str, dict[str, Any]], limits: StateLimits | None = None) -> RuntimeState:
    """Fold all messages as one read."""
    projection = Projection(limits)
    projection.fold(told(*messages))
    return projection.snapshot()


def thread_of(state: RuntimeState) -> ThreadState:
    """Return the one thread that the tests use."""
    return state.threads[THREAD]


def turn_of(state: RuntimeState, turn: str = TURN) -> TurnState:
    """Return a turn of that thread."""
    return thread_of(state).turns[turn]


def item_of(state: RuntimeState, item: str = ITEM) -> ItemState:
    """Return an item of that turn."""
    return turn_of(state).items[item]


# -- items -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_item_starts_and_completes(kind: str) -> None:
    """All nineteen kinds of the schema, and whatever comes later, are kept by their name."""
    state = folded(turn_message("started"), item_message("started", kind, n=1), item_message("completed", kind, n=2))
    item = item_of(state)
    assert (item.kind, item.status) == (kind, "completed")
    assert (item.started["n"], item.completed["n"]) == (1, 2)


@pytest.mark.parametrize(
    ("method", "kind", "place"),
    [
        ("item/agentMessage/delta", "agentMessage", "text"),
        ("item/plan/delta", "plan", "text"),
        ("item/reasoning/summaryTextDelta", "reasoning", "text"),
        ("item/reasoning/textDelta", "reasoning", "output"),
        ("item/commandExecution/outputDelta", "commandExecution", "output"),
        ("item/fileChange/outputDelta", "fileChange", "output"),
    ],
)
def test_deltas_add_up_in_their_place(method: str, kind: str, place: str) -> None:
    """Each sort of delta has its item kind and its text; an item needs no start to be known."""
    state = folded(delta("Hel", method=method), delta("lo", method=method), delta("", method=method))
    item = item_of(state)
    assert (item.kind, item.status, getattr(item, place), item.last_seq) == (kind, "open", "Hello", 3)
    assert item.text + item.output == "Hello"
    assert (turn_of(state).last_seq, thread_of(state).last_seq) == (3, 3)


def test_both_texts_of_a_reasoning_item_grow_side_by_side() -> None:
    """Summary parts are parted by an empty line; the raw text is apart from them."""
    state = folded(
        about("item/reasoning/summaryPartAdded", itemId=ITEM, summaryIndex=0),
        delta("one", method="item/reasoning/summaryTextDelta"),
        delta("raw", method="item/reasoning/textDelta"),
        about("item/reasoning/summaryPartAdded", itemId=ITEM, summaryIndex=1),
        delta("two", method="item/reasoning/summaryTextDelta"),
    )
    assert (item_of(state).text, item_of(state).output) == ("one\n\ntwo", "raw")


def test_progress_of_a_tool_is_its_output() -> None:
    """Each message is a line."""
    state = folded(
        about("item/mcpToolCall/progress", itemId=ITEM, message="10 %"),
        about("item/mcpToolCall/progress", itemId=ITEM, message="20 %"),
        about("item/mcpToolCall/progress", itemId=ITEM, message=None),
    )
    assert (item_of(state).kind, item_of(state).output) == ("mcpToolCall", "10 %\n20 %\n")


def test_the_end_of_a_command_corrects_its_output() -> None:
    """The server loses output deltas on the way; the aggregated output is the truth, and later deltas are late."""
    state = folded(
        item_message("started", "commandExecution"),
        delta("second\n", method="item/commandExecution/outputDelta"),
        item_message("completed", "commandExecution", aggregatedOutput="first\nsecond\n"),
        delta("late", method="item/commandExecution/outputDelta"),
    )
    assert item_of(state).output == "first\nsecond\n"


def test_a_command_without_a_last_word_keeps_what_was_streamed() -> None:
    """An interrupted command tells no aggregated output."""
    state = folded(
        delta("streamed", method="item/commandExecution/outputDelta"),
        item_message("completed", "commandExecution", aggregatedOutput=None),
    )
    assert item_of(state).output == "streamed"


def test_an_item_id_may_repeat_in_another_turn() -> None:
    """Item ids are the model's call ids and not unique: the turn tells them apart, also within one run of deltas."""
    state = folded(delta("a", turn="1"), delta("b", turn="2"), delta("c", turn="1"))
    assert turn_of(state, "1").items[ITEM].text == "ac"
    assert turn_of(state, "2").items[ITEM].text == "b"


def test_a_long_line_is_not_kept_but_its_content_is() -> None:
    """The bound on lines costs the JSON of the item, not its text or status."""
    limits = StateLimits(line_bytes=300, text_bytes=100)
    item = item_of(folded(item_message("completed", "agentMessage", text="x" * 500), limits=limits))
    assert (item.status, item.text, item.truncated, item.completed) == ("completed", "x" * 100, True, None)


# -- turns -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["completed", "interrupted", "failed", "somethingNew"])
def test_a_turn_ends_as_the_server_says(status: str) -> None:
    """The status of ``turn/completed`` counts, with its error and its times."""
    error = {"message": "m", "codexErrorInfo": "other"} if status == "failed" else None
    start = turn_message("started", status="inProgress", startedAt=5)
    projection = Projection()
    projection.fold(told(start))
    assert (thread_of(projection.snapshot()).active_turn, turn_of(projection.snapshot()).status) == (TURN, "inProgress")
    projection.fold(told(turn_message("completed", status=status, error=error, completedAt=7), seq=2))
    turn = turn_of(projection.snapshot())
    assert (turn.status, turn.error, turn.started_at, turn.completed_at) == (status, error, 5.0, 7.0)
    assert thread_of(projection.snapshot()).active_turn is None


def test_items_that_the_server_forgets_are_closed_with_their_turn() -> None:
    """After an interrupt the server completes neither the message nor the command that were under way."""
    state = folded(
        turn_message("started"),
        item_message("started", "agentMessage", "1"),
        item_message("started", "commandExecution", "2"),
        item_message("completed", "agentMessage", "1"),
        turn_message("completed", status="interrupted"),
    )
    assert [item.status for item in turn_of(state).items.values()] == ["completed", "closed"]


def test_items_may_complete_after_their_turn() -> None:
    """A command in the background outlives its turn; one that starts then is never shown as open."""
    state = folded(
        turn_message("started"),
        item_message("started", "commandExecution", "1"),
        turn_message("completed", status="completed"),
        item_message("completed", "commandExecution", "1", aggregatedOutput="done"),
        item_message("started", "commandExecution", "2"),
    )
    assert [item.status for item in turn_of(state).items.values()] == ["completed", "closed"]
    assert turn_of(state).items["1"].output == "done"


def test_a_review_is_one_turn_though_it_starts_under_a_second_id() -> None:
    """The start names another id than the items and the end do, with the real one as its root."""
    messages = [
        item_message("started", "enteredReviewMode"),
        turn_message("started", turn="second", rootTurnId=TURN),
        turn_message("completed", status="completed", rootTurnId=TURN),
    ]
    assert thread_of(folded(*messages[:2])).active_turn == TURN
    state = folded(*messages)
    assert list(thread_of(state).turns) == [TURN]
    assert (thread_of(state).active_turn, turn_of(state).status) == (None, "completed")


def test_threads_that_were_never_announced_are_taken() -> None:
    """A sub-agent's messages come under a thread id that nothing has started."""
    state = folded(turn_message("started", thread="child", rootTurnId="of another thread"))
    assert state.threads["child"].active_turn == TURN


def test_trouble_that_is_retried_shows_until_the_turn_ends() -> None:
    """An error without end is visible while it lasts."""
    trouble = {"message": "Reconnecting... waiting for network"}
    messages = [turn_message("started"), about("error", error=trouble, willRetry=True)]
    assert turn_of(folded(*messages)).error == trouble
    assert turn_of(folded(*messages, turn_message("completed", status="completed"))).error is None


def test_the_end_of_a_generation_loses_what_ran() -> None:
    """Running turns are lost, their items closed, requests gone; what had ended stays as it was."""
    projection = Projection()
    projection.fold(
        told(
            turn_message("completed", turn="before", status="completed"),
            turn_message("started"),
            delta("partial"),
            turn_message("started", thread="other"),
        )
    )
    projection.end_generation()
    state = projection.snapshot()
    assert [turn.status for turn in thread_of(state).turns.values()] == ["completed", "lost"]
    assert (item_of(state).status, item_of(state).text) == ("closed", "partial")
    assert (thread_of(state).active_turn, state.threads["other"].active_turn) == (None, None)
    projection.end_generation()
    assert projection.snapshot() is state


# -- threads -----------------------------------------------------------------------------------------------------------


def test_a_thread_is_described_by_what_was_told_last() -> None:
    """Name, status, model, folder, diff, plan, usage and goal all come from their own messages."""
    state = folded(
        (
            "thread/started",
            {"thread": {"id": THREAD, "name": None, "model": "m1", "cwd": "/w1", "status": {"type": "idle"}}},
        ),
        about("thread/status/changed", status={"type": "active", "activeFlags": ["waitingOnApproval", 3]}),
        about("thread/name/updated", threadName="My thread"),
        about("thread/settings/updated", threadSettings={"model": "m2", "cwd": "/w2"}),
        about("turn/diff/updated", diff="--- a\n+++ b\n"),
        about("turn/plan/updated", plan=[{"step": "s", "status": "pending"}], explanation=None),
        about("thread/tokenUsage/updated", tokenUsage={"total": {"totalTokens": 120}}),
        about("thread/goal/updated", goal={"objective": "o"}),
        ("account/rateLimits/updated", {"rateLimits": {"limitId": "codex"}}),
    )
    thread = thread_of(state)
    assert (thread.name, thread.status, thread.active_flags) == ("My thread", "active", ("waitingOnApproval",))
    assert (thread.model, thread.cwd, thread.diff) == ("m2", "/w2", "--- a\n+++ b\n")
    assert thread.plan == [{"step": "s", "status": "pending"}]
    assert thread.usage == {"total": {"totalTokens": 120}}
    assert thread.goal == {"objective": "o"}
    assert state.rate_limits == {"limitId": "codex"}
    assert not thread.turns


@pytest.mark.parametrize("left", ["archived", "closed", "deleted", "reverted"])
def test_leaving_a_thread(left: str) -> None:
    """Archived is a flag, closed loses its turns, reverted forgets ended ones, deleted forgets all."""
    messages = [turn_message("completed", turn="1", status="completed"), turn_message("started", turn="2")]
    threads = folded(*messages, (f"thread/{left}", {"threadId": THREAD})).threads
    if left == "deleted":
        assert not threads
        return
    thread = threads[THREAD]
    turns = {"archived": ["completed", "inProgress"], "closed": ["completed", "lost"], "reverted": ["inProgress"]}
    assert [turn.status for turn in thread.turns.values()] == turns[left]
    assert thread.archived == (left == "archived")
    assert (thread.status == "notLoaded") == (left == "closed")


def test_leaving_can_be_undone_and_needs_a_known_thread() -> None:
    """Unarchiving takes the flag back, a cleared goal is none; an unknown thread does not appear by leaving."""
    there = {"threadId": THREAD}
    state = folded(
        about("thread/goal/updated", goal={"objective": "o"}),
        ("thread/archived", there),
        ("thread/unarchived", there),
        ("thread/goal/cleared", there),
        ("thread/deleted", {"threadId": "nobody"}),
    )
    assert (thread_of(state).archived, thread_of(state).goal) == (False, None)
    assert list(state.threads) == [THREAD]


# -- connection and pending requests -----------------------------------------------------------------------------------


def test_pending_requests_come_and_go() -> None:
    """A snapshot asks which wait, once for each change, and keeps what it was told."""
    waiting: dict[str, PendingRequest] = {}
    asked: list[int] = []

    def pending() -> dict[str, PendingRequest]:
        asked.append(len(waiting))
        return dict(waiting)

    projection = Projection(pending=pending)
    assert projection.snapshot().pending == {}
    for ticket_id in "ab":
        waiting[ticket_id] = PendingRequest(ticket_id=ticket_id, method="ask")
        projection.pending_changed()
    first = projection.snapshot()
    assert (list(first.pending), projection.snapshot() is first) == (["a", "b"], True)
    del waiting["a"]
    projection.pending_changed()
    assert (list(projection.snapshot().pending), list(first.pending)) == (["b"], ["a", "b"])
    assert asked == [2, 1]


def test_the_connection_is_shown() -> None:
    """A change of the connection is a new snapshot that shares all threads; the same again is none."""
    projection = Projection()
    projection.fold(told(delta("a")))
    before = projection.snapshot()
    projection.set_connection(Connection("running", 1, None))
    after = projection.snapshot()
    projection.set_connection(Connection("running", 1, None))
    assert projection.snapshot() is after
    assert (after.connection, after.threads is before.threads) == (Connection("running", 1, None), True)


def test_what_names_nothing_usable_changes_nothing() -> None:
    """Messages without their ids, and values of another type, are passed over."""
    state = folded(
        ("item/started", {}),
        ("item/completed", {"item": {"id": ITEM}}),
        ("turn/started", {}),
        ("turn/completed", {"threadId": THREAD}),
        ("error", {"error": {}}),
        ("thread/started", {"thread": 5}),
        ("thread/status/changed", {}),
        ("thread/tokenUsage/updated", {}),
    )
    assert not state.threads
    odd = folded(about("thread/status/changed", status="idle"), about("thread/settings/updated", threadSettings=[]))
    assert (thread_of(odd).status, thread_of(odd).model) == (None, None)


# -- sharing -----------------------------------------------------------------------------------------------------------


def test_without_a_change_a_snapshot_is_the_identical_object() -> None:
    """Messages that mean nothing to the state change nothing."""
    projection = Projection()
    projection.fold(told(delta("a")))
    state = projection.snapshot()
    projection.fold(
        told(
            ("warning", {"threadId": THREAD, "message": "m"}), ("thread/realtime/item/transcript/delta", {"delta": "x"})
        )
    )
    projection.fold([])
    assert projection.snapshot() is state


def test_what_did_not_change_keeps_its_identity() -> None:
    """One delta makes a new item, turn, thread and state; everything beside them is shared, and the old stays old."""
    projection = Projection()
    projection.fold(
        told(
            delta("a", "1"),
            delta("b", "2"),
            delta("c", "1", turn="old"),
            ("thread/started", {"thread": {"id": "other"}}),
        )
    )
    before = projection.snapshot()
    projection.fold(told(delta("!", "2"), seq=9))
    after = projection.snapshot()
    assert (item_of(before, "2").text, item_of(after, "2").text) == ("b", "b!")
    assert item_of(after, "1") is item_of(before, "1")
    assert turn_of(after, "old") is turn_of(before, "old")
    assert after.threads["other"] is before.threads["other"]
    assert turn_of(after) is not turn_of(before)


def test_a_snapshot_in_the_middle_of_a_run_does_not_stop_the_text() -> None:
    """The next delta after a snapshot must be seen by the next snapshot."""
    projection = Projection()
    texts = []
    for seq, piece in enumerate("abc"):
        projection.fold(told(delta(piece), seq=seq))
        texts.append(item_of(projection.snapshot()).text)
    assert texts == ["a", "ab", "abc"]


def test_text_for_a_turn_that_was_just_shed_begins_anew() -> None:
    """A run of deltas must not go on in a turn that the bound on all items has put away."""
    projection = Projection(StateLimits(total_bytes=10))
    projection.fold(told(delta("a" * 20)))
    assert not thread_of(projection.snapshot()).turns
    projection.fold(told(delta("b" * 20)))
    projection.fold(told(delta("c" * 5)))
    assert item_of(projection.snapshot()).text == "c" * 5


# -- for any sequence --------------------------------------------------------------------------------------------------

few = st.sampled_from(["1", "2", "3"])
DELTA_METHODS = ["item/agentMessage/delta", "item/reasoning/textDelta", "item/commandExecution/outputDelta"]
steps = st.one_of(
    st.builds(
        lambda method, thread, turn, item, text: about(method, thread=thread, turn=turn, itemId=item, delta=text),
        st.sampled_from(DELTA_METHODS), few, few, few, st.text(max_size=6),
    ),
    st.builds(
        lambda what, thread, turn, item, kind, text: about(
            f"item/{what}", thread=thread, turn=turn, item={"id": item, "type": kind, "text": text}
        ),
        st.sampled_from(["started", "completed"]), few, few, few, st.sampled_from(["agentMessage", "reasoning", "new"]), st.text(max_size=6),
    ),
    st.builds(
        lambda what, thread, turn, root: turn_message(what, turn=turn, thread=thread, rootTurnId=root, status="completed"),
        st.sampled_from(["started", "started", "completed"]), few, few, few,
    ),
    st.builds(
        lambda what, thread: (f"thread/{what}", {"threadId": thread}),
        st.sampled_from(["archived", "closed", "deleted", "reverted", "goal/cleared"]), few,
    ),
)  # fmt: skip
small = st.builds(
    StateLimits,
    threads=st.integers(1, 3),
    turns_per_thread=st.integers(1, 3),
    items_per_turn=st.integers(1, 3),
    text_bytes=st.integers(1, 12),
    output_bytes=st.integers(1, 12),
    line_bytes=st.integers(1, 400),
    total_bytes=st.integers(1, 2000),
)


@settings(max_examples=300)
@given(small, st.lists(st.lists(steps, max_size=8), max_size=12))
def test_limits_always_hold(limits: StateLimits, reads: list[list[tuple[str, dict[str, Any]]]]) -> None:
    """Whatever comes in whatever order: no level outgrows its limit, and running turns survive."""
    projection = Projection(limits)
    seq = 0
    for read in reads:
        projection.fold(told(*read, seq=seq))
        seq += len(read)
        state = projection.snapshot()
        assert len(state.threads) <= limits.threads
        for thread in state.threads.values():
            assert len(thread.turns) <= limits.turns_per_thread
            assert thread.active_turn is None or thread.turns[thread.active_turn].status == "inProgress"
            for turn in thread.turns.values():
                assert len(turn.items) <= limits.items_per_turn
                for item in turn.items.values():
                    assert byte_size(item.text) <= limits.text_bytes
                    assert byte_size(item.output) <= limits.output_bytes
                    assert len(item.completed_line or b"") <= limits.line_bytes
                    assert turn.status == "inProgress" or item.status != "open"
        assert weight(state) <= limits.total_bytes or all(
            turn.id == thread.active_turn for thread in state.threads.values() for turn in thread.turns.values()
        )


def weight(state: RuntimeState) -> int:
    """Add up what all items hold."""
    return sum(
        byte_size(item.text) + byte_size(item.output) + len(item.started_line or b"") + len(item.completed_line or b"")
        for thread in state.threads.values()
        for turn in thread.turns.values()
        for item in turn.items.values()
    )


def test_a_completed_item_keeps_its_kind() -> None:
    """Whoever looks in between changes nothing: what completed it is read late, and by its kind."""
    item = {"id": ITEM, "type": "agentMessage", "text": "all of it"}
    again = {"id": ITEM, "type": "reasoning", "text": ""}
    for looks in (False, True):
        projection = Projection()
        projection.fold(told(about("item/completed", item=item)))
        if looks:
            projection.snapshot()
        projection.fold(told(about("item/started", item=again)))
        assert (item_of(projection.snapshot()).kind, item_of(projection.snapshot()).text) == (
            "agentMessage",
            "all of it",
        )


@settings(max_examples=300, deadline=None)
@given(small, st.lists(st.tuples(steps, st.booleans(), st.booleans()), max_size=60))
def test_a_snapshot_is_what_a_fold_from_scratch_gives(
    limits: StateLimits, script: list[tuple[tuple[str, dict[str, Any]], bool, bool]]
) -> None:
    """However reads are cut and whenever somebody looks, the state is the same as with neither."""
    limits = StateLimits(**{**{name: getattr(limits, name) for name in limits.__slots__}, "total_bytes": 1_000_000})
    envelopes = told(*(step for step, _, _ in script))
    projection, read = Projection(limits), []
    for envelope, (_, ends_read, looks) in zip(envelopes, script, strict=True):
        read.append(envelope)
        if ends_read:
            projection.fold(read)
            read = []
            if looks:
                projection.snapshot()
    projection.fold(read)
    naive = Projection(limits)
    for envelope in envelopes:
        naive.fold([envelope])
        naive.snapshot()
    at_once = Projection(limits)
    at_once.fold(envelopes)
    assert projection.snapshot() == naive.snapshot() == at_once.snapshot()


@given(st.lists(steps, max_size=40))
def test_every_text_is_the_sum_of_its_deltas(script: list[tuple[str, dict[str, Any]]]) -> None:
    """Against a model of ten lines: deltas add up per item and place until the item completes."""
    model: dict[tuple[str, ...], str] = {}
    deltas = [step for step in script if "delta" in step[1]]
    for method, params in deltas:
        place = "text" if method == "item/agentMessage/delta" else "output"
        key = (params["threadId"], params["turnId"], params["itemId"], place)
        model[key] = model.get(key, "") + params["delta"]
    state = folded(*deltas)
    for (thread, turn, item, place), text in model.items():
        assert getattr(state.threads[thread].turns[turn].items[item], place) == text


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(st.characters(codec=None), max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["id", "type", "text", "status", "turn", "x"]), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip
PARAM_NAMES = ["threadId", "turnId", "itemId", "delta", "item", "turn", "thread", "status", "plan", "message", "error"]


@settings(max_examples=400)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([*sorted(str(name) for name in Projection._ROADS), "unknown", ""]),
            st.dictionaries(st.sampled_from(PARAM_NAMES), anything | few, max_size=6) | anything,
        ),
        max_size=6,
    )
)
def test_no_json_makes_it_raise(messages: list[tuple[str, Any]]) -> None:
    """Known methods with any parameters at all: folded or ignored, and every property of the result can be read."""
    projection = Projection()
    projection.fold(told(*messages))
    state = projection.snapshot()
    assert isinstance(state.rate_limits, object)
    for thread in state.threads.values():
        assert isinstance((thread.plan, thread.usage, thread.goal), tuple)
        for turn in thread.turns.values():
            assert isinstance((turn.error, [(i.started, i.completed) for i in turn.items.values()]), tuple)
