"""Shows the events of a turn to a person, as they come.

What the agent says flows in; what it does is a line with a mark, and below it what came of it::

    $ pytest -q
      │ 12 passed in 0.31s
      ✓ 0.4 s
    ± edit src/app.py  +1 -1
      │ -old
      │ +new
      ✓ applied

The one idea: only what will not change is written. Output and progress of what still runs are told in the status line,
and the block below a command is taken from its completion, which has the output as it really was.
"""

from __future__ import annotations

import time
from pathlib import PurePath
from typing import TYPE_CHECKING

import msgspec

from codex_runtime._sansio.display import one_line, visible
from codex_runtime.client import (
    CommandCompleted,
    CommandOutput,
    CommandStarted,
    Event,
    FileChange,
    FileChangeCompleted,
    FileChangeStarted,
    ItemCompleted,
    PlanCompleted,
    PlanDelta,
    PlanStep,
    PlanUpdated,
    ReasoningCompleted,
    ReasoningDelta,
    Reconnected,
    RetryNotice,
    TextCompleted,
    TextDelta,
    Ticket,
    ToolCompleted,
    ToolProgress,
    ToolStarted,
    TurnCompleted,
    TurnResult,
    TurnStarted,
    TurnWarning,
    WebSearchCompleted,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from codex_runtime.cli._screen import Screen

__all__ = ["TurnView", "seconds", "summary"]

INDENT = "  │ "
# How much of the output of a command, and of a patch, is shown.
OUTPUT_HEAD, OUTPUT_TAIL = 8, 4
PATCH_LINES = 60

_GOOD, _BAD, _NOTE = "green", "red", "yellow"
_PATCH_WORDS = {"add": "new file", "update": "edit", "delete": "delete"}
_PLAN_MARKS = {"completed": "✓", "inProgress": "▸"}


class TurnView:
    """Shows one turn on ``screen``; ``cwd`` shortens paths.

    Without ``with_text``, what the agent says and thinks is left out, because it goes elsewhere. ``in_full`` is for people
    who are going to be asked about commands and patches: nothing of them may be left out.
    """

    def __init__(self, screen: Screen, *, cwd: str, with_text: bool = True, in_full: bool = False) -> None:
        self._screen = screen
        self._cwd = cwd
        self._with_text = with_text
        self._in_full = in_full
        self._flowing = ""  # the item whose text flows
        self._flowed: set[str] = set()
        self._headed = ""  # the item whose head line is the last one
        self._running: dict[str, tuple[str, float]] = {}
        self._patches: dict[str, tuple[FileChange, ...]] = {}
        self._refused: set[str] = set()  # the items about which it was said already
        self._told = ""  # "says" or "does": an empty line parts the two

    def show(self, event: Event) -> None:  # noqa: C901, PLR0912  one line for each kind of event
        """Show one event."""
        match event:
            case TurnStarted():
                self._screen.status("thinking")
            case TextDelta(text, item_id):
                self._flow(item_id, text)
            case ReasoningDelta(text, item_id) | PlanDelta(text, item_id):
                self._flow(item_id, text, "dim italic" if isinstance(event, ReasoningDelta) else "")
            case TextCompleted(text, item_id) | PlanCompleted(text, item_id):
                self._flow_all(item_id, text)
            case ReasoningCompleted(summary, text, item_id):
                self._flow_all(item_id, summary or text, "dim italic")
            case CommandStarted(command, item_id=item_id):
                self._command_started(item_id, command)
            case CommandOutput(text, item_id):
                self._progress(item_id, text)
            case CommandCompleted():
                self._command_completed(event)
            case FileChangeStarted(changes, item_id=item_id):
                self._patch(item_id, changes)
            case FileChangeCompleted(changes, status, item_id) if item_id not in self._refused:
                self._patch(item_id, changes)
                self._ended(status, "applied" if status == "completed" else status)
            case ToolStarted(tool, arguments, item_id, server):
                self._tool_started(item_id, f"{server}.{tool}" if server else tool, arguments)
            case ToolProgress(message, item_id):
                self._progress(item_id, message)
            case ToolCompleted():
                self._tool_completed(event)
            case WebSearchCompleted(query):
                self._head("", "→ ", f"web search: {query}")
            case PlanUpdated(explanation, steps):
                self._plan(explanation, steps)
            case Reconnected(unfinished):
                missing = "; some text may be missing here" if unfinished else ""
                self._head("", "↻ ", f"connected again{missing}", _NOTE)
            case RetryNotice(message):
                self._head("", "↻ ", message, _NOTE)
            case TurnWarning(message, details):
                self._head("", "! ", f"{message}: {details}" if details else message, _NOTE)
            case ItemCompleted("contextCompaction"):
                self._head("", "· ", "the conversation was compacted", "dim")
            case TurnCompleted():
                self._screen.status()
                self._screen.fresh_line()
            case _:
                pass

    # -- what the agent says -------------------------------------------------------------------------------------

    def _flow(self, item_id: str, text: str, style: str = "") -> None:
        self._flowed.add(item_id)
        if not self._with_text:
            return
        if self._flowing != item_id:
            self._screen.status()
            self._part("says")
            self._flowing = item_id
            text = f"· {text}" if style else text
        self._screen.flow(text, style)

    def _flow_all(self, item_id: str, text: str, style: str = "") -> None:
        """End a text; write it if it came without pieces."""
        if item_id not in self._flowed and text:
            self._flow(item_id, text, style)
        self._flowing = ""
        self._screen.fresh_line()
        self._screen.status("thinking")

    def _part(self, what: str) -> None:
        self._screen.fresh_line()
        if self._told not in ("", what):
            self._screen.line()
        self._told = what

    # -- what it does --------------------------------------------------------------------------------------------

    def _head(self, item_id: str, mark: str, text: str, style: str = "") -> None:
        self._flowing = ""
        self._headed = item_id
        self._part("does")
        self._screen.line(text, style, mark=mark, mark_style=style or "bold", crop=not item_id)

    def _ended(self, status: str, text: str) -> None:
        good = status == "completed"
        self._screen.line(text, _GOOD if good else _BAD, mark="  ✓ " if good else "  ✗ ")
        self._headed = ""
        self._screen.status("thinking")

    def _command_started(self, item_id: str, command: str) -> None:
        self._command_head(item_id, command)
        self._running[item_id] = (command, time.monotonic())
        self._screen.status(f"running {command}")

    def _command_head(self, item_id: str, command: str) -> None:
        lines = [(text, "bold") for text in visible(command).split("\n")]
        self._head(
            item_id, "$ ", "\n".join(text for text, _ in _first(lines, None if self._in_full else OUTPUT_HEAD)), "bold"
        )

    def _progress(self, item_id: str, text: str) -> None:
        command, since = self._running.get(item_id, ("", time.monotonic()))
        words = text.rstrip().rpartition("\n")[2]
        self._screen.status(f"{seconds(time.monotonic() - since)} · {words or command}")

    def _command_completed(self, event: CommandCompleted) -> None:
        self._running.pop(event.item_id, None)
        if event.item_id in self._refused and not event.output:
            return
        if self._headed != event.item_id:
            self._command_head(event.item_id, event.command)
        self._screen.lines(_excerpt(event.output), indent=INDENT)
        took = [seconds(event.duration)] if event.duration is not None else []
        how = [] if event.status == "completed" else [event.status]
        if event.exit_code:
            how = [f"exit {event.exit_code}"]
        self._ended(event.status, " · ".join([*how, *took]) or "done")

    def _patch(self, item_id: str, changes: Sequence[FileChange]) -> None:
        if self._patches.get(item_id) == tuple(changes):
            if self._headed != item_id:
                self._head(item_id, "± ", ", ".join(self._short(change.path) for change in changes))
            return
        self._patches[item_id] = tuple(changes)
        for change in changes:
            lines = list(_patch_lines(change))
            added, removed = (sum(text.startswith(sign) for text, _ in lines) for sign in "+-")
            moved = f" → {self._short(change.move_path)}" if change.move_path else ""
            what = _PATCH_WORDS.get(change.kind, change.kind)
            self._head(item_id, "± ", f"{what} {self._short(change.path)}{moved}  +{added} -{removed}", "bold")
            self._screen.lines(
                _first(lines, None if self._in_full else PATCH_LINES), indent=INDENT, crop=not self._in_full
            )

    def _tool_started(self, item_id: str, name: str, arguments: object) -> None:
        self._head(item_id, "→ ", f"{name} {_json(arguments)}", "bold")
        self._running[item_id] = (name, time.monotonic())
        self._screen.status(f"calling {name}")

    def _tool_completed(self, event: ToolCompleted) -> None:
        self._running.pop(event.item_id, None)
        if self._headed != event.item_id:
            name = f"{event.server}.{event.tool}" if event.server else event.tool
            self._head(event.item_id, "→ ", f"{name} {_json(event.arguments)}", "bold")
        took = [seconds(event.duration)] if event.duration is not None else []
        how = [event.error] if event.error else [] if event.status == "completed" else [event.status]
        self._ended(event.status, " · ".join([*how, *took]) or "done")

    def settled(self, ticket: Ticket) -> None:
        """Say how a request of the server was answered, by whomever."""
        good = ticket.outcome in ("accepted", "answered")
        text = f"{ticket.outcome}: {ticket.reason}" if ticket.reason else f"{ticket.outcome}"
        self._screen.line(text, _GOOD if good else _BAD, mark="  ✓ " if good else "  ✗ ")
        self._headed = ticket.item_id or ""
        if not good and ticket.item_id is not None:
            self._refused.add(ticket.item_id)

    def _plan(self, explanation: str | None, steps: Sequence[PlanStep]) -> None:
        self._head("", "☰ ", one_line(explanation) if explanation else "plan", "bold")
        self._screen.lines(
            [(f"{_PLAN_MARKS.get(step.status, '·')} {one_line(step.step)}", "") for step in steps], indent="  "
        )

    def _short(self, path: str) -> str:
        try:
            return str(PurePath(path).relative_to(self._cwd))
        except ValueError:
            return path


def seconds(duration: float) -> str:
    """Say how long something took."""
    if duration < 10:  # noqa: PLR2004  where tenths are worth reading
        return f"{duration:.1f} s"
    minutes, rest = divmod(round(duration), 60)
    return f"{minutes} min{f' {rest} s' if rest else ''}" if minutes else f"{rest} s"


def summary(result: TurnResult) -> str:
    """What a turn came to, in a few words."""
    words = [seconds(result.duration)] if result.duration is not None else []
    if result.usage is not None:
        words.append(f"{result.usage.turn.total:,} tokens".replace(",", " "))
    for count, name in ((len(result.commands), "command"), (len(result.file_changes), "file")):
        if count:
            words.append(f"{count} {name}{'s' if count > 1 else ''}")
    return " · ".join(words)


def _first(lines: list[tuple[str, str]], room: int | None) -> list[tuple[str, str]]:
    if room is None or len(lines) <= room + 1:
        return lines
    return [*lines[:room], (f"… {len(lines) - room} more lines", "dim")]


def _excerpt(output: str) -> Iterator[tuple[str, str]]:
    lines = visible(output).rstrip().split("\n") if output.strip() else []
    left_out = len(lines) - OUTPUT_HEAD - OUTPUT_TAIL
    for number, text in enumerate(lines):
        if left_out <= 1 or number < OUTPUT_HEAD or number >= len(lines) - OUTPUT_TAIL:
            yield text, "dim"
        elif number == OUTPUT_HEAD:
            yield f"… {left_out} more lines", "dim"


def _patch_lines(change: FileChange) -> Iterator[tuple[str, str]]:
    # For a file that comes or goes, the server sends its content and not a diff.
    sign = {"add": "+", "delete": "-"}.get(change.kind, "")
    for text in visible(change.diff).removesuffix("\n").split("\n"):
        line = sign + text
        if line.startswith("@@"):
            yield line, "cyan"
        elif line.startswith(("+", "-")):
            yield line, _GOOD if line.startswith("+") else _BAD
        else:
            yield line, "dim"


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode() if value not in (None, {}) else ""
