"""What the state reads out of rarer messages, beyond the ids that every message tells.

Each function takes a message, or the line of one, and returns what it tells, as far as it can be read: nothing that a
server writes makes any of them raise.
"""

from __future__ import annotations

import msgspec
from msgspec import Raw, Struct, field

from codex_runtime._sansio.envelope import DECODE_ERRORS, Envelope, params_of

__all__ = ["CONTENT_KINDS", "TurnReport", "error_of", "item_content", "turn_report"]

CONTENT_KINDS = frozenset({"agentMessage", "plan", "commandExecution", "reasoning"})  # whose end tells their content


class TurnReport(Struct, frozen=True, rename="camel"):
    """What is used of the turn in ``turn/started`` and ``turn/completed``, without the items that it may repeat."""

    id: str | None = None
    root_turn_id: str | None = None
    status: str | None = None
    error: Raw = field(default_factory=lambda: Raw(b"null"))
    started_at: float | None = None
    completed_at: float | None = None
    duration_ms: float | None = None


class _TurnParams(Struct):
    turn: TurnReport


class _TurnLine(Struct):
    params: _TurnParams


class _Content(Struct, rename="camel"):
    text: str | None = None
    aggregated_output: str | None = None
    summary: list[str] = []
    content: list[str] = []


class _ContentParams(Struct):
    item: _Content


class _ContentLine(Struct):
    params: _ContentParams


class _ErrorParams(Struct):
    error: Raw = Raw(b"null")


class _ErrorLine(Struct):
    params: _ErrorParams


_decode_error = msgspec.json.Decoder(_ErrorLine).decode
_decode_turn = msgspec.json.Decoder(_TurnLine).decode
_decode_content = msgspec.json.Decoder(_ContentLine).decode


def turn_report(envelope: Envelope) -> TurnReport:
    """Read the turn that a message is about. Where its details cannot be read, its id and status still count."""
    try:
        return _decode_turn(envelope.raw).params.turn
    except DECODE_ERRORS:
        turn = params_of(envelope).get("turn")
        status = turn.get("status") if isinstance(turn, dict) else None
        ref = envelope.shallow.turn
        return TurnReport(id=ref.id if ref else None, status=status if isinstance(status, str) else None)


def error_of(envelope: Envelope) -> bytes:
    """Return the error that a message tells, as JSON text; ``null`` where there is none."""
    try:
        return bytes(_decode_error(envelope.raw).params.error)
    except DECODE_ERRORS:
        return b"null"


def item_content(kind: str, line: bytes) -> tuple[str | None, str | None]:
    """Return text and output as a completed item tells them; ``None`` for what it does not hold or cannot be read."""
    if kind not in CONTENT_KINDS:
        return None, None
    try:
        item = _decode_content(line).params.item
    except DECODE_ERRORS:
        return None, None
    if kind == "reasoning":
        return "\n\n".join(item.summary), "".join(item.content)
    return item.text, item.aggregated_output
