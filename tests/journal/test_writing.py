"""Those who write into one journal: the file is theirs together or not at all."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from codex_runtime.errors import StoreError
from codex_runtime.journal import Journal, JournalSink
from codex_runtime.journal._store import Writer
from codex_runtime.journal._writing import Writing
from tests.journal.stores import KEEP_ALL, add, entries, heard

if TYPE_CHECKING:
    from pathlib import Path


async def test_nobody_writes_beside_the_one_who_owns_the_file(tmp_path: Path) -> None:
    """Not even the second of two that are opened at once: both are refused, and no cursor is given twice."""
    owner = JournalSink(Journal(tmp_path / "j"))
    await owner.open()
    shared = Journal(tmp_path / "j")
    others = [JournalSink(shared), JournalSink(shared)]
    found = await asyncio.gather(*(other.open() for other in others), return_exceptions=True)
    await owner.write([heard(0)])
    assert [type(each) for each in found] == [StoreError, StoreError]
    with pytest.raises(StoreError, match="somebody else"):
        shared.prune()
    await owner.aclose()
    assert [(entry.cursor, entry.kind) for entry in entries(tmp_path / "j")] == [
        (1, "opened"),
        (2, "notification"),
        (3, "closed"),
    ]
    for other in others:
        await other.open()
    assert {other.run for other in others} == {4, 5}
    for other in others:
        await other.aclose()


def test_a_writer_that_is_not_open_refuses(tmp_path: Path) -> None:
    """It has no lock, so the file may be another's."""
    writer = Writer(tmp_path / "j", KEEP_ALL)
    for work in (lambda: add(writer, heard(0)), lambda: writer.prune(now=0.0)):
        with pytest.raises(StoreError, match="nobody has opened"):
            work()
    assert not list(tmp_path.iterdir())


def test_a_run_ends_once_and_the_last_one_closes_the_file(tmp_path: Path) -> None:
    """Whoever comes next finds it free."""
    writing = Writing(tmp_path / "j", KEEP_ALL)
    first, second = writing.begin(), writing.begin()
    for run in (first, first, second):
        with pytest.raises(StoreError, match="somebody else"):
            Writing(tmp_path / "j", KEEP_ALL).begin()
        writing.end(run)
    other = Writing(tmp_path / "j", KEEP_ALL)
    other.end(other.begin())
