"""Many waits and one timer, held against a list that is looked through at every moment."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from codex_runtime._io.alarm import Alarm
from codex_runtime._io.clock import Clock, LoopClock
from codex_runtime.testing._clock import ManualClock

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("wait"), st.integers(0, 5)),
        st.tuples(st.just("end"), st.integers(0, 300)),
        st.tuples(st.just("pass"), st.integers(0, 3)),
    ),
    max_size=200,
)


class Hasty:
    """A clock that calls when the test says so, also before the time has come."""

    def __init__(self) -> None:
        self.now = 0.0
        self.calls: list[Callable[[], object]] = []

    def monotonic(self) -> float:
        """What the test says."""
        return self.now

    def wall(self) -> float:
        """The same."""
        return self.now

    def call_at(self, when: float, callback: Callable[..., object], *args: object) -> asyncio.Future[None]:
        """Keep the call for the test."""
        self.calls.append(lambda: callback(*args))
        return asyncio.get_running_loop().create_future()

    async def sleep_until(self, when: float) -> None:
        """Nobody sleeps here."""
        raise AssertionError(when)


class Owner:
    """Keeps waits by number, each with its moment, as the users of an alarm do."""

    def __init__(self, clock: Clock) -> None:
        self.waits: dict[int, float] = {}
        self.over: list[int] = []
        self.alarm = Alarm(clock, self.ring)

    def ring(self, now: float) -> float:
        """End what is over."""
        passed = [number for number, when in self.waits.items() if when <= now]
        for number in passed:
            del self.waits[number]
        self.over += passed
        return min(self.waits.values(), default=math.inf)


@given(steps=STEPS)
@settings(max_examples=40, deadline=None)
async def test_each_wait_ends_at_its_time_and_one_timer_does_for_all(steps: list[tuple[str, int]]) -> None:
    """Whatever begins, ends before its time and is waited for in between."""
    clock = ManualClock()
    owner = Owner(clock)
    expected: dict[int, float] = {}
    over: set[int] = set()
    for number, (what, n) in enumerate(steps):
        if what == "wait":
            when = clock.monotonic() + n
            owner.waits[number] = expected[number] = when
            owner.alarm.by(when)
        elif what == "end":
            owner.waits.pop(n, None)
            expected.pop(n, None)
        else:
            await clock.advance(n)
            passed = {key for key, when in expected.items() if when <= clock.monotonic()}
            over |= passed
            for key in passed:
                del expected[key]
            assert set(owner.over) == over
        assert clock.planned <= 1
        assert not owner.waits or owner.alarm.at <= min(owner.waits.values())
    owner.alarm.close()
    assert clock.planned == 0


async def test_what_is_later_than_the_next_ring_costs_nothing() -> None:
    """The timer stays as it is; only what is earlier moves it."""
    clock = ManualClock()
    owner = Owner(clock)
    owner.alarm.by(1005.0)
    owner.alarm.by(1009.0)
    assert (owner.alarm.at, clock.planned) == (1005.0, 1)
    owner.alarm.by(1002.0)
    assert (owner.alarm.at, clock.planned) == (1002.0, 1)
    owner.alarm.close()


async def test_a_wait_without_end_needs_no_timer() -> None:
    """An endless one is allowed."""
    clock = ManualClock()
    Owner(clock).alarm.by(math.inf)
    assert clock.planned == 0


async def test_a_clock_that_rings_early_ends_the_wait_all_the_same() -> None:
    """Else nothing would: what is due at the next look would be planned for that same moment, again and again."""
    clock = Hasty()
    owner = Owner(clock)
    owner.waits[1] = 5.0
    owner.alarm.by(5.0)
    [call] = clock.calls
    clock.now = 4.999
    call()
    assert (owner.over, len(clock.calls)) == ([1], 1)


async def test_it_keeps_the_time_of_the_loop() -> None:
    """With the real clock, and never too early."""
    clock = LoopClock()
    done: asyncio.Future[float] = asyncio.get_running_loop().create_future()

    def ring(now: float) -> float:
        done.set_result(now)
        return math.inf

    when = clock.monotonic() + 0.01
    Alarm(clock, ring).by(when)
    assert await done >= when
