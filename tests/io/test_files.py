"""A log of lines, a lock and a replaced file: whole or not at all, whatever the disk does."""

from __future__ import annotations

import errno
import os
import resource
import stat
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from codex_runtime._io.files import FileLock, LineLog, _sync_folder, write_atomic
from codex_runtime.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def no_file_above(size: int) -> Iterator[None]:
    """Have the system refuse to let any file of this process grow above a size, as a full disk would."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def opened(log: LineLog) -> LineLog:
    """Open a log and return it."""
    log.open()
    return log


def test_what_was_appended_is_there_at_once(tmp_path: Path) -> None:
    """Not when the log is closed, nor after some buffer is full."""
    log = opened(LineLog(tmp_path / "log"))
    log.append(b"one\n")
    log.append(b"two\nthree\n")
    assert (tmp_path / "log").read_bytes() == b"one\ntwo\nthree\n"
    log.close()


def test_a_log_is_its_owners_alone(tmp_path: Path) -> None:
    """It holds what people typed and what models answered."""
    opened(LineLog(tmp_path / "log")).close()
    assert stat.S_IMODE((tmp_path / "log").stat().st_mode) == 0o600


def test_a_torn_log_is_continued_on_a_new_line(tmp_path: Path) -> None:
    """What a crash left of the last line does not swallow the next one."""
    (tmp_path / "log").write_bytes(b"one\ntw")
    log = opened(LineLog(tmp_path / "log"))
    log.append(b"three\n")
    log.close()
    assert (tmp_path / "log").read_bytes() == b"one\ntw\nthree\n"


def test_a_short_write_is_completed(tmp_path: Path) -> None:
    """The system may take less than it is given."""
    log = opened(LineLog(tmp_path / "log", write=lambda fd, data: os.write(fd, data[:3])))
    log.append(b"0123456789\n")
    log.close()
    assert (tmp_path / "log").read_bytes() == b"0123456789\n"


def test_a_full_disk_leaves_nothing_half(tmp_path: Path) -> None:
    """The append fails as a whole, what was there stays, and when there is space again the log goes on."""
    log = opened(LineLog(tmp_path / "log"))
    log.append(b"kept\n")
    with no_file_above(8), pytest.raises(StoreError, match="cannot write") as caught:
        log.append(b"does not fit\n")
    assert caught.value.path == str(tmp_path / "log")
    assert (tmp_path / "log").read_bytes() == b"kept\n"
    log.append(b"fits\n")
    log.close()
    assert (tmp_path / "log").read_bytes() == b"kept\nfits\n"


def test_a_failed_sync_is_never_tried_again_on_the_same_file(tmp_path: Path) -> None:
    """The system forgets what it could not write and says yes the next time: the log goes on in a new file."""
    outcomes = [OSError(errno.EIO, "Input/output error"), None, None]

    def fsync(fd: int) -> None:
        if (outcome := outcomes.pop(0)) is not None:
            raise outcome
        os.fsync(fd)

    log = opened(LineLog(tmp_path / "log", flush="always", keep=0, fsync=fsync))
    with pytest.raises(StoreError, match="Input/output error"):
        log.append(b"refused\n")
    log.append(b"next\n")
    log.close()
    assert (tmp_path / "log").read_bytes() == b"next\n"
    assert (tmp_path / "log.1").read_bytes() == b""


@pytest.mark.parametrize(("flush", "at_once", "at_end"), [("always", 3, 3), ("interval", 0, 1), ("never", 0, 0)])
def test_the_policy_says_when_the_disk_is_waited_for(tmp_path: Path, flush: str, at_once: int, at_end: int) -> None:
    """At each append, once in a while and at the end, or not at all."""
    synced: list[int] = []
    log = opened(LineLog(tmp_path / "log", flush=flush, fsync=synced.append))  # type: ignore[arg-type]
    for _ in range(3):
        log.append(b"line\n")
    assert (len(synced), log.needs_sync) == (at_once, flush == "interval")
    log.close()
    assert len(synced) == at_end


def test_waiting_for_the_disk_keeps_nobody_from_adding(tmp_path: Path) -> None:
    """Nor from going on in a new file, nor from closing: the file that is waited for is held."""
    waiting, go_on = threading.Event(), threading.Event()
    synced: list[tuple[int, int]] = []

    def fsync(fd: int) -> None:
        if threading.current_thread() is not threading.main_thread():
            waiting.set()
            assert go_on.wait(10)
        synced.append((os.fstat(fd).st_ino, os.fstat(fd).st_size))

    log = opened(LineLog(tmp_path / "log", rotate_bytes=8, fsync=fsync))
    log.append(b"one\n")
    first = (tmp_path / "log").stat().st_ino
    other = threading.Thread(target=log.sync)
    other.start()
    assert waiting.wait(10)
    log.append(b"two\n")
    assert log.needs_sync
    log.append(b"in a new file\n")
    log.close()
    go_on.set()
    other.join()
    assert synced[-1] == (first, 8)
    assert [(tmp_path / name).read_bytes() for name in ("log.1", "log")] == [b"one\ntwo\n", b"in a new file\n"]


def test_a_log_is_rotated_before_it_grows_too_big(tmp_path: Path) -> None:
    """The youngest of the old ones is `.1`; only so many are kept; no line is in two of them or in none."""
    log = opened(LineLog(tmp_path / "log", rotate_bytes=8, keep=2))
    for number in range(5):
        log.append(b"l%d\nm%d\n" % (number, number))
    log.append(b"a line that is longer than a file may be\n")
    log.close()
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {
        "log": b"a line that is longer than a file may be\n",
        "log.1": b"l4\nm4\n",
        "log.2": b"l3\nm3\n",
    }


def test_a_rotated_log_counts_what_was_there_before(tmp_path: Path) -> None:
    """Opening it anew does not give it more room."""
    (tmp_path / "log").write_bytes(b"1234\n")
    log = opened(LineLog(tmp_path / "log", rotate_bytes=8, keep=0))
    log.append(b"5678\n")
    log.close()
    assert [path.name for path in tmp_path.iterdir()] == ["log"]
    assert (tmp_path / "log").read_bytes() == b"5678\n"


def test_two_cannot_write_the_same_log(tmp_path: Path) -> None:
    """The second is told at once, and may once the first is done."""
    first, second = opened(LineLog(tmp_path / "log")), LineLog(tmp_path / "log")
    with pytest.raises(StoreError, match="somebody else"):
        second.open()
    first.close()
    second.open()
    second.close()


def test_a_log_that_cannot_be_made_says_why(tmp_path: Path) -> None:
    """The error is ours, with the path and the reason."""
    with pytest.raises(StoreError, match=r"cannot open .*No such file or directory"):
        LineLog(tmp_path / "missing" / "log").open()


def test_a_lock_names_its_holder_and_ends_with_it(tmp_path: Path) -> None:
    """Also if the holder is killed: nobody has to clean up."""
    code = (
        "import sys; from codex_runtime._io.files import FileLock; lock = FileLock(sys.argv[1]);"
        "lock.acquire('it'); print('held', flush=True); sys.stdin.read()"
    )
    argv = [sys.executable, "-c", code, str(tmp_path / "lock")]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        ours = FileLock(tmp_path / "lock")
        with pytest.raises(StoreError, match=rf"somebody else already writes to the store \(process {holder.pid}\)"):
            ours.acquire("the store")
        holder.kill()
        holder.wait()
    ours.acquire("the store")
    ours.release()
    ours.release()


def test_a_file_is_replaced_in_one_piece(tmp_path: Path) -> None:
    """The new content stands under the old name, for its owner alone, and nothing else is left."""
    write_atomic(tmp_path / "file", b"old")
    write_atomic(tmp_path / "file", b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_bytes() == b"new"
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o600


def test_a_replacement_that_fails_leaves_the_old_content(tmp_path: Path) -> None:
    """And no half of the new one anywhere."""
    write_atomic(tmp_path / "file", b"old")
    with no_file_above(8), pytest.raises(StoreError, match="cannot write"):
        write_atomic(tmp_path / "file", b"far too much")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_bytes() == b"old"


@pytest.mark.skipif(sys.platform != "linux", reason="needs a file system that cannot sync a folder")
def test_a_folder_that_cannot_be_synced_costs_no_log() -> None:
    """Some file systems cannot: the lines are as safe as there, and nothing is put aside for it."""
    folder = Path("/proc/self")
    fd = os.open(folder, os.O_RDONLY)
    try:
        with pytest.raises(OSError, match="Invalid argument"):
            os.fsync(fd)
    finally:
        os.close(fd)
    _sync_folder(folder)
