"""What a soak comes to: a verdict for each row of figures, a table, a file and a picture."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from benchmarks import machine, svg
from benchmarks.tables import figure, table
from verification.soak.cycles import Lives
from verification.soak.program import Sample
from verification.soak.run import Story
from verification.soak.trend import Trend, judge, medians

__all__ = ["PICTURE", "RESULTS", "of_lives", "of_story", "picture", "write"]

RESULTS: Final = Path(__file__).parents[1] / "results" / "soak.json"
PICTURE: Final = Path(__file__).parents[2] / "docs" / "soak.svg"
MIB: Final = 2.0**20
POINTS: Final = 60  # in a picture
WARM_UP: Final = 120.0  # seconds in which everything fills up to its limit
SETTLED: Final = 150  # lives: timers that were called off stay in the heap of asyncio until there are a hundred


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row of figures: what it is called, how it is read off a sample, and how much it may rise in a minute."""

    name: str
    of: Callable[[Sample], float]
    bound: float
    scale: float = 1.0
    unit: str = ""


ROWS: Final = (
    # At some 2300 messages a second, 128 KiB in a minute is 1 byte for each.
    Row(name="memory", of=lambda sample: sample.rss, bound=128 * 1024, scale=MIB, unit="RSS, MiB"),
    Row(name="large blocks", of=lambda sample: sample.in_use, bound=128 * 1024, scale=MIB, unit="MiB"),
    # One for a hundred messages: the state's own ups and downs are some thousands.
    Row(name="small blocks", of=lambda sample: sample.blocks, bound=1600, unit="blocks"),
    Row(name="descriptors", of=lambda sample: sample.descriptors, bound=0.1),
    Row(name="tasks", of=lambda sample: sample.tasks, bound=0.5),
    Row(name="threads", of=lambda sample: sample.threads, bound=0.1),
    Row(name="children", of=lambda sample: sample.children, bound=0.1),
    Row(name="subscriptions", of=lambda sample: sample.subscriptions, bound=0.1),
    Row(name="calls in flight", of=lambda sample: sample.in_flight + sample.queued, bound=1.0),
    Row(name="open server requests", of=lambda sample: sample.tickets, bound=0.5),
    Row(name="turns in the state", of=lambda sample: sample.kept_turns, bound=math.inf),  # the program checks its limit
    Row(name="lag of the loop", of=lambda sample: sample.lag, bound=0.005, scale=0.001, unit="ms"),
)
LIVES: Final = (
    ("rss", 100.0),
    ("blocks", 0.5),
    ("descriptors", 0.0),
    ("tasks", 0.0),
    ("threads", 0.0),
    ("zombies", 0.0),
)
"""What is judged of a row of lives, and by how much it may rise with each."""


def of_story(story: Story) -> tuple[dict[str, Any], bool]:
    """Judge a soak, print what it came to, and return that and whether it is good."""
    trends = {row.name: _second_half(story.samples, row) for row in ROWS}
    last = story.samples[-1] if story.samples else None
    title = f"{story.seconds:.0f} s, seed {story.settings.seed}, {story.settings.threads} threads"
    table(
        f"Figures over the second half: {title}",
        ["row", "begins", "ends", "a minute", "p", "bound", "verdict"],
        [_told(row, trends[row.name]) for row in ROWS],
    )
    report = story.report
    if last is not None and report is not None:
        lost = {name: missed for name, (_, missed) in report.readers.items()}
        totals = {
            "messages": last.messages,
            "turns": last.turns,
            "restarts": last.restarts,
            "faults": sum(story.faults.values()),
            "answers that say yes": len(report.yes) + len(report.yes_turns),
        }
        table("Totals", ["what", "count"], [[name, figure(count)] for name, count in totals.items()])
        table("Faults", ["fault", "count"], [[kind, str(count)] for kind, count in sorted(story.faults.items())])
        table(
            "What was begun",
            ["what", "begun", "ended", "latest, s from its bound"],
            [
                [kind, str(count), str(report.ended.get(kind, 0)), f"{report.latest.get(kind, 0.0):+.2f}"]
                for kind, count in sorted(report.begun.items())
            ],
        )
        print(f"\n  told as missed: {lost}")
    growing = [name for name, trend in trends.items() if not trend.is_good]
    for each in [*story.wrong, *(f"grows: {name}" for name in growing)]:
        print(f"  WRONG  {each}")
    is_good = not story.wrong and not growing
    print(f"\n  {'good' if is_good else 'NOT GOOD'}{', cut short' if story.cut_short else ''}")
    told = {
        "is_good": is_good,
        "machine": machine.describe(),
        "settings": msgspec.to_builtins(story.settings),
        "seconds": round(story.seconds, 1),
        "cut_short": story.cut_short,
        "trends": {name: _as_dict(trend) for name, trend in trends.items()},
        "faults": story.faults,
        "skipped": story.skipped,
        "wrong": story.wrong,
        "report": None
        if report is None
        else msgspec.to_builtins(msgspec.structs.replace(report, yes=[], yes_turns=[])),
        "samples": msgspec.to_builtins(story.samples),
    }
    return told, is_good


def of_lives(lives: Lives) -> tuple[dict[str, Any], bool]:
    """Judge a row of lives, print what it came to, and return that and whether it is good."""
    rows = {name: list(row) for name, row in lives.rows.items()}
    count = rows["lives"][-1]
    half = max(len(rows["lives"]) // 2, sum(life < SETTLED for life in rows["lives"]))
    trends = {name: judge(rows["lives"][half:], rows[name][half:], bound=bound) for name, bound in LIVES}
    cells = [
        [name, figure(t.first), figure(t.last), figure(max(rows[name])), f"{t.slope:.4g}", f"{t.p:.2g}", t.word]
        for name, t in trends.items()
    ]
    title = f"{count} lives, {lives.name}, {lives.seconds:.1f} s"
    table(title, ["row, second half", "begins", "ends", "most", "a life", "p", "verdict"], cells)
    wrong = [f"left over: {each}" for each in lives.left]
    wrong += [f"grows: {name}" for name, trend in trends.items() if not trend.is_good]
    wrong += ["zombies" for _ in range(max(rows["zombies"]) > 1)]  # one may be on its way to be waited for
    for each in wrong:
        print(f"  WRONG  {each}")
    told = {
        "is_good": not wrong,
        "machine": machine.describe(),
        "trends": {name: _as_dict(trend) for name, trend in trends.items()},
        "wrong": wrong,
        "seconds": round(lives.seconds, 1),
        "rows": rows,
    }
    return told, not wrong


def picture(story: Story) -> str:
    """Draw the figures of a soak."""
    panels = []
    xs = _minutes(story.samples)
    for row in ROWS:
        ys = [row.of(sample) / row.scale for sample in story.samples]
        if max(ys) <= 0:
            continue
        trend = _second_half(story.samples, row)
        points = list(zip(*medians(xs, ys, POINTS), strict=True))
        slope = f"{figure(trend.slope / row.scale)} a minute"
        verdict = trend.word if trend.word == "flat" else f"{trend.word}: {slope}"
        panels.append(svg.Panel(title=row.name, verdict=verdict, x="minutes", y=row.unit or row.name, points=points))
    restarts = [(x, float(sample.restarts)) for x, sample in zip(xs, story.samples, strict=True)]
    total = story.samples[-1]
    told = f"{figure(total.messages)} messages, {figure(total.turns)} turns"
    if total.restarts:
        panels.append(
            svg.Panel(
                title="restarts", verdict=told, x="minutes", y="so far", points=restarts[:: len(xs) // POINTS + 1]
            )
        )
    where = machine.describe()
    caption = (
        f"{story.seconds / 60:.0f} minutes, {story.settings.threads} threads, a fault every {story.settings.every:g} s; "
        f"{where['python']}, {where['cpu']}, {where['cores']} cores, {where['system']}"
    )
    return svg.page([panels[k : k + 4] for k in range(0, len(panels), 4)], caption)


def write(part: str, told: dict[str, Any]) -> None:
    """Keep what one kind of run came to, beside what the others did."""
    RESULTS.parent.mkdir(exist_ok=True)
    kept = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    RESULTS.write_text(json.dumps({**kept, part: told}, indent=1), encoding="utf-8")
    print(f"\nwritten to {RESULTS}")


def _second_half(samples: Sequence[Sample], row: Row) -> Trend:
    late = [sample for sample in samples[len(samples) // 2 :] if sample.at - samples[0].at >= WARM_UP]
    return judge(_minutes(late), [row.of(sample) for sample in late], bound=row.bound)


def _minutes(samples: Sequence[Sample]) -> list[float]:
    return [(sample.at - samples[0].at) / 60 for sample in samples]


def _told(row: Row, trend: Trend) -> list[str]:
    first, last, slope, bound = (value / row.scale for value in (trend.first, trend.last, trend.slope, trend.bound))
    return [row.name, figure(first), figure(last), figure(slope), f"{trend.p:.2g}", figure(bound), trend.word]


def _as_dict(trend: Trend) -> dict[str, Any]:
    told = {name: getattr(trend, name) for name in ("word", "slope", "p", "first", "last", "bound")}
    return told if math.isfinite(trend.bound) else {**told, "bound": None}
