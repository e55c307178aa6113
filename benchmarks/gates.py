"""What we ask of ourselves. `make bench-gate` counts the instructions; the rest is read from what `make bench` wrote.

Exit status of `python -m benchmarks.gates`: 0 all gates are met, 1 one is missed, 3 there is nothing to count with.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from benchmarks import instructions
from benchmarks.startup import FRONT_DOOR
from benchmarks.tables import figure, grouped, table

__all__ = ["COUNTED", "TIMED", "Counted", "Gate"]

Results = dict[str, Any]
CANNOT = 3


@dataclass(frozen=True, slots=True)
class Counted:
    """At most so many instructions for one event or call of a contender."""

    name: str
    workload: str
    contender: str
    limit: float

    def measured(self, figures: instructions.Figures) -> float | None:
        """Return what was counted, nothing if it was not."""
        return figures.get(self.workload, {}).get(self.contender)


COUNTED = (
    Counted("a delta to a subscriber, without state", "delta", "ours-stateless", 11_000),
    Counted("a delta to a subscriber, with state", "delta", "ours", 14_000),
    Counted("the same and a JSONL sink", "delta", "ours-jsonl", 17_000),
    Counted("a request and its answer", "call", "ours", 80_000),
)
# (what, workload, contender): no gates, but good to know beside them
BESIDE = (
    ("a delta, with state and the journal", "delta", "ours-journal"),
    ("a message of a working turn, with state", "mixed", "ours"),
    ("an approval with all its bookkeeping", "approval", "ours"),
    ("the floor of a request: a future on a bare loop", "call", "loop"),
)


@dataclass(frozen=True, slots=True)
class Gate:
    """A figure of `make bench` and what we ask of it. ``measured`` returns nothing for what was not measured."""

    name: str
    asked: str
    measured: Callable[[Results], float | None]
    met: Callable[[float], bool]
    shown: Callable[[float], str]


def at_least(
    name: str, limit: float, measured: Callable[[Results], float | None], unit: str = "x", per: float = 1
) -> Gate:
    """Ask for a figure of so much or more."""
    shown = _shown(unit, per)
    return Gate(name, f"≥ {shown(limit)}", measured, lambda value: value >= limit, shown)


def at_most(name: str, limit: float, measured: Callable[[Results], float | None], unit: str, per: float) -> Gate:
    """Ask for a figure of so much or less."""
    shown = _shown(unit, per)
    return Gate(name, f"≤ {shown(limit)}", measured, lambda value: value <= limit, shown)


def _shown(unit: str, per: float) -> Callable[[float], str]:
    return lambda value: f"{figure(value / per)}{unit}"


def _ratio(workload: str, contender: str) -> Callable[[Results], float | None]:
    def measured(results: Results) -> float | None:
        outcome = results["workloads"].get(workload, {}).get(contender, {})
        return outcome.get("ratio")  # type: ignore[no-any-return]

    return measured


def _median(workload: str, contender: str, key: str) -> Callable[[Results], float | None]:
    def measured(results: Results) -> float | None:
        outcome = results["workloads"].get(workload, {}).get(contender, {})
        return outcome.get("median", {}).get(key)  # type: ignore[no-any-return]

    return measured


def _kept(contender: str) -> Callable[[Results], float | None]:
    """Return the share of the plain rate, and 0 if anything was lost."""
    ratio, lost = _ratio("more", contender), _median("more", contender, "lost")

    def measured(results: Results) -> float | None:
        value = ratio(results)
        return None if value is None else 0.0 if lost(results) else 1 / value

    return measured


def _growth(contender: str) -> Callable[[Results], float | None]:
    """Return how much memory grew, and more than any limit if a loss was not told."""
    growth, untold = _median("stalled", contender, "growth"), _median("stalled", contender, "missing")
    return lambda results: math.inf if untold(results) else growth(results)


def _import(key: str) -> Callable[[Results], float | None]:
    return lambda results: next((row[key] for row in results.get("import", ()) if row["name"] == FRONT_DOOR), None)


TIMED = (
    at_least("deltas, against asyncio streams + json", 4, _ratio("delta", "naive")),
    at_least("deltas, against openai-codex", 6, _ratio("delta", "sdk")),
    at_least("deltas, against openai-codex, async", 40, _ratio("delta", "sdk-async")),
    at_least("a working turn, against asyncio streams + json", 4, _ratio("mixed", "naive")),
    at_least("a working turn, against openai-codex", 6, _ratio("mixed", "sdk")),
    at_least("a working turn, against openai-codex, async", 40, _ratio("mixed", "sdk-async")),
    at_least("deltas with a JSONL sink, nothing lost: share of the plain rate", 0.6, _kept("ours-jsonl"), " %", 0.01),
    at_least("deltas with the journal, nothing lost: share of the plain rate", 0.6, _kept("ours-journal"), " %", 0.01),
    at_least("a request, one at a time: p50 against openai-codex", 2, _ratio("calls-1", "sdk")),
    at_least("approvals, 100 pending", 1e5, _median("approvals-100", "ours", "rate"), " k/s", 1e3),
    at_least(
        "32 runtimes on one thread: share of the rate of one", 0.8, _median("runtimes", "ours", "share"), " %", 0.01
    ),
    at_most("a reader that sleeps through 100 000 events", 20 * 2**20, _growth("ours"), " MiB", 2**20),
    at_most("the same with overflow=block", 20 * 2**20, _growth("ours-blocking"), " MiB", 2**20),
    at_most(f"{FRONT_DOOR}, over a bare interpreter", 0.09, _import("over_bare"), " ms", 1e-3),
    at_most(f"{FRONT_DOOR}: memory after it", 25 * 2**20, _import("rss"), " MiB", 2**20),
)


def main() -> int:
    """Count, print, judge."""
    if not instructions.can_count():
        print("cannot count instructions: there is no valgrind here (apt-get install valgrind)", file=sys.stderr)
        return CANNOT
    figures = instructions.measure(instructions.OURS)
    rows, missed = [], []
    for gate in COUNTED:
        value = gate.measured(figures)
        if value is None:
            missed.append(f"{gate.name}: the run failed")
            rows.append([gate.name, grouped(gate.limit), "failed"])
            continue
        rows.append([gate.name, grouped(gate.limit), grouped(value), f"{1 - value / gate.limit:+.0%}"])
        if value > gate.limit:
            missed.append(f"{gate.name}: {grouped(value)} instructions, {grouped(value - gate.limit)} too many")
    for name, workload, contender in BESIDE:
        counted = figures[workload].get(contender)
        rows.append([name, "-", "failed" if counted is None else grouped(counted)])
    table("instructions", ["gate", "limit", "measured", "headroom"], rows)
    print()
    for line in missed:
        print(f"MISSED  {line}")
    if not missed:
        print("all gates are met")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
