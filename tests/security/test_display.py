"""S6, S20, S21: who agrees to something sees all of it; nothing that is shown steers a terminal, and no text is two records."""

from __future__ import annotations

import json
import random
import re
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from codex_runtime._sansio.display import one_line, visible, visible_json
from codex_runtime._sansio.wording import question_of
from codex_runtime.cli._app import run_app
from codex_runtime.cli._exits import ExitCode, Failure
from codex_runtime.cli._jsonl import JsonLines
from codex_runtime.client import Client
from codex_runtime.journal import Journal, JournalSink
from codex_runtime.runtime import AuditLog, Decision, JsonlSink, RuntimeConfig
from codex_runtime.runtime._jsonl import jsonl, read_jsonl
from codex_runtime.testing import Ask, Bytes, FakeAppServer, Notify, Say, Script
from tests.cli.command_line import Terminal
from tests.cli.pictures import Picture
from tests.runtime.rig import running, until
from tests.security.hostile_text import HEAD, STEERING, TAIL, TROJANS, steers, unseen

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LABELS = {"command", "length", "in", "because", "change", "diff", "write", "read", "network", "also", "message", "url"}
LABELS |= {"tool", "arguments", "description", "field", "question", "option", "files", "permissions", "form"}


def in_a_command(text: str) -> tuple[str, Any, list[Any]]:
    """In what is to be run, where, and why."""
    asked = {"itemId": "i", "command": text, "cwd": f"/ws/{text}", "reason": text, "something": text}
    return "item/commandExecution/requestApproval", asked, []


def in_a_patch(text: str) -> tuple[str, Any, list[Any]]:
    """In the path, the new path and the diff of a change, which only the item has."""
    kind = {"type": "update", "move_path": f"/ws/{text}"}
    item = {"type": "fileChange", "id": "i", "changes": [{"path": f"/ws/{text}", "kind": kind, "diff": text}]}
    return "item/fileChange/requestApproval", {"itemId": "i", "reason": text, "grantRoot": f"/{text}"}, [item]


def in_rights(text: str) -> tuple[str, Any, list[Any]]:
    """In the paths and the reason of a wish for more."""
    rights = {"fileSystem": {"write": [f"/{text}"], "read": [text]}, "network": {"enabled": text}}
    return "item/permissions/requestApproval", {"cwd": f"/{text}", "reason": text, "permissions": rights}, []


def in_an_elicitation(text: str) -> tuple[str, Any, list[Any]]:
    """In all that an MCP server may say."""
    asked = {
        "serverName": text,
        "message": text,
        "mode": "url",
        "url": f"http://{text}",
        "_meta": {"tool_params": text},
    }
    return "mcpServer/elicitation/request", {**asked, "requestedSchema": {"properties": {text: {"title": text}}}}, []


def in_questions(text: str) -> tuple[str, Any, list[Any]]:
    """In what a tool asks its user, and in what it offers."""
    option = {"label": text, "description": text}
    asked = {"questions": [{"id": "q", "header": text, "question": text, "options": [option]}]}
    return "item/tool/requestUserInput", asked, []


def in_the_old_words(text: str) -> tuple[str, Any, list[Any]]:
    """In a command of several words, one of which is the text."""
    return "execCommandApproval", {"command": ["bash", "-lc", text], "cwd": f"/{text}", "reason": text}, []


def in_an_old_patch(text: str) -> tuple[str, Any, list[Any]]:
    """In the name of a file and its content."""
    files = {f"/{text}": {"type": "add", "content": text}}
    return "applyPatchApproval", {"fileChanges": files, "reason": text}, []


def in_a_tool_call(text: str) -> tuple[str, Any, list[Any]]:
    """In its name and arguments."""
    return "item/tool/call", {"tool": text, "namespace": text, "arguments": {text: [text]}}, []


PLACES = [in_a_command, in_a_patch, in_rights, in_an_elicitation, in_questions]
PLACES += [in_the_old_words, in_an_old_patch, in_a_tool_call]


@pytest.mark.parametrize("place", PLACES)
def test_who_agrees_sees_all_of_it(place: Callable[[str], Any]) -> None:
    """Its beginning and its end, nothing between them that is not seen, and no line that pretends to be one of ours."""
    for trick, text in TROJANS.items():
        method, asked, items = place(text)
        shown = str(question_of(method, asked, items))
        assert unseen(shown) == [], trick
        assert visible(shown) == shown, trick
        squeezed = re.sub(r"[^a-z]", "", re.sub(r"<[^<>]*>|\\u[0-9a-f]{4}|\\[rntbf0]", "", shown.lower()))
        assert "gitstatus" in squeezed, trick
        assert "rmrfhome" in squeezed, trick
        for line in shown.split("\n")[1:]:
            label = re.match(r"  (\w+)", line)
            assert line.startswith("      ") or (label is not None and label[1] in LABELS), (trick, line)


def test_what_differs_in_the_least_is_shown_and_recorded_differently() -> None:
    """So that nobody agrees to one thing under the name of another."""
    texts = [f"{HEAD} {TAIL}", *TROJANS.values()]
    asked = [question_of("item/commandExecution/requestApproval", {"command": text, "cwd": "/ws"}) for text in texts]
    assert len(set(map(str, asked))) == len({question.digest for question in asked}) == len(texts)


def test_a_long_command_is_shown_whole_with_its_length_and_its_place() -> None:
    """The place and the length stand behind it, where somebody sees them whose screen was too short."""
    command = "echo " + "x" * 20_000 + " ; rm -rf /"
    shown = str(question_of("item/commandExecution/requestApproval", {"command": command, "cwd": "/ws"}))
    assert command in shown
    assert shown.endswith(f"\n  length: {len(command)} characters, 1 lines\n  in: /ws")


# -- S20: terminals ----------------------------------------------------------------------------------------------------


def test_nothing_that_is_shown_steers_a_terminal() -> None:
    """Whichever way of the screen it takes, whole or letter by letter, and as what the command ends with."""
    for text in (*STEERING, *TROJANS.values()):
        show_everywhere(text)


def show_everywhere(text: str) -> None:
    """Let a text take every way to a terminal."""
    picture = Picture()
    screen = picture.screen
    screen.line(text, mark="? ")
    screen.line(text, crop=True)
    screen.paragraph(text, mark="- ")
    screen.lines([(text, "")], indent="  ")
    screen.flow(text)
    for letter in text[:100]:
        screen.flow(letter)
    screen.prompt(text)
    screen.status(text)
    screen.status()
    assert steers(picture.raw) == []
    assert steers(Failure(ExitCode.FAILED, text).message) == []
    assert steers(visible_json(json.dumps(text, ensure_ascii=False))) == []
    lines = Picture(terminal=False)
    JsonLines(lines.screen._console.file).write({text: text})
    assert steers(lines.raw) == []
    assert json.loads(lines.raw) == {text: text}


def test_no_mixture_of_sequences_steers_a_terminal() -> None:
    """Nested, cut and doubled: a thousand times by chance."""
    chance = random.Random(20)
    pieces = [
        *STEERING,
        *(chr(code) for code in range(0x20)),
        *(chr(code) for code in range(0x7F, 0xA0)),
        "a",
        "[",
        "]",
    ]
    for _ in range(1_000):
        text = "".join(chance.choices(pieces, k=6))
        cut = chance.randrange(len(text) + 1)
        assert steers(visible(text)) == []
        assert steers(visible(text[:cut]) + visible(text[cut:])) == []
        assert steers(one_line(text)) == []
        assert "\n" not in one_line(text)


@pytest.mark.parametrize("argument", ["--\x1b]0;x\x07", "\x1b[2J", "log\x1b]52;c;eA==\x07"])
def test_a_wrong_argument_steers_nothing(argument: str, capsys: pytest.CaptureFixture[str]) -> None:
    """It may have been pasted."""
    assert run_app([argument]) == ExitCode.USAGE
    told = capsys.readouterr()
    assert steers(told.out + told.err) == []


async def test_a_log_that_is_looked_at_on_a_terminal_steers_nothing(tmp_path: Path) -> None:
    """In a real one, with all that a model said."""
    everything = "".join(STEERING) + " ".join(text for text in TROJANS.values() if len(text) < 1_000)
    fake = FakeAppServer(Script(Say(everything)))
    path = tmp_path / "journal"
    async with Client(RuntimeConfig(launcher=fake, sinks=(JournalSink(Journal(path)),))) as client:
        session = await client.start_session(cwd=tmp_path)
        turn_id = (await session.run(everything.replace("\x00", ""))).turn_id
        fake.play(Notify("x/\x1b]0;x\x07", {"threadId": "\x1b[2J", "x": everything}))
        await until(lambda: client.runtime.metrics.messages > 10)
    async with Terminal("log", "show", str(path), str(turn_id)) as terminal:
        assert await terminal.end() == 0
        assert len(terminal.raw) > 500
        assert steers(terminal.raw) == []


# -- S21: one record, one line -----------------------------------------------------------------------------------------

BREAKS = ("\n", "\r", "\r\n", "\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029", "\x00")
FORGED = '{"seq":0,"generation":0,"what":"x","outcome":"accepted","decider":"reader","at":1.0}'


async def test_no_text_makes_two_records_of_one(tmp_path: Path) -> None:
    """Whatever breaks a line for some reader, in every field that others write."""
    forged = "".join(f"{letter}{FORGED}{letter}" for letter in BREAKS)
    audit = AuditLog(tmp_path / "audit")
    options: dict[str, Any] = {"sinks": (JsonlSink(tmp_path / "log"),), "on_decision": audit}
    fake = FakeAppServer()
    asked = {"threadId": forged, "turnId": forged, "itemId": forged, "command": forged, "cwd": forged, "reason": forged}
    async with running(fake, on_server_request=lambda ticket: ticket.decline(forged, by=forged), **options) as runtime:
        fake.play(Notify(f"x{forged}", {"threadId": forged, "delta": forged, forged: forged}))
        fake.play(Ask("item/commandExecution/requestApproval", asked))
        await fake.until(lambda: bool(fake.answers))

        messages = runtime.metrics.messages
    audit.close()
    for name in ("log", "audit"):
        records = (tmp_path / name).read_bytes().split(b"\n")
        assert records.pop() == b""
        for record in records:
            told = json.loads(record)
            assert "message" in told or told["by"] == forged
            assert re.search(rb"[\x00-\x1f]", record) is None
    found = list(read_jsonl(tmp_path / "log"))
    assert sum(getattr(each, "direction", "") == "inbound" for each in found) == messages
    assert len((tmp_path / "audit").read_bytes().splitlines()) == 1


async def test_bytes_that_are_no_json_are_kept_as_data(tmp_path: Path) -> None:
    """A server that writes a bare carriage return into a text, or a record of ours: neither becomes a line of the log."""
    fake = FakeAppServer()
    odd = [
        b'{"method":"a","params":{"x":"\r%b\r"}}\n' % FORGED.encode(),
        b'{"method":"a","params":{"x":"\x0b%b"}}\n' % FORGED.encode(),
        b'{"method":"a"}\r{"seq":1}\n',
        b"\r%b\r\n" % FORGED.encode(),
        b'{"method":"a","params":\r{}\r}\n',
    ]
    async with running(fake, sinks=(JsonlSink(tmp_path / "log"),)) as runtime:
        before = runtime.metrics.messages
        fake.play(*(Bytes(line) for line in odd))
        await until(lambda: runtime.metrics.messages == before + len(odd))
    with (tmp_path / "log").open(encoding="utf-8") as log:  # which takes every kind of newline for one
        records = list(log)
    assert len(records) == len((tmp_path / "log").read_bytes().splitlines()) == len(list(read_jsonl(tmp_path / "log")))
    assert all(record.startswith('{"seq":') and '"message":' in record for record in records)


def test_a_decision_is_one_line_whatever_was_said() -> None:
    """By whom, why, and of what."""
    text = "".join(BREAKS) + FORGED
    decision = Decision(what=text, outcome="declined", decider="reader", at=1.0, by=text, reason=text, thread_id=text)
    line = msgspec.json.encode(decision)
    assert re.search(rb"[\x00-\x1f]", line) is None
    assert json.loads(line)["reason"] == text
    assert jsonl([]) == b""
