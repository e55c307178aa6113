"""One item of a turn: the server's JSON about it, read into our values and folded from first piece to last word.

Whatever is missing or of another type than promised becomes the mildest value of the promised type: nothing here raises
because of what the server wrote, and a field that we cannot read costs that field only.

The one idea: :class:`ItemFold` gathers pieces while an item runs; its completion replaces them, for it is the truth and
deltas may have been lost. What never completed is told from its pieces.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import ClassVar

from codex_runtime._sansio.envelope import JsonValue
from codex_runtime._sansio.turn_buffer import OUTPUT_LIMIT, TextWindow
from codex_runtime._sansio.turn_events import (
    CommandCompleted,
    CommandStarted,
    FileChangeCompleted,
    FileChangeStarted,
    ItemCompleted,
    ItemStarted,
    PlanCompleted,
    ReasoningCompleted,
    TextCompleted,
    ToolCompleted,
    ToolStarted,
    TurnEvent,
    WebSearchCompleted,
    WebSearchStarted,
)
from codex_runtime._sansio.turn_result import (
    AgentMessage,
    CommandRun,
    FileChange,
    Item,
    ItemState,
    PlanStep,
    TokenCounts,
    TurnFault,
)

__all__ = [
    "ItemFold",
    "file_changes",
    "mapping",
    "number",
    "paragraphs",
    "plan_steps",
    "seconds",
    "text",
    "text_or_none",
    "token_counts",
    "turn_fault",
    "typed_command",
]

# One quoted or bare stretch of a word of a shell's command line.
_STRETCH = re.compile(r"""'([^']*)'|"([^"\\]*(?:\\.[^"\\]*)*)"|([^\s'"\\]+)|\\(.)""", re.DOTALL)
_WRAPPER = re.compile(r"""\s*(?:\S*/)?(?:ba|z|da|k|a)?sh\s+-l?c\s+(?=\S)""")
_ESCAPED = re.compile(r'\\([$`"\\\n])')

# JSON has no bound for numbers; our arithmetic has.
_HUGE = 10**15


def mapping(value: JsonValue) -> dict[str, JsonValue]:
    """``value`` if it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def text(value: JsonValue) -> str:
    """``value`` if it is a string, else an empty one."""
    return value if isinstance(value, str) else ""


def text_or_none(value: JsonValue) -> str | None:
    """``value`` if it is a string."""
    return value if isinstance(value, str) else None


def paragraphs(value: JsonValue) -> str | None:
    """The strings of a list, as paragraphs."""
    return "\n\n".join(each for each in value if isinstance(each, str)) if isinstance(value, list) else None


def number(value: JsonValue) -> int | None:
    """``value`` if it is a whole number of sane size (``True`` is none)."""
    return value if isinstance(value, int) and not isinstance(value, bool) and abs(value) < _HUGE else None


def seconds(milliseconds: JsonValue) -> float | None:
    """Milliseconds of the wire as seconds."""
    value = number(milliseconds)
    return None if value is None else value / 1000


def typed_command(command: str) -> str:
    """What a person would have typed: the command without the ``/bin/bash -lc '...'`` around it.

    A command that is not exactly a shell, its flag and one word stays as it is.
    """
    wrapper = _WRAPPER.match(command)
    if wrapper is None:
        return command
    at, parts = wrapper.end(), list[str]()
    while at < len(command):
        stretch = _STRETCH.match(command, at)
        if stretch is None:
            return command
        single, double, bare, escaped = stretch.groups()
        parts.append(_ESCAPED.sub(r"\1", double) if double is not None else single or bare or escaped or "")
        at = stretch.end()
    return "".join(parts)


def _command_started(item: dict[str, JsonValue], item_id: str) -> CommandStarted:
    """Read a ``commandExecution`` item that begins."""
    raw = text(item.get("command"))
    source = text(item.get("source")) or "agent"
    return CommandStarted(typed_command(raw), text(item.get("cwd")), item_id, raw, source)


def file_changes(value: JsonValue) -> tuple[FileChange, ...]:
    """Read the ``changes`` of a ``fileChange`` item."""
    return tuple(_file_change(mapping(each)) for each in value) if isinstance(value, list) else ()


def _file_change(change: dict[str, JsonValue]) -> FileChange:
    kind = mapping(change.get("kind"))
    return FileChange(
        path=text(change.get("path")),
        kind=text(kind.get("type")) or text(change.get("kind")),
        diff=text(change.get("diff")),
        move_path=text_or_none(kind.get("move_path")),
    )


def plan_steps(value: JsonValue) -> tuple[PlanStep, ...]:
    """Read the steps of a plan."""
    steps = map(mapping, value) if isinstance(value, list) else ()
    return tuple(PlanStep(text(step.get("step")), text(step.get("status"))) for step in steps)


def _tool_started(item: dict[str, JsonValue], item_id: str) -> ToolStarted:
    """Read an ``mcpToolCall`` or ``dynamicToolCall`` item that begins."""
    return ToolStarted(
        tool=text(item.get("tool")),
        arguments=item.get("arguments"),
        item_id=item_id,
        server=text_or_none(item.get("server")),
        namespace=text_or_none(item.get("namespace")),
    )


def _tool_completed(item: dict[str, JsonValue], item_id: str) -> ToolCompleted:
    """Read an ``mcpToolCall`` or ``dynamicToolCall`` item that ended."""
    status = text(item.get("status"))
    content = item.get("contentItems")
    error = text_or_none(mapping(item.get("error")).get("message"))
    if error is None and status == "failed" and isinstance(content, list):
        error = "\n".join(text(mapping(each).get("text")) for each in content) or None
    return ToolCompleted(
        tool=text(item.get("tool")),
        status=status,
        result=content if "contentItems" in item else item.get("result"),
        error=error,
        duration=seconds(item.get("durationMs")),
        item_id=item_id,
        arguments=item.get("arguments"),
        server=text_or_none(item.get("server")),
        namespace=text_or_none(item.get("namespace")),
    )


def token_counts(value: JsonValue) -> TokenCounts:
    """Read one breakdown of tokens."""
    counts = mapping(value)
    return TokenCounts(
        input=number(counts.get("inputTokens")) or 0,
        cached_input=number(counts.get("cachedInputTokens")) or 0,
        output=number(counts.get("outputTokens")) or 0,
        reasoning_output=number(counts.get("reasoningOutputTokens")) or 0,
        total=number(counts.get("totalTokens")) or 0,
        cache_write_input=number(counts.get("cacheWriteInputTokens")) or 0,
    )


def turn_fault(value: JsonValue) -> TurnFault | None:
    """Read the error of a turn. Its kind comes as a word, or as an object with one key and details under it."""
    if not isinstance(value, dict):
        return None
    info = value.get("codexErrorInfo")
    kind, detail = info, None
    if isinstance(info, dict):
        kind, detail = next(iter(info.items()), (None, None))
    return TurnFault(
        message=text(value.get("message")),
        kind=text(kind) or "other",
        http_status=number(mapping(detail).get("httpStatusCode")),
        details=text_or_none(value.get("additionalDetails")),
        raw=value,
    )


class ItemFold:
    """One item while its turn runs, and what is known of it afterwards.

    ``pieces`` and ``summary`` take the deltas of a text, ``output`` those of a command. ``gap_at`` is how many of them there
    were when some were first missed; ``is_nameless`` says that ``id`` is not the server's own.
    """

    __slots__ = (
        "changes",
        "command",
        "gap_at",
        "id",
        "is_nameless",
        "kind",
        "line",
        "message",
        "output",
        "pieces",
        "reasoning",
        "state",
        "summary",
    )

    def __init__(self, item_id: str, kind: str) -> None:
        self.id = item_id
        self.kind = kind
        self.state: ItemState = "started"
        self.line = b""
        self.gap_at: int | None = None
        self.is_nameless = False
        self.pieces: list[str] = []
        self.summary: list[str] = []
        self.output: TextWindow | None = None
        self.command: CommandStarted | CommandCompleted | None = None
        self.message: TextCompleted | None = None
        self.reasoning: ReasoningCompleted | None = None
        self.changes: FileChangeStarted | FileChangeCompleted | None = None

    def start(self, item: dict[str, JsonValue]) -> TurnEvent:
        """Take the item as it begins."""
        match self.kind:
            case "commandExecution":
                self.command = _command_started(item, self.id)
                return self.command
            case "fileChange":
                self.changes = FileChangeStarted(file_changes(item.get("changes")), text(item.get("status")), self.id)
                return self.changes
            case "mcpToolCall" | "dynamicToolCall":
                return _tool_started(item, self.id)
            case "webSearch":
                return WebSearchStarted(text(item.get("query")), self.id)
            case _:
                return ItemStarted(self.kind, self.id, item)

    def complete(self, item: dict[str, JsonValue], output_limit: int = OUTPUT_LIMIT) -> TurnEvent:
        """Take the item as the server leaves it. Of a command's output, ``output_limit`` characters are kept."""
        self.state = "completed"
        if self.kind == "commandExecution":
            return self._complete_command(item, output_limit)
        complete = self._COMPLETE.get(self.kind)
        return ItemCompleted(self.kind, self.id, item) if complete is None else complete(self, item)

    def item(self, *, is_over: bool) -> Item:
        """The item as a result shows it."""
        state: ItemState = "closed" if is_over and self.state == "started" else self.state
        return Item(self.id, self.kind, state, self.line)

    def agent_message(self) -> AgentMessage:
        """The message, or the part of it that came."""
        if self.message is None:
            has_gap = self.gap_at is not None
            return AgentMessage("".join(self.pieces), None, self.id, is_complete=False, has_gap=has_gap)
        return AgentMessage(self.message.text, self.message.phase, self.id)

    def reasoning_text(self) -> str:
        """The summary of the reasoning, or the reasoning itself where there is none."""
        if self.reasoning is None:
            return "".join(self.summary) or "".join(self.pieces)
        return self.reasoning.summary or self.reasoning.text

    def command_run(self) -> CommandRun:
        """The command, with as much of its end as is known."""
        command = self.command or CommandStarted("", "", self.id, "")
        if isinstance(command, CommandStarted):
            output, is_truncated = self._output()
            return CommandRun(
                command=command.command,
                cwd=command.cwd,
                status="inProgress",
                exit_code=None,
                output=output,
                duration=None,
                item_id=self.id,
                raw_command=command.raw_command,
                is_truncated=is_truncated,
            )
        return CommandRun(
            command=command.command,
            cwd=command.cwd,
            status=command.status,
            exit_code=command.exit_code,
            output=command.output,
            duration=command.duration,
            item_id=self.id,
            raw_command=command.raw_command,
            is_truncated=command.is_truncated,
        )

    def applied_changes(self) -> tuple[FileChange, ...]:
        """The changes that are on disk now."""
        changes = self.changes
        is_applied = isinstance(changes, FileChangeCompleted) and changes.status == "completed"
        return changes.changes if changes is not None and is_applied else ()

    def output_size(self) -> int:
        """How many characters of a completed command's output are kept."""
        return len(self.command.output) if isinstance(self.command, CommandCompleted) else 0

    def _complete_message(self, item: dict[str, JsonValue]) -> TextCompleted:
        self.message = TextCompleted(self._text_of(item), self.id, text_or_none(item.get("phase")))
        return self.message

    def _complete_plan(self, item: dict[str, JsonValue]) -> PlanCompleted:
        return PlanCompleted(self._text_of(item), self.id)

    def _text_of(self, item: dict[str, JsonValue]) -> str:
        whole = text_or_none(item.get("text"))
        if whole is None:
            whole = "".join(self.pieces)
        self.pieces = []
        return whole

    def _complete_reasoning(self, item: dict[str, JsonValue]) -> ReasoningCompleted:
        summary, content = paragraphs(item.get("summary")), paragraphs(item.get("content"))
        self.reasoning = ReasoningCompleted(
            "".join(self.summary) if summary is None else summary,
            "".join(self.pieces) if content is None else content,
            self.id,
        )
        self.pieces, self.summary = [], []
        return self.reasoning

    def _complete_changes(self, item: dict[str, JsonValue]) -> FileChangeCompleted:
        self.changes = FileChangeCompleted(file_changes(item.get("changes")), text(item.get("status")), self.id)
        return self.changes

    def _complete_tool(self, item: dict[str, JsonValue]) -> ToolCompleted:
        return _tool_completed(item, self.id)

    def _complete_search(self, item: dict[str, JsonValue]) -> WebSearchCompleted:
        return WebSearchCompleted(text(item.get("query")), self.id, item.get("action"))

    def _complete_command(self, item: dict[str, JsonValue], output_limit: int) -> CommandCompleted:
        whole = text_or_none(item.get("aggregatedOutput"))
        if whole is not None:
            self.output = TextWindow(output_limit)
            self.output.append(whole)
        output, is_truncated = self._output()
        self.output = None
        begun = _command_started(item, self.id)
        self.command = CommandCompleted(
            command=begun.command,
            status=text(item.get("status")),
            exit_code=number(item.get("exitCode")),
            output=output,
            duration=seconds(item.get("durationMs")),
            item_id=self.id,
            cwd=begun.cwd,
            raw_command=begun.raw_command,
            is_truncated=is_truncated,
        )
        return self.command

    def _output(self) -> tuple[str, bool]:
        return ("", False) if self.output is None else (self.output.text(), self.output.is_truncated)

    _COMPLETE: ClassVar[Mapping[str, Callable[[ItemFold, dict[str, JsonValue]], TurnEvent]]] = {
        "agentMessage": _complete_message,
        "plan": _complete_plan,
        "reasoning": _complete_reasoning,
        "fileChange": _complete_changes,
        "mcpToolCall": _complete_tool,
        "dynamicToolCall": _complete_tool,
        "webSearch": _complete_search,
    }
