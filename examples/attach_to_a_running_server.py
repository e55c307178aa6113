"""Work with an app server that already runs, and that goes on when we leave.

Start one with ``codex app-server --listen unix:///tmp/codex.sock``, then run this with ``unix:///tmp/codex.sock``. A server
that listens on ``ws://HOST:PORT`` may want a token; give the file that holds it as the second argument. What is needed:
``pip install "codex-runtime[ws]"``.
"""

import asyncio
import sys

from codex_runtime import Client, RuntimeConfig, Ticket
from codex_runtime.runtime import TokenFile


async def ask(ticket: Ticket) -> None:
    """Answer what the server asks, also what it asked somebody before us and waits for still."""
    print(f"declined: {ticket.method}")
    ticket.decline()


async def main(address: str, token_file: str | None = None, thread_id: str | None = None) -> None:
    """Say something in a new thread, or in one that is there already."""
    token = TokenFile(token_file) if token_file else None
    async with Client(RuntimeConfig(address=address, token=token)) as client:
        if thread_id is None:
            session = await client.start_session(approvals=ask)
        else:
            session = await client.resume_session(thread_id, approvals=ask)
        # If the connection breaks, it is made again, and the session finds its thread.
        result = await session.run("Say hello.")
        print(result.text)
        print(f"go on with: {session.thread_id}")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:])) if sys.argv[1:] else sys.exit(__doc__)
