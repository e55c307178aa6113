"""Mutation testing of the core: `python -m verification.mutation [MODULE...] [--jobs 2] [--again] [--report]`.

Every module is put before its tests with one small error in it at a time. Those errors that no test notices are shown as
changed lines, and each of them must have been judged by a person in docs/testing.md. Exit status 1: one was not, or a
judgement is about nothing any more, or too many of a module live. The same sources give the same results.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from verification.mutation.judgements import PAGE, Key, judgements, with_figures
from verification.mutation.mutants import Mutant, mutants
from verification.mutation.run import Outcome, Result, TestsFailError, copied, run
from verification.mutation.targets import CORE, ROOT, Target

__all__ = ["figures", "main", "unsettled"]

RESULTS = ROOT / "verification" / "results" / "mutation.json"
ENOUGH = 0.9
NOTICED: tuple[Outcome, ...] = ("killed", "timeout")
HEADINGS = ("module", "mutants", "killed", "timeout", "survived", "score", "seconds")


def figures(results: Sequence[Result]) -> dict[str, Any]:
    """Return what is kept of a run. ``noticed`` says in few characters which mutants need not be tried again."""
    outcomes = Counter(result.outcome for result in results)
    survivors = [result for result in results if result.outcome == "survived"]
    return {
        "mutants": len(results),
        "killed": outcomes["killed"],
        "timeout": outcomes["timeout"],
        "score": round(1 - len(survivors) / max(1, len(results)), 4),
        "survivors": [
            {"where": each.mutant.where, "line": each.mutant.text, "change": each.mutant.change, "tests": each.tests}
            for each in survivors
        ],
        "noticed": {
            outcome: " ".join(sorted(_digest(each.mutant) for each in results if each.outcome == outcome))
            for outcome in NOTICED
        },
    }


def _digest(mutant: Mutant) -> str:
    return hashlib.sha256(f"{mutant.text}\n{mutant.change}".encode()).hexdigest()[:8]


def unsettled(name: str, told: Mapping[str, Any], judged: Mapping[Key, str]) -> list[str]:
    """Name what is wrong with the survivors of a module, a line each."""
    lives = {(name, each["line"], each["change"]) for each in told["survivors"]}
    of_module = {key for key in judged if key[0] == name}
    wrong = [f"not judged: {line}   {change}" for _, line, change in sorted(lives - of_module)]
    wrong += [f"judged, but killed or gone: {line}   {change}" for _, line, change in sorted(of_module - lives)]
    if told["score"] < ENOUGH:
        wrong.append(f"only {told['score']:.1%} of the mutants are noticed, and {ENOUGH:.0%} have to be")
    return wrong


def main(argv: Sequence[str] | None = None) -> int:
    """Run what was asked for."""
    options = _options(argv)
    names = options.modules or [target.name for target in CORE]
    judged = judgements(PAGE.read_text(encoding="utf-8"))
    print(_row(HEADINGS), flush=True)
    wrong: dict[str, list[str]] = {}
    with copied(ROOT) as folder:
        for target in (target for target in CORE if target.name in names):
            before = _kept().get(target.name) if options.again else None
            try:
                told = _one(folder, target, before, options.jobs, judged)
            except TestsFailError as error:
                print(error, file=sys.stderr)
                return 1
            kept = {**_kept(), target.name: told}
            RESULTS.write_text(
                json.dumps({each.name: kept[each.name] for each in CORE if each.name in kept}, indent=1) + "\n"
            )
            wrong[target.name] = unsettled(target.name, told, judged)
    if options.report:
        report(PAGE, _kept())
    for name, lines in wrong.items():
        for line in lines:
            print(f"{name}: {line}")
    return int(any(wrong.values()))


def report(page: Path, modules: Mapping[str, Any]) -> None:
    """Write the figures into the page."""
    page.write_text(with_figures(page.read_text(encoding="utf-8"), modules), encoding="utf-8")


def _kept() -> dict[str, Any]:
    kept: dict[str, Any] = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    return kept


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    names = [target.name for target in CORE]
    parser = argparse.ArgumentParser(
        prog="python -m verification.mutation", description="Mutation testing of the core."
    )
    parser.add_argument(
        "modules", nargs="*", metavar="MODULE", help=f"some of {', '.join(names)}; all, if none is named"
    )
    parser.add_argument("--jobs", type=int, default=2, help="how many run at the same time (2)")
    parser.add_argument(
        "--again", action="store_true", help="try only those that nobody noticed the last time, and new ones"
    )
    parser.add_argument("--report", action="store_true", help="write the figures into docs/testing.md")
    options = parser.parse_args(argv)
    if unknown := set(options.modules) - set(names):
        parser.error(f"no such module: {', '.join(sorted(unknown))}")
    return options


def _one(
    folder: Path,
    target: Target,
    before: Mapping[str, Any] | None,
    jobs: int,
    judged: Mapping[Key, str],
) -> dict[str, Any]:
    began = time.monotonic()
    source = target.path(folder).read_text(encoding="utf-8")
    noticed: dict[str, Outcome] = {}
    if before is not None:
        for outcome in NOTICED:
            noticed |= dict.fromkeys(before["noticed"][outcome].split(), outcome)
    tried = iter(run(folder, target, jobs=jobs, pick=lambda mutant: _digest(mutant) not in noticed))
    results = [
        Result(mutant, noticed[_digest(mutant)], 0) if _digest(mutant) in noticed else next(tried)
        for mutant in mutants(source)
    ]
    told = figures(results)
    seconds = f"{time.monotonic() - began:.0f}"
    cells = (told["mutants"], told["killed"], told["timeout"], len(told["survivors"]), f"{told['score']:.1%}", seconds)
    print(_row((target.name, *map(str, cells))), flush=True)
    for result in results:
        if result.outcome == "survived":
            mutant = result.mutant
            why = judged.get((target.name, mutant.text, mutant.change), "not judged")
            tests = f"{result.tests} tests run it" if result.tests else "no test runs it"
            print(f"\n{mutant.diff(source)}\n    {mutant.where}: {mutant.change} ({tests})\n    {why}", flush=True)
    return told


def _row(cells: Sequence[str]) -> str:
    return f"{cells[0]:24}" + "".join(f"{cell:>10}" for cell in cells[1:])


if __name__ == "__main__":
    sys.exit(main())
