"""The child process: bytes both ways, and the truth about its end."""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import json
import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

from codex_runtime._io.process import Graces, ProcessLauncher, ProcessSpec
from tests.support.children import (
    DEAF,
    ECHO,
    IDLE,
    LONG,
    PATIENCE,
    Recorder,
    python,
    running,
)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")

BOTH = pytest.mark.parametrize("guarded", [True, False], ids=["guarded", "bare"])


# --- bytes ---


@BOTH
async def test_what_is_written_comes_back_and_the_end_is_clean(*, guarded: bool) -> None:
    """The plain case: bytes down, bytes up, end of stdin, exit status 0."""
    async with running(ECHO, guarded=guarded) as (child, recorder):
        child.write(b"one ")
        child.write(b"two ")
        child.write(b"three\n")
        assert await recorder.line("one") == "two three"
        end = await child.aclose()
    assert end.clean
    assert recorder.ends == [end]


@BOTH
async def test_pid_is_the_programs_own(*, guarded: bool) -> None:
    """Not the guardian's: it is the one to look at, and to send signals to."""
    async with running(python("say('pid %d' % os.getpid()); until_eof()"), guarded=guarded) as (child, recorder):
        assert await recorder.line("pid") == str(child.pid)


async def test_the_receiver_hears_nothing_before_launch_returns() -> None:
    """Whoever launches can store the transport first, although the child speaks at once."""
    recorder = Recorder()
    child = await ProcessLauncher(ProcessSpec(argv=IDLE)).launch(recorder)
    assert recorder.data == b""
    assert await recorder.line("ready") == ""
    await child.aclose()


async def test_many_writes_of_all_sizes_arrive_in_order_and_all_before_the_close() -> None:
    """The order holds over the direct write, the rest of a tick and a full pipe; closing sends what is left."""
    argv = python("""
        import hashlib
        seen = hashlib.sha256()
        while data := os.read(0, 65536):
            seen.update(data)
        say("digest " + seen.hexdigest())
    """)
    wanted = hashlib.sha256()
    async with running(argv, graces=Graces(stdin_close=PATIENCE)) as (child, recorder):
        for number in range(3000):
            piece = bytes([number % 256]) * (number % 7 * number)
            wanted.update(piece)
            child.write(piece)
        assert child.unsent > 1024 * 1024
        await child.aclose()
    assert recorder.find_line("digest") == wanted.hexdigest()


async def test_drain_waits_until_a_slow_reader_has_caught_up() -> None:
    """What the child does not take is counted in `unsent`, and a writer can wait for it to shrink."""
    argv = python("""
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
        say("ready")
        signal.sigwait({signal.SIGUSR1})
        until_eof()
    """)
    async with running(argv) as (child, recorder):
        await recorder.line("ready")
        child.write(b"x" * 8_000_000)
        assert child.unsent > 7_000_000
        waiting = asyncio.create_task(child.drain())
        await asyncio.wait([waiting], timeout=0.05)
        assert not waiting.done()
        assert child.pid is not None
        os.kill(child.pid, signal.SIGUSR1)
        async with asyncio.timeout(PATIENCE):
            await waiting
        assert child.unsent < 256 * 1024


async def test_drain_returns_when_the_child_is_lost() -> None:
    """A writer never waits for a reader that is dead."""
    async with running(DEAF) as (child, recorder):
        await recorder.line("ready")
        child.write(b"x" * 8_000_000)
        waiting = asyncio.create_task(child.drain())
        child.kill()
        async with asyncio.timeout(PATIENCE):
            await waiting
        await recorder.end()
        child.write(b"dropped without a word")
        assert child.unsent == 0
        await child.drain()


async def test_a_child_that_closes_its_stdin_is_still_heard() -> None:
    """A failed write is not death, also where SIGPIPE has its default meaning."""
    argv = python(f"""
        signal.pthread_sigmask(signal.SIG_BLOCK, {{signal.SIGUSR1}})
        os.close(0)
        say("closed")
        signal.sigwait({{signal.SIGUSR1}})
        say("still here")
        time.sleep({LONG})
    """)
    before = signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    try:
        async with running(argv) as (child, recorder):
            await recorder.line("closed")
            for _ in range(3):
                child.write(b"nobody reads this\n")
                await asyncio.sleep(0)
            assert child.pid is not None
            os.kill(child.pid, signal.SIGUSR1)
            assert await recorder.line("still") == "here"
    finally:
        signal.signal(signal.SIGPIPE, before)


async def test_a_pause_loses_nothing() -> None:
    """While paused nothing is delivered, and the child is held back; afterwards everything comes."""
    size = 2_000_000
    argv = python(f"""
        os.write(1, b"s")
        left = {size} - 1
        while left:
            left -= os.write(1, b"x" * min(left, 50000))
        say("")
        until_eof()
    """)
    async with running(argv) as (child, recorder):
        await recorder.until(lambda it: it.data)
        child.pause_reading()
        child.pause_reading()
        seen = len(recorder.data)
        for _ in range(100):
            await asyncio.sleep(0)
        assert len(recorder.data) == seen
        child.resume_reading()
        child.resume_reading()
        await recorder.until(lambda it: it.data.endswith(b"\n"))
        assert len(recorder.data) == size + 1


@BOTH
async def test_what_the_pipe_holds_at_the_end_is_delivered_even_while_paused(*, guarded: bool) -> None:
    """The child's last words are not lost to a slow reader."""
    async with running(python("os.write(1, b'x' * 60000); os._exit(4)"), guarded=guarded) as (child, recorder):
        child.pause_reading()
        end = await recorder.end()
        assert end.code == 4
        assert recorder.data == b"x" * 60000


async def test_the_pipe_is_large() -> None:
    """A child that writes a lot is rarely held up by a turn of our loop that takes long."""
    async with running(IDLE) as (child, _):
        assert fcntl.fcntl(child._stdout, fcntl.F_GETPIPE_SZ) == 256 * 1024


# --- the truth about the end ---


@BOTH
async def test_the_exit_status_is_told(*, guarded: bool) -> None:
    """Together with what the child wrote to stderr."""
    argv = python("os.write(2, b'\\x1b[31mno such model\\x1b[0m\\n'); os._exit(3)")
    async with running(argv, guarded=guarded) as (child, recorder):
        end = await recorder.end()
        assert (end.code, end.signal, end.stderr_tail) == (3, None, "no such model\n")
        assert child.stderr_tail() == "no such model\n"


@BOTH
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM, signal.SIGUSR1])
async def test_the_signal_that_ended_the_child_is_told(*, guarded: bool, number: signal.Signals) -> None:
    """The guardian in between does not blur it."""
    async with running(IDLE, guarded=guarded) as (child, recorder):
        await recorder.line("ready")
        assert child.pid is not None
        os.kill(child.pid, number)
        end = await recorder.end()
        assert (end.code, end.signal) == (None, number)


@pytest.mark.parametrize(("guarded", "known"), [(True, 5), (False, None)], ids=["guarded", "bare"])
async def test_a_foreign_reaper_costs_the_status_at_most(*, guarded: bool, known: int | None) -> None:
    """Another part of the program waits for any child: the end is noticed all the same."""
    async with running(python("os.read(0, 1); os._exit(5)"), guarded=guarded) as (child, recorder):
        thief = threading.Thread(target=os.waitpid, args=(child._process.pid, 0))
        thief.start()
        child.pause_reading()
        child.write(b"x")
        thief.join()
        end = await recorder.end()
        assert (end.code, end.signal) == (known, None)


async def test_a_child_that_closes_its_stdout_is_ended() -> None:
    """Nothing more can be heard of it, so it is of no more use."""
    async with running(python(f"os.close(1); time.sleep({LONG})")) as (_, recorder):
        end = await recorder.end()
        assert end.signal == signal.SIGTERM


async def test_a_receiver_that_fails_on_the_last_chunk_still_learns_of_the_end() -> None:
    """Otherwise whoever waits for the end would wait for ever."""

    class Failing(Recorder):
        def data_received(self, data: bytes, /) -> None:
            super().data_received(data)
            raise ValueError

    loop = asyncio.get_running_loop()
    seen: list[object] = []
    handler = loop.get_exception_handler()
    loop.set_exception_handler(lambda _, context: seen.append(context["exception"]))
    try:
        recorder = Failing()
        child = await ProcessLauncher(ProcessSpec(argv=python("os.write(1, b'x' * 9); os._exit(0)"))).launch(recorder)
        child.pause_reading()
        end = await recorder.end()
        assert end.clean
        assert await child.aclose() == end
        assert [type(error) for error in seen] == [ValueError]
    finally:
        loop.set_exception_handler(handler)


async def test_stderr_is_always_drained_and_only_its_tail_is_kept() -> None:
    """A child that floods stderr is neither blocked nor allowed to fill our memory."""
    argv = python("""
        block = b"e" * 999999 + b"\\n"
        for _ in range(100):
            left = memoryview(block)
            while left:
                left = left[os.write(2, left):]
        os.write(2, b"last words\\n")
        say("flooded")
        until_eof()
    """)
    async with running(argv, stderr_tail_bytes=1000) as (child, recorder):
        async with asyncio.timeout(30):
            while recorder.find_line("flooded") is None:
                assert len(child._tail._kept) <= 2 * 1000 + 64 * 1024
                await asyncio.sleep(0)
        end = await child.aclose()
    assert end.stderr_tail.endswith("e\nlast words\n")
    assert len(end.stderr_tail) == 1000


# --- the real thing ---


@pytest.mark.timeout(60)
async def test_the_real_app_server_greets_and_leaves(codex_binary: Path, codex_home: Path) -> None:
    """`codex app-server` takes a socket for its stdin, and leaves at its end."""
    recorder = Recorder()
    env = {"CODEX_HOME": str(codex_home)}
    spec = ProcessSpec(argv=(str(codex_binary), "app-server"), env=env, graces=Graces(stdin_close=PATIENCE))
    child = await ProcessLauncher(spec).launch(recorder)
    hello = {"id": 1, "method": "initialize", "params": {"clientInfo": {"name": "test", "version": "1"}}}
    child.write(json.dumps(hello).encode() + b"\n")
    await recorder.until(lambda it: b"\n" in it.data, patience=30)
    assert json.loads(recorder.data.split(b"\n")[0])["id"] == 1
    before = time.monotonic()
    end = await child.aclose()
    assert end.clean
    assert time.monotonic() - before < PATIENCE
