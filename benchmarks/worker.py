"""One contender in a process of its own: `python -m benchmarks.worker NAME`. Jobs come in and results go out as JSON lines.

The process lives for all rounds, so that its imports are paid once and contenders can take turns every second.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Sequence
from typing import Any

from benchmarks import firehose
from benchmarks.contenders import Contender, load, rss


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
        size = 4 if "big" in directive else 500
        while True:
            took = self.contender.turn(f"fire:{unit}={size};{directive}").seconds
            if took > seconds / 4:
                return max(size, int(size / took * seconds))
            size *= 2 if took > seconds / 20 else 8

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
        return {"growth": stalled.growth, "lost": stalled.lost, "delivered": stalled.events}

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

    def spawn(self, count: int) -> dict[str, Any]:
        """Measure from nothing to a greeted server."""
        times = []
        for _ in range(count):
            before = time.perf_counter()
            self.contender.open(self.command)
            times.append(time.perf_counter() - before)
            self.contender.close()
        return {"least": min(times), "median": statistics.median(times)}

    def memory(self) -> dict[str, Any]:
        """Tell the memory of this process now."""
        return {"rss": rss()}


def spread(latencies: list[float]) -> dict[str, float]:
    """Return the median and the 99th percentile."""
    ordered = sorted(latencies)
    return {"p50": ordered[len(ordered) // 2], "p99": ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]}


def main() -> None:
    """Take jobs until stdin ends."""
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
