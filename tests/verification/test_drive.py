"""The driver: what a client does is seen, whichever side tells it, and a client that misbehaves is convicted."""

from __future__ import annotations

import dataclasses
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from codex_runtime.testing import Command, FakeAppServer, Grandchild, Say, Script, Stall
from verification.faults.drive import run_apart, run_here
from verification.faults.job import Job
from verification.faults.scenario import WORDS, KillsClient, Scenario

if TYPE_CHECKING:
    from verification.faults.drive import Outcome

CALM = Scenario(fault="P1", point="nothing happens", job=Job(calls=1))
"""For clients that misbehave all by themselves."""

SHORT = Scenario(fault="P1", point="nothing happens, soon", job=Job(calls=1, bound=0.5, closing=0.5))
"""For one that never does anything in time."""

ASKS = Scenario(fault="P1", point="it asks", scripts=(Script(Say(WORDS), Command("ls", approval=True)),))

SLEEPER = "time.sleep(61.5)"

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are found in /proc")


def broken(outcome: Outcome) -> set[str]:
    """The invariants that were broken."""
    return {violation.invariant for violation in outcome.violations}


@pytest.mark.parametrize(
    ("client", "invariants"),
    [
        ("Nothing", set()),
        ("Hangs", {"I1", "I13"}),
        ("Leaves", {"I9"}),
        ("Raises", {"I1"}),
        ("Invents", {"I2", "I4"}),
        ("Dies", {"I1"}),
        ("Twins", {"I11"}),
        ("Rude", {"I12"}),
        ("Forges", {"I6", "I7"}),
    ],
)
async def test_a_client_that_misbehaves_is_convicted(client: str, invariants: set[str]) -> None:
    """Of that, and of nothing else."""
    scenario = {"Hangs": SHORT, "Forges": ASKS}.get(client, CALM)
    outcome = await run_apart(scenario, f"tests.verification.misbehaving:{client}")
    assert broken(outcome) == invariants, outcome.violations
    assert outcome.holds is not bool(invariants)


async def test_what_a_client_leaves_is_named_and_ended() -> None:
    """Wherever it went: it carries the mark of the run."""
    outcome = await run_apart(CALM, "tests.verification.misbehaving:Leaves")
    told = [violation.how for violation in outcome.violations]
    assert any("left behind: process" in how and SLEEPER in how for how in told)
    assert any("never retrieved" in how for how in told)
    names = subprocess.run(["ps", "axww"], capture_output=True, text=True, check=True).stdout  # noqa: ASYNC221
    assert SLEEPER not in names


@pytest.mark.parametrize("process", [False, True], ids=["in memory", "as a process"])
async def test_our_own_client_is_taken_through_a_calm_day(*, process: bool) -> None:
    """Both turns are completed, and the calls get their answers."""
    outcome = await run_here(CALM, process=process)
    assert (outcome.violations, outcome.first, outcome.goes_on, outcome.client) == ((), "completed", True, "ours")


async def test_a_yes_of_the_owner_is_no_crime() -> None:
    """It is seen on both sides; what is not said by the owner is convicted above."""
    outcome = await run_here(dataclasses.replace(ASKS, job=Job(accepts=True)))
    assert (outcome.violations, outcome.first) == ((), "completed")


async def test_the_end_of_a_client_by_a_signal_is_judged_by_what_it_leaves() -> None:
    """It settles nothing any more, and that is not held against it."""
    dies = Scenario(
        fault="P16",
        point="killed",
        scripts=(Script(Grandchild(detached=True), Say(WORDS), Stall()),),
        kills=KillsClient(signal=signal.SIGKILL, when=lambda fake: bool(fake.grandchildren)),
        in_memory=False,
        goes_on=False,
    )
    outcome = await run_apart(dies, "ours")
    assert (outcome.violations, outcome.goes_on) == ((), None)
    assert outcome.seconds < 8.0


async def test_orders_may_depend_on_what_has_happened() -> None:
    """They are given when it has, and one that does not come is no failure of the run."""

    async def give(fake: FakeAppServer) -> None:
        await fake.wait_for("turn/start")
        fake.die_at("turn/completed")

    late = Scenario(fault="P1", point="late", meanwhile=give, job=Job(prompts=("first", "second", "third")))
    outcome = await run_here(late)
    assert (outcome.violations, outcome.goes_on) == ((), True)


async def test_a_server_may_be_something_else_altogether() -> None:
    """The command line is made into another one."""
    program = ("sh", "-c", "exit 3")
    other = Scenario(fault="P5", point="leaves", through=lambda _: program, in_memory=False, goes_on=False)
    outcome = await run_here(other, process=True)
    assert (outcome.violations, outcome.first, outcome.goes_on) == ((), "HandshakeError", None)


async def test_a_client_is_closed_in_the_middle_of_a_turn() -> None:
    """And once more when all is over."""
    closes = Scenario(fault="P1", point="closed", scripts=(Script(Say(WORDS), Stall()),), job=Job(closes_after=1))
    outcome = await run_here(closes)
    assert (outcome.violations, outcome.first) == ((), "lost")
