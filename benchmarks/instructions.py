"""Instructions per event and per call: the figure that a busy machine cannot blur. `python -m benchmarks.instructions`.

Each contender runs the same workload twice, with n1 and n2 events; (I(n2) - I(n1)) / (n2 - n1) leaves only what an event
costs in the client's own process. Counted by valgrind's cachegrind, or by `perf` where the processor lets it.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from typing import Any

from benchmarks import firehose
from benchmarks.contenders import CONTENDERS, available, load
from benchmarks.report import table

__all__ = ["measure", "show"]

# workload → how it is asked for, and the numbers of events for quick and for slow contenders
WORKLOADS = {
    "delta": ("fire:n={n};mix=delta", (10_000, 30_000), (1_000, 3_000)),
    "mixed": ("fire:n={n};mix=mixed", (8_000, 16_000), (1_000, 3_000)),
    "call": ("call", (500, 2_000), (200, 600)),
    "approval": ("fire:n=0;reqs={n};win=1", (300, 1_000), (100, 300)),
}
MEASURED = {
    "delta": ("ours", "ours-stateless", "naive", "sdk", "sdk-async", "decode"),
    "mixed": ("ours", "ours-stateless", "naive", "sdk"),
    "call": ("ours", "naive", "sdk", "sdk-async"),
    "approval": ("ours", "naive", "sdk"),
}
SLOW = ("sdk", "sdk-async")


def counter() -> str | None:
    """Return what can count here: ``valgrind``, ``perf``, or nothing."""
    if shutil.which("valgrind"):
        return "valgrind"
    if shutil.which("perf") and _perf([sys.executable, "-c", "pass"]) is not None:
        return "perf"
    return None


def measure() -> dict[str, Any]:
    """Count for every workload and contender."""
    by = counter()
    if by is None:
        return {"counter": None, "figures": {}}
    figures: dict[str, dict[str, float | None]] = {}
    for workload, names in MEASURED.items():
        directive, quick, slow = WORKLOADS[workload]
        figures[workload] = {}
        for name in filter(available, names):
            n1, n2 = slow if name in SLOW else quick
            low, high = (_count(by, name, directive.format(n=n), n) for n in (n1, n2))
            figures[workload][name] = (high - low) / (n2 - n1) if low is not None and high is not None else None
    return {"counter": by, "figures": figures}


def show(result: dict[str, Any]) -> None:
    """Print what was counted."""
    if result["counter"] is None:
        print("\ninstructions: neither valgrind nor a perf that may count is here, so they cannot be told")
        return
    for workload, figures in result["figures"].items():
        ours = figures.get("ours")
        rows = [
            [
                CONTENDERS[name][3],
                f"{value / ours:.2f}x" if value and ours else "-",
                f"{value:,.0f}".replace(",", " ") if value else "failed",
            ]
            for name, value in figures.items()
        ]
        table(f"instructions: {workload} ({result['counter']})", ["", "ours is", "instructions each"], rows)


def _count(by: str, name: str, directive: str, n: int) -> float | None:
    command = [sys.executable, "-m", "benchmarks.instructions", "run", name, directive, str(n)]
    return _perf(command) if by == "perf" else _cachegrind(command)


def _cachegrind(command: list[str]) -> float | None:
    valgrind = [
        "valgrind",
        "--tool=cachegrind",
        "--cache-sim=no",
        "--trace-children=no",
        "--cachegrind-out-file=/dev/null",
    ]
    done = subprocess.run(
        [*valgrind, *command], check=False, capture_output=True, text=True, env={**os.environ, "PYTHONHASHSEED": "0"}
    )
    found = re.search(r"^==(\d+)== I\s+refs:\s+([\d,]+)", done.stderr, re.MULTILINE)
    return float(found[2].replace(",", "")) if found and done.returncode == 0 else None


def _perf(command: list[str]) -> float | None:
    done = subprocess.run(
        ["perf", "stat", "-x,", "-e", "instructions:u", *command], check=False, capture_output=True, text=True
    )
    found = re.search(r"^(\d+),", done.stderr, re.MULTILINE)
    return float(found[1]) if found and done.returncode == 0 else None


def _run(name: str, directive: str, n: int) -> None:
    """Be the measured process."""
    contender = load(name)
    contender.open(firehose.command())
    if directive == "call":
        contender.calls(n, 1)
    else:
        turn = contender.turn(directive)
        assert turn.events >= n, turn
    contender.close()


if __name__ == "__main__":
    if sys.argv[1:2] == ["run"]:
        _run(sys.argv[2], sys.argv[3], int(sys.argv[4]))
    else:
        counted = measure()
        print(json.dumps(counted)) if "--json" in sys.argv else show(counted)
