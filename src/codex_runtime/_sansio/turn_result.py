"""What a turn came to: the values that a caller keeps after the stream is gone.

This file holds data and the few sentences that can be told from it; how the data comes about is the business of
:mod:`codex_runtime._sansio.turn`. All values are frozen; times are seconds.

The one idea: a result tells what the *server* said last about each item. Deltas only count where it said nothing more.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

from msgspec import Struct
from msgspec.structs import astuple

from codex_runtime._sansio.envelope import JsonValue, loads

__all__ = [
    "AgentMessage",
    "CommandRun",
    "FileChange",
    "Item",
    "ItemState",
    "PlanStep",
    "TokenCounts",
    "TokenUsage",
    "TurnFault",
    "TurnResult",
    "TurnStatus",
]

TurnStatus: TypeAlias = Literal["completed", "failed", "interrupted", "lost", "timed_out", "running"]
ItemState: TypeAlias = Literal["started", "completed", "closed"]


class TokenCounts(Struct, frozen=True, gc=False):
    """Tokens by kind. ``cached_input`` is part of ``input``, ``reasoning_output`` part of ``output``."""

    input: int = 0
    cached_input: int = 0
    output: int = 0
    reasoning_output: int = 0
    total: int = 0
    cache_write_input: int = 0

    def __sub__(self, other: TokenCounts) -> TokenCounts:
        """Kind by kind, never below zero."""
        return TokenCounts(*(max(0, a - b) for a, b in zip(astuple(self), astuple(other), strict=True)))


class TokenUsage(Struct, frozen=True, gc=False):
    """Tokens used: by the thread so far, by the last model response, and by this turn.

    ``context_window`` is the size of the model's window in tokens, if the server knows it.
    """

    total: TokenCounts
    last: TokenCounts
    turn: TokenCounts
    context_window: int | None = None


class TurnFault(Struct, frozen=True, gc=False):
    """Why a turn failed, or why the server is trying again.

    ``kind`` is the server's own word for it ("usageLimitExceeded", "contextWindowExceeded", "httpConnectionFailed",
    "other", ...): tell cases apart by it, never by ``message``. ``raw`` is the whole error as plain JSON values.
    """

    message: str
    kind: str = "other"
    http_status: int | None = None
    details: str | None = None
    raw: JsonValue = None

    def __str__(self) -> str:
        """The message."""
        return self.message


class AgentMessage(Struct, frozen=True, gc=False):
    """One message of the agent.

    ``phase`` is "commentary", "final_answer" or ``None`` where the model does not say. ``is_complete`` is false for
    the part of a message that had arrived when the turn ended; ``has_gap`` then says that the connection broke in the
    middle of it, so that pieces may be missing there.
    """

    text: str
    phase: str | None
    item_id: str
    is_complete: bool = True
    has_gap: bool = False


class FileChange(Struct, frozen=True, gc=False):
    """One file of a patch. For ``kind`` "add" the ``diff`` is the content of the file, for "update" its hunks."""

    path: str
    kind: str
    diff: str = ""
    move_path: str | None = None


class CommandRun(Struct, frozen=True, gc=False):
    """One command of the agent.

    ``command`` is what a person would type, ``raw_command`` what was started. ``status`` is "completed", "failed",
    "declined", or "inProgress" when the turn ended first: the command may then still run. ``output`` holds standard
    output and error as they came; when ``is_truncated``, its middle is missing.
    """

    command: str
    cwd: str
    status: str
    exit_code: int | None
    output: str
    duration: float | None
    item_id: str
    raw_command: str
    is_truncated: bool = False


class PlanStep(Struct, frozen=True, gc=False):
    """One step of the agent's plan; ``status`` is "pending", "inProgress" or "completed"."""

    step: str
    status: str


class Item(Struct, frozen=True, gc=False):
    """One item of the turn, of any kind, with the last message about it.

    ``state`` is "completed" if the server said so, "closed" if the turn ended first, "started" in a partial result.
    """

    id: str
    kind: str
    state: ItemState
    line: bytes = b""

    @property
    def data(self) -> dict[str, JsonValue]:
        """The item as plain JSON values, decoded on each use.

        Empty if no message brought the item whole, or if the turn's items were too big to be kept.
        """
        params = (loads(self.line) if self.line else {}).get("params")
        item = params.get("item") if isinstance(params, dict) else None
        return item if isinstance(item, dict) else {}

    def __repr__(self) -> str:
        """Leave the payload out."""
        return f"Item(id={self.id!r}, kind={self.kind!r}, state={self.state!r})"


class TurnResult(Struct, frozen=True, gc=False, kw_only=True):
    """What one turn came to.

    ``text`` is the final answer; ``messages`` has everything the agent said, in order, its comments on the way
    included. After a turn that did not complete, both hold what had arrived.

    ``commands`` are all commands, ``file_changes`` the changes that were applied (what was declined or failed is only
    in ``items``), ``diff`` the last diff over all of them. ``warnings`` are the first hundred. ``retries`` counts how
    often the server lost the model and tried again; ``error`` is set only if the turn failed.

    ``started_at`` is Unix time in seconds, ``duration`` is in seconds. ``turn_id`` is ``None`` if the server never told
    it. Items that complete after the turn has ended (a command left in the background) do not change a result.
    """

    thread_id: str
    turn_id: str | None
    status: TurnStatus
    text: str = ""
    messages: tuple[AgentMessage, ...] = ()
    reasoning: str = ""
    commands: tuple[CommandRun, ...] = ()
    file_changes: tuple[FileChange, ...] = ()
    items: tuple[Item, ...] = ()
    diff: str | None = None
    plan: tuple[PlanStep, ...] = ()
    usage: TokenUsage | None = None
    error: TurnFault | None = None
    warnings: tuple[str, ...] = ()
    retries: int = 0
    started_at: float | None = None
    duration: float | None = None
    final_message: AgentMessage | None = None

    @property
    def is_completed(self) -> bool:
        """True if the turn ended as it should."""
        return self.status == "completed"

    @property
    def commentary(self) -> tuple[AgentMessage, ...]:
        """Every message but the one that ``text`` is taken from."""
        return tuple(message for message in self.messages if message is not self.final_message)

    def __str__(self) -> str:
        """The final answer."""
        return self.text
