"""Many faults in one run, put together by chance: what no table thinks of.

    python -m verification.faults.storm 500          five hundred storms in memory, beginning with seed 0
    python -m verification.faults.storm 40 --process --first 1000

A storm is a scenario like any other, made from a seed: deaths around messages in either direction, in several servers, while
turns run, ask, are left or closed. The judge is the same. It knows nothing of any client, but only ours is taken through it.

The one idea: a storm that breaks something is a number, and that number brings it back.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import signal
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from codex_runtime.testing import Command, Retrying, Say, Script
from verification.faults.drive import run_here
from verification.faults.job import ECHO, Job
from verification.faults.scenario import WORDS, Scenario, say

if TYPE_CHECKING:
    from codex_runtime.testing import FakeAppServer
    from codex_runtime.testing._fake_orders import Moment

__all__ = ["main", "storm"]

AT_ONCE = (
    "thread/start",
    "thread/started",
    "thread/status/changed",
    "turn/start",
    "turn/started",
    "turn/interrupt",
    "turn/completed",
    "item/started",
    "item/agentMessage/delta",
    "item/completed",
    "item/commandExecution/outputDelta",
    "item/commandExecution/requestApproval",
    "serverRequest/resolved",
    "thread/tokenUsage/updated",
    ECHO,
)
LATER = ("launch", "initialize", "initialized", "thread/resume")
"""Of the first server these would only be a start that fails."""
MOMENTS: tuple[Moment, ...] = ("before", "during", "after")
WAYS: tuple[dict[str, int], ...] = ({"signal": signal.SIGKILL}, {"signal": signal.SIGSEGV}, {"code": 1})
SCRIPTS = (
    say(),
    Script(Say("I look. "), Command("ls", output="a.txt\n"), Say(WORDS)),
    Script(Say("I ask. "), Command("rm x", output="gone\n", approval=True), Say(WORDS)),
    Script(Command("rm x", output="gone\n", approval=True), Say(WORDS)),
    Script(Say("a "), Retrying(), Say("b c d ")),
)
PROMPTS = ("first", "second", "third", "fourth")


def storm(seed: int) -> Scenario:
    """The storm of this number."""
    chance = random.Random(seed)
    deaths = [
        (chance.choice(AT_ONCE + LATER), chance.choice(MOMENTS), chance.choice(WAYS), chance.randint(1, 2))
        for _ in range(chance.randint(1, 4))
    ]

    def order(fake: FakeAppServer, *, later: bool) -> None:
        for method, moment, how, times in deaths:
            if (method in LATER) is later:
                fake.die_at(method, moment, times=times, **how)

    async def meanwhile(fake: FakeAppServer) -> None:
        await fake.wait_for("turn/start")
        order(fake, later=True)

    return Scenario(
        fault="P1",
        point=f"storm {seed}",
        scripts=tuple(chance.choices(SCRIPTS, k=len(PROMPTS))),
        arrange=lambda fake: order(fake, later=False),
        meanwhile=meanwhile,
        job=Job(
            prompts=PROMPTS,
            calls=chance.choice((0, 0, 5)),
            calls_late=chance.random() < 0.5,
            accepts=chance.random() < 0.5,
            cancels_after=chance.choice((None, None, 1, 3)),
            closes_after=chance.choice((None, None, None, None, 1)),
        ),
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Go through so many storms, and return 1 if one broke something."""
    parser = argparse.ArgumentParser(
        prog="python -m verification.faults.storm", description=(__doc__ or "").split("\n", 1)[0]
    )
    parser.add_argument("count", type=int, nargs="?", default=100)
    parser.add_argument("--first", type=int, default=0, help="the seed to begin with")
    parser.add_argument("--process", action="store_true", help="with a server that is a process")
    options = parser.parse_args(argv)
    return asyncio.run(_go_through(range(options.first, options.first + options.count), process=options.process))


async def _go_through(seeds: Sequence[int], *, process: bool) -> int:
    broken = 0
    for seed in seeds:
        outcome = await run_here(storm(seed), process=process)
        broken += not outcome.holds
        for violation in outcome.violations:
            print(f"storm {seed}: {violation.invariant}: {violation.how}", flush=True)
    print(f"{len(seeds)} storms, {broken} in which something broke")
    return int(broken > 0)


if __name__ == "__main__":
    sys.exit(main())
