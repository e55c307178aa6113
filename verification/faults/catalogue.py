"""What must hold, and what may go wrong: the list that everything else here refers to.

Ids are for good. Each fault has its scenarios (played against any client), its tests (of our client alone), or both; a test
holds this list against both.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["FAULTS", "INVARIANTS", "Fault"]

INVARIANTS = {
    "I1": "Every call ends exactly once, with a value or a documented error, within its bound.",
    "I2": "An answer reaches the call that it is for, and no other.",
    "I3": "A reader sees what the server said in the order in which it was said.",
    "I4": "Nothing is lost without the reader being told.",
    "I5": "A turn that has begun is over exactly once.",
    "I6": "Nothing is accepted that nobody accepted.",
    "I7": "A question gets at most one answer, and only its own generation's.",
    "I8": "Memory and queues stay within their limits, whatever comes in.",
    "I9": "After the end nothing is left: no process, descriptor, thread or task.",
    "I10": "No more servers are started than the restart policy allows.",
    "I11": "Two generations never live at once.",
    "I12": "No request reaches a server that was not greeted.",
    "I13": "Closing ends within its bound, from any state.",
    "I14": "What a store has acknowledged is there after a crash, in order and whole.",
    "I15": "A guest that fails or hangs harms nobody else.",
    "I16": "Cancelling any wait leaves everything true and usable.",
    "I17": "Steps of the wall clock change no deadline and no order.",
    "I18": "The state is the fold of what was delivered.",
    "I19": "The figures say what an independent count says.",
    "I20": "The event loop is never held up for long.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One kind of fault, what must hold all the same, and the tests that prove it beside the scenarios.

    ``without``: why it has no scenario that any client could be taken through.
    """

    id: str
    sentence: str
    invariants: tuple[str, ...]
    tests: tuple[str, ...] = ()
    without: str | None = None


FAULTS: tuple[Fault, ...] = ()
