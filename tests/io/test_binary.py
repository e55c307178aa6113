"""Where the binary is looked for: four places, in order, and a place that names a wrong one is an error."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from codex_runtime._io.binary import find_binary
from codex_runtime.errors import BinaryNotFoundError

if TYPE_CHECKING:
    from pathlib import Path


def program(path: Path, *, runnable: bool = True) -> Path:
    """Make a file that can be run, or not."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755 if runnable else 0o644)
    return path


@pytest.fixture
def no_wheel(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the wheel, the way the import system offers."""
    monkeypatch.setitem(sys.modules, "codex_cli_bin", None)


def test_what_the_caller_names_comes_first(tmp_path: Path) -> None:
    """Also when the environment names another one."""
    mine, other = program(tmp_path / "mine"), program(tmp_path / "other")
    assert find_binary(mine, env={"CODEX_BINARY": str(other)}) == mine
    assert find_binary(str(mine), env={}) == mine


def test_the_environment_comes_second(tmp_path: Path) -> None:
    """Before the wheel, which is installed here, and before PATH."""
    named, on_path = program(tmp_path / "named"), program(tmp_path / "bin" / "codex")
    assert find_binary(env={"CODEX_BINARY": str(named), "PATH": str(on_path.parent)}) == named


def test_the_wheel_comes_third(tmp_path: Path, codex_binary: Path) -> None:
    """Before PATH, where there may be any version; an empty variable is one that is not set."""
    on_path = program(tmp_path / "bin" / "codex")
    assert find_binary(env={"CODEX_BINARY": "", "PATH": str(on_path.parent)}) == codex_binary


def test_path_comes_last(tmp_path: Path, no_wheel: None) -> None:
    """A codex that was installed some other way."""
    on_path = program(tmp_path / "bin" / "codex")
    assert find_binary(env={"PATH": str(on_path.parent)}) == on_path


def test_nowhere_names_all_four_places(tmp_path: Path, no_wheel: None) -> None:
    """And how to get one."""
    with pytest.raises(BinaryNotFoundError) as caught:
        find_binary(env={"PATH": str(tmp_path)})
    for place in ("configured", "CODEX_BINARY", "wheel", "PATH", "pip install"):
        assert place in str(caught.value)


@pytest.mark.parametrize("explicit", [True, False])
def test_a_named_file_that_is_not_there_is_an_error(tmp_path: Path, explicit: bool) -> None:  # noqa: FBT001
    """Looking further would run something that nobody asked for."""
    path = str(tmp_path / "gone")
    with pytest.raises(BinaryNotFoundError, match="no such file"):
        find_binary(path if explicit else None, env={} if explicit else {"CODEX_BINARY": path})


@pytest.mark.parametrize("name", ["/" + "x" * 5000, "~nobody-of-this-name/codex"], ids=["too long", "nobody's home"])
def test_a_name_that_cannot_even_be_looked_for_is_an_error(name: str) -> None:
    """It is our error, like that of any other file that is not there."""
    with pytest.raises(BinaryNotFoundError, match="no such file"):
        find_binary(name)


def test_a_named_file_that_cannot_be_run_is_an_error(tmp_path: Path) -> None:
    """With the reason."""
    with pytest.raises(BinaryNotFoundError, match="not executable"):
        find_binary(program(tmp_path / "text", runnable=False), env={})


def test_a_folder_is_no_binary(tmp_path: Path) -> None:
    """A folder has the executable bit as well."""
    with pytest.raises(BinaryNotFoundError, match="no such file"):
        find_binary(tmp_path, env={})


def test_a_bare_name_is_looked_up_on_path(tmp_path: Path) -> None:
    """As a shell would; never in the working directory."""
    on_path = program(tmp_path / "bin" / "my-codex")
    assert find_binary("my-codex", env={"PATH": str(on_path.parent)}) == on_path
    with pytest.raises(BinaryNotFoundError, match="not on PATH"):
        find_binary("other-codex", env={"PATH": str(on_path.parent)})


def test_a_relative_path_becomes_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server may run in another folder."""
    program(tmp_path / "tools" / "codex")
    monkeypatch.chdir(tmp_path)
    assert find_binary("tools/codex", env={}) == tmp_path / "tools" / "codex"
