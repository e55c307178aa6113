"""The stderr tail: bounded at every moment, clean when shown."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codex_runtime._io.stderr_tail import StderrTail


def tail_of(data: bytes) -> str:
    """Feed one chunk to a roomy tail."""
    tail = StderrTail(100_000)
    tail.feed(data)
    return tail.text()


@given(chunks=st.lists(st.binary(max_size=300)), limit=st.integers(0, 200))
def test_it_holds_the_last_bytes_and_never_much_more(chunks: list[bytes], limit: int) -> None:
    """Whatever is fed: the text is that of the last `limit` bytes, and memory is bounded."""
    tail = StderrTail(limit)
    for chunk in chunks:
        tail.feed(chunk)
        assert len(tail._kept) <= 2 * limit + 300
    everything = b"".join(chunks)
    assert tail.text() == tail_of(everything[max(0, len(everything) - limit) :])


@given(data=st.binary())
def test_no_control_but_newline_and_tab_comes_through(data: bytes) -> None:
    """The text may be printed to a terminal."""
    assert not [char for char in tail_of(data) if (ord(char) < 32 and char not in "\n\t") or 127 <= ord(char) < 160]


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        (b"plain\n\ttext", "plain\n\ttext"),
        (b"\x1b[1;31mred\x1b[0m", "red"),
        (b"dos\r\nline", "dos\nline"),
        (b"\x1b]0;title\x07text", "text"),
        (b"\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        (b"\x1b]52;c;Zm9v\x07", ""),
        (b"\x1bPdevice\x1b\\text", "text"),
        ("\x9b31mred\x9d0;t\x9ctext".encode(), "redtext"),
        (b"\x1b]never ended\nnext", "\nnext"),
        (b"\x1b(Btext\x1bctext", "texttext"),
        (b"bell\x07 null\x00 del\x7f", "bell null del"),
        (b"half \xe2\x82", "half \ufffd"),
        ("sömething ✓".encode(), "sömething ✓"),
    ],
)
def test_escape_sequences_are_left_out_and_text_is_not(written: bytes, shown: str) -> None:
    """What a terminal would obey goes, what a person would read stays."""
    assert tail_of(written) == shown


@pytest.mark.parametrize("unit", [b"\x1b[", b"\x1b]", b"\x1b[0", b"\x1b(", b"0;", b"\x1b"])
def test_hostile_text_costs_linear_time(unit: bytes) -> None:
    """No repetition makes the cleaning slow."""
    tail = StderrTail(4_000_000)
    tail.feed(b"\x1b[" + unit * (2_000_000 // len(unit)))
    before = time.process_time()
    tail.text()
    assert time.process_time() - before < 2.0
