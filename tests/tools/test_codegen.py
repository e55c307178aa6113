"""The command line of the generator: what is committed is what the pinned schema gives, and what the binary says."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tools.codegen import load
from tools.codegen.__main__ import APPSERVER, PROTOCOL, ROOT, check, main, render, write


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder with the pinned schema and freshly generated files."""
    shutil.copytree(ROOT / "schema", tmp_path / "schema")
    write(tmp_path)
    return tmp_path


def test_the_committed_files_are_up_to_date() -> None:
    """Nobody edited a generated file, and nobody forgot to generate."""
    assert check(ROOT) == []


def test_check_names_what_was_changed_or_lost_or_left_over(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The exit status stops a build, the names tell where to look."""
    assert main(["--check", "--root", str(checkout)]) == 0
    with (checkout / PROTOCOL / "turn.py").open("a") as file:
        file.write("\n# by hand\n")
    (checkout / APPSERVER).unlink()
    (checkout / PROTOCOL / "old.py").touch()
    assert main(["--check", "--root", str(checkout)]) == 1
    said = capsys.readouterr().err.splitlines()
    assert [line.rpartition(" ")[2] for line in said] == [
        str(APPSERVER),
        str(PROTOCOL / "old.py"),
        str(PROTOCOL / "turn.py"),
    ]


def test_writing_repairs_everything(checkout: Path) -> None:
    """Also what is left over from an earlier version goes."""
    (checkout / PROTOCOL / "turn.py").write_text("")
    (checkout / PROTOCOL / "old.py").touch()
    assert main(["--root", str(checkout)]) == 0
    assert check(checkout) == []


def test_a_pinned_file_that_was_edited_is_refused(checkout: Path) -> None:
    """Facts come from the binary only."""
    version = load.read_pinned(checkout / "schema").version
    with (checkout / "schema" / f"codex-{version}" / "methods.json").open("a") as file:
        file.write("\n")
    with pytest.raises(ValueError, match=r"methods\.json differs"):
        load.read_pinned(checkout / "schema")


def test_the_generated_text_is_formatted(checkout: Path) -> None:
    """The layout is the formatter's, without running it."""
    command = [sys.executable, "-m", "ruff", "format", "--isolated", "--no-cache", "--line-length", "120", "--check"]
    done = subprocess.run([*command, str(checkout / "src")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_generated_text_says_where_it_comes_from() -> None:
    """Version, command and the sum of the facts."""
    digest = load.fingerprint(ROOT / "schema")
    for path, text in render(ROOT).items():
        head = text.splitlines()[:3]
        assert "do not edit" in head[0], path
        assert "codex app-server generate-json-schema" in head[1], path
        assert head[2] == f"# facts sha256: {digest}", path


def test_the_real_binary_says_what_is_pinned(
    checkout: Path, codex_binary: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Pinning the same version again changes nothing, and there is no difference to report."""
    before = {path: path.read_bytes() for path in sorted((checkout / "schema").rglob("*.json"))}
    assert main(["--diff", str(codex_binary), "--root", str(checkout)]) == 0
    assert capsys.readouterr().out.splitlines()[1:] == ["no difference"]
    (checkout / "schema" / "codex-0.0.1").mkdir()
    assert main(["--pin", str(codex_binary), "--root", str(checkout)]) == 0
    assert {path: path.read_bytes() for path in sorted((checkout / "schema").rglob("*.json"))} == before
    assert not (checkout / "schema" / "codex-0.0.1").exists()


def test_no_prose_is_pinned() -> None:
    """Facts are short; no sentence of upstream's is among them."""
    texts: set[str] = set()

    def collect(value: object) -> None:
        match value:
            case str():
                texts.add(value)
            case list():
                for item in value:
                    collect(item)
            case dict():
                for key, item in value.items():
                    texts.add(key)
                    collect(item)

    for path in sorted((ROOT / "schema").glob("codex-*/*.json")):
        collect(json.loads(path.read_text()))
    assert {text for text in texts if " " in text} == set()
