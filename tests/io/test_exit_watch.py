"""The exit watch, with a pidfd and with a thread: the same news, once, and the status left to be taken."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading

import pytest

from codex_runtime._io.exit_watch import PidfdWatch, ThreadWatch, watch_exit

KINDS = [ThreadWatch, PidfdWatch] if sys.platform == "linux" else [ThreadWatch]
EVERY_KIND = pytest.mark.parametrize("kind", KINDS)


def start(*argv: str) -> int:
    """Start a program and return its pid; the test reaps it."""
    return os.posix_spawnp(argv[0], argv, os.environ)


def join_threads() -> None:
    """Wait for the waiting threads to end."""
    for thread in threading.enumerate():
        if thread.name.startswith("exit of"):
            thread.join(5)


@EVERY_KIND
async def test_the_end_is_told_once_and_the_status_can_be_taken(kind: type[PidfdWatch | ThreadWatch]) -> None:
    """The child is a zombie when the news comes, so its pid still means it."""
    told = asyncio.Event()
    pid = start("sh", "-c", "exit 3")
    watch = kind(pid, asyncio.get_running_loop(), told.set)
    async with asyncio.timeout(5):
        await told.wait()
    os.kill(pid, 0)
    assert watch.reap() == 3 << 8
    assert watch.reap() is None
    watch.close()


@EVERY_KIND
async def test_a_watch_that_was_closed_tells_nothing(kind: type[PidfdWatch | ThreadWatch]) -> None:
    """Whoever stopped watching is not called any more."""
    told: list[int] = []
    pid = start("sleep", "600")
    watch = kind(pid, asyncio.get_running_loop(), lambda: told.append(pid))
    watch.close()
    os.kill(pid, 9)
    join_threads()
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)  # noqa: ASYNC222
    for _ in range(5):
        await asyncio.sleep(0)
    assert told == []
    assert watch.reap() == 9


@EVERY_KIND
async def test_a_status_that_somebody_else_took_is_unknown(kind: type[PidfdWatch | ThreadWatch]) -> None:
    """The news comes all the same."""
    told = asyncio.Event()
    pid = start("true")
    watch = kind(pid, asyncio.get_running_loop(), told.set)
    os.waitpid(pid, 0)  # noqa: ASYNC222
    async with asyncio.timeout(5):
        await told.wait()
    assert watch.reap() is None


async def test_a_child_that_somebody_else_has_reaped_already_is_noticed_too() -> None:
    """There is no process left to open a pidfd of: the thread finds out at once."""
    told = asyncio.Event()
    pid = start("true")
    os.waitpid(pid, 0)  # noqa: ASYNC222
    watch_exit(pid, asyncio.get_running_loop(), told.set)
    async with asyncio.timeout(5):
        await told.wait()


def test_a_thread_that_outlives_its_loop_keeps_quiet() -> None:
    """A program may end its loop and go on."""
    loop = asyncio.new_event_loop()
    child = subprocess.Popen(["cat"], stdin=subprocess.PIPE)
    ThreadWatch(child.pid, loop, loop.stop)
    loop.close()
    child.communicate()
    join_threads()
    assert child.returncode == 0
