"""Who answers for a thread in which no turn of ours runs, and that nobody is more generous than they were told to be."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from codex_runtime import RunProfile, Ticket, TurnLostError
from codex_runtime._sansio.server_requests import COMMAND, ELICITATION, USER_INPUT
from codex_runtime.testing import Bytes, Command, Die, FakeAppServer, Gate, Hold, Refusal, Say, Script
from tests.client.desk import at_the_desk, in_a_session, until

if TYPE_CHECKING:
    from collections.abc import Mapping

    from codex_runtime import Session
    from codex_runtime.runtime import Decision

LOST_ONE = Script(Say("half"), Die())


def asking(
    thread_id: str, turn_id: str | None, *, method: str = COMMAND, rpc_id: str = "again", more: object = None
) -> Bytes:
    """Make a request of the server's as it is repeated to whoever resumes a thread."""
    params = {"threadId": thread_id, "turnId": turn_id, "itemId": "item", "command": "touch x", "questions": []}
    params |= more if isinstance(more, dict) else {}
    return Bytes(json.dumps({"id": rpc_id, "method": method, "params": params}).encode() + b"\n")


async def said_to(fake: FakeAppServer, session: Session, turn_id: str | None, **request: Any) -> Any:
    """Ask something in the session's thread and return what was answered."""
    before = len(fake.received)
    fake.play(asking(session.thread_id, turn_id, **request))
    return (await answered(fake, since=before))["result"]


async def answered(fake: FakeAppServer, *, since: int = 0) -> Mapping[str, Any]:
    """Wait for the answer to a repeated request."""

    def found() -> list[dict[str, Any]]:
        messages = [entry.message for entry in fake.received[since:] if entry.message is not None]
        return [message for message in messages if message.get("id") == "again"]

    await fake.until(lambda: bool(found()))
    return found()[0]


async def lose_a_turn(session: Session, **options: Any) -> str:
    """Run a turn whose server dies, wait for the next server, and return the turn's id."""
    with pytest.raises(TurnLostError) as caught:
        await session.run("go", **options)
    await session.runtime.wait_ready()
    assert caught.value.result.turn_id is not None
    return caught.value.result.turn_id


async def test_a_turn_that_somebody_else_began_is_answered_as_the_session_would() -> None:
    """Approvals are accepted; what is no approval is for nobody to accept."""
    fake = FakeAppServer()
    async with in_a_session(fake, profile=RunProfile(approvals="accept")) as session:
        assert await said_to(fake, session, "of-somebody") == {"decision": "accept"}
        assert await said_to(fake, session, "of-somebody", method=USER_INPUT) == {"answers": {}}
        assert session.runtime.metrics.settled == {"accepted": 1, "declined": 1}


async def test_a_yes_to_everything_fills_in_no_form() -> None:
    """A form wants content: it is left to the next in line, and declined if there is nobody."""
    form = {"mode": "form", "message": "?", "requestedSchema": {"properties": {"name": {}}, "required": ["name"]}}
    fake = FakeAppServer()
    async with in_a_session(fake, profile=RunProfile(approvals="accept")) as session:
        assert await said_to(fake, session, "of-somebody", method=ELICITATION, more=form) == {"action": "decline"}
        assert session.runtime.metrics.guest_errors == 0


async def test_a_yes_that_did_not_fit_is_not_put_on_record() -> None:
    """Whoever answers next is named; the profile has said nothing."""
    kept: list[Decision] = []
    form = {"mode": "form", "message": "?", "requestedSchema": {"properties": {"name": {}}, "required": ["name"]}}

    def fill_in(ticket: Ticket) -> bool:
        ticket.give_form({"name": "Ann"}, by="ann@example.org")
        return True

    fake = FakeAppServer()
    async with in_a_session(fake, profile=RunProfile(approvals="accept"), on_decision=kept.append) as session:
        session.runtime.take(None, fill_in)
        said = await said_to(fake, session, "of-somebody", method=ELICITATION, more=form)
        assert said["content"] == {"name": "Ann"}
    assert [(each.decider, each.by) for each in kept] == [("reader", "ann@example.org")]


async def test_a_handler_may_be_a_plain_function() -> None:
    """It answers at once, or keeps the ticket for later."""
    kept: list[Ticket] = []
    fake = FakeAppServer()
    async with in_a_session(fake, profile=RunProfile(approvals=kept.append)) as session:
        fake.play(asking(session.thread_id, "of-somebody"))
        await until(lambda: kept)
        session.runtime.ticket(kept[0].id).accept()
        assert (await answered(fake))["result"] == {"decision": "accept"}


async def test_a_handler_of_the_session_is_asked() -> None:
    """As for a turn of its own."""
    asked: list[Ticket] = []

    async def handler(ticket: Ticket) -> None:
        asked.append(ticket)
        ticket.accept(for_session=True)

    fake = FakeAppServer()
    async with in_a_session(fake, profile=RunProfile(approvals=handler)) as session:
        assert await said_to(fake, session, "of-somebody") == {"decision": "acceptForSession"}
        assert [(ticket.turn_id, ticket.thread_id) for ticket in asked] == [("of-somebody", session.thread_id)]


@pytest.mark.parametrize("approvals", ["decline", "stream"])
async def test_a_session_with_nobody_to_ask_declines(approvals: Any) -> None:
    """Silence is no consent; without a turn there is no stream either."""
    fake = FakeAppServer()
    async with in_a_session(fake, profile=RunProfile(approvals=approvals)) as session:
        assert await said_to(fake, session, "of-somebody") == {"decision": "decline"}


@pytest.mark.parametrize("approvals", ["decline", "stream"])
async def test_whoever_iterates_the_runtime_gets_what_no_session_takes(approvals: Any) -> None:
    """The last in line, as always."""
    fake = FakeAppServer()
    async with in_a_session(fake, profile=RunProfile(approvals=approvals)) as session:
        tickets = session.runtime.server_requests()
        waiting = asyncio.ensure_future(anext(tickets))
        await asyncio.sleep(0)
        fake.play(asking(session.thread_id, "of-somebody"))
        (await waiting).accept()
        assert (await answered(fake))["result"] == {"decision": "accept"}
        await tickets.aclose()  # type: ignore[attr-defined]


async def test_a_lost_turn_keeps_its_own_word() -> None:
    """A turn that was to decline is declined, though the session would accept; and the other way round."""
    for session_says, turn_says, answer in (("accept", "decline", "decline"), ("decline", "accept", "accept")):
        fake = FakeAppServer(LOST_ONE)
        profile = RunProfile(approvals=session_says)
        async with in_a_session(fake, profile=profile) as session:
            turn_id = await lose_a_turn(session, approvals=turn_says)
            assert await said_to(fake, session, turn_id) == {"decision": answer}
            assert await said_to(fake, session, "of-somebody") == {"decision": session_says}


async def test_a_lost_turn_is_answered_for_while_the_next_one_waits_in_line() -> None:
    """The server asks again as soon as the thread is resumed, before the next turn has begun."""
    fake = FakeAppServer(LOST_ONE, Script(Hold(gate := Gate()), Say("next")))
    async with in_a_session(fake) as session:
        turn_id = await lose_a_turn(session, approvals="accept")
        running = asyncio.ensure_future(session.run("next", approvals="decline"))
        await gate.reached()
        assert await said_to(fake, session, turn_id) == {"decision": "accept"}
        assert await said_to(fake, session, "of-somebody") == {"decision": "decline"}
        gate.open()
        assert (await running).text == "next"


async def test_a_turn_of_ours_answers_for_itself_alone() -> None:
    """While it runs, its word counts for it; the session's word, which is for quiet times, for nothing else."""
    fake = FakeAppServer(Script(Command("ls", approval=True), Hold(gate := Gate())))
    async with in_a_session(fake, profile=RunProfile(approvals="accept")) as session:
        running = asyncio.ensure_future(session.run("go", approvals="decline"))
        await gate.reached()
        assert [answer.decision for answer in fake.answers] == ["decline"]
        assert await said_to(fake, session, "of-somebody") == {"decision": "decline"}
        gate.open()
        await running


async def test_a_turn_that_is_over_gets_nothing_more() -> None:
    """Whether it ended, was given up, or was never begun as far as we know."""
    fake = FakeAppServer("done")
    async with in_a_session(fake, profile=RunProfile(approvals="accept")) as session:
        result = await session.run("go")
        assert await said_to(fake, session, result.turn_id) == {"decision": "decline"}
        assert await said_to(fake, session, "of-somebody") == {"decision": "accept"}
        fake.on_request("turn/start", Refusal(-32600, "no"))
        with pytest.raises(Exception, match="no"):
            await session.run("go")
        assert await said_to(fake, session, "which-may-be-it") == {"decision": "decline"}


async def test_a_lost_turn_whose_id_never_came_may_be_any() -> None:
    """So its own word counts for whatever is asked."""
    fake = FakeAppServer()
    fake.die_at("turn/start", "before")
    async with in_a_session(fake, profile=RunProfile(approvals="accept")) as session:
        with pytest.raises(TurnLostError) as caught:
            await session.run("go", approvals="decline")
        assert caught.value.result.turn_id is None
        await session.runtime.wait_ready()
        assert await said_to(fake, session, "which-may-be-it") == {"decision": "decline"}


async def test_a_closed_session_answers_no_more() -> None:
    """Its thread is nobody's."""
    fake = FakeAppServer()
    async with in_a_session(fake, profile=RunProfile(approvals="accept")) as session:
        await session.aclose()
        assert await said_to(fake, session, "of-somebody") == {"decision": "decline"}


async def test_a_thread_that_began_afresh_is_answered_for() -> None:
    """The one before is not."""
    fake = FakeAppServer()
    async with in_a_session(fake, profile=RunProfile(approvals="accept")) as session:
        old = session.thread_id
        fake.die()
        await fake.wait_for("thread/start", 2)
        await session.runtime.wait_ready()
        assert session.thread_id != old
        assert await said_to(fake, session, "of-somebody") == {"decision": "accept"}
        before = len(fake.received)
        fake.play(asking(old, "of-somebody"))
        assert (await answered(fake, since=before))["result"] == {"decision": "decline"}


@pytest.mark.parametrize("moment", ["before", "after"])
async def test_what_is_asked_again_on_resumption_finds_somebody(moment: str) -> None:
    """Before the answer to the resumption or right behind it: the session is there already."""
    fake = FakeAppServer()

    def resume(params: Mapping[str, Any]) -> dict[str, Any]:
        if moment == "before":
            fake.play(asking(params["threadId"], "of-somebody"))
        else:
            asyncio.get_running_loop().call_soon(fake.play, asking(params["threadId"], "of-somebody"))
        return {"thread": {"id": params["threadId"], "cwd": "/"}}

    fake.on_request("thread/resume", resume)
    async with at_the_desk(fake) as client, await client.resume_session("T", approvals="accept"):
        assert (await answered(fake))["result"] == {"decision": "accept"}


@pytest.mark.parametrize("reply", [Refusal(-32600, "no rollout found"), {"thread": {"id": "another"}}, {}])
async def test_a_resumption_that_fails_leaves_nobody(reply: Any) -> None:
    """What is asked in the thread then is declined."""
    fake = FakeAppServer()
    fake.on_request("thread/resume", reply)
    async with at_the_desk(fake) as client:
        with pytest.raises(Exception, match="thread/resume"):
            await client.resume_session("T", approvals="accept")
        fake.play(asking("T", "of-somebody"))
        assert (await answered(fake))["result"] == {"decision": "decline"}


async def test_a_turn_that_was_lost_before_it_had_an_id_answers_for_no_later_turn() -> None:
    """I6: nobody knows which turn it was, but the one that runs now is another, and nobody said yes for that."""
    fake = FakeAppServer("first")
    async with in_a_session(fake) as session:
        await session.run("go")
        fake.die_at("turn/start", "before")
        with pytest.raises(TurnLostError):
            await session.run("go", approvals="accept")
        fake.on_turn(Script(Command("rm -rf /", approval=True), Say("done")))
        await session.run("go", approvals="decline")
        assert [answer.decision for answer in fake.answers] == ["decline"]
