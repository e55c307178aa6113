"""All figures of a runtime, read off its parts at one moment.

Each part counts for itself; this file only looks, and only when somebody asks.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from codex_runtime.runtime.metrics import ClosedSubscriptions, Counters, Metrics, SubscriptionMetrics, frozen

if TYPE_CHECKING:
    from codex_runtime._io.fanout import Fanout
    from codex_runtime.runtime._calls import Calls
    from codex_runtime.runtime._keeper import Keeper
    from codex_runtime.runtime._life import Life
    from codex_runtime.runtime._pump import Pumps
    from codex_runtime.runtime._server_requests import Desk

__all__ = ["figures"]


def figures(
    counters: Counters,
    *,
    now: float,
    life: Life,
    fanout: Fanout,
    calls: Calls,
    desk: Desk,
    sinks: Pumps,
    keeper: Keeper | None,
) -> Metrics:
    """Return them as they are now."""
    still_open, closed = _subscriptions(fanout)
    settle_times = counters.settle_times.snapshot()
    return Metrics(
        uptime=0.0 if life.opened_at is None else now - life.opened_at,
        generation_uptime=0.0 if life.ready_at is None else now - life.ready_at,
        generation=life.connection.generation,
        messages=counters.messages,
        bytes_in=counters.bytes_in,
        bytes_out=counters.bytes_out,
        malformed=counters.malformed,
        too_long=counters.too_long,
        late_answers=counters.late_answers,
        requests=counters.requests,
        requests_failed=counters.requests_failed,
        requests_timed_out=counters.requests_timed_out,
        requests_lost=counters.requests_lost,
        overload_retries=counters.overload_retries,
        request_times=counters.request_times.snapshot(),
        restarts=frozen(counters.restarts),
        recycles=counters.recycles,
        server_requests=counters.server_requests,
        settled=MappingProxyType({outcome: times.count for outcome, times in settle_times.items()}),
        settle_times=settle_times,
        approvals=counters.approvals.snapshot(),
        turns=counters.turns.snapshot(),
        guest_errors=counters.guest_errors,
        dropped=fanout.dropped,
        gaps=fanout.gaps,
        in_flight=calls.in_flight,
        queued=calls.queued,
        open_server_requests=len(desk),
        subscriptions=len(fanout),
        open_subscriptions=still_open,
        closed_subscriptions=closed,
        unsent=life.link.unsent if life.link is not None else 0,
        child_rss=life.watchdog.resident,
        sinks=sinks.metrics,
        state_store=None if keeper is None else keeper.metrics,
    )


def _subscriptions(fanout: Fanout) -> tuple[tuple[SubscriptionMetrics, ...], ClosedSubscriptions]:
    """Return how each open subscription stands, the oldest first, and what became of the others."""
    still = tuple(
        [
            SubscriptionMetrics(
                name=each.name,
                thread=each.thread,
                pending=each.pending,
                is_blocking=each.is_blocking,
                dropped=each.dropped,
                gaps=each.gaps,
            )
            for each in fanout.subscriptions
        ]
    )
    # A closed one can still be read, and so be told of a gap: what is not an open one's is theirs.
    return still, ClosedSubscriptions(
        count=fanout.opened - len(still),
        dropped=fanout.dropped - sum([each.dropped for each in still]),
        gaps=fanout.gaps - sum([each.gaps for each in still]),
    )
