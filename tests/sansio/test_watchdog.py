"""When a server that lives is ended all the same: silence that counts, memory, and everything that must not count."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from codex_runtime._sansio.watchdog import (
    SILENT,
    TOO_BIG,
    Action,
    Kill,
    Memory,
    Nothing,
    Probe,
    Recycle,
    Sight,
    WatchdogPolicy,
    consider,
    pace,
)
from codex_runtime.errors import ConfigError

POLICY = WatchdogPolicy()
BOUNDED = WatchdogPolicy(rss_limit=1000)
QUIET = Sight(heard=0)


def looks(policy: WatchdogPolicy, *sights: Sight, step: float = 1.0) -> list[Action]:
    """What the rule says to one sight after the other, this many seconds apart."""
    memory, actions = Memory(at=0.0), []
    for number, sight in enumerate(sights, 1):
        action, memory = consider(policy, memory, sight, now=number * step)
        actions.append(action)
    return actions


def moments(actions: list[Action], kind: type[Action]) -> list[int]:
    """The numbers of the looks, from 1, at which this was said."""
    return [number for number, action in enumerate(actions, 1) if isinstance(action, kind)]


def test_a_server_that_says_nothing_is_asked_three_times_and_killed() -> None:
    """After 10 s of silence, then every 5 s; the third 5 s are its last."""
    actions = looks(POLICY, *[QUIET] * 25)
    assert moments(actions, Probe) == [10, 15, 20]
    assert moments(actions, Kill) == [25]
    assert actions[-1] == Kill(SILENT)


@pytest.mark.parametrize("sign", [Sight(heard=1, unsent=9), Sight(heard=0, unsent=5)])
def test_any_sign_of_life_begins_the_count_anew(sign: Sight) -> None:
    """A byte that it wrote counts, and one that it read."""
    actions = looks(POLICY, *[Sight(heard=0, unsent=9)] * 24, *[sign] * 26)
    assert moments(actions, Probe) == [10, 15, 20, 35, 40, 45]
    assert moments(actions, Kill) == [50]


def test_a_probe_may_be_answered_late() -> None:
    """Two misses and an answer are no miss."""
    actions = looks(POLICY, *[QUIET] * 21, *[Sight(heard=1)] * 10)
    assert moments(actions, Kill) == []


def test_nobody_is_asked_while_no_turn_runs() -> None:
    """And what was missed before does not count in the next turn."""
    idle = replace(QUIET, has_turns=False)
    actions = looks(POLICY, *[QUIET] * 24, *[idle] * 100, *[QUIET] * 10)
    assert moments(actions, Probe) == [10, 15, 20, 134]
    assert moments(actions, Kill) == []


def test_time_in_which_we_do_not_listen_does_not_count() -> None:
    """A subscriber that holds up the pipe makes the server silent, not dead."""
    held = replace(QUIET, is_held=True)
    actions = looks(POLICY, *[QUIET] * 24, *[held] * 100, QUIET)
    assert moments(actions, Kill) == [125]


def test_a_jump_of_the_clock_counts_as_one_look() -> None:
    """The machine slept for an hour, or our process was stopped: the server had no chance to answer."""
    memory = Memory(at=0.0)
    for number in range(1, 25):
        action, memory = consider(POLICY, memory, QUIET, now=float(number))
        assert not isinstance(action, Kill)
    action, memory = consider(POLICY, replace(memory, waited=1.0), QUIET, now=3600.0)
    assert action == Nothing()
    assert memory.waited == 2.0


@given(
    policy=st.builds(
        WatchdogPolicy,
        probe_every=st.floats(0.01, 100),
        probe_deadline=st.floats(0.01, 100),
        misses=st.integers(1, 5),
    ),
    steps=st.lists(st.floats(0, 1e6), min_size=1, max_size=60),
)
def test_no_course_of_time_kills_before_enough_looks(policy: WatchdogPolicy, steps: list[float]) -> None:
    """Each look counts for a pace at most, and each kill comes after as many probes as there may be misses."""
    needed = (policy.probe_every + policy.misses * policy.probe_deadline) / pace(policy)
    memory, now, probes, seen = Memory(at=0.0), 0.0, 0, 0
    for step in steps:
        now, seen = now + step, seen + 1
        action, memory = consider(policy, memory, QUIET, now=now)
        probes += isinstance(action, Probe)
        if isinstance(action, Kill):
            assert seen >= math.floor(needed * (1 - 1e-6))
            assert probes >= policy.misses


@given(
    sights=st.lists(
        st.builds(
            Sight,
            heard=st.integers(0, 3),
            unsent=st.integers(0, 3),
            is_held=st.booleans(),
            has_turns=st.booleans(),
            is_idle=st.booleans(),
            resident=st.none() | st.integers(0, 2000),
        ),
        max_size=80,
    )
)
def test_only_a_silent_server_is_killed_and_only_an_idle_one_recycled(sights: list[Sight]) -> None:
    """Whatever is seen, in whatever order."""
    policy = WatchdogPolicy(probe_every=2.0, probe_deadline=1.0, misses=2, rss_limit=1000)
    memory = Memory(at=0.0)
    for number, sight in enumerate(sights, 1):
        heard_before = memory.heard
        action, memory = consider(policy, memory, sight, now=number * 0.2)
        if isinstance(action, Kill):
            assert sight.has_turns
            assert sight.heard == heard_before
            assert memory.silence >= 4.0 - 1e-6
        if isinstance(action, Recycle):
            assert sight.is_idle
            assert (sight.resident or 0) > 1000


def test_memory_above_the_limit_waits_for_a_quiet_moment() -> None:
    """Not while a turn runs, not while something is in flight, not at the limit itself."""
    big = Sight(heard=1, resident=1001)
    idle = replace(big, has_turns=False, is_idle=True)
    at_the_limit = replace(idle, resident=1000)
    busy = replace(idle, is_idle=False)
    actions = looks(BOUNDED, big, busy, at_the_limit, idle)
    assert moments(actions, Recycle) == [4]
    assert actions[-1] == Recycle(TOO_BIG)
    assert moments(looks(POLICY, idle), Recycle) == []


def test_memory_is_asked_for_as_often_as_a_sign_of_life() -> None:
    """Also of a server that talks; without a limit nobody asks."""
    talking = [Sight(heard=number) for number in range(1, 31)]
    assert moments(looks(BOUNDED, *talking), Probe) == [1, 11, 21]
    assert moments(looks(POLICY, *talking), Probe) == []


def test_asking_for_memory_is_no_miss() -> None:
    """A server with a limit lives no shorter than one without."""
    assert moments(looks(BOUNDED, *[QUIET] * 25), Kill) == [25]


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"probe_every": 0.0}, "watchdog.probe_every"),
        ({"probe_deadline": math.inf}, "watchdog.probe_deadline"),
        ({"misses": 0}, "watchdog.misses"),
        ({"rss_limit": 0}, "watchdog.rss_limit"),
    ],
)
def test_a_policy_that_makes_no_sense_is_refused(options: dict[str, float], name: str) -> None:
    """And says which field it is."""
    with pytest.raises(ConfigError, match=name.replace(".", r"\.")):
        WatchdogPolicy(**options)  # type: ignore[arg-type]
