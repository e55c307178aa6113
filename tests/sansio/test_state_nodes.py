"""Nodes: what they weigh, and that they give out one value until somebody changes them."""

from __future__ import annotations

from codex_runtime._sansio.state import NO_NOTES, StateLimits
from codex_runtime._sansio.state_nodes import Book, ItemNode, ThreadNode, TurnNode


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


def test_a_book_keeps_the_newest_notes_and_one_value_of_them() -> None:
    """The last of each name counts; beyond the bound the oldest goes; what is empty is the same for all."""
    book = Book()
    assert book.freeze() is NO_NOTES
    assert [book.put(name, line, 2) for name, line in (("a", b"1"), ("b", b"22"), ("a", b"333"))] == [False] * 3
    notes = book.freeze()
    assert (book.freeze() is notes, dict(notes.lines), book.weight) == (True, {"a": b"333", "b": b"22"}, 5)
    assert book.put("c", b"4", 2)
    assert (dict(book.freeze().lines), book.weight) == ({"b": b"22", "c": b"4"}, 3)
    for name in ("b", "c", "nobody"):
        book.put(name, None, 2)
    assert (book.freeze(), book.weight) == (NO_NOTES, 0)
    assert dict(notes.lines) == {"a": b"333", "b": b"22"}
