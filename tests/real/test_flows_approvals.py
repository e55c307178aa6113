"""What the real server does with each answer: commands (A), file changes (B), and the other requests (C)."""

from __future__ import annotations

import pytest

from codex_runtime import (
    CommandStarted,
    FileChangeStarted,
    ReasoningDelta,
    TextDelta,
    TurnInterruptedError,
    TurnStarted,
)
from codex_runtime.errors import AlreadySettledError, InvalidAnswerError
from codex_runtime.testing import Call, Exec, Patch, Reply, Say, Think, Tokens, mcp_stub
from tests.real.rig import Place, next_ticket

WRITE = "mkdir -p sub && echo hi > sub/f && cat sub/f"
PATCH = "*** Begin Patch\n*** Add File: p.txt\n+line one\n+line two\n*** End Patch\n"


async def test_a1_a_text_turn_with_reasoning(place: Place) -> None:
    """Flow A1: the events come in order, and the result has text, reasoning and the tokens used."""
    reply = Reply(
        Think("Looking at it.", raw="raw thoughts"), Say("Hello from the model!"), Tokens(input=100, output=20)
    )
    async with (
        place.client(reply, model="gpt-5.5") as (client, model),
        await client.start_session(cwd=place.workspace) as session,
    ):
        async with session.stream("hi") as turn:
            events = [event async for event in turn]
        result = turn.result
        assert isinstance(events[0], TurnStarted)
        assert "".join(event.text for event in events if isinstance(event, TextDelta)) == "Hello from the model!"
        assert "".join(e.text for e in events if isinstance(e, ReasoningDelta) and e.summary) == "Looking at it."
        assert (result.status, result.text) == ("completed", "Hello from the model!")
        assert result.usage is not None
        assert (result.usage.turn.input, result.usage.turn.output) == (100, 20)
        assert model.requests[0].prompt == "hi"


async def test_a2_an_accepted_command_runs(place: Place) -> None:
    """Flow A2: inside the sandbox, with its output and exit code."""
    replies = Reply(Say("Running."), Exec(WRITE)), "done"
    async with place.client(*replies) as (client, _), await client.start_session(cwd=place.workspace) as session:
        async with session.stream(
            "do it", approvals="stream", approval_policy="untrusted", sandbox="workspace-write"
        ) as turn:
            ticket = await next_ticket(turn)
            assert WRITE in ticket.params["command"]
            ticket.accept()
            result = await turn.finish()
        (command,) = result.commands
        assert (command.command, command.status, command.exit_code) == (WRITE, "completed", 0)
        assert command.output.endswith("hi\n")
        assert (result.text, ticket.outcome) == ("done", "accepted")


async def test_a3_a_declined_command_does_not_run_and_the_turn_goes_on(place: Place) -> None:
    """Flow A3: the model is told of it. Nobody need be there to decline."""
    async with place.client(Reply(Exec(WRITE)), "as you wish") as (client, model):
        result = await client.run("do it", cwd=place.workspace, approval_policy="untrusted", sandbox="workspace-write")
        assert [command.status for command in result.commands] == ["declined"]
        assert result.text == "as you wish"
        assert "rejected by user" in str(model.requests[1].outputs())
        assert not (place.workspace / "sub").exists()


async def test_a4_a_cancelled_command_ends_the_turn(place: Place) -> None:
    """Flow A4: the turn is interrupted."""
    async with (
        place.client(Reply(Exec(WRITE))) as (client, _),
        await client.start_session(cwd=place.workspace) as session,
    ):
        async with session.stream("do it", approvals="stream", approval_policy="untrusted") as turn:
            (await next_ticket(turn)).cancel()
            with pytest.raises(TurnInterruptedError) as caught:
                await turn.finish()
        assert [command.status for command in caught.value.result.commands] == ["declined"]


async def test_a5_a_command_accepted_for_the_session_is_not_asked_for_again(place: Place) -> None:
    """Flow A5: the same command, in the same thread."""
    replies = Reply(Exec(WRITE)), Reply(Exec(WRITE)), "done twice"
    asked = []

    async def once_and_for_all(ticket: object) -> None:
        asked.append(ticket)
        ticket.accept(for_session=True)  # type: ignore[attr-defined]

    async with place.client(*replies) as (client, _):
        result = await client.run(
            "do it",
            cwd=place.workspace,
            approvals=once_and_for_all,
            approval_policy="untrusted",
            sandbox="workspace-write",
        )
    assert [command.status for command in result.commands] == ["completed", "completed"]
    assert len(asked) == 1


async def test_a6_an_amendment_is_a_rule_for_good_and_has_to_be_asked_for_by_name(place: Place) -> None:
    """Flow A6: `reply` with the words that the server proposed; what matches them later runs unasked."""
    replies = Reply(Exec("touch amended.txt")), Reply(Exec("touch amended.txt")), "done"
    async with place.client(*replies) as (client, _), await client.start_session(cwd=place.workspace) as session:
        async with session.stream(
            "do it", approvals="stream", approval_policy="untrusted", sandbox="workspace-write"
        ) as turn:
            ticket = await next_ticket(turn)
            words = ticket.params["proposedExecpolicyAmendment"]
            ticket.reply({"decision": {"acceptWithExecpolicyAmendment": {"execpolicy_amendment": words}}})
            assert ticket.outcome == "accepted"
            result = await turn.finish()
        assert [command.status for command in result.commands] == ["completed", "completed"]
        assert (place.workspace / "amended.txt").exists()
        assert "amended.txt" in (place.home / "rules" / "default.rules").read_text()


async def test_a7_an_escalation_runs_outside_the_sandbox_if_it_is_accepted(place: Place) -> None:
    """Flow A7: the model's question is in the ticket."""
    outside = place.workspace / "escalated"
    reply = Reply(Exec(f"id -u > {outside}", escalate=True, justification="May I write outside?"))
    async with place.client(reply, "done") as (client, _), await client.start_session(cwd=place.workspace) as session:
        async with session.stream("do it", approvals="stream") as turn:
            ticket = await next_ticket(turn)
            assert ticket.params["reason"] == "May I write outside?"
            ticket.accept()
            assert (await turn.finish()).commands[0].status == "completed"
        assert outside.exists()


async def test_a8_a_malformed_decision_never_leaves_the_house(place: Place) -> None:
    """Flows A8, A9: the server would fail the item; the caller may try again. An error as the answer does fail it."""
    async with (
        place.client(Reply(Exec(WRITE)), "done") as (client, model),
        await client.start_session(cwd=place.workspace) as session,
    ):
        async with session.stream("do it", approvals="stream", approval_policy="untrusted") as turn:
            ticket = await next_ticket(turn)
            with pytest.raises(InvalidAnswerError):
                ticket.reply({"decision": "perhaps"})
            assert not ticket.is_settled
            ticket.refuse("client refuses")
            result = await turn.finish()
        assert [command.status for command in result.commands] == ["failed"]
        assert (result.text, ticket.outcome) == ("done", "refused")
        assert len(model.requests) == 2


async def test_b1_an_accepted_file_change_is_made_and_has_its_diff(place: Place) -> None:
    """Flow B1: the request has no diff; the item that it names has."""
    async with (
        place.client(Reply(Patch(PATCH)), "done", model="gpt-5.5") as (client, _),
        await client.start_session(cwd=place.workspace, sandbox="workspace-write") as session,
    ):
        async with session.stream("do it", approvals="stream", approval_policy="untrusted") as turn:
            started, ticket = None, None
            async for event in turn:
                if isinstance(event, FileChangeStarted):
                    started = event
                elif type(event).__name__ == "ApprovalRequested":
                    ticket = event.ticket
                    ticket.accept()
        assert started is not None
        assert ticket is not None
        assert ticket.item_id == started.item_id
        assert [(change.kind, change.diff) for change in started.changes] == [("add", "line one\nline two\n")]
        assert [change.path for change in turn.result.file_changes] == [str(place.workspace / "p.txt")]
        assert "+line one" in (turn.result.diff or "")
        assert (place.workspace / "p.txt").read_text() == "line one\nline two\n"


async def test_b2_a_declined_file_change_is_not_made(place: Place) -> None:
    """Flow B2: and is not among the changes of the result."""
    async with place.client(Reply(Patch(PATCH)), "done", model="gpt-5.5") as (client, _):
        result = await client.run("do it", cwd=place.workspace, approval_policy="untrusted", sandbox="workspace-write")
        assert (result.text, result.file_changes) == ("done", ())
        assert [item.data["status"] for item in result.items if item.kind == "fileChange"] == ["declined"]
        assert not (place.workspace / "p.txt").exists()


async def test_b3_a_cancelled_file_change_leaves_its_item_open(place: Place) -> None:
    """Flow B3: the server never completes it, so we close it."""
    async with (
        place.client(Reply(Patch(PATCH)), model="gpt-5.5") as (client, _),
        await client.start_session(cwd=place.workspace, sandbox="workspace-write") as session,
    ):
        async with session.stream("do it", approvals="stream", approval_policy="untrusted") as turn:
            (await next_ticket(turn)).cancel()
            with pytest.raises(TurnInterruptedError) as caught:
                await turn.finish()
        assert [item.state for item in caught.value.result.items if item.kind == "fileChange"] == ["closed"]


async def test_c3_a_question_to_the_user_is_answered(place: Place) -> None:
    """Flow C3: with content, not with consent."""
    question = {
        "id": "color",
        "header": "Colour",
        "question": "Which colour?",
        "options": [{"label": "Red", "description": "warm"}, {"label": "Blue", "description": "cold"}],
    }
    replies = Reply(Call("request_user_input", {"questions": [question]})), "done"
    features = {"default_mode_request_user_input": True}
    async with (
        place.client(*replies, features=features) as (client, model),
        await client.start_session(cwd=place.workspace) as session,
    ):
        async with session.stream("ask me", approvals="stream") as turn:
            ticket = await next_ticket(turn)
            assert ticket.params["questions"][0]["question"] == "Which colour?"
            with pytest.raises(InvalidAnswerError):
                ticket.accept()
            ticket.reply({"answers": {"color": {"answers": ["Blue"]}}})
            await turn.finish()
        assert "Blue" in str(model.requests[1].outputs())


async def test_c4_a_dynamic_tool_is_called_and_survives_resumption(place: Place) -> None:
    """Flow C4: the thread was started with the tool by hand; the session that resumes it answers its calls."""
    tool = {"name": "lookup", "description": "Looks up.", "inputSchema": {"type": "object", "properties": {}}}
    replies = "first", Reply(Call("lookup", {"id": "ABC"})), "done"
    async with place.client(*replies) as (client, model):
        start = {"cwd": str(place.workspace), "dynamicTools": [tool]}
        thread = (await client.runtime.request("thread/start", start))["thread"]["id"]
        with client.runtime.subscribe(thread=thread, methods=["turn/completed"]) as ends:
            prompt = [{"type": "text", "text": "go"}]
            await client.runtime.request("turn/start", {"threadId": thread, "input": prompt})
            await anext(ends)

        async def answer(ticket: object) -> None:
            ticket.reply({"success": True, "contentItems": [{"type": "inputText", "text": "ABC is open"}]})  # type: ignore[attr-defined]

        async with await client.resume_session(thread, cwd=place.workspace, approvals=answer) as session:
            result = await session.run("look it up")
        assert result.text == "done"
        assert "ABC is open" in str(model.requests[2].outputs())


async def test_c6_an_mcp_server_may_ask_the_user(place: Place) -> None:
    """Flow C6: first leave for the tool, then the tool's own form."""
    replies = Reply(Call("ask", {}, namespace="mcp__stub")), "done"
    async with (
        place.client(*replies, mcp_servers={"stub": mcp_stub()}) as (client, model),
        await client.start_session(cwd=place.workspace) as session,
    ):
        async with session.stream("go", approvals="stream") as turn:
            leave = await next_ticket(turn)
            assert leave.is_approval
            leave.accept()
            form = await next_ticket(turn)
            form.reply({"action": "accept", "content": {"name": "Ann", "sure": True}})
            assert (await turn.finish()).text == "done"
        assert "Ann" in str(model.requests[1].outputs())


async def test_two_approvals_may_wait_at_once(place: Place) -> None:
    """Two calls in one reply: each ticket has its own command, and they are answered in any order."""
    reply = Reply(Exec("touch one"), Exec("touch two"))
    async with (
        place.client(reply, "done") as (client, _),
        await client.start_session(cwd=place.workspace, sandbox="workspace-write") as session,
    ):
        async with session.stream("do it", approvals="stream", approval_policy="untrusted") as turn:
            tickets = [await next_ticket(turn), await next_ticket(turn)]
            assert client.runtime.tickets == tuple(tickets)
            one, two = sorted(tickets, key=lambda ticket: "touch two" in ticket.params["command"])
            two.decline()
            one.accept()
            with pytest.raises(AlreadySettledError):
                one.decline()
            result = await turn.finish()
        by_command = {command.command: command.status for command in result.commands}
        assert by_command == {"touch one": "completed", "touch two": "declined"}
        assert sorted(path.name for path in place.workspace.iterdir()) == ["one"]


async def test_a_command_is_shown_as_a_person_would_type_it(place: Place) -> None:
    """The wrapper of the shell is in `raw_command`."""
    async with (
        place.client(Reply(Exec("echo hi")), "done") as (client, _),
        await client.start_session(cwd=place.workspace) as session,
    ):
        async with session.stream("go") as turn:
            started = [event async for event in turn if isinstance(event, CommandStarted)]
        assert [(event.command, event.raw_command) for event in started] == [("echo hi", "/bin/bash -c 'echo hi'")]
