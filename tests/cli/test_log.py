"""`codex-runtime log`: a journal as people and programs see it."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from codex_runtime._sansio.envelope import Envelope, Stamp, decode_lines
from codex_runtime.journal._segment import mark
from codex_runtime.testing import FakeAppServer
from tests.cli.command_line import Terminal, piped
from tests.cli.journals import logged, two_turns
from tests.journal.stores import add, heard, writing
from tests.runtime.rig import until

if TYPE_CHECKING:
    from pathlib import Path


def named(seq: int, method: str, turn: str) -> Envelope:
    """Make a message about a turn."""
    line = json.dumps({"method": method, "params": {"threadId": "t", "turn": {"id": turn, "status": "completed"}}})
    return decode_lines([line.encode() + b"\n"], seq, Stamp(0, 1.0, 1.0))[0][0]


async def test_turns_are_listed_with_their_ends(tmp_path: Path) -> None:
    """Which, how it ended, how long it took, when, and what was asked."""
    ended = await piped("log", "list", await two_turns(tmp_path))
    assert (ended.code, ended.err) == (0, "")
    first, second = ended.out.splitlines()
    assert first.split()[:3] == ["✓", "turn-1", "completed"]
    assert first.split()[-1] == "list␤them"
    assert second.split()[:3] == ["✗", "turn-2", "lost"]
    assert second.split()[-1] == "again"
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


async def test_a_time_says_where_to_begin_and_to_end(tmp_path: Path) -> None:
    """As a date, or as so long ago; what is neither is said so."""
    path, now = str(tmp_path / "j"), time.time()
    with writing(tmp_path / "j") as writer:
        for number in range(100):
            add(writer, heard(number, at=now - 3600 * (99 - number) - 60))
    ended = await piped("log", "tail", path, "--since", "3h")
    assert [line.split()[2] for line in ended.out.splitlines()] == ["98", "99", "100"]
    since, until = (datetime.fromtimestamp(now - 3600 * ago, tz=UTC).isoformat() for ago in (50, 47))
    ended = await piped("log", "export", path, "--since", since, "--until", until)
    assert [json.loads(line)["seq"] for line in ended.out.splitlines()] == [50, 51, 52]
    narrowed = await piped("log", "export", path, "--until", until, "--after", "51", "--thread", "t")
    assert [json.loads(line)["seq"] for line in narrowed.out.splitlines()] == [51, 52]
    assert (await piped("log", "export", path, "--until", "1999-12-31")).out == ""
    assert (await piped("log", "tail", path, "--since", "2999-12-31")).out == ""
    for text in ("yesterday", "9" * 400 + "d"):
        wrong = await piped("log", "export", path, "--since", text)
        assert (wrong.code, wrong.err.count("\n")) == (2, 1)
        assert wrong.err.startswith(f"error: --since: '{text}' is no time; say 30s")


async def test_a_list_goes_back_as_far_as_it_has_to(tmp_path: Path) -> None:
    """To the start of the oldest turn that it shows, over what else there is, gaps too; and no turn is shown in part."""
    seq = 0
    with writing(tmp_path / "j") as writer:

        def turn(name: str, *, start: bool = True, end: bool = True) -> None:
            nonlocal seq
            if start:
                add(writer, named(seq, "turn/started", name))
                writer.append(
                    [mark("gap", 1, at=0.0, seq=seq, line=b'{"first_seq":0,"last_seq":0,"count":1}')], now=0.0
                )
            for _ in range(30):
                seq += 1
                add(writer, heard(seq, size=500))
            if end:
                add(writer, named(seq, "turn/completed", name))

        turn("first", start=False)
        turn("long", end=False)
        for number in range(5):
            turn(f"turn-{number}")
        turn("long", start=False)
    turns = {}
    for count in ("3", "6", "50"):
        ended = await piped("log", "list", str(tmp_path / "j"), "-n", count)
        turns[count] = [line.split()[1] for line in ended.out.splitlines()]
    rest = [f"turn-{number}" for number in range(5)]
    assert turns == {"3": rest[-3:], "6": ["long", *rest], "50": ["first", "long", *rest]}


async def test_a_reader_that_goes_away_ends_the_export(tmp_path: Path) -> None:
    """As `head` does, when it has seen enough."""
    with writing(tmp_path / "j") as writer:
        for number in range(0, 3000, 100):
            add(writer, *(heard(one, size=200) for one in range(number, number + 100)))
    for command in ("export", "tail -n 3000"):
        line = f"{sys.executable} -m codex_runtime log {command} {tmp_path / 'j'} | head -1"
        shell = await asyncio.create_subprocess_exec(
            *("bash", "-o", "pipefail", "-c", line), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        out, err = await shell.communicate()
        assert (shell.returncode, out.count(b"\n"), err) == (141, 1, b"")


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
