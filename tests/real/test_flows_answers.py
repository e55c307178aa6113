"""What the real server does with answers that hold more than a yes or a no: grants, amendments, content, silence."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import pytest

from codex_runtime import ApprovalRequested, TurnInterruptedError
from codex_runtime._sansio import server_requests as rules
from codex_runtime.errors import InvalidAnswerError
from codex_runtime.runtime import AuditLog, Decision, JsonlSink, Part, read_jsonl
from codex_runtime.testing import Call, Exec, Patch, Reply, mcp_stub
from tests.real.rig import Place, next_ticket

if TYPE_CHECKING:
    from collections.abc import Callable

    from codex_runtime import Ticket, TurnResult

ANN = "ann@example.org"
PATCH = "*** Begin Patch\n*** Add File: p.txt\n+line one\n+line two\n*** End Patch\n"
# Whoever is logged in is looked up at an address where nobody listens.
LOGGED_IN = 'chatgpt_base_url = "http://127.0.0.1:9"\n[model_providers.mock]\nrequires_openai_auth = true\n'
RIGHTS = {"network": {"enabled": True}, "file_system": {"read": ["/srv/read"], "write": ["/srv/write"]}}


def token(**claims: Any) -> str:
    """Make an access token that only looks like one."""
    parts = ({"alg": "none"}, {"email": ANN, "exp": 4102444800, "https://api.openai.com/auth": claims})
    return ".".join([*(base64.urlsafe_b64encode(json.dumps(p).encode()).rstrip(b"=").decode() for p in parts), "c2ln"])


async def answered(
    place: Place, replies: list[Reply | str], say: Callable[[Ticket], None], **options: Any
) -> tuple[TurnResult, Any, list[Decision]]:
    """Run a turn in which `say` answers whatever is asked. Returns the result, the model, and the record."""
    kept: list[Decision] = []
    home = {key: options.pop(key) for key in ("features", "mcp_servers", "model", "extra_toml") if key in options}
    config = {"on_decision": kept.append, **options.pop("config", {})}
    async with place.client(*replies, config=config, **home) as (client, model):
        options = {"approval_policy": "on-request", "sandbox": "workspace-write", **options}
        result = await client.run("do it", cwd=place.workspace, approvals=say, **options)
    return result, model, kept


@pytest.mark.parametrize(
    ("say", "granted", "scope"),
    [
        (lambda t: t.accept(), {"network": {"enabled": True}, "file_system": RIGHTS["file_system"]}, "once"),
        (
            lambda t: t.grant(network=True, write=["/srv/write"], for_session=True),
            {"network": {"enabled": True}, "file_system": {"write": ["/srv/write"]}},
            "session",
        ),
        (
            lambda t: t.grant(entries=t.params["permissions"]["fileSystem"]["entries"][:1], strict_auto_review=True),
            {"network": None, "file_system": {"read": ["/srv/read"]}},
            "once",
        ),
        (lambda t: t.decline(), {"network": None, "file_system": None}, None),
    ],
)
async def test_c1_rights_are_granted_in_part(place: Place, say: Any, granted: Any, scope: str | None) -> None:
    """Flow C1: the model is told what it got, and for how long; the question shows each right."""
    asked: list[Ticket] = []

    def handler(ticket: Ticket) -> None:
        asked.append(ticket)
        say(ticket)

    replies: list[Reply | str] = [
        Reply(Call("request_permissions", {"reason": "need it", "permissions": RIGHTS}, call_id="c")),
        "done",
    ]
    _, model, kept = await answered(place, replies, handler, features={"request_permissions_tool": True})
    assert asked[0].method == rules.PERMISSIONS
    assert asked[0].question.parts == (
        Part("network", "all of it"),
        Part("read", "/srv/read"),
        Part("write", "/srv/write"),
        Part("in", str(place.workspace)),
        Part("because", "need it"),
    )
    told = json.loads(model.requests[1].outputs()["c"])
    assert told["scope"] == ("session" if scope == "session" else "turn")
    rights = told["permissions"]
    assert {key: rights.get(key) for key in ("network", "file_system")} == granted
    assert [each.scope for each in kept] == [scope]


async def test_a6_an_amendment_by_its_own_name(place: Place) -> None:
    """Flow A6: the rule is written down, and the next command that begins like it is not asked for."""
    replies: list[Reply | str] = [Reply(Exec("touch a")), Reply(Exec("touch b")), "done"]
    result, _, kept = await answered(
        place, replies, lambda t: t.amend_commands(["touch"], by=ANN), approval_policy="untrusted"
    )
    assert [command.status for command in result.commands] == ["completed", "completed"]
    assert 'pattern=["touch"]' in (place.home / "rules" / "default.rules").read_text()
    assert [(each.outcome, each.scope, each.by) for each in kept] == [("accepted", "always", ANN)]


@pytest.mark.parametrize(("action", "status"), [("allow", "completed"), ("deny", "declined")])
async def test_an_amendment_of_the_network_allows_or_denies(place: Place, action: Any, status: str) -> None:
    """It is taken as an answer to any command; one that denies is a no."""
    replies: list[Reply | str] = [Reply(Exec("touch a")), "done"]
    result, _, kept = await answered(
        place, replies, lambda t: t.amend_network("example.org", action), approval_policy="untrusted"
    )
    assert [command.status for command in result.commands] == [status]
    assert [each.outcome for each in kept] == ["accepted" if action == "allow" else "declined"]


@pytest.mark.parametrize("how_long", ["session", "always"])
async def test_a_tool_of_a_server_may_be_allowed_for_longer(place: Place, how_long: str) -> None:
    """Flow C6: it is asked for once; for good only by the name of an amendment, which the server writes to its home."""
    call = Call("echo", {"text": "x"}, namespace="mcp__stub")
    asked: list[Ticket] = []

    def say(ticket: Ticket) -> None:
        asked.append(ticket)
        if how_long == "always":
            ticket.amend_tool()
        else:
            ticket.accept(for_session=True)

    replies: list[Reply | str] = [Reply(call), Reply(call), "done"]
    result, _, kept = await answered(place, replies, say, mcp_servers={"stub": mcp_stub()})
    assert [item.data["status"] for item in result.items if item.kind == "mcpToolCall"] == ["completed", "completed"]
    assert [each.scope for each in kept] == [how_long]
    assert ("approval_mode" in (place.home / "config.toml").read_text()) is (how_long == "always")
    assert Part("tool", "stub/echo") in asked[0].question.parts
    assert Part("arguments", '{"text":"x"}') in asked[0].question.parts


async def test_c6_a_form_is_filled_in(place: Place) -> None:
    """Flow C6: an empty yes is no answer to it."""

    def say(ticket: Ticket) -> None:
        if ticket.question.can_accept:
            ticket.accept()
        else:
            with pytest.raises(InvalidAnswerError, match="give_form"):
                ticket.accept()
            ticket.give_form({"name": "Ann", "sure": True})

    replies: list[Reply | str] = [Reply(Call("ask", {}, namespace="mcp__stub", call_id="c")), "done"]
    _, model, _ = await answered(place, replies, say, mcp_servers={"stub": mcp_stub()})
    assert '"name": "Ann", "sure": true' in model.requests[1].outputs()["c"]


async def test_c7_a_page_is_shown_with_its_address(place: Place) -> None:
    """Flow C7: a yes says that it was opened."""
    seen: list[str] = []

    def say(ticket: Ticket) -> None:
        seen.append(str(ticket.question))
        ticket.accept()

    replies: list[Reply | str] = [Reply(Call("ask_url", {}, namespace="mcp__stub", call_id="c")), "done"]
    _, model, _ = await answered(place, replies, say, mcp_servers={"stub": mcp_stub()})
    assert "url: https://example.invalid/login" in seen[1]
    assert '"action": "accept"' in model.requests[1].outputs()["c"]


async def test_c3_questions_are_answered_by_their_ids(place: Place) -> None:
    """Flow C3: text as one types it."""
    question = {"id": "colour", "header": "Colour", "question": "Which colour?"}
    question["options"] = [{"label": "Red", "description": "warm"}, {"label": "Blue", "description": "cold"}]  # type: ignore[assignment]
    replies: list[Reply | str] = [Reply(Call("request_user_input", {"questions": [question]}, call_id="c")), "done"]
    features = {"default_mode_request_user_input": True}
    _, model, kept = await answered(place, replies, lambda t: t.give_answers({"colour": "Blue"}), features=features)
    assert "Blue" in model.requests[1].outputs()["c"]
    assert [each.outcome for each in kept] == ["answered"]


@pytest.mark.parametrize("success", [True, False])
async def test_c4_a_tool_of_ours_gives_its_result(place: Place, success: object) -> None:
    """Flow C4: text and a picture, whether it went well or not."""
    tool = {"name": "lookup", "description": "Looks up.", "inputSchema": {"type": "object", "properties": {}}}
    pixel = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="

    def say(ticket: Ticket) -> None:
        assert ticket.question.parts == (Part("tool", "lookup"), Part("arguments", '{"id":"ABC"}'))
        ticket.give_result("ABC is open", {"type": "inputImage", "imageUrl": pixel}, success=bool(success))

    async with place.client(Reply(Call("lookup", {"id": "ABC"}, call_id="c")), "done") as (client, model):
        start = {"cwd": str(place.workspace), "dynamicTools": [tool]}
        with client.runtime.subscribe(methods=["turn/completed"]) as ends:
            runtime = client.runtime
            thread = (await runtime.request("thread/start", start))["thread"]["id"]
            runtime.take(thread, lambda ticket: say(ticket) is None)
            await runtime.request("turn/start", {"threadId": thread, "input": [{"type": "text", "text": "go"}]})
            await anext(ends)
        assert "ABC is open" in str(model.requests[1].outputs())
        assert runtime.metrics.settled == {"answered" if success else "declined": 1}


@pytest.mark.parametrize("answers", [True, False])
async def test_the_time_is_told(place: Place, answers: object) -> None:
    """To a server whose clock is the client; without an answer, the turn fails."""
    told = '[features.current_time_reminder]\nenabled = true\nclock_source = "external"\n'
    asked: list[str] = []

    def say(ticket: Ticket) -> None:
        asked.append(ticket.method)
        if answers:
            ticket.give_time(1_000_000_000)
        else:
            ticket.decline()

    config = {"on_server_request": {rules.CURRENT_TIME: say}}
    async with place.client(*(["done"] if answers else []), config=config, extra_toml=told) as (client, model):
        async with await client.start_session(cwd=place.workspace) as session, session.stream("do it") as turn:
            async for _ in turn:
                pass
            assert (turn.result.status, turn.result.text) == (("completed", "done") if answers else ("failed", ""))
        assert set(asked) == {rules.CURRENT_TIME}
        assert ["2001-09-09" in json.dumps(request.json) for request in model.requests] == ([True] if answers else [])


@pytest.mark.parametrize("answers", [True, False])
async def test_tokens_are_given_anew(place: Place, answers: object) -> None:
    """When the model refuses those of the login; without new ones, the turn fails with what the model said."""
    old, new = (token(chatgpt_account_id="acc", chatgpt_user_id="ann", number=number) for number in (1, 2))
    asked: list[Ticket] = []

    def say(ticket: Ticket) -> None:
        asked.append(ticket)
        if answers:
            ticket.give_tokens(access_token=new, account_id="acc", plan_type="pro")

    config = {"on_server_request": {rules.TOKENS: say}, "server_request_deadline": 0.2}
    refused = Reply.http_error(401, {"error": {"message": "expired"}})
    replies = [refused, "done"] if answers else [refused]
    async with place.client(*replies, config=config, extra_toml=LOGGED_IN) as (client, model):
        login = {"type": "chatgptAuthTokens", "accessToken": old, "chatgptAccountId": "acc"}
        await client.runtime.request("account/login/start", login)
        async with await client.start_session(cwd=place.workspace) as session, session.stream("do it") as turn:
            async for _ in turn:
                pass
            assert turn.result.status == ("completed" if answers else "failed"), turn.result.error
        assert asked[0].params == {"reason": "unauthorized", "previousAccountId": "acc"}
        assert asked[0].outcome == ("answered" if answers else "refused")
        sent = [request.headers["authorization"] for request in model.requests]
        assert sent == [f"Bearer {old}", f"Bearer {new}"][: len(sent)]
        assert len(sent) == (2 if answers else 1)


@pytest.mark.parametrize("answers", [True, False])
async def test_an_attestation_is_given_with_each_request(place: Place, answers: object) -> None:
    """To a server that was told that we can; it goes to the model in a header."""
    asked: list[str] = []

    def say(ticket: Ticket) -> None:
        asked.append(ticket.method)
        if answers:
            ticket.give_attestation("attested")
        else:
            ticket.decline()

    config = {"on_server_request": {rules.ATTESTATION: say}, "request_attestation": True}
    async with place.client("done", config=config, extra_toml=LOGGED_IN) as (client, model):
        login = {"type": "chatgptAuthTokens", "accessToken": token(), "chatgptAccountId": "acc"}
        await client.runtime.request("account/login/start", login)
        assert (await client.run("do it", cwd=place.workspace)).text == "done"
        assert asked == [rules.ATTESTATION]
        assert ("attested" in model.requests[0].headers.get("x-oai-attestation", "")) is bool(answers)


@pytest.mark.parametrize(
    ("action", "status", "outcome"),
    [("decline", "declined", "declined"), ("cancel", "declined", "cancelled"), ("refuse", "failed", "refused")],
)
async def test_silence_has_the_end_that_was_chosen(place: Place, action: Any, status: str, outcome: str) -> None:
    """The command is declined, the turn cancelled, or the command failed; it never runs."""
    config = {"server_request_deadline": 0.1, "server_request_deadline_actions": {rules.COMMAND: action}}
    replies = [Reply(Exec("touch a"))] if action == "cancel" else [Reply(Exec("touch a")), "done"]
    async with (
        place.client(*replies, config=config) as (client, _),
        await client.start_session(cwd=place.workspace, sandbox="workspace-write") as session,
        session.stream("do it", approvals="stream", approval_policy="untrusted") as turn,
    ):
        ticket = await next_ticket(turn)
        if action == "cancel":
            with pytest.raises(TurnInterruptedError):
                await turn.finish()
        else:
            await turn.finish()
        assert [command.status for command in turn.result.commands] == [status]
        assert (ticket.outcome, ticket.reason) == (outcome, "nobody answered in time")
    assert not (place.workspace / "a").exists()


async def test_a_patch_is_shown_with_its_diff_and_goes_on_record(place: Place) -> None:
    """The request names an item; the question has its files. The record leads to the request in the log, by its number."""
    audit, log = AuditLog(place.workspace.parent / "audit"), JsonlSink(place.workspace.parent / "log")
    config = {"on_decision": audit, "sinks": (log,)}
    async with (
        place.client(Reply(Patch(PATCH)), "done", model="gpt-5.5", config=config) as (client, _),
        await client.start_session(cwd=place.workspace, sandbox="workspace-write") as session,
        session.stream("do it", approvals="stream", approval_policy="untrusted") as turn,
    ):
        async for event in turn:
            if isinstance(event, ApprovalRequested):
                question = event.ticket.question
                event.ticket.accept(by=ANN, reason="it is small")
    audit.close()
    assert question.parts == (
        Part("change", f"add {place.workspace / 'p.txt'}"),
        Part("diff", "line one\nline two\n"),
    )
    (line,) = (json.loads(line) for line in (place.workspace.parent / "audit").read_text().splitlines())
    assert (line["decider"], line["by"], line["reason"], line["outcome"]) == ("reader", ANN, "it is small", "accepted")
    assert line["digest"] == question.digest
    messages = {each.seq: each for each in read_jsonl(place.workspace.parent / "log") if hasattr(each, "seq")}
    assert messages[line["seq"]].method == rules.FILE_CHANGE
    assert [each.message for each in messages.values() if each.kind == "answer"] == [
        {"id": messages[line["seq"]].rpc_id, "result": {"decision": "accept"}}
    ]
