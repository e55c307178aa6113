"""The form of the log: what was on the wire comes back byte for byte, and what is torn is told."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codex_runtime._sansio.envelope import Envelope, Stamp, decode_lines, stamp_outbound
from codex_runtime._sansio.framing import LineFramer
from codex_runtime._sansio.peer import Peer
from codex_runtime.errors import StoreError
from codex_runtime.runtime import Damage, Gap, read_jsonl
from codex_runtime.runtime._jsonl import jsonl

if TYPE_CHECKING:
    from pathlib import Path

LINES = [
    b'{"method":"thread/started","params":{"thread":{"id":"t"}}}',
    b'{"id":1,"result":{"thread":{"id":"t"}}}',
    b'{"method":"item/agentMessage/delta","params":{"threadId":"t","turnId":"u","itemId":"i","delta":"a"}}',
    b'{"method":"item/agentMessage/delta","params":{"threadId":"t","turnId":"u","itemId":"i","delta":"\\u00e9"}}',
    b'{"id":0,"method":"item/commandExecution/requestApproval","params":{"threadId":"t","turnId":"u","itemId":"i"}}',
    b'{"method":"odd \\",\\"message\\":1","params":{"threadId":",\\"message\\":"}}',
    b'{"method":"lone surrogate and broken bytes","params":{"x":"\\ud800 \xff"}}',
    b"garbage \xff\x00",
    b"[1,2]",
    b'{"method":"turn/completed","params":{"threadId":"t","turn":{"id":"u"}}}',
]


def envelopes_of(lines: list[bytes], *, direction: Any = "inbound") -> list[Envelope]:
    """Make messages of lines, as a read does."""
    stamp = Stamp(2, 1763868000.25, 5.0, direction)
    if direction == "outbound":
        return [stamp_outbound(line + b"\n", 7 + index, stamp) for index, line in enumerate(lines)]
    return decode_lines([line + b"\n" for line in lines], 7, stamp)[0]


def told(one: Envelope) -> tuple[Any, ...]:
    """Say all that there is to know about a message, but for the other clock."""
    fault = None if one.fault is None else (one.fault.reason, one.fault.size)
    ids = (one.thread_id, one.turn_id, one.item_id)
    return (one.seq, one.generation, one.at, one.direction, one.kind, one.method, *ids, one.raw.strip(), fault)


def written(path: Path, data: bytes) -> Path:
    """Write a log and name it."""
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("direction", ["inbound", "outbound"])
def test_every_line_comes_back_as_it_was(tmp_path: Path, direction: str) -> None:
    """Good ones, odd ones, and what is no message at all, in both directions."""
    envelopes = envelopes_of(LINES, direction=direction)
    back = list(read_jsonl(written(tmp_path / "log", jsonl(envelopes))))
    assert [told(one) for one in back if isinstance(one, Envelope)] == [told(one) for one in envelopes]
    assert len(back) == len(LINES)


@pytest.mark.parametrize("first", [0, 7, 95, 990, 999_995, 1_000_000])
@pytest.mark.parametrize("count", [1, 3, 4, 30, 2500])
def test_each_of_many_that_are_alike_has_its_own_number(first: int, count: int) -> None:
    """However many digits it has, and also where they become more; pieces of an answer come in such stretches."""
    form = b'{"method":"d","params":{"threadId":"t","turnId":"u","itemId":"i","delta":"%d"}}\n'
    batch, _ = decode_lines([form % number for number in range(count)], first, Stamp(0, 1.0, 1.0))
    lines = jsonl(batch).splitlines()
    assert [json.loads(line)["seq"] for line in lines] == [*range(first, first + count)]
    assert [json.loads(line)["message"]["params"]["delta"] for line in lines] == [*map(str, range(count))]
    assert {line.partition(b',"message":')[0].partition(b",")[2] for line in lines} == {
        jsonl(batch[:1]).partition(b',"message":')[0].partition(b",")[2]
    }


def test_numbers_with_holes_are_written_as_they_are() -> None:
    """No runtime makes them; who writes such a batch by hand gets what was asked for."""
    line = b'{"method":"d","params":{"threadId":"t","turnId":"u","itemId":"i","delta":"x"}}\n'
    batch, _ = decode_lines([line] * 6, 0, Stamp(0, 1.0, 1.0))
    for envelope, seq in zip(batch, [3, 5, 6, 7, 20, 21], strict=True):
        envelope.seq = seq
    assert [json.loads(one)["seq"] for one in jsonl(batch).splitlines()] == [3, 5, 6, 7, 20, 21]


def test_a_line_tells_every_field(tmp_path: Path) -> None:
    """In the names of the wire, and with the message in it as JSON."""
    [line] = jsonl(envelopes_of(LINES[2:3])).splitlines()
    assert json.loads(line) == {
        "seq": 7,
        "generation": 2,
        "at": 1763868000.25,
        "direction": "inbound",
        "kind": "notification",
        "method": "item/agentMessage/delta",
        "threadId": "t",
        "turnId": "u",
        "itemId": "i",
        "message": json.loads(LINES[2]),
    }


def test_a_line_too_long_to_be_kept_is_told_with_its_size(tmp_path: Path) -> None:
    """There is nothing else left of it."""
    framer = LineFramer(10)
    lines = framer.feed(b"0123456789abcdef\n{}\n")
    envelopes, _ = decode_lines(lines, 0, Stamp(0, 1.0, 1.0))
    back = list(read_jsonl(written(tmp_path / "log", jsonl(envelopes))))
    assert [told(one) for one in back if isinstance(one, Envelope)] == [told(one) for one in envelopes]
    assert told(envelopes[0])[-1] == ("too_long", 17)


def test_the_head_of_a_line_too_long_to_be_kept_is_not_taken_for_the_line(tmp_path: Path) -> None:
    """A peer keeps it to see whose answer it was; read back as a line, it would be another message of another length."""
    line = b'{"method":"turn/completed","params":{}}' + b" " * 60 + b"\n"
    (envelope,) = Peer[None](line_limit=50).receive(line, 0, Stamp(0, 1.0, 1.0)).envelopes
    assert envelope.raw
    log = jsonl([envelope])
    assert b'"base64":null' in log
    for text in (log, log.replace(b'"base64":null', b'"base64":"e30="')):  # as it was written once
        (back,) = read_jsonl(written(tmp_path / "log", text))
        assert isinstance(back, Envelope)
        assert told(back)[-1] == ("too_long", 100)
        (tmp_path / "log").unlink()


def test_a_gap_stands_where_it_was_told(tmp_path: Path) -> None:
    """Before, between and after messages."""
    first, second = envelopes_of(LINES[:2])
    batch = [Gap(1, 6, 5), first, Gap(100, 200, 3), Gap(201, 201, 1), second, Gap(300, 300, 1)]
    back = list(read_jsonl(written(tmp_path / "log", jsonl(batch))))
    assert [one if isinstance(one, Gap) else one.seq for one in back if not isinstance(one, Damage)] == [
        one if isinstance(one, Gap) else one.seq for one in batch
    ]


def test_a_log_torn_anywhere_loses_its_last_record_only(tmp_path: Path) -> None:
    """At each byte of the last three records: what is whole is read, the rest is told with its place and its size."""
    envelopes = envelopes_of(LINES)
    records = jsonl(envelopes).splitlines(keepends=True)
    log = b"".join(records)
    for size in range(len(b"".join(records[:-3])), len(log)):
        back = list(read_jsonl(written(tmp_path / "log", log[:size])))
        whole = sum(len(b"".join(records[: count + 1])) - 1 <= size for count in range(len(records)))
        good = [one for one in back if isinstance(one, Envelope)]
        assert [told(one) for one in good] == [told(one) for one in envelopes[:whole]]
        rest = size - len(b"".join(records[:whole]))
        assert [one for one in back if isinstance(one, Damage)] == ([Damage(size - rest, rest)] if rest > 0 else [])


@pytest.mark.parametrize("rubbish", [b"\0\0\0\0\n", b"rubbish\n", b"\n", b'{"seq":1}\n', b'{"seq":1,"message":2}\n'])
def test_what_is_no_record_is_skipped_and_told(tmp_path: Path, rubbish: bytes) -> None:
    """In the middle as well as at the end."""
    first, second = envelopes_of(LINES[:2])
    log = jsonl([first]) + rubbish + jsonl([second]) + rubbish
    back = list(read_jsonl(written(tmp_path / "log", log)))
    assert [one.seq if isinstance(one, Envelope) else one for one in back] == [
        7,
        Damage(len(jsonl([first])), len(rubbish)),
        8,
        Damage(len(log) - len(rubbish), len(rubbish)),
    ]


@given(st.binary(max_size=300))
def test_no_file_makes_the_reader_raise(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    """Whatever stands in it; and every byte is in some record or some damage."""
    path = tmp_path_factory.getbasetemp() / "any.jsonl"
    damaged = [one.size for one in read_jsonl(written(path, data)) if isinstance(one, Damage)]
    assert sum(damaged) <= len(data)


def test_a_log_that_is_not_there_is_our_error(tmp_path: Path) -> None:
    """With the path in it."""
    with pytest.raises(StoreError, match="missing"):
        list(read_jsonl(tmp_path / "missing"))
