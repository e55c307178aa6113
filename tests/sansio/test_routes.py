"""Stretches of messages: cutting a batch into them changes nothing about what is told of each message."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from codex_runtime._sansio.envelope import Envelope, Stamp, decode_lines, stamp_outbound
from codex_runtime._sansio.routes import by_thread, runs_of

IDS = st.sampled_from(["a", "b", "", " a", None])
NESTED = st.none() | st.fixed_dictionaries({}, optional={"id": IDS, "type": st.just("x")})
PARAMS = st.fixed_dictionaries(
    {},
    optional={
        "threadId": IDS,
        "turnId": IDS,
        "itemId": IDS,
        "delta": st.sampled_from(["x", None]),
        "item": NESTED,
        "turn": NESTED,
        "thread": NESTED,
    },
)
MESSAGES = st.fixed_dictionaries(
    {},
    optional={
        "method": st.sampled_from(["m", "turn/completed"]),
        "id": st.sampled_from([1, "1", None]),
        "params": PARAMS,
        "result": PARAMS | st.just("text"),
        "error": st.fixed_dictionaries({}, optional={"data": PARAMS | st.just("text")}),
    },
)


def told(envelope: Envelope) -> tuple[Any, ...]:
    """Say what a log tells of a message, looked up for this one alone."""
    ids = (envelope.thread_id, envelope.turn_id, envelope.item_id)
    return (envelope.seq, envelope.kind, envelope.method, *ids, envelope.direction)


@given(reads=st.lists(st.lists(MESSAGES, max_size=6), max_size=3), outbound=st.booleans())
@example(
    reads=[
        [
            {"method": "m", "params": {"itemId": "a"}},
            {"method": "m", "params": {"itemId": "a", "thread": {"id": "b"}}},
        ]
    ],
    outbound=False,
)
def test_a_stretch_tells_what_each_of_its_messages_would(*, reads: list[list[dict[str, Any]]], outbound: bool) -> None:
    """Whatever is compared to find the stretches, it is enough."""
    batch: list[Envelope] = []
    for at, messages in enumerate(reads):
        lines = [json.dumps(message).encode() + b"\n" for message in messages]
        stamp = Stamp(0, at, at, "outbound" if outbound else "inbound")
        if outbound:
            batch += [stamp_outbound(line, len(batch) + index, stamp) for index, line in enumerate(lines)]
        else:
            batch += decode_lines([*lines], len(batch), stamp)[0]
    found = [
        (one.seq, route.kind, route.method, route.thread_id, route.turn_id, route.item_id, route.stamp.direction)
        for route, stretch in runs_of(batch)
        for one in stretch
    ]
    # The ids of a response are looked for in its result or in the data of its error, not in odd places of its top.
    assert [row for row, one in zip(found, batch, strict=True) if one.method is not None] == [
        told(one) for one in batch if one.method is not None
    ]
    assert [row[:3] for row in found] == [told(one)[:3] for one in batch]
    assert all(one.stamp is route.stamp for route, stretch in runs_of(batch) for one in stretch)


def test_deltas_of_one_text_are_one_stretch() -> None:
    """Which is what makes a log of a busy turn cheap."""
    params = {"threadId": "t", "turnId": "u", "itemId": "i", "delta": "x"}
    lines = [json.dumps({"method": "item/agentMessage/delta", "params": params}).encode() + b"\n"] * 5
    batch, _ = decode_lines([*lines], 0, Stamp(0, 0.0, 0.0))
    [(route, stretch)] = runs_of(batch)
    assert (len(stretch), route.thread_id, route.turn_id, route.item_id) == (5, "t", "u", "i")


def test_what_was_read_at_another_time_is_another_stretch() -> None:
    """Its date, and maybe its generation, differ."""
    line = b'{"method":"d","params":{"threadId":"t","turnId":"u","itemId":"i","delta":"x"}}\n'
    reads = [decode_lines([line], 0, Stamp(0, 1.0, 1.0))[0], decode_lines([line], 1, Stamp(1, 2.0, 2.0))[0]]
    assert [route.stamp.generation for route, _ in runs_of([*reads[0], *reads[1]])] == [0, 1]


def test_a_response_is_known_by_what_is_in_its_result() -> None:
    """So that a thread's log has the answer that created it."""
    lines = [
        b'{"id":1,"result":{"thread":{"id":"t"},"turn":{"id":"u"}}}\n',
        b'{"id":2,"error":{"code":1,"message":"","data":{"threadId":"v"}}}\n',
    ]
    batch, _ = decode_lines([*lines], 0, Stamp(0, 0.0, 0.0))
    assert [(route.thread_id, route.turn_id) for route, _ in runs_of(batch)] == [("t", "u"), ("v", None)]


def test_answers_and_ends_of_turns_are_decisive() -> None:
    """They are what must not be lost; a question of the server, or an answer of the server, is not."""
    stamp = Stamp(0, 0.0, 0.0)
    heard, _ = decode_lines(
        [b'{"method":"turn/completed","params":{}}', b'{"id":0,"method":"ask"}', b'{"id":1,"result":{}}'], 0, stamp
    )
    said = stamp_outbound(b'{"id":0,"result":{}}', 3, Stamp(0, 0.0, 0.0, "outbound"))
    assert [route.is_decisive for route, _ in runs_of([*heard, said])] == [True, False, False, True]


@given(messages=st.lists(MESSAGES, max_size=12))
def test_each_thread_gets_its_messages_in_order(messages: list[dict[str, Any]]) -> None:
    """What each message says of its thread decides, wherever it says it."""
    envelopes, _ = decode_lines([json.dumps(message).encode() + b"\n" for message in messages], 0, Stamp(0, 0.0, 0.0))
    expected: dict[str, list[Envelope]] = {}
    for envelope in envelopes:
        if thread_id := envelope.shallow.thread_id or envelope.thread_id:
            expected.setdefault(thread_id, []).append(envelope)
    assert by_thread(envelopes) == expected
