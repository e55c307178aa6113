"""What the tests against the real `codex app-server` share: a home, a scripted model, and a client between the two."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from codex_runtime import ApprovalRequested, Client, RestartPolicy, RuntimeConfig, Ticket
from codex_runtime.testing import MockModel, write_codex_home

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from codex_runtime import RunProfile, Turn
    from codex_runtime.testing import Reply

SOON = RestartPolicy(backoff=0.01, jitter=0.0, budget=1000)
"""Start the next app server at once: the pause of real life is the clock's business, not the server's."""


@dataclass(frozen=True)
class Place:
    """Where the real server lives and works."""

    binary: Path
    home: Path
    workspace: Path

    @asynccontextmanager
    async def client(
        self,
        *replies: Reply | str,
        profile: RunProfile | None = None,
        config: dict[str, Any] | None = None,
        **home: Any,
    ) -> AsyncIterator[tuple[Client, MockModel]]:
        """Open a client on a real server whose model says `replies`, one for each request."""
        async with MockModel(*replies) as model:
            write_codex_home(self.home, model.base_url, **home)
            settings = RuntimeConfig(
                **{"binary": self.binary, "codex_home": self.home, "restart": SOON, **(config or {})}
            )
            async with Client(settings, profile=profile) as client:
                yield client, model
            assert model.unscripted == ()


async def next_ticket(turn: Turn) -> Ticket:
    """Read a turn on until the server asks for something."""
    async for event in turn:
        if isinstance(event, ApprovalRequested):
            return event.ticket
    raise AssertionError("the turn ended without a question")
