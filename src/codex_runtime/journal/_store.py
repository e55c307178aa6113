"""The database file of a journal: its form, and the one who writes it. Those who read it are in ``_reader``.

Everything here blocks, so it lives in threads; the tasks are in ``_journal``. Every failure of SQLite comes out as
:class:`~codex_runtime.errors.StoreError`.

The one idea: cursors have no holes. Segments are added at the end, by one writer, in transactions, and taken away at the
start, and the newest one always stays; so whoever knows a cursor knows exactly what comes next, and whether it is gone.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple, final

from codex_runtime._io.files import PRIVATE, FileLock, require_own
from codex_runtime.errors import StoreError
from codex_runtime.journal._segment import Segment, grown, indexed

__all__ = ["Figures", "Retention", "Writer", "bounds", "check", "connect", "identity", "number", "told"]

APPLICATION = 0x434A_524E
SCHEMA = 2
# Milliseconds that SQLite waits for another process that has the file to itself for a moment.
BUSY = 5000
# How many segments are pruned in one transaction; after how many bytes of new lines some are, in how many transactions.
PRUNE_SEGMENTS = 100
PRUNE_EVERY = 256 * 1024
PRUNE_STEPS = 4
WAL_BYTES = 64 * 1024 * 1024

# `place` says where names occur. Its second index is for taking away what a segment had.
_TABLES = f"""
PRAGMA auto_vacuum = INCREMENTAL;
PRAGMA journal_mode = WAL;
BEGIN EXCLUSIVE;
CREATE TABLE IF NOT EXISTS segment (
    first INTEGER PRIMARY KEY,
    count INTEGER NOT NULL, run INTEGER NOT NULL, at REAL NOT NULL, size INTEGER NOT NULL, body BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS place (
    name TEXT NOT NULL, segment INTEGER NOT NULL, PRIMARY KEY (name, segment)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS place_segment ON place (segment);
PRAGMA application_id = {APPLICATION};
PRAGMA user_version = {SCHEMA};
COMMIT;
"""
_SEGMENTS = "INSERT INTO segment (first, count, run, at, size, body)"
_UPDATE = "UPDATE segment SET count = ?, at = ?, size = ?, body = ? WHERE first = ?"
_PLACES = "INSERT OR IGNORE INTO place (name, segment)"
# Rows in one statement, of which each costs a change of the thread that Python runs.
ROWS = 100


class Retention(NamedTuple):
    """How much is kept. ``seconds`` by age, ``size`` by bytes in the file; ``None`` keeps everything."""

    seconds: float | None
    size: int | None


@contextmanager
def told(path: Path, verb: str) -> Iterator[None]:
    """Have whatever goes wrong with the file told as ours."""
    try:
        yield
    except sqlite3.Error as error:
        raise StoreError(f"cannot {verb} the journal {path}: {error}", path=str(path)) from error
    except UnicodeDecodeError as error:  # SQLite wanted to say what it found, and that is no text
        raise StoreError(f"cannot {verb} the journal {path}: it is damaged", path=str(path)) from error
    except OSError as error:
        raise StoreError(f"cannot {verb} the journal {path}: {error.strerror or error}", path=str(path)) from error


def connect(path: Path) -> sqlite3.Connection:
    """Open a file that is there. Our callers see to it that only one thread at a time uses it."""
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=rw", uri=True, isolation_level=None, check_same_thread=False
    )
    connection.execute(f"PRAGMA busy_timeout = {BUSY}")
    return connection


def check(path: Path, connection: sqlite3.Connection) -> None:
    """Refuse what is no journal, and one of another version."""
    found, version = number(connection, "PRAGMA application_id"), number(connection, "PRAGMA user_version")
    if found != APPLICATION:
        raise StoreError(f"{path} is not a journal", path=str(path))
    if version != SCHEMA:
        raise StoreError(f"the journal {path} has version {version}; this program knows {SCHEMA}", path=str(path))


def identity(path: Path) -> tuple[int, int]:
    """Return what tells a file from another one of the same name. Raises :class:`OSError` if there is none."""
    found = path.stat()
    return found.st_dev, found.st_ino


def number(connection: sqlite3.Connection, query: str) -> int:
    """Return the one number that a query gives; 0 for none."""
    row = connection.execute(query).fetchone()
    return int(row[0] or 0) if row else 0


def bounds(connection: sqlite3.Connection) -> tuple[int, int]:
    """Return the oldest and the newest cursor; zeros for a journal without entries."""
    oldest = number(connection, "SELECT min(first) FROM segment")
    return oldest, number(connection, "SELECT first + count - 1 FROM segment ORDER BY first DESC LIMIT 1")


def _insert(connection: sqlite3.Connection, statement: str, rows: Sequence[tuple[object, ...]]) -> None:
    for begin in range(0, len(rows), ROWS):
        some = rows[begin : begin + ROWS]
        form = f"({', '.join('?' * len(some[0]))})"
        values = [value for row in some for value in row]
        connection.execute(f"{statement} VALUES {', '.join([form] * len(some))}", values)


class Figures:
    """What a writer has done since it was made."""

    def __init__(self) -> None:
        self.commits = self.syncs = self.pruned = 0
        self.busy = self.slowest = 0.0

    def count(self, seconds: float, *, durable: bool) -> None:
        """Count a commit."""
        self.commits += 1
        self.syncs += durable
        self.busy += seconds
        self.slowest = max(self.slowest, seconds)


@final
class Writer:
    """The one who adds. It holds the lock from :meth:`open` to :meth:`close`."""

    def __init__(self, path: Path, retention: Retention) -> None:
        self._path = path
        self._retention = retention
        self._lock = FileLock(path.with_name(f"{path.name}.lock"))
        self._connection: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None  # which one the connection has open
        self._is_full_sync = True
        self._unpruned = 0
        self._last: tuple[int, Segment] | None = None  # the newest segment, with its cursor, while it is known
        self.position = 0
        self.figures = Figures()

    def open(self) -> None:
        """Make the file if there is none, and be its writer. Raises :class:`StoreError`."""
        self._lock.acquire(str(self._path))
        try:
            with told(self._path, "open"):
                self._open()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Give the file up. Idempotent; what was acknowledged is in it already."""
        try:
            self._drop()
        finally:
            self._lock.release()

    def append(self, segments: Sequence[Segment], *, now: float) -> int:
        """Add segments, all or none, and return the cursor of the last entry.

        If there is something decisive in them, a loss of power cannot undo it. Raises :class:`StoreError`, also for a
        writer that is not open.
        """
        durable = any(segment.is_decisive for segment in segments)
        with told(self._path, "write"):
            connection = self._connected()
            if identity(self._path) != self._file:  # what is added to a file without a name is nowhere
                raise StoreError(f"the journal {self._path} was replaced while it was written", path=str(self._path))
            begun = time.perf_counter()
            try:
                self._set_sync(connection, full=durable)
                connection.execute("BEGIN IMMEDIATE")
                position, last = self._add(connection, segments)
                connection.execute("COMMIT")
            except (sqlite3.Error, UnicodeDecodeError):
                # What the file and the memory of this connection hold may differ now. The next one begins with what is
                # in the file, and moves it out of the log that the disk refused.
                self._drop()
                raise
            self.position, self._last = position, last
            self.figures.count(time.perf_counter() - begun, durable=durable)
            self._unpruned += sum([len(segment.lines) for segment in segments])
            if self._unpruned >= PRUNE_EVERY:
                self._unpruned = 0
                with suppress(sqlite3.Error):
                    steps = PRUNE_STEPS
                    while steps and self._prune_some(connection, now):
                        steps -= 1
        return self.position

    def prune(self, *, now: float) -> int:
        """Take away all that need not be kept, and return how many entries went. Raises as :meth:`append`."""
        with told(self._path, "prune"):
            connection = self._connected()
            total = 0
            while gone := self._prune_some(connection, now):
                total += gone
            return total

    def _add(
        self, connection: sqlite3.Connection, segments: Sequence[Segment]
    ) -> tuple[int, tuple[int, Segment] | None]:
        position, last = self.position, self._last
        fresh: dict[int, Segment] = {}
        places: list[tuple[str, int]] = []
        for segment in segments:
            if last is not None and (both := grown(last[1], segment)) is not None:
                last = last[0], both
            else:
                last = position + 1, segment
            fresh[last[0]] = last[1]
            position += segment.count
        rows = []
        for first, segment in fresh.items():
            names = segment.names
            if self._last is not None and first == self._last[0]:
                names = names - self._last[1].names
                connection.execute(_UPDATE, (segment.count, segment.at, *segment.body, first))
            else:
                rows.append((first, segment.count, segment.run, segment.at, *segment.body))
            places += [(name, first) for name in indexed(names)]
        _insert(connection, _SEGMENTS, rows)
        _insert(connection, _PLACES, places)
        return position, last

    def _connected(self) -> sqlite3.Connection:
        if not self._lock.is_held:  # who writes without it writes beside somebody else, and cursors repeat
            raise StoreError(f"nobody has opened the journal {self._path} for writing", path=str(self._path))
        return self._connection or self._open()

    def _open(self) -> sqlite3.Connection:
        with suppress(FileExistsError):
            # Made by us, so that it is its owner's alone from the start.
            os.close(os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE))
        require_own(self._path)  # not opened again: to close it would end the locks of who reads it in this process
        connection = connect(self._path)
        try:
            if number(connection, "PRAGMA schema_version") == 0:
                connection.executescript(_TABLES)
            check(self._path, connection)
            connection.execute(f"PRAGMA journal_size_limit = {WAL_BYTES}")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            self.position = bounds(connection)[1]
        except BaseException:
            connection.close()
            raise
        self._connection, self._is_full_sync, self._file = connection, True, identity(self._path)
        return connection

    def _drop(self) -> None:
        connection, self._connection, self._last = self._connection, None, None
        if connection is not None:
            with suppress(sqlite3.Error):
                connection.close()

    def _set_sync(self, connection: sqlite3.Connection, *, full: bool) -> None:
        if full != self._is_full_sync:
            connection.execute(f"PRAGMA synchronous = {'FULL' if full else 'NORMAL'}")
            self._is_full_sync = full

    def _prune_some(self, connection: sqlite3.Connection, now: float) -> int:
        if self._retention == (None, None):
            return 0
        end = max(self._too_old(connection, now), self._too_much(connection))
        oldest = number(connection, "SELECT min(first) FROM segment")
        newest = number(connection, "SELECT max(first) FROM segment")
        end = min(end, newest)
        if end <= oldest:
            return 0
        connection.execute("BEGIN IMMEDIATE")
        try:
            connection.execute("DELETE FROM segment WHERE first < ?", (end,))
            connection.execute("DELETE FROM place WHERE segment < ?", (end,))
            connection.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            raise
        self.figures.pruned += end - oldest
        # As a script, because `execute` stops after the first page that was given back.
        connection.executescript("PRAGMA incremental_vacuum")
        return end - oldest

    def _too_old(self, connection: sqlite3.Connection, now: float) -> int:
        """Return the cursor before which everything is too old."""
        if self._retention.seconds is None:
            return 0
        # Only the front goes: a segment behind one that is young enough stays, whatever its date says.
        front = connection.execute("SELECT first + count, at FROM segment ORDER BY first LIMIT ?", (PRUNE_SEGMENTS,))
        end = 0
        for cursor, at in front:
            if at >= now - self._retention.seconds:
                break
            end = cursor
        return end

    def _too_much(self, connection: sqlite3.Connection) -> int:
        """Return a cursor before which there is no more than what is too much."""
        if self._retention.size is None:
            return 0
        pages = number(connection, "PRAGMA page_count") - number(connection, "PRAGMA freelist_count")
        excess = pages * number(connection, "PRAGMA page_size") - self._retention.size
        end = 0
        front = connection.execute(
            "SELECT first + count, length(body) FROM segment ORDER BY first LIMIT ?", (PRUNE_SEGMENTS,)
        )
        for cursor, size in front:
            if excess <= 0:
                break
            # At most: it may share a page with others. So this rather takes too little; then there is a next time.
            excess -= size + 2 * 4096
            end = cursor
        return end
