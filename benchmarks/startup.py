"""What an import costs: time over the bare interpreter, and memory after it.

Byte code is there, as after any installation: it is kept in a folder of its own, so that neither a setting of this machine
nor what ran before decides whether it is read or made anew.
"""

from __future__ import annotations

import os
import resource
import subprocess
import tempfile
import time
from typing import Any

from benchmarks.contenders import interpreter
from benchmarks.tables import figure, table

__all__ = ["FRONT_DOOR", "measure", "show"]

FRONT_DOOR = "from codex_runtime import Client"
# what is run → the contender whose interpreter runs it
IMPORTS = {
    "import asyncio": "ours",
    "import codex_runtime": "ours",
    FRONT_DOOR: "ours",
    "from codex_runtime import quick_run": "ours",
    "import openai_codex": "sdk",
    "import codex_app_server_sdk": "cas",
}
NOTHING = "pass"
TELL = "\nprint(open('/proc/self/statm').read().split()[1])"
PAGE = resource.getpagesize()


def measure(rounds: int) -> list[dict[str, Any]]:
    """Import each in fresh interpreters, turn by turn; report the least times, since a busy machine only adds to them."""
    pythons = {code: python for code, contender in IMPORTS.items() if (python := interpreter(contender))}
    runs = [(python, NOTHING) for python in sorted(set(pythons.values()))]
    runs += [(python, code) for code, python in pythons.items()]
    times: dict[tuple[str, str], list[float]] = {run: [] for run in runs}
    with tempfile.TemporaryDirectory() as byte_code:
        env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        env["PYTHONPYCACHEPREFIX"] = byte_code
        for _ in range(rounds + 1):
            for python, code in runs:
                before = time.perf_counter()
                subprocess.run([python, "-c", code], check=True, env=env)
                times[python, code].append(time.perf_counter() - before)
        # The first round fills the page cache and writes byte code.
        least = {run: min(values[1:]) for run, values in times.items()}
        return [
            {
                "name": code,
                "over_bare": least[python, code] - least[python, NOTHING],
                "bare": least[python, NOTHING],
                "rss": _memory(python, code, env),
                "bare_rss": _memory(python, NOTHING, env),
            }
            for code, python in pythons.items()
        ]


def show(rows: list[dict[str, Any]]) -> None:
    """Print the cost of imports."""
    table(
        "import: least time over the bare interpreter, and memory after it",
        ["", "over bare ms", "RSS MiB"],
        [
            ["(the bare interpreter)", "0", _mib(rows[0]["bare_rss"])],
            *([row["name"], figure(row["over_bare"] * 1e3), _mib(row["rss"])] for row in rows),
        ],
    )


def _mib(size: int | None) -> str:
    return "-" if size is None else figure(size / 2**20)


def _memory(python: str, code: str, env: dict[str, str]) -> int | None:
    done = subprocess.run([python, "-c", code + TELL], check=False, capture_output=True, text=True, env=env)
    return int(done.stdout) * PAGE if done.returncode == 0 else None
