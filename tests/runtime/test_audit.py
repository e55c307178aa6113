"""The file of decisions: one line each, in order, and a loss is told where it was lost."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import msgspec
import pytest

from codex_runtime._sansio.server_requests import COMMAND
from codex_runtime.errors import ConfigError, StoreError
from codex_runtime.runtime import AuditLog, Decision, JsonlSink, read_jsonl
from codex_runtime.testing import FakeAppServer
from codex_runtime.testing._fake_script import Ask
from tests.runtime.rig import running

if TYPE_CHECKING:
    from pathlib import Path

YES = Decision(what=COMMAND, outcome="accepted", decider="reader", at=2.0, by="alice@example.org", reason="it's fine\n")


def lines(path: Path) -> list[dict[str, object]]:
    """What the file says."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_decision_is_a_line(tmp_path: Path) -> None:
    """It is in the file when the call returns, for its owner alone, and can be read back as what it was."""
    path = tmp_path / "audit.jsonl"
    log = AuditLog(path)
    assert not path.exists()
    log(YES)
    log(YES)
    log.close()
    assert path.stat().st_mode & 0o777 == 0o600
    assert [msgspec.json.decode(line, type=Decision) for line in path.read_bytes().splitlines()] == [YES, YES]
    assert lines(path)[0]["openedAt"] is None
    log(YES)
    log.close()
    assert (len(lines(path)), log.lost) == (3, 0)
    assert repr(log) == f"AuditLog({str(path)!r})"


def test_what_cannot_be_written_is_counted_and_told(tmp_path: Path) -> None:
    """At the place where it was lost."""
    folder = tmp_path / "in between"
    folder.mkdir()
    log = AuditLog(folder / "audit.jsonl", flush="always")
    folder.rmdir()
    for _ in range(2):
        with pytest.raises(StoreError):
            log(YES)
    folder.mkdir()
    log(YES)
    log(YES)
    log.close()
    assert [line.get("lost", line.get("outcome")) for line in lines(folder / "audit.jsonl")] == [
        2,
        "accepted",
        "accepted",
    ]
    assert log.lost == 2


def test_a_full_file_makes_way_for_a_new_one(tmp_path: Path) -> None:
    """And as many old ones stay as were asked for."""
    log = AuditLog(tmp_path / "a", rotate_bytes=1, keep=1)
    for _ in range(3):
        log(YES)
    log.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "a.1"]


@pytest.mark.parametrize("wrong", [{"flush": "sometimes"}, {"flush": "interval"}, {"rotate_bytes": 0}, {"keep": -1}])
def test_settings_are_checked(tmp_path: Path, wrong: dict[str, object]) -> None:
    """Before anything is opened. There is no interval: nobody would be there to keep it."""
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        AuditLog(tmp_path / "a", **wrong)  # type: ignore[arg-type]


async def test_a_line_leads_to_the_request_in_the_log_of_the_messages(tmp_path: Path) -> None:
    """By its number: what was asked, and a few lines later what was answered."""
    audit, log = AuditLog(tmp_path / "audit.jsonl"), JsonlSink(tmp_path / "log.jsonl")
    fake = FakeAppServer()

    def handler(ticket: object) -> None:
        ticket.accept(by="alice@example.org")  # type: ignore[attr-defined]

    async with running(fake, on_server_request=handler, on_decision=audit, sinks=(log,)):
        fake.play(Ask(COMMAND, {"threadId": "t", "turnId": "u", "itemId": "i", "command": "ls"}))
        await fake.until(lambda: bool(fake.answers))
    audit.close()
    (decision,) = lines(tmp_path / "audit.jsonl")
    messages = {each.seq: each for each in read_jsonl(tmp_path / "log.jsonl") if hasattr(each, "seq")}
    asked = messages[decision["seq"]]  # type: ignore[index]
    assert (asked.method, asked.params["command"], decision["by"]) == (COMMAND, "ls", "alice@example.org")
    answers = [each.message for each in messages.values() if each.kind == "answer"]
    assert answers == [{"id": asked.rpc_id, "result": {"decision": "accept"}}]


def test_a_folder_that_is_not_there_is_told_at_once(tmp_path: Path) -> None:
    """Not when the first decision is lost."""
    with pytest.raises(ConfigError, match=r"path: .*nowhere' is not a folder"):
        AuditLog(tmp_path / "nowhere" / "decisions.jsonl")
