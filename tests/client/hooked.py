"""What the tests of hooks share: a client with hooks on a fake app server, hooks with one answer, and what came of them."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from codex_runtime import Client, RuntimeConfig
from codex_runtime.hooks import (
    Hook,
    HookMatcher,
    Phase,
)
from codex_runtime.testing import (
    Command,
    FakeAppServer,
    ManualClock,
    Say,
    Script,
)
from tests.client.desk import AT_ONCE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


CONFIG = ("on_server_request", "server_request_deadline", "state", "on_decision")
COMMAND = "item/commandExecution/requestApproval"


@asynccontextmanager
async def guarded(
    fake: FakeAppServer, *hooks: Any, clock: ManualClock | None = None, **options: Any
) -> AsyncIterator[Client]:
    """Open a client with hooks on the fake, and see to it that nothing is left open."""
    config = {key: options.pop(key) for key in CONFIG if key in options}
    settings = RuntimeConfig(launcher=fake, clock=clock, restart=AT_ONCE, **config)
    async with fake, asyncio.timeout(30), Client(settings, hooks=hooks, **options) as client:
        yield client
        assert client.runtime.tickets == ()


def gate(name: str, answer: Any, *phases: Phase, **when: Any) -> Hook:
    """A hook with one answer, by default before tools."""
    return Hook(name, lambda _: answer, when=HookMatcher(phases=phases or ("pre_tool_use",), **when))


def script(*commands: str) -> Script:
    """A turn that wants to run commands."""
    return Script(*(Command(command, approval=True) for command in commands), Say("done"))


def decisions(fake: FakeAppServer) -> list[object]:
    """What the server was told, in order."""
    return [answer.decision for answer in fake.answers]
