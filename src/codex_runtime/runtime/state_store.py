"""State stores: where the state of a runtime is kept, so that it outlives the program.

A store gets bytes and need not understand them; how they are made is the business of ``_sansio/snapshot``, when they are
saved that of ``_keeper``. Take :class:`JsonStateStore`, or write your own in four functions.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

from codex_runtime._io.files import FileLock, write_atomic
from codex_runtime.errors import StoreError

if TYPE_CHECKING:
    from codex_runtime._sansio.state import RuntimeState

__all__ = ["JsonStateStore", "MemoryStateStore", "StateStore", "Unreadable", "read_state"]

Unreadable: TypeAlias = Literal["damaged", "newer"]

# How many files are kept that could not be read, of each kind; the oldest go first.
ASIDE = 5


class StateStore(Protocol):
    """Keeps the state of a runtime beyond the program, as bytes. Subclass it.

    Its functions may block: they run in a thread of the runtime, one at a time and in order. One store belongs to one
    open runtime at a time.
    """

    def open(self) -> bytes | None:
        """Make ready, and return what was saved last; ``None`` if that is nothing.

        Called before the app server is started. An error here fails the opening of the runtime.
        """
        ...

    def save(self, data: bytes, /) -> None:
        """Put this in the place of what was saved before: all of it, or nothing. If it raises, it is tried again later."""
        ...

    def set_aside(self, why: Unreadable, /) -> str | None:
        """Put away what :meth:`open` returned, since it cannot be read and the next save must not destroy it.

        ``why``: it is ``"damaged"``, or a ``"newer"`` version of this package wrote it. Returns where it is from now on.
        """
        ...

    def is_there(self) -> bool:
        """Tell whether what was saved last is still where it was put; if not, it is saved again.

        Asked from time to time while nothing changes, and at the end.
        """
        return True

    def close(self) -> None:
        """Put in order, after the last save. Called once for each :meth:`open`."""
        return


class MemoryStateStore(StateStore):
    """Keeps the state for the next runtime of the same program."""

    def __init__(self, data: bytes | None = None) -> None:
        self._data = data
        self._is_open = False
        self.set_asides: list[tuple[Unreadable, bytes]] = []

    def __repr__(self) -> str:
        """Say how much is in it."""
        return f"MemoryStateStore(<{len(self._data or b'')} bytes>)"

    @property
    def data(self) -> bytes | None:
        """What was saved last."""
        return self._data

    def open(self) -> bytes | None:
        """Return what the last runtime saved."""
        if self._is_open:
            raise StoreError(f"{self!r} is already open")
        self._is_open = True
        return self._data

    def save(self, data: bytes, /) -> None:
        """Keep it."""
        self._data = data

    def set_aside(self, why: Unreadable, /) -> str | None:
        """Move it to ``set_asides``."""
        self.set_asides.append((why, self._data or b""))
        self._data = None
        return None

    def close(self) -> None:
        """Be free for the next runtime."""
        self._is_open = False


class JsonStateStore(StateStore):
    """Keeps the state in a file: one JSON object, for its owner alone.

    Each save replaces the file in one piece and waits for the disk, so whatever happens, the file holds one whole state:
    the last one that was saved, or the one before. A file that cannot be read is renamed to ``NAME.corrupt-1``, one of a
    newer version to ``NAME.newer-1`` (or the next number; the last five of each kind stay). ``NAME.lock`` says who writes.

    Opening a runtime with it raises :class:`StoreError` when the file cannot be reached, also because another runtime
    writes to it. :func:`read_state` reads it at any time.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        # Not the link but what it leads to: else the first save would put a file in its place, and another runtime that
        # opens the file itself would not be seen.
        self.path = Path(os.path.realpath(path))
        self._lock = FileLock(self.path.with_name(f"{self.path.name}.lock"))
        self._is_open = False

    def __repr__(self) -> str:
        """Name the file."""
        return f"JsonStateStore({os.fspath(self.path)!r})"

    def open(self) -> bytes | None:
        """Lock the file and read it."""
        from glob import escape  # for those who have a store

        self._lock.acquire(os.fspath(self.path))
        try:
            # What a program left that was killed in mid-save. Nobody else can be writing now.
            for torn in self.path.parent.glob(f".{escape(self.path.name)}.*.new"):
                torn.unlink(missing_ok=True)
            data = _read(self.path)
        except BaseException as error:
            self._lock.release()
            if isinstance(error, OSError):
                raise _error("clean up beside", self.path, error) from error
            raise
        self._is_open = True
        return data

    def save(self, data: bytes, /) -> None:
        """Replace the file."""
        if self._is_open and not self._lock.is_there:  # somebody took it away: another runtime may have made its own
            self._lock.release()
            self._lock.acquire(os.fspath(self.path))
        write_atomic(self.path, data)

    def set_aside(self, why: Unreadable, /) -> str | None:
        """Rename the file."""
        start = f"{self.path.name}.{'corrupt' if why == 'damaged' else 'newer'}-"
        try:
            names = [
                path.name.removeprefix(start) for path in self.path.parent.iterdir() if path.name.startswith(start)
            ]
            there = sorted(int(name) for name in names if name.isascii() and name.isdigit())
            aside = self.path.with_name(f"{start}{there[-1] + 1 if there else 1}")
            self.path.rename(aside)
        except OSError as error:
            raise _error("rename", self.path, error) from error
        for number in there[: 1 - ASIDE]:
            with suppress(OSError):
                self.path.with_name(f"{start}{number}").unlink()
        return os.fspath(aside)

    def is_there(self) -> bool:
        """Tell whether the file is there."""
        return self.path.exists()

    def close(self) -> None:
        """Give up the lock."""
        self._is_open = False
        self._lock.release()


def read_state(path: str | os.PathLike[str]) -> RuntimeState:
    """Read what a :class:`JsonStateStore` saved, as it was then, also while a runtime goes on writing it.

    Raises :class:`StoreError` if there is no such file, and if it is damaged or newer than this package.
    """
    from codex_runtime._sansio.snapshot import Unreadable as NotRead
    from codex_runtime._sansio.snapshot import decode

    data = _read(Path(path))
    if data is None:
        raise StoreError(f"there is no file {os.fspath(path)}", path=os.fspath(path))
    found = decode(data)
    if isinstance(found, NotRead):
        what = (
            "is damaged"
            if found.reason == "damaged"
            else f"has format {found.version}, which is newer than this package"
        )
        raise StoreError(f"{os.fspath(path)} {what}", path=os.fspath(path))
    return found


def _read(path: Path) -> bytes | None:
    try:
        with suppress(FileNotFoundError):
            return path.read_bytes()
    except OSError as error:
        raise _error("read", path, error) from error
    return None


def _error(verb: str, path: Path, error: OSError) -> StoreError:
    return StoreError(f"cannot {verb} {path}: {error.strerror or error}", path=os.fspath(path))
