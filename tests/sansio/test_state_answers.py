"""What answers tell that no notification does, and that order holds between the two."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codex_runtime._sansio.envelope import NO_STAMP, decode_lines
from codex_runtime._sansio.projection import TELLING, Projection
from codex_runtime._sansio.state import RuntimeState, StateLimits, ThreadState
from codex_runtime._sansio.state_answers import ANSWERS
from codex_runtime.protocol import registry

THREAD = "t"


class Talk:
    """A projection, and the messages of one read after another: notifications by name, answers by what was asked."""

    def __init__(self, limits: StateLimits | None = None) -> None:
        self.projection = Projection(limits)
        self._seq = 0

    def read(self, *parts: tuple[str, dict[str, Any]] | tuple[str, dict[str, Any], dict[str, Any]]) -> Talk:
        """Fold them as one read."""
        lines = [
            {"method": part[0], "params": part[1]} if len(part) == 2 else {"id": number, **part[2]}
            for number, part in enumerate(parts)
        ]
        envelopes = decode_lines([json.dumps(line).encode() for line in lines], self._seq, NO_STAMP)[0]
        self._seq += len(lines)
        answers = [(*part[:2], envelope) for part, envelope in zip(parts, envelopes, strict=True) if len(part) == 3]
        self.projection.fold_with_answers(envelopes, answers)  # type: ignore[arg-type]
        return self

    @property
    def state(self) -> RuntimeState:
        """The state as it is now."""
        return self.projection.snapshot()

    @property
    def thread(self) -> ThreadState:
        """The thread of the tests."""
        return self.state.threads[THREAD]


def resumed(*turns: dict[str, Any], **fields: Any) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """Name the answer to a resumption."""
    thread = {"id": THREAD, "turns": list(turns), **fields}
    return "thread/resume", {"threadId": THREAD}, {"result": {"thread": thread}}


def turn(turn_id: str, *items: dict[str, Any], status: str = "completed", **fields: Any) -> dict[str, Any]:
    """Make a turn as answers tell it."""
    return {"id": turn_id, "status": status, "items": list(items), "rootTurnId": turn_id, **fields}


def message(text: str, item_id: str = "i") -> dict[str, Any]:
    """Make an item."""
    return {"type": "agentMessage", "id": item_id, "text": text}


def queue(
    *names: str, cursor: str | None = None, after: str | None = None
) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """Name the answer to a look at the queue."""
    result = {"data": [{"id": name} for name in names], "nextCursor": after}
    return "thread/queue/list", {"threadId": THREAD, "cursor": cursor}, {"result": result}


CHANGED = ("thread/queue/changed", {"threadId": THREAD})


def test_a_resumed_thread_is_described_with_its_turns() -> None:
    """No notification announces it, and none repeats what happened before."""
    item = {"type": "commandExecution", "id": "c", "aggregatedOutput": "out", "status": "completed"}
    first = turn("1", message("hello"), item, startedAt=5, completedAt=7, durationMs=2000)
    second = turn("2", status="failed", error={"message": "m"})
    thread = Talk().read(resumed(first, second, name="n", parentThreadId="p", status={"type": "idle"})).thread
    assert (thread.name, thread.parent, thread.status) == ("n", "p", "idle")
    assert "turns" not in thread.details
    one, two = thread.turns.values()
    assert (one.status, one.started_at, one.completed_at, one.duration, one.root) == ("completed", 5, 7, 2.0, "1")
    assert [(each.status, each.text, each.output) for each in one.items.values()] == [
        ("completed", "hello", ""),
        ("completed", "", "out"),
    ]
    assert one.items["c"].completed == item
    assert (two.status, two.error) == ("failed", {"message": "m"})


def test_a_turn_that_runs_elsewhere_runs_here_too() -> None:
    """A server that listens outlives us; its running turn goes on after the resumption."""
    running = {"type": "commandExecution", "id": "c", "status": "inProgress"}
    talk = Talk().read(resumed(turn("1"), turn("2", message("done"), running, status="inProgress")))
    assert talk.thread.active_turn == "2"
    assert [item.status for item in talk.thread.turns["2"].items.values()] == ["completed", "open"]
    talk.read(("item/commandExecution/outputDelta", {"threadId": THREAD, "turnId": "2", "itemId": "c", "delta": "o"}))
    assert talk.thread.turns["2"].items["c"].output == "o"


def test_turns_stand_in_the_servers_order_and_our_own_record_stays() -> None:
    """Older ones that we did not know go before; what we saw ourselves says more than the summary."""
    talk = Talk().read(
        ("item/agentMessage/delta", {"threadId": THREAD, "turnId": "3", "itemId": "i", "delta": "ours"}),
        ("turn/completed", {"threadId": THREAD, "turn": {"id": "3", "status": "completed"}}),
        ("turn/started", {"threadId": THREAD, "turn": {"id": "9"}}),
    )
    talk.read(resumed(turn("1"), turn("2"), turn("3", message("theirs"))))
    assert list(talk.thread.turns) == ["1", "2", "3", "9"]
    assert talk.thread.turns["3"].items["i"].text == "ours"


def test_a_turn_that_we_lost_is_told_to_its_end() -> None:
    """If the server outlived it. One that was lost with its server stays lost, which it calls interrupted."""
    talk = Talk().read(("turn/started", {"threadId": THREAD, "turn": {"id": "1"}}))
    talk.read(("turn/started", {"threadId": THREAD, "turn": {"id": "2"}}))
    talk.projection.end_generation()
    talk.read(resumed(turn("1", message("whole")), turn("2", message("part"), status="interrupted")))
    assert [each.status for each in talk.thread.turns.values()] == ["completed", "lost"]
    assert [each.items["i"].text for each in talk.thread.turns.values()] == ["whole", "part"]


def test_limits_hold_for_long_histories() -> None:
    """The newest are kept."""
    turns = [turn(str(number), *(message("x", str(item)) for item in range(5))) for number in range(9)]
    thread = Talk(StateLimits(turns_per_thread=3, items_per_turn=2)).read(resumed(*turns)).thread
    assert list(thread.turns) == ["6", "7", "8"]
    assert {tuple(each.items) for each in thread.turns.values()} == {("3", "4")}


def test_what_waits_is_known_until_it_changes() -> None:
    """The server says that the queue changed, and what is in it when it is asked."""
    talk = Talk().read(queue("a", "b"))
    assert talk.thread.queue == [{"id": "a"}, {"id": "b"}]
    assert talk.read(CHANGED).thread.queue is None
    assert talk.read(queue()).thread.queue == []


def test_order_holds_within_one_read() -> None:
    """An answer before a change is out of date with it; one after it is not."""
    assert Talk().read(queue("a"), CHANGED).thread.queue is None
    assert Talk().read(CHANGED, queue("a")).thread.queue == [{"id": "a"}]
    name = ("thread/name/updated", {"threadId": THREAD, "threadName": "later"})
    assert Talk().read(resumed(name="earlier"), name).thread.name == "later"
    assert Talk().read(name, resumed(name="latest")).thread.name == "latest"


def test_a_page_of_the_queue_is_not_the_queue() -> None:
    """Neither the first of several nor a later one."""
    assert THREAD not in Talk().read(queue("a", after="x")).state.threads
    assert THREAD not in Talk().read(queue("a", cursor="x")).state.threads


def test_goals_and_rate_limits_can_be_asked_for() -> None:
    """No goal is none."""
    asked = {"threadId": THREAD}
    talk = Talk().read(("thread/goal/get", asked, {"result": {"goal": {"objective": "o"}}}))
    assert talk.thread.goal == {"objective": "o"}
    assert talk.read(("thread/goal/get", asked, {"result": {"goal": None}})).thread.goal is None
    talk.read(("account/rateLimits/read", {}, {"result": {"rateLimits": {"limitId": "codex"}}}))
    assert talk.state.rate_limits == {"limitId": "codex"}


@pytest.mark.parametrize(
    "line",
    [rb'{"id":1,"result":{"rateLimits":"\q"}}', b'{"id":1,"result":7}', b'{"id":1,"result":', b'{"id":1}'],
    ids=["broken within", "no object", "torn", "empty"],
)
@pytest.mark.parametrize("method", sorted(TELLING))
def test_an_answer_that_cannot_be_read_tells_nothing(method: str, line: bytes) -> None:
    """What is known stays, and nothing broken is kept."""
    talk = Talk().read(("account/rateLimits/updated", {"rateLimits": {"limitId": "codex"}}))
    before = talk.state
    envelopes = decode_lines([line], 1, NO_STAMP)[0]
    talk.projection.fold_with_answers(envelopes, [(method, {"threadId": THREAD}, envelopes[0])])
    assert talk.state is before


def test_a_refusal_tells_nothing() -> None:
    """Whatever was asked."""
    refusals = [(method, {"threadId": THREAD}, {"error": {"code": 1, "message": "no"}}) for method in sorted(TELLING)]
    talk = Talk()
    before = talk.state
    assert talk.read(*refusals).state is before


def test_the_methods_exist_and_answer_as_we_read_them() -> None:
    """Those that tell of a thread hold one."""
    asked = {method: registry.get(method) for method in TELLING}
    assert [name for name, method in asked.items() if method is None] == []
    threads = {name for name, take in ANSWERS.items() if take.__name__ == "_thread"}
    results = {method.name: method.result for method in asked.values() if method is not None and method.name in threads}
    assert [name for name, result in results.items() if "thread" not in getattr(result, "__struct_fields__", ())] == []


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None), max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["id", "turns", "items", "status", "error", "startedAt", "thread"]), inner, max_size=4
        )
    ),
    max_leaves=9,
)


@given(st.sampled_from(sorted(TELLING)), anything, anything, st.sampled_from(["t", None, 5]))
def test_no_answer_makes_it_raise(method: str, turns: Any, result: Any, thread_id: Any) -> None:
    """Whatever shape it has."""
    results = [result, {"thread": {"id": thread_id, "turns": turns}}, {"thread": {"id": "t", "turns": [turns]}}]
    results.append({"thread": {"id": "t", "turns": [{"id": "u", "items": turns}, {"id": "v", "items": [turns]}]}})
    talk = Talk()
    for each in results:
        talk.read((method, {"threadId": thread_id}, {"result": each}), (method, None, {"result": each}))  # type: ignore[arg-type]
    for thread in talk.state.threads.values():
        assert isinstance((thread.details, thread.queue, [one.error for one in thread.turns.values()]), tuple)


@pytest.mark.parametrize("limit", [1, 100_000])
def test_long_documents_keep_to_their_limit(limit: int) -> None:
    """As those of notifications do."""
    talk = Talk(StateLimits(text_bytes=limit)).read(queue("a"), resumed(turn("1", error={"m": "x"}), name="n"))
    kept = limit > 1
    assert (talk.thread.queue is not None, talk.thread.details is not None) == (kept, kept)
    assert (talk.thread.turns["1"].error is not None) == kept
