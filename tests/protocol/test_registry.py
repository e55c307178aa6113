"""The table of methods, and reading that never raises."""

from __future__ import annotations

import json
from collections import Counter

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codex_runtime.protocol import (
    AgentMessageDeltaNotification,
    CommandExecutionRequestApprovalParams,
    InitializedNotification,
    McpServerElicitationRequestParams,
    ThreadStartParams,
    ThreadStartResponse,
    TurnInterruptResponse,
    Undecodable,
    UnknownMessage,
    Wire,
    decode_message,
    decode_params,
    decode_result,
    encode_params,
    event_type,
    registry,
)
from tests.protocol.samples import FACTS

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)
METHODS = st.sampled_from([method.name for method in registry])


def test_every_method_of_the_schema_is_there() -> None:
    """172 requests to the server, 11 from it, 85 notifications from it, 1 to it."""
    assert Counter(method.direction for method in registry) == {
        "client_request": 172,
        "server_request": 11,
        "server_notification": 85,
        "client_notification": 1,
    }
    assert {method.name for method in registry} == {str(entry["method"]) for entry in FACTS.methods}
    assert len(registry) == 269
    assert registry.version == FACTS.version


def test_every_request_has_a_typed_result() -> None:
    """No answer has to be taken apart by hand."""
    for method in registry:
        assert (method.result is not None) == method.direction.endswith("request"), method
        assert method.read_result is None or method.result is not None


def test_only_requests_without_content_have_no_params() -> None:
    """The schema says null for exactly these."""
    bare = {method.name for method in registry if method.params is None}
    assert bare == {str(entry["method"]) for entry in FACTS.methods if entry["params"] is None} - {"initialized"}


def test_a_method_says_what_it_is() -> None:
    """Name, direction, types, stability, deprecation and namespace."""
    method = registry.get("thread/start")
    assert method is not None
    assert (method.name, method.direction, method.namespace) == ("thread/start", "client_request", "thread")
    assert (method.params, method.result) == (ThreadStartParams, ThreadStartResponse)
    assert (method.stability, method.deprecated) == ("stable", False)
    assert repr(method) == "Method('thread/start', 'client_request', stability='stable')"
    assert registry.get("no/such/method") is None
    assert "thread/start" in registry
    assert "no/such/method" not in registry


def test_stability_and_deprecation_come_from_the_schema() -> None:
    """What only the experimental bundle knows is experimental."""
    assert sum(method.stability == "experimental" for method in registry) == 68
    assert sorted(method.name for method in registry if method.deprecated) == [
        "applyPatchApproval",
        "execCommandApproval",
        "item/fileChange/outputDelta",
        "thread/compacted",
    ]


def test_the_type_of_an_event_is_found_both_ways() -> None:
    """By the method's name, and from the struct back to its method."""
    assert event_type("item/agentMessage/delta") is AgentMessageDeltaNotification
    assert AgentMessageDeltaNotification.method == "item/agentMessage/delta"
    assert event_type("no/such/method") is None
    assert event_type("mcpServer/elicitation/request") is McpServerElicitationRequestParams


def test_a_params_type_knows_its_method() -> None:
    """Unless two methods share it; then neither is named."""
    users = Counter(method.params_name for method in registry)
    for method in registry:
        if isinstance(method.params, type) and issubclass(method.params, Wire):
            expected = method.name if users[method.params_name] == 1 else None
            assert getattr(method.params, "method", None) == expected


def test_a_line_becomes_the_struct_of_its_method() -> None:
    """Notifications and server requests alike; the envelope around them is somebody else's business."""
    line = b'{"method":"item/agentMessage/delta","params":{"threadId":"t","turnId":"u","itemId":"i","delta":"x"}}'
    assert decode_message(line) == AgentMessageDeltaNotification(thread_id="t", turn_id="u", item_id="i", delta="x")
    asked = decode_message(
        b'{"id":0,"method":"item/commandExecution/requestApproval","params":'
        b'{"threadId":"t","turnId":"u","itemId":"i","startedAtMs":1,"kind":"command"}}'
    )
    assert isinstance(asked, CommandExecutionRequestApprovalParams)
    assert decode_message(b'{"method":"initialized"}') == InitializedNotification()


def test_an_unknown_method_keeps_its_bytes() -> None:
    """A newer server may say things nobody has a type for."""
    line = b'{"method":"hologram/started","params":{"depth":3}}'
    assert decode_message(line) == UnknownMessage("hologram/started", line)
    assert decode_params("hologram/started", msgspec.Raw(b"{}")) == UnknownMessage("hologram/started", b"{}")
    assert decode_result("hologram/start", b"{}") == UnknownMessage("hologram/start", b"{}")


@pytest.mark.parametrize("line", [b'{"id":1,"result":{}}', b"[]", b"", b"\xff", b'{"method":5}', b"{"])
def test_a_line_without_method_is_unknown(line: bytes) -> None:
    """An answer does not say what it answers, and rubbish says nothing."""
    assert decode_message(line) == UnknownMessage("", line)


def test_content_that_does_not_fit_gives_the_reason() -> None:
    """The place and the mismatch are named; the value, which may be private, is not."""
    found = decode_params("item/agentMessage/delta", b'{"threadId":"secret","turnId":7}')
    assert isinstance(found, Undecodable)
    assert found.method == "item/agentMessage/delta"
    assert found.raw == b'{"threadId":"secret","turnId":7}'
    assert "secret" not in found.reason
    assert "secret" not in repr(found)
    assert "secret" not in repr(UnknownMessage("m", found.raw))


def test_a_deep_line_is_no_danger() -> None:
    """Nesting beyond the interpreter's depth is refused, not suffered."""
    deep = b"[" * 100_000 + b"]" * 100_000
    assert isinstance(decode_params("item/tool/call", b'{"arguments":' + deep + b"}"), Undecodable)
    assert isinstance(decode_params("item/completed", b'{"item":{"type":"new","x":' + deep + b"}}"), Undecodable)
    assert isinstance(decode_message(b'{"method":"thread/started","params":' + deep + b"}"), UnknownMessage)


def test_a_method_without_params_takes_nothing() -> None:
    """Null, an empty object and absence are the same to it."""
    assert decode_params("memory/reset", None) is None
    assert decode_params("memory/reset", b"{}") is None
    assert isinstance(decode_params("memory/reset", b'{"x":1}'), Undecodable)


def test_an_empty_result_may_be_null() -> None:
    """A server that says null where there is nothing to say is understood."""
    assert decode_result("turn/interrupt", b"null") == TurnInterruptResponse()
    assert encode_params(TurnInterruptResponse()) == b"{}"


@given(METHODS, JSON)
def test_no_content_can_make_reading_raise(method: str, value: object) -> None:
    """Whatever stands in a message, there is a value for it."""
    raw = json.dumps(value).encode()
    decode_params(method, raw)
    decode_result(method, raw)
    decode_message(json.dumps({"method": method, "params": value}).encode())


@given(METHODS, st.binary(max_size=40))
def test_no_bytes_can_make_reading_raise(method: str, data: bytes) -> None:
    """Bytes that are not JSON are no reason to fail either."""
    decode_params(method, data)
    decode_result(method, data)
    decode_message(data)
    decode_message(b'{"method":"' + method.encode() + b'","params":' + data + b"}")
