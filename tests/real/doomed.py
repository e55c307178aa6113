"""A program that is about to be killed: it has a client, a turn, and everything that must not outlive them.

Usage: doomed.py BINARY HOME WORKSPACE BASE_URL. It says `ready` when a tool, its detached child and an MCP server run.
"""

from __future__ import annotations

import asyncio
import sys

from codex_runtime import Client, RuntimeConfig
from codex_runtime.testing import mcp_stub, write_codex_home


async def main(binary: str, home: str, workspace: str, base_url: str) -> None:
    """Run a turn without end."""
    write_codex_home(home, base_url, mcp_servers={"stub": mcp_stub()})
    async with Client(RuntimeConfig(binary=binary, codex_home=home)) as client:
        session = await client.start_session(cwd=workspace, sandbox="danger-full-access", allow_full_access=True)
        async with session.stream("go") as turn:
            print("running", client.runtime.pid, flush=True)  # noqa: T201
            await turn.finish()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
