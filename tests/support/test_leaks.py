"""The leak check is itself checked: each kind of leftover is made on purpose and must be named."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.support.leaks import TOKEN_NAME, Footprint, left_since, processes_of_run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

needs_proc = pytest.mark.skipif(sys.platform != "linux", reason="processes are seen through /proc")

WAITS_FOR_EOF = [sys.executable, "-c", "import sys; sys.stdin.read()"]
"""A child that ends when its stdin is closed."""


@pytest.fixture
def before() -> Footprint:
    """What was there when the test began."""
    return Footprint.now()


@pytest.fixture
def waiting_child() -> Iterator[subprocess.Popen[bytes]]:
    """A child that lives until the test is over."""
    with subprocess.Popen(WAITS_FOR_EOF, stdin=subprocess.PIPE) as child:
        yield child


def test_a_clean_stretch_of_work_leaves_nothing(before: Footprint) -> None:
    """Work that ends and closes everything is no leak."""
    subprocess.run(["true"], check=True)
    thread = threading.Thread(target=int)
    thread.start()
    thread.join()
    assert not left_since(before)


def test_an_open_descriptor_is_named_by_what_it_points_to(before: Footprint, tmp_path: Path) -> None:
    """The path of a file left open is in the message."""
    number = os.open(tmp_path, os.O_RDONLY)
    try:
        assert left_since(before).describe() == [f"descriptor {number}: {tmp_path}"]
    finally:
        os.close(number)


def test_a_descriptor_that_changed_its_target_is_a_new_one(tmp_path: Path) -> None:
    """A number that was there before does not hide what it stands for now."""
    number = os.open(os.devnull, os.O_RDONLY)
    try:
        before = Footprint.now()
        os.close(number)
        assert os.open(tmp_path, os.O_RDONLY) == number
        assert left_since(before).descriptors == {(number, str(tmp_path))}
    finally:
        os.close(number)


def test_a_running_thread_is_named(before: Footprint) -> None:
    """The name of the thread and its function are in the message."""
    release = threading.Event()
    thread = threading.Thread(target=release.wait, name="forgotten")
    thread.start()
    try:
        assert left_since(before, patience=0.01).describe() == ["thread 'forgotten' running Event.wait"]
    finally:
        release.set()
        thread.join()


def test_a_thread_that_is_ending_is_waited_for(before: Footprint) -> None:
    """What ends within the patience is no leak."""
    release = threading.Event()
    threading.Thread(target=release.wait).start()
    threading.Timer(0.05, release.set).start()
    assert not left_since(before, patience=5)


@needs_proc
def test_a_running_child_is_named_by_its_arguments(before: Footprint, waiting_child: subprocess.Popen[bytes]) -> None:
    """The command line of a child left running is in the message."""
    left = left_since(before, patience=0.01)
    assert left.processes == {waiting_child.pid}
    assert "sys.stdin.read()" in left.describe()[0]


@needs_proc
def test_a_child_that_nobody_waited_for_is_left(before: Footprint) -> None:
    """An ended child stays in the process table until its parent asks for its status."""
    child = os.posix_spawnp("true", ["true"], os.environ)
    try:
        left = left_since(before, patience=5)
        assert left.processes == {child}
        assert "nobody waited for it" in left.describe()[0]
    finally:
        os.waitpid(child, 0)


@contextmanager
def orphan(environment: dict[str, str]) -> Iterator[int]:
    """Run a process in a session of its own whose parent is already gone; it ends with the block."""
    stdin, keep_alive = os.pipe()
    try:
        shell = subprocess.run(
            ["sh", "-c", "exec 3<&0; setsid cat <&3 >/dev/null & echo $!"],
            env=environment,
            stdin=stdin,
            stdout=subprocess.PIPE,
            check=True,
        )
        yield int(shell.stdout)
    finally:
        os.close(stdin)
        os.close(keep_alive)


@needs_proc
def test_a_grandchild_whose_parent_died_is_still_ours(before: Footprint) -> None:
    """A process that left our tree is known by the token in its environment."""
    with orphan(dict(os.environ)) as pid:
        assert left_since(before, patience=0.01).processes == {pid}
        assert processes_of_run(os.environ[TOKEN_NAME]) == [f"process {pid}: cat"]


@needs_proc
def test_a_process_of_somebody_else_is_not_ours(before: Footprint) -> None:
    """A stranger neither descends from us nor carries our token."""
    with orphan({"PATH": os.environ["PATH"]}) as pid:
        assert pid in Footprint.now().processes
        assert not left_since(before, patience=0.01).processes


BAD_TESTS = """
import asyncio, os, pytest, socket

@pytest.fixture
async def tidy():
    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        stop = asyncio.Event()
        group.create_task(stop.wait())
        yield "tidy"
        stop.set()

@pytest.fixture
async def untidy():
    yield asyncio.create_task(asyncio.Event().wait())

async def test_clean(tidy):
    assert tidy == "tidy"

async def test_task():
    test_task.kept = asyncio.create_task(asyncio.Event().wait())

async def test_fixture_task(untidy):
    assert not untidy.done()

async def test_unseen():
    async def fail():
        raise ValueError("seen by nobody")
    task = asyncio.create_task(fail())
    await asyncio.wait([task])

def test_descriptor():
    os.open(os.devnull, os.O_RDONLY)

def test_unclosed():
    cycle = [socket.socket()]
    cycle.append(cycle)

@pytest.mark.timeout(2.1)
async def test_hangs():
    await asyncio.Event().wait()

def test_clean_again():
    pass
"""


def test_each_leftover_fails_the_test_that_made_it_and_no_other(tmp_path: Path) -> None:
    """A whole run under the project's own conftest blames the right tests, for the right reasons."""
    bad_tests = tmp_path / "test_bad.py"
    bad_tests.write_text(BAD_TESTS)
    (tmp_path / "pytest.ini").write_text("[pytest]\ntimeout = 30\nfilterwarnings = error\n")
    run = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-p",
            "tests.conftest",
            "-rA",
            "--tb=short",
            "-p",
            "no:cacheprovider",
            bad_tests,
        ],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )
    summary = run.stdout.rpartition("short test summary info")[2]
    verdicts = {
        (words[0], words[1].rpartition("::")[2]): " ".join(words[3:])
        for words in map(str.split, summary.splitlines())
        if len(words) > 1 and "::" in words[1]
    }
    bad = {name: reason for (verdict, name), reason in verdicts.items() if verdict != "PASSED"}
    assert set(bad) == {
        "test_task",
        "test_fixture_task",
        "test_unseen",
        "test_descriptor",
        "test_unclosed",
        "test_hangs",
    }, run.stdout
    assert "tasks are still pending" in run.stdout
    assert "seen by nobody" in run.stdout
    assert f"descriptor {run.stdout.partition('  descriptor ')[2].partition(':')[0]}: {os.devnull}" in run.stdout
    assert "unclosed <socket" in run.stdout
    assert bad["test_hangs"].startswith("TimeoutError")
