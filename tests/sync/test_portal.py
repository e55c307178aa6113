"""The way onto the private loop and back: results, errors, Ctrl-C, closing, threads and forks."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from codex_runtime.errors import LocalProtocolError, RuntimeClosedError
from codex_runtime.sync._portal import Portal, on_a_thread

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def portal() -> Iterator[Portal]:
    """An open one."""
    portal = Portal()
    portal.start()
    yield portal
    portal.stop()


async def give(value: object) -> object:
    """Return a value, a little later."""
    await asyncio.sleep(0)
    return value


def test_a_coroutine_runs_on_the_thread_of_the_loop(portal: Portal) -> None:
    """And its result comes back; so does that of a plain function."""
    assert portal.run(give, 7) == 7
    assert portal.call(threading.current_thread) is not threading.current_thread()
    assert portal.call(lambda: 8) == 8


def test_an_error_is_raised_where_the_call_was_made(portal: Portal) -> None:
    """The same object, and the portal goes on."""

    async def fail() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        portal.run(fail)
    with pytest.raises(TypeError):
        portal.run(give)  # type: ignore[call-arg]  # an error in the call itself must not hang either
    assert portal.run(give, 1) == 1


def test_a_portal_that_is_not_open_says_so() -> None:
    """Before the start and after the end; stopping twice is fine, starting twice is not."""
    portal = Portal()
    with pytest.raises(LocalProtocolError, match="not open"):
        portal.call(int)
    portal.start()
    assert portal.is_running
    with pytest.raises(LocalProtocolError, match="already open"):
        portal.start()
    portal.stop()
    portal.stop()
    assert not portal.is_running
    with pytest.raises(LocalProtocolError, match="not open"):
        portal.call(int)


def test_the_loops_own_thread_may_not_wait_for_itself(portal: Portal) -> None:
    """It would do so for ever."""
    with pytest.raises(LocalProtocolError, match="its own thread"):
        portal.call(portal.call, int)


def test_an_interrupted_caller_cancels_its_coroutine_and_lets_it_clean_up(portal: Portal) -> None:
    """Ctrl-C goes on only when the turn, or whatever it was, is in order."""
    steps: list[str] = []

    async def endless() -> None:
        try:
            steps.append("waits")
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.get_running_loop().create_future()
        finally:
            await asyncio.sleep(0)
            steps.append("cleaned up")

    with pytest.raises(KeyboardInterrupt):
        portal.run(endless)
    assert steps == ["waits", "cleaned up"]
    assert portal.run(give, 1) == 1


def test_many_threads_may_call_at_once(portal: Portal) -> None:
    """Each gets its own result."""
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(lambda value: portal.run(give, value), range(200))) == list(range(200))


def test_stopping_ends_whoever_still_waits(portal: Portal) -> None:
    """With an error of ours, not with a cancellation that nobody ordered."""
    waits = threading.Event()

    async def endless() -> None:
        waits.set()
        await asyncio.get_running_loop().create_future()

    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(portal.run, endless)
        assert waits.wait(5)
        portal.stop()
        with pytest.raises(RuntimeClosedError):
            waiting.result(5)


@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork")
def test_a_forked_child_is_told_and_leaves_its_parent_alone(portal: Portal) -> None:
    """Threads do not survive a fork: a call would hang for ever."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        said = b"nothing"
        try:
            portal.call(int)
        except LocalProtocolError as error:
            said = str(error).encode()
        portal.stop()
        os.write(write, said)
        os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as answer:
        assert b"after a fork" in answer.read()
    os.waitpid(child, 0)
    assert portal.run(give, 1) == 1


def test_a_function_that_blocks_does_not_block_the_loop(portal: Portal) -> None:
    """It has a thread of its own, and its errors come back."""
    go_on = threading.Event()
    waiting = portal.call(lambda: asyncio.ensure_future(on_a_thread(threading.Event.wait, go_on)))
    assert portal.run(give, 1) == 1
    go_on.set()

    async def wait() -> None:
        await waiting

    portal.run(wait)
    with pytest.raises(ZeroDivisionError):
        portal.run(on_a_thread, lambda _: 1 / 0, None)


def test_nobody_waits_for_a_function_that_is_no_longer_wanted(portal: Portal) -> None:
    """A handler that sits at a prompt does not keep the program from ending."""
    go_on = threading.Event()
    portal.call(lambda: asyncio.ensure_future(on_a_thread(threading.Event.wait, go_on)))
    portal.stop()
    go_on.set()
