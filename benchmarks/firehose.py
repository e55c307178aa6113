"""The stand-in for the app server: compiled from `firehose.c` when there is a C compiler, else `playback.py`."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

__all__ = ["command"]

HERE = Path(__file__).parent


def command() -> tuple[str, ...]:
    """Return the command that starts it. Compiles once per change of the source."""
    compiler = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        return (sys.executable, "-S", "-E", str(HERE / "playback.py"))
    source, binary = HERE / "firehose.c", HERE / "build" / "firehose"
    if not binary.exists() or binary.stat().st_mtime < source.stat().st_mtime:
        binary.parent.mkdir(exist_ok=True)
        subprocess.run([compiler, "-O2", "-o", str(binary), str(source)], check=True)
    return (str(binary),)
