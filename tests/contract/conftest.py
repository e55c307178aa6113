"""Three app servers that must behave alike: the fake in memory, the fake as a process, and the real one."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from tests.contract.servers import FakeServer, RealServer

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from tests.contract.servers import Server


@pytest.fixture(params=["fake", "process", "real"])
async def server(
    request: pytest.FixtureRequest, codex_binary: Path, codex_home: Path, workspace: Path
) -> AsyncGenerator[Server, None]:
    """One of the three, with a client on it."""
    kind = request.param
    made = RealServer(codex_binary, codex_home, workspace) if kind == "real" else FakeServer(process=kind == "process")
    async with asynccontextmanager(made.open)() as opened:
        yield opened
