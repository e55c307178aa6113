"""What a test may not leave behind: processes, threads and descriptors.

A :class:`Footprint` is what this process owns at one moment. The difference of two is what happened in between. Things on
their way out (a thread that ends, a child that dies) are waited for, each on its own event and within one bound; nothing
here polls or sleeps.

A process counts as ours when we are among its ancestors, or when it carries :data:`TOKEN_NAME` in its environment: that is
how a grandchild is found whose parent died and which now belongs to somebody else.

Processes are seen on Linux only (`/proc`); other systems check threads and descriptors.
"""

from __future__ import annotations

import gc
import os
import select
import sys
import threading
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

TOKEN_NAME = "CODEX_RUNTIME_TEST_RUN"
"""Environment variable that marks every process started, directly or not, by this test run."""

PROC = Path("/proc")
HAS_PROC = sys.platform == "linux"
FD_FOLDER = Path("/proc/self/fd") if HAS_PROC else Path("/dev/fd")


def mark_this_run() -> str:
    """Put a fresh token into our environment, for children to inherit, and return it."""
    token = os.environ[TOKEN_NAME] = uuid.uuid4().hex
    return token


@dataclass(frozen=True, slots=True)
class Footprint:
    """Everything countable that is alive at one moment."""

    processes: frozenset[int]  # every process of the machine: which are ours is asked of new ones only
    threads: frozenset[threading.Thread]
    descriptors: frozenset[tuple[int, str]]  # number and target, so that a reused number is seen

    @classmethod
    def now(cls) -> Footprint:
        """Look around."""
        return cls(_all_pids(), frozenset(threading.enumerate()), _open_descriptors())

    def __or__(self, other: Footprint) -> Footprint:
        """Everything in either."""
        return Footprint(
            self.processes | other.processes,
            self.threads | other.threads,
            self.descriptors | other.descriptors,
        )

    def __sub__(self, earlier: Footprint) -> Footprint:
        """What is new since `earlier`, other people's processes left out."""
        return Footprint(
            frozenset(pid for pid in self.processes - earlier.processes if _is_ours(pid)),
            self.threads - earlier.threads,
            self.descriptors - earlier.descriptors,
        )

    def __bool__(self) -> bool:
        return bool(self.processes or self.threads or self.descriptors)

    def describe(self) -> list[str]:
        """Say in one line per leftover what it is, with enough detail to find who made it."""
        return [
            *(f"process {pid}: {_command_line(pid)}" for pid in sorted(self.processes)),
            *(f"thread {thread.name!r}{_target(thread)}" for thread in self.threads),
            *(f"descriptor {number}: {target}" for number, target in sorted(self.descriptors)),
        ]


def left_since(before: Footprint, *, patience: float = 1.0) -> Footprint:
    """Return what was not there `before`, after what is ending got at most `patience` seconds to end.

    Garbage is collected first, so that an object nobody closed tells about itself here (as a ResourceWarning).
    """
    gc.collect()
    deadline = time.monotonic() + patience
    while left := Footprint.now() - before:
        if not _wait_for_one(left, deadline):
            return Footprint.now() - before
    return left


def processes_of_run(token: str) -> list[str]:
    """Describe every live process that carries `token`, this one left out. Reads the whole process table."""
    return [f"process {pid}: {_command_line(pid)}" for pid in sorted(_all_pids()) if _carries(pid, token)]


def _wait_for_one(left: Footprint, deadline: float) -> bool:
    """Wait until one process or thread of `left` is gone; False when there is nothing to wait for, or no time."""
    for thread in left.threads:
        thread.join(max(0.0, deadline - time.monotonic()))
        return not thread.is_alive()
    for pid in left.processes:
        return _wait_for_exit(pid, deadline)
    return False


def _wait_for_exit(pid: int, deadline: float) -> bool:
    try:
        watch = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        poll = select.poll()
        poll.register(watch, select.POLLIN)
        ended = bool(poll.poll(max(0.0, deadline - time.monotonic()) * 1000))
    finally:
        os.close(watch)
    # A child that ended but was never waited for stays in the table: that is a leftover too, and no wait removes it.
    return ended and _state(pid) != "Z"


def _all_pids() -> frozenset[int]:
    if not HAS_PROC:
        return frozenset()
    return frozenset(int(name) for name in os.listdir(PROC) if name.isdigit())  # noqa: PTH208 - as below


def _open_descriptors() -> frozenset[tuple[int, str]]:
    found = set()
    for name in os.listdir(FD_FOLDER):  # noqa: PTH208 - after every test: names are enough, and cheap
        with suppress(OSError):  # the descriptor of the listing itself is gone by now
            target = str((FD_FOLDER / name).readlink()) if HAS_PROC else f"mode {os.fstat(int(name)).st_mode:o}"
            found.add((int(name), target))
    return frozenset(found)


def _is_ours(pid: int) -> bool:
    token = os.environ.get(TOKEN_NAME)
    return (token is not None and _carries(pid, token)) or os.getpid() in _ancestors(pid)


def _carries(pid: int, token: str) -> bool:
    if pid == os.getpid():
        return False
    try:
        environment = (PROC / str(pid) / "environ").read_bytes()
    except OSError:  # gone, or another user's
        return False
    return f"{TOKEN_NAME}={token}".encode() in environment.split(b"\0")


def _ancestors(pid: int) -> list[int]:
    chain: list[int] = []
    while fields := _stat(pid):
        pid = int(fields[1])
        chain.append(pid)
    return chain


def _state(pid: int) -> str:
    return (_stat(pid) or [""])[0]


def _stat(pid: int) -> list[str]:
    """Return the fields of /proc/PID/stat from the state on; empty when the process is gone."""
    try:
        text = (PROC / str(pid) / "stat").read_text()
    except OSError:
        return []
    return text.rpartition(")")[2].split()  # the name before may hold blanks and brackets


def _command_line(pid: int) -> str:
    try:
        words = (PROC / str(pid) / "cmdline").read_bytes().rstrip(b"\0").split(b"\0")
    except OSError:
        return "(gone by now)"
    text = " ".join(word.decode(errors="replace") for word in words)
    if text:
        return text[:300]
    return "(ended, but nobody waited for it)" if _state(pid) == "Z" else "(no command line)"


def _target(thread: threading.Thread) -> str:
    target = getattr(thread, "_target", None)
    return f" running {getattr(target, '__qualname__', target)}" if target is not None else ""
