"""Measure and report: `python -m benchmarks [--full] [--only NAME] [--pin]`."""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path
from typing import Any

from benchmarks import decode, instructions, report, startup
from benchmarks.contenders import CONTENDERS, available
from benchmarks.duel import Duel
from benchmarks.workloads import WORKLOADS

RESULTS = Path(__file__).parent / "results" / "latest.json"
BESIDE = ("import", "decode", "instructions")  # tables that are no workloads


def options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--full", action="store_true", help="more rounds, longer runs, big lines, instructions (15 minutes)"
    )
    parser.add_argument(
        "--only",
        action="append",
        metavar="NAME",
        choices=[*(w.name for w in WORKLOADS), *BESIDE],
        help="measure only this; repeatable",
    )
    parser.add_argument(
        "--pin", action="store_true", help="keep client and server on one core, which takes wake-ups out of the figures"
    )
    return parser.parse_args()


def main() -> None:
    """Measure what was asked for, print it, and write it down."""
    chosen = options()
    machine = report.machine()
    print(
        f"{machine['cpu']}, {machine['cores']} cores, {machine['system']}, {machine['python']} ({machine['executable_flags']})"
    )
    print(
        f"load before: {machine['load']}. 'ours is 4x' = the median over the rounds of (ours / theirs in the same round), 4 times as good."
    )
    missing = [CONTENDERS[name][3] for name in CONTENDERS if not available(name)]
    if missing:
        print(f"not installed, left out: {', '.join(missing)}")
    if chosen.pin and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    began = time.monotonic()
    results: dict[str, Any] = {"machine": machine, "pinned": chosen.pin, "at": time.time(), "workloads": {}}
    wanted = set(chosen.only or [])
    with Duel(rounds=9 if chosen.full else 4, seconds=1.0 if chosen.full else 0.3) as duel:
        for workload in WORKLOADS:
            if workload.name in wanted or (not wanted and (chosen.full or not workload.only_full)):
                results["workloads"][workload.name] = report.workload_table(workload, duel.run(workload))
    if not wanted or "import" in wanted:
        results["import"] = startup.measure(10)
        report.startup_table(results["import"])
    if not wanted or "decode" in wanted:
        ours, sdk = decode.measure("ours"), decode.measure("sdk") if available("sdk") else None
        results["decode"] = {"ours": ours, "sdk": sdk}
        report.decode_table(ours, sdk)
    if "instructions" in wanted or (chosen.full and not wanted):
        results["instructions"] = instructions.measure(slow=chosen.full)
        instructions.show(results["instructions"])
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(results, indent=1), encoding="utf-8")
    print(
        f"\n{time.monotonic() - began:.0f} s; written to {RESULTS.relative_to(Path.cwd()) if RESULTS.is_relative_to(Path.cwd()) else RESULTS}"
    )


if __name__ == "__main__":
    main()
