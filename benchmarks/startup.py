"""What an import costs: time over the bare interpreter, and memory after it."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

from benchmarks.contenders import available

__all__ = ["measure"]

TELL = "\nfrom benchmarks.contenders import rss; print(rss())"
IMPORTS = {
    "bare interpreter": ("pass", "naive"),
    "asyncio": ("import asyncio", "naive"),
    "codex_runtime.runtime": ("import codex_runtime.runtime", "ours"),
    "codex_runtime": ("import codex_runtime", "ours"),
    "openai_codex": ("import openai_codex", "sdk"),
}


def measure(rounds: int) -> list[dict[str, float | str]]:
    """Import each in fresh interpreters, turn by turn; report medians."""
    codes = {name: code for name, (code, contender) in IMPORTS.items() if available(contender)}
    times: dict[str, list[float]] = {name: [] for name in codes}
    for _ in range(rounds + 1):
        for name, code in codes.items():
            before = time.perf_counter()
            subprocess.run([sys.executable, "-c", code], check=True)
            times[name].append(time.perf_counter() - before)
    # The first round fills the page cache and writes byte code.
    medians = {name: statistics.median(values[1:]) for name, values in times.items()}
    # Memory is told by a module of ours, whose own weight the bare interpreter's row carries too.
    memory = {name: _memory(code) for name, code in codes.items()}
    bare = medians["bare interpreter"]
    return [
        {"name": name, "over_bare": medians[name] - bare, "seconds": medians[name], "rss": memory[name]}
        for name in codes
    ]


def _memory(code: str) -> int:
    done = subprocess.run([sys.executable, "-c", code + TELL], check=True, capture_output=True, text=True)
    return int(done.stdout)
