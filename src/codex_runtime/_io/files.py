"""Files that survive us: a log that grows by whole lines, a lock, and a file that is replaced in one piece.

Everything here blocks, so call it from a thread of your own; nothing here knows what is in a line. Failures are
:class:`~codex_runtime.errors.StoreError`.

The one idea: an append either is in the log as a whole or not at all. What was written of one that failed is cut off
again, and a log that was left torn by a crash is continued on a new line.
"""

from __future__ import annotations

import fcntl
import os
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from codex_runtime.errors import ConfigError, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["SYNC_INTERVAL", "FileLock", "Flush", "LineLog", "write_atomic"]

Flush: TypeAlias = Literal["always", "interval", "never"]

# Seconds after which whoever has chosen the policy "interval" should sync.
SYNC_INTERVAL = 1.0
# Logs hold prompts, answers and output of commands: they are their owner's alone.
PRIVATE = 0o600


class LineLog:
    """A file of lines that only grows, until it is rotated.

    Every append is handed to the system at once and survives the death of this process; ``flush`` says when it also
    survives a loss of power: ``"always"`` at each append, ``"interval"`` whenever :meth:`sync` is called, ``"never"`` when
    the system likes. :meth:`sync` may be called from another thread than all the rest: waiting for the disk keeps nobody
    from adding. An append that would take the file above ``rotate_bytes`` goes to a new one, and the old one becomes
    ``path.1``, that one ``path.2``, and so on; ``keep`` of them are kept.

    ``write`` and ``fsync`` are the system's own unless a test wants them to fail. Settings without a sense are a
    :class:`~codex_runtime.errors.ConfigError`.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        flush: Flush = "interval",
        rotate_bytes: int | None = None,
        keep: int = 5,
        write: Callable[[int, memoryview], int] = os.write,
        fsync: Callable[[int], None] = os.fsync,
    ) -> None:
        if rotate_bytes is not None and rotate_bytes < 1:
            raise ConfigError("rotate_bytes", "must be 1 or more")
        if keep < 0:
            raise ConfigError("keep", "must be 0 or more")
        self.path = Path(path)
        self._flush = flush
        self._rotate_bytes = rotate_bytes
        self._keep = keep
        self._write = write
        self._fsync = fsync
        self._fd: int | None = None
        self._size = 0
        self._unsynced = False
        self._is_suspect = False
        self._changing = threading.Lock()  # held while the file is closed, or is taken hold of by a sync

    def open(self) -> None:
        """Open the log, or make it. Raises :class:`StoreError`, also if somebody else writes to it."""
        try:
            self._open()
        except OSError as error:
            raise self._error("open", error) from error

    def append(self, lines: bytes) -> None:
        """Add whole lines. Raises :class:`StoreError`, and then nothing of them is in the log."""
        try:
            if self._fd is None:
                self._open()
            if self._is_suspect or self._is_full(len(lines)):
                self._rotate()
            self._add(lines)
            if self._flush == "always":
                self._sync_or_undo(len(lines))
        except OSError as error:
            raise self._error("write", error) from error

    @property
    def needs_sync(self) -> bool:
        """True while something waits for the disk that should not wait for long."""
        return self._unsynced and self._flush == "interval"

    def sync(self) -> None:
        """Wait until the disk has everything, unless the policy is not to care. Raises :class:`StoreError`."""
        try:
            if self._flush != "never":
                self._sync()
        except OSError as error:
            raise self._error("write", error) from error

    def close(self) -> None:
        """Sync and close. Idempotent. Raises :class:`StoreError` if the last lines may not have reached the disk."""
        try:
            self.sync()
        finally:
            self._close()

    def _open(self) -> None:
        fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, PRIVATE)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._size = os.fstat(fd).st_size
            if self._size and os.pread(fd, 1, self._size - 1) != b"\n":
                self._size += os.write(fd, b"\n")
        except BaseException:
            os.close(fd)
            raise
        self._fd = fd

    def _add(self, lines: bytes) -> None:
        fd = self._descriptor()
        view = memoryview(lines)
        try:
            while view:
                view = view[self._write(fd, view) :]
        except OSError:
            with suppress(OSError):
                os.ftruncate(fd, self._size)
            raise
        self._size += len(lines)
        self._unsynced = True

    def _sync_or_undo(self, added: int) -> None:
        try:
            self._sync()
        except OSError:
            with suppress(OSError):
                os.ftruncate(self._descriptor(), self._size - added)
            raise

    def _sync(self) -> None:
        with self._changing:
            if not self._unsynced or self._fd is None:
                return
            self._unsynced = False
            fd = os.dup(self._fd)
        try:
            self._fsync(fd)
        except OSError:
            # The system may have thrown away what it could not write, and would call the next attempt a success.
            self._is_suspect = True
            raise
        finally:
            os.close(fd)

    def _is_full(self, more: int) -> bool:
        return self._rotate_bytes is not None and self._size > 0 and self._size + more > self._rotate_bytes

    def _rotate(self) -> None:
        if not self._is_suspect and self._flush != "never":
            self._sync()
        self._close()
        keep = max(self._keep, 1) if self._is_suspect else self._keep
        if keep == 0:
            self.path.unlink(missing_ok=True)
        for number in range(keep, 0, -1):
            older = self.path if number == 1 else self._numbered(number - 1)
            with suppress(FileNotFoundError):
                older.replace(self._numbered(number))
        self._is_suspect = False
        self._open()

    def _numbered(self, number: int) -> Path:
        return self.path.with_name(f"{self.path.name}.{number}")

    def _close(self) -> None:
        with self._changing:
            fd, self._fd, self._unsynced = self._fd, None, False
        if fd is not None:
            os.close(fd)

    def _descriptor(self) -> int:
        if self._fd is None:
            raise RuntimeError("the log is not open")
        return self._fd

    def _error(self, verb: str, error: OSError) -> StoreError:
        if isinstance(error, BlockingIOError):
            return StoreError(f"somebody else already writes to {self.path}", path=str(self.path))
        return StoreError(f"cannot {verb} {self.path}: {error.strerror or error}", path=str(self.path))


class FileLock:
    """A lock that the system gives up for us when we die. It says who holds it.

    The file stays; only its lock comes and goes.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._fd: int | None = None

    def acquire(self, what: str) -> None:
        """Take the lock, or raise :class:`StoreError` at once; ``what`` is what is in use then."""
        try:
            fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, PRIVATE)
        except OSError as error:
            raise StoreError(f"cannot lock {what}: {error.strerror or error}", path=str(self.path)) from error
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(fd, 0)
            os.pwrite(fd, str(os.getpid()).encode(), 0)
        except OSError as error:
            owner = os.pread(fd, 20, 0).decode("ascii", "replace")
            os.close(fd)
            if not isinstance(error, BlockingIOError):
                raise StoreError(f"cannot lock {what}: {error.strerror or error}", path=str(self.path)) from error
            who = f" (process {owner})" if owner.isdigit() else ""
            raise StoreError(f"somebody else already writes to {what}{who}", path=str(self.path)) from error
        self._fd = fd

    @property
    def is_held(self) -> bool:
        """True from :meth:`acquire` to :meth:`release`."""
        return self._fd is not None

    def release(self) -> None:
        """Give the lock up. Idempotent."""
        if self._fd is not None:
            fd, self._fd = self._fd, None
            os.close(fd)


def write_atomic(path: str | os.PathLike[str], data: bytes, *, mode: int = PRIVATE) -> None:
    """Make ``data`` the content of a file: whoever reads it sees the old content or the new one, also after a crash.

    Raises :class:`StoreError`, and then the old content is still there.
    """
    target = Path(path)
    new = target.with_name(f".{target.name}.{os.getpid()}-{threading.get_ident()}.new")
    try:
        try:
            with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode), "wb") as file:
                os.fchmod(file.fileno(), mode)
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            new.replace(target)
        except BaseException:
            new.unlink(missing_ok=True)
            raise
        _sync_folder(target.parent)
    except OSError as error:
        raise StoreError(f"cannot write {target}: {error.strerror or error}", path=str(target)) from error


def _sync_folder(folder: Path) -> None:
    """Make the name durable too."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
