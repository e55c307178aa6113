"""The command ``codex-runtime``, the same as ``python -m codex_runtime``.

It needs the extra ``cli`` (typer and rich). This file only finds out whether that is there; everything else begins in
``_app``. Nothing in the package but this command line prints, or ends the process.
"""

from __future__ import annotations

import importlib.util
import os
import sys

__all__ = ["main"]

NEEDED = ("typer", "rich")


def main() -> None:
    """Run the command line with the arguments of this process, and end it with the exit code."""
    _fill_in_streams()
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        hint = 'pip install "codex-runtime[cli]"'
        sys.stderr.write(f"error: the command line needs {' and '.join(missing)}; install with: {hint}\n")
        sys.exit(2)

    try:
        from codex_runtime.cli._app import run_app

        sys.exit(run_app(sys.argv[1:]))
    except KeyboardInterrupt:  # before or after the command itself, which has its own ways
        sys.exit(130)


def _fill_in_streams() -> None:
    """Open what whoever started us has closed, or the next file or pipe would take its number and be written to."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free: this one
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, "r" if number == 0 else "w", encoding="utf-8"))  # noqa: SIM115, PTH123
