"""The end of a child process: in bounded time, once, and with nothing left of it."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from codex_runtime._io.process import ChildProcess, Graces, ProcessLauncher, ProcessSpec, Rung
from codex_runtime._io.spawn import Spawned
from codex_runtime._io.survivors import MARK
from tests.support.children import (
    DEAF,
    IDLE,
    LONG,
    PATIENCE,
    QUICK,
    Recorder,
    gone,
    marked,
    parent_of,
    pids,
    python,
    running,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")

BOTH = pytest.mark.parametrize("guarded", [True, False], ids=["guarded", "bare"])


FAMILY = python(f"""
    import subprocess
    double_fork()
    subprocess.Popen(["sleep", "{LONG}"])
    subprocess.Popen(["sh", "-c", "trap '' TERM HUP; sleep {LONG} & wait; sleep {LONG}"], start_new_session=True)
    say("ready")
    until_eof()
""")


async def close_it(child: ChildProcess) -> None:
    """Close."""
    await child.aclose()


async def kill_it(child: ChildProcess) -> None:
    """Kill."""
    child.kill()


async def crash_it(child: ChildProcess) -> None:
    """Kill the program behind our back."""
    assert child.pid is not None
    os.kill(child.pid, signal.SIGKILL)


async def crash_its_guardian(child: ChildProcess) -> None:
    """Take the guardian away."""
    os.kill(child._process.pid, signal.SIGKILL)


async def stop_its_guardian_and_close(child: ChildProcess) -> None:
    """Close with a guardian that does not answer."""
    os.kill(child._process.pid, signal.SIGSTOP)
    await child.aclose()


@pytest.mark.parametrize("end_it", [close_it, kill_it, crash_it, crash_its_guardian, stop_its_guardian_and_close])
async def test_nothing_the_child_started_outlives_it(end_it: Callable[[ChildProcess], object]) -> None:
    """Daemons with sessions of their own, children that hold the pipes, shells that ignore SIGTERM: all go with it."""
    async with running(FAMILY) as (child, recorder):
        daemon = int(await recorder.line("daemon"))
        await recorder.line("ready")
        assert len(marked(child._mark)) >= 5
        await end_it(child)  # type: ignore[misc]
        await recorder.end()
        await gone(daemon)
        assert marked(child._mark) == []


async def test_without_a_guardian_the_group_goes_and_the_mark_finds_the_rest() -> None:
    """The fallback ends everything that can be found."""
    async with running(FAMILY, guarded=False) as (child, recorder):
        daemon = int(await recorder.line("daemon"))
        await recorder.line("ready")
        child.kill()
        await recorder.end()
        await gone(daemon)


async def test_without_a_guardian_the_group_goes_even_without_the_mark() -> None:
    """A member of the group that dropped its environment is still a member."""
    argv = python(f"""
        import subprocess
        say("bare %d" % subprocess.Popen(["/bin/sleep", "{LONG}"], env={{}}).pid)
        os.read(0, 1)
    """)
    async with running(argv, guarded=False) as (child, recorder):
        member = int(await recorder.line("bare"))
        child.write(b"x")
        await recorder.end()
        await gone(member)


async def test_a_grandchild_that_holds_the_pipes_does_not_delay_the_news() -> None:
    """The death of the child is seen through its process, not through its pipes."""
    argv = python(f"""
        import subprocess
        subprocess.Popen(["sleep", "{LONG}"], start_new_session=True)
        os.read(0, 1)
        os._exit(3)
    """)
    async with running(argv) as (child, recorder):
        before = time.monotonic()
        child.write(b"x")
        end = await recorder.end()
        assert end.code == 3
        assert time.monotonic() - before < PATIENCE


@BOTH
@pytest.mark.parametrize("number", [None, signal.SIGSTOP], ids=["deaf", "stopped"])
async def test_a_child_that_ignores_everything_is_killed_in_bounded_time(
    *, guarded: bool, number: signal.Signals | None
) -> None:
    """The last rung needs nobody's consent."""
    async with running(DEAF, guarded=guarded) as (child, recorder):
        await recorder.line("ready")
        assert child.pid is not None
        if number is not None:
            os.kill(child.pid, number)
        before = time.monotonic()
        end = await child.aclose()
        assert end.signal == signal.SIGKILL
        assert time.monotonic() - before < PATIENCE + QUICK.stdin_close + QUICK.terminate


@BOTH
async def test_a_stopped_child_may_leave_in_good_order(*, guarded: bool) -> None:
    """SIGTERM is followed by SIGCONT, or it would never be seen."""
    argv = python(f"""
        signal.signal(signal.SIGTERM, lambda *_: os._exit(7))
        say("ready")
        time.sleep({LONG})
    """)
    async with running(argv, graces=Graces(stdin_close=0.05, terminate=PATIENCE), guarded=guarded) as (child, recorder):
        await recorder.line("ready")
        assert child.pid is not None
        os.kill(child.pid, signal.SIGSTOP)
        assert (await child.aclose()).code == 7


async def test_a_guardian_that_does_not_finish_its_sweep_is_not_waited_for() -> None:
    """The status is known, so the end is told after a bounded time; what was left over is found by the mark."""
    ours, theirs = socket.socketpair()
    stdin, its_stdin = socket.socketpair()
    with theirs, its_stdin:
        stuck = python(f"""
            double_fork()
            os.write({theirs.fileno()}, b"pid 1\\nstatus 768\\n")
            time.sleep({LONG})
        """)
        process = subprocess.Popen(  # noqa: ASYNC220
            stuck,
            stdin=its_stdin.fileno(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=[theirs.fileno()],
            start_new_session=True,
            env={**os.environ, MARK: "left over by one that is stuck"},
        )
    spec = ProcessSpec(argv=("unused",), graces=QUICK)
    spawned = Spawned(process=process, stdin=stdin, control=ours, mark="left over by one that is stuck")
    child, recorder = ChildProcess(spawned, spec), Recorder()
    assert await child.started() is None
    child.open(recorder)
    daemon = int(await recorder.line("daemon"))
    assert (await recorder.end()).code == 3
    await gone(daemon)


async def test_a_process_that_cannot_be_waited_for_is_given_up() -> None:
    """Stuck in the kernel it may outlast every signal; its end is told as unknown rather than never."""
    recorder = Recorder()
    child = await ProcessLauncher(ProcessSpec(argv=DEAF)).launch(recorder)
    child._climb(Rung.GONE)
    end = await child.aclose()
    assert recorder.ends == [end]
    assert (end.code, end.signal) == (None, None)
    assert child._process.wait(PATIENCE) == -signal.SIGKILL  # the sweep by mark could reach this one


async def test_every_caller_of_aclose_gets_the_same_end() -> None:
    """Also those who come when it is over."""
    async with running(DEAF) as (child, recorder):
        await recorder.line("ready")
        ends = await asyncio.gather(*(child.aclose() for _ in range(5)))
        ends.append(await child.aclose())
        child.kill()
        assert all(end is recorder.ends[0] for end in ends)


@pytest.mark.parametrize("guarded", [True, False], ids=["guarded", "bare"])
async def test_nothing_is_done_to_a_child_that_has_ended(*, guarded: bool) -> None:
    """Its pid may be another's by now."""
    async with running(python("os._exit(0)"), guarded=guarded) as (child, recorder):
        await recorder.end()
        await child.aclose()
        child.kill()
        assert child._timer is None or child._timer.cancelled()


async def test_cancelling_a_caller_does_not_stop_the_end() -> None:
    """The ladder belongs to the child, not to who asked first."""
    async with running(DEAF) as (child, recorder):
        await recorder.line("ready")
        closing = asyncio.create_task(child.aclose())
        await asyncio.sleep(0)
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        assert not recorder.ends
        assert (await recorder.end()).signal == signal.SIGKILL


async def test_a_launch_that_is_cancelled_leaves_nothing() -> None:
    """The leak check after the test looks for the guardian and its descriptors."""
    recorder = Recorder()
    launching = asyncio.create_task(ProcessLauncher(ProcessSpec(argv=IDLE)).launch(recorder))
    await asyncio.sleep(0)
    launching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await launching
    assert recorder.ends == []


async def test_a_hundred_lives_and_deaths_leave_nothing() -> None:
    """No descriptor, no thread, no zombie, and no memory of them in the loop."""

    async def live_and_die() -> None:
        recorder = Recorder()
        child = await ProcessLauncher(ProcessSpec(argv=("cat",))).launch(recorder)
        child.write(b"x\n")
        await recorder.line("x")
        child.kill()
        assert (await recorder.end()).signal == signal.SIGKILL

    def footprint() -> tuple[int, int, int]:
        ours = [pid for pid in pids() if parent_of(pid) == os.getpid()]
        return len([*Path("/proc/self/fd").iterdir()]), threading.active_count(), len(ours)

    await live_and_die()
    before = footprint()
    for _ in range(25):
        await asyncio.gather(*(live_and_die() for _ in range(4)))
    assert footprint() == before


OWNER = """
import asyncio, os, sys
from codex_runtime._io.process import ProcessLauncher, ProcessSpec

class Receiver:
    def data_received(self, data):
        os.write(1, data)
        if b"ready" in data:
            done.set()
    def connection_lost(self, exit):
        pass

async def main():
    global done
    done = asyncio.Event()
    child = await ProcessLauncher(ProcessSpec(argv=tuple(sys.argv[2:]))).launch(Receiver())
    await done.wait()
    os.write(1, b"mark %b\\n" % child._mark.encode())
    if sys.argv[1] == "stay":
        if os.fork() == 0:  # a worker of the user's program, which holds copies of all descriptors
            os.write(1, b"worker %d\\n" % os.getpid())
            os.execvp("sleep", ["sleep", "600"])
        await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.fixture
def owner() -> Iterator[Callable[[str], subprocess.Popen[bytes]]]:
    """Start a program that launches FAMILY; its stdout is the child's."""
    started = []

    def start(how: str) -> subprocess.Popen[bytes]:
        argv = [sys.executable, "-c", OWNER, how, *FAMILY]
        started.append(subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def lines_until(process: subprocess.Popen[bytes], word: str) -> dict[str, str]:
    """Read lines of the form `name value` up to the one of that name."""
    found: dict[str, str] = {}
    assert process.stdout is not None
    while word not in found:
        line = process.stdout.readline().decode()
        assert line, process.stderr and process.stderr.read().decode()
        name, _, value = line.strip().partition(" ")
        found[name] = value
    return found


async def test_when_we_are_killed_nothing_survives(owner: Callable[[str], subprocess.Popen[bytes]]) -> None:
    """Our own SIGKILL cannot be caught, so the guardian watches us; a worker that we forked does not hide our death."""
    process = owner("stay")
    said = lines_until(process, "worker")
    before = time.monotonic()
    process.kill()
    process.wait()
    for pid in marked(said["mark"]):
        await gone(pid)
    assert marked(said["mark"]) == []
    assert time.monotonic() - before < PATIENCE
    os.kill(int(said["worker"]), signal.SIGKILL)
    await gone(int(said["worker"]))


async def test_a_program_that_ends_without_closing_leaves_nothing_and_does_not_hang(
    owner: Callable[[str], subprocess.Popen[bytes]],
) -> None:
    """Forgetting to close costs a warning, not an orphan."""
    process = owner("leave")
    said = lines_until(process, "mark")
    _, errors = await asyncio.to_thread(process.communicate, timeout=PATIENCE)
    assert process.returncode == 0, errors.decode()
    for pid in marked(said["mark"]):
        await gone(pid)
    assert marked(said["mark"]) == []
