"""`codex-runtime replay`: a log of either kind as what it came to, for people and for programs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tests.cli.command_line import piped
from tests.cli.journals import two_turns

if TYPE_CHECKING:
    from pathlib import Path


async def test_a_log_is_told_as_turns_and_threads(tmp_path: Path) -> None:
    """The same from either kind of log; nothing in it steers a terminal."""
    await two_turns(tmp_path)
    outs = [await piped("replay", str(tmp_path / name)) for name in ("j", "log")]
    assert outs[0] == outs[1]
    assert (outs[0].code, outs[0].err) == (0, "")
    lines = outs[0].out.splitlines()
    assert lines[0].startswith("1 run · ")
    assert lines[0].endswith(" messages · 2 turns")
    assert lines[2].startswith("✓ completed · ")
    assert lines[2].endswith(" · turn-1 · thread thread-1")
    assert lines[3] == "    Two ␛[31mfiles."
    assert lines[5].startswith("✗ ")
    assert lines[6] == "    Half"
    assert lines[8].startswith("thread thread-1 · ")


async def test_programs_get_it_as_json(tmp_path: Path) -> None:
    """One record for the log, one for each turn, one for each thread."""
    await two_turns(tmp_path)
    ended = await piped("replay", "--json", str(tmp_path / "j"))
    records: list[dict[str, Any]] = [json.loads(line) for line in ended.out.splitlines()]
    assert [record["type"] for record in records] == ["log", "turn", "turn", "thread"]
    assert (records[0]["runs"], records[0]["missing"], records[0]["damaged"]) == (1, 0, 0)
    assert [record["text"] for record in records[1:3]] == ["Two \x1b[31mfiles.", "Half"]
    assert [turn["id"] for turn in records[3]["turns"]] == ["turn-1", "turn-2"]
    assert records[3]["turns"][0]["items"][1]["output"] == "a\nb\x1b[2J\n"
    assert "\x1b" not in ended.out


async def test_damage_is_told_and_the_rest_is_replayed(tmp_path: Path) -> None:
    """A log out of a crash is the one that people want to look at."""
    await two_turns(tmp_path)
    (tmp_path / "torn").write_bytes(b"\0\0\0\n" + (tmp_path / "log").read_bytes()[:-20])
    ended = await piped("replay", str(tmp_path / "torn"))
    assert ended.code == 0
    assert "! 0 messages missing, 2 places damaged" in ended.out


async def test_a_file_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    """It is a typing error, and said so."""
    ended = await piped("replay", str(tmp_path / "missing"))
    assert (ended.code, ended.out) == (2, "")
    assert ended.err == f"error: FILE: there is no file {tmp_path / 'missing'}\n"
