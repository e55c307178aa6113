"""`codex-runtime replay`: what a log came to, be it a journal or JSON lines. A bug report becomes a look."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from codex_runtime.cli._exits import ExitCode, Failure

if TYPE_CHECKING:
    from collections.abc import Iterator

    from codex_runtime.journal import Record, Replay
    from codex_runtime.runtime import JsonValue

__all__ = ["REPLAY_HELP", "replay"]

REPLAY_HELP = """\
Fold a log into what the runtime knew: the state of its threads, and the result of each turn.

FILE is a journal, or a log of JSON lines. Nothing is started and nothing is sent.
"""

PAGE = 1000
_JOURNAL = b"SQLite format 3\0"


def replay(
    file: Annotated[str, typer.Argument(metavar="FILE", help="The log.")],
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Write it as JSON lines: log, turns, threads.")] = False,
) -> None:
    """Replay a log and say what it came to."""
    from codex_runtime.journal import replay as fold

    path = Path(file)
    if not path.is_file():
        raise Failure(ExitCode.USAGE, f"FILE: there is no file {file}")
    outcome = fold(_records(path))
    if outcome.damaged and not outcome.messages:
        raise Failure(ExitCode.USAGE, f"FILE: {file} is not a log: nothing in it is a message")
    if as_json:
        _write_json(outcome)
    else:
        _show(outcome)


def _records(path: Path) -> Iterator[Record]:
    from codex_runtime.journal import Journal
    from codex_runtime.runtime import read_jsonl

    with path.open("rb") as start:
        is_journal = start.read(len(_JOURNAL)) == _JOURNAL
    if not is_journal:
        yield from read_jsonl(path)
        return
    with Journal(path) as journal:
        after = 0
        while page := journal.read(after=after, limit=PAGE):
            yield from page
            after = page[-1].cursor


def _show(outcome: Replay) -> None:
    from codex_runtime.cli._screen import Screen
    from codex_runtime.cli._view import summary

    screen = Screen(sys.stdout)
    runs = f"{outcome.runs} run{'' if outcome.runs == 1 else 's'}"
    screen.line(f"{runs} · {outcome.messages} messages · {len(outcome.turns)} turns", "bold")
    if outcome.missing or outcome.damaged:
        screen.line(f"{outcome.missing} messages missing, {outcome.damaged} places damaged", "yellow", mark="! ")
    for turn in outcome.turns:
        good = turn.is_completed
        screen.line()
        words = [turn.status.replace("_", " "), summary(turn), turn.turn_id or "", f"thread {turn.thread_id}"]
        screen.line(
            " · ".join(word for word in words if word),
            "green" if good else "red",
            mark="✓ " if good else "✗ ",
        )
        if turn.error is not None:
            screen.line(turn.error.message, "red", mark="    ")
        if turn.text:
            screen.paragraph(turn.text, mark="    ")
    for thread in outcome.state.threads.values():
        screen.line()
        words = [f"thread {thread.id}", thread.status or "", f"{len(thread.turns)} turns", thread.cwd or ""]
        screen.line(" · ".join(word for word in words if word), "bold")
        for state in thread.turns.values():
            screen.line(f"{state.status} · {len(state.items)} items · {state.id}", "dim", mark="    ")


def _write_json(outcome: Replay) -> None:
    from codex_runtime.cli._jsonl import JsonLines, result_record

    lines = JsonLines(sys.stdout)
    totals = {name: getattr(outcome, name) for name in ("runs", "messages", "missing", "damaged")}
    lines.write({"type": "log", **totals})
    for turn in outcome.turns:
        record = result_record(turn, exit_code=0)
        lines.write({**{name: value for name, value in record.items() if name != "exit_code"}, "type": "turn"})
    for thread in outcome.state.threads.values():
        turns: list[JsonValue] = [
            {
                "id": turn.id,
                "status": turn.status,
                "items": [
                    {"id": item.id, "kind": item.kind, "status": item.status, "text": item.text, "output": item.output}
                    for item in turn.items.values()
                ],
            }
            for turn in thread.turns.values()
        ]
        about = {name: getattr(thread, name) for name in ("id", "name", "status", "active_turn", "model", "cwd")}
        lines.write({"type": "thread", **about, "turns": turns})
