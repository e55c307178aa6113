"""Folders and files that are taken away, read-only, or somebody else's: the error is ours, and nothing is written into nowhere."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import threading
from contextlib import aclosing, closing
from typing import TYPE_CHECKING

import pytest

from codex_runtime._io.files import LineLog
from codex_runtime._sansio.decisions import Decision
from codex_runtime.errors import StoreError
from codex_runtime.journal import Journal, JournalSink
from codex_runtime.journal._reader import Reader
from codex_runtime.journal._segment import Wanted
from codex_runtime.runtime import AuditLog, JsonlSink, JsonStateStore, read_jsonl
from tests.journal.stores import add, heard, seqs, writing

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NO = Decision(what="x", outcome="declined", decider="nobody", at=1.0)


def take_away(folder: Path, *, but: str = "") -> None:
    """Take away all files of a folder but one."""
    for path in folder.iterdir():
        if path.name != but:
            path.unlink()


def test_a_log_that_is_taken_away_is_made_anew(tmp_path: Path) -> None:
    """What is added to a file without a name is nowhere, and would be acknowledged all the same."""
    log = LineLog(tmp_path / "log")
    log.append(b"one\n")
    (tmp_path / "log").unlink()
    log.append(b"two\n")
    log.close()
    assert (tmp_path / "log").read_bytes() == b"two\n"


def test_a_log_whose_folder_is_gone_says_so_and_goes_on_when_it_is_back(tmp_path: Path) -> None:
    """Nothing is acknowledged in between."""
    folder = tmp_path / "folder"
    folder.mkdir()
    log = LineLog(folder / "log", flush="always")
    log.append(b"one\n")
    shutil.rmtree(folder)
    for _ in range(2):
        with pytest.raises(StoreError, match="No such file"):
            log.append(b"lost\n")
    folder.mkdir()
    log.append(b"two\n")
    log.close()
    assert (folder / "log").read_bytes() == b"two\n"


def test_decisions_whose_folder_is_gone_are_counted_and_told(tmp_path: Path) -> None:
    """Each of them, as soon as there is a folder again."""
    folder = tmp_path / "folder"
    folder.mkdir()
    log = AuditLog(folder / "decisions")
    log(NO)
    shutil.rmtree(folder)
    with pytest.raises(StoreError):
        log(NO)
    folder.mkdir()
    log(NO)
    log.close()
    assert (folder / "decisions").read_bytes().startswith(b'{"lost":1}\n')


def test_a_journal_that_is_taken_away_is_not_written_into_nowhere(tmp_path: Path) -> None:
    """SQLite would go on with the file that has no name any more, and so would whoever reads it."""
    with writing(tmp_path / "j") as writer, closing(Reader(tmp_path / "j")) as reader:
        add(writer, heard(0))
        assert reader.bounds() == (1, 1)
        take_away(tmp_path, but="j.lock")
        with pytest.raises(StoreError, match="No such file"):
            add(writer, heard(1))
        (tmp_path / "j").touch()
        with pytest.raises(StoreError, match="was replaced while it was written"):
            add(writer, heard(1))
        with pytest.raises(StoreError, match="was replaced while it was read"):
            reader.bounds()
    (tmp_path / "j").unlink()
    with writing(tmp_path / "j") as writer:
        assert add(writer, heard(2)) == 1
    assert seqs(tmp_path / "j") == [2]


async def test_a_follower_of_a_journal_that_is_replaced_is_told(tmp_path: Path) -> None:
    """It would wait for ever: nothing is added to what it has open."""
    with writing(tmp_path / "j") as writer:
        add(writer, heard(0))
    async with aclosing(Journal(tmp_path / "j").follow(poll=0.01)) as entries:
        await anext(entries)
        take_away(tmp_path)
        with writing(tmp_path / "j") as writer:
            add(writer, heard(1))
        with pytest.raises(StoreError, match="was replaced while it was read"):
            await anext(entries)


def test_a_state_whose_folder_is_gone_says_so_and_is_saved_when_it_is_back(tmp_path: Path) -> None:
    """And another runtime that came first has it: there is one writer also then."""
    folder = tmp_path / "folder"
    folder.mkdir()
    store = JsonStateStore(folder / "state.json")
    store.open()
    store.save(b"one")
    shutil.rmtree(folder)
    with pytest.raises(StoreError, match="No such file"):
        store.save(b"lost")
    folder.mkdir()
    other = JsonStateStore(folder / "state.json")
    assert other.open() is None
    with pytest.raises(StoreError, match="somebody else already writes"):
        store.save(b"beside the other")
    other.close()
    store.save(b"two")
    with pytest.raises(StoreError, match="somebody else already writes"):
        other.open()
    store.close()
    assert (folder / "state.json").read_bytes() == b"two"


def test_damaged_files_do_not_pile_up(tmp_path: Path) -> None:
    """The last five stay, and none takes the place of another; what is no number of ours is left alone."""
    other = tmp_path / "state.json.corrupt-mine"
    other.write_bytes(b"")
    store = JsonStateStore(tmp_path / "state.json")
    store.open()
    for number in range(12):
        store.save(b"%d" % number)
        store.set_aside("damaged")
    store.save(b"newer")
    store.set_aside("newer")
    store.close()
    found = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.name != "state.json.lock"}
    assert found == {
        **{f"state.json.corrupt-{number + 1}": b"%d" % number for number in range(7, 12)},
        "state.json.newer-1": b"newer",
        other.name: b"",
    }


async def test_a_sync_that_failed_between_two_writes_is_told_at_the_end(
    tmp_path: Path,
) -> None:
    """It costs no batch, so no write raises because of it; but what was promised within a second was not kept."""
    refused = threading.Event()

    def fsync(fd: int) -> None:
        if not refused.is_set():
            refused.set()
            raise OSError(errno.EIO, "Input/output error")
        os.fsync(fd)

    sink = JsonlSink(tmp_path / "log")
    sink._log = LineLog(tmp_path / "log", fsync=fsync)
    await sink.open()
    await sink.write([heard(0)])
    sink._sync_later()
    await asyncio.to_thread(refused.wait, 10)
    await sink.write([heard(1)])
    with pytest.raises(StoreError, match="Input/output error"):
        await sink.aclose()
    await sink.open()
    await sink.aclose()
    assert [record.seq for name in ("log.1", "log") for record in read_jsonl(tmp_path / name)] == [0, 1]  # type: ignore[union-attr]


def test_a_rotation_that_was_broken_off_takes_nothing_away_twice(tmp_path: Path) -> None:
    """Where one name is free, the names above it have moved already."""
    log = LineLog(tmp_path / "log", rotate_bytes=4, keep=3)
    log.append(b"new\n")
    (tmp_path / "log.2").write_bytes(b"older\n")
    (tmp_path / "log.3").write_bytes(b"oldest\n")
    log.append(b"newest\n")
    log.close()
    found = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert found == {"log": b"newest\n", "log.1": b"new\n", "log.2": b"older\n", "log.3": b"oldest\n"}


@pytest.fixture
def _nobody() -> Iterator[None]:
    """Somebody for whom a folder can be read-only."""
    user = os.geteuid()
    os.seteuid(user or 65534)
    yield
    os.seteuid(user)


@pytest.mark.usefixtures("_nobody")
def test_a_folder_that_is_read_only_is_our_error() -> None:
    """At the opening of each store, with the path in it."""
    for store in (LineLog("/log"), JsonStateStore("/state")):
        with pytest.raises(StoreError, match=r"/.*Permission denied"):
            store.open()
    with pytest.raises(StoreError, match=r"/journal.*Permission denied"):
        Journal("/journal")._writing.begin()


async def test_a_store_behind_a_linked_folder_is_one_store(tmp_path: Path) -> None:
    """Whichever way one comes to it, there is one writer, and what it wrote is read."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    sink = JournalSink(Journal(tmp_path / "link" / "j"))
    await sink.open()
    await sink.write([heard(0)])
    with pytest.raises(StoreError, match="somebody else already writes"):
        await JournalSink(Journal(tmp_path / "real" / "j")).open()
    await sink.aclose()
    with closing(Reader(tmp_path / "real" / "j")) as reader:
        assert len(reader.page(Wanted(), after=0, limit=10).entries) == 3
    state = JsonStateStore(tmp_path / "link" / "state")
    state.open()
    with pytest.raises(StoreError, match="somebody else already writes"):
        JsonStateStore(tmp_path / "real" / "state").open()
    state.close()
