"""The doctor says what is there, and the way out where something is wrong."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.cli.command_line import Terminal, piped

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.timeout(90)


async def findings(*arguments: str, **env: str) -> tuple[int, dict[str, dict[str, str]]]:
    """Let the doctor examine, and return its exit code and what it found by name."""
    ended = await piped("doctor", "--json", *arguments, **env)
    assert ended.err == ""
    report = json.loads(ended.out)
    assert report["ok"] is (ended.code == 0)
    return ended.code, {check.pop("name"): check for check in report["checks"]}


async def test_all_is_well(home: str) -> None:
    """With a provider that needs no login, everything is there: each check once, on a terminal."""
    async with Terminal("doctor", "--codex-home", home) as terminal:
        assert await terminal.end() == 0
        lines = terminal.text.splitlines()
    names = [line[2:12].strip() for line in lines if line.startswith(("✓ ", "! ", "✗ "))]
    assert names == ["package", "binary", "CODEX_HOME", "protocol", "app server", "config", "login", "sandbox"]
    assert all(line.startswith(("✓ ", "  ")) for line in lines[:-2])
    assert lines[-2:] == ["", "everything is there"]


async def test_the_protocol_of_the_pinned_binary_is_known_in_full(home: str, codex_binary: Path) -> None:
    """Every name that the binary lists is one that we know, and the other way round."""
    code, found = await findings("--codex-home", home)
    assert code == 0
    assert found["protocol"]["state"] == "ok"
    assert "172 requests, 85 notifications, 11 server requests" in found["protocol"]["text"]
    assert found["binary"]["text"] == f"{codex_binary} (from the wheel openai-codex-cli-bin)"
    assert "one that tried to write was refused" in found["sandbox"]["text"]
    assert found["login"]["text"] == "the configured model provider needs none"


async def test_a_missing_login_is_found(codex_home: Path, codex_binary: Path) -> None:
    """And the way out is named, as a command that can be typed: the wheel puts no `codex` on PATH."""
    code, found = await findings("--codex-home", str(codex_home))
    assert code == 1
    assert (found["login"]["state"], found["login"]["text"]) == ("wrong", "nobody is logged in")
    assert found["login"]["way_out"].startswith(f"{codex_binary} login, or ")
    assert {name for name, check in found.items() if check["state"] == "wrong"} == {"login"}


async def test_a_broken_configuration_is_found(codex_home: Path) -> None:
    """With the place of the fault; on a terminal, the way out stands below."""
    (codex_home / "config.toml").write_text("model = [")
    code, found = await findings(CODEX_HOME=str(codex_home))
    assert code == 1
    assert found["config"]["state"] == "wrong"
    assert "config.toml:1:10" in found["config"]["text"]
    async with Terminal("doctor", "--codex-home", str(codex_home)) as terminal:
        assert await terminal.end() == 1
        assert "✗ config" in terminal.text
        assert "→ edit config.toml in CODEX_HOME" in terminal.text
        assert "2 things are wrong" in terminal.text


async def test_a_home_that_is_not_there_is_found(tmp_path: Path) -> None:
    """Later checks, which stand on it, are left out."""
    code, found = await findings("--codex-home", str(tmp_path / "none"))
    assert code == 1
    assert list(found) == ["package", "binary", "CODEX_HOME"]
    assert found["CODEX_HOME"]["way_out"].startswith("mkdir -p ")
    (tmp_path / "file").touch()
    _, found = await findings("--codex-home", str(tmp_path / "file"))
    assert found["CODEX_HOME"]["text"].endswith("is not a folder")


async def test_a_binary_that_is_not_there_is_found() -> None:
    """By whatever way it was named."""
    for arguments, env in ((("--binary", "/no/such/file"), {}), ((), {"CODEX_BINARY": "/no/such/file"})):
        code, found = await findings(*arguments, **env)
        assert code == 1
        assert list(found) == ["package", "binary"]
        assert "pip install" in found["binary"]["way_out"]


async def test_a_binary_that_is_something_else_is_found(codex_home: Path, tmp_path: Path) -> None:
    """It can neither list its methods nor be greeted."""
    impostor = tmp_path / "codex"
    impostor.write_text("#!/bin/sh\necho 'Error: I am not codex' >&2\nexit 3\n")
    impostor.chmod(0o755)
    code, found = await findings("--codex-home", str(codex_home), CODEX_BINARY=str(impostor))
    assert code == 1
    assert found["binary"]["text"].endswith("(from $CODEX_BINARY)")
    assert found["protocol"]["state"] == "warning"
    assert found["app server"]["state"] == "wrong"
    assert "I am not codex" in found["app server"]["text"]


async def test_a_binary_of_another_version_is_told_apart(codex_home: Path, tmp_path: Path, codex_binary: Path) -> None:
    """What is new to us and what is gone is counted, by name; the rest is still checked."""
    other = tmp_path / "codex"
    change = "s,thread/fork,thread/spoon,"
    other.write_text(
        "#!/bin/sh\n"
        f'"{codex_binary}" "$@" || exit\n'
        'while [ $# -gt 0 ]; do [ "$1" = --out ] && sed -i "' + change + '" "$2/ClientRequest.json"; shift; done\n'
    )
    other.chmod(0o755)
    _, found = await findings("--binary", str(other), "--codex-home", str(codex_home))
    assert found["binary"]["text"].endswith("(from --binary)")
    assert found["protocol"]["state"] == "warning"
    assert "1 new to us (thread/spoon); 1 that we know are gone (thread/fork)" in found["protocol"]["text"]
    assert found["app server"]["state"] == "ok"
