"""Tables for people: plain text, the ratio first."""

from __future__ import annotations

import os
import platform
import statistics
import sys
from pathlib import Path
from typing import Any

from benchmarks.contenders import CONTENDERS
from benchmarks.workloads import Workload

__all__ = ["decode_table", "machine", "startup_table", "table", "workload_table"]


def machine() -> dict[str, Any]:
    """Name the machine, the interpreter and how busy it is."""
    model = platform.processor() or platform.machine()
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    except OSError:
        pass
    return {
        "cpu": model,
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "system": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "executable_flags": "PGO" if "--enable-optimizations" in _configure_args() else "no PGO",
        "load": [round(value, 1) for value in os.getloadavg()],
    }


def _configure_args() -> str:
    import sysconfig

    return str(sysconfig.get_config_var("CONFIG_ARGS") or "")


def table(title: str, headings: list[str], rows: list[list[str]], note: str = "") -> None:
    """Print one table: the first column to the left, all others to the right."""
    widths = [max(len(row[k]) for row in [headings, *rows]) for k in range(len(headings))]
    print(f"\n{title}")
    for row in [headings, *rows]:
        cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        print("  " + "  ".join(cells).rstrip())
    if note:
        print(f"  {note}")
    sys.stdout.flush()


def workload_table(workload: Workload, results: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """Print the table of a workload and return what was in it."""
    rows: list[list[str]] = []
    summary: dict[str, Any] = {}
    for name, rounds in results.items():
        good = [result for result in rounds if "error" not in result]
        if not good:
            rows.append([CONTENDERS[name][3], "failed", *("" for _ in workload.columns)])
            print(f"  {name}: {rounds[0]['error']}", file=sys.stderr)
            continue
        ratio = _ratio(workload, results["ours"], rounds)
        best = {key: _best(key, good) for key, _, _ in workload.columns}
        cells = [_figure(best[key] / divisor) for key, _, divisor in workload.columns]
        rows.append([CONTENDERS[name][3], f"{ratio:.2f}x" if ratio is not None else "-", *cells])
        summary[name] = {"ours_is_times_better": ratio, "best": best, "rounds": rounds}
    table(
        f"{workload.name}: {workload.title}",
        ["", "ours is", *(heading for _, heading, _ in workload.columns)],
        rows,
        workload.note,
    )
    return summary


def _ratio(workload: Workload, ours: list[dict[str, Any]], theirs: list[dict[str, Any]]) -> float | None:
    """Return how many times better we are: the median over the rounds, in each of which both ran."""
    pairs = [(a[workload.key], b[workload.key]) for a, b in zip(ours, theirs, strict=True) if "error" not in {*a, *b}]
    ratios = [(b / a if workload.lower else a / b) for a, b in pairs if a > 0 and b > 0]
    return statistics.median(ratios) if ratios else None


def _best(key: str, results: list[dict[str, Any]]) -> float:
    values = [float(result[key]) for result in results]
    return max(values) if key in ("rate", "calls", "delivered") else min(values)


def _figure(value: float) -> str:
    if value >= 1000:
        return f"{value:,.0f}".replace(",", " ")
    return f"{value:.0f}" if value >= 100 or value == int(value) else f"{value:.3g}"


def startup_table(rows: list[dict[str, Any]]) -> None:
    """Print the cost of imports."""
    table(
        "import: median time over the bare interpreter, and memory after it",
        ["", "over bare ms", "RSS MiB"],
        [[row["name"], _figure(row["over_bare"] * 1e3), _figure(row["rss"] / 2**20)] for row in rows],
    )


def decode_table(ours: dict[str, dict[str, float]], sdk: dict[str, dict[str, float]] | None) -> None:
    """Print the cost of decoding by kind of message."""
    rows = []
    for method, figures in sorted(ours.items()):
        theirs = (sdk or {}).get(method, {}).get("sdk")
        rows.append(
            [
                method,
                f"{theirs / figures['typed']:.1f}x" if theirs else "-",
                _figure(figures["bytes"]),
                _figure(figures["shallow"] * 1e6),
                _figure(figures["typed"] * 1e6),
                _figure(figures["json"] * 1e6),
                _figure(theirs * 1e6) if theirs else "-",
            ]
        )
    table(
        "decode: microseconds a line, without process and pipe ('ours is' compares typed with openai-codex)",
        ["", "ours is", "bytes", "ours shallow", "ours typed", "json.loads", "openai-codex"],
        rows,
    )
