"""Small programs that behave badly on purpose, and what a test needs to watch them without sleeping."""

from __future__ import annotations

import asyncio
import os
import sys
import textwrap
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from codex_runtime._io.process import ChildProcess, Graces, ProcessLauncher, ProcessSpec
from codex_runtime._io.survivors import MARK

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from codex_runtime._sansio.restart import Exit

PATIENCE = 5.0
"""Seconds a test waits for something that is bound to happen."""

LONG = 600
"""Seconds a child would sleep if nobody ended it."""

QUICK = Graces(stdin_close=0.1, terminate=0.1, kill=0.5)

PRELUDE = """
import os, signal, sys, time

def say(text):
    os.write(1, (str(text) + chr(10)).encode())

def until_eof():
    while os.read(0, 65536):
        pass

def double_fork():
    # a daemon's way to get away: a new session, then the middle one leaves
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            say("daemon %d" % os.getpid())
            time.sleep(600)
        os._exit(0)
    os.wait()
"""


def python(code: str) -> tuple[str, ...]:
    """Return the argv of a Python program; `say`, `until_eof` and `double_fork` are at hand."""
    return (sys.executable, "-I", "-S", "-c", PRELUDE + textwrap.dedent(code))


ECHO = python("""
    while data := os.read(0, 65536):
        os.write(1, data)
""")

IDLE = python("""
    say("ready")
    until_eof()
""")

DEAF = python(f"""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    say("ready")
    time.sleep({LONG})
""")


class Recorder:
    """A receiver that remembers."""

    def __init__(self) -> None:
        self.data = b""
        self.ends: list[Exit] = []
        self.chunks_after_end = 0
        self._news = asyncio.Event()

    def data_received(self, data: bytes, /) -> None:
        """Remember a chunk."""
        self.chunks_after_end += len(self.ends)
        self.data += data
        self._news.set()

    def connection_lost(self, exit: Exit, /) -> None:  # noqa: A002
        """Remember the end."""
        self.ends.append(exit)
        self._news.set()

    async def until(self, happened: Callable[[Recorder], object], *, patience: float = PATIENCE) -> None:
        """Wait until `happened` is true of what was recorded."""
        async with asyncio.timeout(patience):
            while not happened(self):
                self._news.clear()
                await self._news.wait()

    async def line(self, start: str) -> str:
        """Wait for a whole line that starts with `start` and return what follows."""
        await self.until(lambda it: it.find_line(start) is not None)
        return self.find_line(start) or ""

    def find_line(self, start: str) -> str | None:
        """Return the rest of the first whole line that starts with `start`."""
        whole = self.data.rpartition(b"\n")[0].decode(errors="replace")
        return next((line[len(start) :].strip() for line in whole.splitlines() if line.startswith(start)), None)

    async def end(self) -> Exit:
        """Wait for the end."""
        await self.until(lambda it: it.ends)
        return self.ends[0]


@asynccontextmanager
async def running(
    argv: tuple[str, ...],
    *,
    graces: Graces = QUICK,
    env: dict[str, str | None] | None = None,
    guarded: bool = True,
    stderr_tail_bytes: int = 16 * 1024,
) -> AsyncIterator[tuple[ChildProcess, Recorder]]:
    """Start `argv`; on leaving, end it and check that its end was told exactly once and nothing carries its mark."""
    recorder = Recorder()
    spec = ProcessSpec(argv=argv, graces=graces, env=env or {}, guarded=guarded, stderr_tail_bytes=stderr_tail_bytes)
    child = await ProcessLauncher(spec).launch(recorder)
    try:
        yield child, recorder
    finally:
        async with asyncio.timeout(PATIENCE):
            await child.aclose()
    assert len(recorder.ends) == 1
    assert recorder.chunks_after_end == 0
    assert marked(child._mark) == []


def marked(value: str) -> list[int]:
    """List the live processes whose environment carries this mark."""
    return [pid for pid in pids() if f"{MARK}={value}".encode() in _read(pid, "environ").split(b"\0")]


def pids() -> list[int]:
    """List every process."""
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def parent_of(pid: int) -> int:
    """Return the parent of a process; 0 when it is gone."""
    fields = _read(pid, "stat").rpartition(b")")[2].split()
    return int(fields[1]) if fields else 0


async def gone(pid: int) -> None:
    """Wait until a process, of whatever parent, has ended."""
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_reader(fd, ended.set)
    try:
        async with asyncio.timeout(PATIENCE):
            await ended.wait()
    finally:
        loop.remove_reader(fd)
        os.close(fd)


def _read(pid: int, name: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:
        return b""
