"""Figures and tables for people: medians over the rounds, ratios of contenders that ran in the same round."""

from __future__ import annotations

import math
import statistics
import sys
from typing import Any

from benchmarks.contenders import CONTENDERS
from benchmarks.workloads import Workload

__all__ = ["figure", "grouped", "show", "summary", "table"]


def figure(value: float) -> str:
    """Return a number with about three digits."""
    if math.isinf(value):
        return "∞"
    if abs(value) >= 1000:
        return grouped(value)
    return f"{value:.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"


def grouped(value: float) -> str:
    """Return a whole number in groups of three digits."""
    return f"{value:,.0f}".replace(",", " ")


def table(title: str, headings: list[str], rows: list[list[str]], note: str = "") -> None:
    """Print one table: the first column to the left, all others to the right. A row may end early."""
    widths = [max(len(row[k]) for row in [headings, *rows] if k < len(row)) for k in range(len(headings))]
    print(f"\n{title}")
    for row in [headings, *rows]:
        cells = [
            row[0].ljust(widths[0]),
            *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=False)),
        ]
        print("  " + "  ".join(cells).rstrip())
    if note:
        print(f"  ({note})")
    sys.stdout.flush()


def summary(workload: Workload, results: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """Return what became of each contender: its medians, and how the first one compares with it; or why it failed."""
    first = results[workload.contenders[0]]
    return {name: _outcome(workload, first, rounds) for name, rounds in results.items()}


def _outcome(workload: Workload, first: list[dict[str, Any]], rounds: list[dict[str, Any]]) -> dict[str, Any]:
    good = [result for result in rounds if "error" not in result]
    if not good:
        return {"error": rounds[0]["error"], "rounds": rounds}
    medians = {column.key: statistics.median(result[column.key] for result in good) for column in workload.columns}
    return {
        "ratio": _ratio(first, rounds, workload.key, lower=workload.lower),
        "cpu_ratio": _ratio(first, rounds, "cpu", lower=True) if "cpu" in medians else None,
        "median": medians,
        "rounds": rounds,
    }


def _ratio(first: list[dict[str, Any]], other: list[dict[str, Any]], key: str, *, lower: bool) -> float | None:
    """Return how many times better the first one is: the median over the rounds in which both came through."""
    pairs = [(a[key], b[key]) for a, b in zip(first, other, strict=True) if "error" not in {*a, *b}]
    ratios = [b / a if lower else a / b for a, b in pairs if a > 0 and b > 0]
    return statistics.median(ratios) if ratios else None


def show(workload: Workload, outcomes: dict[str, Any]) -> None:
    """Print the table of one workload."""
    by_cpu = any(column.key == "cpu" for column in workload.columns)
    rows, failures = [], []
    for name, outcome in outcomes.items():
        label = CONTENDERS[name].label
        if "error" in outcome:
            rows.append([label, "fails"])
            failures.append(f"{label}: {outcome['error']}")
            continue
        compared = [_compared(outcome["ratio"], share=workload.share)]
        if by_cpu:
            compared.append(_compared(outcome["cpu_ratio"], share=workload.share))
        figures = (figure(outcome["median"][column.key] / column.unit) for column in workload.columns)
        rows.append([label, *compared, *figures])
    word = "share" if workload.share else "ours is"
    table(
        f"{workload.name}: {workload.title}",
        ["", word, *(["by CPU"] if by_cpu else []), *(column.heading for column in workload.columns)],
        rows,
        "; ".join(filter(None, [workload.note, *failures])),
    )


def _compared(ratio: float | None, *, share: bool) -> str:
    return "-" if ratio is None else f"{100 / ratio:.0f} %" if share else f"{ratio:.2f}x"
