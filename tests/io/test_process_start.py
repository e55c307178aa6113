"""The start of a child process: what it is given, and the starts that fail."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from codex_runtime._io.process import ChildProcess, Graces, ProcessLauncher, ProcessSpec
from codex_runtime._io.spawn import spawn
from codex_runtime.errors import BinaryNotFoundError, StartError
from tests.support.children import (
    ECHO,
    IDLE,
    PATIENCE,
    Recorder,
    python,
    running,
)

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")

BOTH = pytest.mark.parametrize("guarded", [True, False], ids=["guarded", "bare"])


# --- the child's surroundings ---


@BOTH
async def test_the_child_has_a_session_of_its_own_and_default_signals(*, guarded: bool) -> None:
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
                # 32 and 33 are the C library's own; it lets nobody touch them.
                assert int(recorder.find_line("SigIgn:") or "", 16) & ~(3 << 31) == 0
                assert int(recorder.find_line("SigBlk:") or "", 16) == 0
    finally:
        signal.signal(signal.SIGUSR2, ignored)
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)


@BOTH
async def test_the_child_inherits_three_descriptors(*, guarded: bool) -> None:
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
async def test_the_childs_stdin_is_one_way_and_blocks(*, guarded: bool) -> None:
    """It is a socket underneath; a program that was made for a pipe sees no difference. Defaults of ours do not leak in."""
    argv = python("""
        say("blocking %s" % os.get_blocking(0))
        try:
            os.write(0, b"x")
        except BrokenPipeError:
            say("one way")
        until_eof()
    """)
    socket.setdefaulttimeout(1.0)
    try:
        async with running(argv, guarded=guarded) as (_, recorder):
            assert await recorder.line("blocking") == "True"
            assert await recorder.line("one") == "way"
    finally:
        socket.setdefaulttimeout(None)


@BOTH
async def test_the_environment_is_ours_with_the_changes_of_the_spec(
    *, guarded: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
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
        assert os.waitstatus_to_exitcode(os.waitpid(fork, 0)[1]) == 3  # noqa: ASYNC222
        assert end.clean
        assert took < PATIENCE


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


# --- starts that fail ---


def no_such_file(folder: Path) -> Path:
    """Name a file that does not exist."""
    return folder / "missing"


def not_executable(folder: Path) -> Path:
    """Make a file without the permission."""
    path = folder / "plain"
    path.write_text("#!/bin/sh\n")
    return path


def not_a_program(folder: Path) -> Path:
    """Make an executable file of noise."""
    path = folder / "noise"
    path.write_bytes(b"\x7fELF of no kind")
    path.chmod(0o755)
    return path


def no_interpreter(folder: Path) -> Path:
    """Make a script for an interpreter that does not exist."""
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
    *, guarded: bool, make: Callable[[Path], Path], reason: str, tmp_path: Path
) -> None:
    """The guardian tells the errno of exec, so it is the same error with and without one."""
    program = str(make(tmp_path))
    with pytest.raises(BinaryNotFoundError) as caught:
        await ProcessLauncher(ProcessSpec(argv=(program,), guarded=guarded)).launch(Recorder())
    assert str(caught.value) == f"cannot start {program!r}: {reason}"


@BOTH
async def test_a_bare_name_is_looked_up_on_the_childs_path(*, guarded: bool, tmp_path: Path) -> None:
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
async def test_a_bad_working_directory_is_named(*, guarded: bool, tmp_path: Path) -> None:
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
