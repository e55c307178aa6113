"""Counters of one runtime, and the immutable picture of them that callers get.

Counting happens once per read or per call, never per event, on the loop's own thread; so plain integers do.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping
from types import MappingProxyType

from msgspec import Struct, field

__all__ = ["BOUNDS", "Counters", "Durations", "Metrics", "SinkMetrics", "Times"]

BOUNDS = (0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10.0, 60.0, 600.0)
"""Upper bounds, in seconds, of the buckets of :class:`Durations`; the last bucket has none."""
# Names of methods come from callers. So many are counted apart, the rest together.
MAX_NAMES = 256
REST = "other"
# So many durations are kept as they are before they are counted.
MAX_FRESH = 64


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
        self._cells: dict[str, _Cell] = {}

    def add(self, name: str, seconds: float) -> None:
        """Count one more."""
        cell = self._cells.get(name)
        if cell is None:
            cell = self._cells.setdefault(name if len(self._cells) < MAX_NAMES else REST, _Cell())
        fresh = cell.fresh
        fresh.append(seconds)
        if len(fresh) == MAX_FRESH:
            cell.book()

    def snapshot(self) -> Mapping[str, Durations]:
        """Return a copy that nobody can change."""
        return MappingProxyType({name: cell.durations() for name, cell in self._cells.items()})


class _Cell:
    """The durations of one name. Those that are fresh are sorted into the buckets together, which is cheaper."""

    __slots__ = ("_buckets", "_longest", "_sum", "fresh")

    def __init__(self) -> None:
        self.fresh: list[float] = []
        self._sum = 0.0
        self._longest = 0.0
        self._buckets = [0] * (1 + len(BOUNDS))

    def book(self) -> None:
        """Sort in what is fresh."""
        fresh = sorted(self.fresh)
        self.fresh.clear()
        self._sum += sum(fresh)
        self._longest = max(self._longest, *fresh[-1:])
        below = 0
        for k, bound in enumerate(BOUNDS):
            upto = bisect_right(fresh, bound)
            self._buckets[k] += upto - below
            below = upto
        self._buckets[-1] += len(fresh) - below

    def durations(self) -> Durations:
        """Return all of them as they are now."""
        if self.fresh:
            self.book()
        return Durations(sum(self._buckets), self._sum, self._longest, tuple(self._buckets))


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
    of the configuration.
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


def frozen(counter: Counter[str]) -> Mapping[str, int]:
    """Return a copy that nobody can change."""
    return MappingProxyType(dict(counter))
