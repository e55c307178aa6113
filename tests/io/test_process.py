"""The child process: bytes both ways, the truth about its end, and nothing left of it."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest

from codex_runtime._io.process import ChildProcess, Graces, ProcessLauncher, ProcessSpec
from codex_runtime._io.spawn import spawn
from codex_runtime.errors import BinaryNotFoundError, StartError
from tests.support.children import LONG, PATIENCE, QUICK, Recorder, gone, marked, parent_of, pids, python, running

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")

BOTH = pytest.mark.parametrize("guarded", [True, False], ids=["guarded", "bare"])
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


# --- bytes ------------------------------------------------------------------------------------------------------------


@BOTH
async def test_what_is_written_comes_back_and_the_end_is_clean(guarded: bool) -> None:
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
async def test_pid_is_the_programs_own(guarded: bool) -> None:
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
async def test_what_the_pipe_holds_at_the_end_is_delivered_even_while_paused(guarded: bool) -> None:
    """The child's last words are not lost to a slow reader."""
    async with running(python("os.write(1, b'x' * 60000); os._exit(4)"), guarded=guarded) as (child, recorder):
        child.pause_reading()
        end = await recorder.end()
        assert end.code == 4
        assert recorder.data == b"x" * 60000


# --- the truth about the end --------------------------------------------------------------------------------------------


@BOTH
async def test_the_exit_status_is_told(guarded: bool) -> None:
    """Together with what the child wrote to stderr."""
    argv = python("os.write(2, b'\\x1b[31mno such model\\x1b[0m\\n'); os._exit(3)")
    async with running(argv, guarded=guarded) as (child, recorder):
        end = await recorder.end()
        assert (end.code, end.signal, end.stderr_tail) == (3, None, "no such model\n")
        assert child.stderr_tail() == "no such model\n"


@BOTH
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM, signal.SIGUSR1])
async def test_the_signal_that_ended_the_child_is_told(guarded: bool, number: signal.Signals) -> None:
    """The guardian in between does not blur it."""
    async with running(IDLE, guarded=guarded) as (child, recorder):
        await recorder.line("ready")
        assert child.pid is not None
        os.kill(child.pid, number)
        end = await recorder.end()
        assert (end.code, end.signal) == (None, number)


@pytest.mark.parametrize(("guarded", "known"), [(True, 5), (False, None)], ids=["guarded", "bare"])
async def test_a_foreign_reaper_costs_the_status_at_most(guarded: bool, known: int | None) -> None:
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


# --- nothing is left ----------------------------------------------------------------------------------------------------

FAMILY = python(f"""
    import subprocess
    double_fork()
    subprocess.Popen(["sleep", "{LONG}"])
    subprocess.Popen(["sh", "-c", "trap '' TERM HUP; sleep {LONG} & wait; sleep {LONG}"], start_new_session=True)
    say("ready")
    until_eof()
""")


async def close_it(child: ChildProcess) -> None:
    await child.aclose()


async def kill_it(child: ChildProcess) -> None:
    child.kill()


async def crash_it(child: ChildProcess) -> None:
    assert child.pid is not None
    os.kill(child.pid, signal.SIGKILL)


async def crash_its_guardian(child: ChildProcess) -> None:
    os.kill(child._process.pid, signal.SIGKILL)


async def stop_its_guardian_and_close(child: ChildProcess) -> None:
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
        assert time.monotonic() - before < 1.0


@BOTH
@pytest.mark.parametrize("number", [None, signal.SIGSTOP], ids=["deaf", "stopped"])
async def test_a_child_that_ignores_everything_is_killed_in_bounded_time(
    guarded: bool, number: signal.Signals | None
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
        assert time.monotonic() - before < 1.0 + QUICK.stdin_close + QUICK.terminate


@BOTH
async def test_a_stopped_child_may_leave_in_good_order(guarded: bool) -> None:
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


async def test_every_caller_of_aclose_gets_the_same_end() -> None:
    """Also those who come when it is over."""
    async with running(DEAF) as (child, recorder):
        await recorder.line("ready")
        ends = await asyncio.gather(*(child.aclose() for _ in range(5)))
        ends.append(await child.aclose())
        child.kill()
        assert all(end is recorder.ends[0] for end in ends)


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
        return len(os.listdir("/proc/self/fd")), threading.active_count(), len(ours)

    await live_and_die()
    before = footprint()
    for _ in range(25):
        await asyncio.gather(*(live_and_die() for _ in range(4)))
    assert footprint() == before


# --- the child's surroundings -------------------------------------------------------------------------------------------


@BOTH
async def test_the_child_has_a_session_of_its_own_and_default_signals(guarded: bool) -> None:
    """Ctrl-C in our terminal is ours; what we ignore or block is not the child's business."""
    ignored = signal.signal(signal.SIGUSR2, signal.SIG_IGN)
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    try:
        argv = ("sh", "-c", "grep -E 'Sig(Blk|Ign)' /proc/self/status; echo ready; cat")
        async with running(argv, guarded=guarded) as (child, recorder):
            await recorder.line("ready")
            assert child.pid is not None
            assert os.getsid(child.pid) == child.pid
            assert os.getsid(child.pid) != os.getsid(0)
            if guarded:
                assert int(recorder.find_line("SigIgn:") or "", 16) == 0
                assert int(recorder.find_line("SigBlk:") or "", 16) == 0
    finally:
        signal.signal(signal.SIGUSR2, ignored)
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)


@BOTH
async def test_the_child_inherits_three_descriptors(guarded: bool) -> None:
    """Also when ours are inheritable."""
    ours = os.open(os.devnull, os.O_RDONLY)
    os.set_inheritable(ours, True)
    try:
        argv = python("""
            found = [int(name) for name in os.listdir("/proc/self/fd")]
            say("fds %s" % [fd for fd in found if os.path.exists("/proc/self/fd/%d" % fd)])
            until_eof()
        """)
        async with running(argv, guarded=guarded) as (_, recorder):
            assert await recorder.line("fds") == "[0, 1, 2]"
    finally:
        os.close(ours)


@BOTH
async def test_the_environment_is_ours_with_the_changes_of_the_spec(guarded: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is added but the mark, not even by the guardian's interpreter, which likes to set LC_CTYPE."""
    monkeypatch.setenv("REMOVED", "1")
    monkeypatch.setenv("KEPT", "a=b\nc")
    changes: dict[str, str | None] = {"REMOVED": None, "ADDED": "\udcff", "LC_ALL": None, "LC_CTYPE": None, "LANG": "C"}
    async with running(("sh", "-c", "tr '\\0' '\\1' </proc/self/environ; echo; cat"), env=changes, guarded=guarded) as (
        child,
        recorder,
    ):
        await recorder.until(lambda it: it.data.endswith(b"\x01\n"))
        found = dict(entry.split(b"=", 1) for entry in recorder.data[:-2].split(b"\x01"))
    wanted = dict(os.environb) | {b"ADDED": b"\xff", b"LANG": b"C", b"CODEX_RUNTIME_CHILD": child._mark.encode()}
    for name in (b"REMOVED", b"LC_ALL", b"LC_CTYPE"):
        wanted.pop(name, None)
    for name in (b"PWD", b"OLDPWD", b"SHLVL", b"_"):  # the shell's own
        found.pop(name, None)
        wanted.pop(name, None)
    assert found == wanted


async def test_a_fork_of_our_process_may_not_touch_the_child() -> None:
    """And the copies of our descriptors that it holds do not delay the end."""
    async with running(IDLE, graces=Graces(stdin_close=PATIENCE)) as (child, recorder):
        await recorder.line("ready")
        hold, release = os.pipe()
        fork = os.fork()
        if fork == 0:
            refused = 0
            for use in (child.kill, lambda: child.write(b"x"), lambda: child.aclose().send(None)):
                try:
                    use()
                except RuntimeError:
                    refused += 1
            os.close(release)
            os.read(hold, 1)
            os._exit(refused)
        before = time.monotonic()
        end = await child.aclose()
        took = time.monotonic() - before
        os.close(hold)
        os.close(release)
        assert os.waitstatus_to_exitcode(os.waitpid(fork, 0)[1]) == 3
        assert end.clean
        assert took < 1.0


async def test_the_end_of_the_thread_that_spawned_does_not_matter() -> None:
    """The system's parent-death signal speaks of threads; the guardian knows better."""
    spec = ProcessSpec(argv=ECHO)
    made = []
    thread = threading.Thread(target=lambda: made.append(spawn(spec)))
    thread.start()
    thread.join()
    child, recorder = ChildProcess(made[0], spec), Recorder()
    async with asyncio.timeout(PATIENCE):
        assert await child.started() is None
    child.open(recorder)
    child.write(b"still here\n")
    assert await recorder.line("still") == "here"
    assert (await child.aclose()).clean


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
    assert time.monotonic() - before < 1.0
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


# --- starts that fail ---------------------------------------------------------------------------------------------------


def no_such_file(folder: Path) -> Path:
    return folder / "missing"


def not_executable(folder: Path) -> Path:
    path = folder / "plain"
    path.write_text("#!/bin/sh\n")
    return path


def not_a_program(folder: Path) -> Path:
    path = folder / "noise"
    path.write_bytes(b"\x7fELF of no kind")
    path.chmod(0o755)
    return path


def no_interpreter(folder: Path) -> Path:
    path = folder / "script"
    path.write_text("#!/no/such/interpreter\n")
    path.chmod(0o755)
    return path


@BOTH
@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (no_such_file, "No such file or directory"),
        (not_executable, "Permission denied"),
        (not_a_program, "Exec format error"),
        (no_interpreter, "the interpreter that it asks for does not exist"),
    ],
)
async def test_a_program_that_cannot_be_executed_is_named_with_the_reason(
    guarded: bool, make: Callable[[Path], Path], reason: str, tmp_path: Path
) -> None:
    """The guardian tells the errno of exec, so it is the same error with and without one."""
    program = str(make(tmp_path))
    with pytest.raises(BinaryNotFoundError) as caught:
        await ProcessLauncher(ProcessSpec(argv=(program,), guarded=guarded)).launch(Recorder())
    assert str(caught.value) == f"cannot start {program!r}: {reason}"


@BOTH
async def test_a_bare_name_is_looked_up_on_the_childs_path(guarded: bool, tmp_path: Path) -> None:
    """PATH may come from the spec; a file of that name in the working directory is never taken."""
    (tmp_path / "found").write_text("#!/bin/sh\necho found it\n")
    (tmp_path / "found").chmod(0o755)
    spec = ProcessSpec(argv=("found",), env={"PATH": f"{tmp_path}:{os.environ['PATH']}"}, guarded=guarded)
    recorder = Recorder()
    child = await ProcessLauncher(spec).launch(recorder)
    assert await recorder.line("found") == "it"
    await child.aclose()
    with pytest.raises(BinaryNotFoundError):
        await ProcessLauncher(ProcessSpec(argv=("found",), cwd=str(tmp_path), guarded=guarded)).launch(Recorder())


@BOTH
async def test_a_bad_working_directory_is_named(guarded: bool, tmp_path: Path) -> None:
    """It is not mistaken for a bad program."""
    folder = str(tmp_path / "missing")
    with pytest.raises(StartError) as caught:
        await ProcessLauncher(ProcessSpec(argv=("cat",), cwd=folder, guarded=guarded)).launch(Recorder())
    assert str(caught.value) == f"cannot start 'cat' in {folder!r}: No such file or directory"
    assert not isinstance(caught.value, BinaryNotFoundError)


async def test_a_guardian_that_fails_says_why(tmp_path: Path) -> None:
    """The words of its interpreter are all there is to go by."""
    (tmp_path / "libc.so.6").write_bytes(b"not a library")
    with pytest.raises(StartError, match="its guardian"):
        await ProcessLauncher(ProcessSpec(argv=("cat",), env={"LD_LIBRARY_PATH": str(tmp_path)})).launch(Recorder())


# --- the real thing -----------------------------------------------------------------------------------------------------


@pytest.mark.timeout(60)
async def test_the_real_app_server_greets_and_leaves(codex_binary: Path, codex_home: Path) -> None:
    """`codex app-server` takes a socket for its stdin, and leaves at its end."""
    recorder = Recorder()
    spec = ProcessSpec(argv=(str(codex_binary), "app-server"), env={"CODEX_HOME": str(codex_home)})
    child = await ProcessLauncher(spec).launch(recorder)
    hello = {"id": 1, "method": "initialize", "params": {"clientInfo": {"name": "test", "version": "1"}}}
    child.write(json.dumps(hello).encode() + b"\n")
    async with asyncio.timeout(30):
        while b"\n" not in recorder.data:
            await asyncio.sleep(0.005)
    assert json.loads(recorder.data.split(b"\n")[0])["id"] == 1
    before = time.monotonic()
    end = await child.aclose()
    assert end.clean
    assert time.monotonic() - before < 1.0
