"""Many deadlines and one timer, held against a list that is sorted."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codex_runtime._io.clock import LoopClock
from codex_runtime._io.deadlines import Deadlines
from codex_runtime.testing._clock import ManualClock

if TYPE_CHECKING:
    from codex_runtime._io.deadlines import Deadline

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.integers(0, 5)),
        st.tuples(st.just("cancel"), st.integers(0, 300)),
        st.tuples(st.just("pass"), st.integers(0, 3)),
    ),
    max_size=200,
)


@given(steps=STEPS)
@settings(max_examples=40, deadline=None)
async def test_each_is_called_at_its_time_and_in_order_unless_it_was_called_off(steps: list[tuple[str, int]]) -> None:
    """Whatever is added, called off and waited for in between; and one timer does for all."""
    clock = ManualClock()
    deadlines = Deadlines(clock)
    called: list[tuple[float, int]] = []
    expected: list[tuple[float, int]] = []
    open_: dict[int, tuple[float, Deadline]] = {}
    for number, (what, n) in enumerate(steps):
        if what == "add":
            when = clock.monotonic() + n
            due = deadlines.add(when, lambda key: called.append((clock.monotonic(), key)), number)
            open_[number] = (when, due)
        elif what == "cancel" and n in open_:
            open_.pop(n)[1].cancel()
        elif what == "pass":
            await clock.advance(n)
            passed = sorted((when, key) for key, (when, _) in open_.items() if when <= clock.monotonic())
            for _, key in passed:
                del open_[key]
            expected += passed
            assert [key for _, key in called] == [key for _, key in expected]
            assert all(at >= when for (at, _), (when, _) in zip(called, expected, strict=True))
        assert len(deadlines) == len(open_)
        assert clock.planned <= 1
    deadlines.close()
    assert clock.planned == 0


async def test_those_called_off_are_not_kept() -> None:
    """Thousands of calls a second, each with a deadline half a minute away, hold a bounded number of entries."""
    deadlines = Deadlines(ManualClock())
    for number in range(10_000):
        deadlines.add(1030.0 + number, print, number).cancel()
    assert len(deadlines._heap) <= 65
    deadlines.close()


async def test_a_call_that_fails_does_not_hold_up_the_next() -> None:
    """Its error comes out where the clock called, and the rest is called as soon as can be."""
    clock = ManualClock()
    deadlines = Deadlines(clock)
    called: list[int] = []
    deadlines.add(1001.0, lambda _: 1 // 0, None)
    deadlines.add(1001.0, called.append, 2)
    with pytest.raises(ZeroDivisionError):
        await clock.advance(1.0)
    await clock.advance(0.0)
    assert called == [2]
    assert clock.planned == 0


async def test_one_that_never_comes_needs_no_timer() -> None:
    """An endless wait is allowed."""
    clock = ManualClock()
    deadlines = Deadlines(clock)
    deadlines.add(math.inf, print, None)
    assert (len(deadlines), clock.planned) == (1, 0)
    deadlines.close()
    assert len(deadlines) == 0


async def test_a_call_may_add_another() -> None:
    """Also one that is due at once."""
    clock = ManualClock()
    deadlines = Deadlines(clock)
    called: list[float] = []

    def again(left: int) -> None:
        called.append(clock.monotonic())
        if left:
            deadlines.add(clock.monotonic() + left - 1, again, left - 1)

    deadlines.add(1001.0, again, 2)
    await clock.advance(5.0)
    assert called == [1001.0, 1002.0, 1002.0]
    assert clock.planned == 0


async def test_it_keeps_the_time_of_the_loop() -> None:
    """With the real clock."""
    clock = LoopClock()
    deadlines = Deadlines(clock)
    done: asyncio.Future[float] = asyncio.get_running_loop().create_future()
    when = clock.monotonic() + 0.01
    deadlines.add(when, lambda _: done.set_result(clock.monotonic()), None)
    assert await done >= when - 0.001
