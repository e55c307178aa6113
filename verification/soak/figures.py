"""What this process has just now: memory, descriptors, threads, children."""

from __future__ import annotations

import ctypes
import os
import sys
from contextlib import suppress
from pathlib import Path

__all__ = ["GIVES_BACK", "allocated", "children", "descriptors", "in_use", "parent_of", "rss", "state_of"]

PAGE = os.sysconf("SC_PAGE_SIZE")
GIVES_BACK = {"MALLOC_ARENA_MAX": "1", "MALLOC_MMAP_THRESHOLD_": "131072", "MALLOC_TRIM_THRESHOLD_": "131072"}
"""Variables with which the C library gives back what is freed, so that resident memory tells what is held."""


class _Mallinfo(ctypes.Structure):
    _names = ("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost")
    _fields_ = [(name, ctypes.c_size_t) for name in _names]


def rss() -> int:
    """Return the bytes of memory that are resident."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * PAGE


def allocated() -> int:
    """Return how many small blocks of memory Python's objects have: up to 512 bytes each, which is nearly all of them."""
    return sys.getallocatedblocks()


def in_use() -> int:
    """Return the bytes of all larger ones, and of libraries; 0 where the C library does not tell."""
    try:
        tell = ctypes.CDLL(None).mallinfo2
    except (AttributeError, OSError):
        return 0
    tell.restype = _Mallinfo
    told = tell()
    return int(told.uordblks + told.hblkhd)


def descriptors() -> int:
    """Return how many descriptors are open."""
    return len(os.listdir("/proc/self/fd")) - 1  # noqa: PTH208  one is that of the listing


def children() -> list[int]:
    """Return the processes that this one started and has not waited for."""
    found: list[int] = []
    for thread in os.listdir("/proc/self/task"):  # noqa: PTH208  names are enough
        with suppress(OSError):
            found += map(int, Path(f"/proc/self/task/{thread}/children").read_text(encoding="ascii").split())
    return found


def parent_of(pid: int) -> int | None:
    """Return the parent of a process."""
    fields = _stat(pid)
    return int(fields[1]) if fields else None


def state_of(pid: int) -> str:
    """Return the letter for what a process is doing; ``Z`` is for one that ended and was not waited for."""
    return (_stat(pid) or ["?"])[0]


def _stat(pid: int) -> list[str]:
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    return text.rpartition(")")[2].split()
