"""Settings of a runtime that connects to a server which listens: what goes together, and that no token is shown."""

from __future__ import annotations

from typing import Any

import pytest
from rich.pretty import pretty_repr

from codex_runtime.errors import ConfigError
from codex_runtime.runtime import RuntimeConfig, SignedToken, TokenFile
from codex_runtime.testing import FakeAppServer

HERE = "ws://127.0.0.1:4500"


@pytest.mark.parametrize("other", [{"binary": "codex"}, {"command": ("codex",)}, {"launcher": FakeAppServer()}])
def test_one_server_is_enough(other: dict[str, Any]) -> None:
    """It is started, or it is there."""
    with pytest.raises(ConfigError, match="only one of"):
        RuntimeConfig(address=HERE, **other)


@pytest.mark.parametrize(
    ("name", "value"), [("codex_home", "."), ("cwd", "."), ("env", {"A": "b"}), ("settings", {"model": "x"})]
)
def test_a_server_that_runs_cannot_be_set_up(name: str, value: Any) -> None:
    """What would be ignored is refused."""
    with pytest.raises(ConfigError, match="already runs") as caught:
        RuntimeConfig(address=HERE, **{name: value})
    assert caught.value.field == name


@pytest.mark.parametrize("token", ["hunter2", TokenFile("x"), SignedToken(secret_file="x")])
def test_a_token_is_for_an_address(token: Any) -> None:
    """It would be sent nowhere."""
    assert RuntimeConfig(address=HERE, token=token).token == token
    with pytest.raises(ConfigError, match="needs an address") as caught:
        RuntimeConfig(token=token)
    assert caught.value.field == "token"


def test_strangers_are_trusted_only_in_so_many_words() -> None:
    """An address away from this machine needs a token, or the word."""
    with pytest.raises(ConfigError, match="not on this machine"):
        RuntimeConfig(address="ws://10.0.0.1:4500")
    assert RuntimeConfig(address="ws://10.0.0.1:4500", allow_unauthenticated=True).token is None
    assert RuntimeConfig(address="ws://10.0.0.1:4500", token="hunter2").allow_unauthenticated is False


def test_an_address_is_read_before_anything_is_connected_to() -> None:
    """The error names the field."""
    with pytest.raises(ConfigError) as caught:
        RuntimeConfig(address="http://127.0.0.1:4500")
    assert caught.value.field == "address"


def test_no_token_is_shown() -> None:
    """Neither to a person nor to a log; where it comes from is."""
    config = RuntimeConfig(address=HERE, token="hunter2")
    assert config.token == "hunter2"
    for shown in (repr(config), str(config), pretty_repr(config)):
        assert "hunter2" not in shown
        assert "token='***'" in shown
        assert f"address='{HERE}'" in shown
    assert "TokenFile(path='x')" in repr(RuntimeConfig(address=HERE, token=TokenFile("x")))
    assert "token=None" in repr(RuntimeConfig())
