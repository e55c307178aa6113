"""What stands in a journal: one entry for each message, and marks where a run begins or ends or something was missed."""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec
from msgspec import Struct

from codex_runtime._sansio.envelope import DECODE_ERRORS, Direction, Envelope, JsonValue, Kind, Stamp, loads
from codex_runtime.runtime import Gap
from codex_runtime.runtime._jsonl import envelope_of

__all__ = ["Entry", "EntryKind", "Mark"]

Mark: TypeAlias = Literal["opened", "closed", "gap", "pruned"]
EntryKind: TypeAlias = Literal[Kind, Mark]


class Entry(Struct, frozen=True, gc=False):
    """One entry of a journal.

    ``cursor`` is its place: it rises by one from entry to entry, over all runs. ``run`` tells the openings of runtimes
    apart (it is the cursor of the entry ``opened``), and ``seq`` is the number of the message in its run. ``line`` is the
    message as it was on the wire, with its newline.

    ``kind`` is the kind of the message, or of the mark: ``opened`` and ``closed`` are the ends of a run (without a
    ``closed``, the program died), ``gap`` says that messages are missing here (:attr:`gap`), and ``pruned`` that whoever
    follows has been overtaken by the retention.
    """

    cursor: int
    run: int
    seq: int
    generation: int
    at: float
    direction: Direction
    kind: EntryKind
    method: str | None
    thread_id: str | None
    turn_id: str | None
    item_id: str | None
    too_long: int | None
    line: bytes

    @property
    def message(self) -> JsonValue:
        """The message as plain JSON values, decoded on each use; ``None`` where there is none."""
        try:
            return loads(self.line) if self.line else None
        except DECODE_ERRORS:
            return None

    @property
    def envelope(self) -> Envelope | None:
        """The message as it was handed to subscribers; ``None`` for a mark."""
        if self.kind in ("opened", "closed", "gap", "pruned"):
            return None
        stamp = Stamp(self.generation, self.at, self.at, self.direction)
        return envelope_of(self.line, self.seq, stamp, too_long=self.too_long)

    @property
    def gap(self) -> Gap | None:
        """What is missing here, for an entry of that kind."""
        return msgspec.json.decode(self.line, type=Gap) if self.kind == "gap" else None

    def __repr__(self) -> str:
        """Show the place and the name, never the payload."""
        return f"<Entry {self.cursor} {self.kind} {self.method or ''} run={self.run} seq={self.seq}>"
