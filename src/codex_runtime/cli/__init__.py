"""The command ``codex-runtime``, the same as ``python -m codex_runtime``.

It needs the extra ``cli`` (typer and rich). This file only finds out whether that is there; everything else begins in
``_app``. Nothing in the package but this command line prints, or ends the process.
"""

from __future__ import annotations

import importlib.util
import sys

__all__ = ["main"]

NEEDED = ("typer", "rich")


def main() -> None:
    """Run the command line with the arguments of this process, and end it with the exit code."""
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
