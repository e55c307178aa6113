"""What goes wrong in a soak, and in which order: a list that one number makes, and makes again.

Who does it is not decided here: some faults are the server's own, some are done to its process, some to the program. The
one idea: every kind comes once before any comes twice, so a short run has seen them all and a long one has no favourite.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from random import Random
from typing import Final, Literal, TypeAlias

from msgspec import Struct

__all__ = ["OF_THE_SERVER", "SENTENCES", "Fault", "Kind", "draw"]

Kind: TypeAlias = Literal[
    "kill the server",
    "kill the guardian",
    "stop the server",
    "freeze the server",
    "exit",
    "close stdout",
    "garbage",
    "huge line",
    "half a line and death",
    "hang",
    "flood of approvals",
    "flood of stderr",
    "ignore the end",
    "a subscriber leaves",
    "cancel calls",
    "cancel a turn",
    "failing sink",
    "full disk",
    "clock step",
]

SENTENCES: Final[dict[Kind, str]] = {
    "kill the server": "SIGKILL, out of nowhere",
    "kill the guardian": "SIGKILL to the process between us and the server",
    "stop the server": "SIGSTOP for a moment, then SIGCONT: nothing may come of it",
    "freeze the server": "SIGSTOP for good: the watchdog has to find out",
    "exit": "it leaves with exit status 3",
    "close stdout": "it closes its stdout and lives on",
    "garbage": "a line that is no message",
    "huge line": "a line of 4 MB; every second one is above the limit",
    "half a line and death": "half a line, then SIGKILL",
    "hang": "it reads no more",
    "flood of approvals": "300 approvals at once, of no turn",
    "flood of stderr": "1 MB on stderr",
    "ignore the end": "it ignores SIGTERM and the end of stdin, then is killed",
    "a subscriber leaves": "one goes in the middle of what it reads, one is forgotten unclosed",
    "cancel calls": "callers go away",
    "cancel a turn": "whoever waits for a turn goes away",
    "failing sink": "a sink raises for a while",
    "full disk": "the disk of one log has no room for a while",
    "clock step": "the wall clock jumps by a day, either way",
}
OF_THE_SERVER: Final[frozenset[Kind]] = frozenset(
    {
        "exit",
        "close stdout",
        "garbage",
        "huge line",
        "half a line and death",
        "hang",
        "flood of approvals",
        "flood of stderr",
        "ignore the end",
    }
)
"""Those that only a scripted server can be told to do."""


class Fault(Struct, frozen=True):
    """One fault: when, in seconds from the start, what, and a number that settles its details."""

    at: float
    kind: Kind
    number: int


def draw(seed: int, *, every: float, without: Collection[Kind] = ()) -> Iterator[Fault]:
    """Go through the faults of a soak, without end: one ``every`` so many seconds, give or take a half."""
    chance = Random(f"soak {seed}")
    at, ordinal = 0.0, 0
    kinds: list[Kind] = [kind for kind in SENTENCES if kind not in without]
    while True:
        chance.shuffle(kinds)
        for kind in kinds:
            at += every * chance.uniform(0.5, 1.5)
            yield Fault(at, kind, ordinal)
            ordinal += 1
