"""S19, S27: what a child gets of our environment, and which file we run when somebody says a name."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any

import pytest

from codex_runtime import RuntimeConfig
from codex_runtime._io.binary import find_binary
from codex_runtime._io.process import ProcessLauncher, ProcessSpec
from codex_runtime._io.spawn import _inherited
from codex_runtime.errors import BinaryNotFoundError, ConfigError
from codex_runtime.runtime._launch import launcher_of
from tests.io.test_process_start import Recorder

if TYPE_CHECKING:
    from pathlib import Path

CANARY = "hunter2-canary"
NEEDED = {"PATH": "/usr/bin:/bin", "HOME": "/home/me", "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8", "CODEX_HOME": "/c"}
SECRETS = {"AWS_SECRET_ACCESS_KEY": CANARY, "DATABASE_URL": CANARY, "PATHS": CANARY, "XHOME": CANARY, "LC": CANARY}
TELL = "import json,os,sys; print('env', json.dumps(dict(os.environ)), flush=True); sys.stdin.read()"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of strangers to work in, with programs of theirs in it."""
    folder = tmp_path / "repository"
    folder.mkdir()
    for name in ("codex", "cat", "guard"):
        (folder / name).write_text("#!/bin/sh\necho pwned\n")
        (folder / name).chmod(0o755)
    monkeypatch.chdir(folder)
    return folder


def environment(monkeypatch: pytest.MonkeyPatch, inherit: tuple[str, ...]) -> set[str]:
    """The names that a child inherits from an environment of ours that is full of secrets."""
    for name, value in (NEEDED | SECRETS).items():
        monkeypatch.setenv(name, value)
    return set(_inherited(ProcessSpec(argv=("x",), inherit=inherit))) & set(NEEDED | SECRETS)


@pytest.mark.parametrize(
    ("inherit", "more"),
    [
        ((), set()),
        (("DATABASE_URL",), {"DATABASE_URL"}),
        (("AWS_*", "MISSING"), {"AWS_SECRET_ACCESS_KEY"}),
        (("AWS",), set()),
        (("*",), set(SECRETS)),
    ],
)
def test_a_child_inherits_what_it_needs_and_what_is_named(
    monkeypatch: pytest.MonkeyPatch, inherit: tuple[str, ...], more: set[str]
) -> None:
    """By its whole name, or by how it begins; everything only if that is said."""
    assert environment(monkeypatch, inherit) == {*NEEDED, *more}


@pytest.mark.parametrize("guarded", [True, False])
async def test_what_is_not_named_is_not_in_the_child(monkeypatch: pytest.MonkeyPatch, guarded: object) -> None:
    """Asked of the child itself, which the guardian started or we did."""
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    recorder = Recorder()
    argv = (sys.executable, "-c", TELL)
    spec = ProcessSpec(argv=argv, inherit=("LC_X*",), env={"MINE": "1", "HOME": None}, guarded=bool(guarded))
    child = await ProcessLauncher(spec).launch(recorder)
    told = json.loads(await recorder.line("env"))
    await child.aclose()
    assert CANARY not in str(told)
    assert (told["MINE"], told["PATH"], "HOME" in told) == ("1", os.environ["PATH"], False)
    # Nothing is there that is neither needed, nor given, nor our mark, nor an invention of the interpreter.
    ours = {"MINE", "LC_CTYPE"} | {name for name in told if name.startswith(("CODEX_", "XDG_", "LC_"))}
    needed = {"PATH", "USER", "LOGNAME", "SHELL", "TERM", "TZ", "LANG", "LANGUAGE", "TMPDIR", "TEMP", "TMP"}
    assert set(told) <= ours | needed | {"SSL_CERT_FILE", "SSL_CERT_DIR"}


def test_the_settings_of_a_runtime_say_what_is_inherited() -> None:
    """And what they cannot mean is told."""
    launcher: Any = launcher_of(RuntimeConfig(command=("x",), inherit_env=("A",)))
    assert launcher._spec.inherit == ("A",)
    launcher = launcher_of(RuntimeConfig(command=("x",)))
    assert launcher._spec.inherit == ()
    for wrong in ("PATH", (1,), 7, None):
        with pytest.raises(ConfigError, match="inherit_env"):
            RuntimeConfig(inherit_env=wrong)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="inherit_env"):
        RuntimeConfig(address="ws://127.0.0.1:1", inherit_env=("A",))


# -- S27 ---------------------------------------------------------------------------------------------------------------

POISON = ("", ".", ":", ":/nowhere", ".:/nowhere", "/nowhere:", "/nowhere::", "./", "../repository", "bin", "~")


@pytest.mark.parametrize("path", POISON)
def test_codex_is_never_found_where_one_happens_to_work(here: Path, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    """Whatever PATH says about "here"; neither by its own name, nor by one that was configured."""
    monkeypatch.setitem(sys.modules, "codex_cli_bin", None)
    for named in (None, "codex"):
        with pytest.raises(BinaryNotFoundError):
            find_binary(named, env={"PATH": path})
    with pytest.raises(BinaryNotFoundError):
        find_binary(env={"PATH": path, "CODEX_BINARY": "codex"})


@pytest.mark.parametrize("guarded", [True, False])
@pytest.mark.parametrize("path", [":", ".:/nowhere", "/nowhere::", "../repository"])
async def test_no_program_is_started_from_where_one_happens_to_work(here: Path, path: str, guarded: object) -> None:
    """Neither our folder nor the child's counts."""
    for cwd in (None, str(here)):
        spec = ProcessSpec(argv=("guard",), env={"PATH": path}, cwd=cwd, guarded=bool(guarded))
        with pytest.raises(BinaryNotFoundError):
            await ProcessLauncher(spec).launch(Recorder())


async def test_what_stands_behind_a_poisoned_entry_is_found(here: Path, tmp_path: Path) -> None:
    """The rest of PATH is as good as ever: the right one runs, and it is named by its whole path."""
    good = tmp_path / "bin"
    good.mkdir()
    (good / "guard").write_text("#!/bin/sh\necho good $0; cat\n")
    (good / "guard").chmod(0o755)
    path = f".::{good}:{os.environ['PATH']}"
    assert find_binary("guard", env={"PATH": path}) == good / "guard"
    recorder = Recorder()
    child = await ProcessLauncher(ProcessSpec(argv=("guard",), env={"PATH": path})).launch(recorder)
    assert await recorder.line("good") == str(good / "guard")
    await child.aclose()


def test_a_path_that_somebody_names_is_that_path(here: Path) -> None:
    """Whoever writes `./codex` means it; it becomes whole, so that it is the same file from any folder."""
    for named in ("./codex", here / "codex"):
        assert find_binary(named, env={}) == here / "codex"
    with pytest.raises(BinaryNotFoundError):
        find_binary("sub/../../codex", env={})


def test_a_package_beside_the_work_is_no_wheel(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The wheel is found by the import system, which looks where one works only if the interpreter was told to."""
    (here / "codex_cli_bin" / "bin").mkdir(parents=True)
    (here / "codex_cli_bin" / "bin" / "codex").write_text("#!/bin/sh\n")
    assert "" not in sys.path
    assert str(here) not in str(find_binary(env={"PATH": ""}))
