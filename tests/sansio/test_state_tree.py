"""The tree of threads, turns and items keeps its limits, and who may be evicted."""

from __future__ import annotations

import gc

from codex_runtime._sansio.state import Evicted, StateLimits
from codex_runtime._sansio.state_nodes import ItemNode, ThreadNode, TurnNode
from codex_runtime._sansio.state_tree import LONGEST_ID, StateTree


def test_the_thread_that_was_touched_longest_ago_goes_first() -> None:
    """Eviction is by last touch, not by age."""
    tree = StateTree(StateLimits(threads=2))
    for seq, thread_id in enumerate(["a", "b", "a", "c"]):
        tree.thread(thread_id, seq)
    assert list(tree.threads) == ["a", "c"]
    assert tree.evicted == Evicted(threads=1)


def test_a_thread_whose_turn_runs_is_never_evicted() -> None:
    """When every thread runs a turn, the newcomer is refused and counted."""
    tree = StateTree(StateLimits(threads=2))
    for thread_id in ("a", "b"):
        turn = tree.turn(thread_id, "u", 1)
        assert turn is not None
        tree.begin_turn(turn)
    assert tree.thread("c", 2) is None
    assert tree.evicted == Evicted(refused=1)
    tree.end_turn(tree.threads["b"].turns["u"], "completed")
    assert tree.thread("c", 3) is not None
    assert list(tree.threads) == ["a", "c"]


def test_the_running_turn_is_never_evicted() -> None:
    """Older ended turns go; if there is none, the newcomer is refused."""
    tree = StateTree(StateLimits(turns_per_thread=2))
    running = tree.turn("t", "running", 1)
    assert running is not None
    tree.begin_turn(running)
    for n in range(3):
        tree.turn("t", f"u{n}", n + 2)
    assert list(tree.threads["t"].turns) == ["running", "u2"]
    assert tree.evicted == Evicted(turns=2)
    full = StateTree(StateLimits(turns_per_thread=1))
    turn = full.turn("t", "running", 1)
    assert turn is not None
    full.begin_turn(turn)
    assert full.turn("t", "other", 2) is None
    assert full.evicted == Evicted(refused=1)


def test_the_oldest_item_of_a_turn_goes_first() -> None:
    """A turn of many items keeps the newest, and their weight is what remains."""
    tree = StateTree(StateLimits(items_per_turn=2))
    for n in range(4):
        item = tree.item("t", "u", f"i{n}", n)
        assert item is not None
        tree.weigh(item, 10)
    assert list(tree.threads["t"].turns["u"].items) == ["i2", "i3"]
    assert (tree.weight, tree.evicted) == (20, Evicted(items=2))


def test_whole_turns_are_shed_until_everything_fits() -> None:
    """The bound on all items together spares only turns that run."""
    tree = StateTree(StateLimits(total_bytes=100))
    for n, thread_id in enumerate("abc"):
        item = tree.item(thread_id, "u", "i", n)
        assert item is not None
        tree.weigh(item, 60)
    running = tree.threads["a"].turns["u"]
    tree.begin_turn(running)
    assert tree.shed()
    assert tree.weight == 60
    assert list(tree.threads["a"].turns) == ["u"]
    assert not tree.threads["b"].turns
    assert not tree.threads["c"].turns
    assert not tree.shed()


def test_what_is_forgotten_is_freed_at_once() -> None:
    """A thread, its turns and their items name each other; what waits for the collector looks like a leak for hours."""
    tree = StateTree(StateLimits(threads=1, turns_per_thread=2, items_per_turn=2))
    gc.collect()
    gc.disable()
    try:
        before = sum(isinstance(each, ThreadNode | TurnNode | ItemNode) for each in gc.get_objects())
        for seq, thread_id in enumerate("abc"):
            for turn_id in "123":
                for item_id in "xyz":
                    tree.item(thread_id, turn_id, item_id, seq)
                tree.end_turn(tree.threads[thread_id].turns[turn_id], "completed")
        running = tree.turn("c", "4", 4)
        assert running is not None
        tree.begin_turn(running)
        tree.drop_thread(tree.threads["c"])
        del running
        after = sum(isinstance(each, ThreadNode | TurnNode | ItemNode) for each in gc.get_objects())
    finally:
        gc.enable()
    assert after == before
    assert not tree.threads


def test_a_second_start_in_a_thread_leaves_one_running_turn() -> None:
    """The turn before it may be evicted from then on, and may be begun again."""
    tree = StateTree(StateLimits())
    first, second = tree.turn("t", "1", 1), tree.turn("t", "2", 2)
    assert first is not None
    assert second is not None
    tree.begin_turn(first)
    tree.begin_turn(first)
    tree.begin_turn(second)
    assert tree.threads["t"].active is second
    tree.end_turn(second, "completed")
    tree.begin_turn(second)
    assert (second.status, tree.threads["t"].active) == ("inProgress", second)


def test_what_has_no_usable_id_is_not_taken() -> None:
    """Missing, empty and absurd ids change nothing."""
    tree = StateTree(StateLimits())
    tree.freeze()
    for bad in (None, "", "x" * (LONGEST_ID + 1)):
        assert tree.thread(bad, 1) is None
        assert tree.turn("t", bad, 1) is None
        assert tree.item("t", "u", bad, 1) is None
    assert not tree.changed
    assert not tree.threads
