"""Measure, print, and write it all down: `python -m benchmarks [--full] [--only NAME] [--pin]`."""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

from benchmarks import decode, instructions, machine, startup, tables
from benchmarks.contenders import CONTENDERS, available
from benchmarks.duel import Duel
from benchmarks.workloads import WORKLOADS

RESULTS = Path(__file__).parent / "results"
BESIDE = ("import", "decode", "instructions")  # tables that are no workloads


def options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--full", action="store_true", help="more and longer rounds, instructions of all (40 minutes)")
    parser.add_argument(
        "--only",
        action="append",
        metavar="NAME",
        choices=[*(w.name for w in WORKLOADS), *BESIDE],
        help="measure only this; repeatable: " + ", ".join([*(w.name for w in WORKLOADS), *BESIDE]),
    )
    parser.add_argument(
        "--pin", action="store_true", help="keep client and server on one core, which takes wake-ups out of the figures"
    )
    parser.add_argument("--rounds", type=int, help="how often contenders take turns (5, with --full 9)")
    parser.add_argument("--seconds", type=float, help="how long each takes in one round (0.3, with --full 1)")
    return parser.parse_args()


def main() -> None:
    """Measure what was asked for, print it, and write it down."""
    chosen = options()
    began = time.monotonic()
    wanted = set(chosen.only or [])
    rounds = chosen.rounds or (9 if chosen.full else 5)
    results: dict[str, Any] = {
        "machine": machine.describe(),
        "at": time.time(),
        "pinned": chosen.pin,
        "rounds": rounds,
        "workloads": {},
    }
    introduce(results["machine"])
    with Duel(rounds=rounds, seconds=chosen.seconds or (1.0 if chosen.full else 0.3), pinned=chosen.pin) as duel:
        for workload in WORKLOADS:
            if (not wanted or workload.name in wanted) and workload.possible:
                outcomes = results["workloads"][workload.name] = tables.summary(workload, duel.run(workload))
                tables.show(workload, outcomes)
    if not wanted or "import" in wanted:
        results["import"] = startup.measure(10)
        startup.show(results["import"])
    if not wanted or "decode" in wanted:
        results["decode"] = decode.measure()
        decode.show(results["decode"])
    if not wanted or "instructions" in wanted:
        if instructions.can_count():
            plans = (instructions.OURS, instructions.OTHERS, *([instructions.SLOW] if chosen.full else []))
            results["instructions"] = instructions.measure(*plans)
            instructions.show(results["instructions"])
        else:
            print("\ninstructions: not counted, there is no valgrind here")
    results["seconds"] = time.monotonic() - began
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / ("part.json" if wanted else "latest.json")  # the page is made of a whole run
    path.write_text(json.dumps(results, indent=1), encoding="utf-8")
    print(f"\n{results['seconds']:.0f} s; written to {path}")


def introduce(where: dict[str, Any]) -> None:
    """Say where this is, who takes part, and how to read what follows."""
    print(f"{where['cpu']}, {where['cores']} cores, {where['system']}, {where['python']}, load {where['load']}")
    print(", ".join(f"{name} {version}" for name, version in where["versions"].items()))
    if missing := [entry.label for name, entry in CONTENDERS.items() if not available(name)]:
        print(f"not installed, left out: {', '.join(missing)}")
    print(
        "'ours is 4x': the median over the rounds of (ours / theirs in the same round) is 4 times as good; by CPU: in"
    )
    print(
        "processor time, which other work on the machine blurs less. 'share': what part of the first row this one reaches."
    )


if __name__ == "__main__":
    main()
