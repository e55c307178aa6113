"""Files that survive us: a log that grows by whole lines, a lock, and a file that is replaced in one piece.

Everything here blocks, so call it from a thread of your own; nothing here knows what is in a line. Failures are
:class:`~codex_runtime.errors.StoreError`.

The one idea: an append either is in the log as a whole or not at all. What was written of one that failed is cut off
again, and a log that was left torn, by a crash or by a disk that refuses even that, is continued on a new line.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from codex_runtime.errors import ConfigError, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["SYNC_INTERVAL", "FileLock", "Flush", "LineLog", "open_own", "require_own", "write_atomic"]

Flush: TypeAlias = Literal["always", "interval", "never"]

# Seconds after which whoever has chosen the policy "interval" should sync.
SYNC_INTERVAL = 1.0
# Logs hold prompts, answers and output of commands: they are their owner's alone.
PRIVATE = 0o600
_OTHERS_WRITE = 0o022


class LineLog:
    """A file of lines that only grows, until it is rotated.

    Every append is handed to the system at once and survives the death of this process; ``flush`` says when it also
    survives a loss of power: ``"always"`` at each append, ``"interval"`` whenever :meth:`sync` is called, ``"never"`` when
    the system likes. :meth:`sync` may be called from another thread than all the rest: waiting for the disk keeps nobody
    from adding. An append that would take the file above ``rotate_bytes`` goes to a new one, and the old one becomes
    ``path.1``, that one ``path.2``, and so on; ``keep`` of them are kept. A file that somebody took away is made anew.

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
        self._is_torn = False
        self._is_new = False  # the disk may not know its name yet
        self._changing = threading.Lock()  # held while the file is closed, or is taken hold of by a sync

    def open(self) -> None:
        """Open the log, or make it. Raises :class:`StoreError`, also if somebody else writes to it."""
        try:
            self._open()
        except OSError as error:
            raise self._error("open", error) from error

    def append(self, lines: bytes) -> None:
        """Add whole lines. Raises :class:`StoreError`, and then nothing of them is in the log.

        (Some of them may be, if the disk has failed twice: at the write, and when that was to be undone.)
        """
        try:
            if self._fd is not None and os.fstat(self._fd).st_nlink == 0:
                self._close()  # somebody took the file away: what is added to it is nowhere
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
            try:
                self._close()
            except OSError as error:
                raise self._error("close", error) from error

    def _open(self) -> None:
        fd = open_own(self.path, os.O_APPEND)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._size = os.fstat(fd).st_size
            self._is_new = True  # for all that we know: whoever made it may have been killed before its name was safe
            if self._size and os.pread(fd, 1, self._size - 1) != b"\n":
                self._size += os.write(fd, b"\n")
        except BaseException:
            os.close(fd)
            raise
        self._fd, self._is_torn = fd, False

    def _add(self, lines: bytes) -> None:
        fd = self._descriptor()
        view = memoryview(b"\n" + lines if self._is_torn else lines)
        size = self._size + len(view)
        try:
            while view:
                view = view[self._write(fd, view) :]
        except OSError:
            self._cut(self._size)
            raise
        self._size, self._is_torn = size, False
        self._unsynced = True

    def _cut(self, size: int) -> None:
        """Take away what is above a size; if not even that can be done, what comes next begins on a new line."""
        fd = self._descriptor()
        try:
            os.ftruncate(fd, size)
            self._size = size
        except OSError:
            self._size, self._is_torn = os.fstat(fd).st_size, True

    def _sync_or_undo(self, added: int) -> None:
        try:
            self._sync()
        except OSError:
            self._cut(self._size - added)
            raise

    def _sync(self) -> None:
        with self._changing:
            if not self._unsynced or self._fd is None:
                return
            self._unsynced = False
            is_new, self._is_new = self._is_new, False
            fd = os.dup(self._fd)
        try:
            self._fsync(fd)
            if is_new:
                _sync_folder(self.path.parent)
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
        # Only up to the first number that is free: there may be one where a rotation was broken off, and going on from
        # there takes nothing away a second time.
        free = next((number for number in range(1, keep) if not self._numbered(number).exists()), keep)
        for number in range(free, 0, -1):
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
            fd = open_own(self.path, follow=False)
        except OSError as error:
            raise StoreError(f"cannot lock {what}: {error.strerror or error}", path=str(self.path)) from error
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(fd, 0)
            os.pwrite(fd, str(os.getpid()).encode(), 0)
        except OSError as error:
            owner = ""
            with suppress(OSError):
                owner = os.pread(fd, 20, 0).decode("ascii", "replace")
            _close_quietly(fd)
            if not isinstance(error, BlockingIOError):
                raise StoreError(f"cannot lock {what}: {error.strerror or error}", path=str(self.path)) from error
            who = f" (process {owner})" if owner.isdigit() else ""
            raise StoreError(f"somebody else already writes to {what}{who}", path=str(self.path)) from error
        self._fd = fd

    @property
    def is_held(self) -> bool:
        """True from :meth:`acquire` to :meth:`release`."""
        return self._fd is not None

    @property
    def is_there(self) -> bool:
        """True while it is held and others who look for it find this one: nobody took the file away."""
        with suppress(OSError):
            return self._fd is not None and os.path.samestat(os.fstat(self._fd), self.path.stat())
        return False

    def release(self) -> None:
        """Give the lock up. Idempotent."""
        if self._fd is not None:
            fd, self._fd = self._fd, None
            _close_quietly(fd)


def write_atomic(path: str | os.PathLike[str], data: bytes, *, mode: int = PRIVATE) -> None:
    """Make ``data`` the content of a file: whoever reads it sees the old content or the new one, also after a crash.

    Raises :class:`StoreError`, and then the old content is still there; or the new one, if all that failed is to make its
    name safe from a loss of power.
    """
    target = Path(path)
    new = target.with_name(f".{target.name}.{os.getpid()}-{threading.get_ident()}.new")
    try:
        try:
            # The name can be guessed, so whatever stands there may be a link of somebody else's.
            new.unlink(missing_ok=True)
            with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode), "wb") as file:
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


def open_own(path: Path, flags: int = 0, *, follow: bool = True) -> int:
    """Open a file for reading and writing, or make it, for its owner alone. Raises :class:`OSError`.

    The folder may be one in which others can write as well, such as ``/tmp``. So a link is followed only if we, or the system,
    made it, and a file is refused that belongs to somebody else, or to which others can write.
    """
    flags |= os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
    try:
        fd = os.open(path, flags | os.O_NOFOLLOW, PRIVATE)
    except OSError as error:
        if not follow or error.errno != errno.ELOOP:
            raise
        _require_own(path.lstat())
        fd = os.open(path, flags, PRIVATE)
    try:
        _require_own(os.fstat(fd))
    except BaseException:
        os.close(fd)
        raise
    return fd


def require_own(path: Path) -> None:
    """Refuse a file as :func:`open_own` would, without opening it. Raises :class:`OSError`."""
    _require_own(path.lstat())
    _require_own(path.stat())


def _require_own(found: os.stat_result) -> None:
    if found.st_uid not in (os.geteuid(), 0):
        raise PermissionError(errno.EPERM, "it belongs to somebody else")
    if stat.S_ISREG(found.st_mode) and found.st_mode & _OTHERS_WRITE:
        raise PermissionError(errno.EPERM, "others can write to it")


def _sync_folder(folder: Path) -> None:
    """Make the name durable too, where that can be done: some folders may not be read, and some file systems cannot."""
    try:
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except PermissionError:
        return
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(fd)


def _close_quietly(fd: int) -> None:
    """Close a file in which nothing was written that matters. It is closed, whatever the system says."""
    with suppress(OSError):
        os.close(fd)
