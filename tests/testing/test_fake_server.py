"""The fake app server, in memory and as a real process: one contract for both."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator

import pytest

from codex_runtime._sansio.restart import Exit
from codex_runtime.errors import StartError
from codex_runtime.protocol import _registry
from codex_runtime.testing._clock import ManualClock
from codex_runtime.testing._fake_orders import Refusal
from codex_runtime.testing._fake_script import (
    AskUser,
    CallTool,
    CloseStdout,
    Command,
    Die,
    Elicit,
    FailTurn,
    FileChange,
    Garbage,
    Grandchild,
    HalfLine,
    HugeLine,
    IgnoreTerm,
    Notify,
    Question,
    RequestPermissions,
    Retrying,
    Script,
    Stderr,
    Step,
    StopReading,
)
from codex_runtime.testing._fake_server import FakeAppServer
from codex_runtime.testing._gate import Gate
from codex_runtime.testing._reply import Hold, Pause, Say, Think
from tests.support.line_client import HELLO, LineClient


@pytest.fixture(params=["memory", "process"])
async def fake(request: pytest.FixtureRequest) -> AsyncGenerator[FakeAppServer, None]:
    """A fake of either kind."""
    async with FakeAppServer(process=request.param == "process") as made:
        yield made


# -- one contract for both -------------------------------------------------------------------------------------------


async def test_a_turn_runs_from_the_greeting_to_a_clean_exit(fake: FakeAppServer) -> None:
    """Without a script it says hello."""
    client = await LineClient.launch(fake)
    turn = await client.run_turn(await client.start_thread())
    assert [item["text"] for item in turn["items"]] == ["Hello!"]
    assert await client.transport.aclose() == Exit(code=0)
    assert client.losses == 1


async def test_the_record_has_everything_by_generation(fake: FakeAppServer) -> None:
    """Requests, notifications, what was asked, and what was answered to which."""
    fake.on_turn(Script(Command("ls", approval=True)), Script(Command("ls", approval=True)))
    for decision in ("accept", "decline"):
        client = await LineClient.launch(fake)
        turn = await client.start_turn(await client.start_thread())
        request = await client.asked("item/commandExecution/requestApproval")
        assert request["id"] == 0
        client.write({"id": 0, "result": {"decision": decision}})
        await client.turn_end(turn)
        await client.transport.aclose()
    assert [answer.decision for answer in fake.answers] == ["accept", "decline"]
    assert [answer.generation for answer in fake.answers] == [0, 1]
    assert [asked.rpc_id for asked in fake.asked] == [0, 0]
    assert [entry.generation for entry in fake.requests("turn/start")] == [0, 1]
    assert (fake.launches, fake.most_alive) == (2, 1)


async def test_threads_outlive_the_process(fake: FakeAppServer) -> None:
    """A turn that was cut off is interrupted, with what it had finished."""
    fake.on_turn(Script(Say("kept"), Die()))
    client = await LineClient.launch(fake)
    thread = await client.start_thread()
    await client.start_turn(thread)
    assert await client.lost() == Exit(signal=9)
    client = await LineClient.launch(fake)
    refusal = await client.refusal("turn/start", {"threadId": thread, "input": []})
    assert refusal["message"] == f"thread not found: {thread}"
    [turn] = (await client.call("thread/resume", {"threadId": thread}))["thread"]["turns"]
    assert (turn["status"], turn["items"][-1]["text"]) == ("interrupted", "kept")
    assert (await client.run_turn(thread))["status"] == "completed"
    await client.transport.aclose()


@pytest.mark.parametrize(
    ("die", "expected"),
    [
        (Die(), Exit(signal=9)),
        (Die(signal=11), Exit(signal=11)),
        (Die(code=0), Exit(code=0)),
        (Die(code=3), Exit(code=3)),
    ],
)
async def test_it_dies_as_told_and_all_it_said_before_is_heard(fake: FakeAppServer, die: Die, expected: Exit) -> None:
    """The last line before the death is there."""
    client = await LineClient.launch(fake)
    fake.play(Notify("warning", {"message": "bye"}), die)
    assert await client.lost() == expected
    assert client.named("warning") == [{"message": "bye"}]


@pytest.mark.parametrize("moment", ["before", "during", "after"])
async def test_it_can_die_in_the_middle_of_the_greeting(fake: FakeAppServer, moment: str) -> None:
    """And the next launch is well again."""
    fake.die_at("initialize", moment, code=101)  # type: ignore[arg-type]
    client = await LineClient.launch(fake, greet=False)
    client.ask("initialize", HELLO)
    assert (await client.lost()).code == 101
    whole = b"".join(client.pieces)
    assert (whole != b"", whole.endswith(b"\n")) == {
        "before": (False, False),
        "during": (True, False),
        "after": (True, True),
    }[moment]
    client = await LineClient.launch(fake)
    await client.transport.aclose()


async def test_it_can_die_before_it_reads_anything(fake: FakeAppServer) -> None:
    """With its reason on stderr."""
    fake.die_at("launch", "before", code=1)
    client = await LineClient.launch(fake, greet=False)
    assert (await client.lost()).code == 1
    assert fake.launches == 1


async def test_stderr_comes_with_the_exit(fake: FakeAppServer) -> None:
    """Told by a step."""
    client = await LineClient.launch(fake)
    fake.play(Stderr("out of luck\n"), Die(code=1))
    assert (await client.lost()).stderr_tail.strip() == "out of luck"


async def test_bytes_go_out_as_they_are(fake: FakeAppServer) -> None:
    """Garbage, half a line, and a line of a given size."""
    client = await LineClient.launch(fake)
    fake.play(Garbage(b"\xff{"), HugeLine(300_000), HalfLine(b'{"half":'))
    await client.until(lambda: b"".join(client.pieces).endswith(b'{"half":'))
    garbage, huge = client.lines[-2:]
    assert garbage == b"\xff{"
    assert len(huge) == 300_000 - 1
    assert json.loads(huge)["method"] == "warning"
    await client.transport.aclose()


async def test_a_gate_holds_a_turn_and_an_answer(fake: FakeAppServer) -> None:
    """The test says when."""
    gate, late = Gate(), Gate()
    fake.on_turn(Script(Say("one"), Hold(gate), Say("two")))
    fake.hold_answer("thread/list", late)
    client = await LineClient.launch(fake)
    listing = client.ask("thread/list")
    turn = await client.start_turn(await client.start_thread())
    await gate.reached()
    await client.until(lambda: len(client.named("item/completed")) == 2)
    gate.open()
    assert (await client.turn_end(turn))["items"][0]["text"] == "two"
    assert all(message.get("id") != listing for message in client.messages)
    late.open()
    assert (await client.reply_to(listing))["result"]["data"] == []  # as it was when it was asked for
    await client.transport.aclose()


async def test_requests_can_be_refused_swallowed_and_answered_otherwise(fake: FakeAppServer) -> None:
    """For as many as was said."""
    fake.overload(2, method="thread/list")
    fake.never_answer("thread/loaded/list")
    fake.on_request("skills/list", {"data": ["a"]})
    fake.on_request("config/read", Refusal(-32603, "no"))
    client = await LineClient.launch(fake)
    assert [(await client.refusal("thread/list"))["code"] for _ in range(2)] == [-32001, -32001]
    await client.call("thread/list")
    unanswered = client.ask("thread/loaded/list")
    assert await client.call("skills/list") == {"data": ["a"]}
    assert (await client.refusal("config/read"))["message"] == "no"
    assert all(message.get("id") != unanswered for message in client.messages)
    await client.transport.aclose()


async def test_a_client_that_pauses_loses_nothing(fake: FakeAppServer) -> None:
    """Whatever was said in between comes after."""
    client = await LineClient.launch(fake)
    thread = await client.start_thread()
    client.transport.pause_reading()
    before = len(client.pieces)
    client.ask("turn/start", {"threadId": thread, "input": []})
    await fake.wait_for("turn/start")
    assert len(client.pieces) == before
    client.transport.resume_reading()
    await client.until(lambda: bool(client.named("turn/completed")))
    await client.transport.aclose()


@pytest.mark.parametrize("step", [StopReading(), IgnoreTerm()])
async def test_a_server_that_does_not_leave_is_made_to(fake: FakeAppServer, step: StopReading | IgnoreTerm) -> None:
    """Closing it is bounded."""
    client = await LineClient.launch(fake)
    fake.play(step, Notify("marker"))
    await client.until(lambda: client.named("marker") == [{}])
    async with asyncio.timeout(5):
        end = await client.transport.aclose()
    assert end.signal == 9 or isinstance(step, StopReading)


async def test_a_server_that_reads_no_more_lets_bytes_pile_up(fake: FakeAppServer) -> None:
    """Beyond what the pipe holds."""
    client = await LineClient.launch(fake)
    fake.play(StopReading(), Notify("marker"))
    await client.until(lambda: client.named("marker") == [{}])
    client.transport.write(b"x" * 8_000_000)
    assert client.transport.unsent > 1_000_000
    client.transport.kill()
    assert (await client.lost()).signal == 9


async def test_a_server_without_stdout_is_of_no_use(fake: FakeAppServer) -> None:
    """Its link ends, though it had lived on."""
    client = await LineClient.launch(fake)
    fake.play(CloseStdout())
    assert (await client.lost()).code == 0


async def test_killing_it_is_seen_by_the_record(fake: FakeAppServer) -> None:
    """One generation after the other, never two."""
    for _ in range(3):
        client = await LineClient.launch(fake)
        client.transport.kill()
        assert (await client.lost()).signal == 9
    assert (fake.launches, fake.most_alive) == (3, 1)
    await fake.until(lambda: "alive=0" in repr(fake))
    with pytest.raises(RuntimeError, match="no app server is alive"):
        fake.die()


async def test_two_at_once_are_noticed(fake: FakeAppServer) -> None:
    """This is the fault that a client must not make."""
    one, two = await LineClient.launch(fake), await LineClient.launch(fake)
    assert fake.most_alive == 2
    await one.transport.aclose()
    await two.transport.aclose()


async def test_a_launch_can_fail(fake: FakeAppServer) -> None:
    """With the error that the test wants; the one after is well."""
    fake.fail_next_launch(StartError("no room"))
    with pytest.raises(StartError, match="no room"):
        await LineClient.launch(fake)
    assert fake.launches == 0
    client = await LineClient.launch(fake)
    await client.transport.aclose()


async def test_waiting_for_a_message_that_does_not_come_ends(fake: FakeAppServer) -> None:
    """With a time-out."""
    client = await LineClient.launch(fake)
    with pytest.raises(TimeoutError):
        await fake.wait_for("no/such", timeout=0.01)
    assert (await fake.wait_for("initialize")).params["clientInfo"] == HELLO["clientInfo"]
    await client.transport.aclose()


# -- what it says is what the protocol knows -------------------------------------------------------------------------


async def test_everything_it_says_fits_the_protocol() -> None:
    """Each notification, server request and result decodes into its own type: the fake speaks the real wire."""
    steps: list[Step] = [
        Think("Well.", raw="Hm."),
        Retrying(),
        Command("ls", output="a\n", approval=True, reason="Why not?"),
        FileChange("a.txt", "x\n", approval=True),
        AskUser(Question("q", "Q?", options=("a", "b"))),
        CallTool("lookup", {"id": 1}),
        Elicit("Who?"),
        Elicit("Sign in", url="https://example.org/"),
        RequestPermissions(network=True, write=["/srv"]),
        Say("Done."),
    ]
    fake = FakeAppServer(Script(*steps), Script(FailTurn("No.", info="usageLimitExceeded")))
    client = await LineClient.launch(fake)
    thread = await client.start_thread()
    asked = {client.ask("turn/start", {"threadId": thread, "input": [{"type": "text", "text": "go"}]}): "turn/start"}
    answers: list[object] = [{"decision": "accept"}, {"decision": "accept"}, {"answers": {}}]
    answers += [{"contentItems": [], "success": True}, {"action": "accept"}, {"action": "decline"}, {"permissions": {}}]
    for rpc_id, answer in enumerate(answers):
        await fake.until(lambda: len(fake.asked) > len(fake.answers))
        client.write({"id": rpc_id, "result": answer})
        await fake.until(lambda sent=rpc_id + 1: len(fake.answers) == sent)  # type: ignore[misc]
    await client.until(lambda: bool(client.named("turn/completed")))
    await client.run_turn(thread)
    at = {"threadId": thread}
    for method, params in [
        ("thread/list", {}),
        ("thread/read", {**at, "includeTurns": True}),
        ("thread/turns/list", at),
        ("thread/loaded/list", {}),
        ("thread/resume", at),
        ("thread/fork", at),
        ("account/read", {}),
        ("config/read", {}),
        ("model/list", {}),
        ("server/diagnostics", {}),
        ("thread/name/set", {**at, "name": "N"}),
        ("thread/archive", at),
        ("thread/unarchive", at),
        ("thread/unsubscribe", at),
        ("thread/delete", at),
    ]:
        asked[client.ask(method, params)] = method
    for request_id in asked:
        await client.reply_to(request_id)
    odd = (_registry.UnknownMessage, _registry.Undecodable)
    said = [_registry.decode_message(line) for line in client.lines if b'"method"' in line[:40]]
    said += [
        _registry.decode_result(asked[message["id"]], json.dumps(message["result"]).encode())
        for message in client.messages
        if message.get("id") in asked and "method" not in message
    ]
    assert [event for event in said if isinstance(event, odd)] == []
    assert len(said) > 60
    await client.transport.aclose()


# -- in memory only --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("chunk", [1, 7])
async def test_what_it_says_can_be_cut_into_pieces(chunk: int) -> None:
    """Of at most that size."""
    fake = FakeAppServer(chunk=chunk)
    client = await LineClient.launch(fake)
    await client.run_turn(await client.start_thread())
    assert max(map(len, client.pieces)) == chunk
    assert fake.lines_sent == len(client.lines)
    await client.transport.aclose()


async def test_its_time_is_that_of_its_clock() -> None:
    """Pauses and dates."""
    clock = ManualClock(wall=5000.0)
    fake = FakeAppServer(Script(Pause(3600), Say("x")), clock=clock)
    client = await LineClient.launch(fake)
    turn = await client.start_turn(await client.start_thread())
    await clock.advance(3600)
    assert (await client.turn_end(turn))["durationMs"] == 3_600_000
    await client.transport.aclose()


async def test_closing_a_fake_ends_what_it_launched() -> None:
    """Also what waits at a gate; and closing twice is fine."""
    gate = Gate()
    async with FakeAppServer(Script(Hold(gate))) as fake:
        client = await LineClient.launch(fake)
        await client.start_turn(await client.start_thread())
        await gate.reached()
    assert client.exit == Exit(signal=9) or await client.lost() == Exit(signal=9)
    await fake.aclose()


async def test_wrong_use_is_refused() -> None:
    """When it happens, and with what to do instead."""
    with pytest.raises(ValueError, match="at least 1 byte"):
        FakeAppServer(chunk=0)
    with pytest.raises(ValueError, match="only a real process"):
        FakeAppServer(default=Script(Grandchild()))
    fake = FakeAppServer()
    with pytest.raises(ValueError, match="only a real process"):
        fake.on_turn(Script(Grandchild()))
    with pytest.raises(RuntimeError, match="process=True"):
        _ = fake.argv
    client = await LineClient.launch(fake)
    with pytest.raises(ValueError, match="only a turn"):
        fake.play(Say("x"))
    await client.transport.aclose()


async def test_scripts_can_be_kept_for_a_text() -> None:
    """So threads that run at once do not take each other's."""
    fake = FakeAppServer("common")
    fake.on_turn("mine", match="for me")
    client = await LineClient.launch(fake)
    thread = await client.start_thread()
    turns = [await client.run_turn(thread, text) for text in ("this is for me", "other")]
    assert [turn["items"][0]["text"] for turn in turns] == ["mine", "common"]
    await client.transport.aclose()
