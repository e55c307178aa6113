"""Break the stores in every way there is here, print a table, and write down the figures.

    python -m verification.crash --rounds 1000 [--store jsonl] [--seed 7]

``--rounds`` is how many programs are killed, over all stores; the calls that fail are always all there are, and the power is
cut after every change. It ends with 1 if anything that was acknowledged is gone.
"""

from __future__ import annotations

import argparse
import json
import platform
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import TypeAlias

import msgspec

from verification.crash import faults, kill, living, power
from verification.crash.disk import ROOT, build, memory
from verification.crash.stores import STORES

RESULTS = ROOT / "verification" / "results" / "crash.json"
# Choices of what the disk has of what was not waited for, per cut.
CHOICES = 5

Result: TypeAlias = kill.Deaths | power.Cuts | faults.Outcome


def main() -> int:
    """Run it all."""
    parser = argparse.ArgumentParser(prog="python -m verification.crash", description="Break the stores.")
    parser.add_argument("--rounds", type=int, default=1000, help="how many programs to kill, over all stores")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--store", choices=STORES, action="append", help="only this one (may be said again)")
    options = parser.parse_args()
    stores = options.store or list(STORES)
    small = [store for store in stores if STORES[store].is_small]
    rounds, seed, begun = -(-options.rounds // len(stores)), options.seed, time.monotonic()
    report: dict[str, object] = {
        "seed": seed,
        "rounds": rounds * len(stores),
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
    }
    violations: list[str] = []

    def note(what: str, results: list[Result]) -> None:
        """Write down what there is by now: it takes long, and may be broken off."""
        violations.extend(f"{one.store}: {wrong}" for one in results for wrong in one.violations)
        report[what] = msgspec.to_builtins(results)
        report["seconds"] = round(time.monotonic() - begun, 1)
        if options.store is None:
            RESULTS.parent.mkdir(exist_ok=True)
            RESULTS.write_text(json.dumps(report, indent=2) + "\n")

    with tempfile.TemporaryDirectory(dir=memory()) as name:
        folder = Path(name)
        library = build(folder)
        note("killed", _table("programs killed", stores, partial(kill.run, rounds=rounds, seed=seed, folder=folder)))
        cut = partial(power.run, library=library, folder=folder, seed=seed, choices=CHOICES)
        note("power", _table("power cut", small, cut))
        note("failed", _table("calls failed", small, partial(faults.run, library=library, folder=folder)))
        note("runtime", _table("below a runtime", ["runtime"], lambda _: living.run(library, folder)))
    print(f"\n{len(violations)} violations in {report['seconds']} s")
    for line in violations[:50]:
        print(f"  {line}")
    return 1 if violations else 0


def _table(title: str, stores: Iterable[str], run: Callable[[str], Result]) -> list[Result]:
    """Run something for each store and print the figures of each in a row."""
    results: list[Result] = []
    for store in stores:
        result = run(store)
        figures = {name: value for name, value in msgspec.structs.asdict(result).items() if isinstance(value, int)}
        figures["violations"] = len(result.violations)
        if not results:
            print(f"\n{title:20}" + "".join(f"{name.replace('_', ' '):>20}" for name in figures))
        print(f"  {store:18}" + "".join(f"{value:20}" for value in figures.values()), flush=True)
        results.append(result)
    return results


if __name__ == "__main__":
    sys.exit(main())
