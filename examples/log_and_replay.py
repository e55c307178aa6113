"""Keep a journal of everything, follow it while it grows, and look at it afterwards.

You see each message with its place in the journal, then what the turns came to, read back from the file alone::

    python examples/log_and_replay.py codex.journal "What is in this folder?"
"""

import asyncio
import sys

from codex_runtime import Client, RuntimeConfig
from codex_runtime.journal import Journal, JournalSink, replay


async def watch(journal: Journal, after: int) -> None:
    """Print what is added. This could as well be another process, or tomorrow: ``after`` says where to go on."""
    async for entry in journal.follow(after=after):
        if entry.method is not None:
            print(f"{entry.cursor:4} {entry.direction:8} {entry.method}")
        if entry.kind == "closed":
            return


async def main(path: str, prompt: str) -> None:
    """Run a turn, watch its journal, and replay it."""
    journal = Journal(path, keep_seconds=30 * 24 * 3600)
    async with Client(RuntimeConfig(sinks=(JournalSink(journal),))) as client:
        begin = journal.position
        watching = asyncio.create_task(watch(journal, begin))
        await client.run(prompt)
    await watching

    with journal:
        outcome = replay(journal.read(after=begin, limit=1_000_000))
    for turn in outcome.turns:
        print(f"turn {turn.status}: {turn.text}")


if __name__ == "__main__":
    path, prompt = sys.argv[1:] or ("codex.journal", "What is in this folder?")
    asyncio.run(main(path, prompt))
