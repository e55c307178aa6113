"""What an earlier program knew, brought back: all that had ended as it was, the rest lost, every number below zero."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from codex_runtime._sansio.projection import Projection
from codex_runtime._sansio.state import NO_NOTES, Connection, RuntimeState, StateLimits, ThreadState, TurnState
from tests.sansio.states import fold_onto, folded, histories, patient, states

replace = msgspec.structs.replace


def restored(state: RuntimeState, limits: StateLimits | None = None) -> Projection:
    """Return a projection that begins with a state."""
    projection = Projection(limits)
    projection.restore(state)
    return projection


def expected(state: RuntimeState) -> RuntimeState:
    """Say plainly what has to come back."""
    shift = max([0, *(thread.last_seq + 1 for thread in state.threads.values())])

    def turn(told: TurnState) -> TurnState:
        items = {
            key: replace(
                item,
                status="completed" if item.status == "completed" else "closed",
                last_seq=item.last_seq - shift,
            )
            for key, item in told.items.items()
        }
        status = "lost" if told.status == "inProgress" else told.status
        return replace(told, items=items, status=status, last_seq=told.last_seq - shift)

    def thread(told: ThreadState) -> ThreadState:
        return replace(
            told,
            turns={key: turn(each) for key, each in told.turns.items()},
            status=None,
            active_turn=None,
            mcp_servers=NO_NOTES,
            last_seq=told.last_seq - shift,
            queue_seq=None if told.queue_seq is None else told.queue_seq - shift,
        )

    told = {key: line for key, line in state.told.lines.items() if key != "remoteControl/status/changed"}
    return replace(
        state,
        threads={key: thread(each) for key, each in state.threads.items()},
        connection=Connection(),
        pending={},
        mcp_servers=NO_NOTES,
        told=type(state.told)(told),
    )


@patient
@given(histories)
def test_what_had_ended_comes_back_as_it_was_and_the_rest_is_lost(history: list[tuple[str, Any]]) -> None:
    """Against a model that says it field by field."""
    state = folded(history).snapshot()
    assert restored(state).snapshot() == expected(state)


@patient
@given(histories, histories)
def test_nothing_that_comes_later_is_taken_for_old(before: list[tuple[str, Any]], after: list[tuple[str, Any]]) -> None:
    """Numbers begin at 0 again, and each part that is touched then has a higher one than all that came back."""
    projection = restored(folded(before, first_seq=1000).snapshot())
    old = projection.snapshot()
    assert all(seq < 0 for seq in _numbers(old))
    later = folded(after)
    fold_onto(projection, after)
    for thread_id, thread in later.snapshot().threads.items():
        found = projection.snapshot().threads[thread_id]
        assert found.last_seq >= 0
        for turn_id, turn in thread.turns.items():
            assert found.turns[turn_id].last_seq == turn.last_seq >= 0


def _numbers(state: RuntimeState) -> list[int]:
    threads = list(state.threads.values())
    turns = [turn for thread in threads for turn in thread.turns.values()]
    items = [item for turn in turns for item in turn.items.values()]
    return [each.last_seq for each in (*threads, *turns, *items)]


@patient
@given(histories)
def test_to_come_back_twice_is_to_come_back_once(history: list[tuple[str, Any]]) -> None:
    """A program in which nothing happened leaves the state to the next as it found it."""
    once = restored(folded(history, first_seq=500).snapshot()).snapshot()
    assert restored(once).snapshot() == once


@patient
@given(states)
def test_no_state_makes_it_raise(state: RuntimeState) -> None:
    """Also one that no projection came to: what has no usable id stays out."""
    projection = restored(state, StateLimits(threads=2, turns_per_thread=1, items_per_turn=1, notes=1, total_bytes=9))
    assert len(projection.snapshot().threads) <= 2
    projection.end_generation()


@patient
@given(histories, st.integers(1, 3), st.integers(1, 2))
def test_smaller_limits_hold_at_once(history: list[tuple[str, Any]], threads: int, turns: int) -> None:
    """Who was touched last stays, and what goes is counted with what went before."""
    state = folded(history).snapshot()
    limits = StateLimits(threads=threads, turns_per_thread=turns, items_per_turn=1, text_bytes=3)
    kept = restored(state, limits).snapshot()
    latest = sorted(state.threads.values(), key=lambda thread: thread.last_seq)[-threads:]
    assert set(kept.threads) == {thread.id for thread in latest}
    assert kept.evicted.threads == state.evicted.threads + len(state.threads) - len(kept.threads)
    for thread in kept.threads.values():
        assert len(thread.turns) <= turns
        for turn in thread.turns.values():
            assert all(len(item.text.encode("utf-8", "surrogatepass")) <= 3 for item in turn.items.values())


def test_text_of_a_lost_turn_goes_on_where_its_server_did() -> None:
    """A server that listens outlives the program; what it still says of that turn is added."""
    about = {"threadId": "t", "turnId": "u", "itemId": "i"}
    state = folded([("item/agentMessage/delta", {**about, "delta": "one "})]).snapshot()
    projection = restored(state)
    fold_onto(projection, [("item/agentMessage/delta", {**about, "delta": "two"})])
    turn = projection.snapshot().threads["t"].turns["u"]
    assert (turn.status, turn.items["i"].text, turn.items["i"].status) == ("lost", "one two", "closed")


def test_what_was_cut_stays_cut() -> None:
    """No later piece is put behind a hole."""
    about = {"threadId": "t", "turnId": "u", "itemId": "i"}
    history = [("item/agentMessage/delta", {**about, "delta": "12345"})]
    projection = restored(folded(history, StateLimits(text_bytes=3)).snapshot())
    fold_onto(projection, history)
    item = projection.snapshot().threads["t"].turns["u"].items["i"]
    assert (item.text, item.truncated) == ("123", True)
