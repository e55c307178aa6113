"""Programs that are killed in mid-write: what they had acknowledged is there, in order, and at most one record more.

A round forks a writer, which tells each acknowledged number on a pipe, kills it at a moment that chance decides, and reads
what is left. Some rounds in a row go on with the same files: what one death leaves is what the next one begins with.
"""

from __future__ import annotations

import os
import random
import select
import shutil
import signal
import struct
import tempfile
import time
from pathlib import Path
from typing import Final

from msgspec import Struct

from codex_runtime.errors import StoreError
from verification.crash.stores import STORES, Found, Store

__all__ = ["Deaths", "run"]

NUMBER: Final = struct.Struct("<i")
# Seconds from the birth of a writer to its death, at most.
LONGEST = 0.04
# What a writer says when it is open; every other word of it is a number.
READY = -1


class Deaths(Struct, kw_only=True):
    """What came of all rounds of one store.

    ``unacknowledged`` records were there that nobody had been told of, ``torn`` stretches at the end of a file held no record,
    ``early`` deaths were before the first record.
    """

    store: str
    rounds: int = 0
    early: int = 0
    acknowledged: int = 0
    recovered: int = 0
    unacknowledged: int = 0
    torn: int = 0
    violations: list[str] = []


def run(store: str, *, rounds: int, seed: int, folder: Path) -> Deaths:
    """Kill so many writers of a store."""
    chance = random.Random(f"{seed} {store}")
    deaths = Deaths(store=store)
    place, kept = Path(tempfile.mkdtemp(dir=folder)), list[int]()
    torn = 0
    for number in range(rounds):
        if number % STORES[store].in_a_row == 0:
            shutil.rmtree(place)
            place.mkdir()
            kept, torn = [], 0
        acknowledged = _one_death(STORES[store](place), kept[-1] + 1 if kept else 0, chance.uniform(0, LONGEST))
        found, wrong = _what_is_left(STORES[store](place), [*kept, *acknowledged])
        deaths.rounds += 1
        deaths.early += not acknowledged
        deaths.acknowledged += len(acknowledged)
        deaths.recovered += len({*found.numbers} - {*kept})
        deaths.unacknowledged += len({*found.numbers} - {*kept, *acknowledged})
        deaths.torn += found.damaged - torn
        if found.damaged > torn + 1:
            wrong.append(f"{found.damaged - torn} torn stretches after one death")
        deaths.violations += [f"seed {seed}, round {number}: {one}" for one in wrong]
        kept, torn = found.numbers, found.damaged
    shutil.rmtree(place)
    return deaths


def _one_death(store: Store, first: int, delay: float) -> list[int]:
    """Let a writer live for a while; return what it acknowledged."""
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            _write(store, first, theirs)
        finally:
            os._exit(1)
    os.close(theirs)
    # A death before it is open is worth having, but not every time, on a machine that is slow.
    if delay > LONGEST / 8:
        select.select([ours], [], [], 10)
    time.sleep(delay)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    with os.fdopen(ours, "rb") as told:
        data = told.read()
    words = [number for (number,) in NUMBER.iter_unpack(data[: len(data) - len(data) % NUMBER.size])]
    return [number for number in words if number != READY]


def _write(store: Store, first: int, told: int) -> None:
    store.open()
    os.write(told, NUMBER.pack(READY))
    number = first
    while True:
        store.add(number)
        os.write(told, NUMBER.pack(number))
        number += 1


def _what_is_left(store: Store, acknowledged: list[int]) -> tuple[Found, list[str]]:
    """Read what is there, as the next program would, and judge it."""
    wrong: list[str] = []
    try:
        found = store.read()
    except StoreError as error:
        # The program may have died before there was anything.
        return Found([]), [f"{error}"] if acknowledged else []
    numbers = found.numbers
    if store.adds:
        missing = {*acknowledged} - {*numbers}
        if missing:
            wrong.append(f"acknowledged and gone: {sorted(missing)}")
        if numbers != [*range(len(numbers))]:
            wrong.append("not a beginning of what was written, in order")
        if len(numbers) > len(acknowledged) + 1:
            wrong.append(f"{len(numbers) - len(acknowledged)} records that nobody was told of")
    else:
        last = acknowledged[-1] if acknowledged else -1
        if (numbers or [-1])[0] not in (last, last + 1):
            wrong.append(f"{last} was acknowledged and {numbers} is there")
        if found.damaged:
            wrong.append("the file is not whole")
        numbers = [*range(numbers[0] + 1)] if numbers else []
    return Found(numbers, found.damaged), wrong
