"""The methods of the fake app server: threads that outlive processes, turns, and the real server's refusals."""

from __future__ import annotations

import pytest

from codex_runtime.testing._fake_orders import Refusal
from codex_runtime.testing._fake_script import Command, Script
from codex_runtime.testing._gate import Gate
from codex_runtime.testing._reply import Pause, Say, Stall
from tests.support.core_driver import CoreDriver, completed_items, methods, params_of


def ran(driver: CoreDriver, **params: object) -> str:
    """A thread that has run a turn."""
    thread = driver.start_thread(**params)
    driver.start_turn(thread)
    return thread


# -- the process -----------------------------------------------------------------------------------------------------


def test_it_tells_of_itself() -> None:
    """What a client asks before it does anything."""
    driver = CoreDriver()
    assert driver.ask("server/diagnostics")["process"]["id"] == driver.core.pid
    assert driver.ask("account/read") == {"account": None, "requiresOpenaiAuth": False, "workspaceRouting": None}
    assert driver.ask("config/read")["config"]["sandbox_mode"] == "read-only"
    assert driver.ask("model/list")["data"][0]["isDefault"] is True


def test_methods_can_be_added_replaced_and_refused() -> None:
    """By the test, for as long as the fake lives."""
    driver = CoreDriver()
    driver.orders.handlers |= {
        "skills/list": lambda params: {"data": [params["x"]]},
        "model/list": lambda _: Refusal(-32603, "no", {"why": 1}),
    }
    assert driver.ask("skills/list", {"x": 5}) == {"data": [5]}
    driver.restart()
    [response] = driver.send("model/list")
    assert response["error"] == {"code": -32603, "message": "no", "data": {"why": 1}}


# -- threads ---------------------------------------------------------------------------------------------------------


def test_a_thread_echoes_its_settings() -> None:
    """Named one way in the request and told another way in the answer."""
    driver = CoreDriver()
    settings = {"cwd": "/w", "model": "m", "modelProvider": "p", "approvalPolicy": "on-request", "effort": "low"}
    result = driver.ask("thread/start", {**settings, "sandbox": "workspace-write"})
    assert (result["cwd"], result["model"], result["modelProvider"]) == ("/w", "m", "p")
    assert (result["approvalPolicy"], result["reasoningEffort"]) == ("on-request", "low")
    assert result["sandbox"]["type"] == "workspaceWrite"
    assert result["thread"]["status"] == {"type": "idle"}
    assert result["thread"]["path"].endswith(".jsonl")


def test_a_wrongly_spelled_sandbox_is_refused() -> None:
    """The word of the turn is not the word of the thread."""
    text = CoreDriver().refused("thread/start", {"sandbox": "workspaceWrite"})
    assert "unknown variant `workspaceWrite`" in text
    assert "`workspace-write`" in text


def test_dynamic_tools_are_experimental() -> None:
    """Refused without the capability, by the real server's words."""
    driver = CoreDriver(experimental=False)
    text = driver.refused("thread/start", {"dynamicTools": []})
    assert text == "thread/start.dynamicTools requires experimentalApi capability"
    assert CoreDriver().ask("thread/start", {"dynamicTools": []})


def test_a_thread_without_a_turn_has_no_rollout() -> None:
    """It cannot be resumed, not even while it is loaded, and it dies with the process."""
    driver = CoreDriver()
    thread = driver.start_thread()
    assert driver.refused("thread/resume", {"threadId": thread}) == f"no rollout found for thread id {thread}"
    assert driver.ask("thread/list")["data"] == []
    assert driver.ask("thread/read", {"threadId": thread})["thread"]["id"] == thread
    driver.restart()
    assert driver.refused("thread/read", {"threadId": thread}) == f"thread not loaded: {thread}"


def test_after_a_restart_a_thread_must_be_resumed_first() -> None:
    """It is listed, but not loaded."""
    driver = CoreDriver()
    thread = ran(driver)
    driver.restart()
    [listed] = driver.ask("thread/list")["data"]
    assert (listed["id"], listed["status"]) == (thread, {"type": "notLoaded"})
    assert driver.refused("turn/start", {"threadId": thread, "input": []}) == f"thread not found: {thread}"
    resumed = driver.ask("thread/resume", {"threadId": thread})
    assert [turn["status"] for turn in resumed["thread"]["turns"]] == ["completed"]
    assert "turn/completed" in methods(driver.start_turn(thread))


def test_resuming_does_not_bring_the_sandbox_back() -> None:
    """All the rest comes back; so a client must send it again."""
    driver = CoreDriver()
    thread = ran(driver, sandbox="danger-full-access", model="m", approvalPolicy="untrusted")
    assert driver.ask("thread/resume", {"threadId": thread})["sandbox"] == {"type": "dangerFullAccess"}
    driver.restart()
    resumed = driver.ask("thread/resume", {"threadId": thread, "excludeTurns": True})
    assert (resumed["model"], resumed["approvalPolicy"]) == ("m", "untrusted")
    assert resumed["sandbox"]["type"] == "readOnly"
    assert resumed["thread"]["turns"] == []
    driver.restart()
    resumed = driver.ask("thread/resume", {"threadId": thread, "sandbox": "workspace-write"})
    assert resumed["sandbox"]["type"] == "workspaceWrite"


def test_a_thread_has_one_writer() -> None:
    """A second process is refused until the first is dead."""
    driver = CoreDriver()
    thread = ran(driver)
    first = driver.core
    driver.launch()
    assert driver.refused("thread/resume", {"threadId": thread}) == f"thread {thread} already has an active writer"
    first.end()
    assert driver.ask("thread/resume", {"threadId": thread})


def test_an_ephemeral_thread_leaves_nothing() -> None:
    """It has no file, and no second life."""
    driver = CoreDriver()
    assert driver.ask("thread/start", {"ephemeral": True})["thread"]["path"] is None
    driver.start_turn("thread-1")
    driver.restart()
    assert driver.refused("thread/resume", {"threadId": "thread-1"}).startswith("no rollout found")


def test_a_fork_has_the_turns_of_its_source_and_a_life_of_its_own() -> None:
    """A name is copied, a later turn is not."""
    driver = CoreDriver()
    thread = ran(driver)
    driver.ask("thread/name/set", {"threadId": thread, "name": "Original"})
    fork = driver.ask("thread/fork", {"threadId": thread})["thread"]
    assert (fork["forkedFromId"], fork["name"], len(fork["turns"])) == (thread, "Original", 1)
    driver.start_turn(fork["id"])
    assert len(driver.ask("thread/turns/list", {"threadId": thread})["data"]) == 1
    assert driver.refused("thread/fork", {"threadId": "x"}).startswith("no rollout found")


def test_turns_are_read_when_asked_for() -> None:
    """Otherwise a thread is read without."""
    driver = CoreDriver()
    thread = ran(driver)
    assert driver.ask("thread/read", {"threadId": thread})["thread"]["turns"] == []
    [turn] = driver.ask("thread/read", {"threadId": thread, "includeTurns": True})["thread"]["turns"]
    assert [item["type"] for item in turn["items"]] == ["userMessage", "agentMessage"]
    assert driver.refused("thread/turns/list", {"threadId": "x"}) == "thread not loaded: x"


def test_threads_are_named_archived_and_deleted() -> None:
    """Each is told to the client, too."""
    driver = CoreDriver()
    thread = ran(driver)
    at = {"threadId": thread}
    assert params_of(driver.send("thread/name/set", {**at, "name": "N"}), "thread/name/updated")[0]["threadName"] == "N"
    assert methods(driver.send("thread/archive", at)) == ["response", "thread/archived"]
    assert driver.refused("turn/start", {**at, "input": []}) == f"thread not found: {thread}"
    assert driver.refused("thread/resume", at).startswith("no rollout found")
    assert driver.ask("thread/list")["data"] == []
    assert [listed["name"] for listed in driver.ask("thread/list", {"archived": True})["data"]] == ["N"]
    assert methods(driver.send("thread/unarchive", at)) == ["response", "thread/unarchived"]
    assert methods(driver.send("thread/delete", at)) == ["response", "thread/deleted"]
    assert driver.refused("thread/archive", at).startswith("no rollout found")


def test_archiving_breaks_a_turn_off() -> None:
    """Unloading a thread ends what runs in it."""
    driver = CoreDriver(Script(Stall()))
    thread = ran(driver)
    found = driver.send("thread/archive", {"threadId": thread})
    assert params_of(found, "turn/completed")[0]["turn"]["status"] == "interrupted"


def test_parameters_that_are_missing_or_wrong_are_named() -> None:
    """Told by the field."""
    driver = CoreDriver()
    assert driver.refused("thread/read") == "Invalid request: missing field `threadId`"
    assert driver.refused("thread/read", {"threadId": 5}) == "Invalid request: invalid type: int, expected a string"
    assert driver.refused("turn/start", {"threadId": driver.start_thread()}) == "Invalid request: missing field `input`"


def test_loaded_threads_and_those_without_a_subscriber() -> None:
    """A thread that is not loaded has nothing to unsubscribe from."""
    driver = CoreDriver()
    thread = driver.start_thread()
    assert driver.ask("thread/loaded/list")["data"] == [thread]
    assert driver.ask("thread/unsubscribe", {"threadId": "x"}) == {"status": "notLoaded"}


# -- turns -----------------------------------------------------------------------------------------------------------


def test_the_text_picks_the_script() -> None:
    """Rules before the queue, and each script once."""
    driver = CoreDriver("queued")
    driver.orders.rules.append(("second", driver.orders.scripts.__class__([Script.of("matched")])))
    thread = driver.start_thread()
    texts = [
        completed_items(driver.start_turn(thread, text), "agentMessage")[0]["text"]
        for text in ("the second task", "first", "second again")
    ]
    assert texts == ["matched", "queued", "Hello!"]


def test_input_comes_back_as_the_user_s_item() -> None:
    """And the first becomes the preview of the thread. An empty input runs a turn, too."""
    driver = CoreDriver()
    thread = driver.start_thread()
    found = driver.start_turn(thread, "Do it.", clientUserMessageId="mine")
    [item] = completed_items(found, "userMessage")
    assert item["content"] == [{"type": "text", "text": "Do it.", "text_elements": []}]
    assert item["clientId"] == "mine"
    assert driver.disk.threads[thread].preview == "Do it."
    assert completed_items(driver.send("turn/start", {"threadId": thread, "input": []}), "userMessage") == []


def test_input_that_is_too_long_is_refused_with_data() -> None:
    """The one refusal that tells its numbers."""
    driver = CoreDriver()
    [response] = driver.start_turn(driver.start_thread(), "y" * 1_048_577)
    assert response["error"]["code"] == -32602
    assert response["error"]["data"]["actual_chars"] == 1_048_577


def test_a_turn_may_change_the_settings_of_its_thread() -> None:
    """For itself and those to come."""
    driver = CoreDriver()
    thread = driver.start_thread()
    driver.start_turn(thread, "x", sandboxPolicy={"type": "workspaceWrite"}, model="other")
    assert driver.disk.threads[thread].sandbox == {"type": "workspaceWrite"}
    assert driver.disk.threads[thread].model == "other"


def test_starting_a_turn_in_a_busy_thread_steers() -> None:
    """The answer names the active turn, and there is one end for both."""
    driver = CoreDriver(Script(Pause(1), Say("both")))
    thread = driver.start_thread()
    started, *_ = driver.start_turn(thread, "one")
    waiting = driver.outputs
    [steered] = driver.start_turn(thread, "two")
    assert steered["result"]["turn"]["id"] == started["result"]["turn"]["id"]
    driver.outputs = waiting
    found = driver.proceed()
    assert [item["content"][0]["text"] for item in completed_items(found, "userMessage")] == ["two"]
    assert len(params_of(found, "turn/completed")) == 1


def test_only_the_active_turn_can_be_steered() -> None:
    """The refusals name both."""
    driver = CoreDriver(Script(Stall()))
    thread = driver.start_thread()
    steer = {"threadId": thread, "input": [{"type": "text", "text": "x"}], "expectedTurnId": "nope"}
    assert driver.refused("turn/steer", steer) == "no active turn to steer"
    driver.start_turn(thread)
    assert driver.refused("turn/steer", steer) == "expected active turn id `nope` but found `turn-1`"


def test_only_the_active_turn_can_be_interrupted() -> None:
    """An empty id means whichever it is."""
    driver = CoreDriver("done", Script(Stall()))
    thread = driver.start_thread()
    driver.start_turn(thread)
    at = {"threadId": thread}
    assert driver.refused("turn/interrupt", {**at, "turnId": "turn-1"}) == "no active turn to interrupt"
    assert driver.ask("turn/interrupt", {**at, "turnId": ""}) == {}
    driver.start_turn(thread)
    assert (
        driver.refused("turn/interrupt", {**at, "turnId": "turn-1"})
        == "expected active turn id turn-1 but found turn-2"
    )
    assert driver.ask("turn/interrupt", {**at, "turnId": "turn-2"}) == {}


def test_a_second_interrupt_is_answered_when_the_next_turn_ends() -> None:
    """Not before, which is why each request needs a deadline."""
    driver = CoreDriver(Script(Stall()), "next")
    thread = driver.start_thread()
    driver.start_turn(thread)
    again = {"threadId": thread, "turnId": "turn-1"}
    driver.ask("turn/interrupt", again)
    assert driver.send("turn/interrupt", again) == []
    found = driver.start_turn(thread)
    assert methods(found)[-2:] == ["response", "turn/completed"]
    assert found[-2]["result"] == {}


@pytest.mark.parametrize(
    ("before", "text"),
    [
        ("first", "no active turn to interrupt"),
        ("after an interrupted one", "expected active turn id turn-2 but found turn-1"),
    ],
)
def test_a_turn_that_has_not_begun_refuses_to_be_interrupted(before: str, text: str) -> None:
    """Two texts for one race; only an empty id gets through."""
    driver = CoreDriver(Script(Stall()))
    thread = driver.start_thread()
    if before != "first":
        driver.start_turn(thread)
        driver.ask("turn/interrupt", {"threadId": thread, "turnId": ""})
        driver.orders.scripts.append(Script(Say("x"), starts=Gate()))
    else:
        driver.orders.scripts[0] = Script(Say("x"), starts=Gate())
    turn = driver.start_turn(thread)[0]["result"]["turn"]["id"]
    assert driver.refused("turn/interrupt", {"threadId": thread, "turnId": turn}) == text
    assert driver.ask("turn/interrupt", {"threadId": thread, "turnId": ""}) == {}


def test_two_threads_wait_for_their_approvals_at_once() -> None:
    """Answers in any order."""
    driver = CoreDriver(Script(Command("a", approval=True)), Script(Command("b", approval=True)))
    one, two = driver.start_thread(), driver.start_thread()
    driver.start_turn(one)
    driver.start_turn(two)
    assert params_of(driver.answer(1, {"decision": "accept"}), "turn/completed")[0]["threadId"] == two
    assert params_of(driver.answer(0, {"decision": "accept"}), "turn/completed")[0]["threadId"] == one
