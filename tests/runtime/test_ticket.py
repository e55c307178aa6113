"""One ticket: lean, faithful to what the server sent, and able to say what it is about."""

from __future__ import annotations

from typing import Any

import pytest

from codex_runtime import ApprovalRequested, Client, RuntimeConfig, Ticket
from codex_runtime._sansio import server_requests as rules
from codex_runtime._sansio.questions import Part
from codex_runtime.testing import FakeAppServer, FileChange, Say, Script
from codex_runtime.testing._fake_script import Ask
from tests.runtime.rig import running, until

THREAD = {"threadId": "t", "turnId": "u", "itemId": "i"}
RIGHTS = {"network": {"enabled": True}, "fileSystem": {"write": ["/w"]}}


async def kept(fake: FakeAppServer, runtime: Any, method: str, **params: Any) -> Ticket:
    """Have the server ask, and return the ticket, which somebody keeps."""
    fake.play(Ask(method, {**THREAD, **params}))
    await until(lambda: runtime.tickets)
    return runtime.tickets[0]


async def test_a_ticket_has_no_room_for_more() -> None:
    """No dictionary, so that many are cheap; and no attribute is made by a slip."""
    fake = FakeAppServer()
    async with running(fake, on_server_request=lambda _: None) as runtime:
        ticket = await kept(fake, runtime, rules.COMMAND)
        assert not hasattr(ticket, "__dict__")
        with pytest.raises(AttributeError):
            ticket.anything = 1  # type: ignore[attr-defined]


async def test_params_are_decoded_once_and_nobody_can_bend_them() -> None:
    """What a guest does to them changes neither what is granted nor what is shown."""
    fake = FakeAppServer()
    async with running(fake, on_server_request=lambda _: None) as runtime:
        ticket = await kept(fake, runtime, rules.PERMISSIONS, permissions=RIGHTS)
        assert ticket.params is ticket.params
        ticket.params["permissions"]["fileSystem"]["write"].append("/etc")
        assert Part("write", "/etc") not in ticket.question.parts
        ticket.accept()
        await fake.until(lambda: bool(fake.answers))
        assert fake.answers[0].result == {"permissions": RIGHTS, "scope": "turn"}


@pytest.mark.parametrize("state", [True, False])
@pytest.mark.parametrize("is_followed", [True, False])
async def test_a_file_change_is_shown_with_its_diffs(*, state: bool, is_followed: bool) -> None:
    """The request has none: they are those of its item, which the turn knows, or else the state."""
    fake = FakeAppServer(Script(FileChange("/w/a.txt", "hello\n", approval=True), Say("done")))
    tickets: list[Ticket] = []
    config = RuntimeConfig(launcher=fake, state=state, on_server_request=tickets.append)
    async with Client(config) as client, await client.start_session() as session:
        if is_followed:
            async with session.stream("go", approvals="stream", approval_policy="untrusted") as turn:
                async for event in turn:
                    if isinstance(event, ApprovalRequested):
                        tickets.append(event.ticket)
                        break
                await check(tickets, known=True)
        else:
            params = {"threadId": session.thread_id, "input": [{"type": "text", "text": "go"}]}
            await client.runtime.request("turn/start", {**params, "approvalPolicy": "untrusted"})
            await until(lambda: tickets)
            await check(tickets, known=state)


async def check(tickets: list[Ticket], *, known: bool) -> None:
    """See what is shown, also after it was settled."""
    (ticket,) = tickets
    assert "item" not in (ticket.params or {})
    expected = "hello" if known else "not known"
    assert expected in str(ticket.question)
    ticket.decline()
    assert ticket.question is ticket.question
    assert expected in str(ticket.question)
