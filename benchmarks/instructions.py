"""Instructions per event and per call: the figure that a busy machine cannot blur. `python -m benchmarks.instructions`.

Each contender runs all its workloads once with few events each, then once more for every workload with more of that one.
(I(more) - I(few)) / (more - few) leaves only what an event costs in the client's own process. Counted by valgrind's
cachegrind, or by `perf` where the processor lets it.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from benchmarks import firehose
from benchmarks.contenders import CONTENDERS, available, load
from benchmarks.report import table

__all__ = ["measure", "show"]

# workload → the turn that is run (for calls: none), how few, how many more
WORKLOADS: dict[str, tuple[str, int, int]] = {
    "delta": ("fire:n={n};mix=delta", 10_000, 20_000),
    "mixed": ("fire:n={n};mix=mixed", 20_000, 20_000),
    "call": ("", 500, 1_500),
    "approval": ("fire:n=0;reqs={n};win=1", 300, 700),
}
MEASURED = {
    "ours": ("delta", "mixed", "call", "approval"),
    "ours-stateless": ("delta", "mixed"),
    "ours-typed": ("delta", "mixed"),
    "naive": ("delta", "mixed", "call", "approval"),
    "decode": ("delta", "mixed"),
}
# A minute and more for each run under valgrind, because of what it imports.
SLOW = {"sdk": ("delta", "mixed", "call", "approval"), "sdk-async": ("delta", "call")}
SLOW_SHARE = 10  # and so it gets fewer events


def counter() -> str | None:
    """Return what can count here: ``valgrind``, ``perf``, or nothing."""
    if shutil.which("perf") and _perf([sys.executable, "-c", "pass"]) is not None:
        return "perf"
    return "valgrind" if shutil.which("valgrind") else None


def measure(*, slow: bool = False) -> dict[str, Any]:
    """Count for every contender and workload, on all cores at once."""
    by = counter()
    if by is None:
        return {"counter": None, "figures": {}}
    plan = {name: names for name, names in {**MEASURED, **(SLOW if slow else {})}.items() if available(name)}
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        runs = {
            (name, more): pool.submit(
                _count, by, name, [(workload, _events(name, workload, workload == more)) for workload in names]
            )
            for name, names in plan.items()
            for more in (None, *names)
        }
    figures: dict[str, dict[str, float | None]] = {workload: {} for workload in WORKLOADS}
    for name, names in plan.items():
        few = runs[name, None].result()
        for workload in names:
            more = runs[name, workload].result()
            added = _events(name, workload, True) - _events(name, workload, False)
            figures[workload][name] = None if few is None or more is None else (more - few) / added
    return {"counter": by, "figures": figures}


def show(result: dict[str, Any]) -> None:
    """Print what was counted."""
    if result["counter"] is None:
        print("\ninstructions: neither valgrind nor a perf that may count is here, so they cannot be told")
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


def _events(name: str, workload: str, more: bool) -> int:  # noqa: FBT001
    _, few, added = WORKLOADS[workload]
    return (few + added * more) // (SLOW_SHARE if name in SLOW else 1)


def _count(by: str, name: str, jobs: list[tuple[str, int]]) -> float | None:
    command = [sys.executable, "-m", "benchmarks.instructions", "run", name, json.dumps(jobs)]
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
    found = re.findall(r"^==\d+== I\s+refs:\s+([\d,]+)", done.stderr, re.MULTILINE)
    # A child between fork and exec is counted too; the client itself ends last.
    return float(found[-1].replace(",", "")) if found and done.returncode == 0 else None


def _perf(command: list[str]) -> float | None:
    done = subprocess.run(
        ["perf", "stat", "-x,", "--no-inherit", "-e", "instructions:u", *command],
        check=False,
        capture_output=True,
        text=True,
    )
    found = re.search(r"^(\d+),", done.stderr, re.MULTILINE)
    return float(found[1]) if found and done.returncode == 0 else None


def _run(name: str, jobs: list[tuple[str, int]]) -> None:
    """Be the measured process."""
    contender = load(name)
    contender.open(firehose.command())
    for workload, n in jobs:
        directive = WORKLOADS[workload][0]
        if directive:
            contender.turn(directive.format(n=n))
        else:
            contender.calls(n, 1)
    contender.close()


if __name__ == "__main__":
    if sys.argv[1:2] == ["run"]:
        _run(sys.argv[2], json.loads(sys.argv[3]))
    else:
        show(measure(slow="--all" in sys.argv))
