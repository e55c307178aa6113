"""When to start again: the rule as a table, and as properties."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codex_runtime._sansio.restart import Exit, GiveUp, Restart, RestartHistory, RestartPolicy, decide
from codex_runtime.errors import ConfigError

NEW = RestartHistory()


@pytest.mark.parametrize(
    ("when", "clean", "again"),
    [
        ("never", False, False),
        ("never", True, False),
        ("on_failure", True, False),
        ("on_failure", False, True),
        ("always", True, True),
        ("always", False, True),
    ],
)
def test_the_policy_and_the_exit_decide(*, when: str, clean: bool, again: bool) -> None:
    """Seed section 2.11, and one policy more."""
    policy = RestartPolicy(when=when)  # type: ignore[arg-type]
    verdict = decide(policy, NEW, clean=clean, uptime=1.0, now=0.0, chance=0.5)
    assert isinstance(verdict, Restart if again else GiveUp)


def test_the_delay_doubles_up_to_its_limit_and_a_stable_life_resets_it() -> None:
    """Backoff with a memory."""
    policy = RestartPolicy(backoff=1.0, max_backoff=5.0, budget=100, stable=10.0, jitter=0.2)
    history, delays = NEW, []
    for now, uptime in [(0, 0), (1, 0), (2, 0), (3, 0), (4, 9.9), (5, 10.0), (6, 0)]:
        verdict = decide(policy, history, clean=False, uptime=uptime, now=now, chance=0.5)
        assert isinstance(verdict, Restart)
        history = verdict.history
        delays.append(verdict.delay)
    assert delays == [1.0, 2.0, 4.0, 5.0, 5.0, 1.0, 2.0]


def test_the_budget_counts_restarts_in_a_sliding_window() -> None:
    """I10: also for a server that always stays up just long enough to be stable."""
    policy = RestartPolicy(budget=2, window=10.0, stable=1.0)
    first = decide(policy, NEW, clean=False, uptime=5.0, now=0.0, chance=0.0)
    assert isinstance(first, Restart)
    second = decide(policy, first.history, clean=False, uptime=5.0, now=5.0, chance=0.0)
    assert isinstance(second, Restart)
    third = decide(policy, second.history, clean=False, uptime=4.0, now=9.0, chance=0.0)
    assert third == GiveUp("2 restarts within 10 s are used up")
    assert isinstance(decide(policy, second.history, clean=False, uptime=5.0, now=10.0, chance=0.0), Restart)


@given(
    st.lists(st.tuples(st.floats(0, 50), st.floats(0, 30), st.floats(0, 0.999), st.booleans()), max_size=40),
    st.integers(0, 6),
    st.floats(1, 60),
    st.floats(0, 0.9),
)
def test_no_history_breaks_the_budget_or_the_bounds_of_the_delay(
    ends: list[tuple[float, float, float, bool]], budget: int, window: float, jitter: float
) -> None:
    """I10 for any sequence of exits: at most `budget` starts in any window, each delay within its jitter."""
    policy = RestartPolicy(when="always", budget=budget, window=window, jitter=jitter, backoff=0.5, max_backoff=8.0)
    history, now, starts = NEW, 0.0, []
    for gap, uptime, chance, clean in ends:
        now += gap
        verdict = decide(policy, history, clean=clean, uptime=uptime, now=now, chance=chance)
        if isinstance(verdict, GiveUp):
            break
        history = verdict.history
        starts.append(now)
        assert 0.5 * (1 - jitter) <= verdict.delay <= 8.0 * (1 + jitter)
        assert len([at for at in starts if now - at < window]) <= budget


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"when": "sometimes"}, "restart.when"),
        ({"budget": -1}, "restart.budget"),
        ({"window": 0}, "restart.window"),
        ({"window": float("nan")}, "restart.window"),
        ({"backoff": -0.1}, "restart.backoff"),
        ({"backoff": 5.0, "max_backoff": 1.0}, "restart.max_backoff"),
        ({"stable": float("inf")}, "restart.stable"),
        ({"jitter": 1.0}, "restart.jitter"),
    ],
)
def test_a_bad_policy_names_its_field(options: dict[str, object], field: str) -> None:
    """Found before any process exists."""
    with pytest.raises(ConfigError) as caught:
        RestartPolicy(**options)  # type: ignore[arg-type]
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("ended", "words"),
    [
        (Exit(code=0), "exit status 0"),
        (Exit(code=3), "exit status 3"),
        (Exit(signal=9), "killed by SIGKILL"),
        (Exit(signal=63), "killed by signal 63"),
        (Exit(), "exit status unknown"),
        (Exit(reason="the connection broke"), "the connection broke"),
        (Exit(signal=9, reason="killed: it stopped answering"), "killed: it stopped answering"),
    ],
)
def test_an_exit_is_told_in_words(ended: Exit, words: str) -> None:
    """For errors and metrics."""
    assert ended.describe() == words
    assert ended.clean == (ended.code == 0)
