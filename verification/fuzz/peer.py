"""Bytes to what they mean: any cut gives the same, each call is answered at most once, and an answer of ours is one line."""

from __future__ import annotations

from dataclasses import dataclass, field

from codex_runtime._sansio.envelope import Envelope, Stamp
from codex_runtime._sansio.peer import Peer, refusal_of
from codex_runtime.errors import LocalProtocolError
from verification.fuzz.pieces import Choices, cut

__all__ = ["one"]

STAMP = Stamp(3, 100.0, 50.0)
LIMIT = 20_000
CALLS = 4
# What a mutation of bytes alone takes long to come upon. A byte from 128 on stands for one of them.
WORDS = (
    b'{"id":', b'"1"', b"1", b"2", b"3", b"4", b"null", b"true", b"1.0", b"-1", b"9" * 40, b',"result":', b',"error":',
    b',"method":', b'"item/tool/call"', b',"params":', b"{}", b"}\n", b"\n", b'"\\ud800"', b'"\xff"', b"[" * 200,
    b'{"code":-32001,"message":"busy"}', b'{"threadId":" a","turn":{"id":"t"},"item":[]}', b"NaN", b"1e999", b"\r\n",
    b'{"method":"turn/started"', b'"serverRequest/resolved"', b'"thread":{"id":"t"}', b'"x"', b" ", b"\xe2\x80\xa8",
    b'"~seq":1,', b'"~fault":{},', b"{", b":", b",", b"[]", b"]",
)  # fmt: skip


@dataclass
class Heard:
    """What a peer made of a stream."""

    envelopes: list[Envelope] = field(default_factory=list)
    answered: list[tuple[str, int]] = field(default_factory=list)
    asked: list[int] = field(default_factory=list)
    counts: tuple[int, int, int] = (0, 0, 0)
    orphans: list[str] = field(default_factory=list)


def one(data: bytes) -> None:
    """Hear a stream in pieces and as a whole, and compare."""
    choices = Choices(data)
    marks = Choices(choices.take(8))
    stream = spelt(choices.rest())
    whole, pieces = _hear([stream]), _hear(list(cut(stream, marks)))
    assert list(map(_shown, whole.envelopes)) == list(map(_shown, pieces.envelopes))
    assert (whole.answered, whole.asked, whole.counts, whole.orphans) == (
        pieces.answered,
        pieces.asked,
        pieces.counts,
        pieces.orphans,
    )
    tokens = [token for token, _ in whole.answered]
    assert sorted(tokens + whole.orphans) == [f"call {number}" for number in range(CALLS)], "each has one outcome"
    assert [envelope.seq for envelope in whole.envelopes] == list(range(len(whole.envelopes)))
    for envelope in whole.envelopes:
        _look(envelope)


def spelt(data: bytes) -> bytes:
    """Put words in the place of bytes that ASCII has not."""
    return b"".join(bytes([byte]) if byte < 128 else WORDS[(byte - 128) % len(WORDS)] for byte in data)


def _hear(chunks: list[bytes]) -> Heard:
    peer: Peer[str] = Peer(line_limit=LIMIT)
    peer.greet({}, "call 0")
    peer.greeted()
    for number in range(1, CALLS):
        peer.request("any", None, f"call {number}")
    heard = Heard()
    for chunk in [*chunks, None]:
        seq = len(heard.envelopes)
        received = peer.finish(seq, STAMP) if chunk is None else peer.receive(chunk, seq, STAMP)
        heard.envelopes += received.envelopes
        heard.answered += [(token, envelope.seq) for token, envelope in received.answered]
        heard.asked += [envelope.seq for envelope in received.asked]
        new = (received.malformed, received.too_long, received.late)
        heard.counts = (heard.counts[0] + new[0], heard.counts[1] + new[1], heard.counts[2] + new[2])
        for envelope in received.asked:
            _answer(peer, envelope)
    heard.orphans = peer.close()
    return heard


def _answer(peer: Peer[str], envelope: Envelope) -> None:
    """Whatever the id is: the server is told the same one, on one line, or nothing."""
    assert isinstance(envelope.rpc_id, int | str)
    try:
        line = peer.answer(envelope.rpc_id, {"decision": "decline"})
    except LocalProtocolError:
        return
    back: Peer[str] = Peer()
    (heard,) = back.receive(line, 0, STAMP).envelopes
    assert heard.kind == "response"
    assert heard.rpc_id == envelope.rpc_id
    assert type(heard.rpc_id) is type(envelope.rpc_id)


def _shown(envelope: Envelope) -> tuple[object, ...]:
    fault = envelope.fault
    return (
        *(envelope.seq, envelope.kind, envelope.method, envelope.raw, repr(envelope.rpc_id), envelope.shallow),
        *(envelope.thread_id, envelope.turn_id, envelope.item_id, bytes(envelope.result), bytes(envelope.error)),
        None if fault is None else (fault.reason, fault.size),
    )


def _look(envelope: Envelope) -> None:
    """Nothing of it raises, and a second look sees the same."""
    assert repr(envelope.message) == repr(envelope.message)
    assert repr(envelope.params) == repr(envelope.params)
    assert (envelope.event is None) is (envelope.method is None or envelope.fault is not None)
    assert repr(envelope)
    code, message, _ = refusal_of(envelope)
    assert isinstance(code, int)
    assert isinstance(message, str)
    if envelope.fault is not None:
        assert envelope.message is None
        assert len(envelope.raw) <= LIMIT
