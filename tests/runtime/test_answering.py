"""Each way to answer, on a ticket of each kind: what fits is written, what does not is refused and leaves it open."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import pytest

from codex_runtime._sansio import server_requests as rules
from codex_runtime.errors import AlreadySettledError, InvalidAnswerError
from codex_runtime.runtime import Ticket
from codex_runtime.runtime._answering import Answering
from codex_runtime.testing import FakeAppServer, ManualClock
from codex_runtime.testing._fake_script import Ask
from tests.runtime.rig import running, until

if TYPE_CHECKING:
    from collections.abc import Callable

THREAD = {"threadId": "t", "turnId": "u", "itemId": "i"}
TOOL = {"mode": "form", "_meta": {"codex_approval_kind": "mcp_tool_call", "persist": "always"}}
FORM = {"mode": "form", "requestedSchema": {"properties": {"name": {}}, "required": ["name"]}}
HOST = {"action": "deny", "host": "a.b"}

# Method, what is asked, how it is answered, and what is written.
FITTING: list[tuple[str, dict[str, Any], Callable[[Ticket], None], Any]] = [
    (
        rules.COMMAND,
        {"command": "touch x"},
        lambda t: t.amend_commands(["touch"]),
        {"decision": {"acceptWithExecpolicyAmendment": {"execpolicy_amendment": ["touch"]}}},
    ),
    (
        rules.COMMAND,
        {"command": "curl x"},
        lambda t: t.amend_network("a.b", "deny"),
        {"decision": {"applyNetworkPolicyAmendment": {"network_policy_amendment": HOST}}},
    ),
    (rules.FILE_CHANGE, {}, lambda t: t.accept(for_session=True), {"decision": "acceptForSession"}),
    (
        rules.PERMISSIONS,
        {"permissions": {"network": {"enabled": True}}},
        lambda t: t.grant(write=["/w"], for_session=True),
        {"permissions": {"fileSystem": {"write": ["/w"]}}, "scope": "session"},
    ),
    (
        rules.USER_INPUT,
        {"questions": [{"id": "q"}]},
        lambda t: t.give_answers({"q": "Blue"}),
        {"answers": {"q": {"answers": ["Blue"]}}},
    ),
    (
        rules.TOOL_CALL,
        {"tool": "x"},
        lambda t: t.give_result("done", success=False),
        {"success": False, "contentItems": [{"type": "inputText", "text": "done"}]},
    ),
    (rules.ELICITATION, FORM, lambda t: t.give_form({"name": "Ann"}), {"action": "accept", "content": {"name": "Ann"}}),
    (
        rules.ELICITATION,
        TOOL,
        lambda t: t.amend_tool(),
        {"action": "accept", "content": {}, "_meta": {"persist": "always"}},
    ),
    (
        rules.TOKENS,
        {"reason": "unauthorized"},
        lambda t: t.give_tokens(access_token="a", account_id="b"),
        {"accessToken": "a", "chatgptAccountId": "b"},
    ),
    (rules.ATTESTATION, {}, lambda t: t.give_attestation("x"), {"token": "x"}),
    (rules.CURRENT_TIME, {}, lambda t: t.give_time(), None),
    (rules.CURRENT_TIME, {}, lambda t: t.give_time(12.9), {"currentTimeAt": 12}),
    (rules.OLD_COMMAND, {"command": ["ls"]}, lambda t: t.amend_tool(), {"decision": "approved_mcp_policy_amendment"}),
    (rules.OLD_PATCH, {}, lambda t: t.accept(), {"decision": "approved"}),
]


async def asked(fake: FakeAppServer, runtime: Any, method: str, params: dict[str, Any]) -> Ticket:
    """Have the server ask, and return the ticket, which somebody keeps."""
    fake.play(Ask(method, {**THREAD, **params}))
    await until(lambda: runtime.tickets)
    return runtime.tickets[0]


@pytest.mark.parametrize(("method", "params", "say", "result"), FITTING)
async def test_what_fits_is_written_once(
    method: str, params: dict[str, Any], say: Callable[[Ticket], None], result: Any
) -> None:
    """In the form of its method; the second time it is told that it is too late."""
    fake, clock = FakeAppServer(), ManualClock()
    async with running(fake, clock, on_server_request=lambda _: None) as runtime:
        ticket = await asked(fake, runtime, method, params)
        say(ticket)
        await fake.until(lambda: bool(fake.answers))
        assert fake.answers[0].result == (result or {"currentTimeAt": int(clock.wall())})
        with pytest.raises(AlreadySettledError):
            say(ticket)


@pytest.mark.parametrize("method", sorted(rules.KNOWN))
async def test_what_does_not_fit_leaves_it_open(method: str) -> None:
    """Every way of every other kind; the error names the right one, and that one still works."""
    mine, params, right, _ = next(row for row in FITTING if row[0] == method)
    fake = FakeAppServer()
    async with running(fake, on_server_request=lambda _: None) as runtime:
        ticket = await asked(fake, runtime, method, params)
        for other, _, say, _ in FITTING:
            if other == mine or other in (rules.FILE_CHANGE, rules.OLD_PATCH) or rules.OLD_COMMAND in (other, mine):
                continue
            with pytest.raises(InvalidAnswerError, match="use ") as caught:
                say(ticket)
            assert rules.right_answer(method) in str(caught.value)
            assert not ticket.is_settled
        right(ticket)
        await fake.until(lambda: bool(fake.answers))
        assert ticket.outcome in ("accepted", "answered", "declined")


async def test_a_form_is_not_accepted_empty() -> None:
    """Consent is not content: nobody says that they are nobody."""
    fake = FakeAppServer()
    async with running(fake, on_server_request=lambda _: None) as runtime:
        ticket = await asked(fake, runtime, rules.ELICITATION, FORM)
        with pytest.raises(InvalidAnswerError, match=r"name; use give_form\(\)"):
            ticket.accept()
        ticket.decline(by="alice@example.org")
        assert ticket.outcome == "declined"


def test_every_way_can_say_by_whom_and_why() -> None:
    """So that a record tells it, whichever it was; a reason is never sent."""
    ways = {name: way for name, way in vars(Answering).items() if not name.startswith("_") and callable(way)}
    assert len(ways) == 15
    for name, way in ways.items():
        parameters = inspect.signature(way).parameters
        assert parameters["by"].kind is inspect.Parameter.KEYWORD_ONLY, name
        assert parameters["reason"].default is None, name
