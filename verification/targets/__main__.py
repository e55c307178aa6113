"""Measure what we ask of the engine in trouble, and hold it against what we ask: `python -m verification.targets [--full]`."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.machine import describe
from benchmarks.tables import figure, table
from verification.targets import measures
from verification.targets.measures import quantile

__all__ = ["RESULTS", "TARGETS", "Target", "main"]

RESULTS = Path(__file__).parent.parent / "results" / "targets.json"
MB = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """``limit`` is what we ask of the figure: at most, or at least where ``more`` is better."""

    what: str
    unit: str
    limit: float
    more: bool = False
    anchor: str = ""

    def is_met(self, value: float) -> bool:
        """Whether it is reached."""
        return value >= self.limit if self.more else value <= self.limit


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """A measurement: how often, and the targets whose figures come out of it, in order."""

    title: str
    rounds: int
    full: int
    run: Callable[[int], Coroutine[Any, Any, list[float]]]
    targets: tuple[Target, ...]


def _times(
    title: str,
    run: Callable[[int], Coroutine[Any, Any, list[float]]],
    *targets: tuple[float, float],
    rounds: int,
    full: int,
    anchor: str = "",
) -> Measure:
    """Times in milliseconds, of which these shares stay within these limits."""
    shares = [share for share, _ in targets]

    async def quantiles(rounds: int) -> list[float]:
        times = await run(rounds)
        return [quantile(times, share) * 1000 for share in shares]

    made = tuple(
        Target(what=f"{title}: {'worst' if share == 1 else f'p{share * 100:g}'}", unit="ms", limit=limit, anchor=anchor)
        for share, limit in targets
    )
    return Measure(title=title, rounds=rounds, full=full, run=quantiles, targets=made)


async def _lines(size: int, rounds: int) -> list[float]:
    held, grown = await measures.long_lines(size, rounds)
    return [held * 1000, grown]


def _long(size: int) -> Measure:
    name = f"a line of {size // MB} MB"
    return Measure(
        title=name,
        rounds=3,
        full=10,
        run=lambda rounds: _lines(size, rounds),
        targets=(
            Target(what=f"{name}: the loop is held up", unit="ms", limit=50, anchor="json.loads of 50 MB: 155 ms"),
            Target(what=f"{name}: memory, in lines", unit="x", limit=2.5),
        ),
    )


async def _throughput(rounds: int) -> list[float]:
    return [max([await measures.throughput_of_the_journal(100, 1000) for _ in range(rounds)])]


TARGETS: tuple[Measure, ...] = (
    _times(
        "death of the server → a waiting call fails",
        lambda rounds: measures.loss_told(rounds, grandchild=False),
        (0.5, 50),
        (0.99, 100),
        rounds=50,
        full=500,
        anchor="openai-codex: 300 ms",
    ),
    _times(
        "the same while a grandchild holds its stdout",
        lambda rounds: measures.loss_told(rounds, grandchild=True),
        (0.5, 50),
        (0.99, 100),
        rounds=50,
        full=500,
        anchor="asyncio's wait(): for ever",
    ),
    _times(
        "death of the real server → the next is ready",
        measures.ready_again,
        (0.5, 800),
        (0.99, 3000),
        rounds=20,
        full=100,
        anchor="pause 250 ms, start of codex 270 ms",
    ),
    _times(
        "closing, the real server",
        measures.end_of_a_healthy_server,
        (0.5, 120),
        (0.99, 500),
        rounds=20,
        full=100,
        anchor="codex leaves 50 ms after the end of its stdin",
    ),
    _times(
        "closing, a server that will not go and a child that holds its stdout",
        measures.end_of_a_hostile_server,
        (1, 3000),
        rounds=5,
        full=50,
        anchor="the Rust original: no bound",
    ),
    _long(5 * MB),
    _long(50 * MB),
    _times(
        "the end of a turn → safe in the journal",
        measures.commit_of_a_decision,
        (0.5, 1),
        rounds=300,
        full=3000,
        anchor="SQLite, WAL and fsync: 0.17 ms",
    ),
    Measure(
        title="messages into the journal",
        rounds=3,
        full=10,
        run=_throughput,
        targets=(Target(what="messages into the journal, each second", unit="k/s", limit=20_000, more=True),),
    ),
)


def main() -> int:
    """Measure all, print, and write it down. Returns 1 if anything is missed."""
    parser = argparse.ArgumentParser(prog="python -m verification.targets", description=__doc__)
    parser.add_argument("--full", action="store_true", help="ten times as many rounds")
    full = parser.parse_args().full
    rows: list[dict[str, Any]] = []
    for measure in TARGETS:
        values = asyncio.run(measure.run(measure.full if full else measure.rounds))
        for target, value in zip(measure.targets, values, strict=True):
            rows.append(
                {
                    "what": target.what,
                    "asked": f"{'≥' if target.more else '≤'} {_shown(target.limit, target.unit)}",
                    "measured": _shown(value, target.unit),
                    "rounds": measure.full if full else measure.rounds,
                    "anchor": target.anchor,
                    "met": target.is_met(value),
                }
            )
            print(f"{rows[-1]['what']:80} {rows[-1]['measured']:>12}", file=sys.stderr)
    table(
        "what we ask of the engine in trouble",
        ["", "asked", "measured", "rounds", "", "for comparison"],
        [
            [r["what"], r["asked"], r["measured"], str(r["rounds"]), "met" if r["met"] else "MISSED", r["anchor"]]
            for r in rows
        ],
    )
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps({"machine": describe(), "targets": rows}, indent=1), encoding="utf-8")
    return int(not all(row["met"] for row in rows))


def _shown(value: float, unit: str) -> str:
    if unit == "k/s":
        return f"{figure(value / 1000)} k/s"
    return f"{figure(value)} {unit}" if unit != "x" else f"{figure(value)}x"


if __name__ == "__main__":
    sys.exit(main())
