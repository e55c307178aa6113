"""The counters: a picture of one moment, which nobody can change."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codex_runtime.errors import ConfigError
from codex_runtime.runtime.metrics import BOUNDS, MAX_NAMES, REST, Counters, Durations, Metrics, Times, frozen, quantile


def test_a_frozen_counter_is_a_copy() -> None:
    """It neither follows nor can be written."""
    counter = Counter({"a": 1})
    picture = frozen(counter)
    counter["a"] += 1
    assert dict(picture) == {"a": 1}
    with pytest.raises(TypeError):
        picture["a"] = 5  # type: ignore[index]


def test_two_runtimes_do_not_count_together() -> None:
    """Each has counters of its own."""
    one, two = Counters(), Counters()
    one.restarts["died"] += 1
    assert two.restarts == {}


def test_every_counter_is_shown() -> None:
    """A number that nobody can read would not be worth counting."""
    assert set(Counters.__struct_fields__) <= set(Metrics.__struct_fields__)


def test_durations_fall_into_buckets() -> None:
    """A bound belongs to its bucket; what is longer than the last bound has a bucket of its own."""
    times = Times()
    for seconds in (0.0, BOUNDS[0], BOUNDS[0] + 1e-9, BOUNDS[-1], BOUNDS[-1] + 1):
        times.add("a", seconds)
    told = times.snapshot()["a"]
    assert (told.count, told.max, sum(told.buckets)) == (5, BOUNDS[-1] + 1, 5)
    assert told.sum == pytest.approx(2 * BOUNDS[0] + 2 * BOUNDS[-1] + 1)
    assert (told.buckets[0], told.buckets[1], told.buckets[-2], told.buckets[-1]) == (2, 1, 1, 1)
    assert len(told.buckets) == len(BOUNDS) + 1


def durations(*seconds: float) -> Durations:
    """Measure these."""
    times = Times()
    for each in seconds:
        times.add("a", each)
    return times.snapshot()["a"]


def test_a_quantile_is_the_bound_of_the_bucket_it_falls_in() -> None:
    """95 of 0.8 ms and 5 of 8 ms: the slowest twentieth does not show in the ninety-fifth percentile, and does in the next."""
    told = durations(*[0.0008] * 95, *[0.008] * 5)
    assert (told.quantile(0.5), told.quantile(0.95), told.quantile(0.96), told.quantile(1)) == (
        0.001,
        0.001,
        0.008,
        0.008,
    )


def test_a_quantile_is_not_one_bucket_late_because_of_a_rounding() -> None:
    """7 % of 100 are 7, but 0.07 * 100 is a little more."""
    assert durations(*[0.0008] * 7, *[0.008] * 93).quantile(0.07) == 0.001


def test_no_quantile_is_above_the_longest() -> None:
    """Neither in the last bucket, which has no bound, nor in one whose bound nothing reached."""
    assert durations(700.0, 900.0).quantile(0.5) == 900.0
    assert durations(0.002).quantile(0.99) == 0.002
    assert Durations(0, 0.0, 0.0, (0,) * (len(BOUNDS) + 1)).quantile(0.95) == 0.0


@pytest.mark.parametrize("part", [0, -0.1, 1.1, 95, float("nan")])
def test_a_quantile_of_no_part_is_refused(part: float) -> None:
    """Among them the percentage that somebody would easily write."""
    with pytest.raises(ConfigError, match="part"):
        durations(1.0).quantile(part)


@given(st.lists(st.integers(0, 5), min_size=3, max_size=3).filter(any), st.integers(1, 100))
def test_a_quantile_leaves_no_more_above_it_than_it_says(buckets: list[int], percent: int) -> None:
    """And no bucket below it would do: reckoned in whole numbers, so that no rounding helps."""
    bounds, total = (1.0, 2.0), sum(buckets)
    at = [1.0, 2.0, 3.0].index(quantile(percent / 100, bounds, buckets, 3.0))
    assert sum(buckets[: at + 1]) * 100 >= percent * total
    assert sum(buckets[:at]) * 100 < percent * total


def test_no_more_names_are_counted_apart_than_there_is_room_for() -> None:
    """Callers choose the names, so there is no end to them."""
    times = Times()
    for number in range(MAX_NAMES + 10):
        times.add(f"method/{number}", 1.0)
    times.add("method/0", 1.0)
    told = times.snapshot()
    assert (len(told), told[REST].count, told["method/0"].count) == (MAX_NAMES + 1, 10, 2)
