"""The public API as users type it. Checked by mypy --strict, never run."""

from __future__ import annotations

from typing import assert_never, assert_type

import codex_runtime
from codex_runtime import (
    ApprovalRequested,
    Client,
    CommandCompleted,
    CommandStarted,
    File,
    FileChangeCompleted,
    Image,
    LocalImage,
    RestartPolicy,
    RunProfile,
    Runtime,
    RuntimeConfig,
    Session,
    Skill,
    TextDelta,
    Ticket,
    Turn,
    TurnCompleted,
    TurnError,
    TurnResult,
    sync,
)
from codex_runtime.client import Event, Prompt


async def the_shortest_way() -> str:
    """One call."""
    result = await codex_runtime.quick_run("Summarise", cwd=".", sandbox="workspace-write", deadline=60.0)
    assert_type(result, TurnResult)
    return result.text


async def wrong_options() -> None:
    """What the type checker finds before the program runs."""
    await codex_runtime.quick_run("x", sandbox="everything")  # type: ignore[arg-type]
    await codex_runtime.quick_run("x", mood="good")  # type: ignore[call-arg]
    await codex_runtime.quick_run("x", approvals="maybe")  # type: ignore[arg-type]
    async with Client() as client, await client.start_session() as session:
        await session.run("x", ephemeral=True)  # type: ignore[call-arg]


async def many_turns() -> None:
    """Sessions, and all their options."""
    config = RuntimeConfig(restart=RestartPolicy(budget=3), env={"A": "b", "C": None})
    profile = RunProfile(
        model="m", approvals="stream", writable_roots=("/srv",), sandbox="workspace-write", allow_full_access=True
    )
    async with Client(config, profile=profile, minimum_version=None) as client:
        assert_type(client, Client)
        async with await client.start_session(cwd=".", model=None, settings={"a.b": [1, "x", None]}) as session:
            assert_type(session, Session)
            async with session.stream(prompt(), approvals=decide, effort="high") as turn:
                assert_type(turn, Turn)
                async for event in turn:
                    assert_type(event, Event)
                    show(event)
                assert_type(await turn.finish(), TurnResult)
                assert_type(await turn.interrupt(), TurnResult)
                await turn.steer("more")
            assert_type(session.turn, Turn | None)
        resumed = await client.resume_session("id", profile=profile)
        await resumed.aclose(archive=True)
        models = await client.app_server.model_list()
        assert_type(models.data[0].model, str)


def prompt() -> Prompt:
    """Text and every kind of attachment."""
    return ["Look at", File("a.py"), Image("https://example.com/i.png"), LocalImage("i.png"), Skill("s", "SKILL.md")]


async def decide(ticket: Ticket) -> None:
    """A handler of approvals."""
    if ticket.is_approval:
        ticket.accept(for_session=True)
    else:
        ticket.reply({"answers": {}})
    assert_type(await ticket.wait(), codex_runtime.runtime.Outcome)


def show(event: Event) -> None:
    """The first field of an event is the one that is wanted most."""
    match event:
        case TextDelta(text):
            assert_type(text, str)
        case CommandStarted(command):
            assert_type(command, str)
        case CommandCompleted(exit_code=code):
            assert_type(code, int | None)
        case FileChangeCompleted(changes=changes):
            assert_type(changes[0].path, str)
        case ApprovalRequested(ticket):
            ticket.decline("no")
        case TurnCompleted(result):
            assert_type(result, TurnResult)
        case _:
            pass


async def failures() -> None:
    """What went wrong is in the result."""
    try:
        await the_shortest_way()
    except TurnError as error:
        assert_type(error.result, TurnResult)
        match error.result.status:
            case "completed" | "failed" | "interrupted" | "lost" | "timed_out" | "running":
                pass
            case other:
                assert_never(other)


async def every_knob() -> None:
    """The runtime below."""
    async with Runtime() as runtime:
        assert_type(runtime.generation, int)
        await runtime.request("model/list", {})
        with runtime.subscribe(thread="t", overflow="block") as subscription:
            async for item in subscription:
                repr(item)


def without_a_loop() -> None:
    """The same names for ordinary threads."""
    with sync.Client() as client, client.start_session(cwd=".") as session:
        assert_type(client, sync.Client)
        with session.stream("go", approvals=lambda ticket: ticket.accept()) as turn:
            for event in turn:
                match event:
                    case ApprovalRequested(ticket):
                        assert_type(ticket, sync.Ticket)
                        ticket.decline()
                    case TextDelta(text):
                        assert_type(text, str)
                    case _:
                        pass
            assert_type(turn.finish(), TurnResult)
        assert_type(session.run("go", approvals=answer), TurnResult)
    sync.quick_run("go", sandbox="read-only")
    sync.quick_run("go", sandbox="none")  # type: ignore[arg-type]


def answer(ticket: sync.Ticket) -> None:
    """A handler of approvals, there."""
    ticket.accept()
