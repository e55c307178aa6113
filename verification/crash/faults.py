"""The n-th system call fails, for every n: no store loses what it acknowledged, or says something that is none of its errors.

    python -m verification.crash.faults STORE FOLDER EVERY      (on the disk of ``failing.c``; prints what it found as JSON)

A round opens a store, adds ten records, closes it, opens it again and adds one more; in each, one call of all those fails,
or some in a row, or all from one on until there is space again. It goes on until no call is left that could fail.
"""

from __future__ import annotations

import errno
import gc
import json
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

import msgspec
from msgspec import Struct

from codex_runtime.errors import StoreError
from verification.crash.disk import FOREVER, Call, Disk, Fault, environment, python
from verification.crash.stores import STORES, Store

__all__ = ["FAULTS", "Outcome", "run"]

RECORDS = 10
# From this record on there is space again, and from here nothing may be refused.
SPACE_AGAIN = 8
# More rounds than any store has calls: a round that never ends is a defect of this program.
TOO_MANY = 2000

FAULTS = (
    Fault(errno.ENOSPC),
    Fault(errno.EIO),
    Fault(errno.EINTR),
    Fault(errno.EIO, 2),
    Fault(errno.ENOSPC, 3, half=True),
    Fault(errno.EIO, FOREVER, half=True),
    Fault(errno.ENOSPC, FOREVER, calls=Call.WRITE | Call.OPEN | Call.RENAME),
    Fault(errno.EIO, FOREVER, calls=Call.SYNC),
    Fault(errno.EIO, 1, calls=Call.READ),
    Fault(errno.EIO, FOREVER, calls=Call.ANY),
)


class Outcome(Struct, kw_only=True):
    """What came of all rounds of one store. ``violations`` say what, in which round."""

    store: str
    rounds: int = 0
    failed: dict[str, int] = {}
    acknowledged: int = 0
    refused: int = 0
    refused_but_there: int = 0
    violations: list[str] = []


def run(store: str, library: Path, folder: Path, *, every: int = 1) -> Outcome:
    """Have each ``every``-th call of a store fail, in a program of its own."""
    argv = python(__name__, store, str(folder), str(every))
    done = subprocess.run(argv, env=environment(library), check=False, capture_output=True)
    if done.returncode:
        raise RuntimeError(done.stderr.decode(errors="replace"))
    return msgspec.json.decode(done.stdout, type=Outcome)


class Round:
    """One life of a store, in which some calls fail."""

    def __init__(self, disk: Disk, folder: Path, make: type[Store], *, at: int, fault: Fault) -> None:
        self._disk = disk
        self._folder = folder
        self._make = make
        self._at = at
        self._fault = fault
        self.acknowledged: list[int] = []
        self.refused: list[int] = []
        self.refused_but_there = 0
        self.wrong: list[str] = []

    def live(self) -> bool:
        """Live, and tell whether anything has failed."""
        before = _descriptors()
        store = self._make(self._folder)
        self._disk.arm(self._folder, self._at, self._fault)
        if not self._try("open", store.open):
            self._disk.disarm()
            store.open()
        for number in range(RECORDS):
            if number == SPACE_AGAIN:
                self._disk.disarm()
            if self._try("add", partial(store.add, number)):
                self.acknowledged.append(number)
            else:
                self.refused.append(number)
                self._check(number < SPACE_AGAIN, f"{number} is refused although there is space again")
        self._try("close", store.close)
        self._disk.disarm()
        hits = self._disk.hits
        if self._make.syncs_once:
            self._check(not self._disk.repeats, "a file that refused to be synced was synced again")
        self._live_on(store)
        store.close()
        self._look(store)
        self._check(_descriptors() == before, f"descriptors: {before} before, {_descriptors()} after")
        return hits > 0

    def _live_on(self, store: Store) -> None:
        """The same object can be used again."""
        store.open()
        store.add(RECORDS)
        self.acknowledged.append(RECORDS)

    def _look(self, store: Store) -> None:
        found = store.read()
        self.refused_but_there = len({*found.numbers} & {*self.refused})
        if store.adds:
            self._check(found.numbers == sorted({*found.numbers}), f"out of order or twice: {found.numbers}")
            missing = {*self.acknowledged} - {*found.numbers}
            self._check(not missing, f"acknowledged and gone: {sorted(missing)}")
            if self._fault.times == 1:  # of two failures, the second may hit what was to undo the first
                self._check(not self.refused_but_there, "refused and there")
                self._check(not found.damaged, f"{found.damaged} stretches are damaged")
        else:
            self._check(found.numbers == [RECORDS], f"the last one is {found.numbers}")
            self._check(not found.damaged, "the file is not whole")
        if store.tells:
            self._check(found.told == len(self.refused), f"{len(self.refused)} refused, {found.told} told")

    def _try(self, what: str, work: Callable[[], object]) -> bool:
        try:
            work()
        except StoreError:
            return False
        except Exception as error:  # noqa: BLE001  # exactly this is to be found out
            self.wrong.append(f"{what} raised {error!r}")
            return False
        return True

    def _check(self, holds: object, otherwise: str) -> None:
        if not holds:
            self.wrong.append(otherwise)


def _descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def _all_rounds(name: str, folder: Path, every: int) -> Outcome:
    disk, outcome = Disk(), Outcome(store=name)
    gc.disable()
    kinds: Counter[str] = Counter()
    for number, fault in enumerate(FAULTS):
        # Whoever leaves some out leaves out others for each kind of fault.
        for at in range(1 + number % every, TOO_MANY, every):
            place = Path(tempfile.mkdtemp(dir=folder))
            one = Round(disk, place, STORES[name], at=at, fault=fault)
            try:
                has_failed = one.live()
            except Exception as error:  # noqa: BLE001  # exactly this is to be found out
                has_failed = True
                one.wrong.append(f"{error!r} when nothing failed any more")
            disk.disarm()
            shutil.rmtree(place)
            outcome.violations += [f"{fault}, call {at} ({disk.kind}): {wrong}" for wrong in one.wrong]
            if not has_failed:
                break
            kinds[disk.kind] += 1
            outcome.rounds += 1
            outcome.acknowledged += len(one.acknowledged)
            outcome.refused += len(one.refused)
            outcome.refused_but_there += one.refused_but_there
        else:
            raise RuntimeError(f"{name}: {fault}: no end")
    outcome.failed = dict(sorted(kinds.items()))
    return outcome


if __name__ == "__main__":
    print(json.dumps(msgspec.to_builtins(_all_rounds(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])))))
