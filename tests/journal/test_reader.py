"""Reading: what was asked for, from either end, without looking at everything, and an error of ours for what is damaged."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codex_runtime.errors import StoreError
from codex_runtime.journal._reader import AT_A_TIME, Reader
from codex_runtime.journal._segment import Wanted, mark, segments_of
from tests.journal.stores import add, entries, heard, seqs, writing

if TYPE_CHECKING:
    from pathlib import Path

END = 2**62


def numbers(path: Path, wanted: Wanted, *, after: int = 0, limit: int = 1000) -> list[int]:
    """Read the numbers of what is wanted."""
    with closing(Reader(path)) as reader:
        return [entry.seq for entry in reader.page(wanted, after=after, limit=limit).entries]


def test_readers_need_no_writer(tmp_path: Path) -> None:
    """They read what is there, while it is written and after."""
    with writing(tmp_path / "j") as writer, closing(Reader(tmp_path / "j")) as reader:
        assert reader.has_news
        assert not reader.has_news
        add(writer, heard(0))
        assert reader.has_news
        assert seqs(tmp_path / "j") == [0]
    assert seqs(tmp_path / "j") == [0]


def test_reading_can_be_narrowed_but_gaps_are_never_left_out(tmp_path: Path) -> None:
    """By thread, by turn, by method, and by place."""
    path = tmp_path / "j"
    with writing(path) as writer:
        add(writer, heard(0), heard(1, thread="other"))
        writer.append([mark("gap", 1, at=0.0, seq=2), mark("closed", 1, at=0.0, seq=9)], now=0.0)
        add(writer, heard(3, method="n"), heard(4))
    assert numbers(path, Wanted()) == [0, 1, 2, 9, 3, 4]
    assert numbers(path, Wanted(), after=1, limit=3) == [1, 2, 9]
    assert numbers(path, Wanted("t", None, None)) == [0, 2, 3, 4]
    assert numbers(path, Wanted("t", None, None), after=1, limit=2) == [2, 3]
    assert numbers(path, Wanted(None, "u", ["n"])) == [2, 3]
    assert numbers(path, Wanted("t", "u", ["n", "m"]), after=3) == [3, 4]
    assert numbers(path, Wanted("nobody", None, None)) == [2]
    assert numbers(path, Wanted(None, None, [])) == [2]


@settings(max_examples=50, deadline=None)
@given(
    threads=st.lists(st.sampled_from(["s", "t", "gap"]), max_size=40),
    after=st.integers(0, 45),
    limit=st.integers(1, 10),
    thread=st.sampled_from([None, "s", "t"]),
)
def test_from_either_end_there_are_the_same_entries(
    tmp_path_factory: pytest.TempPathFactory, threads: list[str], after: int, limit: int, thread: str | None
) -> None:
    """Page after page, and nothing twice."""
    path, wanted = tmp_path_factory.mktemp("ends") / "j", Wanted(thread, None, None)
    with writing(path) as writer:
        for number, name in enumerate(threads):
            one = mark("gap", 1, at=0.0, seq=number)
            some = [one] if name == "gap" else segments_of([heard(number, thread=name, size=900)], 1, at=0.0)
            writer.append(some, now=0.0)
    right = [number + 1 for number, name in enumerate(threads) if thread is None or name in (thread, "gap")]
    with closing(Reader(path)) as reader:
        forward, at = list[int](), after
        while not (page := reader.page(wanted, after=at, limit=limit)).is_last:
            assert len(page.entries) == limit
            forward += [entry.cursor for entry in page.entries]
            at = page.looked_to
        assert page.looked_to == max(at, len(threads))
        forward += [entry.cursor for entry in page.entries]
        backward, before = list[int](), END
        while found := reader.last(wanted, before=before, limit=limit):
            backward = [*[entry.cursor for entry in found], *backward]
            before = found[0].cursor
    assert forward == [cursor for cursor in right if cursor > after]
    assert backward == right


def test_a_narrow_look_opens_only_what_has_some_of_it(tmp_path: Path) -> None:
    """A journal may be large; a turn in it is not. Beyond as many places as are asked for at a time, too."""
    path, count = tmp_path / "j", 3 * AT_A_TIME
    with writing(path) as writer:
        for number in range(count):
            add(writer, heard(2 * number, size=9000), heard(2 * number + 1, thread="rare" if number % 50 == 7 else "x"))
    with closing(Reader(path)) as reader:
        wanted = Wanted("rare", None, None)
        # What is not opened cannot be found to be damaged.
        with closing(sqlite3.connect(path)) as damage:
            rare = [place for (place,) in damage.execute("SELECT segment FROM place WHERE name = 'thread rare'")]
            damage.execute(f"UPDATE segment SET body = 'x' WHERE first NOT IN ({', '.join(map(str, rare))})")
            damage.commit()
        expected = [2 * number + 1 for number in range(7, count, 50)]
        assert [entry.seq for entry in reader.page(wanted, after=0, limit=100).entries] == expected
        assert [entry.seq for entry in reader.last(wanted, before=END, limit=2)] == expected[-2:]
        with pytest.raises(StoreError, match="is damaged in the part that was read"):
            reader.page(Wanted(), after=0, limit=100)


def test_a_page_says_how_far_it_has_looked(tmp_path: Path) -> None:
    """So that a narrow follower does not look at the same entries again and again."""
    with writing(tmp_path / "j") as writer:
        add(writer, heard(0), *(heard(number, thread="other") for number in range(1, 10)))
    with closing(Reader(tmp_path / "j")) as reader:
        page = reader.page(Wanted("t", None, None), after=0, limit=5)
        assert ([entry.seq for entry in page.entries], page.looked_to, page.oldest) == ([0], 10, 1)
        assert page.is_last
        page = reader.page(Wanted(), after=0, limit=5)
        assert (page.looked_to, page.is_last) == (5, False)
        assert reader.page(Wanted(), after=10, limit=5).looked_to == 10


def test_a_page_may_have_a_bound_in_bytes(tmp_path: Path) -> None:
    """Whoever follows a busy journal does not hold a thousand large lines; some there are in any case."""
    with writing(tmp_path / "j") as writer:
        for number in range(10):
            add(writer, heard(number, size=20_000))
    with closing(Reader(tmp_path / "j")) as reader:
        page = reader.page(Wanted(), after=0, limit=100, max_bytes=50_000)
        assert ([entry.seq for entry in page.entries], page.looked_to, page.is_last) == ([0, 1, 2], 3, False)
        assert len(reader.page(Wanted(), after=3, limit=100, max_bytes=1).entries) == 1


def test_damage_in_the_middle_is_our_error(tmp_path: Path) -> None:
    """Reading stops with it; the program does not."""
    with writing(tmp_path / "j") as writer:
        for number in range(100):
            add(writer, heard(number, size=2000))
    data = bytearray((tmp_path / "j").read_bytes())
    data[4096:] = b"\xa5" * (len(data) - 4096)
    (tmp_path / "j").write_bytes(data)
    with pytest.raises(StoreError, match="cannot read the journal"):
        seqs(tmp_path / "j")


def test_no_journal_is_made_by_reading(tmp_path: Path) -> None:
    """A typing error leaves no empty file behind."""
    with pytest.raises(StoreError, match="there is no journal"):
        entries(tmp_path / "j")
    assert list(tmp_path.iterdir()) == []
