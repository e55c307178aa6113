"""Hooks in the life of sessions, runs and turns: where they stand, what they settle, and what they never touch."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from codex_runtime import ApprovalRequested, ConfigError, RunProfile
from codex_runtime._sansio.server_requests import NOBODY
from codex_runtime.client import CommandCompleted
from codex_runtime.hooks import (
    Allow,
    Ask,
    Deny,
    Hook,
    HookContext,
    HookMatcher,
    Policy,
    Rule,
)
from codex_runtime.runtime import Decision
from codex_runtime.testing import (
    Ask as AskThem,
)
from codex_runtime.testing import (
    AskUser,
    CallTool,
    Command,
    Elicit,
    FakeAppServer,
    FileChange,
    Gate,
    Hold,
    ManualClock,
    Question,
    RequestPermissions,
    Say,
    Script,
)
from tests.client.desk import CancelledAt, until
from tests.client.hooked import COMMAND, decisions, gate, guarded, script

if TYPE_CHECKING:
    from pathlib import Path

    from codex_runtime import Ticket


# -- before tools ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hooks", "approvals", "expected"),
    [
        ([gate("a", Allow())], "decline", "accept"),
        ([gate("a", Deny("no"))], "accept", "decline"),
        ([gate("a", Ask())], "accept", "accept"),
        ([gate("a", Ask())], "decline", "decline"),
        ([gate("a", None)], "accept", "accept"),
        ([gate("a", None)], "decline", "decline"),
        ([gate("a", Allow()), gate("b", Deny("no"))], "accept", "decline"),
        ([gate("a", Allow()), gate("b", Ask())], "decline", "decline"),
        ([gate("a", True)], "accept", "decline"),
    ],
)
async def test_what_hooks_say_of_a_command_is_what_the_server_hears(
    hooks: list[Any], approvals: Any, expected: str
) -> None:
    """Allow and deny settle it; ask and no opinion leave it to `approvals`; nonsense is a no."""
    fake = FakeAppServer(script("ls"))
    async with guarded(fake) as client, await client.start_session(hooks=tuple(hooks), approvals=approvals) as session:
        await session.run("go")
    assert decisions(fake) == [expected]


@pytest.mark.parametrize("approvals", ["decline", "stream"])
async def test_what_a_hook_leaves_open_goes_to_whoever_iterates(approvals: Any) -> None:
    """As it would without hooks: for a turn that nobody reads, and for a thread that no session follows."""
    said: list[tuple[str, str | None]] = []
    hook = Hook("asks", lambda _: Ask(), when=HookMatcher(phases=("pre_tool_use", "server_request")))
    fake = FakeAppServer(script("ls", "pwd"))
    async with guarded(fake, hook, on_decision=lambda d: said.append((d.outcome, d.decider))) as client:

        async def answer() -> None:
            async for ticket in client.runtime.server_requests():
                if ticket.method == COMMAND and "pwd" in str(ticket.params):
                    ticket.decline()
                elif ticket.method == COMMAND:
                    ticket.accept()
                else:
                    ticket.reply({"currentTimeAt": 1})

        answering = asyncio.create_task(answer())
        async with await client.start_session(approvals=approvals) as session:
            await session.run("go")
        fake.play(AskThem("currentTime/read", {"threadId": "elsewhere"}))
        await fake.until(lambda: len(fake.answers) == 3)
        answering.cancel()
        await asyncio.wait([answering])
    assert decisions(fake)[:2] == ["accept", "decline"]
    assert fake.answers[2].result == {"currentTimeAt": 1}
    assert said == [("accepted", "reader"), ("declined", "reader"), ("answered", "reader")]


async def test_with_a_tool_hook_the_server_is_made_to_ask() -> None:
    """In the thread and in each turn, also when only the turn has the hook; what was said explicitly stays."""
    fake = FakeAppServer(default="done")
    tool, other = gate("tool", None), gate("other", None, "pre_turn", "user_input")
    async with guarded(fake) as client:
        async with await client.start_session(hooks=(tool,)) as session:
            await session.run("go")
        async with await client.start_session(hooks=(other,)) as session:
            await session.run("go")
            await session.run("go", hooks=(tool,))
            await session.run("go")
        async with await client.start_session(hooks=(tool,), approval_policy="on-request") as session:
            await session.run("go")
        with pytest.raises(ConfigError, match="'never' would keep hooks from being asked"):
            await client.start_session(hooks=(tool,), approval_policy="never")
    policy = [request.params["approvalPolicy"] for request in fake.requests("thread/start")]
    assert policy == ["untrusted", "never", "on-request"]
    policy = [request.params["approvalPolicy"] for request in fake.requests("turn/start")]
    assert policy == ["untrusted", "never", "untrusted", "never", "on-request"]


async def test_hooks_of_a_client_are_in_every_session_and_cannot_be_replaced() -> None:
    """Neither by another profile nor by hooks of a session or a run."""
    fake = FakeAppServer(default=script("ls"))
    yes = gate("yes", Allow())
    async with guarded(fake, gate("no", Deny("no")), profile=RunProfile(approvals="accept")) as client:
        async with await client.start_session(profile=RunProfile(approvals="accept", hooks=(yes,))) as session:
            await session.run("go")
            await session.run("go", hooks=(yes,))
        await client.run("go", hooks=(yes,))
    assert decisions(fake) == ["decline"] * 3
    assert {request.params["approvalPolicy"] for request in fake.requests("turn/start")} == {"untrusted"}


async def test_what_a_hook_is_told_of_a_command() -> None:
    """The command as it was typed, its words, where it runs, and whose it is."""
    told: list[HookContext] = []
    fake = FakeAppServer(Script(Command("git status", approval=True, reason="May I?")))
    watch = Hook("watch", told.append, when=HookMatcher(phases=("pre_tool_use",)))
    async with guarded(fake, watch) as client, await client.start_session(model="m") as session:
        result = await session.run("look")
    (context,) = told
    assert context.tool is not None
    assert (context.tool.command, context.tool.argv, context.tool.is_escalated) == (
        "git status",
        ("git", "status"),
        True,
    )
    assert context.tool.raw_command != "git status"
    assert (context.thread_id, context.turn_id, context.item_id) == (
        session.thread_id,
        result.turn_id,
        result.commands[0].item_id,
    )
    assert (context.method, context.prompt, context.model, context.cwd) == (COMMAND, "look", "m", session.cwd)
    assert context.params["command"] == context.tool.raw_command


async def test_a_policy_answers_commands_and_file_changes(tmp_path: Path) -> None:
    """The paths of a file change are taken from its item; what no rule matches is asked about."""
    policy = Policy(
        allow=(Rule(command=("ls",)), Rule(path="**")),
        deny=(Rule(command=("rm",)), Rule(path="**/.git/**")),
    )
    steps = (
        *(Command(command, approval=True) for command in ("ls", "ls; rm x", "make", "ls | wc")),
        *(FileChange(str(tmp_path / path), "x", approval=True) for path in ("a", ".git/config", "../out")),
    )
    fake = FakeAppServer(Script(*steps))
    asked: list[str | None] = []

    async def handler(ticket: Ticket) -> None:
        asked.append(ticket.item_id)
        ticket.accept()

    async with guarded(fake, policy) as client:
        await client.run("go", cwd=tmp_path, approvals=handler)
    assert decisions(fake) == ["accept", "decline", "accept", "accept", "accept", "decline", "accept"]
    assert len(asked) == 3


async def test_rights_and_mcp_tools_can_be_judged() -> None:
    """An *allow* grants what was asked; a denial grants nothing."""
    fake = FakeAppServer(
        Script(RequestPermissions(network=True)),
        Script(RequestPermissions(write=["/srv"])),
        Script(AskThem("mcpServer/elicitation/request", mcp_question())),
    )
    yes = Policy(allow=(Rule(network="*"),), default="deny")
    async with guarded(fake, yes) as client, await client.start_session() as session:
        await session.run("one")
        await session.run("two")
        await session.run("three")
    granted, refused, tool = (answer.result for answer in fake.answers)
    assert granted["permissions"]["network"] == {"enabled": True}
    assert refused["permissions"] == {}
    assert tool["action"] == "decline"


def mcp_question() -> dict[str, Any]:
    """The question before an MCP call."""
    about = {"codex_approval_kind": "mcp_tool_call"}
    schema = {"type": "object", "properties": {}}
    question = {"mode": "form", "message": "Allow?", "_meta": about, "requestedSchema": schema, "serverName": "stub"}
    return {"threadId": "$thread", "turnId": "$turn", **question}


async def test_questions_and_calls_of_our_tools_can_only_be_denied() -> None:
    """Hooks have no content to give: with an *allow*, whoever has it is asked."""
    answered: list[str] = []

    async def handler(ticket: Ticket) -> None:
        answered.append(ticket.method)
        ticket.reply({"success": True, "contentItems": []} if "call" in ticket.method else {"answers": {}})

    steps = (AskUser(Question("colour", "Which?")), CallTool("lookup"))
    fake = FakeAppServer(Script(*steps), Script(*steps, Elicit("Who?")))
    yes, no = (gate("hook", answer, "pre_tool_use", "user_input") for answer in (Allow(), Deny("no")))
    async with guarded(fake) as client:
        await client.run("go", hooks=(yes,), approvals=handler)
        await client.run("go", hooks=(no,), approvals=handler)
    assert answered == ["item/tool/requestUserInput", "item/tool/call"]
    assert fake.answers[2].result == {"answers": {}}
    assert fake.answers[3].result["success"] is False
    assert fake.answers[4].result == {"action": "decline"}


async def test_a_reader_is_shown_only_what_hooks_leave_open() -> None:
    """It cannot be quicker than the guards, and trips over nothing that is settled."""
    gate_of_hook = asyncio.Event()

    async def slow(context: HookContext) -> Any:
        await gate_of_hook.wait()
        return Deny("no") if context.tool and context.tool.argv == ("rm",) else None

    fake = FakeAppServer(script("rm", "ls"))
    guard = Hook("slow", slow, when=HookMatcher(phases=("pre_tool_use",)))
    async with (
        guarded(fake, guard) as client,
        await client.start_session(approvals="stream") as session,
        session.stream("go") as turn,
    ):
        await until(lambda: client.runtime.tickets)
        assert not any(isinstance(event, ApprovalRequested) for event in await turn.take())
        gate_of_hook.set()
        commands = []
        async for event in turn:
            if isinstance(event, ApprovalRequested):
                commands.append(event.ticket.params["commandActions"][0]["command"])
                event.ticket.accept()
    assert commands == ["ls"]
    assert decisions(fake) == ["decline", "accept"]


async def test_events_go_on_while_a_hook_thinks() -> None:
    """Nothing that comes in waits for a hook."""
    gate_of_hook = asyncio.Event()

    async def slow(_: HookContext) -> Any:
        await gate_of_hook.wait()

    fake = FakeAppServer(script("ls"), "other")
    guard = Hook("slow", slow, when=HookMatcher(phases=("pre_tool_use",)))
    async with (
        guarded(fake) as client,
        await client.start_session(hooks=(guard,)) as session,
        session.stream("go") as turn,
    ):
        await until(lambda: client.runtime.tickets)
        assert (await client.run("in another thread")).text == "other"
        gate_of_hook.set()
        await turn.finish()


async def test_a_hook_that_is_late_is_a_no() -> None:
    """The turn goes on without the command, and the report tells why."""
    clock = ManualClock()
    started = asyncio.Event()

    async def hang(_: HookContext) -> None:
        started.set()
        await asyncio.Event().wait()

    fake = FakeAppServer(script("ls"), clock=clock)
    guard = Hook("slow", hang, when=HookMatcher(phases=("pre_tool_use",)))
    async with guarded(fake, guard, clock=clock) as client, await client.start_session(approvals="accept") as session:
        running = asyncio.get_running_loop().create_task(session.run("go"))
        await started.wait()
        await clock.advance(5.0)
        await running
        report = session.hook_report
        assert report is not None
        assert [(issue.hook, issue.kind) for issue in report.issues] == [("slow", "timeout")]
    assert decisions(fake) == ["decline"]


# -- nobody else's business --------------------------------------------------------------------------------------------


async def test_hooks_of_one_session_never_answer_for_another() -> None:
    """Two sessions at once: each request is judged by the hooks of its own turn, and by no others."""
    fake = FakeAppServer(default=script("ls", "ls"))
    async with guarded(fake) as client:
        yes = await client.start_session(hooks=(gate("yes", Allow()),))
        plain = await client.start_session(approval_policy="untrusted")
        no = await client.start_session(hooks=(gate("no", Deny("no")),), approvals="accept")
        await asyncio.gather(*(session.run("go") for session in (yes, plain, no)))
        by_thread = {asked.params["threadId"]: [] for asked in fake.asked if asked.params}
        for asked, answer in zip(fake.asked, fake.answers, strict=True):
            assert asked.method == COMMAND
            by_thread[_thread_of(fake, answer)].append(answer.decision)
    assert by_thread == {
        yes.thread_id: ["accept", "accept"],
        plain.thread_id: ["decline", "decline"],
        no.thread_id: ["decline", "decline"],
    }


def _thread_of(fake: FakeAppServer, answer: Any) -> str:
    """The thread that an answer is for."""
    return next(asked.params["threadId"] for asked in fake.asked if asked.rpc_id == answer.rpc_id)


async def test_hooks_of_a_run_end_with_it() -> None:
    """The next run of the same session is asked as if they had never been."""
    fake = FakeAppServer(default=script("ls"))
    async with guarded(fake) as client, await client.start_session(approval_policy="untrusted") as session:
        await session.run("go", hooks=(gate("yes", Allow()),))
        await session.run("go")
    assert decisions(fake) == ["accept", "decline"]


async def test_a_cancelled_run_leaves_nothing_wherever_it_is_cancelled() -> None:
    """At each single wait: no task, no ticket, and hooks that answer nothing afterwards."""
    fake = FakeAppServer(default=script("ls"))
    hooks = (gate("yes", Allow()), gate("watch", None, "pre_run", "pre_turn", "post_turn", "post_run", "post_tool_use"))
    async with guarded(fake) as client, await client.start_session(approval_policy="untrusted") as session:
        for at in range(1, 100):
            run = CancelledAt(session.run("go", hooks=hooks), at)
            try:
                await run
            except asyncio.CancelledError:
                task = asyncio.current_task()
                assert task is not None
                task.uncancel()
            assert session.turn is None
            assert client.runtime.tickets == ()
            if not run.was_cancelled:
                break
        assert at > 5
        seen = len(fake.answers)
        await session.run("go")
        assert decisions(fake)[seen:] == ["decline"]


async def test_a_turn_that_is_left_takes_its_open_requests_along() -> None:
    """A hook that still thinks when its turn is given up answers nothing."""
    fake = FakeAppServer(script("ls"))
    gate_of_hook = asyncio.Event()

    async def slow(_: HookContext) -> Any:
        await gate_of_hook.wait()
        return Allow()

    guard = Hook("slow", slow, when=HookMatcher(phases=("pre_tool_use",)))
    async with guarded(fake, guard) as client, await client.start_session() as session:
        async with session.stream("go"):
            await until(lambda: client.runtime.tickets)
        assert client.runtime.tickets == ()
        gate_of_hook.set()
        await asyncio.sleep(0)
    assert "accept" not in decisions(fake)


async def test_a_turn_that_was_given_up_takes_its_open_requests_along() -> None:
    """Also when the server never says that it is over: what nobody judged in time is a no."""
    clock = ManualClock()
    fake = FakeAppServer(script("ls"), clock=clock)
    fake.never_answer("turn/interrupt", times=None)

    judging = asyncio.Event()

    async def hang(_: HookContext) -> None:
        judging.set()
        await asyncio.Event().wait()

    guard = Hook("slow", hang, when=HookMatcher(phases=("pre_tool_use",)), timeout=50)
    async with guarded(fake, guard, clock=clock) as client, await client.start_session() as session:
        turn = session.stream("go")
        await turn.__aenter__()
        await judging.wait()  # paths are resolved in a thread before, which no clock of ours turns
        leaving = asyncio.get_running_loop().create_task(turn.__aexit__(None, None, None))
        while not leaving.done():
            await clock.advance(1.0)
        assert turn.may_run_on
    assert decisions(fake) == ["decline"]


async def test_any_request_of_the_server_can_be_denied() -> None:
    """Those that are no tool and no question to a user have a phase of their own."""
    told: list[str | None] = []
    fake = FakeAppServer()

    async def handler(ticket: Ticket) -> None:
        ticket.reply({"currentTimeAt": 1})

    def guard(context: HookContext) -> Any:
        told.append(context.method)
        return Deny("no") if context.params.get("threadId") == "x" else None

    hook = Hook("guard", guard, when=HookMatcher(phases=("server_request",)))
    async with guarded(fake, hook, on_server_request=handler):
        fake.play(AskThem("currentTime/read", {"threadId": "x"}), AskThem("currentTime/read", {"threadId": "y"}))
        await until(lambda: len(fake.answers) == 2)
    assert told == ["currentTime/read"] * 2
    assert [answer.error is None for answer in fake.answers] == [False, True]


@pytest.mark.parametrize("state", [True, False])
async def test_requests_outside_of_every_turn_are_judged_by_the_clients_hooks(state: object) -> None:
    """A sub-agent's thread is nobody's session: the client's hooks come before the runtime's own handler."""
    handled: list[str] = []

    async def handler(ticket: Ticket) -> None:
        handled.append(ticket.params["command"])
        ticket.accept()

    def guard(context: HookContext) -> Any:
        words = () if context.tool is None else context.tool.argv
        return {("ls",): Allow(), ("rm",): Deny("no")}.get(words or ())

    ask = [
        AskThem(COMMAND, {"threadId": "child", "turnId": "t", "itemId": word, "command": word, "cwd": "/"})
        for word in ("ls", "rm", "make")
    ]
    fake = FakeAppServer()
    hook = Hook("guard", guard, when=HookMatcher(phases=("pre_tool_use",)))
    kept: list[Decision] = []
    async with guarded(fake, hook, on_server_request=handler, state=state, on_decision=kept.append):
        fake.play(*ask)
        await until(lambda: len(fake.answers) == 3)
    assert decisions(fake) == ["accept", "decline", "accept"]
    assert handled == ["make"]
    assert sorted((each.decider, each.outcome) for each in kept) == [
        ("handler", "accepted"),
        ("hook", "accepted"),
        ("hook", "declined"),
    ]


async def test_what_hooks_leave_open_goes_to_whoever_iterates() -> None:
    """Also from within a turn; hooks only come before."""
    fake = FakeAppServer(script("ls", "rm"))

    def guard(context: HookContext) -> Any:
        return Deny("no") if context.tool and context.tool.argv == ("rm",) else None

    hook = Hook("guard", guard, when=HookMatcher(phases=("pre_tool_use",)))
    async with guarded(fake, hook) as client, await client.start_session() as session:
        asked = {"threadId": "child", "turnId": "t", "itemId": "i", "command": "make", "cwd": "/"}
        requests = client.runtime.server_requests()
        first = asyncio.ensure_future(anext(requests))
        await asyncio.sleep(0)
        fake.play(AskThem(COMMAND, asked))
        ticket = await first
        assert ticket.thread_id == "child"
        ticket.accept()
        running = asyncio.ensure_future(session.run("go"))
        ticket = await anext(requests)
        assert "ls" in ticket.params["command"]
        ticket.accept()
        await running
        await requests.aclose()  # type: ignore[attr-defined]
    assert decisions(fake) == ["accept", "accept", "decline"]


@pytest.mark.parametrize("approvals", ["profile", "runtime"])
async def test_what_hooks_leave_open_may_be_kept_by_a_plain_function(approvals: str) -> None:
    """It is asked when the hooks are through, and answers when it likes."""
    kept: list[Ticket] = []
    on_decision: list[Decision] = []
    fake = FakeAppServer(script("ls"))
    options: dict[str, Any] = {"on_server_request": kept.append} if approvals == "runtime" else {}
    hook = gate("open", None)
    async with guarded(fake, hook, on_decision=on_decision.append, **options) as client:
        how = kept.append if approvals == "profile" else "decline"
        async with await client.start_session(approvals=how) as session:
            running = asyncio.ensure_future(session.run("go"))
            await until(lambda: kept)
            await asyncio.sleep(0)
            assert not kept[0].is_settled
            kept[0].accept(by="alice@example.org", reason="looks fine")
            await running
    assert decisions(fake) == ["accept"]
    assert [(each.decider, each.by, each.reason) for each in on_decision] == [
        ("reader", "alice@example.org", "looks fine")
    ]


async def test_no_hook_is_called_twice_for_one_request() -> None:
    """One in several scopes, and one that leaves the request to the runtime's handler."""
    called: list[str] = []
    hook = Hook("count", lambda context: called.append(context.phase), when=HookMatcher(phases=("pre_tool_use",)))

    async def handler(ticket: Ticket) -> None:
        ticket.accept()

    fake = FakeAppServer(script("ls"))
    async with (
        guarded(fake, hook, on_server_request=handler) as client,
        await client.start_session(hooks=(hook,)) as session,
    ):
        await session.run("go", hooks=(hook,))
    assert called == ["pre_tool_use"]
    assert decisions(fake) == ["accept"]


async def test_after_a_lost_turn_its_hooks_still_judge_what_the_server_asks_again() -> None:
    """A server that goes on with a turn is not given more than the turn was."""
    fake = FakeAppServer(Script(Say("one")))
    no = gate("no", Deny("no"))
    async with guarded(fake) as client, await client.start_session(hooks=(no,), approvals="accept") as session:
        asked = {"threadId": session.thread_id, "turnId": "t", "itemId": "i", "command": "ls", "cwd": "/"}
        fake.play(AskThem(COMMAND, asked))
        await until(lambda: fake.answers)
    assert decisions(fake) == ["decline"]


# -- after tools -------------------------------------------------------------------------------------------------------


async def test_hooks_are_told_of_tools_that_ended() -> None:
    """Commands, file changes and tools, in order, before the turn is over for the hooks."""
    told: list[tuple[str, str | None, int | None, str | None]] = []
    fake = FakeAppServer(Script(Command("ls", exit_code=3), FileChange("/w/a", "x"), CallTool("lookup"), Say("done")))

    def watch(context: HookContext) -> None:
        tool = context.tool
        told.append((context.phase, tool and tool.name, tool and tool.exit_code, context.status))

    hook = Hook("watch", watch, when=HookMatcher(phases=("post_tool_use", "post_turn")))
    async with guarded(fake, hook) as client, await client.start_session() as session:
        result = await session.run("go")
    assert told == [
        ("post_tool_use", "shell", 3, "failed"),
        ("post_tool_use", "apply_patch", None, "completed"),
        ("post_tool_use", "lookup", None, "failed"),
        ("post_turn", None, None, "completed"),
    ]
    assert result.is_completed


async def test_a_slow_hook_after_tools_holds_nothing_up() -> None:
    """Events come in while it thinks; what finds no room is counted."""
    go = asyncio.Event()
    server = Gate()

    async def slow(_: HookContext) -> None:
        await go.wait()

    fake = FakeAppServer(Script(*(Command("ls") for _ in range(300)), Hold(server)))
    hook = Hook("slow", slow, when=HookMatcher(phases=("post_tool_use",)))
    async with guarded(fake, hook) as client, await client.start_session() as session:
        async with session.stream("go") as turn:
            ended = 0
            while ended < 300:
                ended += isinstance(await anext(turn), CommandCompleted)
            go.set()
            server.open()
            await turn.finish()
        report = turn.hook_report
        assert report is not None
        assert 0 < report.dropped <= 300 - 256


async def test_hooks_after_tools_have_a_bounded_end() -> None:
    """One that never comes back is stopped some seconds after the turn, and counted."""
    clock = ManualClock()
    started = asyncio.Event()

    async def hang(_: HookContext) -> None:
        started.set()
        await asyncio.Event().wait()

    fake = FakeAppServer(Script(Command("a"), Command("b")), clock=clock)
    hook = Hook("slow", hang, when=HookMatcher(phases=("post_tool_use",)), timeout=500)
    async with guarded(fake, hook, clock=clock) as client, await client.start_session() as session:
        running = asyncio.get_running_loop().create_task(session.run("go"))
        await started.wait()
        while not running.done():
            await clock.advance(1.0)
        report = session.hook_report
        assert report is not None
        assert report.dropped == 2


# -- the record --------------------------------------------------------------------------------------------------------


async def test_each_decision_is_on_record() -> None:
    """Who, what, when, why, and a digest of what was shown."""
    kept: list[Decision] = []
    clock = ManualClock()
    turns = (script("hook-yes", "hook-no", "other"), script("other"), script("late"))

    def guard(context: HookContext) -> Any:
        words = (context.tool and context.tool.argv) or ()
        return {("hook-yes",): Allow("fine"), ("hook-no",): Deny("bad")}.get(words)

    hook = Hook("guard", guard, when=HookMatcher(phases=("pre_tool_use",)))
    fake = FakeAppServer(*turns, clock=clock)
    async with guarded(fake, clock=clock, on_decision=kept.append, server_request_deadline=30.0) as client:
        async with await client.start_session(hooks=(hook,), approvals="accept") as session:
            result = await session.run("go")
        async with await client.start_session(approval_policy="untrusted") as session:
            await session.run("go")
        async with await client.start_session(approvals="stream") as session, session.stream("go") as turn:
            await until(lambda: client.runtime.tickets)
            await clock.advance(30.0)
            await turn.finish()
    told = [(each.decider, each.by, each.outcome) for each in kept]
    assert told == [
        ("hook", "guard", "accepted"),
        ("hook", "guard", "declined"),
        ("profile", None, "accepted"),
        ("nobody", None, "declined"),
        ("deadline", None, "declined"),
    ]
    first = kept[0]
    assert (first.what, first.turn_id, first.item_id) == (COMMAND, result.turn_id, result.commands[0].item_id)
    assert kept[1].reason == "bad"
    assert all(len(each.digest) == 64 and each.ticket_id for each in kept)
    assert len({each.digest for each in kept}) == 4, "what was asked twice has one digest"
    assert first.at > 0


async def test_a_hook_that_asks_where_nobody_is_leaves_it_to_nobody() -> None:
    """The record must not say that the hook declined, nor a handler."""
    kept: list[Decision] = []
    fake = FakeAppServer(script("ls"))
    async with guarded(fake, gate("asks", Ask()), on_decision=kept.append) as client:
        await client.run("go")
    assert decisions(fake) == ["decline"]
    assert [(each.decider, each.by, each.reason) for each in kept] == [("nobody", None, NOBODY)]


async def test_what_the_server_no_longer_wants_is_on_record_too() -> None:
    """A request that died with its server, and one that was open when everything was closed."""
    kept: list[Decision] = []
    fake = FakeAppServer(default=script("ls"))
    async with guarded(fake, on_decision=kept.append) as client:
        session = await client.start_session(approvals="stream")
        turn = session.stream("go")
        await turn.__aenter__()
        await until(lambda: client.runtime.tickets)
        fake.die()
        await until(lambda: kept)
        await turn.__aexit__(None, None, None)
        turn = session.stream("go")
        await turn.__aenter__()
        await until(lambda: client.runtime.tickets)
        await client.aclose()
        assert len(kept) == 2
        await turn.__aexit__(None, None, None)
    assert [(each.decider, each.outcome) for each in kept] == [("server", "withdrawn")] * 2


async def test_a_record_keeper_that_fails_stops_nothing() -> None:
    """What it raises is dropped."""

    def fail(_: Decision) -> None:
        raise OSError("disk full")

    fake = FakeAppServer(script("ls"))
    async with guarded(fake, on_decision=fail) as client:
        assert (await client.run("go", approvals="accept")).text == "done"
    assert decisions(fake) == ["accept"]
