"""Counters of one runtime, and the immutable picture of them that callers get.

Counting happens once per read or per call, never per event, on the loop's own thread; so plain integers do.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping, Sequence
from math import ceil
from types import MappingProxyType

import msgspec
from msgspec import Struct, field

from codex_runtime._sansio.envelope import JsonValue
from codex_runtime.errors import ConfigError

__all__ = [
    "BOUNDS",
    "ClosedSubscriptions",
    "Counters",
    "Durations",
    "Metrics",
    "SinkMetrics",
    "StateStoreMetrics",
    "SubscriptionMetrics",
    "Times",
    "quantile",
]

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

    def quantile(self, part: float, /) -> float:
        """Return the seconds that ``part`` of them (``0.95``: all but the slowest twentieth) did not exceed.

        Known from the buckets: it is the upper bound of one, or ``max`` where that is less; 0 if nothing was measured.
        """
        if not 0 < part <= 1:
            raise ConfigError("part", "must be above 0 and at most 1")
        return quantile(part, BOUNDS, self.buckets, self.max)


def quantile(part: float, bounds: Sequence[float], buckets: Sequence[int], longest: float) -> float:
    """Return the upper bound of the bucket in which ``part`` of all that was counted is reached, or the longest if that is less."""
    # Less a little: 0.07 of 100 is 7.000000000000001.
    reached, wanted = 0, ceil(part * sum(buckets) - 1e-9)
    for bound, count in zip((*bounds, longest), buckets, strict=True):
        reached += count
        if reached >= wanted:
            return min(bound, longest)
    return longest


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
    settle_times: Times = field(default_factory=Times)
    approvals: Times = field(default_factory=Times)
    turns: Times = field(default_factory=Times)
    guest_errors: int = 0


class SubscriptionMetrics(Struct, frozen=True, kw_only=True):
    """How one open subscription stands.

    - ``name``: as it was given to ``subscribe``. ``thread``: the only one that it follows, ``None`` for all.
    - ``pending``: envelopes that wait to be read, now. ``is_blocking``: it is full and holds the app server up, now.
    - ``dropped``: envelopes that fell out because nobody read them in time. ``gaps``: how often its reader was told so.
    """

    name: str | None
    thread: str | None
    pending: int
    is_blocking: bool
    dropped: int
    gaps: int


class ClosedSubscriptions(Struct, frozen=True, kw_only=True):
    """What became of all subscriptions that are closed: how many there were, what they lost, how often they were told."""

    count: int
    dropped: int
    gaps: int


class SinkMetrics(Struct, frozen=True, kw_only=True):
    """What one sink (a log, a journal, one of your own) has got so far.

    - ``name``: its ``repr``, or the name of its class.
    - ``written``, ``lost``, ``pending``: messages; their sum is what was published to it.
    - ``writes``: calls of its ``write``; ``errors``: those that failed, and a failed closing; ``last_error``: the last of them.
    - ``set_aside``: true while it is left alone because it failed again and again.
    - ``average``, ``p95`` (the upper bound of a bucket), ``slowest``: how long its writes took, in seconds.
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
    """What a runtime has done so far: totals since it was opened, but for what is called *now*. Times are in seconds.

    The app server:

    - ``uptime``: since the runtime was opened. ``generation_uptime``: since the app server of now was ready, 0 while none is.
    - ``generation``: its number, from 0.
    - ``restarts``: how many, by cause (``"exit status 1"``, ``"killed by SIGKILL"``, ``"killed: it stopped answering"``, …).
    - ``recycles``: servers that were replaced because of ``WatchdogPolicy.rss_limit``, which are no restarts.
    - ``child_rss``: bytes of memory that it occupies now, ``None`` if nobody can tell.

    The wire:

    - ``messages``: lines that came in. ``bytes_in``, ``bytes_out``: read from and written to the app server.
    - ``malformed``: lines that were no messages, and server requests that cannot be answered. ``too_long``: lines above the limit.
    - ``late_answers``: answers that nobody waited for any more.
    - ``unsent``: bytes that the app server has not taken yet, now.

    Requests of ours:

    - ``requests``: how many were written, each try and each probe of the watchdog counted.
    - ``requests_failed``: how many of the callers' ended with an error of any kind. ``requests_timed_out``, ``requests_lost``
      (the server died, or we closed it): greetings and probes too.
    - ``overload_retries``: how often one was written again because the server had no room.
    - ``request_times``: by method, from the call, all waiting included, to each answer of the server, refusals too. Probes
      are not in there.
    - ``in_flight``: written and not answered, now. ``queued``: not written yet, now.

    Server requests:

    - ``server_requests``: how many came. ``open_server_requests``: how many wait for an answer, now.
    - ``settled``: how many, by outcome (``accepted``, ``declined``, ``cancelled``, ``answered``, ``refused``, ``withdrawn``).
    - ``settle_times``: by outcome, how long it took to come about. ``approvals``: the same of approvals alone.

    Turns:

    - ``turns``: by outcome (``completed``, ``failed``, ``interrupted``, ``timed_out``, ``lost``), from their first to their last
      message.

    Those who listen:

    - ``subscriptions``: how many are open now, the one of each sink among them. ``open_subscriptions``: each of these, in the
      order of their opening. ``closed_subscriptions``: what became of all others, taken together.
    - ``dropped``: messages that lagging subscriptions lost, open and closed. ``gaps``: how often readers were told so.
    - ``sinks``: each, in the order of the configuration. ``state_store``: that of the configuration, if there is one.
    - ``guest_errors``: exceptions in handlers, callbacks and whatever else is not ours.
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
    approvals: Mapping[str, Durations]
    turns: Mapping[str, Durations]
    guest_errors: int
    dropped: int
    gaps: int
    in_flight: int
    queued: int
    open_server_requests: int
    subscriptions: int
    open_subscriptions: tuple[SubscriptionMetrics, ...]
    closed_subscriptions: ClosedSubscriptions
    unsent: int
    child_rss: int | None
    sinks: tuple[SinkMetrics, ...] = ()
    state_store: StateStoreMetrics | None = None

    def as_dict(self) -> dict[str, JsonValue]:
        """Return the same as plain values, for whatever writes JSON."""
        plain: dict[str, JsonValue] = msgspec.to_builtins(self, enc_hook=dict)  # the hook is for the read-only mappings
        return plain


def frozen(counter: Counter[str]) -> Mapping[str, int]:
    """Return a copy that nobody can change."""
    return MappingProxyType(dict(counter))
