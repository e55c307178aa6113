"""The check of shown code finds what is false, and names the line of the document."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tools.snippets import ANSWER, find_snippets, main

if TYPE_CHECKING:
    from pathlib import Path


def document(folder: Path, *blocks: tuple[str, str, str]) -> Path:
    """Write a document of (mark, language, code) blocks."""
    path = folder / "page.md"
    path.write_text("\n".join(f"Words.\n\n{mark}\n```{language}\n{code}\n```\n" for mark, language, code in blocks))
    return path


def test_only_code_that_could_be_checked_is_looked_at(tmp_path: Path) -> None:
    """Output, drawings and data need no mark."""
    page = document(tmp_path, ("", "text", "drawing"), ("", "", "x"), ("<!-- snippet: run -->", "python", "pass"))
    assert [(one.language, one.line, one.how) for one in find_snippets(page)] == [("python", 19, "run")]


def test_code_without_a_mark_is_a_mistake(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is shown unchecked by accident; the mark of an earlier block does not count."""
    page = document(tmp_path, ("<!-- snippet: shown, no account here -->", "python", "1 / 0"), ("", "python", "pass"))
    assert main([str(page)]) == 1
    assert f"{page}:12: say how" in capsys.readouterr().out


def test_shown_code_needs_a_reason(tmp_path: Path) -> None:
    """A bare `shown` is no mark."""
    page = document(tmp_path, ("<!-- snippet: shown -->", "python", "1 / 0"))
    assert [one.how for one in find_snippets(page)] == [None]


def test_types_are_judged_and_placed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The complaint of mypy carries the line of the document, also in code that awaits."""
    code = "import asyncio\nawait asyncio.sleep(0)\nnumber: int = 'one'"
    page = document(tmp_path, ("<!-- snippet: types -->", "python", code))
    assert main([str(page)]) == 1
    assert f"{page}:7: error: Incompatible types" in capsys.readouterr().out


def test_code_runs_with_await_outside_of_functions(tmp_path: Path) -> None:
    """A snippet reads like a notebook."""
    code = "import asyncio, pathlib\nawait asyncio.sleep(0)\nassert not list(pathlib.Path().iterdir())"
    assert main([str(document(tmp_path, ("<!-- snippet: run -->", "python", code)))]) == 0


def test_code_that_fails_is_placed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The traceback names the line of the document."""
    page = document(tmp_path, ("<!-- snippet: run -->", "python", "x = 1\nx / 0"))
    assert main([str(page)]) == 1
    output = capsys.readouterr().out
    assert "ZeroDivisionError" in output
    assert f'page.md", line {6}' in output


@pytest.mark.parametrize(
    ("shown", "verdict"),
    [
        ("$ printf 'a\\nb\\nc\\n'\na\n...\nc", 0),
        ("$ printf 'a\\nb\\nc\\n'\nc\na", 1),
        ("$ true\n$ false", 1),
        ("$ python -c 'import codex_runtime'", 0),
    ],
)
def test_a_console_says_what_it_is_shown_to_say(tmp_path: Path, shown: str, verdict: int) -> None:
    """Commands end well, and the lines below them turn up in order."""
    assert main([str(document(tmp_path, ("<!-- snippet: run -->", "console", shown)))]) == verdict


def test_the_real_app_server_answers_a_snippet(tmp_path: Path) -> None:
    """A console command reaches the scripted model through the real binary, offline."""
    command = "codex_binary=$(python -c 'import codex_cli_bin as b; print(b.bundled_codex_path())')"
    ask = f"{command}; $codex_binary exec --skip-git-repo-check hello </dev/null"
    assert main([str(document(tmp_path, ("<!-- snippet: run -->", "console", f"$ {ask}\n...\n{ANSWER}")))]) == 0
