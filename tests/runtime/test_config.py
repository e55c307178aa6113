"""Settings are checked before anything is started, and the error names the one that is wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from codex_runtime._sansio.server_requests import COMMAND
from codex_runtime.errors import ConfigError, PermissionDeniedError
from codex_runtime.runtime import RestartPolicy, Runtime, RuntimeConfig, StateLimits
from codex_runtime.testing._fake_server import FakeAppServer
from tests.runtime.rig import running

if TYPE_CHECKING:
    from pathlib import Path


def test_the_defaults_are_fine() -> None:
    """And safe: nobody answers, restarts are bounded, everything has a limit."""
    config = RuntimeConfig()
    assert (config.on_server_request, config.max_in_flight, config.restart.budget) == (None, 64, 5)
    assert config.environment() == {}


def test_a_config_is_frozen() -> None:
    """It may be shared."""
    with pytest.raises(AttributeError):
        RuntimeConfig().max_in_flight = 3  # type: ignore[misc]


@pytest.mark.parametrize("name", ["start_deadline", "request_deadline", "server_request_deadline", "block_patience"])
@pytest.mark.parametrize("value", [0, -1, float("inf"), float("nan")])
def test_waits_are_finite_and_above_zero(name: str, value: float) -> None:
    """Each wait has a bound."""
    with pytest.raises(ConfigError, match="seconds") as caught:
        RuntimeConfig(**{name: value})  # type: ignore[arg-type]
    assert caught.value.field == name


@pytest.mark.parametrize("value", [0, float("inf")])
def test_the_deadline_of_a_method_is_one_as_well(value: float) -> None:
    """The error names the method."""
    with pytest.raises(ConfigError) as caught:
        RuntimeConfig(server_request_deadlines={"a/b": value})
    assert caught.value.field == "server_request_deadlines['a/b']"


@pytest.mark.parametrize(
    ("field", "options"),
    [
        ("server_request_deadline_action", {"server_request_deadline_action": "accept"}),
        (
            f"server_request_deadline_actions[{COMMAND!r}]",
            {"server_request_deadline_actions": {COMMAND: "accept"}},
        ),
        ("server_request_deadline_actions['a/b']", {"server_request_deadline_actions": {"a/b": "decline"}}),
        ("on_server_request", {"on_server_request": "decline"}),
        ("on_server_request", {"on_server_request": {COMMAND: None}}),
        ("on_server_request['a/b']", {"on_server_request": {"a/b": print}}),
        ("on_decision", {"on_decision": "a file"}),
    ],
)
def test_what_answers_server_requests_is_checked(field: str, options: dict[str, Any]) -> None:
    """No deadline says yes, and a method that nobody knows is a slip: it would never be asked."""
    with pytest.raises(ConfigError) as caught:
        RuntimeConfig(**options)
    assert caught.value.field == field
    for action in ("decline", "cancel", "refuse"):
        RuntimeConfig(server_request_deadline_actions={COMMAND: action}, on_server_request={COMMAND: print})


@pytest.mark.parametrize("name", ["max_in_flight", "line_limit", "stderr_tail", "max_open_server_requests"])
def test_sizes_are_one_or_more(name: str) -> None:
    """Nothing works with none."""
    with pytest.raises(ConfigError, match="1 or more") as caught:
        RuntimeConfig(**{name: 0})  # type: ignore[arg-type]
    assert caught.value.field == name


def test_retries_may_be_none_but_not_less() -> None:
    """Zero means one attempt."""
    assert RuntimeConfig(overload_retries=0).overload_retries == 0
    with pytest.raises(ConfigError, match="overload_retries"):
        RuntimeConfig(overload_retries=-1)


@pytest.mark.parametrize("name", ["client_name", "client_version"])
@pytest.mark.parametrize("value", ["", "käse", "a\nb", "a\0"])
def test_what_goes_into_a_header_is_printable_ascii(name: str, value: str) -> None:
    """The server refuses anything else."""
    with pytest.raises(ConfigError, match="printable ASCII") as caught:
        RuntimeConfig(**{name: value})  # type: ignore[arg-type]
    assert caught.value.field == name


@pytest.mark.parametrize("env", [{"": "a"}, {"A=B": "c"}, {"A\0": "b"}, {"A": "b\0"}])
def test_environment_variables_are_usable(env: dict[str, str]) -> None:
    """The system would refuse them at the start."""
    with pytest.raises(ConfigError) as caught:
        RuntimeConfig(env=env)
    assert caught.value.field == "env"


def test_the_environment_adds_and_removes(codex_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An explicit variable wins over the folder; a relative folder becomes absolute, since the child may live elsewhere."""
    assert RuntimeConfig(env={"A": "1", "B": None}).environment() == {"A": "1", "B": None}
    monkeypatch.chdir(codex_home.parent)
    config = RuntimeConfig(codex_home=codex_home.name, env={"A": "1"})
    assert config.environment() == {"CODEX_HOME": str(codex_home), "A": "1"}
    assert RuntimeConfig(codex_home=codex_home, env={"CODEX_HOME": "x"}).environment() == {"CODEX_HOME": "x"}


@pytest.mark.parametrize("name", ["codex_home", "cwd"])
def test_folders_exist(name: str, tmp_path: Path) -> None:
    """Found now, not as a riddle on the server's stderr."""
    file = tmp_path / "file"
    file.write_text("")
    for wrong in (tmp_path / "gone", file, "x" * 5000):
        with pytest.raises(ConfigError, match="not an existing folder") as caught:
            RuntimeConfig(**{name: wrong})
        assert caught.value.field == name


@pytest.mark.parametrize(
    "options",
    [
        {"binary": "codex", "command": ("codex",)},
        {"binary": "codex", "launcher": FakeAppServer()},
        {"command": ("codex",), "launcher": FakeAppServer()},
    ],
)
def test_there_is_one_way_to_say_what_is_run(options: dict[str, Any]) -> None:
    """Two would leave one unheard."""
    with pytest.raises(ConfigError, match="only one"):
        RuntimeConfig(**options)


@pytest.mark.parametrize("command", [(), "codex app-server", (1,), ("codex", b"x")])
def test_a_command_is_a_tuple_of_strings(command: Any) -> None:
    """A string is one, letter by letter, and was never meant."""
    with pytest.raises(ConfigError) as caught:
        RuntimeConfig(command=command)
    assert caught.value.field == "command"


@pytest.mark.parametrize("opt_out", ["thread/started", (1,), None])
def test_opting_out_takes_a_tuple_of_methods(opt_out: Any) -> None:
    """Likewise."""
    with pytest.raises(ConfigError) as caught:
        RuntimeConfig(opt_out=opt_out)
    assert caught.value.field == "opt_out"


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: RestartPolicy(when="sometimes"), "restart.when"),  # type: ignore[arg-type]
        (lambda: RestartPolicy(jitter=1.0), "restart.jitter"),
        (lambda: StateLimits(threads=0), "state_limits.threads"),
    ],
)
def test_settings_within_settings_are_named_in_full(make: Any, field: str) -> None:
    """As the caller wrote them."""
    with pytest.raises(ConfigError) as caught:
        make()
    assert caught.value.field == field


@pytest.mark.parametrize("option", ["methods", "kinds"])
def test_one_bare_word_selects_nothing(option: str) -> None:
    """It would select by parts of words: every method that stands in it."""
    runtime, word = Runtime(RuntimeConfig()), {option: "turn/completed"}
    with pytest.raises(ConfigError) as caught:
        runtime.subscribe(**word)  # type: ignore[arg-type]
    assert caught.value.field == option
    with pytest.raises(ConfigError, match="methods"):
        runtime.server_requests(methods="turn/completed")


@pytest.mark.parametrize("option", [{"capacity": 0}, {"max_bytes": 0}, {"overflow": "wait"}])
def test_a_subscription_has_sizes_and_a_known_overflow(option: dict[str, Any]) -> None:
    """Found where it is said, not at the first event."""
    with pytest.raises(ConfigError) as caught:
        Runtime(RuntimeConfig()).subscribe(**option)
    assert caught.value.field == next(iter(option))


async def test_without_a_state_there_is_none_to_read() -> None:
    """All else works."""
    fake = FakeAppServer()
    async with running(fake, state=False) as runtime:
        assert await runtime.request("account/read")
        with pytest.raises(ConfigError, match="keep none"):
            _ = runtime.state


def test_settings_may_not_give_up_the_sandbox_unsaid() -> None:
    """Not even those of the server's own command line."""
    settings = {"sandbox_mode": '"danger-full-access"'}
    with pytest.raises(PermissionDeniedError, match="settings: 'sandbox_mode'"):
        RuntimeConfig(settings=settings)
    assert RuntimeConfig(settings=settings, allow_full_access=True).settings == settings
