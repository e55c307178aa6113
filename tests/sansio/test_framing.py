"""Bytes to lines: any cut, any length, bounded memory."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import example, given
from hypothesis import strategies as st

from codex_runtime._sansio.envelope import Fault
from codex_runtime._sansio.framing import HEAD, LineFramer

LINES = st.lists(st.binary(max_size=40).map(lambda data: data.replace(b"\n", b"") + b"\n"), max_size=12)


def cut(data: bytes, places: list[int]) -> list[bytes]:
    """Cut data at the given places, in any order."""
    marks = sorted({place % (len(data) + 1) for place in places} | {0, len(data)})
    return [data[a:b] for a, b in pairwise(marks)] or [b""]


def shown(lines: list[bytes | Fault]) -> list[bytes | tuple[str, int]]:
    """Make faults comparable."""
    return [line if isinstance(line, bytes) else (line.reason, line.size) for line in lines]


@given(LINES, st.binary(max_size=30), st.lists(st.integers(0, 500), max_size=20))
@example([b"a\n"], b"", [1])
def test_the_same_lines_come_out_however_the_bytes_are_cut(lines: list[bytes], rest: bytes, places: list[int]) -> None:
    """Our promise: framing depends on bytes, never on reads."""
    rest = rest.replace(b"\n", b"")
    framer = LineFramer()
    found: list[bytes | Fault] = []
    for chunk in cut(b"".join(lines) + rest, places):
        found += framer.feed(chunk)
    assert found == lines
    assert framer.finish() == ([rest] if rest else [])


@given(LINES, st.lists(st.integers(0, 500), max_size=20), st.integers(1, 30))
def test_over_long_lines_become_faults_in_their_place(lines: list[bytes], places: list[int], limit: int) -> None:
    """Our promise: a line over the limit is skipped and told, the lines around it are not touched."""
    framer = LineFramer(limit)
    found: list[bytes | Fault] = []
    for chunk in cut(b"".join(lines), places):
        found += framer.feed(chunk)
    assert shown(found) == [line if len(line) <= limit else ("too_long", len(line)) for line in lines]
    assert [head[:limit] for head in framer.heads] == [line[:limit] for line in lines if len(line) > limit]


def test_a_line_of_exactly_the_limit_is_taken_and_one_byte_more_is_not() -> None:
    """The newline counts."""
    framer = LineFramer(10)
    assert shown(framer.feed(b"123456789\n1234567890\n")) == [b"123456789\n", ("too_long", 11)]


def test_an_endless_line_holds_no_more_than_the_limit() -> None:
    """Our promise I8: memory is bounded, whatever the server writes."""
    framer = LineFramer(10_000)
    for _ in range(1000):
        assert framer.feed(b"x" * 1000) == []
    assert sum(map(len, framer._tail)) <= HEAD  # what is held is the point
    assert shown(framer.feed(b"\nnext\n")) == [("too_long", 1_000_001), b"next\n"]


def test_a_line_that_ends_with_the_stream_still_counts() -> None:
    """A server that dies after its last brace has said it all."""
    framer = LineFramer()
    framer.feed(b"one\ntw")
    framer.feed(b"o")
    assert framer.finish() == [b"two"]
    assert framer.finish() == []
