"""S1, S3, S5, S30: silence, failure and forgery are never a yes, and a yes is for what was asked, once.

The judge of an answer is a table of this file, written down by hand: it shares nothing with the code that it judges. A server
request that the table does not have fails the first test, so no kind can come in unjudged.
"""

from __future__ import annotations

import ast
import asyncio
import copy
import json
import pickle
from typing import TYPE_CHECKING, Any

import pytest

from codex_runtime import RunProfile
from codex_runtime.errors import AlreadySettledError, CodexError, InvalidAnswerError, ServerRequestNotFoundError
from codex_runtime.hooks import Allow
from codex_runtime.protocol import registry
from codex_runtime.testing import Ask, FakeAppServer, ManualClock
from tests.architecture.tree import SOURCE, source_files
from tests.client.desk import in_a_session
from tests.client.hooked import gate, guarded
from tests.runtime.rig import Wire, restart, running, turns, until

if TYPE_CHECKING:
    from codex_runtime.runtime import Ticket

THREAD = {"threadId": "t", "turnId": "u", "itemId": "i"}
# The most that each kind can ask for.
GREED: dict[str, dict[str, Any]] = {
    "item/commandExecution/requestApproval": {
        **THREAD,
        "command": "rm -rf /",
        "cwd": "/",
        "proposedExecpolicyAmendment": ["rm"],
        "proposedNetworkPolicyAmendments": [{"action": "allow", "host": "*"}],
        "availableDecisions": ["acceptForSession", "acceptWithExecpolicyAmendment"],
        "additionalPermissions": {"network": {"enabled": True}, "fileSystem": {"write": ["/"]}},
    },
    "item/fileChange/requestApproval": {**THREAD, "grantRoot": "/", "reason": "trust me"},
    "item/permissions/requestApproval": {
        **THREAD,
        "permissions": {"network": {"enabled": True}, "fileSystem": {"write": ["/"]}, "scope": "session"},
        "scope": "session",
    },
    "item/tool/requestUserInput": {**THREAD, "questions": [{"id": "q", "question": "?", "header": "h"}]},
    "item/tool/call": {**THREAD, "tool": "x", "arguments": {}},
    "mcpServer/elicitation/request": {
        "threadId": "t",
        "turnId": "u",
        "serverName": "s",
        "mode": "form",
        "message": "?",
        "requestedSchema": {"type": "object", "properties": {}},
        "_meta": {"codex_approval_kind": "mcp_tool_call", "persist": ["session", "always"]},
    },
    "account/chatgptAuthTokens/refresh": {"reason": "unauthorized", "previousAccountId": "a"},
    "attestation/generate": {},
    "currentTime/read": {"threadId": "t"},
    "execCommandApproval": {"conversationId": "t", "callId": "i", "command": ["rm"], "cwd": "/"},
    "applyPatchApproval": {"conversationId": "t", "callId": "i", "fileChanges": {}, "grantRoot": "/"},
}
# What is said to silence, and the other ways to say no that may be chosen. An error is one for every kind.
NO: dict[str, list[Any]] = {
    "item/commandExecution/requestApproval": [{"decision": "decline"}, {"decision": "cancel"}],
    "item/fileChange/requestApproval": [{"decision": "decline"}, {"decision": "cancel"}],
    "item/permissions/requestApproval": [{"permissions": {}}],
    "item/tool/requestUserInput": [{"answers": {}}],
    "item/tool/call": [
        {"success": False, "contentItems": [{"type": "inputText", "text": "The tool call was declined."}]}
    ],
    "mcpServer/elicitation/request": [{"action": "decline"}, {"action": "cancel"}],
    "account/chatgptAuthTokens/refresh": [],
    "attestation/generate": [],
    "currentTime/read": [],
    "execCommandApproval": [{"decision": {"denied": {"rejection": "declined"}}}, {"decision": "abort"}],
    "applyPatchApproval": [{"decision": {"denied": {"rejection": "declined"}}}, {"decision": "abort"}],
}
# A plain yes, where there is one: this request, now, and no word that would outlive it.
YES: dict[str, Any] = {
    "item/commandExecution/requestApproval": {"decision": "accept"},
    "item/fileChange/requestApproval": {"decision": "accept"},
    "item/permissions/requestApproval": {
        "permissions": {"network": {"enabled": True}, "fileSystem": {"write": ["/"]}},
        "scope": "turn",
    },
    "mcpServer/elicitation/request": {"action": "accept", "content": {}},
    "execCommandApproval": {"decision": "approved"},
    "applyPatchApproval": {"decision": "approved"},
}
# How a program is started.
STARTS = {"Popen", "system", "popen", "create_subprocess_exec", "create_subprocess_shell", "execvpe", "execve", "execv"}
STARTS |= {"execvp", "execl", "execlp", "posix_spawn", "posix_spawnp", "spawnv", "spawnl", "startfile"}
ODD: tuple[Any, ...] = (None, [], {}, "accept", 7, True, {"threadId": 7}, {"permissions": "all", "decision": "accept"})


def refused(fake: FakeAppServer) -> list[str]:
    """The methods that were answered, each of which was a no; sorted."""
    wrong = [answer for answer in fake.answers if answer.error is None and answer.result not in NO[str(answer.method)]]
    assert wrong == []
    return sorted(str(answer.method) for answer in fake.answers)


def ask_all(fake: FakeAppServer) -> None:
    """Have the server ask everything that it can."""
    for method, params in GREED.items():
        fake.play(Ask(method, params))


def test_every_request_of_the_server_is_in_the_tables() -> None:
    """A kind that a later schema brings is judged before it can be shipped."""
    asked = {method.name for method in registry.of("server_request")}
    assert set(GREED) == set(NO) == asked
    assert set(YES) <= asked


# -- S1: nobody says yes -----------------------------------------------------------------------------------------------


async def test_silence_is_a_no_to_everything() -> None:
    """No handler, no reader, no session."""
    fake = FakeAppServer()
    async with running(fake):
        ask_all(fake)
        await fake.until(lambda: len(fake.answers) == len(GREED))
        assert refused(fake) == sorted(GREED)


@pytest.mark.parametrize("action", ["decline", "cancel", "refuse"])
async def test_a_hang_is_a_no_to_everything(action: Any) -> None:
    """Whatever is to be said at the deadline; until then nothing is."""

    async def hang(_: Ticket) -> None:
        await asyncio.Event().wait()

    fake, clock = FakeAppServer(), ManualClock()
    async with running(fake, clock, on_server_request=hang, server_request_deadline_action=action) as runtime:
        ask_all(fake)
        await until(lambda: len(runtime.tickets) == len(GREED))
        assert fake.answers == []
        await clock.advance(60.0)
        await fake.until(lambda: len(fake.answers) == len(GREED))
        assert refused(fake) == sorted(GREED)


async def broken(_: Ticket) -> None:
    """Fail."""
    raise ZeroDivisionError


async def bottomless(ticket: Ticket) -> None:
    """Fail in the worst way."""
    await bottomless(ticket)


async def says_true(_: Ticket) -> Any:
    """Return what somebody may take for a yes."""
    return True


async def forgets(_: Ticket) -> None:
    """Do nothing."""


async def answers_wrongly(ticket: Ticket) -> None:
    """Say what no kind of request takes."""
    ticket.reply({"decision": "yes please", "answers": 1, "action": "go", "success": "true", "permissions": "all"})


@pytest.mark.parametrize("handler", [broken, bottomless, says_true, forgets, answers_wrongly])
async def test_a_handler_that_does_not_say_yes_says_no(handler: Any) -> None:
    """S5 too: what a coroutine returns is no answer, however much it looks like one."""
    fake = FakeAppServer()
    async with running(fake, on_server_request=handler):
        ask_all(fake)
        await fake.until(lambda: len(fake.answers) == len(GREED))
        assert refused(fake) == sorted(GREED)


@pytest.mark.parametrize("said", [True, "accept", {"decision": "accept"}, 1])
async def test_what_a_plain_function_returns_is_no_answer(said: Any) -> None:
    """It may keep the ticket; then its deadline decides."""
    fake, clock = FakeAppServer(), ManualClock()
    async with running(fake, clock, on_server_request=lambda _: said) as runtime:
        ask_all(fake)
        await until(lambda: len(runtime.tickets) == len(GREED))
        assert fake.answers == []
        await clock.advance(60.0)
        await fake.until(lambda: len(fake.answers) == len(GREED))
        assert refused(fake) == sorted(GREED)


async def test_a_death_or_an_end_answers_nothing() -> None:
    """What is open is withdrawn: the server that asked is gone, and the next one hears nothing of it."""
    fake, clock = FakeAppServer(), ManualClock()
    async with running(fake, clock, on_server_request=lambda _: None) as runtime:
        ask_all(fake)
        await until(lambda: len(runtime.tickets) == len(GREED))
        old = runtime.tickets
        await restart(fake, runtime, clock)
        assert {ticket.outcome for ticket in old} == {"withdrawn"}
        ask_all(fake)
        await until(lambda: len(runtime.tickets) == len(GREED))
        new = runtime.tickets
    assert {ticket.outcome for ticket in new} == {"withdrawn"}
    assert fake.answers == []


async def test_a_full_desk_says_no_to_everything_more() -> None:
    """Whoever would answer the rest is not asked."""
    fake = FakeAppServer()
    async with running(fake, on_server_request=lambda _: None, max_open_server_requests=1) as runtime:
        fake.play(Ask("item/fileChange/requestApproval", THREAD))
        await until(lambda: runtime.tickets)
        ask_all(fake)
        await fake.until(lambda: len(fake.answers) == len(GREED))
        assert refused(fake) == sorted(GREED)
        assert len(runtime.tickets) == 1


async def test_parameters_without_a_sense_are_no_yes() -> None:
    """Whatever the server sends in their place; nor does it hold anything else up."""
    wire = Wire()
    async with running(wire):
        asked = [(method, odd) for method in GREED for odd in ODD]
        for number, (method, odd) in enumerate(asked):
            wire.say({"id": number, "method": method, "params": odd})
        await turns()
        said = {line["id"]: line for line in wire.sent if "method" not in line}
        assert len(said) == len(asked)
        for number, (method, _) in enumerate(asked):
            assert "error" in said[number] or said[number]["result"] in NO[method]


async def test_no_method_is_a_yes_because_it_looks_like_one() -> None:
    """An unknown one is refused, whoever would have answered."""
    wire = Wire()
    async with running(wire, on_server_request=lambda ticket: ticket.accept()):
        for number, method in enumerate(("item/commandExecution/requestApproval ", "ITEM/FILECHANGE", "", "x" * 9999)):
            wire.say({"id": number, "method": method, "params": THREAD})
        await turns()
        assert [line["error"]["code"] for line in wire.sent if "method" not in line] == [-32601] * 4


# -- S3: whose answer it is --------------------------------------------------------------------------------------------


async def open_ticket(fake: FakeAppServer, runtime: Any, method: str = "item/permissions/requestApproval") -> Ticket:
    """Have the server ask something, and return the ticket."""
    before = len(runtime.tickets)
    fake.play(Ask(method, GREED[method]))
    await until(lambda: len(runtime.tickets) == before + 1)
    ticket: Ticket = runtime.tickets[-1]
    return ticket


async def test_one_id_tells_nothing_of_another() -> None:
    """Each is 128 bits of chance: whoever was shown one question cannot name the next."""
    fake = FakeAppServer()
    async with running(fake, on_server_request=lambda _: None) as runtime:
        for _ in range(4):
            await open_ticket(fake, runtime)
        ids = [ticket.id for ticket in runtime.tickets]
        assert {len(each) for each in ids} == {32}
        for part in range(0, 32, 8):
            assert len({each[part : part + 8] for each in ids}) == 4


async def test_an_id_that_was_made_up_finds_nothing() -> None:
    """Nor does the server's own, which begins at 0 in every process."""
    fake = FakeAppServer()
    async with running(fake, on_server_request=lambda _: None) as runtime:
        ticket = await open_ticket(fake, runtime)
        for forged in ("0", "", ticket.id.upper(), f"{ticket.id} ", ticket.id[:-1], f"{int(ticket.id, 16) + 1:032x}"):
            if forged != ticket.id:
                with pytest.raises(ServerRequestNotFoundError):
                    runtime.ticket(forged)
        assert runtime.ticket(ticket.id) is ticket


@pytest.mark.parametrize("how", [copy.copy, copy.deepcopy, pickle.dumps])
async def test_a_ticket_cannot_be_copied_and_settled_again(how: Any) -> None:
    """A copy would know nothing of the answer that was given."""
    fake = FakeAppServer()
    async with running(fake, on_server_request=lambda _: None) as runtime:
        ticket = await open_ticket(fake, runtime)
        with pytest.raises(TypeError, match="cannot be copied"):
            how(ticket)
        ticket.decline()
        with pytest.raises(AlreadySettledError):
            ticket.accept()
        await turns()
        assert len(fake.answers) == 1


async def test_an_old_yes_is_not_replayed_to_the_server_that_came_after() -> None:
    """The next server asks under the same id; who held the old question cannot answer the new one."""
    fake, clock = FakeAppServer(), ManualClock()
    async with running(fake, clock, on_server_request=lambda _: None) as runtime:
        old = await open_ticket(fake, runtime)
        await restart(fake, runtime, clock)
        new = await open_ticket(fake, runtime)
        assert (old.envelope.rpc_id, old.generation) == (new.envelope.rpc_id, new.generation - 1)
        for say in (old.accept, lambda: old.reply({"permissions": {"network": {"enabled": True}}}), old.grant):
            with pytest.raises(AlreadySettledError):
                say()
        with pytest.raises(ServerRequestNotFoundError):
            runtime.ticket(old.id)
        await turns()
        assert fake.answers == []
        assert not new.is_settled


async def test_a_yes_is_for_what_the_server_asked_whatever_was_done_to_it_since() -> None:
    """Neither a reader nor a hook can widen what another one then accepts."""
    fake = FakeAppServer()
    async with running(fake, on_server_request=lambda _: None) as runtime:
        fake.play(Ask("item/permissions/requestApproval", {**THREAD, "permissions": {"network": {"enabled": True}}}))
        await until(lambda: runtime.tickets)
        (ticket,) = runtime.tickets
        ticket.params["permissions"]["fileSystem"] = {"write": ["/"]}
        ticket.accept()
        await fake.until(lambda: bool(fake.answers))
        assert fake.answers[0].result == {"permissions": {"network": {"enabled": True}}, "scope": "turn"}


async def test_who_reads_one_thread_cannot_be_handed_the_questions_of_another() -> None:
    """They are declined, for there is nobody else."""
    fake = FakeAppServer()
    async with running(fake) as runtime:
        mine = runtime.server_requests(thread="mine")
        reading = asyncio.ensure_future(anext(mine))
        await asyncio.sleep(0)
        fake.play(Ask("item/fileChange/requestApproval", {**THREAD, "threadId": "theirs"}))
        await fake.until(lambda: len(fake.answers) == 1)
        assert not reading.done()
        fake.play(Ask("item/fileChange/requestApproval", {**THREAD, "threadId": "mine"}))
        (await reading).decline()
        await mine.aclose()  # type: ignore[attr-defined]
        await fake.until(lambda: len(fake.answers) == 2)
        assert refused(fake) == ["item/fileChange/requestApproval"] * 2


# -- S5: a yes is a yes to this, now -----------------------------------------------------------------------------------


async def settled_by(fake: FakeAppServer, count: int) -> dict[str, Any]:
    """What each method was told."""
    await fake.until(lambda: len(fake.answers) == count)
    return {str(answer.method): answer.result for answer in fake.answers}


async def test_a_plain_yes_widens_nothing_that_comes_later() -> None:
    """Whatever the request proposes: no session, no rule, no host, no persistence."""
    failed: list[str] = []

    async def yes(ticket: Ticket) -> None:
        try:
            ticket.accept()
        except InvalidAnswerError:
            failed.append(ticket.method)
            raise

    fake = FakeAppServer()
    async with running(fake, on_server_request=yes):
        ask_all(fake)
        said = await settled_by(fake, len(GREED))
    assert {method: said[method] for method in YES} == YES
    assert set(failed) == set(GREED) - set(YES)
    refused_ones = [answer for answer in fake.answers if str(answer.method) in failed]
    assert all(answer.error is not None or answer.result in NO[str(answer.method)] for answer in refused_ones)


async def test_a_profile_that_accepts_widens_nothing_and_gives_no_content() -> None:
    """`approvals="accept"` is a plain yes to what asks for leave, and a no to what wants something else."""
    fake = FakeAppServer()
    async with in_a_session(fake, profile=RunProfile(approvals="accept")) as session:
        place = {"threadId": session.thread_id, "conversationId": session.thread_id}
        fake.play(*(Ask(method, {**params, **place}) for method, params in GREED.items()))
        said = await settled_by(fake, len(GREED))
    for method in GREED:
        assert said[method] in ([YES[method], *NO[method]] if method in YES else [None, *NO[method]])
    assert said["item/commandExecution/requestApproval"] == {"decision": "accept"}
    assert "ession" not in json.dumps(said)


async def test_a_hook_that_allows_widens_nothing() -> None:
    """Nor does it answer what wants content."""
    fake = FakeAppServer()
    async with guarded(fake, gate("yes", Allow(), "pre_tool_use", "user_input", "server_request")):
        ask_all(fake)
        said = await settled_by(fake, len(GREED))
    for method in GREED:
        assert said[method] in ([YES[method], *NO[method]] if method in YES else [None, *NO[method]])
    assert "ession" not in json.dumps(said)


# -- S30: each in its own words, to its own handler --------------------------------------------------------------------


async def test_tokens_go_to_nobody_but_their_own_handler() -> None:
    """A handler for approvals cannot be talked into them, also where the request names a thread."""
    asked: list[str] = []

    async def yes(ticket: Ticket) -> None:
        asked.append(ticket.method)
        ticket.accept()

    async def refresh(ticket: Ticket) -> None:
        ticket.give_tokens(access_token="a.b.c", account_id="me")

    approvals = "item/fileChange/requestApproval"
    fake = FakeAppServer()
    async with running(fake, on_server_request={approvals: yes}):
        fake.play(Ask("account/chatgptAuthTokens/refresh", {**THREAD, "reason": "unauthorized"}))
        await fake.until(lambda: len(fake.answers) == 1)
        assert refused(fake) == ["account/chatgptAuthTokens/refresh"]
    fake = FakeAppServer()
    async with running(fake, on_server_request={approvals: yes, "account/chatgptAuthTokens/refresh": refresh}):
        fake.play(Ask("account/chatgptAuthTokens/refresh", {"reason": "unauthorized"}))
        await fake.until(lambda: len(fake.answers) == 1)
        assert fake.answers[0].result == {"accessToken": "a.b.c", "chatgptAccountId": "me"}
    assert asked == []


@pytest.mark.parametrize("method", sorted(set(GREED) - set(YES)))
async def test_what_wants_content_takes_no_consent(method: str) -> None:
    """A yes would be an empty form, a token of nothing, a result that never was."""
    fake = FakeAppServer()
    async with running(fake, on_server_request=lambda _: None) as runtime:
        ticket = await open_ticket(fake, runtime, method)
        for say in (ticket.accept, lambda: ticket.accept(for_session=True), lambda: ticket.reply(True)):
            with pytest.raises(CodexError):
                say()
        assert not ticket.is_settled
        ticket.decline()
        await fake.until(lambda: bool(fake.answers))
        assert refused(fake) == [method]


def test_nothing_here_opens_an_address_or_starts_a_program_unseen() -> None:
    """Addresses come from servers of strangers. Whatever starts a process stands in this list, with what it starts."""
    opens, starts = set(), set()
    for path in source_files():
        for node in ast.walk(ast.parse((SOURCE / path).read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import | ast.ImportFrom) else []
            opens |= {str(path) for name in names if name.split(".")[0] in {"webbrowser", "urllib", "http", "requests"}}
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in {
                "urllib",
                "http",
                "webbrowser",
            }:
                opens.add(str(path))
            if isinstance(node, ast.Attribute) and (
                node.attr in STARTS or (node.attr == "run" and getattr(node.value, "id", "") == "subprocess")
            ):
                starts.add(path.as_posix())
    assert opens == {"testing/_http.py"}  # the scripted model, which listens on this machine
    assert starts == {
        "_io/guardian.py",  # the app server
        "_io/spawn.py",  # the guardian
        "cli/_census.py",  # `ps`, where there is no /proc
        "cli/_doctor.py",  # `codex --version` and the like
        "cli/_stage.py",  # `git init` in the folder of the demo
        "hooks/_shell.py",  # a hook that is a program
        "testing/_fake_puppet.py",
    }
