"""Segments: what goes in comes out, entry by entry, and what is in them can be told from their names."""

from __future__ import annotations

import json
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codex_runtime._sansio.envelope import Envelope, Fault, Stamp, decode_lines, stamp_outbound
from codex_runtime.journal import Entry
from codex_runtime.journal._segment import (
    LARGEST,
    MOST,
    SMALL,
    Segment,
    Wanted,
    entries_of,
    grown,
    indexed,
    mark,
    segments_of,
)
from codex_runtime.runtime import Gap

STAMP = Stamp(3, 100.5, 7.0)
ALL = Wanted()
LINES = [
    b'{"method":"m","params":{"threadId":"t","turnId":"u","itemId":"i"}}\n',
    b"garbage\n",
    b'{"id":1,"result":{}}\n',
    b'{"method":"d","params":{"threadId":"t","turnId":"u","itemId":"i","delta":"a"}}\r\n',
    b'{"method":"d","params":{"threadId":"t","turnId":"u","itemId":"i","delta":"b"}}',
]


def opened(segments: list[Segment], *, first: int = 1, after: int = 0, wanted: Wanted = ALL) -> list[Entry]:
    """Write segments down and read them, one after the other."""
    entries: list[Entry] = []
    for segment in segments:
        entries += entries_of(first, segment.run, *segment.body, after=after, wanted=wanted)
        first += segment.count
    return entries


def test_a_message_comes_back_as_it_was() -> None:
    """Byte for byte, in both directions, unusable ones included."""
    heard, _ = decode_lines([*LINES], 10, STAMP)
    said = stamp_outbound(b'{"id":0,"result":{}}\n', 15, Stamp(3, 100.5, 7.0, "outbound"))
    lost = Envelope(fault=Fault("too_long", 99), seq=16, stamp=STAMP)
    before = [*heard, said, lost, *decode_lines([LINES[0]], 17, STAMP)[0]]
    entries = opened(segments_of(before, 5, at=0.0), first=20)
    assert [(one.cursor, one.run, one.seq) for one in entries] == [(20 + n, 5, 10 + n) for n in range(len(before))]
    for entry, envelope in zip(entries, before, strict=True):
        after = entry.envelope
        assert after is not None
        for name in (
            "seq",
            "kind",
            "method",
            "thread_id",
            "turn_id",
            "item_id",
            "raw",
            "generation",
            "at",
            "direction",
        ):
            assert getattr(after, name) == getattr(envelope, name)
        assert (entry.kind, entry.method, entry.thread_id) == (envelope.kind, envelope.method, envelope.thread_id)
        assert (entry.turn_id, entry.item_id, entry.line) == (envelope.turn_id, envelope.item_id, envelope.raw)
        assert repr(after.fault) == repr(envelope.fault)


def test_a_gap_is_a_mark_in_its_place() -> None:
    """It is no message, and it is dated by whoever writes it down."""
    heard, _ = decode_lines([LINES[0], LINES[0]], 10, STAMP)
    batch = [heard[0], Gap(4, 9, 3), heard[1], Gap(20, 20, 1)]
    entries = opened(segments_of(batch, 5, at=44.0))
    assert [entry.kind for entry in entries] == ["notification", "gap", "notification", "gap"]
    assert (entries[1].gap, entries[1].envelope, entries[1].at, entries[1].seq) == (Gap(4, 9, 3), None, 44.0, 9)


def test_only_what_matters_waits_for_the_disk() -> None:
    """Answers that we gave, ends of turns, gaps, and the ends of a run."""
    delta, _ = decode_lines([b'{"method":"item/agentMessage/delta","params":{}}\n'], 0, STAMP)
    end, _ = decode_lines([b'{"method":"turn/completed","params":{}}\n'], 1, STAMP)
    answer = stamp_outbound(b'{"id":0,"result":{}}\n', 2, Stamp(0, 0.0, 0.0, "outbound"))
    request = stamp_outbound(b'{"id":0,"method":"m"}\n', 3, Stamp(0, 0.0, 0.0, "outbound"))
    batches = [delta, end, [answer], [request], [*delta, *end, request], [Gap(0, 0, 1)]]
    found = [any(one.is_decisive for one in segments_of(batch, 1, at=0.0)) for batch in batches]
    assert found == [False, True, True, False, True, True]
    assert mark("closed", 1, at=0.0).is_decisive


MESSAGES = st.fixed_dictionaries(
    {"method": st.sampled_from(["a", "b"]), "params": st.fixed_dictionaries({"threadId": st.sampled_from(["s", "t"])})}
)


@given(
    reads=st.lists(st.lists(st.one_of(MESSAGES, st.integers(), st.none()), max_size=6), max_size=5),
    after=st.integers(0, 35),
    thread=st.sampled_from([None, "s", "t"]),
    methods=st.sampled_from([None, ("a",), ("a", "b"), ()]),
)
def test_whatever_is_written_is_read(
    reads: list[list[Any]], after: int, thread: str | None, methods: tuple[str, ...] | None
) -> None:
    """From any place, all of it or a part; a segment in which there is some of that has the name of it."""
    batch: list[Envelope | Gap] = []
    for number, read in enumerate(reads):
        for message in read:
            if message is None:
                batch.append(Gap(len(batch), len(batch), 1))
            else:
                batch += decode_lines([json.dumps(message).encode() + b"\n"], len(batch), Stamp(0, number, 0.0))[0]
    segments, wanted = segments_of(batch, 1, at=0.0), Wanted(thread, None, methods)
    everything = opened(segments)
    assert [one.seq for one in everything] == [*range(len(batch))]
    expected = [
        entry
        for entry in everything[after:]
        if wanted.is_all
        or entry.kind == "gap"
        or ((thread is None or entry.thread_id == thread) and (methods is None or entry.method in methods))
    ]
    assert opened(segments, after=after, wanted=wanted) == expected
    for segment in segments:
        if any(entry.kind != "gap" for entry in opened([segment], wanted=wanted)) and not wanted.is_all:
            assert all(set(names) & set(indexed(segment.names)) for names in wanted.names)


def test_a_segment_has_a_bound_in_entries_and_in_bytes() -> None:
    """Unless one line alone is larger."""
    heard, _ = decode_lines([LINES[0]] * (MOST + 1), 0, STAMP)
    assert [one.count for one in segments_of(heard, 1, at=0.0)] == [MOST, 1]
    big = b'{"method":"%b"}\n' % (b"x" * (LARGEST // 3))
    heard, _ = decode_lines([big] * 5 + [b'{"method":"%b"}\n' % (b"y" * LARGEST * 2)] + [LINES[0]], 0, STAMP)
    found = segments_of(heard, 1, at=0.0)
    assert all(one.count == 1 or len(one.lines) <= LARGEST for one in found)
    assert [one.seq for one in opened(found)] == [*range(7)]


def test_small_ones_grow_together() -> None:
    """Those of one run, as long as they are small: a quiet server says one thing at a time."""
    small, next_one = (segments_of(decode_lines([LINES[0]], seq, STAMP)[0], 1, at=0.0)[0] for seq in (0, 1))
    both = grown(small, next_one)
    assert both is not None
    assert [one.seq for one in opened([both])] == [0, 1]
    assert both.names == {"thread t", "turn u", "method m"}
    other_run = segments_of(decode_lines([LINES[0]], 1, STAMP)[0], 2, at=0.0)[0]
    assert grown(small, other_run) is None
    [large] = segments_of(decode_lines([b'"%b"\n' % (b"x" * SMALL)], 1, STAMP)[0], 1, at=0.0)
    assert grown(small, large) is None


def test_lines_are_packed_if_that_is_worth_it() -> None:
    """Pieces of an answer shrink to a small part; random bytes stay as they are. Both come back."""
    heard, _ = decode_lines([b'{"method":"d","params":{"delta":"word %d"}}\n' % n for n in range(300)], 0, STAMP)
    [segment] = segments_of(heard, 1, at=0.0)
    size, body = segment.body
    assert len(body) < size / 10
    noise = b"".join(bytes([byte]) for byte in zlib.compress(bytes(range(256)) * 50 + str(heard).encode(), 9)) * 3
    rubbish = noise.replace(b"\n", b"") + b"\n"
    [kept] = segments_of(decode_lines([rubbish], 0, STAMP)[0], 1, at=0.0)
    assert [one.line for one in opened([kept])] == [rubbish]


def test_what_sqlite_would_not_take_for_a_name_is_found_all_the_same() -> None:
    """A method may be anything that JSON can say, at any length."""
    odd = b'{"method":"\\ud800","params":{"threadId":"%b"}}\n' % (b"t" * 10_000)
    [segment] = segments_of(decode_lines([odd], 0, STAMP)[0], 1, at=0.0)
    assert all(len(name.encode()) < 1000 for name in indexed(segment.names))
    wanted = Wanted("t" * 10_000, None, ["\ud800"])
    assert all(set(names) & set(indexed(segment.names)) for names in wanted.names)
    assert len(opened([segment], wanted=wanted)) == 1
    assert opened([segment], wanted=Wanted("t" * 9999, None, None)) == []


def test_a_line_that_is_blank_keeps_its_place() -> None:
    """No runtime writes one down; whoever fills a journal by hand gets the number of entries that they asked for."""
    blank = [Envelope(raw=b"\n", seq=seq, stamp=STAMP) for seq in range(3)]
    assert [entry.cursor for entry in opened(segments_of(blank, 1, at=0.0))] == [1, 2, 3]


@pytest.mark.parametrize("body", [b"nonsense", b"[", b"[[1,2,3]]\n", zlib.compress(b"{}\n")])
def test_what_was_not_written_by_us_is_an_error_of_its_own(body: bytes) -> None:
    """And no other one."""
    with pytest.raises((ValueError, zlib.error)):
        entries_of(1, 1, 99, body, after=0, wanted=ALL)
    with pytest.raises((ValueError, zlib.error)):
        entries_of(1, 1, len(body), body, after=0, wanted=ALL)
