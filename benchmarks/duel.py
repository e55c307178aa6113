"""Contenders taking turns: each in a process of its own, one job at a time, so that the machine's moods hit all alike."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from types import TracebackType
from typing import Any, Self

from benchmarks.contenders import available
from benchmarks.workloads import Workload

__all__ = ["Duel"]


class Duel:
    """The workers of all contenders. Use it as a block."""

    def __init__(self, *, rounds: int, seconds: float) -> None:
        self._rounds = rounds
        self._seconds = seconds
        self._workers: dict[str, subprocess.Popen[str]] = {}

    def __enter__(self) -> Self:
        """Workers start when they are first needed."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End all workers."""
        for worker in self._workers.values():
            _end(worker, kill=error is not None)

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
        # Memory is measured in a fresh process: what an allocator once had it seldom gives back.
        fresh = workload.key == "growth"
        worker = self._start(name) if fresh else self._workers.get(name) or self._keep(name)
        seconds = 2.0 if fresh else self._seconds
        job = workload.job if workload.job["job"] in ("streams", "spawn") else {**workload.job, "seconds": seconds}
        result = _ask(worker, job)
        if fresh:
            _end(worker)
        return result

    def _keep(self, name: str) -> subprocess.Popen[str]:
        self._workers[name] = worker = self._start(name)
        return worker

    @staticmethod
    def _start(name: str) -> subprocess.Popen[str]:
        command: Iterable[str] = [sys.executable, "-m", "benchmarks.worker", name]
        environment = {**os.environ, "PYTHONHASHSEED": "0"}
        worker = subprocess.Popen(
            list(command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        _read(worker)
        return worker


def _ask(worker: subprocess.Popen[str], job: dict[str, Any]) -> dict[str, Any]:
    assert worker.stdin is not None
    worker.stdin.write(json.dumps(job) + "\n")
    worker.stdin.flush()
    return _read(worker)


def _read(worker: subprocess.Popen[str]) -> dict[str, Any]:
    assert worker.stdout is not None
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
