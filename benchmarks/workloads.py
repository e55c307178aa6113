"""What is measured: each workload with its job for the workers, its contenders, and how its figures read."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

__all__ = ["WORKLOADS", "Workload"]

EVERYONE = ("ours", "naive", "sdk", "sdk-async")


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """One table.

    ``key`` is the figure that contenders are compared by; ``lower`` tells that less of it is better. ``columns`` are
    the figures shown, as (name in the result, heading, divisor). ``once`` workloads are not repeated.
    """

    name: str
    title: str
    job: dict[str, Any]
    contenders: tuple[str, ...] = EVERYONE
    key: str = "rate"
    lower: bool = False
    columns: tuple[tuple[str, str, float], ...] = (("rate", "best k/s", 1e3), ("cpu", "CPU us each", 1))
    once: bool = False
    only_full: bool = False
    note: str = ""
    extra: tuple[str, ...] = field(default=())  # more contenders with --full


def _turn(directive: str, unit: str = "n") -> dict[str, Any]:
    return {"job": "turn", "directive": directive, "unit": unit}


LATENCY = (("p50", "p50 us", 1e-6), ("p99", "p99 us", 1e-6), ("rate", "best k/s", 1e3), ("cpu", "CPU us each", 1))

WORKLOADS = (
    Workload(
        name="delta",
        title="message deltas, 250 bytes each, as fast as they are read",
        job=_turn("mix=delta"),
        contenders=(
            "ours",
            "ours-stateless",
            "ours-batches",
            "ours-typed",
            "naive",
            "sdk",
            "sdk-async",
            "pipe",
            "decode",
        ),
    ),
    Workload(
        name="mixed",
        title="a working turn: deltas, reasoning, commands with output, diffs, plans, a 2 MiB message in 20 000 lines",
        job=_turn("mix=mixed"),
        contenders=("ours", "ours-stateless", "naive", "sdk", "sdk-async", "pipe", "decode"),
    ),
    Workload(
        name="perline",
        title="message deltas, one write each, as the real server does",
        job=_turn("mix=delta;perline=1"),
        contenders=("ours", "naive", "sdk", "sdk-async", "pipe"),
    ),
    Workload(name="64k", title="command output in lines of 64 KiB", job=_turn("mix=big64"), only_full=True),
    Workload(name="2m", title="messages of 2 MiB", job=_turn("mix=big2m"), only_full=True),
    Workload(
        name="calls-1",
        title="requests, one after the other",
        job={"job": "calls", "in_flight": 1},
        key="p50",
        lower=True,
        columns=LATENCY,
    ),
    Workload(
        name="calls-100", title="requests, 100 in flight", job={"job": "calls", "in_flight": 100}, columns=LATENCY
    ),
    Workload(name="approvals-1", title="approvals, one at a time", job=_turn("win=1", "reqs")),
    Workload(name="approvals-100", title="approvals, 100 pending", job=_turn("win=100", "reqs")),
    Workload(
        name="streams",
        title="calls beside 64 open streams, 20 lines a second each",
        job={"job": "streams", "count": 64, "size": 40, "rate": 20},
        key="p50",
        lower=True,
        columns=(("p50", "p50 us", 1e-6), ("p99", "p99 us", 1e-6), ("calls", "calls made", 1)),
        once=True,
    ),
    Workload(
        name="stalled",
        title="a reader that sleeps for 2 s while 50 000 lines come in",
        job={"job": "stalled", "size": 50_000},
        contenders=("ours", "ours-blocking", "naive", "sdk", "sdk-async"),
        key="growth",
        lower=True,
        columns=(("growth", "RSS grew MiB", 2**20), ("delivered", "then read", 1), ("lost", "told as lost", 1)),
        once=True,
    ),
    Workload(
        name="spawn",
        title="from nothing to a greeted server (of the stand-in)",
        job={"job": "spawn", "count": 5},
        key="least",
        lower=True,
        columns=(("least", "least ms", 1e-3), ("median", "median ms", 1e-3)),
        once=True,
    ),
)
