"""Scenarios of what is around a client: its own process, the machine, and what both run out of.

The one idea: each of them is a world (``worlds``) in which something ordinary happens, a server that dies or one that works.
"""

from __future__ import annotations

import signal

from codex_runtime.testing import Command, Die, Pause, Say, Script
from verification.faults.job import Job
from verification.faults.scenario import WORDS, Scenario

__all__ = ["ENVIRONMENT"]

NO_FORKS = "has threads, and nobody promises anything to a program with threads that forks"

DIES = (Script(Say(WORDS), Die(signal=signal.SIGKILL)),)
LONG = (Script(Say(WORDS), Pause(1.0), Command("make", output="done\n"), Pause(1.0), Say(WORDS)),)


def _in(world: str, fault: str, point: str, scripts: tuple[Script, ...], first: str, **job: float) -> Scenario:
    return Scenario(
        fault=fault,
        point=f"{world}; {point}",
        scripts=scripts,
        job=Job(world=world, **job),  # type: ignore[arg-type]
        budget=1 if scripts is LONG else 6,
        goes_on=fault != "E6",
        in_memory=False,
        first=first,
        unpromised={"I1": NO_FORKS, "I5": NO_FORKS} if fault == "P17" else {},
    )


ENVIRONMENT: tuple[Scenario, ...] = (
    _in("a thread reaps all children", "P14", "the server dies in a turn", DIES, "lost"),
    _in("a thread reaps all children", "P14", "nothing else happens", LONG, "completed"),
    _in("a handler of SIGCHLD reaps all children", "P14", "the server dies in a turn", DIES, "lost"),
    _in("SIGCHLD is ignored", "P14", "the server dies in a turn", DIES, "lost"),
    _in("workers are forked", "P17", "the server dies in a turn", DIES, "lost"),
    _in("workers are forked", "P17", "nothing else happens", LONG, "completed"),
    _in("descriptors run out", "E8", "the server dies in a turn", DIES, "lost"),
    _in("descriptors run out", "E8", "nothing else happens", LONG, "completed"),
    _in("the process stands still", "E9", "the server is quiet meanwhile", LONG, "completed", silence=0.9),
    _in("the standard streams are closed", "E10", "the server dies in a turn", DIES, "lost"),
    _in("the folder is gone", "E6", "a thread is to work in it", DIES, "error"),
    _in("signals rain down", "E10", "the server dies in a turn", DIES, "lost"),
    _in("sockets are in a hurry", "E10", "the server dies in a turn", DIES, "lost"),
    _in("the environment is odd", "E10", "the server dies in a turn", DIES, "lost"),
    _in("SIGPIPE kills", "E10", "the server dies in a turn", DIES, "lost"),
    _in("signals are blocked", "E10", "the server dies in a turn", DIES, "lost"),
    _in("a handler of SIGCHLD reaps all children", "E10", "nothing else happens", LONG, "completed"),
    _in("SIGCHLD is ignored", "E10", "nothing else happens", LONG, "completed"),
)
