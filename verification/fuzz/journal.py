"""What logs and journals keep comes back as it was, and a file that somebody spoilt is called damaged, never believed."""

from __future__ import annotations

import zlib

from codex_runtime._io.fanout import Gap
from codex_runtime._sansio.envelope import Envelope, Stamp
from codex_runtime._sansio.peer import Peer
from codex_runtime.journal._segment import Wanted, entries_of, segments_of
from codex_runtime.runtime._jsonl import _record, jsonl
from verification.fuzz.peer import spelt
from verification.fuzz.pieces import Choices, cut

__all__ = ["one"]

STAMPS = (Stamp(0, 1_700_000_000.25, 5.0), Stamp(1, 1_700_000_001.0, 6.0))
ALL = Wanted()


def one(data: bytes) -> None:
    """Keep something and read it back, or read something that nobody kept."""
    choices = Choices(data)
    match choices.below(4):
        case 0:
            _spoilt_log(choices.rest())
        case 1:
            _spoilt_segment(choices.below(4), choices.rest())
        case how:
            marks = Choices(choices.take(8))
            envelopes = _envelopes(list(cut(spelt(choices.rest()), marks)), limit=(1000, 100_000)[how - 2])
            _log(envelopes)
            _segments(envelopes)


def _envelopes(chunks: list[bytes], *, limit: int) -> list[Envelope]:
    peer: Peer[int] = Peer(line_limit=limit)
    envelopes: list[Envelope] = []
    for number, chunk in enumerate(chunks):
        envelopes += peer.receive(chunk, len(envelopes), STAMPS[number * 2 // len(chunks)]).envelopes
    return envelopes


def _log(envelopes: list[Envelope]) -> None:
    lines = jsonl([*envelopes, Gap(7, 9, 3)]).split(b"\n")
    assert lines.pop() == b""
    assert _record(lines.pop()) == Gap(7, 9, 3)
    assert len(lines) == len(envelopes), "a message is one line"
    for line, envelope in zip(lines, envelopes, strict=True):
        back = _record(line + b"\n")
        assert isinstance(back, Envelope)
        assert _shown(back) == _shown(envelope)
        for size in (1, len(line) // 2, len(line) - 1):  # torn by a crash
            assert _record(line[:size]) is None


def _shown(envelope: Envelope) -> tuple[object, ...]:
    fault, stamp = envelope.fault, envelope.stamp
    if fault is not None:
        kept = b"" if fault.reason == "too_long" else envelope.raw
        return envelope.seq, "unusable", fault.reason, fault.size, kept, stamp.generation, stamp.at
    return (
        envelope.seq,
        envelope.kind,
        envelope.method,
        envelope.raw.strip(),
        envelope.thread_id,
        stamp.generation,
        stamp.at,
    )


def _segments(envelopes: list[Envelope]) -> None:
    cursor = 1
    found = []
    for segment in segments_of(envelopes, 1, at=5.0):
        size, body = segment.body
        entries = entries_of(cursor, 1, size, body, after=0, wanted=ALL)
        assert len(entries) == segment.count
        assert [entry.cursor for entry in entries] == list(range(cursor, cursor + segment.count))
        middle = cursor + segment.count // 2
        assert entries_of(cursor, 1, size, body, after=middle, wanted=ALL) == [e for e in entries if e.cursor > middle]
        cursor += segment.count
        found += entries
    assert [(entry.seq, entry.generation, entry.at) for entry in found] == [
        (envelope.seq, envelope.generation, envelope.at) for envelope in envelopes
    ]
    for entry, envelope in zip(found, envelopes, strict=True):
        if envelope.fault is None or envelope.fault.reason != "too_long":
            assert entry.line == envelope.raw
            assert (entry.kind, entry.method, entry.thread_id) == (envelope.kind, envelope.method, envelope.thread_id)
        again = entry.envelope
        assert again is not None
        assert again.kind == envelope.kind
        assert repr(entry.message) == repr(envelope.message) or envelope.fault is not None


def _spoilt_log(data: bytes) -> None:
    """The lines of a log can be anything, and reading them does not raise."""
    head = b'{"seq":1,"generation":0,"at":1.5,"direction":"inbound","kind":"notification"'
    for line in (data, head + data, head + b',"message":' + data, head + b',"fault":' + data):
        record = _record(line)
        if isinstance(record, Envelope):
            assert repr(record.message) == repr(record.message)
            assert repr(record.kind)


def _spoilt_segment(how: int, data: bytes) -> None:
    """A segment can be anything, and what its reader does not expect is not raised."""
    part = b"[[1,0,2.5,false,[" + data.partition(b"\n")[0] + b"]]]\n" + data
    body = (data, zlib.compress(data), part, zlib.compress(part))[how]
    try:
        entries = entries_of(1, 1, len(part) if how == 3 else len(data), body, after=0, wanted=ALL)
    except (TypeError, ValueError, zlib.error):
        return
    for entry in entries:
        assert repr(entry)
        assert repr(entry.message) == repr(entry.message)
