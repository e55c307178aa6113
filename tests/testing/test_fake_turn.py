"""A scripted turn: what is told in which order, and what the client's answers decide. The orders are the real server's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from codex_runtime.testing._fake_script import (
    Ask,
    AskUser,
    Bytes,
    CallTool,
    CloseStdout,
    Command,
    Elicit,
    FailTurn,
    FileChange,
    Garbage,
    HalfLine,
    HugeLine,
    Notify,
    Question,
    RequestPermissions,
    Retrying,
    Script,
    Step,
)
from codex_runtime.testing._fake_turn import play_anytime
from codex_runtime.testing._gate import Gate
from codex_runtime.testing._reply import Hold, Pause, Say, Think, Tokens
from tests.support.core_driver import CoreDriver, completed_items, methods, params_of

if TYPE_CHECKING:
    from tests.support.core_driver import Message


def play(*steps: Step) -> tuple[CoreDriver, list[Message]]:
    """Start a turn with these steps."""
    driver = CoreDriver(Script(*steps))
    return driver, driver.start_turn(driver.start_thread())


def status_of(found: list[Message]) -> str:
    """How the turn ended."""
    [completed] = params_of(found, "turn/completed")
    return str(completed["turn"]["status"])


def test_a_turn_is_told_in_the_order_of_the_real_server() -> None:
    """From the answer to turn/start to turn/completed."""
    _, found = play(Think("Well.", raw="Hm."), Say("Hi there"))
    assert methods(found) == [
        "response",
        "thread/status/changed",
        "turn/started",
        "item/started",
        "item/completed",
        "item/started",
        "item/reasoning/summaryPartAdded",
        "item/reasoning/summaryTextDelta",
        "item/reasoning/textDelta",
        "item/completed",
        "item/started",
        "item/agentMessage/delta",
        "item/agentMessage/delta",
        "item/completed",
        "thread/tokenUsage/updated",
        "thread/status/changed",
        "turn/completed",
    ]


def test_the_end_of_a_turn_holds_only_the_last_message() -> None:
    """A summary, not the turn."""
    _, found = play(Say("first"), Command("ls"), Say("last"))
    [completed] = params_of(found, "turn/completed")
    assert [item["text"] for item in completed["turn"]["items"]] == ["last"]
    assert completed["turn"]["itemsView"] == "summary"


def test_deltas_add_up_to_the_message() -> None:
    """However they are cut."""
    for chunks in (None, 0, 3, ("a lo", "ng text")):
        _, found = play(Say("a long text", chunks=chunks))
        deltas = [params["delta"] for params in params_of(found, "item/agentMessage/delta")]
        assert "".join(deltas) == ("" if chunks == 0 else "a long text")
        assert completed_items(found, "agentMessage")[0]["text"] == "a long text"


def test_a_pace_is_a_pause_before_each_piece() -> None:
    """Time is not the script's to spend: it comes out as a wait."""
    driver, _ = play(Say("a b", pace=0.5), Think("c", pace=0.25))
    waits = []
    while driver.outputs and driver.core.plays:
        waits += [output.until for output in driver.outputs if not isinstance(output, bytes)]  # type: ignore[union-attr]
        driver.proceed()
    assert waits == [Pause(0.5), Pause(0.5), Pause(0.25)]


def test_tokens_are_what_the_turn_tells_of_its_use() -> None:
    """The last that were given."""
    _, found = play(Say("x"), Tokens(input=900, output=20, cached=5, reasoning=1))
    [params] = params_of(found, "thread/tokenUsage/updated")
    assert params["tokenUsage"]["last"]["totalTokens"] == 920


# -- commands --------------------------------------------------------------------------------------------------------


def test_a_command_without_approval_just_runs() -> None:
    """Its finished item has the whole output and the exit code."""
    _, found = play(Command("ls", output="a\nb\n", exit_code=0))
    [item] = completed_items(found, "commandExecution")
    assert (item["status"], item["aggregatedOutput"], item["exitCode"]) == ("completed", "a\nb\n", 0)
    assert [params["delta"] for params in params_of(found, "item/commandExecution/outputDelta")] == ["a\nb\n"]


def test_deltas_of_a_command_may_be_incomplete() -> None:
    """As they are with the real server."""
    _, found = play(Command("ls", output="abc", exit_code=2, chunks=["b"]))
    assert [params["delta"] for params in params_of(found, "item/commandExecution/outputDelta")] == ["b"]
    [item] = completed_items(found, "commandExecution")
    assert (item["status"], item["aggregatedOutput"]) == ("failed", "abc")


def test_an_approval_is_asked_after_the_item_has_started() -> None:
    """With the thread waiting, and the item's id in the request."""
    _, found = play(Command("ls", approval=True, reason="May I?"))
    assert methods(found)[-3:] == ["thread/status/changed", "item/started", "item/commandExecution/requestApproval"]
    request = found[-1]
    assert request["id"] == 0
    assert request["params"]["itemId"] == found[-2]["params"]["item"]["id"]
    assert request["params"]["reason"] == "May I?"
    assert request["params"]["proposedExecpolicyAmendment"] == ["ls"]
    assert found[-3]["params"]["status"]["activeFlags"] == ["waitingOnApproval"]


@pytest.mark.parametrize(
    ("answer", "item_status", "turn_status"),
    [
        ({"decision": "accept"}, "completed", "completed"),
        ({"decision": "acceptForSession"}, "completed", "completed"),
        ({"decision": "decline"}, "declined", "completed"),
        ({"decision": "cancel"}, "declined", "interrupted"),
        ({"decision": "yes please"}, "failed", "completed"),
        ({"nope": 1}, "failed", "completed"),
        (None, "failed", "completed"),
        ({"decision": {"acceptWithExecpolicyAmendment": {"execpolicy_amendment": ["ls"]}}}, "completed", "completed"),
        ({"decision": {"acceptWithExecpolicyAmendment": {}}}, "failed", "completed"),
    ],
)
def test_the_answer_decides_about_the_command(answer: object, item_status: str, turn_status: str) -> None:
    """Only a known word runs it."""
    driver, _ = play(Command("ls", approval=True), Say("done"))
    found = driver.answer(0, answer)
    assert [item["status"] for item in completed_items(found, "commandExecution")] == [item_status]
    assert status_of(found) == turn_status


def test_an_error_as_the_answer_fails_the_command_only() -> None:
    """The turn goes on."""
    driver, _ = play(Command("ls", approval=True))
    found = driver.line(b'{"id":0,"error":{"code":-32000,"message":"no"}}')
    assert [item["status"] for item in completed_items(found, "commandExecution")] == ["failed"]
    assert status_of(found) == "completed"


def test_a_command_allowed_for_the_session_is_not_asked_again() -> None:
    """The same text in the same thread; another thread is asked."""
    driver, _ = play(Command("ls", approval=True), Command("ls", approval=True), Command("pwd", approval=True))
    found = driver.answer(0, {"decision": "acceptForSession"})
    assert len(completed_items(found, "commandExecution")) == 1 + 1
    assert found[-1]["params"]["proposedExecpolicyAmendment"] == ["pwd"]
    driver.orders.scripts.append(Script(Command("ls", approval=True)))
    assert driver.start_turn(driver.start_thread())[-1]["method"] == "item/commandExecution/requestApproval"


def test_a_rule_allows_what_begins_with_its_words_in_every_thread() -> None:
    """It is kept for good, and survives the process."""
    driver, _ = play(Command("touch a.txt", approval=True))
    rule = {"acceptWithExecpolicyAmendment": {"execpolicy_amendment": ["touch"]}}
    driver.answer(0, {"decision": rule})
    driver.restart()
    driver.orders.scripts.append(Script(Command("touch b.txt", approval=True), Command("rm b.txt", approval=True)))
    found = driver.start_turn(driver.start_thread())
    assert len(completed_items(found, "commandExecution")) == 1
    assert "rm b.txt" in found[-1]["params"]["command"]


# -- files -----------------------------------------------------------------------------------------------------------


def test_a_file_change_is_told_with_its_diff() -> None:
    """In the item and, for the whole turn, in a notification."""
    _, found = play(FileChange("a.txt", "one\n"), FileChange("b.txt", "@@ -1 +1 @@", kind="update"))
    first, second = completed_items(found, "fileChange")
    assert first["changes"] == [{"path": "a.txt", "kind": {"type": "add"}, "diff": "one\n"}]
    assert second["changes"][0]["kind"] == {"type": "update", "move_path": None}
    assert ["b.txt" in params["diff"] for params in params_of(found, "turn/diff/updated")] == [False, True]


@pytest.mark.parametrize(
    ("decision", "item_status", "turn_status"),
    [
        ("accept", ["completed"], "completed"),
        ("acceptForSession", ["completed"], "completed"),
        ("decline", ["declined"], "completed"),
        ("cancel", [], "interrupted"),
        ("what?", ["failed"], "completed"),
    ],
)
def test_the_answer_decides_about_the_file(decision: str, item_status: list[str], turn_status: str) -> None:
    """A cancelled change is never completed as an item."""
    driver, asked = play(FileChange("a.txt", "one\n", approval=True))
    assert methods(asked)[-3:] == ["item/started", "thread/status/changed", "item/fileChange/requestApproval"]
    assert "diff" not in asked[-1]["params"]
    found = driver.answer(0, {"decision": decision})
    assert [item["status"] for item in completed_items(found, "fileChange")] == item_status
    assert status_of(found) == turn_status


# -- questions -------------------------------------------------------------------------------------------------------


def test_questions_to_the_user_have_no_item() -> None:
    """The thread waits on user input, and any answer goes on."""
    driver, found = play(AskUser(Question("colour", "Which?", options=("Red", "Blue")), Question("why", "Why?")))
    assert found[-2]["params"]["status"]["activeFlags"] == ["waitingOnUserInput"]
    first, second = found[-1]["params"]["questions"]
    assert [option["label"] for option in first["options"]] == ["Red", "Blue"]
    assert (second["options"], second["isOther"]) == (None, True)
    after = driver.answer(0, {"answers": {"colour": {"answers": ["Blue"]}}})
    assert status_of(after) == "completed"
    assert driver.history.answers[0].result == {"answers": {"colour": {"answers": ["Blue"]}}}


@pytest.mark.parametrize(
    ("answer", "status", "success"),
    [
        ({"contentItems": [{"type": "inputText", "text": "open"}], "success": True}, "completed", True),
        ({"contentItems": [], "success": False}, "failed", False),
        ({"content": "open"}, "failed", False),
    ],
)
def test_a_tool_call_ends_as_the_client_says(answer: object, status: str, success: bool) -> None:  # noqa: FBT001
    """And it is the one server request that is not told as resolved."""
    driver, found = play(CallTool("lookup", {"id": "ABC"}, namespace="tickets"))
    asked = found[-1]["params"]
    assert (asked["tool"], asked["arguments"], asked["namespace"]) == ("lookup", {"id": "ABC"}, "tickets")
    after = driver.answer(0, answer)
    [item] = completed_items(after, "dynamicToolCall")
    assert (item["id"], item["status"], item["success"]) == (asked["callId"], status, success)
    assert "serverRequest/resolved" not in methods(after)


def test_a_tool_call_that_is_refused_fails() -> None:
    """With the text that the real model gets."""
    driver, _ = play(CallTool("lookup"))
    found = driver.line(b'{"id":0,"error":{"code":1,"message":"boom"}}')
    [item] = completed_items(found, "dynamicToolCall")
    assert item["contentItems"] == [{"type": "inputText", "text": "dynamic tool request failed"}]


@pytest.mark.parametrize(("action", "status"), [("accept", "completed"), ("decline", "failed"), ("cancel", "failed")])
def test_an_elicitation_is_accepted_or_not(action: str, status: str) -> None:
    """A form of an MCP tool."""
    driver, found = play(Elicit("Who?", schema={"type": "object"}))
    assert found[-1]["params"]["mode"] == "form"
    [item] = completed_items(driver.answer(0, {"action": action, "content": {"name": "Ann"}}), "mcpToolCall")
    assert item["status"] == status


def test_an_elicitation_may_be_a_page() -> None:
    """With an id of its own."""
    _, found = play(Elicit("Sign in", url="https://example.org/"))
    params = found[-1]["params"]
    assert (params["mode"], params["url"]) == ("url", "https://example.org/")
    assert params["elicitationId"]


def test_rights_are_asked_for_without_an_item() -> None:
    """Network and paths."""
    driver, found = play(RequestPermissions(network=True, read=["/a"], write=["/b"], reason="because"))
    wanted = found[-1]["params"]["permissions"]
    assert wanted["network"] == {"enabled": True}
    assert [entry["access"] for entry in wanted["fileSystem"]["entries"]] == ["read", "write"]
    assert status_of(driver.answer(0, {"permissions": {}})) == "completed"


def test_any_server_request_can_be_made() -> None:
    """With the ids of the turn in it."""
    driver, found = play(Ask("item/new/thing", {"at": ["$thread", {"turn": "$turn"}], "n": 1}))
    turn = driver.core.plays["thread-1"].turn
    assert found[-1]["params"] == {"at": ["thread-1", {"turn": turn.id}], "n": 1}
    assert status_of(driver.answer(0, None)) == "completed"


# -- ends ------------------------------------------------------------------------------------------------------------


def test_a_failed_turn_tells_its_error_twice() -> None:
    """As a notification, then in the turn; the thread is in a system error until its next turn."""
    driver, found = play(Say("x"), FailTurn("Too long.", info="contextWindowExceeded"))
    assert methods(found)[-3:] == ["thread/status/changed", "error", "turn/completed"]
    assert found[-3]["params"]["status"] == {"type": "systemError"}
    error, completed = found[-2]["params"], found[-1]["params"]["turn"]
    assert error["willRetry"] is False
    assert completed["status"] == "failed"
    assert completed["error"] == error["error"]
    assert completed["items"] == []
    assert status_of(driver.start_turn("thread-1")) == "completed"


def test_a_retry_is_told_as_an_error_that_is_none() -> None:
    """The turn goes on."""
    _, found = play(Retrying("Reconnecting... 1/2"), Say("whole"))
    [error] = params_of(found, "error")
    assert (error["willRetry"], error["error"]["message"]) == (True, "Reconnecting... 1/2")
    assert status_of(found) == "completed"


def test_an_interrupt_leaves_items_open_and_withdraws_questions_after_the_end() -> None:
    """Both as the real server does it."""
    driver, _ = play(Command("ls", approval=True))
    turn = driver.core.plays["thread-1"].turn.id
    found = driver.send("turn/interrupt", {"threadId": "thread-1", "turnId": turn})
    assert methods(found) == ["response", "thread/status/changed", "turn/completed", "serverRequest/resolved"]
    assert status_of(found) == "interrupted"
    assert driver.answer(0, {"decision": "accept"}) == []
    assert driver.history.answers[-1].counted is False


def test_what_the_user_adds_becomes_an_item_before_the_next_step() -> None:
    """With the id that the client gave it."""
    driver, _ = play(Say("one"), Pause(1), Say("two"))
    turn = driver.core.plays["thread-1"].turn.id
    steer = {"threadId": "thread-1", "input": [{"type": "text", "text": "more"}], "expectedTurnId": turn}
    waiting = driver.outputs
    assert driver.ask("turn/steer", {**steer, "clientUserMessageId": "mine"}) == {"turnId": turn}
    driver.outputs = waiting
    found = driver.proceed()
    kinds = [params["item"]["type"] for params in params_of(found, "item/completed")]
    assert kinds == ["userMessage", "agentMessage"]
    assert completed_items(found, "userMessage")[0]["clientId"] == "mine"


def test_a_turn_that_has_not_begun_waits_for_its_gate() -> None:
    """It is accepted, and nothing else."""
    gate = Gate()
    driver = CoreDriver(Script(Say("x"), starts=gate))
    assert methods(driver.start_turn(driver.start_thread())) == ["response"]
    assert driver.outputs[-1].until == Hold(gate)  # type: ignore[union-attr]
    assert methods(driver.proceed())[:2] == ["thread/status/changed", "turn/started"]


# -- bytes -----------------------------------------------------------------------------------------------------------


def test_bytes_are_put_out_as_they_are() -> None:
    """Halves, garbage and all."""
    driver = CoreDriver()
    steps: list[Step] = [
        HalfLine(b'{"a":'),
        Bytes(b"1}\n"),
        Garbage(b"\xff"),
        Notify("n", {"x": 1}),
        HugeLine(1000),
        CloseStdout(),
    ]
    outputs = driver.core.play(steps)
    data = b"".join(output for output in outputs if isinstance(output, bytes))
    first, second, third, fourth = data.splitlines(keepends=True)
    assert (first, second) == (b'{"a":1}\n', b"\xff\n")
    assert third.startswith(b'{"method":"n","params":{"x":1},"emittedAtMs":1000000')
    assert len(fourth) == 1000
    assert outputs[-1] == CloseStdout()


def test_a_step_that_needs_a_turn_cannot_be_played_without() -> None:
    """Whoever gets here forgot to ask."""
    with pytest.raises(ValueError, match="only a turn"):
        next(play_anytime(CoreDriver().core, Say("x"), {}))
