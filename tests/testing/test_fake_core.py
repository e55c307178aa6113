"""The rules of the fake app server's wire: greeting, silence, server requests, and dying at a point."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codex_runtime.testing._fake_core import Waiting
from codex_runtime.testing._fake_orders import Death, ReplyOrder
from codex_runtime.testing._fake_script import Ask, Command, Die, Garbage, Notify, Script
from codex_runtime.testing._gate import Gate
from codex_runtime.testing._reply import Hold, Pause, Say, Stall
from tests.support.core_driver import CLIENT, CoreDriver, methods, params_of


def test_nothing_is_answered_before_the_greeting() -> None:
    """The real server refuses with the same words."""
    driver = CoreDriver(greet=False)
    assert driver.refused("thread/start") == "Not initialized"


def test_a_second_greeting_is_refused() -> None:
    """One connection, one greeting."""
    assert CoreDriver().refused("initialize", CLIENT) == "Already initialized"


def test_the_greeting_tells_the_version_in_the_user_agent() -> None:
    """It is the only place where the real server tells it."""
    driver = CoreDriver(greet=False)
    agent = driver.ask("initialize", CLIENT)["userAgent"]
    assert agent == "driver/0.163.0 (Debian 12; x86_64) unknown (driver; 1)"


@pytest.mark.parametrize(
    ("params", "text"),
    [
        ({}, "missing field `clientInfo`"),
        ({"clientInfo": {"version": "1"}}, "missing field `name`"),
        ({"clientInfo": {"name": "x"}}, "missing field `version`"),
        ({"clientInfo": {"name": "café", "version": "1"}}, "Must be a valid HTTP header value"),
    ],
)
def test_a_wrong_greeting_is_refused(params: object, text: str) -> None:
    """And another may follow."""
    driver = CoreDriver(greet=False)
    assert text in driver.refused("initialize", params)
    driver.ask("initialize", CLIENT)


def test_an_unknown_method_is_an_invalid_request() -> None:
    """The real server never says -32601."""
    [response] = CoreDriver().send("no/such")
    assert response["error"]["code"] == -32600
    assert "unknown variant `no/such`" in response["error"]["message"]


@pytest.mark.parametrize("params", ["null", "[1]"])
def test_parameters_must_be_an_object(params: str) -> None:
    """An absent object is not an empty one."""
    driver = CoreDriver()
    [response] = driver.line(b'{"id":9,"method":"thread/list","params":%s}' % params.encode())
    assert response["error"]["message"] == "Invalid request: missing field `params`"


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{",
        b"42",
        b'[{"id":1,"method":"thread/list","params":{}}]',
        b'{"id":null,"method":"thread/list","params":{}}',
        b'{"id":1.5,"method":"thread/list","params":{}}',
        b'{"id":true,"method":"thread/list","params":{}}',
        b'{"id":9223372036854775808,"method":"thread/list","params":{}}',
        b'{"id":1,"method":"thread/list","params":{"x":"\\ud800"}}',
        b'{"id":1,"method":"thread/list","params":{"x":' + b"[" * 130 + b"]" * 130 + b"}}",
        b'{"id":1,"method":7,"params":{}}',
        b'{"params":{}}',
    ],
)
def test_what_cannot_be_read_is_dropped_without_a_word(line: bytes) -> None:
    """No answer, no exit; but the record has it."""
    driver = CoreDriver()
    assert driver.line(line) == []
    assert driver.history.received[-1].line == line
    assert driver.ask("thread/list")["data"] == []


@pytest.mark.parametrize("rpc_id", [0, -3, 2**63 - 1, "abc"])
def test_any_good_id_comes_back_as_it_was(rpc_id: int | str) -> None:
    """Numbers and text alike."""
    [response] = CoreDriver().line(json.dumps({"id": rpc_id, "method": "thread/list", "params": {}}).encode())
    assert response["id"] == rpc_id


def test_invalid_utf8_ends_the_process_with_status_0() -> None:
    """The real server's reader stops, and with it the server."""
    driver = CoreDriver()
    driver.line(b'{"method":"\xff"}')
    assert driver.outputs == [Die(code=0)]
    assert driver.send("thread/list") == []


def test_unknown_notifications_and_answers_are_ignored() -> None:
    """The record has them."""
    driver = CoreDriver()
    assert driver.tell("no/such", {}) == []
    assert driver.answer(77, {}) == []
    [answer] = driver.history.answers
    assert (answer.rpc_id, answer.to, answer.counted) == (77, None, False)


def test_server_requests_count_from_0_in_each_process() -> None:
    """This is why an answer must not cross over to the next one."""
    driver = CoreDriver()
    driver.core.play([Ask("currentTime/read"), Ask("currentTime/read")])
    driver.answer(0, {})
    driver.restart()
    driver.core.play([Ask("currentTime/read")])
    assert [(asked.generation, asked.rpc_id) for asked in driver.history.asked] == [(0, 0), (0, 1), (1, 0)]


def test_a_second_answer_does_not_count() -> None:
    """It is on record as one that came for nothing, with what it was for."""
    driver = CoreDriver(Script(Command("ls", approval=True)))
    driver.start_turn(driver.start_thread())
    driver.answer(0, {"decision": "decline"})
    assert driver.answer(0, {"decision": "accept"}) == []
    assert [(answer.decision, answer.counted, answer.method) for answer in driver.history.answers] == [
        ("decline", True, "item/commandExecution/requestApproval"),
        ("accept", False, "item/commandExecution/requestApproval"),
    ]


def test_a_settled_server_request_is_told_as_resolved() -> None:
    """Before anything else follows from the answer."""
    driver = CoreDriver(Script(Command("ls", approval=True)))
    thread = driver.start_thread()
    driver.start_turn(thread)
    first, *_ = driver.answer(0, {"decision": "accept"})
    assert (first["method"], first["params"]) == ("serverRequest/resolved", {"threadId": thread, "requestId": 0})


def test_notifications_that_the_client_opted_out_of_are_not_sent() -> None:
    """Exact names only."""
    driver = CoreDriver(greet=False)
    driver.ask("initialize", {**CLIENT, "capabilities": {"optOutNotificationMethods": ["thread/started", "turn/"]}})
    thread = driver.start_thread()
    found = methods(driver.start_turn(thread))
    assert "turn/started" in found
    assert "thread/started" not in methods(driver.send("thread/start"))


def test_after_unsubscribing_only_the_status_is_told() -> None:
    """The turn goes on unheard."""
    driver = CoreDriver()
    thread = driver.start_thread()
    assert driver.ask("thread/unsubscribe", {"threadId": thread}) == {"status": "unsubscribed"}
    assert driver.ask("thread/unsubscribe", {"threadId": thread}) == {"status": "notSubscribed"}
    assert set(methods(driver.start_turn(thread))) == {"response", "thread/status/changed"}


def test_waits_come_out_and_proceed_goes_on() -> None:
    """A pause, then a gate, then the end."""
    gate = Gate()
    driver = CoreDriver(Script(Say("one"), Pause(2.5), Hold(gate), Say("two")))
    driver.start_turn(driver.start_thread())
    assert [output.until for output in driver.outputs if isinstance(output, Waiting)] == [Pause(2.5)]
    driver.proceed()
    assert [output.until for output in driver.outputs if isinstance(output, Waiting)] == [Hold(gate)]
    [completed] = params_of(driver.proceed(), "turn/completed")
    assert completed["turn"]["items"][0]["text"] == "two"


def test_an_old_key_does_nothing() -> None:
    """A timer that fires after the interrupt has no effect."""
    driver = CoreDriver(Script(Pause(1), Say("never")))
    thread = driver.start_thread()
    driver.start_turn(thread)
    [waiting] = [output for output in driver.outputs if isinstance(output, Waiting)]
    driver.send("turn/interrupt", {"threadId": thread, "turnId": driver.core.plays[thread].turn.id})
    assert driver.core.proceed(waiting.key) == []


def test_a_stalled_turn_never_ends_by_itself() -> None:
    """But it can be interrupted."""
    driver = CoreDriver(Script(Stall()))
    thread = driver.start_thread()
    assert "turn/completed" not in methods(driver.start_turn(thread))
    found = driver.send("turn/interrupt", {"threadId": thread, "turnId": ""})
    assert params_of(found, "turn/completed")[0]["turn"]["status"] == "interrupted"


# -- dying -----------------------------------------------------------------------------------------------------------


def _last_lines(driver: CoreDriver) -> bytes:
    return b"".join(output for output in driver.outputs if isinstance(output, bytes))


@pytest.mark.parametrize("method", ["turn/started", "item/agentMessage/delta", "turn/completed"])
def test_it_can_die_before_during_and_after_what_it_sends(method: str) -> None:
    """Before: no trace of it. During: half a line. After: the whole line, and nothing more."""
    die = Die(code=3)
    ends = []
    for moment in ("before", "during", "after"):
        driver = CoreDriver()
        driver.orders.deaths.append(Death(method, moment, die, 1))
        driver.start_turn(driver.start_thread())
        assert driver.outputs[-1] == die
        ends.append(_last_lines(driver))
    before, during, after = ends
    assert before.endswith(b"\n")
    assert method.encode() not in before.splitlines()[-1]
    assert not during.endswith(b"\n")
    assert json.loads(after.splitlines()[-1])["method"] == method


def test_it_can_die_around_a_request() -> None:
    """Before: no answer. During: half of it. After: the answer, and nothing that would have followed."""
    ends = []
    for moment in ("before", "during", "after"):
        driver = CoreDriver()
        thread = driver.start_thread()
        driver.orders.deaths.append(Death("turn/start", moment, Die(), 1))
        driver.start_turn(thread)
        assert driver.outputs[-1] == Die(signal=9)
        ends.append(_last_lines(driver))
    assert ends[0] == b""
    assert ends[1]
    assert not ends[1].endswith(b"\n")
    assert [*json.loads(ends[2])] == ["id", "result"]


def test_it_can_die_before_it_reads_anything() -> None:
    """A launch that comes to nothing."""
    driver = CoreDriver()
    driver.orders.deaths.append(Death("launch", "before", Die(code=1), 1))
    driver.launch(greet=False)
    assert driver.outputs == [Die(code=1)]
    driver.launch()
    assert driver.ask("thread/list")["data"] == []


def test_the_dead_say_nothing() -> None:
    """Whatever happens to it afterwards."""
    driver = CoreDriver()
    driver.core.play([Die()])
    assert driver.send("thread/list") == []
    assert driver.core.play([Garbage()]) == []
    assert driver.core.proceed(1) == []
    assert driver.core.is_over


def test_a_turn_whose_process_dies_is_interrupted_on_disk() -> None:
    """With the items that were finished; what was open is gone."""
    driver = CoreDriver(Script(Say("kept"), Command("ls", approval=True)))
    thread = driver.start_thread()
    driver.start_turn(thread)
    driver.restart()
    [turn] = driver.ask("thread/resume", {"threadId": thread})["thread"]["turns"]
    assert turn["status"] == "interrupted"
    assert [item["type"] for item in turn["items"]] == ["userMessage", "agentMessage"]


def test_a_death_in_mid_turn_is_not_taken_for_its_end() -> None:
    """No step after it is played, and the turn is not complete on disk."""
    driver = CoreDriver(Script(Say("one"), Die()))
    thread = driver.start_thread()
    driver.start_turn(thread)
    driver.restart()
    assert driver.disk.threads[thread].turns[0].status == "interrupted"


# -- answers that go wrong -------------------------------------------------------------------------------------------


def test_an_overloaded_server_refuses_without_data() -> None:
    """The next so many requests, then it is well again."""
    driver = CoreDriver()
    driver.orders.replies.append(ReplyOrder(None, "overload", 1))
    [response] = driver.send("thread/list")
    assert response["error"] == {"code": -32001, "message": "Server overloaded; retry later."}
    assert driver.ask("thread/list")["data"] == []


def test_a_swallowed_request_has_no_effect_and_a_dropped_answer_only_no_answer() -> None:
    """Two ways to hear nothing."""
    driver = CoreDriver()
    driver.orders.replies += [ReplyOrder("thread/start", "swallow", 1), ReplyOrder("thread/start", "drop", 1)]
    assert driver.send("thread/start") == []
    assert driver.disk.threads == {}
    assert methods(driver.send("thread/start")) == ["thread/started"]
    assert len(driver.disk.threads) == 1


def test_an_answer_that_is_held_comes_late_and_what_it_caused_does_not() -> None:
    """So answers can overtake each other."""
    driver = CoreDriver()
    driver.orders.replies.append(ReplyOrder("thread/start", "hold", 1, Gate()))
    assert methods(driver.send("thread/start")) == ["thread/started"]
    waiting = driver.outputs
    assert driver.ask("thread/loaded/list")["data"] == ["thread-1"]
    driver.outputs = waiting
    [response] = driver.proceed()
    assert response["result"]["thread"]["id"] == "thread-1"


# -- properties ------------------------------------------------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
METHODS = st.sampled_from(
    [
        *(
            "initialize",
            "thread/start",
            "thread/resume",
            "thread/read",
            "thread/fork",
            "thread/archive",
            "thread/delete",
        ),
        *("thread/list", "thread/name/set", "thread/unsubscribe", "turn/start", "turn/steer", "turn/interrupt", "nope"),
    ]
)
PARAMS = st.fixed_dictionaries(
    {},
    optional={
        "threadId": st.sampled_from(["thread-1", "thread-2", "x", 5]),
        "turnId": st.sampled_from(["", "turn-1", "turn-2"]),
        "expectedTurnId": st.sampled_from(["turn-1", "turn-2"]),
        "input": st.sampled_from([[], [{"type": "text", "text": "go"}], [7]]),
        "name": JSON,
        "sandbox": st.sampled_from(["read-only", "workspaceWrite"]),
        "clientInfo": JSON | st.just(CLIENT["clientInfo"]),
        "capabilities": JSON,
    },
)


@given(st.lists(st.tuples(METHODS, PARAMS) | st.binary(max_size=40) | JSON, max_size=25))
def test_no_input_breaks_it_and_each_readable_request_has_one_answer(inputs: list[object]) -> None:
    """Ids that were asked once are answered once, at most; hanging interrupts are the exception that the real one makes."""
    driver = CoreDriver(Script(Command("ls", approval=True)), Script(Stall()), greet=False)
    answered: list[object] = []
    for rpc_id, given_input in enumerate(inputs, start=1000):
        match given_input:
            case (str(method), dict(params)):
                line = json.dumps({"id": rpc_id, "method": method, "params": params}).encode()
            case bytes():
                line = given_input.replace(b"\n", b"")
            case _:
                line = json.dumps(given_input).encode()
        answered += [message["id"] for message in driver.line(line) if "method" not in message]
    assert len(answered) == len(set(map(repr, answered)))


@given(st.lists(st.sampled_from([Garbage(), Notify("a"), Ask("b"), Die()]), max_size=6))
def test_outputs_end_with_the_first_death(steps: list[Garbage | Notify | Ask | Die]) -> None:
    """Nothing is said after it."""
    driver = CoreDriver()
    outputs = driver.core.play(steps)
    assert Die() not in outputs[:-1]
    assert driver.core.is_over == (Die() in outputs)
