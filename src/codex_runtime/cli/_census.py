"""Counts the processes that a command has started and that are still alive, however far down they are.

Two ways of knowing them: who descends from us, and who carries a mark that we put into the environment of the app server.
The second finds those whose parents died. It works on Linux only; elsewhere the table of ``ps`` tells the first.
"""

from __future__ import annotations

import os
import subprocess
from contextlib import suppress
from pathlib import Path

__all__ = ["MARK", "alive"]

MARK = "CODEX_RUNTIME_CENSUS"

_PROC = Path("/proc")


def alive(mark: str) -> set[int]:
    """Return the processes that descend from this one, or whose environment says ``MARK=mark``. Zombies are dead."""
    if not (_PROC / "self" / "stat").exists():
        return _descendants(_table_of_ps())
    parents = _table_of_proc()
    entry = f"{MARK}={mark}".encode()
    return _descendants(parents) | {pid for pid in parents if pid != os.getpid() and _carries(pid, entry)}


def _descendants(parents: dict[int, int]) -> set[int]:
    found = {os.getpid()}
    size = 0
    while size != len(found):
        size = len(found)
        found |= {pid for pid, parent in parents.items() if parent in found}
    return found - {os.getpid()}


def _table_of_proc() -> dict[int, int]:
    parents = {}
    for name in os.listdir(_PROC):  # noqa: PTH208  thousands of Paths
        if name.isdigit():
            with suppress(OSError):  # it ended while we looked
                state, parent, *_ = (_PROC / name / "stat").read_text().rpartition(")")[2].split()
                if state not in "ZX":
                    parents[int(name)] = int(parent)
    return parents


def _carries(pid: int, entry: bytes) -> bool:
    try:
        return entry in (_PROC / str(pid) / "environ").read_bytes().split(b"\0")
    except OSError:  # gone, or another user's
        return False


def _table_of_ps() -> dict[int, int]:
    with subprocess.Popen(["ps", "-axo", "pid=,ppid=,stat="], stdout=subprocess.PIPE, text=True) as ps:
        rows = [line.split() for line in ps.communicate()[0].splitlines()]
        return {int(pid): int(parent) for pid, parent, stat in rows if stat[0] != "Z" and int(pid) != ps.pid}
