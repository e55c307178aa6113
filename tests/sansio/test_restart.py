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
    assert isinstance(decide(policy, second.history, clean=False, uptime=5.0, now=10.2, chance=0.0), Restart)


def test_the_budget_counts_when_servers_are_started_not_when_that_is_decided() -> None:
    """I10: a long pause before one start and a short one before the next would bring a third one into the window."""
    policy = RestartPolicy(budget=2, window=8.0, stable=2.0, backoff=1.0, max_backoff=4.0, jitter=0.0)
    first = decide(policy, RestartHistory((), 2), clean=False, uptime=0.0, now=8.0, chance=0.5)
    assert isinstance(first, Restart)
    assert first.delay == 4.0, "it starts at 12"
    second = decide(policy, first.history, clean=False, uptime=2.0, now=14.0, chance=0.5)
    assert isinstance(second, Restart)
    assert second.delay == 1.0, "it starts at 15"
    third = decide(policy, second.history, clean=False, uptime=1.0, now=16.0, chance=0.5)
    assert third == GiveUp("2 restarts within 8 s are used up")


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
        now = (starts[-1] if starts else now) + gap
        verdict = decide(policy, history, clean=clean, uptime=uptime, now=now, chance=chance)
        if isinstance(verdict, GiveUp):
            break
        history = verdict.history
        starts.append(now + verdict.delay)
        assert 0.5 * (1 - jitter) <= verdict.delay <= 8.0 * (1 + jitter)
        assert len([at for at in starts if starts[-1] - at < window]) <= budget


def test_without_settings_there_are_five_restarts_in_three_minutes() -> None:
    """What somebody gets who sets nothing: from a quarter of a second on, twice as long each time, and then no more."""
    policy, history, delays = RestartPolicy(), NEW, []
    for now in range(5):
        verdict = decide(policy, history, clean=False, uptime=0.0, now=now, chance=0.5)
        assert isinstance(verdict, Restart)
        history = verdict.history
        delays.append(verdict.delay)
    assert delays == [0.25, 0.5, 1.0, 2.0, 4.0]
    last = decide(policy, history, clean=False, uptime=0.0, now=180.2, chance=0.5)
    assert last == GiveUp("5 restarts within 180 s are used up")
    assert isinstance(decide(policy, history, clean=False, uptime=0.0, now=180.25, chance=0.5), Restart)


@pytest.mark.parametrize(("uptime", "chance", "delay"), [(0, 0.5, 30.0), (0, 0, 24.0), (9.9, 1, 36.0), (10, 0.5, 0.25)])
def test_without_settings_no_pause_is_longer_than_half_a_minute(uptime: float, chance: float, delay: float) -> None:
    """But for the jitter: chance 0 gives the shortest pause, and chance 1 the longest. Ten seconds of life begin anew."""
    verdict = decide(RestartPolicy(), RestartHistory((), 9), clean=False, uptime=uptime, now=0.0, chance=chance)
    assert isinstance(verdict, Restart)
    assert verdict.delay == pytest.approx(delay)


def test_a_server_that_failed_a_million_times_is_still_given_a_pause() -> None:
    """Two to that power is no number of seconds."""
    verdict = decide(RestartPolicy(), RestartHistory((), 10**6), clean=False, uptime=0.0, now=0.0, chance=0.5)
    assert verdict == Restart(30.0, RestartHistory((30.0,), 10**6 + 1))


@pytest.mark.parametrize(
    ("when", "reason"), [("never", "restarts are off"), ("on_failure", "it ended by itself with status 0")]
)
def test_who_waits_is_told_why_there_is_no_restart(when: str, reason: str) -> None:
    """The phrase ends up in the error that every waiter gets."""
    policy = RestartPolicy(when=when)  # type: ignore[arg-type]
    assert decide(policy, NEW, clean=True, uptime=1.0, now=0.0, chance=0.5) == GiveUp(reason)


NO_TIME = "must be a finite number of seconds, 0 or more"


@pytest.mark.parametrize(
    ("options", "field", "reason"),
    [
        (
            {"when": "sometimes"},
            "restart.when",
            "'sometimes' is not one of 'never', 'on_failure', 'always'",
        ),
        ({"budget": -1}, "restart.budget", "must be 0 or more"),
        ({"window": 0}, "restart.window", "must be more than 0 seconds"),
        ({"window": float("nan")}, "restart.window", NO_TIME),
        ({"backoff": -0.1}, "restart.backoff", NO_TIME),
        ({"max_backoff": float("inf")}, "restart.max_backoff", NO_TIME),
        ({"backoff": 5.0, "max_backoff": 1.0}, "restart.max_backoff", "must not be smaller than restart.backoff"),
        ({"stable": float("inf")}, "restart.stable", NO_TIME),
        ({"jitter": 1.0}, "restart.jitter", "must be at least 0 and below 1"),
        ({"jitter": -0.1}, "restart.jitter", "must be at least 0 and below 1"),
    ],
)
def test_a_bad_policy_names_its_field(options: dict[str, object], field: str, reason: str) -> None:
    """Found before any process exists, with words that say what would be right."""
    with pytest.raises(ConfigError) as caught:
        RestartPolicy(**options)  # type: ignore[arg-type]
    assert caught.value.field == field
    assert str(caught.value) == f"{field}: {reason}"


@pytest.mark.parametrize(
    "options",
    [
        {"budget": 0},
        {"backoff": 0.0, "max_backoff": 0.0},
        {"backoff": 7.0, "max_backoff": 7.0},
        {"stable": 0.0},
        {"jitter": 0.0},
    ],
)
def test_what_lies_on_the_edge_is_a_policy(options: dict[str, object]) -> None:
    """No restart at all, no pause at all, always the same pause: each is what somebody may want."""
    policy = RestartPolicy(**options)  # type: ignore[arg-type]
    assert {name: getattr(policy, name) for name in options} == options


def test_a_policy_is_made_of_named_values_only() -> None:
    """Seven numbers in a row would say nothing."""
    with pytest.raises(TypeError):
        RestartPolicy("always")  # type: ignore[misc]


@pytest.mark.parametrize("value", [Exit(), RestartPolicy(), RestartHistory(), Restart(1.0, NEW), GiveUp("why")])
def test_what_was_decided_cannot_be_changed(value: object) -> None:
    """It is handed to users and kept in errors."""
    for name in value.__struct_fields__:  # type: ignore[attr-defined]
        with pytest.raises(AttributeError):
            setattr(value, name, None)


def test_of_an_end_that_nobody_saw_nothing_is_made_up() -> None:
    """No status, no signal, no last words."""
    assert Exit() == Exit(code=None, signal=None, stderr_tail="", reason="")


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


def test_what_is_shown_of_an_end_leaves_out_its_last_words() -> None:
    """Anything may stand in them; they are there for whoever asks for them by name."""
    ended = Exit(code=3, stderr_tail="token=hidden", reason="it broke")
    assert repr(ended) == "Exit(code=3, signal=None, stderr_tail='<12 characters>', reason='it broke')"
    assert [name for name, _ in ended.__rich_repr__()] == ["code", "signal", "stderr_tail", "reason"]
    assert ended.stderr_tail == "token=hidden"
