"""Bytes to lines: any cut, any length, bounded memory."""

from __future__ import annotations

from itertools import pairwise

import pytest
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
    assert framer.heads == [line for line in lines if len(line) > limit]


def test_a_line_of_exactly_the_limit_is_taken_and_one_byte_more_is_not() -> None:
    """The newline counts."""
    framer = LineFramer(10)
    assert shown(framer.feed(b"123456789\n1234567890\n")) == [b"123456789\n", ("too_long", 11)]


@pytest.mark.parametrize("end", [b"\n", b"y"])
@pytest.mark.parametrize("place", [0, 1, 4500, 4999])
def test_a_line_of_exactly_the_limit_is_taken_whole_wherever_it_is_cut(place: int, end: bytes) -> None:
    """Also at the end of the stream, without a newline; and also if it is longer than what is kept of one too long."""
    line = b"x" * 4999 + end
    framer = LineFramer(5000)
    found = [each for chunk in cut(line, [place]) for each in framer.feed(chunk)]
    assert found + framer.finish() == [line]


@given(st.lists(st.integers(0, 20_000), max_size=8), st.integers(1, 9_000))
def test_what_is_kept_of_an_over_long_line_is_its_start_however_it_is_cut(places: list[int], limit: int) -> None:
    """The first 4096 bytes, which tell whether it answers a request; never more, whatever the limit."""
    line = bytes(range(32, 127)) * 100 + b"\n"
    framer = LineFramer(limit)
    found = [each for chunk in cut(b"before\n" + line, places) for each in framer.feed(chunk)]
    assert shown(found)[-1] == ("too_long", 9501)
    assert framer.heads[-1] == line[:4096]


def test_without_a_limit_of_ones_own_a_line_may_be_64_mebibytes_long() -> None:
    """Real servers were seen to write 5 MB in one message, and the whole output of a command."""
    most = b"x" * (64 * 1024 * 1024 - 1) + b"\n"
    framer = LineFramer()
    assert framer.feed(most) == [most]
    assert shown(framer.feed(b"x" + most)) == [("too_long", 64 * 1024 * 1024 + 1)]


def test_a_read_that_is_one_line_is_handed_on_without_a_copy() -> None:
    """What a call's answer is: the most frequent read of all."""
    line = b'{"id":1,"result":{}}\n'
    assert LineFramer().feed(line)[0] is line


def test_an_endless_line_holds_no_more_than_the_limit() -> None:
    """Our promise I8: memory is bounded, whatever the server writes."""
    framer = LineFramer(10_000)
    for _ in range(1000):
        assert framer.feed(b"x" * 1000) == []
    assert sum(map(len, framer._tail)) <= HEAD  # what is held is the point
    assert shown(framer.feed(b"\nnext\n")) == [("too_long", 1_000_001), b"next\n"]


def test_a_line_in_tiny_pieces_takes_no_more_room_than_the_line() -> None:
    """I8: two bytes a read would each cost an object that is twenty times as big as what is in it."""
    framer = LineFramer(100_000)
    for _ in range(40_000):
        framer.feed(b"xy")
        assert len(framer._tail) <= 65 + framer._held // 1024
    assert framer.feed(b"\n") == [b"xy" * 40_000 + b"\n"]


def test_a_line_that_ends_with_the_stream_still_counts() -> None:
    """A server that dies after its last brace has said it all."""
    framer = LineFramer()
    framer.feed(b"one\ntw")
    framer.feed(b"o")
    assert framer.finish() == [b"two"]
    assert framer.finish() == []


def test_small_pieces_are_joined_from_time_to_time_and_large_ones_only_once() -> None:
    """Up to 64 pieces of any size wait; more of them only if they are large, whose joining would cost more than it spares."""
    framer, counts = LineFramer(), list[int]()
    for _ in range(1000):
        framer.feed(b"x")
        counts.append(len(framer._tail))
    assert (max(counts), counts.count(64)) == (64, 15)
    assert framer.feed(b"\n") == [b"x" * 1000 + b"\n"]
    for _ in range(100):
        framer.feed(b"x" * 65536)
    assert len(framer._tail) == 100
