"""Two programs on one store at a time: one of them is its writer, the other is told so, and nothing of either is lost or mixed.

    python -m verification.crash.beside STORE FOLDER WHO      (one of the two; prints what it did as JSON)

Each opens the store again and again, adds some records and closes it. Of the state, each takes the number that is there and
saves the next one: if two ever did that at once, the last number would be smaller than the count of all saves.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import msgspec
from msgspec import Struct

from codex_runtime.errors import StoreError
from verification.crash.disk import environment, python
from verification.crash.stores import STORES, State

__all__ = ["Beside", "run"]

RECORDS = 1000
# How many records are added before the store is closed, so that the other one may have it.
IN_A_ROW = 20
# The numbers of the second one begin here.
SECOND = 1_000_000
# Seconds after which a program gives up.
PATIENCE = 60.0


class Beside(Struct, kw_only=True):
    """What one of the two did: the records that were acknowledged, and how often it was told that the other one writes."""

    added: list[int] = []
    refused: int = 0


def run(store: str, folder: Path, *, records: int = RECORDS) -> tuple[list[Beside], list[str]]:
    """Let two programs work with one store; return what each did, and what is wrong with what they left."""
    argv = [python(__name__, store, str(folder), str(who), str(records)) for who in (0, SECOND)]
    programs = [
        subprocess.Popen(one, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE) for one in argv
    ]
    said = [program.communicate() for program in programs]
    for program, (_, trouble) in zip(programs, said, strict=True):
        if program.returncode:
            raise RuntimeError(trouble.decode(errors="replace"))
    done = [msgspec.json.decode(out, type=Beside) for out, _ in said]
    return done, _judge(store, folder, done)


def _judge(store: str, folder: Path, done: list[Beside]) -> list[str]:
    found = STORES[store](folder).read()
    wrong = [f"{found.damaged} stretches are damaged"] if found.damaged else []
    if not STORES[store].adds:
        saved = [number for one in done for number in one.added]
        if sorted(saved) != [*range(1, len(saved) + 1)] or found.numbers != [len(saved)]:
            wrong.append(f"{len(saved)} saves, {len({*saved})} of them different, {found.numbers} at the end")
        return wrong
    for one in done:
        mine = [number for number in found.numbers if number in {*one.added}]
        if mine != one.added:
            wrong.append(f"{len(one.added)} added, {len(mine)} found, or not in order")
    if len(found.numbers) != sum(len(one.added) for one in done):
        wrong.append(f"{len(found.numbers)} found")
    return wrong


def _work(name: str, folder: Path, who: int, records: int) -> Beside:
    done, until = Beside(), time.monotonic() + PATIENCE
    store = STORES[name](folder)
    while len(done.added) < records:
        if time.monotonic() > until:
            raise RuntimeError(f"{len(done.added)} added, {done.refused} times refused, and the time is over")
        try:
            store.open()
        except StoreError:
            done.refused += 1
            time.sleep(0.001)
            continue
        last = _number(store.store.path) if isinstance(store, State) else who + len(done.added)
        for number in range(last, last + IN_A_ROW):
            store.add(number + (not store.adds))
            done.added.append(number + (not store.adds))
        store.close()
        time.sleep(0.001)
    return done


def _number(path: Path) -> int:
    """The number that is there. The store is open, so nobody else can be saving."""
    return int(msgspec.json.decode(path.read_bytes())["number"]) if path.exists() else 0


if __name__ == "__main__":
    outcome = _work(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
    print(msgspec.json.encode(outcome).decode())
