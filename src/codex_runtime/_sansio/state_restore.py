"""Bring an earlier state back into the tree: what a program knew that has ended.

The server that told it is gone, so every turn that was open is lost and its items are closed, no thread is known to be
loaded, and nothing waits for an answer. The limits are those of now; what they have no room for goes by the usual rules.

The one idea: numbers of messages begin anew with each run of the program, so those that come back are moved below 0, all
by the same amount. They keep their order, and whatever comes now is later than any of them.
"""

from __future__ import annotations

from codex_runtime._sansio.state import ItemState, Notes, RuntimeState, ThreadState, TurnState
from codex_runtime._sansio.state_nodes import THREAD_BOOKS, THREAD_LINES, THREAD_WORDS, Book, ItemNode, TurnNode
from codex_runtime._sansio.state_text import Text
from codex_runtime._sansio.state_tree import StateTree

__all__ = ["restore"]

_TURN_BOOKS = ("hooks", "reviews", "told")


def restore(tree: StateTree, state: RuntimeState) -> None:
    """Bring back the threads of a state into a tree that is empty."""
    numbers = [thread.last_seq for thread in state.threads.values()]
    shift = max([0, *(number + 1 for number in numbers)])
    tree.evicted = state.evicted
    # Who was touched last is the last to be forgotten.
    for thread in sorted(state.threads.values(), key=lambda thread: thread.last_seq):
        _thread(tree, thread, shift)
    tree.shed()


def _thread(tree: StateTree, told: ThreadState, shift: int) -> None:
    thread = tree.thread(told.id, told.last_seq - shift)
    if thread is None:
        return
    for name in THREAD_WORDS:
        setattr(thread, name, getattr(told, name))
    for name in THREAD_LINES:
        setattr(thread, name, getattr(told, f"{name}_line"))
    for name in THREAD_BOOKS:
        _notes(tree, getattr(thread, name), getattr(told, name))
    for turn in told.turns.values():
        _turn(tree, thread.id, turn, shift)
    thread.last_seq = told.last_seq - shift
    thread.queue_seq = None if told.queue_seq is None else told.queue_seq - shift
    tree.unload(thread, None)


def _turn(tree: StateTree, thread_id: str, told: TurnState, shift: int) -> None:
    turn = tree.turn(thread_id, told.id, told.last_seq - shift)
    if turn is None:
        return
    turn.started_at, turn.completed_at, turn.duration = told.started_at, told.completed_at, told.duration
    turn.root, turn.error = told.root, told.error_json
    for name in _TURN_BOOKS:
        book: Book = getattr(turn, name)
        added = _notes(tree, book, getattr(told, name))
        turn.weight += added
        tree.weight += added
    for item in told.items.values():
        _item(tree, turn, item, shift)
    turn.last_seq = told.last_seq - shift
    tree.end_turn(turn, "lost" if told.status == "inProgress" else told.status)


def _item(tree: StateTree, turn: TurnNode, told: ItemState, shift: int) -> None:
    item = tree.item(turn.thread.id, turn.id, told.id, told.last_seq - shift)
    if item is None:
        return
    item.kind = told.kind
    item.started, item.completed, item.patch = told.started_line, told.completed_line, told.patch_line
    _text(item.text, told.text)
    _text(item.output, told.output)
    if told.stdin:
        item.stdin = Text(tree.limits.text_bytes)
        _text(item.stdin, told.stdin)
    _close(turn, item, told)
    tree.weigh(item, item.size())


def _close(turn: TurnNode, item: ItemNode, told: ItemState) -> None:
    turn.open_items.pop(item.id, None)
    item.status = "completed" if told.status == "completed" else "closed"
    if told.status == "completed":
        item.text.end()
        item.output.end()
    if told.truncated:
        # Of which of them is not told. The text of an item that was cut goes no further.
        item.text.end()
        item.text.truncated = True


def _text(text: Text, told: str) -> None:
    before = text.room
    text.add(told)
    text.book(before)


def _notes(tree: StateTree, book: Book, told: Notes) -> int:
    return sum(tree.note(book, name, line) for name, line in told.lines.items())
