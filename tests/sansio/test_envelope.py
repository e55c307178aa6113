"""One message, stamped: what is read of a line at once, what on use, and that nothing raises."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from codex_runtime._sansio.envelope import Envelope, Fault, Kind, Stamp, decode_lines, stamp_outbound

STAMP = Stamp(2, 1_700_000_000.5, 12.25)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
IDS = st.sampled_from(["threadId", "turnId", "itemId", "delta", "item", "turn", "thread"])
MESSAGES = st.fixed_dictionaries(
    {},
    optional={
        "id": JSON,
        "method": JSON,
        "params": st.dictionaries(IDS, JSON, max_size=7) | JSON,
        "result": JSON,
        "error": JSON,
        "~raw": JSON,
        "~seq": JSON,
        "~stamp": JSON,
        "~fault": JSON,
    },
)


def one(line: bytes) -> Envelope:
    """Decode a single line."""
    envelopes, _ = decode_lines([line], 7, STAMP)
    (envelope,) = envelopes
    return envelope


def wire(message: object) -> bytes:
    """Write a message as the server would."""
    return json.dumps(message).encode() + b"\n"


def test_numbers_rise_by_one_and_the_stamp_is_shared() -> None:
    """G1: one order for everybody."""
    envelopes, special = decode_lines([wire({"method": "a"}), wire({"method": "b"})], 41, STAMP)
    assert [(e.seq, e.method) for e in envelopes] == [(41, "a"), (42, "b")]
    assert special is None
    assert (envelopes[0].generation, envelopes[0].at, envelopes[0].monotonic) == (2, 1_700_000_000.5, 12.25)
    assert envelopes[0].raw == wire({"method": "a"})


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ({"method": "turn/started", "params": {}}, "notification"),
        ({"id": 0, "method": "item/tool/call", "params": {}}, "server_request"),
        ({"id": "x", "method": "item/tool/call"}, "server_request"),
        ({"id": 1, "result": {}}, "response"),
        ({"id": 1, "result": None}, "response"),
        ({"id": 1, "error": {"code": 1, "message": "m"}}, "response"),
        ({"id": None, "method": "x"}, "unknown"),
        ({"id": True, "method": "x"}, "unknown"),
        ({"id": 1.5, "result": {}}, "unknown"),
        ({"id": 1}, "unknown"),
        ({"foo": "bar"}, "unknown"),
        ({}, "unknown"),
    ],
)
def test_the_kind_follows_from_which_members_are_there(message: object, kind: Kind) -> None:
    """Seed section 5.3, with ids checked by their JSON type."""
    assert one(wire(message)).kind == kind


def test_an_error_of_null_beside_a_result_is_no_refusal() -> None:
    """Weak spot W-21 of the seed."""
    assert not one(b'{"id":1,"result":{"a":1},"error":null}\n').refused
    assert one(b'{"id":1,"error":{"code":-1,"message":"no"}}\n').refused


@pytest.mark.parametrize(
    ("message", "ids"),
    [
        ({"method": "m", "params": {"threadId": "t", "turnId": "u", "itemId": "i"}}, ("t", "u", "i")),
        ({"method": "m", "params": {"thread": {"id": "t"}, "turn": {"id": "u"}, "item": {"id": "i"}}}, ("t", "u", "i")),
        ({"method": "m", "params": {"threadId": " t ", "turnId": ""}}, (None, None, None)),
        ({"method": "m", "params": {"threadId": 5, "turnId": ["u"]}}, (None, None, None)),
        ({"id": 1, "result": {"thread": {"id": "t"}, "turnId": "u"}}, ("t", "u", None)),
        ({"id": 1, "error": {"code": 1, "data": {"threadId": "t"}}}, ("t", None, None)),
        ({"id": 1, "result": None, "threadId": "t"}, ("t", None, None)),
        ({"id": 1, "result": {"params": {"item": {"id": "i"}}}}, (None, None, "i")),
        ({"method": "m", "params": {"conversationId": "t"}}, (None, None, None)),
    ],
)
def test_ids_are_found_where_the_server_puts_them(message: object, ids: tuple[str | None, ...]) -> None:
    """Seed section 5.3: canonical text only, params before result before error data."""
    envelope = one(wire(message))
    assert (envelope.thread_id, envelope.turn_id, envelope.item_id) == ids


def test_one_odd_line_does_not_cost_its_neighbours() -> None:
    """A read is decoded at once; if that fails, line by line."""
    lines = [wire({"method": "a"}), b"not json\n", b"\r\n", b"[1]\n", wire({"method": "b", "params": {"delta": {}}})]
    envelopes, special = decode_lines(lines, 0, STAMP)
    assert [(e.seq, e.kind, e.method) for e in envelopes] == [
        (0, "notification", "a"),
        (1, "unusable", None),
        (2, "unusable", None),
        (3, "notification", "b"),
    ]
    assert [e.fault and e.fault.reason for e in special or ()] == ["not_json", "not_a_message"]


def test_the_message_and_its_params_are_decoded_on_use() -> None:
    """Laziness: those who only forward pay nothing."""
    envelope = one(wire({"method": "thread/name/updated", "params": {"threadId": "t", "x": [1]}, "emittedAtMs": 5}))
    assert envelope.params == {"threadId": "t", "x": [1]}
    assert envelope.message["emittedAtMs"] == 5


def test_the_event_has_the_type_of_the_protocol() -> None:
    """An unknown method is an event too."""
    params = {"threadId": "t", "turnId": "u", "itemId": "i", "delta": "hi"}
    event = one(wire({"method": "item/agentMessage/delta", "params": params})).event
    assert (type(event).__name__, event.delta) == ("AgentMessageDeltaNotification", "hi")  # type: ignore[attr-defined]
    assert type(one(wire({"method": "new/thing", "params": {}})).event).__name__ == "UnknownMessage"
    assert one(wire({"id": 1, "result": {}})).event is None


@pytest.mark.parametrize(
    "line",
    [
        b'{"method":"m","params":{"delta":"\\ud800"}}\n',
        b'{"method":"m","params":{"x":"\xff"}}\n',
        b'{"method":"m","params":{"x":' + b"9" * 6000 + b"}}\n",
        b'{"method":"m","params":{"x":1,"x":2}}\n',
    ],
)
def test_texts_that_strict_decoders_refuse_still_arrive(line: bytes) -> None:
    """Lone surrogates, broken UTF-8, endless numbers: the server's fault, not the subscriber's."""
    envelope = one(line)
    assert (envelope.kind, envelope.method) == ("notification", "m")
    assert isinstance(envelope.message, dict)


@given(MESSAGES | JSON)
def test_no_json_makes_it_raise(message: object) -> None:
    """Our promise: nothing that the server writes raises, whatever is asked of the envelope."""
    envelope = one(wire(message))
    assert envelope.seq == 7
    assert envelope.stamp is STAMP
    _ = (envelope.kind, envelope.thread_id, envelope.turn_id, envelope.item_id, envelope.event, envelope.refused)
    assert (envelope.fault is None) == isinstance(message, dict)
    assert envelope.message == (message if isinstance(message, dict) else None)


@given(st.binary(max_size=200).filter(lambda data: b"\n" not in data and data.strip()))
def test_no_bytes_make_it_raise(data: bytes) -> None:
    """Garbage is an event like any other."""
    envelope = one(data + b"\n")
    assert envelope.fault is None or envelope.fault.size == len(data) + 1
    _ = (envelope.kind, envelope.message, envelope.params, envelope.event, repr(envelope))


def test_a_server_cannot_forge_our_stamp_or_a_fault() -> None:
    """The fields of ours have names on the wire that are overwritten or refused."""
    forged = one(b'{"method":"m","~seq":99,"~raw":"AAAA","~fault":{"reason":"too_long","size":1}}\n')
    assert (forged.seq, forged.fault, forged.method) == (7, None, "m")
    assert forged.raw.startswith(b'{"method"')


def test_its_repr_shows_no_payload() -> None:
    """What ends up in logs must be harmless."""
    assert "secret" not in repr(one(wire({"method": "m", "params": {"delta": "secret"}})))
    assert repr(Fault("not_json", 3)) == "Fault('not_json', 3)"


def test_what_we_write_is_stamped_as_outbound() -> None:
    """Both directions have the same form."""
    stamp = Stamp(0, 1.0, 2.0, "outbound")
    request = stamp_outbound(b'{"id":1,"method":"thread/start","params":{}}\n', 3, stamp)
    answer = stamp_outbound(b'{"id":0,"result":{"decision":"decline"}}\n', 4, stamp)
    assert [request.kind, request.direction, request.seq] == ["request", "outbound", 3]
    assert [answer.kind, answer.rpc_id] == ["answer", 0]
    assert request.rpc_id is not UNSET
