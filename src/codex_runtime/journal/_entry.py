"""What stands in a journal: one entry for each message, and marks where a run begins or ends or something was missed.

This file only turns one form into the other; it touches neither files nor the database.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

import msgspec
from msgspec import Struct

from codex_runtime._sansio.envelope import DECODE_ERRORS, Direction, Envelope, JsonValue, Kind, Stamp, loads
from codex_runtime._sansio.routes import runs_of
from codex_runtime.runtime import Gap
from codex_runtime.runtime._jsonl import envelope_of

__all__ = ["Entry", "EntryKind", "Mark", "Row", "mark_row", "rows_of"]

Mark: TypeAlias = Literal["opened", "closed", "gap", "pruned"]
EntryKind: TypeAlias = Literal[Kind, Mark]
# run, seq, generation, at, direction, kind, method, thread, turn, item, too_long, line
Row: TypeAlias = tuple[
    int, int, int, float, str, str, str | None, str | None, str | None, str | None, int | None, bytes
]


class Entry(Struct, frozen=True, gc=False):
    """One entry of a journal.

    ``cursor`` is its place: it rises by one from entry to entry, over all runs. ``run`` tells the openings of runtimes
    apart (it is the cursor of the entry ``opened``), and ``seq`` is the number of the message in its run. ``line`` is the
    message as it was on the wire.

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


def rows_of(batch: Sequence[Envelope | Gap], run: int, *, at: float) -> tuple[list[Row], bool]:
    """Return the rows of a batch, and whether anything in it must be on the disk before it is acknowledged.

    ``at`` dates the gaps.
    """
    rows: list[Row] = []
    decisive = False
    stretch: list[Envelope] = []
    for item in batch:
        if isinstance(item, Gap):
            decisive = _add(rows, stretch, run) or decisive
            stretch = []
            rows.append(mark_row("gap", run, at=at, seq=item.last_seq, line=msgspec.json.encode(item)))
            decisive = True
        else:
            stretch.append(item)
    return rows, _add(rows, stretch, run) or decisive


def mark_row(kind: Mark, run: int, *, at: float, seq: int = -1, line: bytes = b"") -> Row:
    """Return the row of a mark."""
    return (run, seq, 0, at, "inbound", kind, None, None, None, None, None, line)


def _add(rows: list[Row], envelopes: list[Envelope], run: int) -> bool:
    decisive = False
    for route, stretch in runs_of(envelopes):
        stamp = route.stamp
        generation, at, direction = stamp.generation, stamp.at, stamp.direction
        kind, method, thread, turn, item = route.kind, route.method, route.thread_id, route.turn_id, route.item_id
        decisive = decisive or route.is_decisive
        rows += [
            (run, one.seq, generation, at, direction, kind, method, thread, turn, item, _too_long(one), one.raw.strip())
            for one in stretch
        ]
    return decisive


def _too_long(envelope: Envelope) -> int | None:
    fault = envelope.fault
    return fault.size if fault is not None and fault.reason == "too_long" else None
