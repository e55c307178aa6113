"""Our own client in every scenario: nothing is broken, the first turn ends as it should, and it goes on where it can.

In memory where that is possible, where hundreds of deaths take seconds; as a process where the fault is one of processes; in
a process of its own where the client itself is hurt.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from verification.faults.bytes import BYTES
from verification.faults.child import CHILD
from verification.faults.consumers import CONSUMERS
from verification.faults.drive import run_apart, run_here
from verification.faults.environment import ENVIRONMENT
from verification.faults.storm import storm

if TYPE_CHECKING:
    from verification.faults.drive import Outcome
    from verification.faults.scenario import Scenario

STORMS = 25
"""``python -m verification.faults.storm`` goes through as many as one likes."""

ALL = (*CHILD, *BYTES, *CONSUMERS, *ENVIRONMENT)

IN_BOTH = {
    "P1: calls are in flight: half of it, SIGABRT",
    "P1: the agent speaks: half of it, SIGSEGV",
    "P1: an approval is asked for, and the owner says yes: after, SIGKILL",
    "P1: a turn is interrupted: before, SIGKILL",
    "P1: the next one dies as a thread is brought back",
    "P1: killed while it is closed in the middle of a turn",
    "P6: closed in the middle of a turn, it ignores SIGTERM and the end of its stdin",
    "P12: every server after the first dies before it reads anything",
}
"""Played in memory, and once more with real pipes and signals."""

BY_THE_VERB = {
    "P16: our process gets SIGKILL in a turn",
    "P16: our process gets SIGTERM in a turn",
    "P16: our process gets SIGTERM in a turn; the server has a detached child and will not go",
    "P16: our process gets SIGHUP in a turn",
    "P16: our process gets SIGINT in a turn",
    "P16: our process gets SIGINT in a turn; the server has a detached child and will not go",
    "P16: our process gets SIGINT twice in a turn",
    "P16: our process gets SIGKILL while the greeting is not answered",
    "P16: our process gets SIGINT while the greeting is not answered",
    "P16: our process gets SIGINT while the next server is not ready",
    "P14: a thread reaps all children; nothing else happens",
    "P14: a handler of SIGCHLD reaps all children; the server dies in a turn",
    "P17: workers are forked; nothing else happens",
    "E8: descriptors run out; nothing else happens",
    "E10: a handler of SIGCHLD reaps all children; nothing else happens",
    "E10: SIGCHLD is ignored; nothing else happens",
    "E10: sockets are in a hurry; the server dies in a turn",
    "E10: signals rain down; the server dies in a turn",
    "E10: SIGPIPE kills; the server dies in a turn",
    "P16: our process gets SIGINT twice in a turn; the server has a detached child and will not go",
    "M3: a line of 64 MiB exactly",
    "M3: a line of 64 MiB less one byte",
    "M3: an answer longer than the limit",
    "M10: 10000 questions at once, to who says yes",
    "P11: it leaves a child behind when it is closed",
    "P11: it leaves a child behind when it is ended by its own crash",
    "P11: it leaves a detached child behind when it is ended by its own crash",
    "P20: it takes two seconds to start",
}
"""Long, or nearly the same as others: ``python -m verification.faults`` plays all, these and those in memory as processes too."""

APART = {
    scenario.name
    for scenario in ALL
    if scenario.kills is not None
    or scenario.job.world is not None
    or (scenario.job.growth is not None and not scenario.in_memory)
}
"""These hurt, or measure, the client's own process."""

HERE = [it for it in ALL if it.in_memory]
AS_PROCESS = [it for it in ALL if (not it.in_memory and it.name not in APART | BY_THE_VERB) or it.name in IN_BOTH]
ON_THEIR_OWN = [it for it in ALL if it.name in APART - BY_THE_VERB]


def judge(scenario: Scenario, outcome: Outcome) -> None:
    """Nothing is broken, and it came out as the scenario says."""
    assert outcome.violations == ()
    assert outcome.goes_on is (True if scenario.goes_on else None)
    if scenario.first is not None:
        assert outcome.first == scenario.first


def named(scenario: Scenario) -> str:
    """What pytest calls it."""
    return scenario.name


@pytest.mark.parametrize("scenario", HERE, ids=named)
async def test_nothing_is_broken_in_memory(scenario: Scenario) -> None:
    """The server is in this process: only the client's own rules are tried, and quickly."""
    judge(scenario, await run_here(scenario))


@pytest.mark.skipif(sys.platform != "linux", reason="no guardian, no /proc")
@pytest.mark.parametrize("scenario", AS_PROCESS, ids=named)
async def test_nothing_is_broken_with_a_process(scenario: Scenario) -> None:
    """The server has pipes, signals and children of its own."""
    judge(scenario, await run_here(scenario, process=True))


@pytest.mark.skipif(sys.platform != "linux", reason="processes are found in /proc")
@pytest.mark.parametrize("scenario", ON_THEIR_OWN, ids=named)
async def test_nothing_is_broken_when_it_is_on_its_own(scenario: Scenario) -> None:
    """The client may be killed, stopped, or find its process in disorder."""
    judge(scenario, await run_apart(scenario, "ours"))


@pytest.mark.parametrize("seed", range(STORMS))
async def test_nothing_is_broken_in_a_storm(seed: int) -> None:
    """Several deaths in one run, at points that chance has picked."""
    assert (await run_here(storm(seed))).violations == ()


def test_every_scenario_is_played() -> None:
    """Here or by the verb: none falls in between, and no two have one name."""
    played = {*map(named, HERE), *map(named, AS_PROCESS), *map(named, ON_THEIR_OWN)}
    assert played | BY_THE_VERB == {*map(named, ALL)}
    assert played & BY_THE_VERB == set()
    assert len(ALL) == len(played | BY_THE_VERB)
    assert {*IN_BOTH} <= {*map(named, HERE)} & {*map(named, AS_PROCESS)}
