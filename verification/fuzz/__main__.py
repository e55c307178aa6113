"""Fuzz the engine: `python -m verification.fuzz [--seconds 60] [--target NAME] [--jobs 2] [--keep]`.

Each target runs under atheris in a process of its own, from the corpus that is kept. An input that breaks one is written to
verification/results/fuzz. Exit status: 0 if none broke, 1 if one did, 3 if atheris is missing.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path

from verification.fuzz.catalogue import CORPUS, TARGETS, kept

__all__ = ["Outcome", "main", "read"]

RESULTS = CORPUS.parents[1] / "results"
CANNOT = 3
MOST = 1500  # bytes of one input
MARGIN = 240.0  # seconds that the start and the last input of a process may take
HEADINGS = ("target", "executions", "exec/s", "corpus", "new", "crashes")
_WIDTHS = (9, 10, 8, 7, 6, 7)

_STATS = {
    name: re.compile(rf"^stat::{name}: +(\d+)", re.MULTILINE)
    for name in ("number_of_executed_units", "average_exec_per_sec")
}


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of fuzzing one target. ``crashes`` are the inputs that broke it, ``told`` is how the fuzzer ended."""

    target: str
    executions: int
    rate: int
    corpus: int
    new: int
    crashes: tuple[str, ...]
    told: str


def main(argv: Sequence[str] | None = None) -> int:
    """Fuzz what was asked for, print it, and write it down."""
    options = _options(argv)
    if find_spec("atheris") is None:
        print("atheris is needed: pip install atheris, into an environment that has this package", file=sys.stderr)
        return CANNOT
    names = options.target or TARGETS
    print(_row(HEADINGS), flush=True)
    outcomes: list[Outcome] = []
    with ThreadPoolExecutor(options.jobs) as pool:
        for outcome in pool.map(lambda name: _fuzz(name, options.seconds, keep=options.keep), names):
            outcomes.append(outcome)
            figures = (outcome.executions, outcome.rate, outcome.corpus, outcome.new, len(outcome.crashes))
            print(_row((outcome.target, *(f"{figure:,}" for figure in figures))), flush=True)
            if outcome.crashes:
                print(outcome.told, flush=True)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "fuzz.json").write_text(json.dumps(list(map(asdict, outcomes)), indent=1) + "\n", encoding="utf-8")
    return int(any(outcome.crashes for outcome in outcomes))


def read(told: str) -> tuple[int, int]:
    """Return how many inputs a fuzzer says that it has tried, in all and in a second."""
    found = [pattern.search(told) for pattern in _STATS.values()]
    executions, rate = (0 if match is None else int(match[1]) for match in found)
    return executions, rate


def _fuzz(name: str, seconds: int, *, keep: bool) -> Outcome:
    before = kept(name)
    broken = RESULTS / "fuzz" / name
    shutil.rmtree(broken, ignore_errors=True)
    broken.mkdir(parents=True)
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        grown = Path(folder, "corpus")
        shutil.copytree(CORPUS / name, grown)
        told = _atheris(
            name, f"-max_total_time={seconds}", f"-artifact_prefix={broken}/", str(grown), limit=seconds + MARGIN
        )
        executions, rate = read(told)
        found = len(list(grown.iterdir()))
        if keep:
            small = Path(folder, "small")
            small.mkdir()
            _atheris(name, "-merge=1", str(small), str(grown), limit=3 * MARGIN)
            for path in before:
                path.unlink()
            for path in sorted(small.iterdir(), key=lambda path: path.stat().st_size)[:40]:
                shutil.copy(path, CORPUS / name)
    crashes = tuple(sorted(path.name for path in broken.iterdir()))
    if not (executions or crashes):
        crashes = ("nothing was tried",)
    return Outcome(
        target=name,
        executions=executions,
        rate=rate,
        corpus=len(before),
        new=found - len(before),
        crashes=crashes,
        told=told[-3000:] if crashes else "",
    )


def _atheris(name: str, *options: str, limit: float) -> str:
    command = [sys.executable, "-m", "verification.fuzz.under_atheris", name]
    command += [f"-max_len={MOST}", "-timeout=30", "-rss_limit_mb=2048", "-print_final_stats=1", *options]
    try:
        done = subprocess.run(command, cwd=CORPUS.parents[2], capture_output=True, timeout=limit, check=False)
    except subprocess.TimeoutExpired as error:
        return f"{(error.stderr or b'').decode(errors='replace')}\nit did not end"
    return (done.stdout + done.stderr).decode(errors="replace")


def _row(cells: Sequence[str]) -> str:
    first, *rest = cells
    figures = [f"{cell:>{width}}" for cell, width in zip(rest, _WIDTHS[1:], strict=True)]
    return "  ".join([f"{first:<{_WIDTHS[0]}}", *figures])


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m verification.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=int, default=60, help="how long each target is fuzzed (60)")
    parser.add_argument("--target", action="append", choices=TARGETS, help="only this; repeatable")
    parser.add_argument("--jobs", type=int, default=2, help="how many run at a time (2)")
    parser.add_argument(
        "--keep", action="store_true", help="make the kept corpus of what was found, at most 40 inputs each"
    )
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
