"""What can happen in a turn, as values to match on.

::

    match event:
        case TextDelta(text):
            print(text, end="")
        case CommandStarted(command):
            print(f"$ {command}")
        case TurnCompleted(result):
            print(result.status)

The first field of each event is the one that a reader wants most. This file holds data only; which message makes which
event is told in :mod:`codex_runtime._sansio.turn`. Texts named ``status`` are the server's words ("inProgress",
"completed", "failed", "declined") and may be new ones tomorrow. Durations are seconds.
"""

from __future__ import annotations

from typing import Generic, TypeAlias, TypeVar

from msgspec import Struct

from codex_runtime._sansio.envelope import Envelope, JsonValue, RpcId
from codex_runtime._sansio.turn_result import FileChange, PlanStep, TokenUsage, TurnFault, TurnResult

__all__ = [
    "ApprovalRequested",
    "CommandCompleted",
    "CommandInput",
    "CommandOutput",
    "CommandStarted",
    "DiffUpdated",
    "ErrorReported",
    "FileChangeCompleted",
    "FileChangeStarted",
    "FileChangeUpdated",
    "ItemCompleted",
    "ItemStarted",
    "OtherNotification",
    "PlanCompleted",
    "PlanDelta",
    "PlanUpdated",
    "ReasoningCompleted",
    "ReasoningDelta",
    "Reconnected",
    "RequestResolved",
    "RetryNotice",
    "TextCompleted",
    "TextDelta",
    "TokenUsageUpdated",
    "ToolCompleted",
    "ToolProgress",
    "ToolStarted",
    "TurnCompleted",
    "TurnEvent",
    "TurnStarted",
    "TurnWarning",
    "WebSearchCompleted",
    "WebSearchStarted",
]

TicketT_co = TypeVar("TicketT_co", covariant=True)


class TurnStarted(Struct, frozen=True, gc=False):
    """The turn runs. Comes before all other events of the turn; from here on it can be interrupted."""

    turn_id: str


class TurnCompleted(Struct, frozen=True, gc=False):
    """The turn is over, in whatever way: see ``result.status``. Always the last event, and always there."""

    result: TurnResult


# --- What the agent says --------------------------------------------------------------------------------------------


class TextDelta(Struct, frozen=True, gc=False):
    """The next piece of a message of the agent."""

    text: str
    item_id: str


class TextCompleted(Struct, frozen=True, gc=False):
    """A message of the agent is complete. ``phase`` is "commentary", "final_answer" or ``None``."""

    text: str
    item_id: str
    phase: str | None = None


class ReasoningDelta(Struct, frozen=True, gc=False):
    """The next piece of the agent's reasoning, or of the summary of it."""

    text: str
    item_id: str
    summary: bool = True


class ReasoningCompleted(Struct, frozen=True, gc=False):
    """A stretch of reasoning is complete. Many models show only the ``summary``."""

    summary: str
    text: str
    item_id: str


class PlanUpdated(Struct, frozen=True, gc=False):
    """The agent wrote or ticked off its list of steps."""

    explanation: str | None
    steps: tuple[PlanStep, ...]


class PlanDelta(Struct, frozen=True, gc=False):
    """The next piece of the plan that is the answer in plan mode."""

    text: str
    item_id: str


class PlanCompleted(Struct, frozen=True, gc=False):
    """The plan that is the answer in plan mode is complete."""

    text: str
    item_id: str


# --- What the agent does --------------------------------------------------------------------------------------------


class CommandStarted(Struct, frozen=True, gc=False):
    """A command starts, or waits to be approved. ``command`` is what a person would type, ``raw_command`` all of it."""

    command: str
    cwd: str
    item_id: str
    raw_command: str
    source: str = "agent"


class CommandOutput(Struct, frozen=True, gc=False):
    """The next piece of a command's output. The server drops pieces of loud commands; the completion has it all.

    ``is_truncated`` says that we cut the middle out of it, because nobody read for a long time.
    """

    text: str
    item_id: str
    is_truncated: bool = False


class CommandInput(Struct, frozen=True, gc=False):
    """The agent typed something into a running command."""

    text: str
    item_id: str


class CommandCompleted(Struct, frozen=True, gc=False):
    """A command ended, failed or was declined. When ``is_truncated``, the middle of ``output`` is missing."""

    command: str
    status: str
    exit_code: int | None
    output: str
    duration: float | None
    item_id: str
    cwd: str
    raw_command: str
    is_truncated: bool = False


class FileChangeStarted(Struct, frozen=True, gc=False):
    """A patch is about to be applied, or waits to be approved."""

    changes: tuple[FileChange, ...]
    status: str
    item_id: str


class FileChangeUpdated(Struct, frozen=True, gc=False):
    """The agent still writes the patch; these are its changes so far."""

    changes: tuple[FileChange, ...]
    item_id: str


class FileChangeCompleted(Struct, frozen=True, gc=False):
    """A patch was applied ("completed"), failed or was declined."""

    changes: tuple[FileChange, ...]
    status: str
    item_id: str


class DiffUpdated(Struct, frozen=True, gc=False):
    """The diff over all changes of the turn is now this one."""

    diff: str


class ToolStarted(Struct, frozen=True, gc=False):
    """A tool is called: one of an MCP ``server``, or one of ours (then ``server`` is ``None``)."""

    tool: str
    arguments: JsonValue
    item_id: str
    server: str | None = None
    namespace: str | None = None


class ToolProgress(Struct, frozen=True, gc=False):
    """A running tool reports how far it is."""

    message: str
    item_id: str


class ToolCompleted(Struct, frozen=True, gc=False):
    """A tool call ended.

    ``result`` is the tool's own JSON: for MCP the result object, for ours the list of content items. ``error`` is a
    text for people.
    """

    tool: str
    status: str
    result: JsonValue
    error: str | None
    duration: float | None
    item_id: str
    arguments: JsonValue = None
    server: str | None = None
    namespace: str | None = None


class WebSearchStarted(Struct, frozen=True, gc=False):
    """A web search begins; the ``query`` may not be known yet."""

    query: str
    item_id: str


class WebSearchCompleted(Struct, frozen=True, gc=False):
    """A web search ended. ``action`` tells what was done: a search, a page opened, a text looked for in a page."""

    query: str
    item_id: str
    action: JsonValue = None


class ItemStarted(Struct, frozen=True, gc=False):
    """An item without an event of its own begins (also: a message or reasoning, before its first piece)."""

    kind: str
    item_id: str
    item: dict[str, JsonValue]


class ItemCompleted(Struct, frozen=True, gc=False):
    """An item without an event of its own is complete."""

    kind: str
    item_id: str
    item: dict[str, JsonValue]


# --- What happens around it -----------------------------------------------------------------------------------------


class TokenUsageUpdated(Struct, frozen=True, gc=False):
    """A model response was counted."""

    usage: TokenUsage


class RetryNotice(Struct, frozen=True, gc=False):
    """The server lost the model and tries again; the turn goes on, if need be for ever."""

    message: str
    details: str | None
    error: TurnFault


class ErrorReported(Struct, frozen=True, gc=False):
    """The server reports an error that it will not retry. The turn has not ended until :class:`TurnCompleted` comes."""

    error: TurnFault


class TurnWarning(Struct, frozen=True, gc=False):
    """The server warns of something. ``details`` are there for warnings about the configuration."""

    message: str
    details: str | None = None


class RequestResolved(Struct, frozen=True, gc=False):
    """A request of the server was settled: answered, or no longer of interest."""

    request_id: RpcId


class ApprovalRequested(Struct, Generic[TicketT_co], frozen=True):
    """The server asks for something and waits. The ``ticket`` takes the answer.

    Made by the layer that holds the tickets, not by the reducer.
    """

    ticket: TicketT_co


class Reconnected(Struct, frozen=True, gc=False):
    """The connection broke in mid-turn and there is one again, of the server with this ``generation``.

    What was finished meanwhile comes next, from the server's record. ``unfinished`` are the ids of the items that were in
    the middle. Of them, and of one that began meanwhile, pieces may be missing here for good; the completion has it all.
    """

    unfinished: tuple[str, ...]
    generation: int = 0


class OtherNotification(Struct, frozen=True, gc=False):
    """A notification of this turn that has no event of its own, perhaps one that is newer than this package."""

    method: str
    envelope: Envelope


TurnEvent: TypeAlias = (
    TurnStarted
    | TextDelta
    | TextCompleted
    | ReasoningDelta
    | ReasoningCompleted
    | PlanUpdated
    | PlanDelta
    | PlanCompleted
    | CommandStarted
    | CommandOutput
    | CommandInput
    | CommandCompleted
    | FileChangeStarted
    | FileChangeUpdated
    | FileChangeCompleted
    | DiffUpdated
    | ToolStarted
    | ToolProgress
    | ToolCompleted
    | WebSearchStarted
    | WebSearchCompleted
    | ItemStarted
    | ItemCompleted
    | TokenUsageUpdated
    | RetryNotice
    | ErrorReported
    | TurnWarning
    | RequestResolved
    | Reconnected
    | OtherNotification
    | TurnCompleted
)
