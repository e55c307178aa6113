"""The guardian on its own, run as the program that it is: what it says, what it obeys, what it leaves."""

from __future__ import annotations

import os
import resource
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from codex_runtime._io import process, survivors
from codex_runtime._io.spawn import _GUARDIAN
from tests.support.children import DEAF, LONG, PATIENCE, gone, marked, parent_of, pids, python

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the guardian is a Linux program")


class Ward:
    """A guardian with the test for its parent."""

    def __init__(self, *argv: str, parent: int | None = None) -> None:
        self.mark = os.urandom(12).hex()
        self.control, theirs = socket.socketpair()
        self.control.settimeout(PATIENCE)
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-S", _GUARDIAN, str(theirs.fileno()), str(parent or os.getpid()), "--", *argv],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, survivors.MARK: self.mark},
            pass_fds=[theirs.fileno()],
            start_new_session=True,
        )
        theirs.close()
        self._reports = b""

    def report(self) -> str:
        """Return the next report; empty at the end."""
        while b"\n" not in self._reports:
            data = self.control.recv(4096)
            if not data:
                return ""
            self._reports += data
        line, _, self._reports = self._reports.partition(b"\n")
        return line.decode()

    def child(self) -> int:
        """Return the pid that is reported."""
        word, _, number = self.report().partition(" ")
        assert word == "pid"
        return int(number)

    def hear(self, start: str) -> str:
        """Return the rest of the next line of stdout that starts with `start`."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith(start.encode()):
                return line[len(start) :].decode().strip()
        raise AssertionError(f"ended without saying {start!r}")

    def wait(self) -> int:
        """Wait for the guardian's end and check that it took everything along."""
        code = self.process.wait(PATIENCE)
        assert marked(self.mark) == []
        return code

    def discard(self) -> None:
        """Leave nothing to the next test."""
        self.control.close()
        self.process.kill()
        with self.process:
            pass  # closes the pipes and waits
        while survivors.kill_marked(self.mark):
            pass


@pytest.fixture
def guard() -> Iterator[Callable[..., Ward]]:
    """Start guardians and discard them at the end."""
    wards: list[Ward] = []

    def start(*argv: str, parent: int | None = None) -> Ward:
        wards.append(Ward(*argv, parent=parent))
        return wards[-1]

    yield start
    for ward in wards:
        ward.discard()


def test_it_speaks_the_words_that_we_say_to_it() -> None:
    """The two sides cannot share the constants: importing the guardian costs what it is made to save."""
    words = {}
    for line in _GUARDIAN.read_text().splitlines():
        name, mark, value = line.partition(" = ")
        if mark and name in ("TERMINATE", "KILL"):
            words[name] = value
    assert words == {"TERMINATE": f'b"{process._TERMINATE.decode()}"', "KILL": f'b"{process._KILL.decode()}"'}


def test_it_imports_next_to_nothing() -> None:
    """Each module it loads is paid for at every start of an app server."""
    code = (
        f"import sys; sys.argv = ['']; exec(open({str(_GUARDIAN)!r}).read(), {{'__name__': 'x'}}); print(*sys.modules)"
    )
    loaded = subprocess.run([sys.executable, "-I", "-S", "-c", code], check=True, capture_output=True, text=True).stdout
    assert "ctypes" in loaded.split()
    assert not {"signal", "subprocess", "socket", "asyncio", "enum", "re", "typing", "pathlib"} & set(loaded.split())


@pytest.mark.parametrize("code", [0, 1, 3, 255])
def test_it_exits_as_the_program_exits(guard: Callable[..., Ward], code: int) -> None:
    """And reports it before, in case somebody else reaps it."""
    ward = guard("sh", "-c", f"exit {code}")
    ward.child()
    assert ward.report() == f"status {code << 8}"
    assert ward.report() == "swept"
    assert ward.report() == ""
    assert ward.wait() == code


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGABRT, signal.SIGHUP, signal.SIGTERM, signal.SIGRTMIN])
def test_it_dies_by_the_signal_that_the_program_died_by(guard: Callable[..., Ward], number: int) -> None:
    """Without a core file of its own."""
    ward = guard("sleep", str(LONG))
    os.kill(ward.child(), number)
    assert ward.report().startswith("status ")
    assert ward.wait() == -number


def test_it_leaves_no_core_file(guard: Callable[..., Ward]) -> None:
    """The program's crash may be worth one; the guardian's, which only repeats it, is not."""
    before = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (before[1], before[1]))
    try:
        ward = guard("sh", "-c", "ulimit -c 0; kill -ABRT $$")
    finally:
        resource.setrlimit(resource.RLIMIT_CORE, before)
    ward.child()
    _, status = os.waitpid(ward.process.pid, 0)
    ward.process.returncode = os.waitstatus_to_exitcode(status)
    assert os.WTERMSIG(status) == signal.SIGABRT
    assert not os.WCOREDUMP(status)


def test_a_program_that_cannot_be_run_is_reported_by_its_errno(guard: Callable[..., Ward]) -> None:
    """2 is ENOENT."""
    ward = guard("/no/such/program")
    assert ward.report() == "errno 2"
    assert ward.wait() == 127


def test_the_first_sigterm_is_passed_on(guard: Callable[..., Ward]) -> None:
    """The program may leave in its own way."""
    ward = guard(
        *python(f"""
        signal.signal(signal.SIGTERM, lambda *_: os._exit(9))
        say("ready")
        time.sleep({LONG})
    """)
    )
    ward.hear("ready")
    ward.process.terminate()
    assert ward.wait() == 9


def test_the_second_sigterm_kills(guard: Callable[..., Ward]) -> None:
    """Whoever asks twice means it."""
    ward = guard(*DEAF)
    ward.child()
    ward.hear("ready")
    ward.process.terminate()
    while not (Path(f"/proc/{ward.process.pid}/status").read_text().count("ShdPnd:\t0000000000000000")):
        pass  # two equal signals at once are one
    ward.process.terminate()
    assert ward.report() == f"status {signal.SIGKILL}"
    assert ward.wait() == -signal.SIGKILL


def test_orders_do_what_signals_do(guard: Callable[..., Ward]) -> None:
    """However often it is told to terminate, only the order to kill kills."""
    ward = guard(*DEAF)
    child = ward.child()
    ward.hear("ready")
    for _ in range(3):
        ward.control.send(process._TERMINATE)
    assert parent_of(child) == ward.process.pid
    ward.control.send(process._KILL)
    assert ward.wait() == -signal.SIGKILL


def test_the_end_of_the_control_stream_kills(guard: Callable[..., Ward]) -> None:
    """Nobody is left who could give an order."""
    ward = guard(*DEAF)
    ward.child()
    ward.hear("ready")
    ward.control.close()
    assert ward.wait() == -signal.SIGKILL


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGPIPE, signal.SIGUSR1])
def test_other_signals_do_not_matter_to_it(guard: Callable[..., Ward], number: int) -> None:
    """A terminal that closes, or a stray kill, must not take the safety net away."""
    ward = guard("cat")
    ward.child()
    for _ in range(3):
        ward.process.send_signal(number)
    ward.process.communicate(b"x", PATIENCE)
    assert ward.wait() == 0


async def test_it_ends_when_its_parent_dies_though_others_hold_its_control() -> None:
    """A fork may keep every descriptor open, and the thread that spawned may be gone: the process itself is watched."""
    near, far = socket.socketpair()
    mark = os.urandom(12).hex()
    code = f"""
        import subprocess, threading
        def spawn():
            subprocess.Popen(
                [{sys.executable!r}, "-I", "-S", {str(_GUARDIAN)!r}, "{far.fileno()}", str(os.getpid()), "--", *{DEAF!r}],
                pass_fds=[{far.fileno()}], start_new_session=True, env=dict(os.environ, {survivors.MARK}="{mark}"),
            )
        thread = threading.Thread(target=spawn)
        thread.start()
        thread.join()
        time.sleep({LONG})
    """
    parent = subprocess.Popen(  # noqa: ASYNC220
        python(code), stdout=subprocess.PIPE, pass_fds=[far.fileno()]
    )
    with near, far, parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"ready\n"
        assert len(marked(mark)) == 2
        before = time.monotonic()
        parent.kill()
        for pid in marked(mark):
            await gone(pid)
        assert marked(mark) == []
        assert time.monotonic() - before < PATIENCE


def test_it_does_nothing_for_a_parent_that_is_gone_already(guard: Callable[..., Ward]) -> None:
    """Started for a process that is not its parent any more, it takes the program down again."""
    ward = guard("sleep", str(LONG), parent=1)
    assert ward.wait() == -signal.SIGKILL


def test_the_program_dies_with_a_guardian_that_is_killed(guard: Callable[..., Ward]) -> None:
    """The system itself sees to it; what the program started is left to whoever looks for the mark."""
    ward = guard(*DEAF)
    ward.child()
    ward.hear("ready")
    ward.process.kill()
    assert ward.process.stdout is not None
    assert ward.process.stdout.read() == b""  # the end of the program's stdout


def test_it_lets_go_of_the_programs_streams_and_of_its_folder(guard: Callable[..., Ward], tmp_path: Path) -> None:
    """Otherwise a program that closes its stdout would not be noticed, and a folder could not be unmounted."""
    ward = guard(*python(f"say('ready'); os.close(1); os.close(2); time.sleep({LONG})"))
    ward.hear("ready")
    assert ward.process.stdout is not None
    assert ward.process.stderr is not None
    assert ward.process.stdout.read() == b""
    assert ward.process.stderr.read() == b""
    assert Path(f"/proc/{ward.process.pid}/cwd").readlink() == Path("/")


def test_orphans_of_the_program_are_reaped_while_it_runs(guard: Callable[..., Ward]) -> None:
    """A long-lived app server must not collect zombies in its guardian."""
    ward = guard(
        *python("""
        for _ in range(20):
            if os.fork() == 0:
                if os.fork() == 0:
                    os._exit(0)
                os._exit(0)
            os.wait()
        say("ready")
        until_eof()
    """)
    )
    child = ward.child()
    ward.hear("ready")
    deadline = time.monotonic() + PATIENCE
    while [pid for pid in pids() if parent_of(pid) == ward.process.pid] != [child]:
        assert time.monotonic() < deadline
    assert ward.process.stdin is not None
    ward.process.stdin.close()
    assert ward.wait() == 0


def test_processes_that_flee_by_forking_are_caught(guard: Callable[..., Ward]) -> None:
    """One is never the same process for long, one multiplies, and one starts a new session at each step."""
    ward = guard(
        *python("""
        end = time.monotonic() + 10  # should the guardian fail, the machine need not suffer for ever

        def comet(step):
            while time.monotonic() < end:
                if os.fork():
                    os._exit(0)
                step()
            os._exit(0)

        def bomb():
            for _ in range(5):
                os.fork()
            while time.monotonic() < end:
                time.sleep(0.001)
                if os.fork() == 0:
                    os._exit(0)
                os.wait()
            os._exit(0)

        for run in (lambda: comet(lambda: None), lambda: comet(os.setsid), bomb):
            if os.fork() == 0:
                os.setsid()
                run()
        say("ready")
        until_eof()
    """)
    )
    ward.hear("ready")
    assert ward.process.stdin is not None
    ward.process.stdin.close()
    assert ward.wait() == 0


def test_a_deep_family_is_killed_from_the_top_down(guard: Callable[..., Ward]) -> None:
    """Each generation in a session of its own, each deaf to SIGTERM, the last one stopped."""
    ward = guard(
        *python(f"""
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        for depth in range(12):
            if os.fork():
                break
            os.setsid()
        if depth == 11:
            say("ready")
            os.kill(os.getpid(), signal.SIGSTOP)
        if depth == 0:
            until_eof()
            os._exit(0)
        time.sleep({LONG})
    """)
    )
    ward.hear("ready")
    assert ward.process.stdin is not None
    ward.process.stdin.close()
    assert ward.wait() == 0
