"""Which app server a configuration means."""

from __future__ import annotations

from typing import Any

import pytest

from codex_runtime.errors import BinaryNotFoundError
from codex_runtime.runtime import RuntimeConfig
from codex_runtime.runtime._launch import launcher_of
from tests.runtime.rig import Wire


def test_the_command_line_is_made_of_the_settings() -> None:
    """The binary, the overrides, and the word for its app server."""
    launcher: Any = launcher_of(RuntimeConfig(binary="/bin/true", settings={"a.b": "1", "c": '"x"'}))
    assert launcher._spec.argv == ("/bin/true", "-c", "a.b=1", "-c", 'c="x"', "app-server")


def test_a_launcher_of_the_caller_s_own_is_taken_as_it_is() -> None:
    """Nobody wraps it."""
    wire = Wire()
    assert launcher_of(RuntimeConfig(launcher=wire)) is wire


def test_a_command_replaces_the_whole_line(tmp_path: Any) -> None:
    """Overrides are for the binary, not for a stranger; folder and environment are for both."""
    home = tmp_path / "home"
    home.mkdir()
    config = RuntimeConfig(command=("server", "--x"), cwd=tmp_path, codex_home=home, settings={"a": "1"})
    launcher: Any = launcher_of(config)
    assert launcher._spec.argv == ("server", "--x")
    assert launcher._spec.cwd == str(tmp_path)
    assert launcher._spec.env["CODEX_HOME"] == str(home)


def test_a_binary_that_is_nowhere_is_told_at_once() -> None:
    """Before a process is tried."""
    with pytest.raises(BinaryNotFoundError):
        launcher_of(RuntimeConfig(binary="/nowhere/codex"))
