"""The database file of a journal: its form, the one who writes it, and those who read it.

Everything here blocks, so it lives in threads; the tasks are in ``_journal``. Every failure of SQLite comes out as
:class:`~codex_runtime.errors.StoreError`.

The one idea: cursors have no holes. Rows are added at the end, by one writer, in transactions, and taken away at the
start, and the newest one always stays; so whoever knows a cursor knows exactly what comes next, and whether it is gone.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple, final

from codex_runtime._io.files import PRIVATE, FileLock
from codex_runtime.errors import StoreError
from codex_runtime.journal._entry import Entry, Row

__all__ = ["Page", "Reader", "Retention", "Writer"]

APPLICATION = 0x434A_524E
SCHEMA = 1
# Milliseconds that SQLite waits for another process that has the file to itself for a moment.
BUSY = 5000
# How many rows are pruned in one transaction; after how many new ones some are, and in how many transactions.
PRUNE_ROWS = 2000
PRUNE_EVERY = 1000
PRUNE_STEPS = 4
WAL_BYTES = 64 * 1024 * 1024

_TABLES = f"""
PRAGMA auto_vacuum = INCREMENTAL;
PRAGMA journal_mode = WAL;
BEGIN EXCLUSIVE;
CREATE TABLE IF NOT EXISTS entry (
    cursor INTEGER PRIMARY KEY,
    run INTEGER NOT NULL, seq INTEGER NOT NULL, generation INTEGER NOT NULL, at REAL NOT NULL,
    direction TEXT NOT NULL, kind TEXT NOT NULL, method TEXT,
    thread TEXT, turn TEXT, item TEXT, too_long INTEGER, line BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS entry_thread ON entry (thread) WHERE thread IS NOT NULL;
CREATE INDEX IF NOT EXISTS entry_gap ON entry (kind) WHERE kind = 'gap';
PRAGMA application_id = {APPLICATION};
PRAGMA user_version = {SCHEMA};
COMMIT;
"""
_COLUMNS = "cursor, run, seq, generation, at, direction, kind, method, thread, turn, item, too_long, line"
_INSERT = (
    "INSERT INTO entry (run, seq, generation, at, direction, kind, method, thread, turn, item, too_long, line)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)


class Retention(NamedTuple):
    """How much is kept. ``seconds`` by age, ``size`` by bytes in the file; ``None`` keeps everything."""

    seconds: float | None
    size: int | None


class Page(NamedTuple):
    """What one look found: the entries, how far it has looked, and the oldest cursor that is left."""

    entries: list[Entry]
    looked_to: int
    oldest: int


@contextmanager
def _told(path: Path, verb: str) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise StoreError(f"cannot {verb} the journal {path}: {error}", path=str(path)) from error
    except OSError as error:
        raise StoreError(f"cannot {verb} the journal {path}: {error.strerror or error}", path=str(path)) from error


def _connect(path: Path) -> sqlite3.Connection:
    """Open a file that is there. Our callers see to it that only one thread at a time uses it."""
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=rw", uri=True, isolation_level=None, check_same_thread=False
    )
    connection.execute(f"PRAGMA busy_timeout = {BUSY}")
    return connection


def _check(path: Path, connection: sqlite3.Connection) -> None:
    found, version = _number(connection, "PRAGMA application_id"), _number(connection, "PRAGMA user_version")
    if found != APPLICATION:
        raise StoreError(f"{path} is not a journal", path=str(path))
    if version != SCHEMA:
        raise StoreError(f"the journal {path} has version {version}; this program knows {SCHEMA}", path=str(path))


def _number(connection: sqlite3.Connection, query: str) -> int:
    row = connection.execute(query).fetchone()
    return int(row[0] or 0) if row else 0


@final
class Writer:
    """The one who adds. It holds the lock from :meth:`open` to :meth:`close`."""

    def __init__(self, path: Path, retention: Retention) -> None:
        self._path = path
        self._retention = retention
        self._lock = FileLock(path.with_name(f"{path.name}.lock"))
        self._connection: sqlite3.Connection | None = None
        self._is_full_sync = True
        self._unpruned = 0
        self.position = 0

    def open(self) -> None:
        """Make the file if there is none, and be its writer. Raises :class:`StoreError`."""
        self._lock.acquire(str(self._path))
        try:
            with _told(self._path, "open"):
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

    def append(self, rows: Sequence[Row], *, durable: bool, now: float) -> int:
        """Add rows, all or none, and return the cursor of the last; if ``durable``, a loss of power cannot undo it.

        Raises :class:`StoreError`.
        """
        with _told(self._path, "write"):
            connection = self._connection or self._open()
            try:
                self._set_sync(connection, full=durable)
                connection.execute("BEGIN IMMEDIATE")
                connection.executemany(_INSERT, rows)
                connection.execute("COMMIT")
            except sqlite3.Error:
                # What the file and the memory of this connection hold may differ now. The next one begins with what is
                # in the file, and moves it out of the log that the disk refused.
                self._drop()
                raise
            self.position += len(rows)
            self._unpruned += len(rows)
            if self._unpruned >= PRUNE_EVERY:
                self._unpruned = 0
                with suppress(sqlite3.Error):
                    for _ in range(PRUNE_STEPS):
                        self._prune_some(connection, now)
        return self.position

    def prune(self, *, now: float) -> int:
        """Take away all that need not be kept, and return how many entries went."""
        with _told(self._path, "prune"):
            connection = self._connection or self._open()
            total = 0
            while gone := self._prune_some(connection, now):
                total += gone
            return total

    def _open(self) -> sqlite3.Connection:
        with suppress(FileExistsError):
            # Made by us, so that it is its owner's alone from the start.
            os.close(os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE))
        connection = _connect(self._path)
        try:
            if _number(connection, "PRAGMA schema_version") == 0:
                connection.executescript(_TABLES)
            _check(self._path, connection)
            connection.execute(f"PRAGMA journal_size_limit = {WAL_BYTES}")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            self.position = _number(connection, "SELECT max(cursor) FROM entry")
        except BaseException:
            connection.close()
            raise
        self._connection, self._is_full_sync = connection, True
        return connection

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(sqlite3.Error):
                connection.close()

    def _set_sync(self, connection: sqlite3.Connection, *, full: bool) -> None:
        if full != self._is_full_sync:
            connection.execute(f"PRAGMA synchronous = {'FULL' if full else 'NORMAL'}")
            self._is_full_sync = full

    def _prune_some(self, connection: sqlite3.Connection, now: float) -> int:
        last = max(self._too_old(connection, now), self._too_much(connection))
        last = min(last, self.position - 1)
        if last < _number(connection, "SELECT min(cursor) FROM entry"):
            return 0
        connection.execute("BEGIN IMMEDIATE")
        try:
            gone = connection.execute("DELETE FROM entry WHERE cursor <= ?", (last,)).rowcount
            connection.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            raise
        # As a script, because `execute` stops after the first page that was given back.
        connection.executescript("PRAGMA incremental_vacuum")
        return gone

    def _too_old(self, connection: sqlite3.Connection, now: float) -> int:
        if self._retention.seconds is None:
            return 0
        # Only the front goes: an entry behind one that is young enough stays, whatever its date says.
        front = connection.execute("SELECT cursor, at FROM entry ORDER BY cursor LIMIT ?", (PRUNE_ROWS,))
        last = 0
        for cursor, at in front:
            if at >= now - self._retention.seconds:
                break
            last = cursor
        return last

    def _too_much(self, connection: sqlite3.Connection) -> int:
        if self._retention.size is None:
            return 0
        pages = _number(connection, "PRAGMA page_count") - _number(connection, "PRAGMA freelist_count")
        excess = pages * _number(connection, "PRAGMA page_size") - self._retention.size
        last = 0
        front = connection.execute("SELECT cursor, length(line) FROM entry ORDER BY cursor LIMIT ?", (PRUNE_ROWS,))
        for cursor, size in front:
            if excess <= 0:
                break
            # At most: two long lines may not share a page. So this rather takes too little; then there is a next time.
            excess -= 2 * size + 500
            last = cursor
        return last


@final
class Reader:
    """One who looks. Any number of them may, in any process, also while it is written."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None
        self._seen: int | None = None

    def close(self) -> None:
        """Let go of the file. Idempotent; the next look opens it again."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    @property
    def has_news(self) -> bool:
        """False while certainly nothing was written since this was asked last. Costs next to nothing."""
        with _told(self._path, "read"):
            version = _number(self._open(), "PRAGMA data_version")
            changed, self._seen = version != self._seen, version
            return changed

    def bounds(self) -> tuple[int, int]:
        """Return the oldest and the newest cursor; zeros for a journal without entries."""
        with _told(self._path, "read"):
            connection = self._open()
            return _number(connection, "SELECT min(cursor) FROM entry"), _number(
                connection, "SELECT max(cursor) FROM entry"
            )

    def page(
        self, *, after: int, limit: int, thread: str | None, turn: str | None, methods: Collection[str] | None
    ) -> Page:
        """Return up to ``limit`` entries after a cursor. Gaps are never left out. Raises :class:`StoreError`."""
        query, values = _query(after=after, limit=limit, thread=thread, turn=turn, methods=methods)
        with _told(self._path, "read"):
            connection = self._open()
            connection.execute("BEGIN")
            try:
                entries = [Entry(*row) for row in connection.execute(query, values)]
                oldest = _number(connection, "SELECT min(cursor) FROM entry")
                newest = _number(connection, "SELECT max(cursor) FROM entry")
            finally:
                with suppress(sqlite3.Error):
                    connection.execute("COMMIT")
        return Page(entries, entries[-1].cursor if len(entries) == limit else max(after, newest), oldest)

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            if not self._path.is_file():
                raise StoreError(f"there is no journal {self._path}", path=str(self._path))
            connection = _connect(self._path)
            try:
                connection.execute("PRAGMA query_only = ON")
                _check(self._path, connection)
            except BaseException:
                connection.close()
                raise
            self._connection = connection
        return self._connection


def _query(
    *, after: int, limit: int, thread: str | None, turn: str | None, methods: Collection[str] | None
) -> tuple[str, list[object]]:
    wanted: list[tuple[str, Sequence[object]]] = []
    if thread is not None:
        wanted.append(("thread = ?", (thread,)))
    if turn is not None:
        wanted.append(("turn = ?", (turn,)))
    if methods is not None:
        wanted.append((f"method IN ({', '.join('?' * len(methods))})", tuple(methods)))
    values: list[object] = [after, *(value for _, some in wanted for value in some), limit]
    where = "".join(f" AND {condition}" for condition, _ in wanted)
    one = f"SELECT {_COLUMNS} FROM entry WHERE cursor > ?{where} ORDER BY cursor LIMIT ?"  # noqa: S608  our own words
    if not wanted:
        return one, values
    gaps = f"SELECT {_COLUMNS} FROM entry WHERE cursor > ? AND kind = 'gap' ORDER BY cursor LIMIT ?"  # noqa: S608
    both = f"SELECT * FROM ({one}) UNION ALL SELECT * FROM ({gaps}) ORDER BY cursor LIMIT ?"  # noqa: S608
    return both, [*values, after, limit, limit]
