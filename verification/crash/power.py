"""Power cuts, worked out: whatever the disk had and had not yet of what was written, the store can be read and has its word.

    python -m verification.crash.power STORE FOLDER TRACE     (on the disk of ``failing.c``, which writes the trace)

A program works with a store while every change to its files is written down: data, names, and what was waited for. From that
it is known what must be on the disk at any moment, and what may be: all that was synced, and of the rest any part, in any
order, blocks torn apart. For moments and choices without end such disks are made, and the store is opened on them.

The one idea: nothing is certain but what was waited for. So a name is certain only after its folder was synced, and data of
a file only after that file was.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias

from msgspec import Struct

from codex_runtime.errors import StoreError
from verification.crash.disk import Disk, environment, python
from verification.crash.stores import STORES, Store

__all__ = ["Cuts", "run"]

RECORDS = 24
BLOCK = 512
# After the cut, a record is added with this number.
NEXT = 1_000_000

Kept: TypeAlias = Literal["nothing", "all", "some"]


class Cuts(Struct, kw_only=True):
    """What came of all cuts of one store. ``sure`` records had to be there, ``recovered`` ones were."""

    store: str
    cuts: int = 0
    sure: int = 0
    recovered: int = 0
    damaged: int = 0
    violations: list[str] = []


class Change(NamedTuple):
    """One line of the trace: a letter (see ``failing.c``), its words, and the bytes that were written."""

    what: str
    words: list[str]
    data: bytes = b""


class Pending(NamedTuple):
    """Something that was done to a file and that the disk may not have: data at a place, or ``None`` for a new size."""

    at: int
    data: bytes | None


class Platter:
    """What a disk holds for certain, and what it may hold besides."""

    def __init__(self) -> None:
        self.files: dict[str, bytearray] = {}
        self.waiting: dict[str, list[Pending]] = {}
        self.names: dict[str, str] = {}
        self.renaming: list[Change] = []

    def take(self, change: Change) -> None:
        """Take the next change."""
        match change:
            case Change("W", [file, at, _], data):
                self.waiting.setdefault(file, []).append(Pending(int(at), data))
            case Change("T", [file, size], _):
                self.waiting.setdefault(file, []).append(Pending(int(size), None))
            case Change("S", [file], _):
                content = self.files.setdefault(file, bytearray())
                for pending in self.waiting.pop(file, []):
                    _apply(content, pending)
            case Change("D", _, _):
                for one in self.renaming:
                    _rename(self.names, one)
                self.renaming.clear()
            case Change("C", [_, file], _):
                # The number of a file that is gone may be given to a new one.
                self.files[file], self.waiting[file] = bytearray(), []
                self.renaming.append(change)
            case _:
                self.renaming.append(change)

    def write(self, folder: Path, kept: Kept, chance: random.Random) -> None:
        """Make a folder that the disk may have had."""
        names = dict(self.names)
        done = {"nothing": 0, "all": len(self.renaming), "some": chance.randint(0, len(self.renaming))}[kept]
        for change in self.renaming[:done]:
            _rename(names, change)
        for name, file in names.items():
            if name.endswith("-shm"):  # lies in memory
                continue
            content = bytearray(self.files.get(file, b""))
            for pending in self.waiting.get(file, []):
                if kept == "all" or (kept == "some" and chance.random() < 0.5):
                    _apply(content, _torn(pending, chance) if kept == "some" else pending)
            path = folder / name
            path.write_bytes(content)
            path.chmod(0o600)


def run(store: str, library: Path, folder: Path, *, seed: int, choices: int, every: int = 1) -> Cuts:
    """Cut the power after each ``every``-th change, with so many choices of what the disk has of the rest."""
    place = Path(tempfile.mkdtemp(dir=folder))
    trace = folder / "trace"
    argv = python(__name__, store, str(place), str(trace))
    subprocess.run(argv, env=environment(library), check=True)
    shutil.rmtree(place)
    chance, cuts = random.Random(f"{seed} {store}"), Cuts(store=store)
    platter, acknowledged = Platter(), list[int]()
    for number, change in enumerate(_changes(trace.read_bytes())):
        if change.what == "A":
            acknowledged.append(int(change.words[0]))
        else:
            platter.take(change)
        if number % every:
            continue
        for kept in ("nothing", "all", *["some"] * choices):
            place.mkdir()
            platter.write(place, kept, chance)  # type: ignore[arg-type]  # of the three words
            wrong = _judge(STORES[store](place), acknowledged, cuts)
            cuts.cuts += 1
            cuts.violations += [f"seed {seed}, after change {number}, {kept} of the rest kept: {one}" for one in wrong]
            shutil.rmtree(place)
    trace.unlink()
    return cuts


def _judge(store: Store, acknowledged: list[int], cuts: Cuts) -> list[str]:
    """Open the store on a disk that may have been, and see whether it keeps its word."""
    wrong: list[str] = []
    durable = [number for number in acknowledged if store.is_durable(number)]
    # What is certain makes certain what came before it.
    sure = [number for number in acknowledged if durable and number <= durable[-1]]
    cuts.sure += len(sure) if store.adds else bool(sure)
    try:
        found = store.read()
    except StoreError as error:
        if sure:
            wrong.append(f"cannot be read: {error}")
    else:
        cuts.recovered += len(found.numbers)
        cuts.damaged += found.damaged
        if store.adds:
            missing = {*sure} - {*found.numbers}
            if missing:
                wrong.append(f"acknowledged for good and gone: {sorted(missing)}")
            if found.numbers != sorted({*found.numbers}):
                wrong.append(f"out of order or twice: {found.numbers}")
        elif sure and (found.numbers or [-1])[0] < sure[-1]:
            wrong.append(f"{sure[-1]} was acknowledged for good and {found.numbers} is there")
    try:
        store.open()
        store.add(NEXT)
        store.close()
        if store.read().numbers[-1:] != [NEXT]:
            wrong.append("what is added after the cut is not there")
    except StoreError as error:
        wrong.append(f"does not go on: {error}")
    return wrong


def _changes(data: bytes) -> Iterator[Change]:
    at = 0
    while at < len(data):
        end = data.index(b"\n", at)
        what, *words = data[at:end].decode().split(" ")
        at = end + 1
        size = int(words[2]) if what == "W" else 0
        yield Change(what, words, data[at : at + size])
        at += size


def _apply(content: bytearray, pending: Pending) -> None:
    at, data = pending
    end = at + len(data or b"")
    if len(content) < end:
        content.extend(bytes(end - len(content)))
    if data is None:
        del content[at:]
    else:
        content[at:end] = data


def _torn(pending: Pending, chance: random.Random) -> Pending:
    """Let the disk have got a beginning of it only, in whole blocks, one time in three."""
    if pending.data is None or chance.random() < 2 / 3:
        return pending
    first = BLOCK - pending.at % BLOCK
    return Pending(pending.at, pending.data[: chance.choice([0, *range(first, len(pending.data), BLOCK)])])


def _rename(names: dict[str, str], change: Change) -> None:
    match change:
        case Change("C", [name, file], _):
            names[name] = file
        case Change("R", [before, after], _) if before in names:
            names[after] = names.pop(before)
        case Change("U", [name], _):
            names.pop(name, None)
        case _:
            pass


def _work(name: str, folder: Path, trace: Path) -> None:
    """Write, close, and write again, telling what is acknowledged."""
    disk = Disk()
    disk.record(folder, os.open(trace, os.O_WRONLY | os.O_CREAT | os.O_TRUNC))
    store = STORES[name](folder)
    for start in (0, RECORDS // 2):
        store.open()
        for number in range(start, start + RECORDS // 2):
            store.add(number)
            disk.note(str(number))
        store.close()


if __name__ == "__main__":
    _work(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
