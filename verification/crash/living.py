"""A whole runtime on a disk that fails: it lives, it answers, and each loss is counted and told in the place where it was.

    python -m verification.crash.living FOLDER EVERY      (on the disk of ``failing.c``; prints what it found as JSON)

A round opens a runtime that keeps both logs, its state and its decisions, and runs three turns on it; of all the calls for
these files one fails, or all from one on. The last turn comes when there is space again. The server is a fake in memory: what
is under test is what stands between the road in and the disk.
"""

from __future__ import annotations

import asyncio
import errno
import gc
import json
import logging
import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from codex_runtime._sansio.envelope import Envelope
from codex_runtime.client import Client
from codex_runtime.errors import StoreError
from codex_runtime.journal import Journal, JournalSink
from codex_runtime.runtime import (
    AuditLog,
    Gap,
    JsonlSink,
    JsonStateStore,
    RuntimeConfig,
    StateStoreMetrics,
    read_jsonl,
    read_state,
)
from codex_runtime.runtime.metrics import Metrics
from codex_runtime.testing import Command, FakeAppServer, Script
from codex_runtime.testing._reply import Say
from verification.crash.disk import FOREVER, Call, Disk, Fault, environment, python
from verification.crash.faults import TOO_MANY, Outcome

__all__ = ["FAULTS", "run"]

FAULTS = (Fault(errno.EIO), Fault(errno.ENOSPC, FOREVER, half=True, calls=Call.CHANGE & ~Call.CLOSE))
TURNS = 3
LOG, JOURNAL, STATE, DECISIONS = "log", "journal", "state.json", "decisions"


def run(library: Path, folder: Path, *, every: int = 1) -> Outcome:
    """Have each ``every``-th call fail below a runtime, in a program of its own."""
    argv = python(__name__, str(folder), str(every))
    done = subprocess.run(argv, env=environment(library), check=False, capture_output=True)
    if done.returncode:
        raise RuntimeError(done.stderr.decode(errors="replace"))
    return msgspec.json.decode(done.stdout, type=Outcome)


class Life:
    """One runtime, from its opening to its end."""

    def __init__(self, disk: Disk, folder: Path) -> None:
        self._disk = disk
        self._folder = folder
        self.wrong: list[str] = []
        self.was_opened = False
        self.refused = 0

    async def live(self, at: int, fault: Fault) -> None:
        """Run three turns, of which the last one has nothing to fear."""
        audit = AuditLog(self._folder / DECISIONS, flush="always")
        troubles: list[StateStoreMetrics] = []
        config = RuntimeConfig(
            launcher=FakeAppServer(*[Script(Command("ls", output="a\n", approval=True), Say("One file."))] * TURNS),
            sinks=(
                JsonlSink(self._folder / LOG, flush="always"),
                JournalSink(Journal(self._folder / JOURNAL)),
            ),
            state_store=JsonStateStore(self._folder / STATE),
            on_state_trouble=troubles.append,
            on_decision=audit,
        )
        self._disk.arm(self._folder, at, fault)
        client = Client(config)
        try:
            await client.open()
        except StoreError:
            self._disk.disarm()
            return
        self.was_opened = True
        try:
            async with await client.start_session(cwd=self._folder) as session:
                for number in range(TURNS):
                    if number == TURNS - 1:
                        self._disk.disarm()
                    result = await session.run(f"prompt {number}", approvals="accept")
                    self._check(result.status == "completed", f"turn {number} is {result.status}")
        finally:
            await client.aclose()
        metrics = client.runtime.metrics
        audit.close()
        self._figures(metrics, audit, len(troubles))

    def _figures(self, metrics: Metrics, audit: AuditLog, troubles: int) -> None:
        """What was counted is what can be read."""
        log, journal = metrics.sinks
        records = [*read_jsonl(self._folder / LOG)]
        for older in sorted(self._folder.glob(f"{LOG}.*")):
            records = [*read_jsonl(older), *records]
        found = {
            "log": (
                sum(isinstance(record, Envelope) for record in records),
                sum(record.count for record in records if isinstance(record, Gap)),
                log,
            )
        }
        with Journal(self._folder / JOURNAL) as look:
            entries = look.read(limit=100_000)
        gaps = [entry.gap for entry in entries if entry.gap is not None]
        found["journal"] = (
            sum(entry.envelope is not None for entry in entries),
            sum(gap.count for gap in gaps),
            journal,
        )
        for name, (messages, missing, sink) in found.items():
            self.refused += sink.lost
            self._check(not sink.pending, f"{name}: {sink.pending} are pending after the end")
            self._check(bool(sink.errors) or not sink.lost, f"{name}: {sink.lost} lost without an error")
            # A batch may be there that was told as lost: the disk did more than it admitted.
            self._check(messages >= sink.written, f"{name}: {sink.written} written, {messages} there")
            self._check(missing == sink.lost, f"{name}: {sink.lost} lost, {missing} told in it")
        self._check(
            log.written + log.lost == journal.written + journal.lost, "the two logs were given different things"
        )
        decisions = self._decisions()
        lost = sum(line.get("lost", 0) for line in decisions)
        self._check(audit.lost == lost, f"{audit.lost} decisions lost, {lost} told")
        decided = sum("outcome" in line for line in decisions)
        self._check(decided >= TURNS - audit.lost, f"{decided} of {TURNS} decisions there, {audit.lost} lost")
        self._check(metrics.guest_errors >= audit.lost, "a decision was lost and no guest error counted")
        state = metrics.state_store
        self._check(state is not None and not state.unsaved, "the state is not saved at the end")
        self._check(state is None or not state.errors or troubles, "a failed save was told to nobody")
        thread = next(iter(read_state(self._folder / STATE).threads.values()))
        self._check(len(thread.turns) == TURNS, f"the saved state has {len(thread.turns)} turns")

    def _decisions(self) -> list[dict[str, Any]]:
        paths = [*sorted(self._folder.glob(f"{DECISIONS}.*")), self._folder / DECISIONS]
        lines: list[dict[str, Any]] = []
        for line in [line for path in paths if path.exists() for line in path.read_bytes().splitlines() if line]:
            with suppress(ValueError):  # torn, where the disk refused even to take it back
                lines.append(json.loads(line))
        return lines

    def _check(self, holds: object, otherwise: str) -> None:
        if not holds:
            self.wrong.append(otherwise)


def _all_rounds(folder: Path, every: int) -> Outcome:
    disk, outcome = Disk(), Outcome(store="runtime")
    gc.disable()
    logging.disable()
    for fault in FAULTS:
        for at in range(1, TOO_MANY, every):
            place = Path(tempfile.mkdtemp(dir=folder))
            life = Life(disk, place)
            try:
                asyncio.run(life.live(at, fault))
            except Exception as error:  # noqa: BLE001  # exactly this is to be found out
                life.wrong.append(f"{error!r}")
            disk.disarm()
            shutil.rmtree(place)
            if not disk.hits:
                outcome.violations += [f"{fault}, no call: {wrong}" for wrong in life.wrong]
                break
            outcome.violations += [f"{fault}, call {at} ({disk.kind}): {wrong}" for wrong in life.wrong]
            outcome.failed[disk.kind] = outcome.failed.get(disk.kind, 0) + 1
            outcome.rounds += 1
            outcome.acknowledged += life.was_opened
            outcome.refused += life.refused
    return outcome


if __name__ == "__main__":
    # Straight to the descriptor: nothing may stand between this and whoever reads it.
    os.write(1, msgspec.json.encode(_all_rounds(Path(sys.argv[1]), int(sys.argv[2]))))
