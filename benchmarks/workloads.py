"""What is measured: each workload with its job for the workers, its contenders, and how its figures read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["WORKLOADS", "Column", "Workload"]

EVERYONE = ("ours", "naive", "sdk", "sdk-async", "cas")


@dataclass(frozen=True, slots=True)
class Column:
    """One figure of a table: its name in the results, its heading, and what it is divided by to fit the heading's unit."""

    key: str
    heading: str
    unit: float = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """One table.

    ``key`` is the figure that contenders are compared by; ``lower`` tells that less of it is better. The first contender
    is the one that all are compared with: by how many times it is better, or with ``share``, by what part of its figure
    the others reach. ``seconds`` is about how long one run takes; without it the job's own figures say. ``once``: not
    repeated. ``fresh``: in a process of its own, since what an allocator once had it seldom gives back. ``pinned``: client
    and server on one core, which takes the time for waking another one out of the figure. ``possible``: what it needs is installed.
    """

    name: str
    title: str
    job: dict[str, Any]
    contenders: tuple[str, ...] = EVERYONE
    key: str = "rate"
    lower: bool = False
    share: bool = False
    columns: tuple[Column, ...] = (Column("rate", "k/s", 1e3), Column("cpu", "CPU us each"))
    once: bool = False
    fresh: bool = False
    pinned: bool = False
    note: str = ""
    possible: bool = True


def _real_server() -> tuple[str, ...]:
    """Return the command of the real app server, nothing if it is not installed."""
    try:
        from codex_cli_bin import bundled_codex_path
    except ImportError:
        return ()
    return (str(bundled_codex_path()), "app-server")


def _turn(directive: str, unit: str = "n") -> dict[str, Any]:
    return {"job": "turn", "directive": directive, "unit": unit}


REAL_SERVER = _real_server()
P50, P99 = Column("p50", "p50 us", 1e-6), Column("p99", "p99 us", 1e-6)
CALLS = (P50, P99, Column("rate", "k/s", 1e3), Column("cpu", "CPU us each"))
LOSSLESS = (Column("rate", "k/s", 1e3), Column("cpu", "CPU us each"), Column("lost", "lost"))
SPAWN = (Column("least", "least ms", 1e-3), Column("median", "median ms", 1e-3))

WORKLOADS = (
    Workload(
        name="delta",
        title="message deltas, 250 bytes each, as fast as they are read",
        job=_turn("mix=delta"),
        contenders=(
            *("ours", "ours-stateless", "ours-batches", "ours-typed"),
            *("naive", "sdk", "sdk-async", "cas", "pipe", "decode"),
        ),
        note="codex-app-server-sdk digests deltas and hands over none",
    ),
    Workload(
        name="mixed",
        title="a working turn: deltas, reasoning, commands with output, diffs, plans, a 2 MiB message in 20 000 lines",
        job=_turn("mix=mixed"),
        contenders=("ours", "ours-stateless", *EVERYONE[1:], "pipe", "decode"),
    ),
    Workload(
        name="perline",
        title="message deltas, one write each, as the real server does",
        job=_turn("mix=delta;perline=1"),
        contenders=(*EVERYONE, "pipe"),
    ),
    Workload(
        name="more",
        title="message deltas, and more to do with each; a sink is waited for until all of it is written",
        job=_turn("mix=delta"),
        contenders=("ours", "ours-4", "ours-jsonl", "ours-journal"),
        share=True,
        columns=LOSSLESS,
    ),
    Workload(
        name="more-mixed",
        title="a working turn, and more to do with each message",
        job=_turn("mix=mixed"),
        contenders=("ours", "ours-jsonl", "ours-journal"),
        share=True,
        columns=LOSSLESS,
    ),
    Workload(name="64k", title="command output in lines of 64 KiB", job=_turn("mix=output;bytes=65536")),
    Workload(name="2m", title="messages of 2 MiB", job=_turn("mix=big2m")),
    Workload(
        name="latency-1k",
        title="from the server's write to the handler, 1 000 events a second",
        job={"job": "latency", "rate": 1000, "size": 1000},
        contenders=EVERYONE[:-1],
        key="p50",
        lower=True,
        columns=(P50, P99),
    ),
    Workload(
        name="latency-20k",
        title="from the server's write to the handler, 20 000 events a second in bursts of 20",
        job={"job": "latency", "rate": 20_000, "size": 10_000},
        contenders=EVERYONE[:-1],
        key="p50",
        lower=True,
        columns=(P50, P99),
        note="who cannot follow falls behind more the longer it lasts",
    ),
    Workload(
        name="calls-1",
        title="requests, one after the other, client and server on one core",
        job={"job": "calls", "in_flight": 1},
        contenders=(*EVERYONE, "loop"),
        key="p50",
        lower=True,
        columns=CALLS,
        pinned=True,
    ),
    Workload(
        name="calls-1-apart",
        title="requests, one after the other, on whatever core",
        job={"job": "calls", "in_flight": 1},
        contenders=(*EVERYONE, "loop"),
        key="p50",
        lower=True,
        columns=CALLS,
        note="most of it is the time a sleeping core needs to wake up",
    ),
    Workload(
        name="calls-100",
        title="requests, 100 in flight",
        job={"job": "calls", "in_flight": 100},
        contenders=(*EVERYONE, "loop"),
        columns=CALLS,
    ),
    Workload(name="approvals-1", title="approvals, one at a time", job=_turn("win=1", "reqs")),
    Workload(name="approvals-100", title="approvals, 100 pending", job=_turn("win=100", "reqs")),
    Workload(
        name="streams",
        title="calls beside 64 open streams, 20 lines a second each",
        job={"job": "streams", "count": 64, "size": 40, "rate": 20},
        contenders=EVERYONE[:-1],
        key="p50",
        lower=True,
        columns=(P50, P99, Column("calls", "calls made")),
        once=True,
    ),
    Workload(
        name="runtimes",
        title="1, 8 and 32 clients at once in one process, each with a server of its own: deltas per second, all together",
        job={"job": "runtimes", "counts": [1, 8, 32]},
        key="rate-32",
        columns=(
            Column("rate-1", "1: k/s", 1e3),
            Column("rate-8", "8: k/s", 1e3),
            Column("rate-32", "32: k/s", 1e3),
            Column("share", "32 to 1, %", 1e-2),
            Column("threads", "threads"),
            Column("idle", "KiB each, idle", 1024),
        ),
        fresh=True,
    ),
    Workload(
        name="stalled",
        title="a reader that sleeps while 100 000 lines come in",
        job={"job": "stalled", "size": 100_000, "seconds": 2.0},
        contenders=("ours", "ours-blocking", *EVERYONE[1:]),
        key="growth",
        lower=True,
        columns=(
            Column("growth", "RSS grew MiB", 2**20),
            Column("delivered", "then read"),
            Column("lost", "told as lost"),
            Column("missing", "lost untold"),
        ),
        once=True,
        fresh=True,
    ),
    Workload(
        name="spawn",
        title="from nothing to a greeted server, the stand-in",
        job={"job": "spawn", "count": 5},
        key="least",
        lower=True,
        columns=SPAWN,
        once=True,
    ),
    Workload(
        name="spawn-codex",
        title="from nothing to a greeted server, the real codex",
        job={"job": "spawn", "count": 5, "command": REAL_SERVER},
        key="least",
        lower=True,
        columns=SPAWN,
        once=True,
        possible=bool(REAL_SERVER),
    ),
)
