"""Everything that a turn gathers while it runs: items, texts, diff, plan, usage, warnings.

:class:`TurnFold` takes messages that are known to belong to the turn, one method for each kind, and can tell at any time
what they add up to. Whether a message belongs, and when the turn begins and ends, is decided in
:mod:`codex_runtime._sansio.turn`.

The one idea: memory is bounded for everything but the agent's own words. Outputs of commands lose their middle, and
the messages behind the items are kept only as long as there is room.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar, TypeAlias

import msgspec

from codex_runtime._sansio.envelope import Envelope, JsonValue, params_of
from codex_runtime._sansio.turn_buffer import OUTPUT_LIMIT, TextWindow
from codex_runtime._sansio.turn_events import (
    CommandInput,
    CommandOutput,
    DiffUpdated,
    ErrorReported,
    FileChangeUpdated,
    OtherNotification,
    PlanDelta,
    PlanUpdated,
    ReasoningDelta,
    RequestResolved,
    RetryNotice,
    TextDelta,
    TokenUsageUpdated,
    ToolProgress,
    TurnEvent,
    TurnWarning,
)
from codex_runtime._sansio.turn_fill import has_made_up_id, is_finished, miss, rest, unheard
from codex_runtime._sansio.turn_items import (
    ItemFold,
    file_changes,
    mapping,
    number,
    plan_steps,
    text,
    text_or_none,
    token_counts,
    turn_fault,
)
from codex_runtime._sansio.turn_result import (
    AgentMessage,
    PlanStep,
    TokenCounts,
    TokenUsage,
    TurnFault,
    TurnResult,
    TurnStatus,
)

__all__ = ["NOTHING", "Events", "TurnFold", "other"]

Events: TypeAlias = Sequence[TurnEvent]

NOTHING: Events = ()

WARNING_LIMIT = 100

# What one result may hold beside the agent's own words: commands' outputs (characters) and items' messages (bytes).
OUTPUT_BUDGET = 32 * OUTPUT_LIMIT
LEAST_OUTPUT = 16 * 1024
LINE_BUDGET = 32 * 1024 * 1024


class TurnFold:
    """What a turn has come to so far."""

    def __init__(self, used_before: TokenCounts | None = None) -> None:
        self.last_error: TurnFault | None = None
        self._items: list[ItemFold] = []
        self._by_id: dict[str | None, ItemFold] = {}
        self._diff: str | None = None
        self._plan: tuple[PlanStep, ...] = ()
        self._usage: TokenUsage | None = None
        self._used_before = used_before
        self._warnings: list[str] = []
        self._retries = 0
        self._was_away = False
        self._output_room = OUTPUT_BUDGET
        self._line_room = LINE_BUDGET

    def result(
        self,
        thread_id: str,
        turn_id: str | None,
        status: TurnStatus,
        *,
        error: TurnFault | None = None,
        started_at: float | None = None,
        duration: float | None = None,
    ) -> TurnResult:
        """Add everything up."""
        messages = tuple(
            message
            for message in (fold.agent_message() for fold in self._items if fold.kind == "agentMessage")
            if message.text or message.is_complete
        )
        final = _final_message(messages, status)
        reasoning = (fold.reasoning_text() for fold in self._items if fold.kind == "reasoning")
        return TurnResult(
            thread_id=thread_id,
            turn_id=turn_id,
            status=status,
            text=final.text if final else "",
            final_message=final,
            messages=messages,
            reasoning="\n\n".join(filter(None, reasoning)),
            commands=tuple(fold.command_run() for fold in self._items if fold.kind == "commandExecution"),
            file_changes=tuple(change for fold in self._items for change in fold.applied_changes()),
            items=tuple(fold.item(is_over=status != "running") for fold in self._items),
            diff=self._diff,
            plan=self._plan,
            usage=self._usage,
            error=error,
            warnings=tuple(self._warnings),
            retries=self._retries,
            started_at=started_at,
            duration=duration,
        )

    def summarised(self, items: JsonValue) -> list[TurnEvent]:
        """Complete the messages that only the summary at the end of a turn has."""
        events: list[TurnEvent] = []
        for item in map(mapping, items if isinstance(items, list) else ()):
            item_id = text(item.get("id"))
            fold = self._by_id.get(item_id) or self._nameless(item)
            if item.get("type") == "agentMessage" and item_id and (fold is None or fold.state == "started"):
                events.append((fold or self._open(item_id, "agentMessage")).complete(item))
        return events

    def miss(self) -> tuple[str, ...]:
        """Take note that pieces of the items that run may have been missed. Returns their ids."""
        self._was_away = True
        running = [fold for fold in self._items if fold.state == "started"]
        for fold in running:
            miss(fold)
        return tuple(fold.id for fold in running)

    def fill(self, record: Sequence[dict[str, JsonValue]]) -> list[TurnEvent]:
        """Take over from the server's record what we have not heard, as if it came now."""
        events: list[TurnEvent] = []
        for known, item in unheard(self._items, record):
            fold = known
            if fold is None:
                fold = self._open(text(item.get("id")), text(item.get("type")))
                fold.is_nameless = has_made_up_id(item)
                events.append(fold.start(item))
            self._keep_line(fold, _line_of(item))
            if is_finished(item):
                events += rest(fold, item)
                events.append(self._complete(fold, item))
        return events

    def _nameless(self, item: dict[str, JsonValue]) -> ItemFold | None:
        """The message that the record already told, under an id of its own."""
        words = text(item.get("text"))
        told = (fold for fold in self._items if fold.is_nameless and fold.message and fold.message.text == words)
        return next(told, None)

    # --- Items ------------------------------------------------------------------------------------------------------

    def _open(self, item_id: str, kind: str) -> ItemFold:
        fold = self._by_id[item_id] = ItemFold(item_id, kind)
        self._items.append(fold)
        return fold

    def _running(self, item_id: str | None, kind: str) -> ItemFold | None:
        """The item that a delta belongs to, also if its start was not seen; ``None`` if it must be ignored."""
        fold = self._by_id.get(item_id)
        if fold is None:
            if not item_id:
                return None
            fold = self._open(item_id, kind)
            if self._was_away:
                miss(fold)  # it began while nobody heard it
        return fold if fold.state == "started" and fold.kind == kind else None

    def _keep_line(self, fold: ItemFold, line: bytes) -> None:
        """Remember the message itself, as long as there is room for it."""
        self._line_room += len(fold.line)
        fold.line = line if len(line) <= self._line_room else b""
        self._line_room -= len(fold.line)

    def _complete(self, fold: ItemFold, item: dict[str, JsonValue]) -> TurnEvent:
        event = fold.complete(item, max(LEAST_OUTPUT, min(OUTPUT_LIMIT, self._output_room)))
        self._output_room -= fold.output_size()
        return event

    def _item_started(self, envelope: Envelope) -> Events:
        item = mapping(params_of(envelope).get("item"))
        item_id, kind = text(item.get("id")), text(item.get("type"))
        if not item_id:
            return other(envelope)
        fold = self._by_id.get(item_id)
        if fold is None or fold.state != "started" or fold.kind != kind:
            fold = self._open(item_id, kind)
        self._keep_line(fold, envelope.raw)
        return (fold.start(item),)

    def _item_completed(self, envelope: Envelope) -> Events:
        item = mapping(params_of(envelope).get("item"))
        item_id, kind = text(item.get("id")), text(item.get("type"))
        if not item_id:
            return other(envelope)
        fold = self._by_id.get(item_id)
        if fold is None or fold.kind != kind:
            fold = self._open(item_id, kind)
        self._keep_line(fold, envelope.raw)
        return (self._complete(fold, item),)

    def _text_delta(self, envelope: Envelope) -> Events:
        params = envelope.shallow
        delta, item_id = params.delta, params.item_id
        fold = self._running(item_id, "agentMessage")
        if fold is None or item_id is None or delta is None:
            return NOTHING
        fold.pieces.append(delta)
        return (TextDelta(delta, item_id),)

    def _plan_delta(self, envelope: Envelope) -> Events:
        params = envelope.shallow
        fold = self._running(params.item_id, "plan")
        if fold is None or params.delta is None:
            return NOTHING
        fold.pieces.append(params.delta)
        return (PlanDelta(params.delta, fold.id),)

    def _reasoning_delta(self, envelope: Envelope) -> Events:
        params = envelope.shallow
        fold = self._running(params.item_id, "reasoning")
        if fold is None or params.delta is None:
            return NOTHING
        is_summary = envelope.method == "item/reasoning/summaryTextDelta"
        (fold.summary if is_summary else fold.pieces).append(params.delta)
        return (ReasoningDelta(params.delta, fold.id, is_summary),)

    def _reasoning_part(self, envelope: Envelope) -> Events:
        """A further part of a summary is a further paragraph, in the stream as in the completed text."""
        fold = self._running(envelope.shallow.item_id, "reasoning")
        if fold is None or not fold.summary:
            return NOTHING
        fold.summary.append("\n\n")
        return (ReasoningDelta("\n\n", fold.id, summary=True),)

    def _command_output(self, envelope: Envelope) -> Events:
        params = envelope.shallow
        fold = self._running(params.item_id, "commandExecution")
        if fold is None or params.delta is None:
            return NOTHING
        if fold.output is None:
            fold.output = TextWindow()
        fold.output.append(params.delta)
        return (CommandOutput(params.delta, fold.id),)

    def _command_input(self, envelope: Envelope) -> Events:
        return (CommandInput(text(params_of(envelope).get("stdin")), envelope.shallow.item_id or ""),)

    def _patch_updated(self, envelope: Envelope) -> Events:
        changes = file_changes(params_of(envelope).get("changes"))
        return (FileChangeUpdated(changes, envelope.shallow.item_id or ""),)

    def _tool_progress(self, envelope: Envelope) -> Events:
        return (ToolProgress(text(params_of(envelope).get("message")), envelope.shallow.item_id or ""),)

    # --- What happens around the items ------------------------------------------------------------------------------

    def _diff_updated(self, envelope: Envelope) -> Events:
        diff = text_or_none(params_of(envelope).get("diff"))
        if diff is None or diff == self._diff:  # the server repeats it after every model response
            return NOTHING
        self._diff = diff
        return (DiffUpdated(diff),)

    def _plan_updated(self, envelope: Envelope) -> Events:
        params = params_of(envelope)
        self._plan = plan_steps(params.get("plan"))
        return (PlanUpdated(text_or_none(params.get("explanation")), self._plan),)

    def _usage_updated(self, envelope: Envelope) -> Events:
        usage = mapping(params_of(envelope).get("tokenUsage"))
        total, last = token_counts(usage.get("total")), token_counts(usage.get("last"))
        if self._used_before is None:
            self._used_before = total - last
        self._usage = TokenUsage(total, last, total - self._used_before, number(usage.get("modelContextWindow")))
        return (TokenUsageUpdated(self._usage),)

    def _error(self, envelope: Envelope) -> Events:
        params = params_of(envelope)
        fault = turn_fault(params.get("error"))
        if fault is None:
            return other(envelope)
        if params.get("willRetry") is True:
            self._retries += 1
            return (RetryNotice(fault.message, fault.details, fault),)
        self.last_error = fault
        return (ErrorReported(fault),)

    def _warning(self, envelope: Envelope) -> Events:
        params = params_of(envelope)
        message = text(params.get("message")) or text(params.get("summary"))
        return self.warn(message, text_or_none(params.get("details")))

    def warn(self, message: str, details: str | None = None) -> Events:
        """Take note of a warning, the server's or ours."""
        if len(self._warnings) < WARNING_LIMIT:
            self._warnings.append(message)
        return (TurnWarning(message, details),)

    def _request_resolved(self, envelope: Envelope) -> Events:
        request_id = params_of(envelope).get("requestId")
        if isinstance(request_id, bool) or not isinstance(request_id, (int, str)):
            return NOTHING
        return (RequestResolved(request_id),)

    OF_TURN: ClassVar[Mapping[str, Handler]] = {
        "turn/diff/updated": _diff_updated,
        "turn/plan/updated": _plan_updated,
        "thread/tokenUsage/updated": _usage_updated,
        "error": _error,
        "warning": _warning,
        "guardianWarning": _warning,
        "serverRequest/resolved": _request_resolved,
        "item/started": _item_started,
        "item/completed": _item_completed,
        "item/agentMessage/delta": _text_delta,
        "item/plan/delta": _plan_delta,
        "item/reasoning/summaryTextDelta": _reasoning_delta,
        "item/reasoning/textDelta": _reasoning_delta,
        "item/reasoning/summaryPartAdded": _reasoning_part,
        "item/commandExecution/outputDelta": _command_output,
        "item/commandExecution/terminalInteraction": _command_input,
        "item/fileChange/patchUpdated": _patch_updated,
        "item/mcpToolCall/progress": _tool_progress,
    }
    """What to call for a message that names the turn."""

    OF_THREAD: ClassVar[Mapping[str, Handler]] = {
        "error": _error,
        "warning": _warning,
        "guardianWarning": _warning,
        "configWarning": _warning,
        "deprecationNotice": _warning,
        "serverRequest/resolved": _request_resolved,
    }
    """What to call for a message that names the thread but no turn."""


Handler: TypeAlias = Callable[[TurnFold, Envelope], Events]


def other(envelope: Envelope) -> Events:
    """The event for a message that has none of its own."""
    return (OtherNotification(envelope.method or "", envelope),)


def _line_of(item: dict[str, JsonValue]) -> bytes:
    """The message that would have brought the item; empty if it cannot be written."""
    try:
        return msgspec.json.encode({"params": {"item": item}})
    except (ValueError, RecursionError, msgspec.MsgspecError):
        return b""  # half of a surrogate pair, say


def _final_message(messages: tuple[AgentMessage, ...], status: TurnStatus) -> AgentMessage | None:
    """The last message that is marked as the answer, else the last one.

    A message that stays open in a turn that completed was replaced by another one (a review does so).
    """
    whole = tuple(message for message in messages if message.is_complete)
    candidates = whole or messages if status == "completed" else messages
    answers = [message for message in candidates if message.phase == "final_answer"]
    return next(reversed(answers or candidates), None)
