"""One contender in a process of its own: `python -m benchmarks.worker NAME [--pin]`. Jobs come in and results go out as JSON lines.

The process lives for all rounds, so that its imports are paid once and contenders can take turns every second.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from collections.abc import Sequence
from typing import Any

from benchmarks import firehose
from benchmarks.contenders import Contender, load


class Worker:
    """Runs jobs for one contender, each with a server of its own."""

    def __init__(self, name: str) -> None:
        self.contender: Contender = load(name)
        self.command: Sequence[str] = firehose.command()
        self.sizes: dict[str, int] = {}

    def run(self, job: dict[str, Any]) -> dict[str, Any]:
        """Run one job."""
        result: dict[str, Any] = getattr(self, job.pop("job"))(**job)
        return result

    def turn(self, directive: str, unit: str, seconds: float) -> dict[str, Any]:
        """Measure a turn of as many lines, or approvals, as take about so many seconds."""
        self.contender.open(self.command)
        try:
            if directive not in self.sizes:
                self.sizes[directive] = self._size(directive, unit, seconds)
            size = self.sizes[directive]
            turn = self.contender.turn(f"fire:{unit}={size};{directive}")
        finally:
            self.contender.close()
        # A client may keep approvals to itself; that all were accepted is what ended the turn.
        if unit == "n" and turn.events + turn.lost < size:
            raise RuntimeError(f"{directive}: {size} were sent but {turn.events} were seen")
        # An approval is two messages, the request and the word that it is resolved; count what was asked for.
        share = (size if unit == "reqs" else turn.events) / turn.seconds
        return {"rate": share, "cpu": turn.cpu / size * 1e6, "lost": turn.lost, "size": size}

    def _size(self, directive: str, unit: str, seconds: float) -> int:
        """Find how many fit into the time, with turns that grow until they are long enough to tell."""
        size = 4 if "bytes=" in directive or "big" in directive else 500
        while True:
            took = self.contender.turn(f"fire:{unit}={size};{directive}").seconds
            if took > seconds / 4:
                return max(size, int(size / took * seconds))
            size *= 2 if took > seconds / 20 else 8

    def latency(self, size: int, rate: int) -> dict[str, Any]:
        """Measure the way from the server to the handler."""
        self.contender.open(self.command)
        try:
            latencies = self.contender.latencies(f"fire:n={size};rate={rate};stamp=1")
        finally:
            self.contender.close()
        if len(latencies) < size:
            raise RuntimeError(f"{size} were sent but {len(latencies)} were seen")
        return spread(latencies)

    def calls(self, in_flight: int, seconds: float) -> dict[str, Any]:
        """Measure requests."""
        self.contender.open(self.command)
        try:
            warm = self.contender.calls(2 * in_flight + 50, in_flight)
            count = max(2 * in_flight, int(len(warm.latencies) / warm.seconds * seconds))
            calls = self.contender.calls(count, in_flight)
        finally:
            self.contender.close()
        return {
            "rate": len(calls.latencies) / calls.seconds,
            "cpu": calls.cpu / len(calls.latencies) * 1e6,
            **spread(calls.latencies),
        }

    def stalled(self, size: int, seconds: float) -> dict[str, Any]:
        """Measure what a reader that sleeps costs."""
        self.contender.open(self.command)
        try:
            self.contender.turn("fire:n=1000")
            stalled = self.contender.stalled(f"fire:n={size}", seconds)
        finally:
            self.contender.close()
        return {
            "growth": stalled.growth,
            "lost": stalled.lost,
            "delivered": stalled.events,
            "missing": max(0, size - stalled.events - stalled.lost),
        }

    def streams(self, count: int, size: int, rate: int) -> dict[str, Any]:
        """Measure calls beside many streams."""
        self.contender.open(self.command)
        try:
            streams = self.contender.streams(count, f"fire:n={size};rate={rate}")
        finally:
            self.contender.close()
        if streams.events < count * size:
            raise RuntimeError(f"{count * size} were sent but {streams.events} were seen")
        return {"calls": len(streams.latencies), **spread(streams.latencies)}

    def runtimes(self, counts: list[int], seconds: float) -> dict[str, Any]:
        """Measure several clients at once: memory before there is any traffic, then rates."""
        self.contender.many(self.command, 1, "fire:n=100")  # pays for what is loaded on first use
        most = max(counts)
        idle = self.contender.many(self.command, most, "fire:n=100").idle / most
        self.contender.open(self.command)
        try:
            size = self._size("mix=delta", "n", seconds)
        finally:
            self.contender.close()
        result: dict[str, Any] = {"idle": max(0, idle)}
        for count in counts:
            each = size // count + 1
            many = self.contender.many(self.command, count, f"fire:n={each}")
            if many.turn.events + many.turn.lost < count * each:
                raise RuntimeError(f"{count * each} were sent but {many.turn.events} were seen")
            result[f"rate-{count}"] = many.turn.events / many.turn.seconds
            result["threads"] = many.threads
        result["share"] = result[f"rate-{most}"] / result[f"rate-{min(counts)}"]
        return result

    def spawn(self, count: int, command: Sequence[str] = ()) -> dict[str, Any]:
        """Measure from nothing to a greeted server, the stand-in if no other is named."""
        times = []
        for _ in range(count):
            before = time.perf_counter()
            self.contender.open(command or self.command)
            times.append(time.perf_counter() - before)
            self.contender.close()
        return {"least": min(times), "median": statistics.median(times)}


def spread(latencies: list[float]) -> dict[str, float]:
    """Return the median and the 99th percentile."""
    ordered = sorted(latencies)
    return {"p50": ordered[len(ordered) // 2], "p99": ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]}


def main() -> None:
    """Take jobs until stdin ends."""
    # Before there is any thread, so that all of them and the servers are on the one core.
    if "--pin" in sys.argv and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    worker = Worker(sys.argv[1])
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        try:
            result = worker.run(json.loads(line))
        except Exception as error:  # noqa: BLE001  # a contender's fault is a result too
            result = {"error": f"{type(error).__name__}: {error}"[:300]}
        print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
