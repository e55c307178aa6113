"""How entries lie in the file: many in one segment, their lines end to end and beside them what tells them apart.

Writing an entry down costs next to nothing, because nothing of it is taken apart: lines that were read together share
their stamp, so a segment has one :class:`Part` for all of them, and what is in a line is found out by whoever reads it.
It is packed, since that costs no more than to write all of it, and the pieces of an answer shrink to a twentieth. This
file only turns one form into the other; it touches neither files nor the database.

The one idea: a segment has the **names** of the threads, turns and methods in it, so whoever looks for one of them opens
only the segments that have it.
"""

from __future__ import annotations

import zlib
from collections.abc import Collection, Iterable, Sequence
from typing import cast

import msgspec
from msgspec import Struct

from codex_runtime._sansio.envelope import NO_STAMP, Direction, Envelope, Fault, Stamp, decode_lines
from codex_runtime._sansio.routes import Route, runs_of
from codex_runtime.journal._entry import Entry, Mark
from codex_runtime.runtime import Gap

__all__ = [
    "GAP",
    "LARGEST",
    "MOST",
    "Part",
    "Segment",
    "Wanted",
    "entries_of",
    "grown",
    "indexed",
    "mark",
    "segments_of",
]

# How many entries a segment has at most, and how many bytes, unless a single line has more. Whoever looks for one entry
# decodes a segment, and the retention takes whole ones away.
MOST = 512
LARGEST = 256 * 1024
# A segment that is smaller than this takes in what comes next: a quiet server says one thing at a time.
SMALL = 8 * 1024
# What does not shrink to this part of it stays as it is. It is tried on so many bytes, because in vain it takes long.
WORTH_IT = 0.7
SAMPLE = 4096
FAST = 1
# How much of a name is written down. Ids are shorter; what merely begins alike is told apart when it is read.
LONGEST = 200
GAP = "gap"


class Part(Struct, array_like=True, gc=False):
    """What a stretch of entries has in common, and how long the line of each is. Their numbers rise by one.

    ``mark`` and ``too_long`` are for a single entry that is no message, or was too long to be kept.
    """

    seq: int
    generation: int
    at: float
    outbound: bool
    sizes: list[int]
    mark: Mark | None = None
    too_long: int | None = None


class Segment(Struct, gc=False):
    """Entries of one run, in order, ready to be written. ``is_decisive``: something in it must not be lost."""

    run: int
    parts: list[Part]
    lines: bytes
    count: int
    names: set[str]
    is_decisive: bool = False

    @property
    def at(self) -> float:
        """When the youngest entry was read or written."""
        return max([part.at for part in self.parts])

    @property
    def body(self) -> tuple[int, bytes]:
        """The parts and the lines as they are written, and how long that is before it is packed."""
        body = _encode(self.parts) + b"\n" + self.lines
        sample = self.lines[:SAMPLE]
        if len(zlib.compress(sample, FAST)) > WORTH_IT * len(sample):
            return len(body), body
        return len(body), zlib.compress(body, FAST)


_encode = msgspec.json.Encoder().encode
_parts = msgspec.json.Decoder(list[Part]).decode


def segments_of(batch: Sequence[Envelope | Gap], run: int, *, at: float) -> list[Segment]:
    """Return the segments of a batch. ``at`` dates the gaps."""
    if Gap not in set(map(type, batch)):
        return _split(cast("Sequence[Envelope]", batch), run)
    segments, begin = list[Segment](), 0
    for place, item in enumerate(batch):
        if isinstance(item, Gap):
            segments += _split(cast("Sequence[Envelope]", batch[begin:place]), run)
            segments.append(mark("gap", run, at=at, seq=item.last_seq, line=msgspec.json.encode(item)))
            begin = place + 1
    return segments + _split(cast("Sequence[Envelope]", batch[begin:]), run)


def mark(kind: Mark, run: int, *, at: float, seq: int = -1, line: bytes = b"") -> Segment:
    """Return a segment that is one mark, which is decisive by nature."""
    names = {GAP} if kind == "gap" else set()
    return Segment(run, [Part(seq, 0, at, False, [len(line)], mark=kind)], line, 1, names, is_decisive=True)


def grown(before: Segment, more: Segment) -> Segment | None:
    """Return the two as one segment; ``None`` if they had better not be one."""
    if before.run != more.run or len(before.lines) + len(more.lines) > SMALL or before.count + more.count > MOST:
        return None
    return Segment(
        before.run,
        [*before.parts, *more.parts],
        before.lines + more.lines,
        before.count + more.count,
        before.names | more.names,
    )


class Wanted(Struct, frozen=True):
    """What a reader wants: all entries, or the messages of a thread, of a turn, of some methods, and then the gaps."""

    thread: str | None = None
    turn: str | None = None
    methods: Collection[str] | None = None

    @property
    def is_all(self) -> bool:
        """True if nothing is left out."""
        return self.thread is None and self.turn is None and self.methods is None

    @property
    def names(self) -> list[list[str]]:
        """Of each of these lists a segment has a name, if it has something that is wanted; the rarest come first."""
        names: list[list[str]] = []
        if self.turn is not None:
            names.append(indexed([f"turn {self.turn}"]))
        if self.thread is not None:
            names.append(indexed([f"thread {self.thread}"]))
        if self.methods is not None:
            names.append(indexed(f"method {method}" for method in self.methods))
        return names

    def has(self, route: Route) -> bool:
        """True for messages of this kind."""
        return (
            (self.thread is None or route.thread_id == self.thread)
            and (self.turn is None or route.turn_id == self.turn)
            and (self.methods is None or route.method in self.methods)
        )


def indexed(names: Iterable[str]) -> list[str]:
    """Return names as they are written down. A server may say what SQLite does not take for text."""
    return list(dict.fromkeys([name[:LONGEST].encode("utf-8", "backslashreplace").decode() for name in names]))


def entries_of(first: int, run: int, size: int, body: bytes, *, after: int, wanted: Wanted) -> list[Entry]:
    """Return what is wanted of a segment, and comes after a cursor. ``first`` is the cursor of its first entry.

    Raises ``ValueError`` or ``zlib.error`` for what was not written by us.
    """
    entries: list[Entry] = []
    whole = body if len(body) == size else zlib.decompress(body, bufsize=size)
    form, _, lines = whole.partition(b"\n")
    cursor, offset = first, 0
    for part in _parts(form):
        skipped = min(max(after + 1 - cursor, 0), len(part.sizes))
        offset += sum(part.sizes[:skipped])
        cursor += skipped
        if skipped < len(part.sizes):
            kept: list[bytes] = []
            for length in part.sizes[skipped:]:
                kept.append(lines[offset : offset + length])
                offset += length
            entries += _entries(cursor, run, part, part.seq + skipped, kept, wanted)
            cursor += len(kept)
    return entries


def _entries(cursor: int, run: int, part: Part, seq: int, lines: list[bytes], wanted: Wanted) -> Iterable[Entry]:
    generation, at = part.generation, part.at
    direction: Direction = "outbound" if part.outbound else "inbound"
    if part.mark is not None:
        if part.mark == GAP or wanted.is_all:
            line = lines[0]
            yield Entry(cursor, run, seq, generation, at, direction, part.mark, None, None, None, None, None, line)
        return
    stamp = Stamp(generation, at, at, direction)
    for route, stretch in runs_of(_messages(lines, seq, stamp, part.too_long)):
        if wanted.is_all or wanted.has(route):
            ids = (route.thread_id, route.turn_id, route.item_id)
            common = (generation, at, direction, route.kind, route.method, *ids, part.too_long)
            for number, one in enumerate(stretch, cursor):
                yield Entry(number, run, one.seq, *common, one.raw)
        cursor += len(stretch)


def _messages(lines: list[bytes], seq: int, stamp: Stamp, too_long: int | None) -> list[Envelope]:
    if too_long is not None:
        return [Envelope(fault=Fault("too_long", too_long), seq=seq, stamp=stamp)]
    envelopes, _ = decode_lines(lines, seq, stamp)
    if len(envelopes) < len(lines):  # a blank line, which no runtime writes down, is an entry all the same
        envelopes = [_message(line, number, stamp) for number, line in enumerate(lines, seq)]
    return envelopes


def _message(line: bytes, seq: int, stamp: Stamp) -> Envelope:
    envelopes, _ = decode_lines([line], seq, stamp)
    return envelopes[0] if envelopes else Envelope(raw=line, fault=Fault("not_json", len(line)), seq=seq, stamp=stamp)


def _split(envelopes: Sequence[Envelope], run: int) -> list[Segment]:
    """Make as many segments as it takes for none to be too large."""
    raws = [envelope.raw for envelope in envelopes]
    sizes = list(map(len, raws))
    segments: list[Segment] = []
    begin = 0
    while begin < len(sizes):
        end = min(begin + MOST, len(sizes))
        while end - begin > 1 and sum(sizes[begin:end]) > LARGEST:
            end = (begin + end) // 2
        segments.append(_segment(envelopes[begin:end], run, b"".join(raws[begin:end]), sizes[begin:end]))
        begin = end
    return segments


def _segment(envelopes: Sequence[Envelope], run: int, lines: bytes, sizes: list[int]) -> Segment:
    parts: list[Part] = []
    names: set[str] = set()
    stamp, begin, next_seq, is_decisive = NO_STAMP, 0, -1, False
    for route, stretch in runs_of(envelopes):
        seq, end = stretch[0].seq, begin + len(stretch)
        if route.kind == "unusable" or stretch[-1].seq - seq != len(stretch) - 1:
            parts += [_part(envelope) for envelope in stretch]
            next_seq = -1
        elif route.stamp is stamp and seq == next_seq:
            parts[-1].sizes += sizes[begin:end]
            next_seq += len(stretch)
        else:
            stamp, next_seq = route.stamp, seq + len(stretch)
            parts.append(Part(seq, stamp.generation, stamp.at, stamp.direction == "outbound", sizes[begin:end]))
        begin = end
        names.update(
            f"{noun} {value}"
            for noun, value in (("thread", route.thread_id), ("turn", route.turn_id), ("method", route.method))
            if value is not None
        )
        is_decisive = is_decisive or route.is_decisive
    return Segment(run, parts, lines, len(sizes), names, is_decisive=is_decisive)


def _part(envelope: Envelope) -> Part:
    fault, stamp = envelope.fault, envelope.stamp
    too_long = fault.size if fault is not None and fault.reason == "too_long" else None
    outbound = stamp.direction == "outbound"
    return Part(envelope.seq, stamp.generation, stamp.at, outbound, [len(envelope.raw)], too_long=too_long)
