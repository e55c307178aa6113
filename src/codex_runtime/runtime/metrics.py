"""Counters of one runtime, and the immutable picture of them that callers get.

Counting happens once per read or per call, never per event, on the loop's own thread; so plain integers do.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from types import MappingProxyType

from msgspec import Struct, field

__all__ = ["Counters", "Metrics", "SinkMetrics"]


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
    restarts: Counter[str] = field(default_factory=Counter)
    server_requests: int = 0
    settled: Counter[str] = field(default_factory=Counter)
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

    ``uptime`` in seconds. ``restarts`` by cause (``"exit status 1"``, ``"killed by SIGKILL"``, …). ``settled`` counts
    server requests by outcome (``accepted``, ``declined``, ``cancelled``, ``answered``, ``refused``, ``withdrawn``).
    ``dropped`` are envelopes that lagging subscriptions lost, ``gaps`` how often they were told so. ``in_flight``,
    ``queued``, ``open_server_requests``, ``subscriptions`` and ``unsent`` (bytes) are gauges. ``sinks`` has the figures of
    each sink, in the order of the configuration.
    """

    uptime: float
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
    restarts: Mapping[str, int]
    server_requests: int
    settled: Mapping[str, int]
    guest_errors: int
    dropped: int
    gaps: int
    in_flight: int
    queued: int
    open_server_requests: int
    subscriptions: int
    unsent: int
    sinks: tuple[SinkMetrics, ...] = ()


def frozen(counter: Counter[str]) -> Mapping[str, int]:
    """Return a copy that nobody can change."""
    return MappingProxyType(dict(counter))
