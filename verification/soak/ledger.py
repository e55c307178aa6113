"""What was begun, how each of it ended, and what broke a promise. Kept by the program that soaks, judged at the end.

The one idea: whatever is awaited is awaited through :meth:`Ledger.settled`, which knows by when it has to be over. So
nothing can hang or raise something odd without an entry.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable
from typing import TypeVar

from codex_runtime import CodexError

__all__ = ["SLACK", "Ledger"]

T = TypeVar("T")

# Beyond a bound, in seconds: a machine with two cores does other things as well.
SLACK = 1.0
EXAMPLES = 40


class Ledger:
    """The books of one program. ``yes`` and ``yes_turns`` name the items and turns for which somebody said yes."""

    def __init__(self) -> None:
        self.begun: Counter[str] = Counter()
        self.ended: Counter[str] = Counter()
        self.outcomes: Counter[str] = Counter()
        self.breaches: Counter[str] = Counter()
        self.examples: list[str] = []
        self.latest: dict[str, float] = {}
        self.yes: set[str] = set()
        self.yes_turns: set[str] = set()
        self.stood_still = 0.0  # how long our own loop did not run, at most: no promise of anybody's covers that

    def breach(self, invariant: str, what: str) -> None:
        """Note that a promise was broken."""
        self.breaches[invariant] += 1
        if len(self.examples) < EXAMPLES:
            self.examples.append(f"{invariant}: {what}")

    def require(self, condition: object, invariant: str, what: str) -> None:
        """Note a breach unless the condition holds."""
        if not condition:
            self.breach(invariant, what)

    async def settled(self, kind: str, bound: float, work: Awaitable[T]) -> T | None:
        """Await something that has to end within so many seconds, with a value or a typed error (which gives ``None``)."""
        self.begun[kind] += 1
        began, outcome = time.monotonic(), "done"
        try:
            return await work
        except CodexError as error:
            outcome = type(error).__name__
            return None
        except asyncio.CancelledError:
            outcome = "cancelled"
            raise
        except Exception as error:  # noqa: BLE001  whatever it is, it is on record
            outcome = type(error).__name__
            self.breach("I1", f"{kind} ended in {error!r}, which is no error of ours")
            return None
        finally:
            self.ended[kind] += 1
            self.outcomes[f"{kind}: {outcome}"] += 1
            late = time.monotonic() - began - bound
            self.latest[kind] = max(self.latest.get(kind, -bound), late)
            if late > SLACK + self.stood_still:
                self.breach("I1", f"{kind} ({outcome}) was over {late:.2f} s after its bound of {bound:g} s")
