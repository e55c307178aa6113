"""Entries: a message is what it was; marks are told apart from messages."""

from __future__ import annotations

from codex_runtime.journal import Entry
from codex_runtime.runtime import Gap


def entry(kind: str, line: bytes, *, too_long: int | None = None) -> Entry:
    """Make an entry."""
    return Entry(1, 1, 7, 3, 100.5, "inbound", kind, None, None, None, None, too_long, line)  # type: ignore[arg-type]


def test_a_message_is_what_it_was() -> None:
    """Its place and its stamp as well as its content."""
    envelope = entry("notification", b'{"method":"m","params":{"threadId":"t"}}\n').envelope
    assert envelope is not None
    assert (envelope.seq, envelope.generation, envelope.at, envelope.direction) == (7, 3, 100.5, "inbound")
    assert (envelope.method, envelope.thread_id, envelope.params) == ("m", "t", {"threadId": "t"})


def test_what_was_no_message_is_told_as_it_was() -> None:
    """A line that nobody could read, and one of which only the length is known."""
    garbage, too_long = entry("unusable", b"garbage\n"), entry("unusable", b"", too_long=99)
    faults = [one.envelope.fault for one in (garbage, too_long) if one.envelope is not None]
    assert [(fault.reason, fault.size) for fault in faults if fault is not None] == [("not_json", 8), ("too_long", 99)]
    assert (garbage.message, too_long.message) == (None, None)


def test_a_mark_is_no_message() -> None:
    """Whoever replays skips it."""
    opened, gap = entry("opened", b'{"pid":1}'), entry("gap", b'{"first_seq":4,"last_seq":9,"count":3}')
    assert (opened.envelope, opened.gap, opened.message) == (None, None, {"pid": 1})
    assert (gap.envelope, gap.gap) == (None, Gap(4, 9, 3))
    assert repr(opened) == "<Entry 1 opened  run=1 seq=7>"
