"""`codex-runtime log`: a journal as people and programs see it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from codex_runtime.testing import FakeAppServer
from tests.cli.command_line import Terminal, piped
from tests.cli.journals import logged, two_turns
from tests.runtime.rig import until

if TYPE_CHECKING:
    from pathlib import Path


async def test_turns_are_listed_with_their_ends(tmp_path: Path) -> None:
    """When, how it ended, how long it took, which, and what was asked."""
    ended = await piped("log", "list", await two_turns(tmp_path))
    assert (ended.code, ended.err) == (0, "")
    first, second = ended.out.splitlines()
    assert first.startswith("✓ 2")
    assert first.split()[3] == "completed"
    assert first.split()[6:] == ["turn-1", "thread-1", "list␤them"]
    assert second.startswith("✗ 2")
    assert second.split()[3:] == ["lost", "turn-2", "thread-1", "again"]
    newest = await piped("log", "list", str(tmp_path / "j"), "-n", "1", "--thread", "thread-1")
    assert newest.out.splitlines() == [second]


async def test_a_turn_is_shown_as_it_was(tmp_path: Path) -> None:
    """With its end, and with nothing in it that a terminal would obey."""
    path = await two_turns(tmp_path)
    ended = await piped("log", "show", path, "turn-1")
    lines = ended.out.splitlines()
    assert lines[:3] == ["$ ls -l", "  │ a", "  │ b␛[2J"]
    assert lines[-2] == "Two ␛[31mfiles."
    assert lines[-1].startswith("✓ completed · ")
    lost = await piped("log", "show", path, "turn-2")
    assert lost.out.splitlines()[0] == "Half"
    nobody = await piped("log", "show", path, "turn-9")
    assert (nobody.code, nobody.err) == (2, f"error: TURN: there is no turn turn-9 in {path}\n")


async def test_an_export_is_exact(tmp_path: Path) -> None:
    """The same bytes as the sink for JSON lines has written; narrowed, it is a part of them."""
    path = await two_turns(tmp_path)
    ended = await piped("log", "export", path)
    log = (tmp_path / "log").read_text()
    assert (ended.code, ended.out) == (0, log)
    narrowed = await piped("log", "export", path, "--thread", "thread-1", "--after", "20")
    lines = narrowed.out.splitlines(keepends=True)
    assert lines
    assert lines == [line for line in log.splitlines(keepends=True)[19:] if json.loads(line)["threadId"] == "thread-1"]


async def test_an_export_to_a_terminal_steers_nothing(tmp_path: Path) -> None:
    """It means the same, in other letters."""
    async with Terminal("log", "export", await two_turns(tmp_path)) as terminal:
        assert await terminal.end() == 0
        assert "\x1b" not in terminal.raw


async def test_the_newest_entries_are_shown(tmp_path: Path) -> None:
    """Text as text, everything else as it was on the wire, each on its line."""
    path = await two_turns(tmp_path)
    ended = await piped("log", "tail", path, "-n", "8")
    lines = ended.out.splitlines()
    assert len(lines) == 8
    assert any("← item/agentMessage/delta  Half" in line for line in lines)
    assert lines[-1].endswith("-- closed")
    narrowed = await piped("log", "tail", path, "--thread", "thread-1", "-n", "3")
    assert len(narrowed.out.splitlines()) == 3
    assert (await piped("log", "tail", path, "-n", "0")).out == ""


async def test_a_journal_can_be_watched_while_it_grows(tmp_path: Path) -> None:
    """From another process; Ctrl-C ends the watching, and all is well."""
    async with logged(tmp_path, FakeAppServer("Watched.")) as client:
        session = await client.start_session(cwd=tmp_path)
        await until(lambda: not client.runtime.metrics.sinks[0].pending)
        async with Terminal("log", "tail", "-f", str(tmp_path / "j"), columns=200) as terminal:
            await terminal.see("thread/start")
            await session.run("go")
            await terminal.see("turn/completed")
            terminal.type("\x03")
            assert await terminal.end() == 0
            cursors = [int(line.split()[2]) for line in terminal.text.splitlines() if line.startswith("2")]
            assert cursors == [*range(cursors[0], cursors[-1] + 1)]


async def test_what_is_no_journal_is_one_line(tmp_path: Path) -> None:
    """For a file that is not there and for one that is something else."""
    (tmp_path / "text").write_text("text\n" * 1000)
    for name, problem in (("missing", "there is no journal"), ("text", "cannot read the journal")):
        for command in (("list",), ("tail",), ("tail", "-f"), ("export",)):
            ended = await piped("log", *command, str(tmp_path / name))
            assert (ended.code, ended.out, ended.err.count("\n")) == (1, "", 1)
            assert ended.err.startswith(f"error: {problem}")
