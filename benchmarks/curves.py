"""What grows with what: memory and cost over threads, turns, subscribers, size of lines and uptime. `python -m benchmarks.curves`.

Every point is a process of its own. Its cost is told by a duel in that process: a runtime at the first point of the curve
and one at this point take turns, the median of their ratios is kept, and the least cost ever seen at the first point is
what it multiplies. So a busy machine bends no curve.
"""

from __future__ import annotations

import asyncio
import json
import resource
import statistics
import subprocess
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import firehose, machine, svg
from benchmarks.contenders import cpu_seconds, rss
from benchmarks.contenders.ours import Ours, OursStateless
from benchmarks.tables import figure, table

__all__ = ["PICTURE", "RESULTS"]

RESULTS = Path(__file__).parent / "results" / "curves.json"
PICTURE = Path(__file__).parent.parent / "docs" / "performance-curves.svg"
MIB = 2**20
EVENTS = 20_000  # of a turn whose cost is measured
REPEATS = 9
TOLERANCE = {"memory": 0.1, "cost": 0.15}  # what of a rise is still flat: processor time is noisier than memory
SMALL = "fire:n=20"


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """What is varied, over which values; ``prepare`` brings a runtime there, ``run`` is one run and returns how many units.

    ``per`` is the stretch of x, and its name, for which a slope is told. ``peak`` looks at the most memory that there was.
    """

    name: str
    x: str
    unit: str
    per: tuple[int, str]
    values: tuple[int, ...]
    prepare: Callable[[Ours, int], Awaitable[None]]
    run: Callable[[Ours, int], Awaitable[int]]
    state: bool = True
    peak: bool = False
    log: bool = False


async def nothing(_ours: Ours, _x: int) -> None:
    """Need no preparation."""


async def start_threads(ours: Ours, count: int) -> None:
    """Start so many threads, with a small turn on each."""
    for _ in range(count):
        await turn(ours, SMALL)


async def run_turns(ours: Ours, count: int) -> None:
    """Run so many small turns on one thread."""
    thread_id = await ours.new_thread()
    for _ in range(count):
        await ours.read(await ours.start(thread_id, SMALL, narrow=False))


async def read_events(ours: Ours, count: int) -> None:
    """Read so many events."""
    if count:
        await turn(ours, f"fire:n={count}")


async def turn(ours: Ours, directive: str) -> int:
    """Run a turn on a thread of its own."""
    events, _ = await ours.read(await ours.start(await ours.new_thread(), directive, narrow=False))
    return events


async def deltas(ours: Ours, _x: int) -> int:
    """Read a turn of deltas."""
    return await turn(ours, f"fire:n={EVENTS}")


async def deltas_for_many(ours: Ours, count: int) -> int:
    """Read a turn of deltas with so many subscribers."""
    others = [asyncio.create_task(ours.read(ours.runtime.subscribe())) for _ in range(count - 1)]
    events = await turn(ours, f"fire:n={EVENTS}")
    await asyncio.gather(*others)
    return events


async def long_lines(ours: Ours, size: int) -> int:
    """Read lines of that size: 40 MB, but neither very few nor very many."""
    return await turn(ours, f"fire:n={min(EVENTS, max(40, 40_000_000 // size))};mix=output;bytes={size}")


CURVES = (
    Curve(
        name="uptime",
        x="events since the start",
        unit="event",
        per=(1_000_000, "million"),
        values=(0, 500_000, 1_000_000, 2_000_000, 3_000_000, 4_000_000),
        prepare=read_events,
        run=deltas,
    ),
    Curve(
        name="turns",
        x="turns on one thread",
        unit="event",
        per=(1000, "1000"),
        values=(1, 250, 500, 1000, 2000, 4000),
        prepare=run_turns,
        run=deltas,
    ),
    Curve(
        name="threads",
        x="threads started",
        unit="event",
        per=(1000, "1000"),
        values=(1, 250, 1000, 2000, 4000, 8000),
        prepare=start_threads,
        run=deltas,
    ),
    Curve(
        name="subscribers",
        x="subscribers that read all",
        unit="event",
        per=(1, "subscriber"),
        values=(1, 8, 16, 32, 48, 64),
        prepare=nothing,
        run=deltas_for_many,
    ),
    Curve(
        name="line size",
        x="bytes of text in a line",
        unit="line",
        per=(1_000_000, "MB"),
        values=(100, 1_000, 10_000, 100_000, 1_000_000, 4_000_000),
        prepare=nothing,
        run=long_lines,
        state=False,  # it keeps text up to its limit, which is another curve
        peak=True,
        log=True,
    ),
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a row of figures does: ``flat``, ``levels off``, ``linear`` or ``grows``, with slope and height of the line."""

    word: str
    slope: float
    base: float


def judge(xs: list[int], ys: list[float], tolerance: float) -> Verdict:
    """Tell how the figures go on.

    Flat: over the whole range a straight line through them rises by no more than the tolerance, a share of their least.
    They level off if that is true of their second half. Linear: the line explains 95 % of what varies.
    """
    slope, base = statistics.linear_regression(xs, ys)
    if slope * (xs[-1] - xs[0]) <= tolerance * min(ys):
        return Verdict("flat", slope, base)
    half = len(xs) // 2
    late = statistics.linear_regression(xs[half:], ys[half:]).slope
    if late * (xs[-1] - xs[half]) <= tolerance * min(ys):
        return Verdict("levels off", slope, base)
    return Verdict("linear" if statistics.correlation(xs, ys) ** 2 > 0.95 else "grows", slope, base)


async def point(curve: Curve, x: int) -> dict[str, float]:
    """Measure one point in this process: memory, ratio of costs, and the cost at the first point."""
    first = curve.values[0]
    grown = await bring(curve, x)
    await cost(curve, grown, x)
    memory = peak() if curve.peak else rss()
    fresh = await bring(curve, first)
    pairs = [(await cost(curve, grown, x), await cost(curve, fresh, first)) for _ in range(REPEATS)]
    await grown.disconnect()
    await fresh.disconnect()
    ratio = statistics.median(a / b for a, b in pairs)
    return {"x": x, "memory": memory / MIB, "ratio": ratio, "first": min(b for _, b in pairs)}


async def bring(curve: Curve, x: int) -> Ours:
    """Open a runtime and bring it to a point."""
    ours = (Ours if curve.state else OursStateless)()
    await ours.connect(firehose.command())
    await turn(ours, SMALL)
    await curve.prepare(ours, x)
    return ours


async def cost(curve: Curve, ours: Ours, x: int) -> float:
    """Return the microseconds of processor time that one unit takes."""
    before = cpu_seconds()
    units = await curve.run(ours, x)
    return (cpu_seconds() - before) / units * 1e6


def peak() -> int:
    """Return the most memory that this process has had, in bytes."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def measure(curve: Curve) -> list[dict[str, float]]:
    """Measure all points of a curve."""
    points = []
    for x in curve.values:
        command = [sys.executable, "-m", "benchmarks.curves", curve.name, str(x)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        points.append(json.loads(done.stdout))
    least = min(point["first"] for point in points)
    return [{**point, "cost": point["ratio"] * least} for point in points]


def describe(curve: Curve, points: list[dict[str, float]], key: str, unit: str) -> tuple[svg.Panel, dict[str, Any]]:
    """Return the picture of one figure of a curve, and what it comes to."""
    xs, ys = [int(p["x"]) for p in points], [p[key] for p in points]
    verdict = judge(xs, ys, TOLERANCE[key])
    rising = verdict.word in ("linear", "grows")
    stretch, called = curve.per
    slope = f"{figure(verdict.slope * stretch)} {unit} per {called}"
    text = f"{verdict.word}: {slope}" if rising else f"{verdict.word}: {figure(ys[0])} to {figure(ys[-1])} {unit}"
    panel = svg.Panel(
        title=f"{'memory' if key == 'memory' else 'cost'} over {curve.name}",
        verdict=text,
        x=curve.x,
        y="peak RSS, MiB"
        if curve.peak and key == "memory"
        else "RSS, MiB"
        if key == "memory"
        else f"CPU us per {curve.unit}",
        points=list(zip(xs, ys, strict=True)),
        fit=(verdict.slope, verdict.base) if rising else None,
        log_x=curve.log,
        log_y=curve.log and key == "cost",
    )
    return panel, {
        "figure": panel.title,
        "from": f"{figure(ys[0])} at {figure(xs[0])}",
        "to": f"{figure(ys[-1])} at {figure(xs[-1])}",
        "unit": panel.y,
        "slope": slope,
        "verdict": verdict.word,
    }


def main() -> None:
    """Measure all curves, print a table, draw the picture; or measure one point."""
    if len(sys.argv) == 3:
        curve = next(curve for curve in CURVES if curve.name == sys.argv[1])
        print(json.dumps(asyncio.run(point(curve, int(sys.argv[2])))))
        return
    where = machine.describe()
    measured = {curve.name: measure(curve) for curve in CURVES}
    above = [describe(curve, measured[curve.name], "memory", "MiB") for curve in CURVES]
    below = [describe(curve, measured[curve.name], "cost", "us") for curve in CURVES]
    rows = [row for pair in zip(above, below, strict=True) for _, row in pair]
    table(
        "curves",
        ["", "unit", "from", "to", "slope", "verdict"],
        [[row["figure"], row["unit"], row["from"], row["to"], row["slope"], row["verdict"]] for row in rows],
    )
    caption = (
        f"codex-runtime {where['versions']['codex-runtime']}, {where['python']}, {where['cpu']}, {where['system']}"
    )
    PICTURE.write_text(
        svg.page([[panel for panel, _ in above], [panel for panel, _ in below]], caption), encoding="utf-8"
    )
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps({"machine": where, "points": measured, "rows": rows}, indent=1), encoding="utf-8")
    print(f"\nwritten to {PICTURE} and {RESULTS}")


if __name__ == "__main__":
    main()
