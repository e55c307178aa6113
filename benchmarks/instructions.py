"""Instructions per event and per call: the figure that a busy machine cannot blur. `python -m benchmarks.instructions`.

Each contender runs all its workloads once with few events each, then once more for every workload with more of that one.
(I(more) - I(few)) / (more - few) leaves only what an event costs in the client's own process. Counted by valgrind's
cachegrind, to within a percent from run to run.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

from benchmarks import firehose
from benchmarks.contenders import CONTENDERS, available, interpreter, load
from benchmarks.tables import grouped, table

__all__ = ["OTHERS", "OURS", "SLOW", "can_count", "measure", "show"]

# workload → the turn that is run (for calls: none), how few, how many more
WORKLOADS: dict[str, tuple[str, int, int]] = {
    "delta": ("fire:n={n};mix=delta", 10_000, 20_000),
    "mixed": ("fire:n={n};mix=mixed", 20_000, 20_000),
    "call": ("", 500, 4_500),
    "approval": ("fire:n=0;reqs={n};win=1", 300, 1_700),
}
TITLES = {
    "delta": "a message delta",
    "mixed": "a message of a working turn",
    "call": "a request",
    "approval": "an approval",
}
# contender → its workloads
Plan = Mapping[str, tuple[str, ...]]
OURS: Plan = {
    "ours": ("delta", "mixed", "call", "approval"),
    "ours-stateless": ("delta",),
    "ours-jsonl": ("delta",),
    "ours-journal": ("delta",),
    "loop": ("call",),
}
OTHERS: Plan = {
    "naive": ("delta", "mixed", "call", "approval"),
    "ours-typed": ("delta", "mixed"),
    "decode": ("delta", "mixed"),
}
# A minute and more for each run under valgrind, because of what it imports.
SLOW: Plan = {"sdk": ("delta", "mixed", "call", "approval"), "sdk-async": ("delta", "call"), "cas": ("delta", "call")}
SLOW_SHARE = 10  # and so it gets fewer events

# workload → contender → instructions, or nothing if the run failed
Figures = dict[str, dict[str, float | None]]


def can_count() -> bool:
    """Tell whether there is a valgrind here."""
    return shutil.which("valgrind") is not None


def measure(*plans: Plan) -> Figures:
    """Count for every contender and workload of the plans, on all cores at once."""
    plan = {name: names for each in plans for name, names in each.items() if available(name)}
    # Once without counting: whoever comes first after a change compiles, and that must not be what differs.
    for name, names in plan.items():
        subprocess.run(_command(name, [(workload, 1) for workload in names]), check=True)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        runs = {
            (name, more): pool.submit(
                _count, name, [(workload, _events(name, workload, more=workload == more)) for workload in names]
            )
            for name, names in plan.items()
            for more in (None, *names)
        }
    figures: Figures = {workload: {} for workload in WORKLOADS}
    for name, names in plan.items():
        few = runs[name, None].result()
        for workload in names:
            more = runs[name, workload].result()
            added = _events(name, workload, more=True) - _events(name, workload, more=False)
            figures[workload][name] = None if few is None or more is None else (more - few) / added
    return figures


def show(figures: Figures) -> None:
    """Print what was counted."""
    for workload, counted in figures.items():
        ours = counted.get("ours")
        rows = [
            [
                CONTENDERS[name].label,
                f"{value / ours:.2f}x" if value and ours else "-",
                grouped(value) if value else "failed",
            ]
            for name, value in counted.items()
        ]
        table(f"instructions: {TITLES[workload]}", ["", "ours is", "instructions"], rows)


def _events(name: str, workload: str, *, more: bool) -> int:
    _, few, added = WORKLOADS[workload]
    return (few + added * more) // (SLOW_SHARE if name in SLOW else 1)


def _count(name: str, jobs: list[tuple[str, int]]) -> float | None:
    valgrind = (
        "valgrind",
        "--tool=cachegrind",
        "--cache-sim=no",
        "--trace-children=no",
        "--cachegrind-out-file=/dev/null",
    )
    environment = {**os.environ, "PYTHONHASHSEED": "0"}
    done = subprocess.run(
        [*valgrind, *_command(name, jobs)], check=False, capture_output=True, text=True, env=environment
    )
    found = re.findall(r"^==\d+== I\s+refs:\s+([\d,]+)", done.stderr, re.MULTILINE)
    if done.returncode or not found:
        print(f"{name} under valgrind ended with status {done.returncode}: {done.stderr[-300:]}", file=sys.stderr)
        return None
    # A child between fork and exec is counted too; the client itself ends last.
    return float(found[-1].replace(",", ""))


def _command(name: str, jobs: list[tuple[str, int]]) -> list[str]:
    return [str(interpreter(name)), "-m", "benchmarks.instructions", "run", name, json.dumps(jobs)]


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


def main() -> None:
    """Count and print, or be counted."""
    arguments = sys.argv[1:]
    if arguments[:1] == ["run"]:
        _run(arguments[1], json.loads(arguments[2]))
    elif can_count():
        show(measure(OURS, OTHERS, SLOW))
    else:
        sys.exit("there is no valgrind here to count with")


if __name__ == "__main__":
    main()
