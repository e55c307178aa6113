"""Counters of one runtime, and the immutable picture of them that callers get.

Counting happens once per read or per call, never per event, on the loop's own thread; so plain integers do.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping
from types import MappingProxyType

from msgspec import Struct, field

__all__ = ["BOUNDS", "Counters", "Durations", "Metrics", "SinkMetrics", "StateStoreMetrics", "Times"]

BOUNDS = (0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10.0, 60.0, 600.0)
"""Upper bounds, in seconds, of the buckets of :class:`Durations`; the last bucket has none."""
# Names of methods come from callers. So many are counted apart, the rest together.
MAX_NAMES = 256
REST = "other"


class Durations(Struct, frozen=True):
    """How long something took: how often it was measured, and the sum and the longest in seconds.

    ``buckets[i]`` counts those of at most ``BOUNDS[i]`` seconds that fit no earlier bucket; the last one, the longer ones.
    """

    count: int
    sum: float
    max: float
    buckets: tuple[int, ...]


class Times:
    """Durations by name, as they grow. Internal to the runtime."""

    __slots__ = ("_cells",)

    def __init__(self) -> None:
        self._cells: dict[str, list[float]] = {}  # sum, longest, and the count of each bucket

    def add(self, name: str, seconds: float) -> None:
        """Count one more."""
        cell = self._cells.get(name)
        if cell is None:
            if len(self._cells) >= MAX_NAMES:
                name = REST
            cell = self._cells.setdefault(name, [0.0] * (3 + len(BOUNDS)))
        cell[0] += seconds
        cell[1] = max(cell[1], seconds)
        cell[2 + bisect_left(BOUNDS, seconds)] += 1

    def snapshot(self) -> Mapping[str, Durations]:
        """Return a copy that nobody can change."""
        return MappingProxyType({name: _durations(*cell) for name, cell in self._cells.items()})


def _durations(total: float, longest: float, *buckets: float) -> Durations:
    counts = tuple(map(int, buckets))
    return Durations(sum(counts), total, longest, counts)


class Counters(Struct):
    """The numbers as they grow. Internal to the runtime."""

    messages: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    malformed: int = 0
    too_long: int = 0
    late_answers: int = 0
    requests: int = 0
    requests_failed: int = 0
    requests_timed_out: int = 0
    requests_lost: int = 0
    overload_retries: int = 0
    request_times: Times = field(default_factory=Times)
    restarts: Counter[str] = field(default_factory=Counter)
    recycles: int = 0
    server_requests: int = 0
    settled: Counter[str] = field(default_factory=Counter)
    settle_times: Times = field(default_factory=Times)
    turns: Times = field(default_factory=Times)
    guest_errors: int = 0


class SinkMetrics(Struct, frozen=True, kw_only=True):
    """What one sink has got so far. ``written + lost + pending`` messages were published to it.

    ``writes`` counts the calls of its ``write``, ``errors`` those that failed; ``average``, ``p95`` (the upper bound of a
    bucket) and ``slowest`` tell how long they took, in seconds. ``set_aside`` is true while it is left alone because it
    failed again and again; ``last_error`` is what it raised last.
    """

    name: str
    written: int
    lost: int
    pending: int
    writes: int
    errors: int
    set_aside: bool
    last_error: str | None
    average: float
    p95: float
    slowest: float


class StateStoreMetrics(Struct, frozen=True, kw_only=True):
    """How the state store does.

    ``saves`` counts the states that were saved, ``errors`` the attempts that failed or took longer than half a minute, with
    ``last_error`` as the last of them. ``unsaved`` is true while something lasting has changed since the last save.
    ``unreadable`` says why, and if known where it was put, that what was there at the start could not be read. ``size`` is
    that of the last state in bytes, ``slowest`` how long a save took at most, in seconds.
    """

    name: str
    saves: int
    errors: int
    unsaved: bool
    unreadable: str | None
    last_error: str | None
    size: int
    slowest: float


class Metrics(Struct, frozen=True, kw_only=True):
    """What a runtime has done so far. Totals since it was opened, unless it says *now*.

    ``uptime`` in seconds, ``generation_uptime`` likewise since the present app server was ready (0 while none is).
    ``restarts`` by cause (``"exit status 1"``, ``"killed by SIGKILL"``, ``"killed: it stopped answering"``, …);
    ``recycles`` counts servers that were replaced because of ``WatchdogPolicy.rss_limit``, which are no restarts.

    ``request_times`` by method: from the call, all waiting included, to each answer of the server, refusals too. The
    probes of the watchdog are in ``requests`` and not in there. ``turns`` by outcome (``completed``, ``failed``,
    ``interrupted``, ``timed_out``, ``lost``): from their first to their last message.

    ``settled`` counts server requests by outcome (``accepted``, ``declined``, ``cancelled``, ``answered``, ``refused``,
    ``withdrawn``), ``settle_times`` tells how long each outcome took to come about. ``dropped`` are envelopes that
    lagging subscriptions lost, ``gaps`` how often they were told so. ``in_flight``, ``queued``,
    ``open_server_requests``, ``subscriptions``, ``unsent`` (bytes) and ``child_rss`` are gauges; the last is the resident
    memory of the app server in bytes, ``None`` if nobody can tell. ``sinks`` has the figures of each sink, in the order
    of the configuration; ``state_store`` those of the store, if there is one.
    """

    uptime: float
    generation_uptime: float
    generation: int
    messages: int
    bytes_in: int
    bytes_out: int
    malformed: int
    too_long: int
    late_answers: int
    requests: int
    requests_failed: int
    requests_timed_out: int
    requests_lost: int
    overload_retries: int
    request_times: Mapping[str, Durations]
    restarts: Mapping[str, int]
    recycles: int
    server_requests: int
    settled: Mapping[str, int]
    settle_times: Mapping[str, Durations]
    turns: Mapping[str, Durations]
    guest_errors: int
    dropped: int
    gaps: int
    in_flight: int
    queued: int
    open_server_requests: int
    subscriptions: int
    unsent: int
    child_rss: int | None
    sinks: tuple[SinkMetrics, ...] = ()
    state_store: StateStoreMetrics | None = None


def frozen(counter: Counter[str]) -> Mapping[str, int]:
    """Return a copy that nobody can change."""
    return MappingProxyType(dict(counter))
