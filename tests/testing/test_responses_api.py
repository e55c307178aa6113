"""Parts of a reply as events of the wire."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codex_runtime.testing._gate import Gate
from codex_runtime.testing._reply import (
    Call,
    Custom,
    Cut,
    Exec,
    Fail,
    Hold,
    Incomplete,
    Patch,
    Pause,
    RateLimits,
    Raw,
    Reply,
    Say,
    Stall,
    Think,
    Tokens,
)
from codex_runtime.testing._responses_api import headers, score

Event = dict[str, Any]


def events(reply: Reply, serial: int = 7) -> list[Event]:
    """The events of a reply that has no waits."""
    return [read(step) for step in score(reply, serial)]


def read(step: object) -> Event:
    """One frame as the event it carries."""
    assert isinstance(step, bytes)
    name, data = step.decode().removesuffix("\n\n").split("\n")
    event: Event = json.loads(data.removeprefix("data: "))
    assert name == f"event: {event['type']}"
    return event


def item(reply: Reply) -> Event:
    """The only finished item of a reply."""
    (done,) = (event for event in events(reply) if event["type"] == "response.output_item.done")
    found: Event = done["item"]
    return found


def test_a_reply_opens_and_closes_a_response() -> None:
    """Also one with nothing in it, and with some token counts."""
    created, completed = events(Reply())
    assert created["response"] == {"id": "resp_7"}
    assert completed["response"]["id"] == "resp_7"
    assert completed["response"]["usage"]["total_tokens"] == 2


def test_tokens_close_the_reply_wherever_they_stand() -> None:
    """The counts go into the last event."""
    *_, completed = events(Reply(Tokens(input=100, output=20, cached=90, reasoning=5), Say("x")))
    assert completed["response"]["usage"] == {
        "input_tokens": 100,
        "input_tokens_details": {"cached_tokens": 90},
        "output_tokens": 20,
        "output_tokens_details": {"reasoning_tokens": 5},
        "total_tokens": 120,
    }


@given(text=st.text(), chunks=st.none() | st.integers(0, 50))
def test_the_pieces_of_a_message_are_the_message(text: str, chunks: int | None) -> None:
    """However a text is cut, the pieces together are the text, and none is empty."""
    pieces = [event["delta"] for event in events(Reply(Say(text, chunks=chunks))) if "delta" in event]
    assert "".join(pieces) == (text if chunks != 0 else "")
    assert all(pieces)
    if chunks is not None:
        assert len(pieces) == min(chunks, len(text))
    assert item(Reply(Say(text, chunks=chunks)))["content"] == [{"type": "output_text", "text": text}]


def test_a_message_may_be_cut_by_hand() -> None:
    """Exactly the given pieces are sent, empty ones too."""
    said = events(Reply(Say("abc", chunks=["a", "", "bc"], phase="commentary")))
    assert [event["delta"] for event in said if "delta" in event] == ["a", "", "bc"]
    assert said[1]["item"]["phase"] == said[-2]["item"]["phase"] == "commentary"


def test_pace_is_a_pause_before_each_piece() -> None:
    """Of messages and of reasoning."""
    for part, pieces in ((Say("a b c", pace=0.5), 3), (Think("a b", raw="c d e", pace=0.5), 5)):
        assert list(score(Reply(part), 1)).count(Pause(0.5)) == pieces


def test_reasoning_streams_its_summary_and_then_itself() -> None:
    """The finished item carries both."""
    thought = events(Reply(Think("a b", raw="c")))
    assert [(event["type"].removeprefix("response."), event["delta"]) for event in thought if "delta" in event] == [
        ("reasoning_summary_text.delta", "a "),
        ("reasoning_summary_text.delta", "b"),
        ("reasoning_text.delta", "c"),
    ]
    assert item(Reply(Think("a b", raw="c"))) == {
        "type": "reasoning",
        "id": "rs_7_0",
        "summary": [{"type": "summary_text", "text": "a b"}],
        "content": [{"type": "reasoning_text", "text": "c"}],
    }
    assert "content" not in item(Reply(Think("a b")))


@pytest.mark.parametrize(
    ("part", "kind", "name", "payload"),
    [
        (Exec("ls"), "function_call", "exec_command", '{"cmd":"ls"}'),
        (
            Exec("ls", escalate=True, justification="May I?", options={"workdir": "/"}),
            "function_call",
            "exec_command",
            '{"cmd":"ls","sandbox_permissions":"require_escalated","justification":"May I?","workdir":"/"}',
        ),
        (Call("look", {"a": 1}), "function_call", "look", '{"a":1}'),
        (Call("look", "{not json"), "function_call", "look", "{not json"),
        (Patch("*** Begin Patch"), "custom_tool_call", "apply_patch", "*** Begin Patch"),
        (Custom("exec", "text(1)"), "custom_tool_call", "exec", "text(1)"),
    ],
    ids=repr,
)
def test_a_tool_call_is_one_finished_item(
    part: Exec | Call | Patch | Custom, kind: str, name: str, payload: str
) -> None:
    """With the tool's name and its input as the server expects them."""
    called = item(Reply(part))
    assert (called["type"], called["name"]) == (kind, name)
    assert called["arguments" if kind == "function_call" else "input"] == payload
    assert called["call_id"] == "call_7_0"


def test_calls_may_have_ids_and_namespaces_of_their_own() -> None:
    """So that a test can look up an output by a name it chose."""
    for part in (
        Exec("ls", call_id="x"),
        Call("ls", call_id="x"),
        Patch("", call_id="x"),
        Custom("y", "", call_id="x"),
    ):
        assert item(Reply(part))["call_id"] == "x"
    assert item(Reply(Call("echo", namespace="mcp__stub")))["namespace"] == "mcp__stub"


def test_ids_are_those_of_the_playing() -> None:
    """Two items of one reply differ, and so do two playings of one reply."""
    reply = Reply(Say("a"), Pause(1), Say("b"), Exec("c"))
    ids = [
        read(step)["item"]["id"]
        for serial in (1, 2)
        for step in score(reply, serial)
        if isinstance(step, bytes) and b"output_item.done" in step
    ]
    assert ids == ["msg_1_0", "msg_1_1", "fc_1_2", "msg_2_0", "msg_2_1", "fc_2_2"]


def test_whatever_takes_time_or_ends_the_stream_is_left_to_the_player() -> None:
    """In its place among the frames, and after a cut there is nothing."""
    hold = Hold(Gate())
    steps = list(score(Reply(hold, Pause(1), Say("x", chunks=0), Cut()), 1))
    assert [step for step in steps if not isinstance(step, bytes)] == [hold, Pause(1), Cut()]
    assert steps[-1] == Cut()
    assert Stall() in list(score(Reply(Stall()), 1))


def test_a_failure_or_an_early_end_takes_the_place_of_the_completion() -> None:
    """With the code, the message and the reason."""
    *_, failed = events(Reply(Say("x"), Fail("rate_limit_exceeded", "Slow down.")))
    assert failed["type"] == "response.failed"
    assert failed["response"]["error"] == {"code": "rate_limit_exceeded", "message": "Slow down."}
    *_, incomplete = events(Reply(Incomplete("content_filter")))
    assert incomplete["type"] == "response.incomplete"
    assert incomplete["response"]["incomplete_details"] == {"reason": "content_filter"}


def test_raw_parts_are_sent_as_they_are() -> None:
    """Bytes and text untouched, a mapping as one event."""
    _, one, two, three, _ = score(Reply(Raw(b"\xff"), Raw("data: é\n\n"), Raw({"type": "x", "y": 1})), 1)
    assert one == b"\xff"
    assert two == "data: é\n\n".encode()
    assert read(three) == {"type": "x", "y": 1}


def test_limits_travel_in_the_headers() -> None:
    """Those that are not told are left out."""
    assert headers(Reply(Say("x"))) == {"content-type": "text/event-stream", "cache-control": "no-cache"}
    told = headers(Reply(RateLimits(primary_used=87.5, primary_resets_at=99, secondary_used=3)))
    assert {name: value for name, value in told.items() if name.startswith("x-")} == {
        "x-codex-primary-used-percent": "87.5",
        "x-codex-primary-window-minutes": "300",
        "x-codex-primary-reset-at": "99",
        "x-codex-secondary-used-percent": "3",
        "x-codex-secondary-window-minutes": "10080",
    }
