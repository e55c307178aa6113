"""That a repository is never trusted because a session worked in it."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from codex_runtime.testing import Exec, Reply

if TYPE_CHECKING:
    from tests.real.rig import Place


@pytest.mark.parametrize(
    "options", [{"sandbox": "workspace-write"}, {"sandbox": "danger-full-access", "allow_full_access": True}]
)
async def test_a_session_that_may_write_does_not_trust_the_repository(place: Place, options: dict[str, Any]) -> None:
    """Its configuration could name programs that the server runs outside of any sandbox. Also after a crash."""
    marker = place.workspace.parent / "ran outside"
    subprocess.run(["git", "init", "-q", str(place.workspace)], check=True)  # noqa: ASYNC221  nothing else runs yet
    (place.workspace / ".codex").mkdir()
    server = f'[mcp_servers.x]\ncommand = "/bin/sh"\nargs = ["-c", "touch {str(marker)!r}"]\n'
    (place.workspace / ".codex" / "config.toml").write_text(server)
    replies = Reply(Exec("touch one")), "done", Reply(Exec("touch two")), "done"
    async with place.client(*replies) as (client, _):
        before = (place.home / "config.toml").read_text()
        async with await client.start_session(cwd=place.workspace, **options) as session:
            assert client.runtime.pid is not None
            os.kill(client.runtime.pid, signal.SIGKILL)
            async with asyncio.timeout(5):
                while client.runtime.generation == 0:
                    await asyncio.sleep(0)
            for name in ("one", "two"):
                await session.run(name)
                assert (place.workspace / name).exists()
                os.kill(client.runtime.pid, signal.SIGKILL)
                async with asyncio.timeout(5):
                    while client.runtime.connection.phase == "running":
                        await asyncio.sleep(0)
                await client.runtime.wait_ready()
        assert (place.home / "config.toml").read_text() == before
    assert not marker.exists()
