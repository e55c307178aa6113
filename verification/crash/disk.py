"""The disk that fails on command: builds ``failing.c``, starts programs on it, and is the handle of it inside of them.

The library has to be there before the program is: so whoever wants such a disk starts a program of its own with
:func:`environment`, and takes a :class:`Disk` in there.
"""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import subprocess
import sys
from enum import IntFlag
from pathlib import Path
from typing import NamedTuple, final

__all__ = ["ROOT", "Call", "Disk", "Fault", "build", "compiler", "environment", "memory", "python"]

ROOT = Path(__file__).resolve().parents[2]
SOURCE = Path(__file__).with_name("failing.c")
FOREVER = 2**40


class Call(IntFlag):
    """What can fail."""

    OPEN = 1
    WRITE = 2
    SYNC = 4
    RENAME = 8
    TRUNCATE = 16
    UNLINK = 32
    READ = 64
    CLOSE = 128
    CHANGE = OPEN | WRITE | SYNC | RENAME | TRUNCATE | UNLINK | CLOSE
    ANY = CHANGE | READ


class Fault(NamedTuple):
    """How calls fail: with which error, how many in a row, and whether the first one writes half of what it should."""

    error: int
    times: int = 1
    half: bool = False
    calls: Call = Call.CHANGE

    def __str__(self) -> str:
        """Say it in a few words."""
        often = "on" if self.times >= FOREVER else f"x{self.times}"
        return f"{'half, ' if self.half else ''}{errno.errorcode[self.error]} {often}"


def compiler() -> str | None:
    """Return where the C compiler is, if there is one."""
    return shutil.which("gcc") or shutil.which("cc")


def memory() -> Path | None:
    """Return a folder in memory, where thousands of small files cost little; ``None`` if there is none."""
    shared = Path("/dev/shm")  # noqa: S108  only folders of our own are made in it
    return shared if os.access(shared, os.W_OK) else None


def build(folder: Path) -> Path:
    """Build the library in a folder and return where it is."""
    library = folder / "failing.so"
    argv = [compiler() or "gcc", "-O1", "-Wall", "-shared", "-fPIC", "-o", str(library), str(SOURCE), "-ldl"]
    subprocess.run(argv, check=True)
    return library


def environment(library: Path | None = None) -> dict[str, str]:
    """Return the environment of a program of ours, on such a disk if there is a library."""
    paths = [str(ROOT), str(ROOT / "src"), os.environ.get("PYTHONPATH", "")]
    # Those who want to judge another copy of the sources say so with PYTHONPATH, which then comes first.
    known = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [paths[2], *paths[:2]]))}
    return known if library is None else {**known, "LD_PRELOAD": str(library)}


def python(module: str, *arguments: str) -> list[str]:
    """Return the command that runs a module of ours."""
    return [sys.executable, "-X", "faulthandler", "-m", module, *arguments]


@final
class Disk:
    """The disk of this program, which was started with :func:`environment`."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL(None)
        self._library.failing_arm.argtypes = [
            ctypes.c_char_p,
            ctypes.c_int,
            ctypes.c_long,
            ctypes.c_int,
            ctypes.c_long,
            ctypes.c_int,
        ]
        self._library.failing_record.argtypes = [ctypes.c_char_p, ctypes.c_int]
        self._library.failing_note.argtypes = [ctypes.c_char_p]
        for name in ("count", "hits", "repeats"):
            getattr(self._library, f"failing_{name}").restype = ctypes.c_long

    def arm(self, folder: Path, at: int, fault: Fault) -> None:
        """Have the calls from the ``at``-th on fail that concern files in a folder."""
        where = os.fsencode(folder)
        self._library.failing_arm(where, int(fault.calls), at, fault.error, fault.times, int(fault.half))

    def disarm(self) -> None:
        """Have nothing fail any more."""
        self._library.failing_disarm()

    @property
    def hits(self) -> int:
        """How many calls have failed."""
        return int(self._library.failing_hits())

    @property
    def kind(self) -> str:
        """What the first call was that failed."""
        return Call(self._library.failing_kind()).name or ""

    @property
    def repeats(self) -> int:
        """How often a file was synced again that had refused to be synced."""
        return int(self._library.failing_repeats())

    def record(self, folder: Path, fd: int) -> None:
        """Write every change in a folder into a file."""
        self._library.failing_record(os.fsencode(folder), fd)

    def note(self, word: str) -> None:
        """Write a word among the changes."""
        self._library.failing_note(word.encode())
