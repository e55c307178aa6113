"""Contenders taking turns: each in a process of its own, one job at a time, so that the machine's moods hit all alike."""

from __future__ import annotations

import json
import os
import select
import subprocess
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any, Self

from benchmarks.contenders import available, interpreter
from benchmarks.workloads import Workload

__all__ = ["Duel"]

PATIENCE = 120
TIMED = ("turn", "calls", "stalled", "runtimes")  # jobs that are told how long they may take


class Duel:
    """The workers of all contenders. Use it as a block."""

    def __init__(self, *, rounds: int, seconds: float, pinned: bool) -> None:
        self._rounds = rounds
        self._seconds = seconds
        self._pinned = pinned
        self._workers: dict[tuple[str, bool], subprocess.Popen[str]] = {}
        # The real server keeps its files here, not in the user's own home.
        self._home = TemporaryDirectory(prefix="codex-home-")

    def __enter__(self) -> Self:
        """Workers start when they are first needed."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End all workers."""
        for worker in self._workers.values():
            _end(worker, kill=error is not None)
        self._home.cleanup()

    def run(self, workload: Workload) -> dict[str, list[dict[str, Any]]]:
        """Measure one workload: results by contender, one of each round."""
        names = [name for name in workload.contenders if available(name)]
        results: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
        for k in range(1 if workload.once else self._rounds):
            # Nobody always comes first, or always after the same neighbour.
            for name in names[k % len(names) :] + names[: k % len(names)]:
                results[name].append(self._job(name, workload))
        return results

    def _job(self, name: str, workload: Workload) -> dict[str, Any]:
        timed = workload.job["job"] in TIMED
        job = {"seconds": self._seconds, **workload.job} if timed else workload.job
        pinned = workload.pinned or self._pinned
        if not workload.fresh:
            return _ask(self._kept(name, pinned=pinned), job)
        worker = self._start(name, pinned=pinned)
        result = _ask(worker, job)
        _end(worker)
        return result

    def _kept(self, name: str, *, pinned: bool) -> subprocess.Popen[str]:
        worker = self._workers.get((name, pinned))
        if worker is None or worker.poll() is not None:
            worker = self._workers[name, pinned] = self._start(name, pinned=pinned)
        return worker

    def _start(self, name: str, *, pinned: bool) -> subprocess.Popen[str]:
        command = [str(interpreter(name)), "-m", "benchmarks.worker", name, *(["--pin"] if pinned else [])]
        environment = {**os.environ, "PYTHONHASHSEED": "0", "CODEX_HOME": self._home.name}
        worker = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
        _read(worker)
        return worker


def _ask(worker: subprocess.Popen[str], job: dict[str, Any]) -> dict[str, Any]:
    assert worker.stdin is not None
    worker.stdin.write(json.dumps(job) + "\n")
    worker.stdin.flush()
    return _read(worker)


def _read(worker: subprocess.Popen[str]) -> dict[str, Any]:
    assert worker.stdout is not None
    # It says one line for each job, so nothing is ever left in the buffer of the stream.
    if not select.select([worker.stdout], [], [], PATIENCE)[0]:
        worker.kill()
        worker.wait()
        return {"error": f"not done after {PATIENCE} s"}
    line = worker.stdout.readline()
    if not line:
        return {"error": f"the worker ended with status {worker.wait()}"}
    result: dict[str, Any] = json.loads(line)
    return result


def _end(worker: subprocess.Popen[str], *, kill: bool = False) -> None:
    if kill:
        worker.kill()
    assert worker.stdin is not None
    worker.stdin.close()
    worker.wait()
    if worker.stdout is not None:
        worker.stdout.close()
