"""Whole transcripts through one peer: what they mean depends on the bytes alone, whatever a server writes and wherever it is cut."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codex_runtime._sansio.envelope import Stamp
from codex_runtime._sansio.framing import HEAD
from codex_runtime._sansio.peer import Peer, refusal_of
from codex_runtime._sansio.server_requests import resolved_id
from tests.support.effort import PATIENCE, searching

pytestmark = pytest.mark.timeout(PATIENCE)

STAMP = Stamp(0, 1.0, 2.0)
LIMIT = 400
ASKED = 6
"""Our own requests have the ids from 2 up to this many more."""

IDS = st.integers(0, 12) | st.sampled_from(
    ["3", "x", "-1", "03", "99999999999999999999", None, True, 1.0, 2.5, -1, 10**30]
)
TEXTS = st.text(max_size=20) | st.sampled_from(
    ["\ud800", "\u2028\u2029\x85", "\x00", "x" * LIMIT, '"},{"id":2,"result":1']
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXTS, lambda each: st.lists(each, max_size=3), max_leaves=5
)
MESSAGES = st.one_of(
    st.fixed_dictionaries({"id": IDS, "result": VALUES}),
    st.fixed_dictionaries({"id": IDS, "error": st.fixed_dictionaries({"code": st.integers(), "message": TEXTS})}),
    st.fixed_dictionaries({"id": IDS, "error": VALUES, "result": VALUES}),
    st.fixed_dictionaries({"method": TEXTS, "params": st.fixed_dictionaries({"threadId": TEXTS, "delta": TEXTS})}),
    st.fixed_dictionaries({"id": IDS, "method": TEXTS, "params": VALUES}),
    st.fixed_dictionaries({"method": st.just("serverRequest/resolved"), "params": VALUES}),
    st.dictionaries(st.sampled_from(["id", "method", "params", "result", "error", "jsonrpc"]), VALUES, max_size=4),
)
ODD = st.sampled_from(
    [
        b"",
        b" \r",
        b"garbage",
        b"\xff\xfe\x00",
        b"[1,2]",
        b"{",
        b'{"id":2,"result":',
        b"[" * 5000,
        b'{"id":2,"result":NaN}',
    ]
)
OURS = [b'{"id":%d,"result":1}' % number for number in range(2, 2 + ASKED)]


def written(message: object) -> bytes:
    """One line as a server writes it, lone surrogates included."""
    return json.dumps(message, separators=(",", ":")).encode()


@st.composite
def spoiled(draw: st.DrawFn) -> bytes:
    """A line in which some bytes are others, are gone, or are there twice."""
    line = bytearray(draw(MESSAGES.map(written) | st.sampled_from(OURS)))
    for _ in range(draw(st.integers(0, 3))):
        place = draw(st.integers(0, len(line)))
        line[place : place + draw(st.integers(0, 3))] = draw(
            st.binary(max_size=3) | st.just(bytes(line[place : place + 9]))
        )
    return bytes(line).replace(b"\n", b" ")


LINES = st.lists(MESSAGES.map(written) | ODD | spoiled() | st.sampled_from(OURS), max_size=12)


def cut(data: bytes, places: list[int]) -> list[bytes]:
    """Cut data at the given places, in any order."""
    marks = sorted({place % (len(data) + 1) for place in places} | {0, len(data)})
    return [data[start:end] for start, end in pairwise(marks)]


class Witness:
    """A peer with some requests of its own, and all that comes of what it hears."""

    def __init__(self) -> None:
        self.peer: Peer[int] = Peer(line_limit=LIMIT)
        self.peer.greet({}, 0)
        self.peer.receive(b'{"id":1,"result":{}}\n', 0, STAMP)
        self.peer.greeted()
        for number in range(ASKED):
            self.peer.request("m", {}, number)
        self.seq = 0
        self.heard: list[Any] = []
        self.answered: list[Any] = []
        self.answers: list[Any] = []
        self.counts = [0, 0, 0]

    def hear(self, data: bytes | None) -> None:
        """Hear a chunk; none is the end."""
        received = self.peer.finish(self.seq, STAMP) if data is None else self.peer.receive(data, self.seq, STAMP)
        self.seq += len(received.envelopes)
        for envelope in received.envelopes:
            fault = None if envelope.fault is None else (envelope.fault.reason, envelope.fault.size)
            self.heard.append(
                (envelope.seq, envelope.kind, repr(envelope.rpc_id), envelope.method, envelope.raw, fault)
            )
            # Nor does any of these raise.
            _ = envelope.message, envelope.params, envelope.event, refusal_of(envelope), resolved_id(envelope.raw)
        for token, envelope in received.answered:
            self.answered.append((token, envelope.raw, envelope.refused))
        for envelope in received.asked:
            self.answers.append(self.peer.answer(envelope.rpc_id, {}) if isinstance(envelope.rpc_id, int) else b"")
        self.counts[0] += received.malformed
        self.counts[1] += received.too_long
        self.counts[2] += received.late
        held = sum(map(len, self.peer._framer._tail))
        assert held <= max(LIMIT, HEAD)
        assert len(self.peer._framer._tail) <= LIMIT + 1
        assert self.peer._framer.heads == []

    def all(self) -> tuple[object, ...]:
        """Everything that came of it."""
        return self.heard, self.answered, self.answers, self.counts, self.peer.close(), self.peer.next_id


@given(LINES, st.binary(max_size=30) | st.sampled_from(OURS), st.lists(st.integers(0, 3000), max_size=30))
@searching(150)
def test_it_does_not_matter_how_a_transcript_is_cut(lines: list[bytes], rest: bytes, places: list[int]) -> None:
    """M2: the same envelopes under the same numbers, the same askers served, the same bytes written in return."""
    data = b"".join(line + b"\n" for line in lines) + rest.replace(b"\n", b"")
    whole, pieces, single = Witness(), Witness(), Witness()
    whole.hear(data)
    for piece in cut(data, places):
        pieces.hear(piece)
    for start in range(len(data)):
        single.hear(data[start : start + 1])
    for each in (whole, pieces, single):
        each.hear(None)
    expected = whole.all()
    assert pieces.all() == expected
    assert single.all() == expected


@given(LINES, st.integers(0, 12))
@searching(150)
def test_each_request_is_served_at_most_once_by_its_own_answer(lines: list[bytes], more: int) -> None:
    """I2, M5: whatever else comes; who was not served is handed back at the end."""
    witness = Witness()
    for line in [*lines, *OURS[:more]]:
        witness.hear(line + b"\n")
    served = [token for token, _, _ in witness.answered]
    assert len(served) == len(set(served))
    left = witness.peer.close()
    assert sorted([*served, *left]) == list(range(ASKED))
    for token, raw, _ in witness.answered:
        assert str(token + 2).encode() in raw


@pytest.mark.parametrize("before", [b"", b"garbage\n", b'{"id":3,"result":1}\n'])
@given(size=st.integers(LIMIT - 20, 3 * HEAD), places=st.lists(st.integers(0, 4 * HEAD), max_size=10))
@searching(25)
def test_an_over_long_answer_fails_its_call_with_the_byte_that_ends_it(
    before: bytes, size: int, places: list[int]
) -> None:
    """M3: not at the deadline, and no other; up to the limit it is an answer."""
    line = b'{"id":4,"result":"%b"}\n' % (b"x" * size)
    witness = Witness()
    *pieces, last = cut(before + line, [*places, len(before + line) - 1])
    for piece in pieces:
        witness.hear(piece)
    assert 2 not in [token for token, _, _ in witness.answered]
    witness.hear(last)
    assert witness.answered[-1][0] == 2
    assert witness.counts[1] == (len(line) > LIMIT)
    assert witness.heard[-1][1] == ("unusable" if len(line) > LIMIT else "response")
