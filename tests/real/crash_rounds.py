"""Kill the real app server in the middle of turns, again and again, and measure how we come back.

    python -m tests.real.crash_rounds 20

Each round starts a turn, waits for its first words, kills the server with SIGKILL, and takes three times from there: until
the waiter has its error, until the next server is ready, and until the same thread has answered its next prompt.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from time import perf_counter

import codex_cli_bin

from codex_runtime import Client, RestartPolicy, RuntimeConfig, TextDelta, TurnLostError
from codex_runtime.testing import MockModel, Reply, Say, Stall, write_codex_home


@dataclass
class Figures:
    """Seconds since the kill, one of each for each round."""

    failed: list[float] = field(default_factory=list)
    ready: list[float] = field(default_factory=list)
    answered: list[float] = field(default_factory=list)
    generations: int = 0
    remembered: bool = True

    def __str__(self) -> str:
        """The medians and the worst, for a person."""
        rows = [("waiter failed", self.failed), ("next server ready", self.ready), ("thread answered", self.answered)]
        return "\n".join(
            f"{name:18} median {median(times) * 1000:7.1f} ms   worst {max(times) * 1000:7.1f} ms"
            for name, times in rows
        )


async def crash_rounds(rounds: int, *, binary: Path, home: Path, workspace: Path) -> Figures:
    """Go through that many crashes of one client and one session."""
    figures = Figures()
    async with MockModel() as model:
        model.on("endless", *[Reply(Say("half an answer, "), Stall())] * rounds)
        model.on("short", *["done"] * (rounds + 1))
        config = RuntimeConfig(
            binary=binary,
            codex_home=write_codex_home(home, model.base_url),
            restart=RestartPolicy(budget=rounds + 1, stable=0.0),
        )
        async with Client(config) as client, await client.start_session(cwd=workspace) as session:
            await session.run("short 0")
            thread = session.thread_id
            for number in range(1, rounds + 1):
                async with session.stream(f"endless {number}") as turn:
                    async for event in turn:
                        if isinstance(event, TextDelta):
                            break
                    killed = perf_counter()
                    os.kill(client.runtime.pid or 0, signal.SIGKILL)
                    try:
                        await turn.finish()
                    except TurnLostError:
                        figures.failed.append(perf_counter() - killed)
                await client.runtime.wait_ready()
                figures.ready.append(perf_counter() - killed)
                result = await session.run(f"short {number}")
                figures.answered.append(perf_counter() - killed)
                asked = [text for text in model.requests[-1].texts() if text.startswith(("short", "endless"))]
                figures.remembered &= result.thread_id == thread and len(asked) == 2 * number + 1
            figures.generations = client.runtime.generation
    return figures


def main() -> None:
    """Do it and print the figures."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    with tempfile.TemporaryDirectory() as folder:
        home, workspace = Path(folder, "home"), Path(folder, "workspace")
        workspace.mkdir()
        binary = codex_cli_bin.bundled_codex_path()
        figures = asyncio.run(crash_rounds(rounds, binary=binary, home=home, workspace=workspace))
    print(f"{rounds} crashes, {figures.generations} restarts, same thread and memory: {figures.remembered}")  # noqa: T201
    print(figures)  # noqa: T201


if __name__ == "__main__":
    main()
