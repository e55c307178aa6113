"""The surface of the command line: help, version, wrong arguments, and a missing extra."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import TYPE_CHECKING

import pytest

from codex_runtime import __version__
from codex_runtime.cli._app import run_app
from codex_runtime.cli._exits import ExitCode
from tests.cli.command_line import Terminal, environment, piped

if TYPE_CHECKING:
    from pathlib import Path

# Runs the command line in an interpreter that does not find a package.
WITHOUT = """
import importlib.util, runpy, sys
found = importlib.util.find_spec
importlib.util.find_spec = lambda name, package=None: None if name in {missing!r} else found(name, package)
sys.argv = ["codex-runtime", "--version"]
runpy.run_module("codex_runtime", run_name="__main__")
"""


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """In one line."""
    assert run_app(["--version"]) == 0
    assert capsys.readouterr().out == f"codex-runtime {__version__}\n"


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], ["run", "-h"], ["demo", "-h"], ["doctor", "-h"]])
def test_help_fits_and_tells_the_exit_codes(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """On standard output, within 96 columns, in plain text."""
    assert run_app(arguments) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert "Exit codes" in out
    assert "\x1b" not in out
    assert max(len(line) for line in out.splitlines()) <= 96


def test_help_explains_every_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    """None is left to be guessed."""
    run_app(["run", "--help"])
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    assert [line for line in lines if line[:3].strip().isdigit()] == [
        f"{code.value}  {code.meaning}" for code in ExitCode
    ]


def test_no_command_is_wrong_but_gets_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    """A script that forgot it must notice."""
    assert run_app([]) == 2
    assert "Commands:" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["rum"], "error: No such command 'rum'"),
        (["--nonsense"], "error: No such option: --nonsense"),
        (["demo", "--pace", "fast"], "error: Invalid value for '--pace'"),
        (["run", "x", "--approve", "maybe"], "error: Invalid value for '--approve': 'maybe' is not one of"),
        (["run", "\x1b[2J", "--nonsense\x1b[2J"], r"error: No such option: --nonsense\x1b[2J"),
    ],
)
def test_wrong_arguments_are_one_line(arguments: list[str], text: str, capsys: pytest.CaptureFixture[str]) -> None:
    """On standard error, and harmless."""
    assert run_app(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(text)
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "command"),
    [
        (["rum"], "codex-runtime"),
        (["run"], "codex-runtime run"),
        (["log", "show", "--nonsense"], "codex-runtime log show"),
    ],
)
def test_wrong_arguments_name_the_help_of_their_command(
    arguments: list[str], command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The help of the whole program would not tell what was wrong."""
    assert run_app(arguments) == 2
    assert capsys.readouterr().err.endswith(f"; {command} --help tells more\n")


@pytest.mark.parametrize(("text", "prompt"), [(b"\xff", "-"), (b"", "a\udcff")])
async def test_a_prompt_that_is_no_text_is_refused(text: bytes, prompt: str) -> None:
    """Neither bytes of standard input nor those of an argument are guessed at."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "codex_runtime", "run", prompt),
        stdin=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment(),
    )
    _, err = await process.communicate(text)
    assert (process.returncode, err) == (2, b"error: PROMPT: is not UTF-8 text\n")


@pytest.mark.parametrize(
    ("missing", "named"), [(["typer"], "typer"), (["rich"], "rich"), (["typer", "rich"], "typer and rich")]
)
async def test_a_missing_extra_is_said_in_one_line(missing: list[str], named: str, tmp_path: Path) -> None:
    """With the command that installs it."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", WITHOUT.format(missing=missing)),
        stderr=asyncio.subprocess.PIPE,
        env=environment(),
        cwd=tmp_path,
    )
    _, err = await process.communicate()
    hint = f'error: the command line needs {named}; install with: pip install "codex-runtime[cli]"\n'
    assert (process.returncode, err.decode()) == (2, hint)


async def test_help_into_a_closed_pipe_is_quiet() -> None:
    """As with any program in a pipe."""
    reading, writing = os.pipe()
    os.close(reading)
    async with Terminal("run", "--help", stdout=writing) as terminal:
        os.close(writing)
        assert await terminal.end() == 141
        assert terminal.text == ""


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
async def test_closed_streams_end_nothing(closed: str, tmp_path: Path) -> None:
    """What would be written to one is dropped, and no file gets its number."""
    process = await asyncio.create_subprocess_exec(
        *("sh", "-c", f'exec "$@" {closed}', "sh", sys.executable, "-m", "codex_runtime", "doctor"),
        *("--binary", "/no/such/binary"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment(),
        cwd=tmp_path,
    )
    out, err = await process.communicate()
    assert (process.returncode, err) == (1, b"")
    assert (b"/no/such/binary" in out) is (">&-" not in closed.replace("2>&-", ""))


async def test_an_old_locale_ends_nothing() -> None:
    """What cannot be written is replaced."""
    ended = await piped("doctor", "--binary", "/no/such/ünïcode", PYTHONIOENCODING="ascii")
    assert (ended.code, ended.err) == (1, "")
    assert "/no/such/?n?code" in ended.out
