"""The events of a turn for programs: one JSON object a line.

Every object has a ``type``, and that shape is stable: fields are added, never renamed or removed.

- ``session`` comes first: ``thread_id``, ``cwd``, ``model``, ``sandbox``, ``codex`` (its version).
- Then the events, each under the name of its class in :mod:`codex_runtime.client` in lower case with underscores
  (``text_delta``, ``command_completed``) and with its fields. Three differ: ``approval_requested`` has ``ticket_id``,
  ``method``, ``item_id`` and ``params``; ``other_notification`` has ``method`` and ``params``; ``turn_completed`` has
  ``status`` and ``turn_id`` only.
- ``approval_settled`` follows each ``approval_requested``: ``ticket_id``, ``method``, ``outcome``, ``reason``.
- ``result`` comes last, however the turn ended: all of the turn, with ``status`` and ``exit_code``. If there was no turn,
  an ``error`` stands in its place: ``message`` and ``exit_code``.

Texts are exact; only their spelling is chosen so that a terminal that shows them obeys nothing.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, TextIO

import msgspec

from codex_runtime._sansio.display import visible_json
from codex_runtime.client import ApprovalRequested, Event, OtherNotification, Ticket, TurnCompleted, TurnResult

if TYPE_CHECKING:
    from collections.abc import Mapping

    from codex_runtime.runtime import JsonValue

__all__ = ["JsonLines", "event_record", "result_record"]

_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])")


class JsonLines:
    """Writes records to ``stream``, each as soon as it is there."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, record: Mapping[str, JsonValue]) -> None:
        """Write one record."""
        self._stream.write(visible_json(json.dumps(record, ensure_ascii=False, separators=(",", ":"))) + "\n")
        self._stream.flush()

    def show(self, event: Event) -> None:
        """Write one event."""
        self.write(event_record(event))

    def settled(self, ticket: Ticket) -> None:
        """Write how a request of the server was answered."""
        self.write(
            {
                "type": "approval_settled",
                "ticket_id": ticket.id,
                "method": ticket.method,
                "outcome": ticket.outcome,
                "reason": ticket.reason,
            }
        )


def event_record(event: Event) -> dict[str, JsonValue]:
    """Return the record of an event."""
    name = _HUMP.sub("_", type(event).__name__).lower()
    match event:
        case ApprovalRequested(ticket):
            asked: dict[str, JsonValue] = {"ticket_id": ticket.id, "method": ticket.method, "item_id": ticket.item_id}
            return {"type": name, **asked, "params": ticket.params}
        case OtherNotification(method, envelope):
            return {"type": name, "method": method, "params": envelope.params}
        case TurnCompleted(result):
            return {"type": name, "status": result.status, "turn_id": result.turn_id}
        case _:
            return {"type": name, **msgspec.to_builtins(event)}


def result_record(result: TurnResult, *, exit_code: int) -> dict[str, JsonValue]:
    """Return the record of a result. Of the items, it tells ``id``, ``kind`` and ``state``."""
    fields: dict[str, JsonValue] = {
        name: msgspec.to_builtins(getattr(result, name))
        for name in result.__struct_fields__
        if name not in ("items", "final_message")
    }
    items: list[JsonValue] = [{"id": item.id, "kind": item.kind, "state": item.state} for item in result.items]
    return {"type": "result", **fields, "items": items, "exit_code": exit_code}
