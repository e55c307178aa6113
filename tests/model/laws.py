"""What has to hold after any run with a fake app server, whatever happened in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from codex_runtime.runtime import Gap

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from codex_runtime.runtime import Envelope, Runtime
    from codex_runtime.testing import FakeAppServer

__all__ = ["answers_are_lawful", "runtime_is_at_rest", "tiles"]


def answers_are_lawful(fake: FakeAppServer, consented: Collection[str]) -> None:
    """I6, I7, I11: one answer at most, a yes only where somebody said it, and never two servers at once.

    ``consented`` are the commands that somebody accepted.
    """
    for asked in fake.asked:
        answers = [answer for answer in fake.answers if answer.to is asked]
        assert len(answers) <= 1, f"{asked} was answered {len(answers)} times"
        if any(answer.decision in ("accept", "acceptForSession") for answer in answers):
            assert asked.params.get("command") in consented, f"{asked} was accepted by nobody"
    assert all(answer.to is not None for answer in fake.answers)
    assert fake.most_alive <= 1


def runtime_is_at_rest(runtime: Runtime) -> None:
    """Nobody waits: no call in line or in flight, no ticket, no listener."""
    metrics = runtime.metrics
    assert (metrics.in_flight, metrics.queued, metrics.open_server_requests) == (0, 0, 0)
    assert runtime.tickets == ()
    assert runtime._calls._open == {}
    assert runtime._dispatch._listeners == {}


def tiles(items: Iterable[Envelope | Gap], start: int) -> int:
    """I3, I4: what was read and what was told as lost cover the numbers from ``start`` on, in order and once.

    Returns the next number. Only for a reader of everything that came in, where nobody reads what goes out.
    """
    for item in items:
        if isinstance(item, Gap):
            assert item.count == item.last_seq - item.first_seq + 1
            first, start_after = item.first_seq, item.last_seq + 1
        else:
            first, start_after = item.seq, item.seq + 1
        assert first == start, f"{item} where {start} was due"
        start = start_after
    return start
