"""Puts every mutant of a module before the module's tests and says which of them nobody noticed.

A private copy of sources and tests is made first, so nothing here disturbs the work tree, and nothing in the work tree
disturbs a run. Each mutant meets only the tests that run its lines, the quick ones first.
"""

from __future__ import annotations

import json
import os
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import grimp

from verification.mutation.mutants import Mutant, mutants
from verification.mutation.targets import Target
from verification.mutation.worker import AS_LONG, BASELINE, HUNG

__all__ = ["Outcome", "Result", "TestsFailError", "copied", "run"]

Outcome: TypeAlias = Literal["killed", "timeout", "survived"]
PARTS = ("src", "tests", "verification")
LEAST = 4.0  # seconds that a test is given at least
OVERHEAD = 20.0  # seconds for what surrounds the tests


class TestsFailError(Exception):
    """The tests fail without any error put in."""

    __test__ = False  # not what pytest looks for


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one mutant, and how many tests ran its lines."""

    mutant: Mutant
    outcome: Outcome
    tests: int


@contextmanager
def copied(root: Path) -> Iterator[Path]:
    """Copy what is needed to run the tests, and take it away again."""
    with tempfile.TemporaryDirectory(prefix="mutation-") as name:
        folder = Path(name).resolve()
        for part in PARTS:
            if (root / part).exists():
                shutil.copytree(root / part, folder / part, ignore=shutil.ignore_patterns("__pycache__", "*.json"))
        mine = folder / "verification" / "mutation"
        if not mine.exists():  # another project than ours
            shutil.copytree(Path(__file__).parent, mine, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(root / "pyproject.toml", folder)
        yield folder


class Hand:
    """A worker process, and what is said to it."""

    def __init__(self, folder: Path, target: Target, beforehand: list[str]) -> None:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder / "src"), str(folder)])}
        environment["PYTHONHASHSEED"] = "0"
        self._process = subprocess.Popen(
            [sys.executable, "-m", "verification.mutation.worker"],
            cwd=folder,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        first = {
            "module": target.module,
            "path": str(target.path(folder)),
            "files": list(target.tests),
            "folder": str(folder),
            "beforehand": beforehand,
        }
        self._say(first)

    def do(self, number: int, tests: list[str], each: float, whole: float) -> dict[str, Any]:
        """Have one job done."""
        self._say({"number": number, "tests": tests, "each": each, "all": whole})
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"a worker ended with status {self._process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.communicate()

    def _say(self, what: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(what) + "\n")
        self._process.stdin.flush()


def run(
    folder: Path,
    target: Target,
    *,
    jobs: int = 2,
    least: float = LEAST,
    pick: Callable[[Mutant], bool] = lambda _: True,
) -> list[Result]:
    """Return what became of each mutant of a module that was picked, in the order of the text.

    ``least`` seconds are what each test is given at least.
    """
    source = target.path(folder).read_text(encoding="utf-8")
    beforehand = _not_above(folder, target.module)
    hands = [Hand(folder, target, beforehand) for _ in range(jobs)]
    try:
        seen = _baseline(hands[0], target)
        work: queue.SimpleQueue[tuple[int, Mutant]] = queue.SimpleQueue()
        wanted = [(number, mutant) for number, mutant in enumerate(mutants(source)) if pick(mutant)]
        for each in wanted:
            work.put(each)
        results: dict[int, Result] = {}
        errors: list[Exception] = []

        def go_on(hand: Hand) -> None:
            try:
                while not errors:
                    number, mutant = work.get_nowait()
                    results[number] = _judge(hand, number, mutant, seen, least)
            except queue.Empty:
                pass
            except Exception as error:  # noqa: BLE001  # raised below, in the thread that asked
                errors.append(error)

        threads = [threading.Thread(target=go_on, args=(hand,)) for hand in hands]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for error in errors:
            raise error
        return [results[number] for number, _ in wanted]
    finally:
        for hand in hands:
            hand.close()


def _baseline(hand: Hand, target: Target) -> dict[str, Any]:
    answer = hand.do(BASELINE, [], 300.0, 900.0)
    if answer["status"] != 0:
        raise TestsFailError(f"{', '.join(target.tests)} fail as they are:\n{answer['log'][-4000:]}")
    seen: dict[str, Any] = answer["seen"]
    return seen


def _judge(hand: Hand, number: int, mutant: Mutant, seen: dict[str, Any], least: float) -> Result:
    lines = set(range(mutant.first, mutant.last + 1))
    tests = seen["tests"]
    if lines.isdisjoint(seen["at_import"]):
        tests = {name: test for name, test in tests.items() if not lines.isdisjoint(test["lines"])}
    if not tests:
        return Result(mutant, "survived", 0)
    names = sorted(tests, key=lambda name: (round(tests[name]["seconds"], 1), name))
    seconds = [test["seconds"] for test in tests.values()]
    answer = hand.do(number, names, least + AS_LONG * max(seconds), OVERHEAD + AS_LONG * sum(seconds))
    if answer["status"] is None or answer["status"] < 0 or answer["status"] == HUNG:
        return Result(mutant, "timeout", len(names))
    return Result(mutant, "survived" if answer["status"] == 0 else "killed", len(names))


def _not_above(folder: Path, module: str) -> list[str]:
    """Return the modules of the package that can be imported without importing ``module``."""
    package = module.split(".", maxsplit=1)[0]
    sys.path.insert(0, str(folder / "src"))
    try:
        graph = grimp.build_graph(package, cache_dir=None, exclude_type_checking_imports=True)
    finally:
        sys.path.remove(str(folder / "src"))
    above: set[str] = set()
    more = {module}
    while more:
        above |= more
        children = {
            each for each in graph.modules for parent in more if parent != package and each.startswith(f"{parent}.")
        }
        more = (children.union(*(graph.find_downstream_modules(each) for each in more))) - above
    return sorted(name for name in graph.modules - above if not name.endswith("__main__"))
