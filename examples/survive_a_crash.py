"""Kill the app server with -9 in the middle of a turn, and go on in the same session.

You see the turn that was lost, the next server, and that the thread still knows what was said before::

    python examples/survive_a_crash.py
"""

import asyncio
import os
import signal

from codex_runtime import Client, RuntimeConfig, Session, TextDelta, TurnLostError
from codex_runtime.runtime import Restarted


def tell(restarted: Restarted) -> None:
    """Say that the next server is there."""
    print(f"server {restarted.generation} is ready; the one before was {restarted.exit.describe()}")


async def be_interrupted(session: Session) -> None:
    """Run a turn, and kill the server at its first word."""
    async with session.stream("Count to a thousand, slowly.") as turn:
        async for event in turn:
            if isinstance(event, TextDelta) and session.runtime.pid:
                os.kill(session.runtime.pid, signal.SIGKILL)
                break
        await turn.finish()


async def main() -> None:
    """Say something, lose the server, and ask what was said."""
    async with Client(RuntimeConfig(on_restart=tell)) as client, await client.start_session(cwd=".") as session:
        print((await session.run("The word is heron. Say that you know it.")).text)
        try:
            await be_interrupted(session)
        except TurnLostError as error:
            print(f"{error}; it had said {error.result.text!r}")
        print((await session.run("What was the word?")).text)


if __name__ == "__main__":
    asyncio.run(main())
