r"""The form of a log in JSON lines: what a message looks like on its line, and the way back.

::

    {"seq":7,"generation":0,"at":1763868000.25,"direction":"inbound","kind":"notification","method":"turn/started",
     "threadId":"…","turnId":"…","itemId":null,"message":{"method":"turn/started","params":{…}}}      (on one line)
    {"gap":{"firstSeq":8,"lastSeq":9,"count":2}}

``message`` is the line of the wire, byte for byte, but for a carriage return, which would end the line for many readers: it
is a space. What could not be read has ``null`` there, and before it a ``fault`` with ``reason``, ``size`` and, unless the line
was too long to be kept, its bytes in ``base64``.

The one idea: ``message`` comes last, behind a mark that cannot occur earlier, so it is spliced in and cut out again
without anybody decoding it.
"""

from __future__ import annotations

import binascii
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

import msgspec
from msgspec import Struct

from codex_runtime._io.fanout import Gap
from codex_runtime._sansio.envelope import (
    DECODE_ERRORS,
    Direction,
    Envelope,
    Fault,
    Stamp,
    decode_lines,
    stamp_outbound,
)
from codex_runtime._sansio.framing import DEFAULT_LINE_LIMIT, LineFramer
from codex_runtime._sansio.routes import Route, runs_of
from codex_runtime.errors import StoreError

if TYPE_CHECKING:
    import os

__all__ = ["Damage", "envelope_of", "jsonl", "read_jsonl"]

START, END = b'{"seq":', b"}\n"
# Quotes inside of the strings before it are escaped, so this is where it is.
MARK = b',"message":'
READ_SIZE = 256 * 1024
# A line of the log is a line of the wire and what we know about it.
LINE_LIMIT = 2 * DEFAULT_LINE_LIMIT


class Damage(Struct, frozen=True):
    """A stretch of a log that holds no record: torn by a crash, or not written by us. In bytes."""

    offset: int
    size: int


class _Fault(Struct, frozen=True):
    reason: str
    size: int
    base64: str | None = None


class _Head(Struct, frozen=True):
    seq: int
    generation: int
    at: float
    direction: Direction
    fault: _Fault | None = None


class _GapLine(Struct, frozen=True):
    gap: _GapBody


class _GapBody(Struct, frozen=True, rename="camel"):
    first_seq: int
    last_seq: int
    count: int


# From how many messages on it pays to put them side by side.
LONG = 4
# How the numbers below a thousand are written, and how those above end.
_SMALL = [b"%d" % number for number in range(1000)]
_ENDS = [b"%03d" % number for number in range(1000)]

_encode = msgspec.json.Encoder().encode
_head = msgspec.json.Decoder(_Head).decode
_gap = msgspec.json.Decoder(_GapLine).decode


def jsonl(batch: Sequence[Envelope | Gap]) -> bytes:
    """Return the lines of a batch."""
    if Gap not in set(map(type, batch)):
        return _one_each(b"".join(_lines(cast("Sequence[Envelope]", batch))))
    parts: list[bytes] = []
    stretch: list[Envelope] = []
    for item in batch:
        if isinstance(item, Gap):
            parts += _lines(stretch)
            parts.append(_encode(_GapLine(_GapBody(item.first_seq, item.last_seq, item.count))) + b"\n")
            stretch = []
        else:
            stretch.append(item)
    parts += _lines(stretch)
    return _one_each(b"".join(parts))


def _one_each(lines: bytes) -> bytes:
    """Leave no carriage return in the lines. JSON has it between its tokens only, and many readers of text end a line there."""
    return lines.replace(b"\r", b" ") if b"\r" in lines else lines


def read_jsonl(path: str | os.PathLike[str]) -> Iterator[Envelope | Gap | Damage]:
    """Read a log back, from its start to where it ends now.

    Yields the messages in order, a :class:`Gap` where the log was told of a loss, and a :class:`Damage` for what is no
    record. Numbers that begin anew mean that another runtime went on with the log. Raises :class:`StoreError` if the
    file cannot be read.
    """
    offset = 0
    try:
        for line in _raw_lines(Path(path)):
            size = line.size if isinstance(line, Fault) else len(line)
            record = None if isinstance(line, Fault) else _record(line)
            yield Damage(offset, size) if record is None else record
            offset += size
    except OSError as error:
        raise StoreError(f"cannot read {path}: {error.strerror or error}", path=str(path)) from error


def envelope_of(line: bytes, seq: int, stamp: Stamp, *, too_long: int | None = None) -> Envelope | None:
    """Make a message of a line that was kept; ``None`` if nothing was.

    ``too_long`` is how long the line was that could not be kept.
    """
    if too_long is not None:
        return Envelope(fault=Fault("too_long", too_long), seq=seq, stamp=stamp)
    if stamp.direction == "outbound":
        return stamp_outbound(line, seq, stamp)
    envelopes, _ = decode_lines([line], seq, stamp)
    return envelopes[0] if envelopes else None


def _lines(envelopes: Sequence[Envelope]) -> list[bytes]:
    lines: list[bytes] = []
    for route, stretch in runs_of(envelopes):
        if route.kind == "unusable":
            lines += [_unusable(route, envelope) for envelope in stretch]
            continue
        rest = _rest(route)
        if len(stretch) >= LONG and stretch[-1].seq - stretch[0].seq == len(stretch) - 1:
            lines += _stretch(stretch, rest)
        else:
            for envelope in stretch:
                lines += (START, str(envelope.seq).encode(), rest, envelope.raw.strip(), END)
    return lines


def _stretch(stretch: Sequence[Envelope], rest: bytes) -> list[bytes]:
    """Put the pieces of many lines side by side. Per message, nothing is encoded or formatted here."""
    lines: list[bytes] = []
    begin, seq = 0, stretch[0].seq
    while begin < len(stretch):
        start, ends = _numbers(seq + begin, len(stretch) - begin)
        part = stretch[begin : begin + len(ends)]
        pieces = [END + START + start, b"", rest, b""] * len(part)
        pieces[1::4] = ends
        pieces[3::4] = [envelope.raw.strip() for envelope in part]
        lines += pieces
        begin += len(part)
    lines[0] = lines[0].removeprefix(END)  # each line is ended by the next one, and the last one here
    lines.append(END)
    return lines


def _numbers(seq: int, count: int) -> tuple[bytes, list[bytes]]:
    """Return how a number begins, and the ends of it and of those after it that begin alike, at most ``count``."""
    high, low = divmod(seq, 1000)
    return (b"%d" % high, _ENDS[low : low + count]) if high else (b"", _SMALL[low : low + count])


def _rest(route: Route, fault: _Fault | None = None) -> bytes:
    stamp = route.stamp
    fields: dict[str, object] = {
        "generation": stamp.generation,
        "at": stamp.at,
        "direction": stamp.direction,
        "kind": route.kind,
        "method": route.method,
        "threadId": route.thread_id,
        "turnId": route.turn_id,
        "itemId": route.item_id,
    }
    if fault is not None:
        fields["fault"] = fault
    return b"," + _encode(fields)[1:-1] + MARK


def _unusable(route: Route, envelope: Envelope) -> bytes:
    fault = envelope.fault or Fault("not_json", len(envelope.raw))
    # Of a line that was too long there is the head only, which nobody shall take for the line.
    is_whole = envelope.raw and fault.reason != "too_long"
    kept = binascii.b2a_base64(envelope.raw, newline=False).decode() if is_whole else None
    return b'{"seq":%d%bnull}\n' % (envelope.seq, _rest(route, _Fault(fault.reason, fault.size, kept)))


def _raw_lines(path: Path) -> Iterator[bytes | Fault]:
    framer = LineFramer(LINE_LIMIT)
    with path.open("rb") as file:
        while data := file.read(READ_SIZE):
            yield from framer.feed(data)
            framer.heads.clear()
    yield from framer.finish()


def _record(line: bytes) -> Envelope | Gap | None:
    head, mark, rest = line.partition(MARK)
    try:
        if not mark:
            gap = _gap(line).gap
            return Gap(gap.first_seq, gap.last_seq, gap.count)
        fields = _head(head + b"}")
        stamp = Stamp(fields.generation, fields.at, fields.at, fields.direction)
        fault, rest = fields.fault, rest.rstrip()
        if not rest.endswith(b"}"):
            return None
        raw = rest[:-1] if fault is None else binascii.a2b_base64(fault.base64 or "")
        size = fault.size if fault is not None and (fault.reason == "too_long" or fault.base64 is None) else None
    except (*DECODE_ERRORS, ValueError):
        return None
    envelope = envelope_of(raw, fields.seq, stamp, too_long=size)
    if envelope is not None and fault is None and envelope.fault is not None:
        return None  # cut in the middle, for on the wire it was whole
    return envelope
