"""The tree of threads, turns and items behind the state, within its limits.

It finds or makes nodes, notes what was touched, and evicts the oldest when there is no room: never a thread whose turn
runs, never the turn that runs. Each step costs the same however much is kept. What a message *means* is not its
business.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TypeGuard

from codex_runtime._sansio.state import Evicted, StateLimits, ThreadState
from codex_runtime._sansio.state_nodes import Book, ItemNode, ThreadNode, TurnNode

__all__ = ["StateTree"]

LONGEST_NOTE = 65_536  # bytes; real ones have a few hundred
LONGEST_ID = 512  # Real ids have 36 to 60 characters. A key cannot be cut, so an absurd one is not taken.


class StateTree:
    """Threads, their turns, their items. ``on_turn_end`` is called whenever a turn has ended."""

    def __init__(self, limits: StateLimits, on_turn_end: Callable[[], object] | None = None) -> None:
        self.limits = limits
        self.threads: OrderedDict[str, ThreadNode] = OrderedDict()
        self._on_turn_end = on_turn_end
        self._evicted = [0, 0, 0, 0, 0]  # threads, turns, items, refused, notes
        self.weight = 0
        self._idle: OrderedDict[str, ThreadNode] = OrderedDict()  # threads without a running turn, oldest touch first
        self._spare: OrderedDict[TurnNode, None] = OrderedDict()  # turns that are not the running one, oldest first
        self._frozen: Mapping[str, ThreadState] | None = None

    @property
    def evicted(self) -> Evicted:
        """What the limits cost so far."""
        return Evicted(*self._evicted)

    @evicted.setter
    def evicted(self, evicted: Evicted) -> None:
        self._evicted = [evicted.threads, evicted.turns, evicted.items, evicted.refused, evicted.notes]

    @property
    def changed(self) -> bool:
        """True if something was touched since the last :meth:`freeze`."""
        return self._frozen is None

    def freeze(self) -> Mapping[str, ThreadState]:
        """Return the values of all threads, sharing what did not change."""
        if self._frozen is None:
            self._frozen = MappingProxyType({key: node.frozen or node.freeze() for key, node in self.threads.items()})
        return self._frozen

    # -- find or make ----------------------------------------------------------------------------------------------

    def thread(self, thread_id: str | None, seq: int) -> ThreadNode | None:
        """Find or make a thread, and touch it; ``None`` when it is not named or there is no room for it."""
        if not _is_id(thread_id):
            return None
        thread = self.threads.get(thread_id)
        if thread is None:
            if len(self.threads) >= self.limits.threads and not self._evict_thread():
                self._refuse()
                return None
            thread = self.threads[thread_id] = self._idle[thread_id] = ThreadNode(thread_id)
        elif thread.active is None:
            self._idle.move_to_end(thread_id)
        thread.last_seq = seq
        thread.frozen = self._frozen = None
        return thread

    def turn(self, thread_id: str | None, turn_id: str | None, seq: int) -> TurnNode | None:
        """Find or make a turn, and touch it and its thread. One that is new here is taken to be under way."""
        if not _is_id(turn_id) or (thread := self.thread(thread_id, seq)) is None:
            return None
        turn = thread.turns.get(turn_id)
        if turn is None:
            if len(thread.turns) >= self.limits.turns_per_thread and not self._evict_turn_of(thread):
                self._refuse()
                return None
            turn = thread.turns[turn_id] = thread.open[turn_id] = TurnNode(turn_id, thread)
            self._spare[turn] = None
        turn.last_seq = seq
        turn.frozen = None
        return turn

    def item(self, thread_id: str | None, turn_id: str | None, item_id: str | None, seq: int) -> ItemNode | None:
        """Find or make an item, and touch it, its turn and its thread. In an ended turn it is not open."""
        if not _is_id(item_id) or (turn := self.turn(thread_id, turn_id, seq)) is None:
            return None
        item = turn.items.get(item_id)
        if item is None:
            if len(turn.items) >= self.limits.items_per_turn:
                _, oldest = turn.items.popitem(last=False)
                turn.open_items.pop(oldest.id, None)
                self.weigh(oldest, -oldest.weight)
                self._evicted[2] += 1
            item = turn.items[item_id] = ItemNode(item_id, turn, self.limits)
            if turn.is_open:
                item.status = "open"
                turn.open_items[item_id] = item
        item.last_seq = seq
        item.frozen = None
        return item

    def weigh(self, item: ItemNode, added: int) -> None:
        """Note that an item holds so many bytes more."""
        item.weight += added
        item.turn.weight += added
        self.weight += added

    def note(self, book: Book, name: object, line: bytes | None) -> int:
        """Keep a note, or take it out; one that is too long is taken out. Returns how many bytes more the book holds."""
        if not isinstance(name, str) or not _is_id(name):
            return 0
        before = book.weight
        kept = line if line is not None and len(line) <= LONGEST_NOTE else None
        self._evicted[4] += book.put(name, kept, self.limits.notes)
        return book.weight - before

    def note_of_turn(self, turn: TurnNode, book: Book, name: object, line: bytes) -> None:
        """Keep a note of a turn, which weighs as much more."""
        added = self.note(book, name, line)
        turn.weight += added
        self.weight += added

    # -- the life of a turn ----------------------------------------------------------------------------------------

    def begin_turn(self, turn: TurnNode) -> None:
        """Make a turn the running one of its thread."""
        thread = turn.thread
        if not turn.is_open:
            turn.status = "inProgress"
            thread.open[turn.id] = turn
        if thread.active is turn:
            return
        if thread.active is not None:
            self._spare[thread.active] = None
        thread.active = turn
        self._spare.pop(turn, None)
        self._idle.pop(thread.id, None)

    def end_turn(self, turn: TurnNode, status: str) -> None:
        """End a turn. The server does not complete all its items, so those still open are closed here."""
        thread = turn.thread
        turn.status = status
        turn.frozen = thread.frozen = self._frozen = None
        thread.open.pop(turn.id, None)
        for item in turn.open_items.values():
            item.status, item.frozen = "closed", None
        turn.open_items.clear()
        if thread.active is turn:
            thread.active = None
            self._idle[thread.id] = thread
            self._spare[turn] = None
        if self._on_turn_end is not None:
            self._on_turn_end()

    def unload(self, thread: ThreadNode, status: str | None) -> None:
        """Take that no server has a thread open any more: its turns are lost, and so is what only lived there."""
        for turn in list(thread.open.values()):
            self.end_turn(turn, "lost")
        if (thread.status, thread.active_flags, thread.environments, thread.realtime) != (status, (), (), None):
            thread.status, thread.active_flags, thread.environments, thread.realtime = status, (), (), None
            thread.frozen = self._frozen = None
        if thread.mcp_servers.lines:
            thread.mcp_servers = Book()
            thread.frozen = self._frozen = None

    # -- forget ----------------------------------------------------------------------------------------------------

    def shed(self) -> bool:
        """Forget whole turns, oldest first, until all items fit. Returns whether there was anything to forget."""
        if self.weight <= self.limits.total_bytes:
            return False
        while self.weight > self.limits.total_bytes and self._spare:
            self._evict_turn(next(iter(self._spare)))
        return True

    def drop_thread(self, thread: ThreadNode) -> None:
        """Forget a thread."""
        for turn in list(thread.turns.values()):
            self.drop_turn(turn)
        thread.active = None
        del self.threads[thread.id]
        self._idle.pop(thread.id, None)

    def drop_turn(self, turn: TurnNode) -> None:
        """Forget a turn."""
        thread = turn.thread
        del thread.turns[turn.id]
        thread.open.pop(turn.id, None)
        self._spare.pop(turn, None)
        self.weight -= turn.weight
        thread.frozen = self._frozen = None
        # Items name their turn. In a circle they would wait for the collector, which comes once in thousands of threads.
        turn.items.clear()
        turn.open_items.clear()

    def _evict_thread(self) -> bool:
        if not self._idle:
            return False
        self.drop_thread(next(iter(self._idle.values())))
        self._evicted[0] += 1
        return True

    def _evict_turn_of(self, thread: ThreadNode) -> bool:
        oldest = next((turn for turn in thread.turns.values() if turn is not thread.active), None)
        if oldest is not None:
            self._evict_turn(oldest)
        return oldest is not None

    def _evict_turn(self, turn: TurnNode) -> None:
        self.drop_turn(turn)
        self._evicted[1] += 1

    def _refuse(self) -> None:
        self._evicted[3] += 1
        self._frozen = None


def _is_id(value: str | None) -> TypeGuard[str]:
    return value is not None and 0 < len(value) <= LONGEST_ID
