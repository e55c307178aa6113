"""Those who look into a journal. Any number of them may, in any process, also while it is written.

Everything here blocks, so it lives in threads. Every failure of SQLite comes out as
:class:`~codex_runtime.errors.StoreError`.

The one idea: a narrow look asks the index for the segments that can have something, one after the other, from either end,
and opens only those; so it costs what it finds and not what the journal has.
"""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple, TypeAlias, final

from codex_runtime.errors import StoreError
from codex_runtime.journal._entry import Entry
from codex_runtime.journal._segment import GAP, Wanted, entries_of
from codex_runtime.journal._store import bounds, check, connect, identity, number, told

__all__ = ["Page", "Reader"]

# How many segments the index is asked for at a time.
AT_A_TIME = 64

# first, run, size, body
Row: TypeAlias = tuple[int, int, int, bytes]
_SEGMENT = "SELECT first, run, size, body FROM segment"


class Page(NamedTuple):
    """What one look found: the entries, how far it has looked, whether that was the end, and the oldest cursor left."""

    entries: list[Entry]
    looked_to: int
    is_last: bool
    oldest: int


@final
class Reader:
    """One who looks."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None  # which one the connection has open
        self._seen: int | None = None

    def close(self) -> None:
        """Let go of the file. Idempotent; the next look opens it again."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    @property
    def has_news(self) -> bool:
        """False while certainly nothing was written since this was asked last. Costs next to nothing."""
        with told(self._path, "read"):
            version = number(self._open(), "PRAGMA data_version")
            changed, self._seen = version != self._seen, version
            return changed

    def bounds(self) -> tuple[int, int]:
        """Return the oldest and the newest cursor; zeros for a journal without entries."""
        with self._looking() as connection:
            return bounds(connection)

    def page(self, wanted: Wanted, *, after: int, limit: int, max_bytes: int | None = None) -> Page:
        """Return up to ``limit`` entries after a cursor, or fewer once they have ``max_bytes``.

        Gaps are never left out. Raises :class:`StoreError`.
        """
        entries: list[Entry] = []
        seen = 0
        with self._looking() as connection:
            oldest, newest = bounds(connection)
            for first, run, size, body in _forward(connection, wanted, after):
                found = entries_of(first, run, size, body, after=after, wanted=wanted)
                if not found:
                    continue
                if len(entries) + len(found) >= limit:
                    entries += found[: limit - len(entries)]
                    break
                entries += found
                seen += size
                if max_bytes is not None and seen >= max_bytes:
                    break
            else:
                return Page(entries, max(after, newest), is_last=True, oldest=oldest)
        looked_to = entries[-1].cursor
        return Page(entries, looked_to, is_last=looked_to >= newest, oldest=oldest)

    def last(self, wanted: Wanted, *, before: int, limit: int) -> list[Entry]:
        """Return the last ``limit`` entries before a cursor, in order. Gaps are never left out.

        Raises :class:`StoreError`.
        """
        entries: list[Entry] = []
        with self._looking() as connection:
            for first, run, size, body in _backward(connection, wanted, before):
                found = entries_of(first, run, size, body, after=0, wanted=wanted)
                entries += [entry for entry in reversed(found) if entry.cursor < before]
                if len(entries) >= limit:
                    break
        return entries[:limit][::-1]

    @contextmanager
    def _looking(self) -> Iterator[sqlite3.Connection]:
        """Look at the journal as it is at one moment."""
        with told(self._path, "read"):
            connection = self._open()
            connection.execute("BEGIN")
            try:
                yield connection
            except (TypeError, ValueError, zlib.error) as error:
                # What the decoders say of it is for those who know the form of the file.
                raise StoreError(
                    f"the journal {self._path} is damaged in the part that was read", path=str(self._path)
                ) from error
            finally:
                with suppress(sqlite3.Error):
                    connection.execute("COMMIT")

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            if not self._path.is_file():
                raise StoreError(f"there is no journal {self._path}", path=str(self._path))
            self._file = identity(self._path)
            connection = connect(self._path)
            try:
                connection.execute("PRAGMA query_only = ON")
                check(self._path, connection)
            except BaseException:
                connection.close()
                raise
            self._connection = connection
        elif identity(self._path) != self._file:  # nothing would ever come of the old one again
            self.close()
            raise StoreError(f"the journal {self._path} was replaced while it was read", path=str(self._path))
        return self._connection


def _forward(connection: sqlite3.Connection, wanted: Wanted, after: int) -> Iterator[Row]:
    """Find the segments that can have something wanted after a cursor, from the oldest."""
    row = connection.execute("SELECT max(first) FROM segment WHERE first <= ?", (after + 1,)).fetchone()
    start = row[0] or 0
    if wanted.is_all:
        yield from connection.execute(f"{_SEGMENT} WHERE first >= ? ORDER BY first", (start,))
        return
    while places := _places(connection, wanted, f">= {start} ORDER BY segment ASC")[:AT_A_TIME]:
        yield from _opened(connection, places)
        start = places[-1] + 1


def _backward(connection: sqlite3.Connection, wanted: Wanted, before: int) -> Iterator[Row]:
    """Find the segments that can have something wanted before a cursor, from the newest."""
    if wanted.is_all:
        yield from connection.execute(f"{_SEGMENT} WHERE first < ? ORDER BY first DESC", (before,))
        return
    while places := _places(connection, wanted, f"< {before} ORDER BY segment DESC")[-AT_A_TIME:]:
        yield from _opened(connection, reversed(places))
        before = places[0]


def _opened(connection: sqlite3.Connection, places: Iterable[int]) -> Iterator[Row]:
    for place in places:
        yield from connection.execute(f"{_SEGMENT} WHERE first = ?", (place,))


def _places(connection: sqlite3.Connection, wanted: Wanted, where: str) -> list[int]:
    """Return places where something of everything that is wanted occurs, and places of gaps, in order.

    Of each name there are as many as are taken at a time, so the first ones of all are among them.
    """
    first, *others = wanted.names
    also = "".join(map(_also, others))
    rest = [name for names in others for name in names]
    looks = [(also, (name, *rest)) for name in first] + [("", (GAP,))]
    found: set[int] = set()
    for more, values in looks:
        query = f"SELECT segment FROM place WHERE name = ?{more} AND segment {where} LIMIT {AT_A_TIME}"  # noqa: S608  our own words
        found.update(place for (place,) in connection.execute(query, values))
    return sorted(found)


def _also(names: list[str]) -> str:
    marks = ", ".join("?" * len(names))
    return f" AND EXISTS (SELECT 1 FROM place AS also WHERE also.segment = place.segment AND also.name IN ({marks}))"  # noqa: S608
