"""Keep a journal of everything, follow it while it grows, and look at it afterwards.

Run it as it is: a scripted app server takes the place of the real one, so it needs no login and no network. Leave the
``launcher`` out to journal a real one.
"""

import asyncio
import tempfile
from pathlib import Path

from codex_runtime import Client, RuntimeConfig
from codex_runtime.journal import Journal, JournalSink, replay
from codex_runtime.testing import Command, FakeAppServer, Say, Script


async def main(folder: Path) -> None:
    """Run a turn, watch its journal, and replay it."""
    journal = Journal(folder / "codex.journal", keep_seconds=30 * 24 * 3600)
    server = FakeAppServer(Script(Command("ls", output="README.md\n"), Say("There is one file.")))

    async def watch() -> None:
        # This could as well be another process, or tomorrow: `after` says where to go on.
        async for entry in journal.follow(after=0):
            if entry.method is not None:
                print(f"{entry.cursor:4} {entry.direction:8} {entry.method}")
            if entry.kind == "closed":
                return

    async with Client(RuntimeConfig(launcher=server, sinks=(JournalSink(journal),))) as client:
        watching = asyncio.create_task(watch())
        async with await client.start_session(cwd=folder) as session:
            await session.run("What is here?")
    await watching

    with journal:
        outcome = replay(journal.read(limit=10_000))
    for turn in outcome.turns:
        print(f"turn {turn.status}: {turn.text}")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        asyncio.run(main(Path(temporary)))
