"""The demo keeps what it promises, with the real binary, on a terminal and without one."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from codex_runtime.cli._demo import program
from tests.cli.command_line import Terminal, piped

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.timeout(120)

CHAPTERS = [
    "1  An answer, streamed, with the reasoning before it",
    "2  A command that the sandbox refuses, and that needs your leave",
    "3  An edit, in a turn that may write to the workspace",
    "4  The app server is killed in mid-turn",
    "5  The same thread goes on",
]


def assert_whole(text: str, *, approvals: str) -> None:
    """Check all that the demo shows, whatever the answer to its question was."""
    places = [text.index(chapter) for chapter in CHAPTERS]
    assert places == sorted(places)
    assert "· A small folder." in text
    assert "Read-only file system" in text
    assert '│ +    return f"Hello {name}, nice to see you!"' in text
    assert "✓ on disk: greet.py has the new line" in text
    assert "SIGKILL to process" in text
    assert "✗ the turn was lost" in text
    assert "generation 1" in text
    assert "the command included, none is left" in text
    assert "✓ memory is intact: the model was sent 4 of the 4 earlier prompts" in text
    table = {line.split()[0]: " ".join(line.split()[1:]) for line in text[text.index("Summary") :].splitlines()[1:8]}
    assert table["turns"] == "4 completed, 1 lost"
    assert table["approvals"] == approvals
    assert table["restarts"] == "1 (killed by SIGKILL)"
    assert table["survivors"].startswith("0 ")


@pytest.mark.parametrize(
    ("called", "on_path", "named"),
    [
        ("my env/bin/codex-runtime", False, "'my env/bin/codex-runtime'"),
        (".venv/bin/codex-runtime", True, "codex-runtime"),
        ("/lib/codex_runtime/__main__.py", False, "codex-runtime"),
    ],
)
def test_what_comes_next_can_be_typed_as_it_is_told(called: str, named: str, tmp_path: Path, *, on_path: bool) -> None:
    """An environment that is not active has its command elsewhere than on PATH."""
    if on_path:
        (tmp_path / "codex-runtime").touch(mode=0o755)
    assert program(called, str(tmp_path)) == named


def is_empty(folder: Path) -> bool:
    """Tell whether nothing was left in a folder."""
    return list(folder.iterdir()) == []


@pytest.mark.parametrize(
    ("option", "approvals", "proof"),
    [("--yes", "1 accepted", "copy.py is there"), ("--no", "1 declined", "no copy.py")],
)
async def test_the_question_can_be_answered_beforehand(option: str, approvals: str, proof: str, tmp_path: Path) -> None:
    """On a terminal of 80 columns, in which every line fits but a path that one must see."""
    async with Terminal("demo", option, "--pace", "0", TMPDIR=str(tmp_path)) as terminal:
        assert await terminal.end() == 0
        text = terminal.text
    assert_whole(text, approvals=approvals)
    assert proof in text
    assert "[y]es" not in text
    assert max(len(line) for line in text.splitlines() if not line.startswith("  │ in: ")) <= 80
    assert is_empty(tmp_path)


async def test_a_person_answers() -> None:
    """The demo waits for the answer, and says what came of it."""
    async with Terminal("demo", "--pace", "0") as terminal:
        await terminal.see("? run this command?", "because: May I write into this folder?", "[c]ancel the turn")
        terminal.type("y\n")
        assert await terminal.end() == 0
        text = terminal.text
    assert_whole(text, approvals="1 accepted")


async def test_without_a_terminal_nobody_answers() -> None:
    """The question is declined at its deadline, for everybody to see; and there are no escape sequences."""
    ended = await piped("demo", "--pace", "0")
    assert (ended.code, ended.err) == (0, "")
    assert_whole(ended.out, approvals="1 declined")
    assert "nobody is at a terminal to answer; it is declined in 3.0 s" in ended.out
    assert "✗ declined: nobody answered in time" in ended.out
    assert "\x1b" not in ended.out


@pytest.mark.parametrize("place", ["[c]ancel the turn", "$ echo building"])
async def test_an_interrupt_ends_it_cleanly(place: str, tmp_path: Path) -> None:
    """Wherever it comes, nothing is left: no process (every test is checked for that) and no file."""
    options = [] if place.startswith("[") else ["--no"]
    async with Terminal("demo", *options, TMPDIR=str(tmp_path)) as terminal:
        await terminal.see(place)
        terminal.type("\x03")
        assert await terminal.end() == 130
        assert "error: interrupted; everything that was started has ended" in terminal.text
        assert "Traceback" not in terminal.text
    assert is_empty(tmp_path)


async def test_a_termination_ends_it_cleanly(tmp_path: Path) -> None:
    """As an interrupt, with another code."""
    async with Terminal("demo", "--no", TMPDIR=str(tmp_path)) as terminal:
        await terminal.see("What does this folder hold?")
        terminal.signal(signal.SIGTERM)
        assert await terminal.end() == 143
    assert is_empty(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (("--binary", "/no/such/file"), 3, "the configured binary is '/no/such/file'"),
        (("--pace", "-1"), 2, "--pace: must be a number of seconds from 0 to 1"),
    ],
)
async def test_wrong_input_is_one_clear_line(arguments: tuple[str, ...], code: int, text: str) -> None:
    """And nothing is started."""
    ended = await piped("demo", *arguments)
    assert (ended.code, ended.out) == (code, "")
    assert ended.err.startswith(f"error: {text}")
    assert ended.err.count("\n") == 1
