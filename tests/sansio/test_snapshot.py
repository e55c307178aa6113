"""A snapshot as bytes: it comes back as it was, and what cannot be read is told apart and shows nothing of itself."""

from __future__ import annotations

import json
import zlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codex_runtime._sansio.snapshot import FORMAT, VERSION, Encoder, Unreadable, decode, encode
from codex_runtime._sansio.state import ItemState, RuntimeState, ThreadState, TurnState
from tests.sansio.states import fold_onto, folded, histories, patient, states


def one_thread(text: str = "", line: bytes | None = None) -> RuntimeState:
    """Return a state with one item in it."""
    item = ItemState(id="i", kind="agentMessage", status="completed", text=text, completed_line=line)
    turn = TurnState(id="u", status="completed", items={"i": item})
    return RuntimeState(threads={"t": ThreadState(id="t", turns={"u": turn})})


@patient
@given(states)
def test_a_state_comes_back_as_it_was(state: RuntimeState) -> None:
    """Every field of every value, whatever text and bytes are in it, and in its order."""
    back = decode(encode(state))
    assert back == state
    assert isinstance(back, RuntimeState)
    assert [list(thread.turns) for thread in back.threads.values()] == [list(t.turns) for t in state.threads.values()]


@patient
@given(histories)
def test_what_a_projection_came_to_comes_back(history: list[tuple[str, dict[str, object]]]) -> None:
    """The states that there really are."""
    state = folded(history).snapshot()
    assert decode(encode(state)) == state


@patient
@given(st.lists(histories, min_size=2, max_size=4))
def test_an_encoder_that_remembers_gives_the_same_bytes(parts: list[list[tuple[str, dict[str, object]]]]) -> None:
    """Turns that did not change are not encoded again, which nobody can see."""
    encoder = Encoder()
    projection = folded([])
    for part in parts:
        fold_onto(projection, part)
        state = projection.snapshot()
        assert encoder.encode(state) == encode(state)


def test_values_that_come_back_cannot_be_changed() -> None:
    """As in any snapshot."""
    back = decode(encode(one_thread()))
    assert isinstance(back, RuntimeState)
    with pytest.raises(TypeError):
        back.threads["t"].turns["u"].items["x"] = None  # type: ignore[index]


def test_people_can_read_it() -> None:
    """One JSON object: the head says what it is, a line of the server is a string."""
    line = '{"params":{"item":{"text":"grün"}}}\n'.encode()
    document = json.loads(encode(one_thread("grün", line)))
    assert (document["format"], document["version"]) == (FORMAT, VERSION)
    assert document["codex"].count(".") == 2
    item = document["state"]["threads"][0]["turns"][0]["items"][0]
    assert (item["text"], item["completed_line"].encode()) == ("grün", line)


@given(st.binary(max_size=60))
def test_bytes_that_are_no_state_are_damaged(data: bytes) -> None:
    """Nothing raises."""
    assert decode(data) == Unreadable("damaged")


def test_any_one_byte_that_changed_is_noticed() -> None:
    """Also where the JSON is as good as before: in a text, a number, the checksum."""
    data = encode(one_thread("hello", b'{"a":1}\n'))
    for place in range(len(data) - 1):
        for flip in (0x01, 0x20):
            broken = data[:place] + bytes([data[place] ^ flip]) + data[place + 1 :]
            found = decode(broken)
            # The codex version is not part of what is checked, and says nothing about the state.
            assert isinstance(found, Unreadable) or data.index(b'"codex"') <= place < data.index(b',"checksum"')


@given(st.data())
def test_a_part_of_a_state_is_damaged(data: st.DataObject) -> None:
    """What a torn write leaves."""
    whole = encode(one_thread("hello", b'{"a":1}\n'))
    end = data.draw(st.integers(0, len(whole) - 2))
    assert decode(whole[:end]) == Unreadable("damaged")


def test_a_later_version_is_told_apart_from_damage() -> None:
    """Whatever else is different in it: its number is enough."""
    assert decode(b'{"format":"codex-runtime state","version":2,"new":[]}') == Unreadable("newer", 2)
    assert decode(b'{"format":"something else","version":2}') == Unreadable("damaged")
    assert decode(b'{"format":"codex-runtime state","version":0}') == Unreadable("damaged")


def with_body(body: bytes) -> bytes:
    """Return bytes with a good head for any body."""
    head = {
        "format": FORMAT,
        "version": VERSION,
        "codex": "1",
        "checksum": zlib.crc32(body),
        "state": msgspec.Raw(body),
    }
    return msgspec.json.encode(head)


def test_a_field_that_is_not_known_is_passed_over_and_one_that_is_missing_has_its_default() -> None:
    """So a state may gain a field without a new version."""
    state = decode(with_body(b'{"later":1,"threads":[{"id":"t","turns":[],"later":{}}]}'))
    assert state == RuntimeState(threads={"t": ThreadState(id="t", turns={})})
    assert decode(with_body(b"{}")) == RuntimeState()


@pytest.mark.parametrize(
    "body",
    [b"7", b'{"threads":[{}]}', b'{"threads":[{"id":7,"turns":[]}]}', b'{"rate_limits_line":{"odd":"?"}}',
     b'{"rate_limits_line":{"odd":"AA=A"}}', b'{"told":[["a"]]}', b'{"connection":{"phase":"new"}}'],
)  # fmt: skip
def test_a_good_checksum_does_not_excuse_nonsense(body: bytes) -> None:
    """Values are of their types when they come back, or not at all."""
    assert decode(with_body(body)) == Unreadable("damaged")


def test_why_bytes_cannot_be_read_shows_nothing_of_them() -> None:
    """Prompts and answers stay out of messages."""
    data = encode(one_thread("secret-prompt"))
    assert "secret" not in repr(decode(data[:-20]))
