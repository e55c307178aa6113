"""The file of a journal: one writer, whole transactions, no holes, and an error of ours for everything else."""

from __future__ import annotations

import resource
import sqlite3
import stat
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codex_runtime.errors import StoreError
from codex_runtime.journal._entry import Row, mark_row
from codex_runtime.journal._store import Reader, Retention, Writer

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

KEEP_ALL = Retention(None, None)


def row(seq: int, *, at: float = 0.0, thread: str | None = "t", method: str = "m", size: int = 10) -> Row:
    """Make a row."""
    return (1, seq, 0, at, "inbound", "notification", method, thread, "u", None, None, b"x" * size)


@contextmanager
def writing(path: Path, retention: Retention = KEEP_ALL) -> Iterator[Writer]:
    """Be the writer of a journal."""
    writer = Writer(path, retention)
    writer.open()
    try:
        yield writer
    finally:
        writer.close()


def add(writer: Writer, *rows: Row, now: float = 0.0) -> int:
    """Add rows."""
    return writer.append(rows, durable=False, now=now)


def seqs(
    path: Path,
    *,
    after: int = 0,
    limit: int = 10_000,
    thread: str | None = None,
    turn: str | None = None,
    methods: Collection[str] | None = None,
) -> list[int]:
    """Read the numbers of the messages."""
    with closing(Reader(path)) as reader:
        page = reader.page(after=after, limit=limit, thread=thread, turn=turn, methods=methods)
    return [entry.seq for entry in page.entries]


def test_cursors_rise_by_one_for_ever(tmp_path: Path) -> None:
    """Also over closing and opening, and when nearly everything was taken away."""
    with writing(tmp_path / "j", Retention(1.0, None)) as writer:
        assert (writer.position, add(writer, row(0), row(1)), add(writer, row(2))) == (0, 2, 3)
        assert writer.prune(now=100.0) == 2
    with writing(tmp_path / "j") as writer:
        assert (writer.position, add(writer, row(3))) == (3, 4)
    with closing(Reader(tmp_path / "j")) as reader:
        assert reader.bounds() == (3, 4)


def test_a_journal_is_its_owners_alone(tmp_path: Path) -> None:
    """So are the files that SQLite puts beside it."""
    with writing(tmp_path / "j") as writer:
        add(writer, row(0))
        assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o600}


def test_there_is_one_writer(tmp_path: Path) -> None:
    """The second is told who it is, and may write when the first is done."""
    with writing(tmp_path / "j"), pytest.raises(StoreError, match=r"somebody else already writes to .*j \(process \d+"):
        Writer(tmp_path / "j", KEEP_ALL).open()
    with writing(tmp_path / "j") as writer:
        assert add(writer, row(0)) == 1


def test_readers_need_no_writer(tmp_path: Path) -> None:
    """They read what is there, while it is written and after."""
    with writing(tmp_path / "j") as writer, closing(Reader(tmp_path / "j")) as reader:
        assert reader.has_news
        assert not reader.has_news
        add(writer, row(0))
        assert reader.has_news
        assert seqs(tmp_path / "j") == [0]
    assert seqs(tmp_path / "j") == [0]


def test_reading_can_be_narrowed_but_gaps_are_never_left_out(tmp_path: Path) -> None:
    """By thread, by turn, by method, and by place."""
    with writing(tmp_path / "j") as writer:
        add(writer, row(0), row(1, thread="other"), mark_row("gap", 1, at=0.0, seq=2), row(3, method="n"), row(4))
    path = tmp_path / "j"
    assert seqs(path) == [0, 1, 2, 3, 4]
    assert seqs(path, after=1, limit=3) == [1, 2, 3]
    assert seqs(path, thread="t") == [0, 2, 3, 4]
    assert seqs(path, thread="t", after=1, limit=2) == [2, 3]
    assert seqs(path, turn="u", methods=["n"]) == [2, 3]
    assert seqs(path, thread="nobody") == [2]
    assert seqs(path, methods=[]) == [2]


def test_a_page_says_how_far_it_has_looked(tmp_path: Path) -> None:
    """So that a narrow follower does not look at the same entries again and again."""
    with writing(tmp_path / "j") as writer:
        add(writer, row(0), *(row(number, thread="other") for number in range(1, 10)))
    with closing(Reader(tmp_path / "j")) as reader:
        page = reader.page(after=0, limit=5, thread="t", turn=None, methods=None)
        assert ([entry.seq for entry in page.entries], page.looked_to, page.oldest) == ([0], 10, 1)
        assert reader.page(after=0, limit=5, thread=None, turn=None, methods=None).looked_to == 5
        assert reader.page(after=10, limit=5, thread=None, turn=None, methods=None).looked_to == 10


def test_a_transaction_is_all_or_nothing(tmp_path: Path) -> None:
    """A row that cannot be added takes the others of its batch along, and nothing else."""
    with writing(tmp_path / "j") as writer:
        add(writer, row(0))
        with pytest.raises(StoreError, match="cannot write"):
            add(writer, row(1), (*row(2)[:-1], None))  # type: ignore[arg-type]
        assert add(writer, row(3)) == 2
    assert seqs(tmp_path / "j") == [0, 3]


@pytest.mark.parametrize("durable", [True, False])
def test_a_full_disk_costs_what_was_not_acknowledged(tmp_path: Path, *, durable: bool) -> None:
    """The error is ours; what was there stays; when there is space again, the writer goes on by itself."""
    with writing(tmp_path / "j") as writer:
        for number in range(20):
            add(writer, row(number, size=2000))
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        biggest = max(path.stat().st_size for path in tmp_path.iterdir())
        resource.setrlimit(resource.RLIMIT_FSIZE, (biggest + 4096, before[1]))
        try:
            for _ in range(2):
                with pytest.raises(StoreError, match="cannot"):
                    writer.append([row(99, size=5_000_000)], durable=durable, now=0.0)
            assert seqs(tmp_path / "j") == list(range(20))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert writer.append([row(20)], durable=durable, now=0.0) == 21
    assert seqs(tmp_path / "j") == list(range(21))


def test_a_loss_of_power_is_waited_for_only_when_asked(tmp_path: Path) -> None:
    """Two is SQLite's word for a commit that the disk has confirmed, one for the other kind."""
    with writing(tmp_path / "j") as writer:
        found = []
        for durable in (True, False, True):
            writer.append([row(0)], durable=durable, now=0.0)
            assert writer._connection is not None
            found.append(writer._connection.execute("PRAGMA synchronous").fetchone()[0])
        assert found == [2, 1, 2]


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
        theirs.execute("CREATE TABLE entry (mine)")
    with pytest.raises(StoreError, match="is not a journal"):
        Writer(tmp_path / "j", KEEP_ALL).open()
    with pytest.raises(StoreError, match="is not a journal"):
        seqs(tmp_path / "j")


def test_a_newer_journal_is_refused(tmp_path: Path) -> None:
    """An old program must not guess."""
    with writing(tmp_path / "j"):
        pass
    with closing(sqlite3.connect(tmp_path / "j")) as newer:
        newer.execute("PRAGMA user_version = 2")
    with pytest.raises(StoreError, match="has version 2; this program knows 1"):
        Writer(tmp_path / "j", KEEP_ALL).open()


def test_damage_in_the_middle_is_our_error(tmp_path: Path) -> None:
    """Reading stops with it; the program does not."""
    with writing(tmp_path / "j") as writer:
        for number in range(100):
            add(writer, row(number, size=2000))
    data = bytearray((tmp_path / "j").read_bytes())
    data[4096:] = b"\xa5" * (len(data) - 4096)
    (tmp_path / "j").write_bytes(data)
    with pytest.raises(StoreError, match="cannot read the journal"):
        seqs(tmp_path / "j")


def test_no_journal_is_made_by_reading(tmp_path: Path) -> None:
    """A typing error leaves no empty file behind."""
    with pytest.raises(StoreError, match="there is no journal"):
        seqs(tmp_path / "j")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_is_our_error(tmp_path: Path) -> None:
    """With the path in it."""
    with pytest.raises(StoreError, match="missing"):
        Writer(tmp_path / "missing" / "j", KEEP_ALL).open()


@given(ages=st.lists(st.integers(0, 20), min_size=1, max_size=30))
def test_by_age_only_a_front_goes_and_nothing_that_is_young_enough(
    tmp_path_factory: pytest.TempPathFactory, ages: list[int]
) -> None:
    """Whatever the clock did meanwhile; and the newest stays, which keeps the cursors going."""
    folder = tmp_path_factory.mktemp("ages")
    with writing(folder / "j", Retention(10.0, None)) as writer:
        add(writer, *(row(number, at=100.0 - age) for number, age in enumerate(ages)))
        gone = writer.prune(now=100.0)
    left = seqs(folder / "j")
    assert left == list(range(gone, len(ages)))
    assert all(age > 10 for age in ages[:gone])
    assert gone == len(ages) - 1 or ages[gone] <= 10


def test_by_size_the_file_shrinks_to_what_may_be_kept(tmp_path: Path) -> None:
    """And not much further."""
    with writing(tmp_path / "j", Retention(None, 300_000)) as writer:
        for start in range(0, 500, 50):
            add(writer, *(row(number, size=2000) for number in range(start, start + 50)))
        assert writer.prune(now=0.0) > 300
    assert 280_000 < (tmp_path / "j").stat().st_size <= 300_000
    assert 60 < len(seqs(tmp_path / "j")) < 150
    assert seqs(tmp_path / "j")[-1] == 499


def test_retention_goes_on_by_itself(tmp_path: Path) -> None:
    """Nobody has to call anything, and no append has to take away everything at once."""
    with writing(tmp_path / "j", Retention(None, 200_000)) as writer:
        for start in range(0, 20_000, 100):
            add(writer, *(row(number, size=100) for number in range(start, start + 100)))
    assert (tmp_path / "j").stat().st_size < 500_000
    assert seqs(tmp_path / "j")[-1] == 19_999
