"""The client's process in a scenario: ``python -m verification.faults.worker CLIENT``, a job on stdin, its history on stdout."""

from __future__ import annotations

import asyncio
import importlib
import os
import resource
import sys
import time
from typing import TYPE_CHECKING, cast

import msgspec

from verification.faults.history import Swelled
from verification.faults.job import Job, Log, carry_out
from verification.faults.worlds import WORLDS

if TYPE_CHECKING:
    from verification.faults.job import Doer

__all__ = ["CLIENTS", "main"]

CLIENTS = {
    "ours": "verification.faults.ours:Ours",
    "sdk": "benchmarks.contenders.under_fault:Sdk",
    "sdk-async": "benchmarks.contenders.under_fault:AsyncSdk",
}


def main(client: str) -> None:
    """Do the job that stdin holds. ``client`` is one of :data:`CLIENTS`, or ``module:Class``."""
    job = msgspec.json.decode(sys.stdin.buffer.read(), type=Job)
    module, _, name = CLIENTS.get(client, client).partition(":")
    doer = cast("Doer", getattr(importlib.import_module(module), name)())

    def write(line: bytes) -> None:
        sys.stdout.buffer.write(line)
        sys.stdout.buffer.flush()

    log = Log(write)
    before = _peak()
    if job.world is not None:
        WORLDS[job.world](log)
    runner = asyncio.Runner()
    runner.run(carry_out(job, doer, log))
    if client == "ours":
        runner.close()  # the others may have left threads in its pool that never come back
    if job.growth is not None:
        log(Swelled(at=time.monotonic(), grew=_peak() - before, limit=job.growth))
    sys.stderr.flush()
    if client != "ours":
        os._exit(0)  # a thread that hangs would keep the process for ever


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    main(*sys.argv[1:])
