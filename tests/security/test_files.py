"""S26: the files that we make are their owner's alone, and nobody who may write beside them can turn us against others."""

from __future__ import annotations

import os
import stat
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from codex_runtime._io.files import FileLock, LineLog, write_atomic
from codex_runtime.errors import StoreError
from codex_runtime.journal import Journal, JournalSink
from codex_runtime.runtime import AuditLog, Decision, JsonlSink, JsonStateStore
from codex_runtime.testing import FakeAppServer
from tests.journal.stores import add, heard, writing
from tests.runtime.rig import running

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DECISION = Decision(what="x", outcome="declined", decider="nobody", at=1.0)
AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to somebody else")
SOMEBODY = 65534


@contextmanager
def umask(mask: int) -> Iterator[None]:
    """Have files made with this mask."""
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def write_log(path: Path) -> None:
    """Keep a log of lines, which is rotated."""
    log = LineLog(path, rotate_bytes=4, keep=2)
    for _ in range(3):
        log.append(b"one\n")
    log.close()


def write_audit(path: Path) -> None:
    """Keep decisions."""
    audit = AuditLog(path)
    audit(DECISION)
    audit.close()


def write_state(path: Path) -> None:
    """Keep the state, after a damaged one was put aside."""
    store = JsonStateStore(path)
    store.open()
    store.save(b"{}")
    store.set_aside("damaged")
    store.save(b"{}")
    store.close()


def write_journal(path: Path) -> None:
    """Keep a journal."""
    with writing(path) as writer:
        add(writer, *(heard(seq) for seq in range(50)))


WRITERS: list[Callable[[Path], None]] = [write_log, write_audit, write_state, write_journal]
EVERY_WRITER = pytest.mark.parametrize("write", WRITERS)


@pytest.mark.parametrize("mask", [0o000, 0o002, 0o022, 0o077])
@EVERY_WRITER
def test_what_we_make_is_its_owners_alone_whatever_the_umask(
    tmp_path: Path, write: Callable[[Path], None], mask: int
) -> None:
    """Each file, also those that were put aside or rotated away, and the locks beside them."""
    with umask(mask):
        write(tmp_path / "file")
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes
    assert set(modes.values()) == {0o600}


async def test_what_stands_beside_an_open_journal_is_its_owners_alone_too(tmp_path: Path) -> None:
    """The database writes files of its own while it is open, and they hold the same words."""
    with umask(0):
        sinks = (JournalSink(Journal(tmp_path / "journal")), JsonlSink(tmp_path / "log"))
        async with running(FakeAppServer(), sinks=sinks) as runtime:
            await runtime.request("model/list")
            paths = [Path(entry.path) for entry in os.scandir(tmp_path)]
            modes = {path.name: stat.S_IMODE(os.lstat(path).st_mode) for path in paths}
    assert len(modes) >= 4
    assert set(modes.values()) == {0o600}


@pytest.mark.parametrize("mode", [0o602, 0o620, 0o666])
@pytest.mark.parametrize("write", [write_log, write_audit, write_journal])
def test_a_file_that_others_can_write_is_refused(tmp_path: Path, write: Callable[[Path], None], mode: int) -> None:
    """What stands in it may be theirs. The error says so; the file stays as it was."""
    path = tmp_path / "file"
    path.write_bytes(b"")
    path.chmod(mode)
    with pytest.raises(StoreError, match=r"others can write to it"):
        write(path)
    assert path.read_bytes() == b""


@AS_ROOT
@pytest.mark.parametrize("write", [write_log, write_audit, write_journal])
def test_a_file_that_belongs_to_somebody_else_is_refused(tmp_path: Path, write: Callable[[Path], None]) -> None:
    """It was there before us, and they can read it."""
    path = tmp_path / "file"
    path.write_bytes(b"")
    path.chmod(0o600)
    os.chown(path, SOMEBODY, SOMEBODY)
    with pytest.raises(StoreError, match=r"it belongs to somebody else"):
        write(path)
    assert path.read_bytes() == b""


@AS_ROOT
@pytest.mark.parametrize("write", [write_log, write_audit, write_journal])
def test_a_link_that_somebody_else_made_is_not_followed(tmp_path: Path, write: Callable[[Path], None]) -> None:
    """It would lead our words, or the name of a database, into a file of ours that they chose."""
    victim, path = tmp_path / "victim", tmp_path / "file"
    victim.write_bytes(b"precious\n")
    victim.chmod(0o600)
    path.symlink_to(victim)
    os.chown(path, SOMEBODY, SOMEBODY, follow_symlinks=False)
    with pytest.raises(StoreError, match=r"it belongs to somebody else"):
        write(path)
    assert victim.read_bytes() == b"precious\n"


def test_a_link_of_ones_own_is_followed(tmp_path: Path) -> None:
    """Logs are often somewhere else than where they seem to be."""
    (tmp_path / "file").symlink_to(tmp_path / "elsewhere")
    write_log(tmp_path / "file")
    assert (tmp_path / "elsewhere.1").exists() or (tmp_path / "file.1").exists()


def test_a_lock_is_never_a_link(tmp_path: Path) -> None:
    """Its content is thrown away when it is taken: whoever put a link there would have a file of ours emptied."""
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious\n")
    (tmp_path / "state.lock").symlink_to(victim)
    with pytest.raises(StoreError, match="cannot lock"):
        FileLock(tmp_path / "state.lock").acquire("the state")
    with pytest.raises(StoreError):
        JsonStateStore(tmp_path / "state").open()
    with pytest.raises(StoreError), writing(tmp_path / "state"):
        pass
    assert victim.read_bytes() == b"precious\n"


def test_a_file_is_not_replaced_by_way_of_a_link(tmp_path: Path) -> None:
    """The name of the new file can be guessed. What stands there is put away, not written to."""
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious\n")
    victim.chmod(0o644)
    guessed = tmp_path / f".state.{os.getpid()}-{threading.get_ident()}.new"
    guessed.symlink_to(victim)
    write_atomic(tmp_path / "state", b"new")
    assert (tmp_path / "state").read_bytes() == b"new"
    assert not (tmp_path / "state").is_symlink()
    assert (victim.read_bytes(), stat.S_IMODE(victim.stat().st_mode)) == (b"precious\n", 0o644)
    assert not guessed.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_pipe_of_somebody_else_is_no_log(tmp_path: Path) -> None:
    """Whoever made it would read every prompt at its other end."""
    path = tmp_path / "log"
    os.mkfifo(path, 0o666)
    os.chown(path, 1000, 1000)
    end = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        with pytest.raises(StoreError, match="belongs to somebody else"):
            LineLog(path).open()
    finally:
        os.close(end)
