"""Files that were cut, padded with zeros or written over: what is whole is read, the rest is told, and writing goes on."""

from __future__ import annotations

import json
import random
import shutil
from typing import TYPE_CHECKING

import pytest

from codex_runtime._io.files import LineLog
from codex_runtime.errors import StoreError
from codex_runtime.journal._store import Writer
from codex_runtime.runtime import AuditLog, Damage, read_jsonl
from codex_runtime.runtime._jsonl import jsonl
from tests.crash.test_taken_away import NO
from tests.journal.stores import KEEP_ALL, add, heard, seqs, writing

if TYPE_CHECKING:
    from pathlib import Path

    from codex_runtime.runtime import Envelope


def read(path: Path) -> list[int | str]:
    """Read a log: the numbers of its messages, and a word for each damage."""
    return ["damage" if isinstance(one, Damage) else one.seq for one in read_jsonl(path)]  # type: ignore[union-attr]


def go_on(path: Path, *messages: Envelope) -> None:
    """Add to a log as the next program does."""
    log = LineLog(path)
    log.append(jsonl(messages))
    log.close()


def test_a_log_cut_anywhere_in_its_last_three_records_keeps_those_before(tmp_path: Path) -> None:
    """One stretch is damaged, or none if the cut is between two; and what comes next has a line of its own."""
    lines = [jsonl([heard(number)]) for number in range(6)]
    whole, path = b"".join(lines), tmp_path / "log"
    ends = [len(b"".join(lines[: count + 1])) for count in range(6)]
    for cut in range(ends[2], len(whole)):
        path.write_bytes(whole[:cut])
        kept = [number for number, end in enumerate(ends) if end <= cut + 1]  # a newline is all that may be missing
        torn = cut not in ends and cut + 1 not in ends
        assert read(path) == [*kept, *["damage"] * torn]
        go_on(path, heard(9))
        assert read(path) == [*kept, *["damage"] * torn, 9]


@pytest.mark.parametrize("rubbish", [b"\0" * 4096, b"\0" * 4096 + b"\n", b"{", b"\xff\xfe", b'{"seq":1}', b"null"])
def test_rubbish_at_the_end_of_a_log_costs_nothing_else(tmp_path: Path, rubbish: bytes) -> None:
    """Zeros, say, are what some file systems leave after a loss of power."""
    path = tmp_path / "log"
    path.write_bytes(jsonl([heard(0), heard(1)]) + rubbish)
    assert read(path) == [0, 1, "damage"]
    go_on(path, heard(2))
    assert read(path) == [0, 1, "damage", 2]


def test_rubbish_in_the_middle_of_a_log_costs_nothing_else(tmp_path: Path) -> None:
    """One line is skipped and told, with its place."""
    path, first = tmp_path / "log", jsonl([heard(0)])
    path.write_bytes(first + b"\0garbage\n" + jsonl([heard(1)]))
    assert [one for one in read_jsonl(path) if isinstance(one, Damage)] == [Damage(len(first), 9)]
    assert read(path) == [0, "damage", 1]


def test_a_file_of_decisions_cut_anywhere_goes_on_with_a_new_line(tmp_path: Path) -> None:
    """Half a decision does not swallow the next."""
    path = tmp_path / "decisions"
    for cut in range(1, 200, 7):
        log = AuditLog(path)
        log(NO)
        log.close()
        whole = path.read_bytes()
        path.write_bytes(whole + whole[:cut].rstrip(b"\n"))
        log = AuditLog(path)
        log(NO)
        log.close()
        first, *torn, last = path.read_bytes().splitlines()
        assert json.loads(first) == json.loads(last)
        assert len(torn) == 1
        path.unlink()


@pytest.fixture
def killed(tmp_path: Path) -> Path:
    """The files of a journal of twelve messages whose writer did not come to its end."""
    folder = tmp_path / "killed"
    folder.mkdir()
    with writing(tmp_path / "j") as writer:
        for number in range(12):
            add(writer, heard(number, size=6000, method="turn/completed" if number % 2 else "m"))
        for name in ("j", "j-wal"):
            shutil.copy(tmp_path / name, folder / name)
    return folder


def revived(killed: Path, folder: Path) -> Path:
    """A copy of these files."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(killed, folder)
    return folder / "j"


def test_a_journal_whose_log_is_cut_anywhere_keeps_what_was_whole(killed: Path, shelf: Path) -> None:
    """From the first on, without a hole; and it goes on from there."""
    size = (killed / "j-wal").stat().st_size
    found = set()
    for cut in (*range(0, size, 2039), size):
        path = revived(killed, shelf / "copy")
        with (shelf / "copy" / "j-wal").open("r+b") as log:
            log.truncate(cut)
        try:
            kept = seqs(path)
        except StoreError:  # not even its tables are there
            assert not found
            continue
        assert kept == [*range(len(kept))]
        found.add(len(kept))
        with writing(path) as writer:
            assert add(writer, heard(99)) == len(kept) + 1
        assert seqs(path) == [*kept, 99]
    assert found == {*range(13)}


def test_a_journal_whose_log_was_written_over_ends_before_that_place(killed: Path, shelf: Path) -> None:
    """What is behind it is no longer believed; what is before it is all there."""
    chance = random.Random(7)
    size = (killed / "j-wal").stat().st_size
    for _ in range(60):
        path = revived(killed, shelf / "copy")
        with (shelf / "copy" / "j-wal").open("r+b") as log:
            log.seek(chance.randrange(size // 3, size))
            log.write(b"\xa5" * 32)
        kept = seqs(path)
        assert kept == [*range(len(kept))]
        assert len(kept) >= 3


def test_a_journal_that_was_written_over_is_our_error_or_reads_as_it_was(killed: Path, shelf: Path) -> None:
    """Never something else; and who wants to write into it is told as well."""
    with writing(revived(killed, shelf / "whole")):
        pass
    chance, told = random.Random(7), 0
    size = (shelf / "whole" / "j").stat().st_size
    for turn in range(150):
        path = revived(shelf / "whole", shelf / "copy")
        place = chance.randrange(size)
        with path.open("r+b") as file:
            file.seek(place if turn % 2 else place // 4096 * 4096)  # where a page says what is in it
            file.write(chance.randbytes(64))
        try:
            # What is in a message is not checked, as on the wire; but there is none that was never written.
            assert {*seqs(path)} <= {*range(12)}
        except StoreError:
            told += 1
        writer = Writer(path, KEEP_ALL)
        try:
            writer.open()
            add(writer, heard(99))
        except StoreError:
            told += 1
        finally:
            writer.close()
    assert told > 10
