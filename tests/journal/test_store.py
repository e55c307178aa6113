"""The file of a journal: one writer, whole transactions, no holes, and an error of ours for everything else."""

from __future__ import annotations

import resource
import sqlite3
import stat
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codex_runtime.errors import StoreError
from codex_runtime.journal._reader import Reader
from codex_runtime.journal._segment import mark, segments_of
from codex_runtime.journal._store import Retention, Writer
from tests.journal.stores import KEEP_ALL, add, heard, segments, seqs, writing

if TYPE_CHECKING:
    from pathlib import Path

    from codex_runtime._sansio.envelope import Envelope
    from codex_runtime.journal._segment import Segment


def apart(*envelopes: Envelope) -> list[Segment]:
    """Make segments that do not grow together, one for each message."""
    return [segment for run, envelope in enumerate(envelopes) for segment in segments_of([envelope], run % 2, at=0.0)]


def test_cursors_rise_by_one_for_ever(tmp_path: Path) -> None:
    """Also over closing and opening, and when nearly everything was taken away."""
    with writing(tmp_path / "j", Retention(1.0, None)) as writer:
        assert (writer.position, add(writer, heard(0), heard(1)), writer.append(apart(heard(2)), now=0.0)) == (0, 2, 3)
        assert writer.prune(now=100.0) == 2
    with writing(tmp_path / "j") as writer:
        assert (writer.position, add(writer, heard(3))) == (3, 4)
    with closing(Reader(tmp_path / "j")) as reader:
        assert reader.bounds() == (3, 4)


def test_a_journal_is_its_owners_alone(tmp_path: Path) -> None:
    """So are the files that SQLite puts beside it."""
    with writing(tmp_path / "j") as writer:
        add(writer, heard(0))
        assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o600}


def test_there_is_one_writer(tmp_path: Path) -> None:
    """The second is told who it is, and may write when the first is done."""
    with writing(tmp_path / "j"), pytest.raises(StoreError, match=r"somebody else already writes to .*j \(process \d+"):
        Writer(tmp_path / "j", KEEP_ALL).open()
    with writing(tmp_path / "j") as writer:
        assert add(writer, heard(0)) == 1


def test_a_transaction_is_all_or_nothing(tmp_path: Path) -> None:
    """A segment that cannot be added takes the others of its batch along, and nothing else."""
    with writing(tmp_path / "j") as writer:
        add(writer, heard(0))
        broken = mark("gap", 1, at=0.0)
        broken.run = None  # type: ignore[assignment]
        with pytest.raises(StoreError, match="cannot write"):
            writer.append([*segments(heard(1)), broken], now=0.0)
        assert add(writer, heard(3)) == 2
    assert seqs(tmp_path / "j") == [0, 3]


@pytest.mark.parametrize("method", ["m", "turn/completed"])
def test_a_full_disk_costs_what_was_not_acknowledged(tmp_path: Path, method: str) -> None:
    """The error is ours; what was there stays; when there is space again, the writer goes on by itself."""
    with writing(tmp_path / "j") as writer:
        for number in range(20):
            add(writer, heard(number, size=2000))
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        biggest = max(path.stat().st_size for path in tmp_path.iterdir())
        resource.setrlimit(resource.RLIMIT_FSIZE, (biggest + 4096, before[1]))
        try:
            for _ in range(2):
                with pytest.raises(StoreError, match="cannot"):
                    add(writer, *(heard(number, size=20_000, method=method) for number in range(100)))
            assert seqs(tmp_path / "j") == list(range(20))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert add(writer, heard(20, method=method)) == 21
    assert seqs(tmp_path / "j") == list(range(21))


def test_a_segment_that_grew_in_vain_is_what_it_was(tmp_path: Path) -> None:
    """What the disk refused is not in the next one either."""
    with writing(tmp_path / "j") as writer:
        add(writer, heard(0))
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1, before[1]))
        try:
            with pytest.raises(StoreError, match="cannot"):
                add(writer, heard(1))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert add(writer, heard(2)) == 2
        assert add(writer, heard(3)) == 3
    assert seqs(tmp_path / "j") == [0, 2, 3]


def test_a_loss_of_power_is_waited_for_only_when_it_matters(tmp_path: Path) -> None:
    """Two is SQLite's word for a commit that the disk has confirmed, one for the other kind."""
    with writing(tmp_path / "j") as writer:
        found = []
        for method in ("turn/completed", "m", "turn/completed"):
            add(writer, heard(0, method=method))
            assert writer._connection is not None
            found.append(writer._connection.execute("PRAGMA synchronous").fetchone()[0])
        assert found == [2, 1, 2]
        assert (writer.figures.commits, writer.figures.syncs) == (3, 2)
        assert 0 < writer.figures.slowest <= writer.figures.busy


def test_what_comes_one_by_one_is_kept_together(tmp_path: Path) -> None:
    """Each is acknowledged by itself, and there as soon as it is; the file does not have a row for each."""
    with writing(tmp_path / "j") as writer, closing(sqlite3.connect(tmp_path / "j")) as look:
        for number in range(100):
            assert add(writer, heard(number)) == number + 1
            assert seqs(tmp_path / "j", after=number) == [number]
        [(rows,)] = look.execute("SELECT count(*) FROM segment").fetchall()
        assert rows < 10
    assert seqs(tmp_path / "j") == [*range(100)]


@pytest.mark.parametrize("content", [b"not a database at all, but long enough to look at" * 50, b"SQLite format 3\0"])
def test_what_is_no_journal_is_refused(tmp_path: Path, content: bytes) -> None:
    """By the writer and by readers, and it is not touched."""
    path = tmp_path / "j"
    path.write_bytes(content)
    with pytest.raises(StoreError):
        Writer(path, KEEP_ALL).open()
    with pytest.raises(StoreError):
        seqs(path)
    assert path.read_bytes() == content


def test_another_programs_database_is_refused(tmp_path: Path) -> None:
    """Nothing of ours is put into it."""
    with closing(sqlite3.connect(tmp_path / "j")) as theirs:
        theirs.execute("CREATE TABLE segment (mine)")
    with pytest.raises(StoreError, match="is not a journal"):
        Writer(tmp_path / "j", KEEP_ALL).open()
    with pytest.raises(StoreError, match="is not a journal"):
        seqs(tmp_path / "j")


def test_a_newer_journal_is_refused(tmp_path: Path) -> None:
    """An old program must not guess."""
    with writing(tmp_path / "j"):
        pass
    with closing(sqlite3.connect(tmp_path / "j")) as newer:
        newer.execute("PRAGMA user_version = 3")
    with pytest.raises(StoreError, match="has version 3; this program knows 2"):
        Writer(tmp_path / "j", KEEP_ALL).open()


def test_a_folder_that_is_not_there_is_our_error(tmp_path: Path) -> None:
    """With the path in it."""
    with pytest.raises(StoreError, match="missing"):
        Writer(tmp_path / "missing" / "j", KEEP_ALL).open()


@settings(max_examples=50, deadline=None)
@given(ages=st.lists(st.integers(0, 20), min_size=1, max_size=30))
def test_by_age_only_a_front_goes_and_nothing_that_is_young_enough(
    tmp_path_factory: pytest.TempPathFactory, ages: list[int]
) -> None:
    """Whatever the clock did meanwhile; and the newest stays, which keeps the cursors going."""
    folder = tmp_path_factory.mktemp("ages")
    with writing(folder / "j", Retention(10.0, None)) as writer:
        writer.append(apart(*(heard(number, at=100.0 - age) for number, age in enumerate(ages))), now=0.0)
        gone = writer.prune(now=100.0)
        assert writer.figures.pruned == gone
    left = seqs(folder / "j")
    assert left == list(range(gone, len(ages)))
    assert all(age > 10 for age in ages[:gone])
    assert gone == len(ages) - 1 or ages[gone] <= 10


def test_a_segment_goes_when_its_youngest_entry_is_too_old(tmp_path: Path) -> None:
    """Nothing goes before its time."""
    with writing(tmp_path / "j", Retention(10.0, None)) as writer:
        add(writer, heard(0, at=50.0), heard(1, at=95.0))
        writer.append(apart(heard(2, at=99.0)), now=0.0)
        assert writer.prune(now=100.0) == 0
        assert writer.prune(now=106.0) == 2


def test_by_size_the_file_shrinks_to_what_may_be_kept(tmp_path: Path) -> None:
    """And not much further; the index of what went goes too."""
    with writing(tmp_path / "j", Retention(None, 300_000)) as writer:
        for start in range(0, 500, 10):
            add(writer, *(heard(number, thread=f"t{number}", size=4000) for number in range(start, start + 10)))
        assert writer.prune(now=0.0) + writer.figures.pruned > 300
    assert 200_000 < (tmp_path / "j").stat().st_size <= 300_000
    left = seqs(tmp_path / "j")
    assert 50 < len(left) < 75
    assert left[-1] == 499
    with closing(sqlite3.connect(tmp_path / "j")) as look:
        assert look.execute("SELECT min(segment) FROM place").fetchone() == (left[0] + 1,)


def test_retention_goes_on_by_itself(tmp_path: Path) -> None:
    """Nobody has to call anything, and no append has to take away everything at once."""
    with writing(tmp_path / "j", Retention(None, 500_000)) as writer:
        for start in range(0, 20_000, 100):
            add(writer, *(heard(number, size=100) for number in range(start, start + 100)))
        assert writer.figures.pruned > 0
    assert (tmp_path / "j").stat().st_size < 1_000_000
    assert seqs(tmp_path / "j")[-1] == 19_999
