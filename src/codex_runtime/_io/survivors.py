"""Finds and kills the processes that one app server left behind, by a mark in their environment.

The second net, for the case that the guardian itself was killed and could not sweep. Every process started by an app
server inherits its mark, a random value, unless it drops its environment. Linux only (/proc); elsewhere nothing is found.

A pid may be given to another process at any moment. So a process is first held by a pidfd and only then asked for the
mark: what was asked is what is killed.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress

__all__ = ["MARK", "kill_marked"]

MARK = "CODEX_RUNTIME_CHILD"


def kill_marked(value: str) -> int:
    """Kill every process whose environment says ``MARK=value`` and return how many there were.

    One that is being born may be missed: call again until the answer is 0.
    """
    entry = f"{MARK}={value}".encode()
    try:
        pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]  # noqa: PTH208  thousands of Paths
    except FileNotFoundError:
        return 0
    return sum(_kill_if_marked(pid, entry) for pid in pids if pid != os.getpid() and _is_marked(pid, entry))


def _is_marked(pid: int, entry: bytes) -> bool:
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:  # noqa: PTH123
            return entry in file.read().split(b"\0")
    except OSError:  # gone, or another user's
        return False


def _kill_if_marked(pid: int, entry: bytes) -> bool:
    with suppress(OSError):
        if not hasattr(os, "pidfd_open"):
            os.kill(pid, signal.SIGKILL)
            return True
        held = os.pidfd_open(pid)
        try:
            if _is_marked(pid, entry):
                signal.pidfd_send_signal(held, signal.SIGKILL)
                return True
        finally:
            os.close(held)
    return False
