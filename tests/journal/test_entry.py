"""Entries: a message becomes a row and comes back as it was; marks are told apart from messages."""

from __future__ import annotations

from codex_runtime._sansio.envelope import Envelope, Fault, Stamp, decode_lines, stamp_outbound
from codex_runtime.journal import Entry
from codex_runtime.journal._entry import mark_row, rows_of
from codex_runtime.runtime import Gap

STAMP = Stamp(3, 100.5, 7.0)
LINES = [
    b'{"method":"m","params":{"threadId":"t","turnId":"u","itemId":"i"}}\n',
    b"garbage\n",
    b'{"id":1,"result":{}}\n',
]


def test_a_message_comes_back_as_it_was() -> None:
    """In both directions, unusable ones included."""
    heard, _ = decode_lines([*LINES], 10, STAMP)
    said = stamp_outbound(b'{"id":0,"result":{}}\n', 13, Stamp(3, 100.5, 7.0, "outbound"))
    lost = Envelope(fault=Fault("too_long", 99), seq=14, stamp=STAMP)
    rows, _ = rows_of([*heard, said, lost], 5, at=0.0)
    entries = [Entry(cursor, *row) for cursor, row in enumerate(rows, 20)]
    assert [(one.cursor, one.run, one.seq) for one in entries] == [(20 + n, 5, 10 + n) for n in range(5)]
    for entry, before in zip(entries, [*heard, said, lost], strict=True):
        after = entry.envelope
        assert after is not None
        assert (after.seq, after.kind, after.method, after.thread_id, after.raw.strip()) == (
            before.seq,
            before.kind,
            before.method,
            before.thread_id,
            before.raw.strip(),
        )
        assert (after.generation, after.at, after.direction) == (3, 100.5, before.direction)
        assert (entry.kind, entry.message, entry.gap) == (before.kind, before.message, None)
    assert entries[4].too_long == 99


def test_a_gap_is_a_mark_in_its_place() -> None:
    """It is no message, and it is dated by whoever writes it down."""
    heard, _ = decode_lines([*LINES[:1]], 10, STAMP)
    rows, decisive = rows_of([Gap(4, 9, 3), *heard], 5, at=44.0)
    gap, message = (Entry(1, *row) for row in rows)
    assert (gap.kind, gap.gap, gap.envelope, gap.at, gap.seq) == ("gap", Gap(4, 9, 3), None, 44.0, 9)
    assert message.kind == "notification"
    assert decisive


def test_only_what_matters_waits_for_the_disk() -> None:
    """Answers that we gave, ends of turns, gaps."""
    delta, _ = decode_lines([b'{"method":"item/agentMessage/delta","params":{}}\n'], 0, STAMP)
    end, _ = decode_lines([b'{"method":"turn/completed","params":{}}\n'], 1, STAMP)
    answer = stamp_outbound(b'{"id":0,"result":{}}\n', 2, Stamp(0, 0.0, 0.0, "outbound"))
    request = stamp_outbound(b'{"id":0,"method":"m"}\n', 3, Stamp(0, 0.0, 0.0, "outbound"))
    batches = [delta, end, [answer], [request], [*delta, *end, request], [Gap(0, 0, 1)]]
    assert [rows_of(batch, 1, at=0.0)[1] for batch in batches] == [False, True, True, False, True, True]


def test_a_mark_is_no_message() -> None:
    """Whoever replays skips it."""
    entry = Entry(1, *mark_row("opened", 1, at=5.0, line=b'{"pid":1}'))
    assert (entry.envelope, entry.gap, entry.message) == (None, None, {"pid": 1})
    assert repr(entry) == "<Entry 1 opened  run=1 seq=-1>"
