"""The stores under test, all in one form: open, add a numbered record, close, and read the numbers back.

Nothing here judges; whoever breaks things does that. Each store is the real one, used as the runtime uses it.
"""

from __future__ import annotations

import json
import time
from abc import ABC, abstractmethod
from contextlib import closing, suppress
from pathlib import Path
from typing import ClassVar, NamedTuple

from codex_runtime._io.files import Flush, LineLog
from codex_runtime._sansio.decisions import Decision
from codex_runtime._sansio.envelope import Envelope, Stamp, decode_lines
from codex_runtime.errors import StoreError
from codex_runtime.journal._reader import Reader
from codex_runtime.journal._segment import Segment, Wanted, segments_of
from codex_runtime.journal._store import Retention
from codex_runtime.journal._writing import Writing
from codex_runtime.runtime import AuditLog, JsonStateStore
from codex_runtime.runtime._jsonl import Damage, jsonl, read_jsonl

__all__ = ["STORES", "Found", "Store"]


class Found(NamedTuple):
    """What can be read: the numbers in order, how many stretches are damaged, how many losses are told."""

    numbers: list[int]
    damaged: int = 0
    told: int = 0


class Store(ABC):
    """A store in a folder. ``adds``: a record is added to the others, and does not take the place of the last one."""

    adds: ClassVar[bool] = True
    # Whether a loss of power costs nothing of what was acknowledged, by number.
    is_cut_safe: ClassVar[bool] = True
    # Whether a file that failed to be synced must not be synced again.
    syncs_once: ClassVar[bool] = True
    # Whether the store itself tells in its file what it lost.
    tells: ClassVar[bool] = False
    # How many programs in a row are killed that work with the same files.
    in_a_row: ClassVar[int] = 10
    # Whether its records are small enough for thousands of folders full of them.
    is_small: ClassVar[bool] = True

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @abstractmethod
    def open(self) -> None:
        """Make ready."""

    @abstractmethod
    def add(self, number: int) -> None:
        """Add a record; when this returns it is acknowledged."""

    @abstractmethod
    def close(self) -> None:
        """Put in order."""

    @abstractmethod
    def read(self) -> Found:
        """Read back what is there."""

    def is_durable(self, number: int) -> bool:
        """Tell whether this record outlives a loss of power once it is acknowledged."""
        del number
        return self.is_cut_safe


def message(number: int, method: str = "note", size: int = 300) -> Envelope:
    """Make a message with a number."""
    pad = (b"%d " % number) * (size // 8)
    line = b'{"method":"%b","params":{"threadId":"t","turnId":"u","pad":"%b"}}\n' % (method.encode(), pad)
    [envelope], _ = decode_lines([line], number, Stamp(0, 1.0, 1.0))
    return envelope


class Lines(Store):
    """A log of JSON lines, as :class:`JsonlSink` writes it from its thread."""

    size: ClassVar[int] = 300
    flush: ClassVar[Flush] = "always"
    rotate_bytes: ClassVar[int | None] = None

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.path = folder / "log"
        self.log = LineLog(self.path, flush=self.flush, rotate_bytes=self.rotate_bytes, keep=1000)

    def open(self) -> None:
        """Open the log."""
        self.log.open()

    def add(self, number: int) -> None:
        """Append a line."""
        self.log.append(jsonl([message(number, size=self.size)]))

    def close(self) -> None:
        """Close the log."""
        self.log.close()

    def read(self) -> Found:
        """Read all its files, the oldest first."""
        older = sorted(self.folder.glob("log.*"), key=lambda path: -int(path.suffix[1:]))
        records = [record for path in (*older, self.path) if path.exists() for record in read_jsonl(path)]
        return Found(
            [record.seq for record in records if isinstance(record, Envelope)],
            sum(isinstance(record, Damage) for record in records),
        )


class RotatedLines(Lines):
    """Such a log with a new file after every other line."""

    rotate_bytes = 1000


class LargeLines(Lines):
    """Such a log of lines so long that a killed program leaves some half written."""

    size = 4_000_000
    flush = "never"
    is_cut_safe = False
    in_a_row = 2
    is_small = False


class SometimesSyncedLines(Lines):
    """Such a log that waits for the disk from time to time: here, after every third line."""

    flush = "interval"
    is_cut_safe = False

    def add(self, number: int) -> None:
        """Append a line, and sometimes sync, as another thread would: the line is in the log, whatever comes of that."""
        super().add(number)
        if number % 3 == 2:
            with suppress(StoreError):
                self.log.sync()

    def is_durable(self, number: int) -> bool:
        """Only what was synced is safe."""
        return number % 3 == 2


class UnsyncedLines(Lines):
    """Such a log that never waits for the disk."""

    flush = "never"
    is_cut_safe = False


class Audit(Store):
    """The file of decisions."""

    tells = True

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.path = folder / "decisions"
        self.log = AuditLog(self.path, flush="always", rotate_bytes=1500, keep=1000)

    def open(self) -> None:
        """Nothing: it opens itself."""

    def add(self, number: int) -> None:
        """Decide something."""
        self.log(Decision(what="x", outcome="declined", decider="nobody", at=1.0, seq=number))

    def close(self) -> None:
        """Close the file."""
        self.log.close()

    def read(self) -> Found:
        """Read all its files, the oldest first."""
        numbers: list[int] = []
        damaged = told = 0
        older = sorted(self.folder.glob("decisions.*"), key=lambda path: -int(path.suffix[1:]))
        for path in (*older, self.path):
            for line in path.read_bytes().split(b"\n") if path.exists() else ():
                try:
                    value = json.loads(line) if line else {}
                except ValueError:
                    damaged += 1
                    continue
                told += value.get("lost", 0)
                numbers += [value["seq"]] if "seq" in value else []
        return Found(numbers, damaged, told)


class State(Store):
    """The file of the state."""

    adds = False

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.store = JsonStateStore(folder / "state.json")

    def open(self) -> None:
        """Open the store."""
        self.store.open()

    def add(self, number: int) -> None:
        """Save a state."""
        self.store.save(json.dumps({"number": number, "pad": f"{number} " * (100 + number % 700)}).encode())

    def close(self) -> None:
        """Close the store."""
        self.store.close()

    def read(self) -> Found:
        """Read the state, which has to be a whole one."""
        store = JsonStateStore(self.store.path)
        data = store.open()
        store.close()
        if data is None:
            return Found([])
        try:
            value = json.loads(data)
        except ValueError:
            return Found([], damaged=1)
        if value["pad"] != f"{value['number']} " * (100 + value["number"] % 700):
            return Found([value["number"]], damaged=1)
        return Found([value["number"]])


class Journaled(Store):
    """The journal, as its sink writes it from its thread. Every fourth record is one that must not be lost."""

    # SQLite decides when, and moves into the database what the log of it may not hold.
    syncs_once = False
    is_cut_safe = False
    retention: ClassVar[Retention] = Retention(None, None)

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.path = folder / "journal"
        self.writing = Writing(self.path, self.retention)
        self.run = 0

    def open(self) -> None:
        """Begin a run."""
        self.run = self.writing.begin()

    def segments(self, number: int) -> list[Segment]:
        """Return what is added."""
        method = "turn/completed" if self.is_durable(number) else "note"
        return segments_of([message(number, method)], self.run, at=time.time())

    def add(self, number: int) -> None:
        """Add a batch of one."""
        self.writing.add(self.segments(number), now=time.time())

    def close(self) -> None:
        """End the run."""
        self.writing.end(self.run)

    def read(self) -> Found:
        """Read all entries, whose cursors have no holes."""
        with closing(Reader(self.path)) as reader:
            entries = reader.page(Wanted(), after=0, limit=10_000_000).entries
        cursors = [entry.cursor for entry in entries]
        holes = bool(cursors) and cursors != [*range(cursors[0], cursors[0] + len(cursors))]
        return Found([entry.seq for entry in entries if entry.kind == "notification"], damaged=int(holes))

    def is_durable(self, number: int) -> bool:
        """Only what is decisive waits for the disk."""
        return number % 4 == 3


class BatchedJournal(Journaled):
    """The journal when there is much to write: forty messages, in several segments, are one record, there or not there."""

    batch: ClassVar[int] = 40
    is_small = False

    def segments(self, number: int) -> list[Segment]:
        """Return what is added."""
        begin = number * self.batch
        batch = [message(begin + place, size=20_000) for place in range(self.batch - 1)]
        last = message(begin + self.batch - 1, "turn/completed" if self.is_durable(number) else "note")
        return segments_of([*batch, last], self.run, at=time.time())

    def read(self) -> Found:
        """Read all batches, which are whole."""
        found = super().read()
        batches = sorted({number // self.batch for number in found.numbers})
        whole = [number for batch in batches for number in range(batch * self.batch, (batch + 1) * self.batch)]
        return Found(batches, found.damaged + (found.numbers != whole))


class FollowedJournal(Journaled):
    """The journal while somebody else has it open and reads it after each addition."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.reader = Reader(self.path)

    def add(self, number: int) -> None:
        """Add a batch and look: the batch is in the journal, whatever comes of that."""
        super().add(number)
        with suppress(StoreError):
            self.reader.page(Wanted(), after=0, limit=100)

    def close(self) -> None:
        """End the run and let go."""
        try:
            super().close()
        finally:
            self.reader.close()


STORES: dict[str, type[Store]] = {
    "jsonl": Lines,
    "jsonl rotated": RotatedLines,
    "jsonl interval": SometimesSyncedLines,
    "jsonl never": UnsyncedLines,
    "jsonl large": LargeLines,
    "audit": Audit,
    "state": State,
    "journal": Journaled,
    "journal batches": BatchedJournal,
    "journal followed": FollowedJournal,
}
