"""States of every shape for property tests: what a projection comes to, and values that no projection would make."""

from __future__ import annotations

import json
from types import MappingProxyType
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from codex_runtime._sansio.envelope import NO_STAMP, decode_lines
from codex_runtime._sansio.projection import Projection
from codex_runtime._sansio.state import (
    Connection,
    Evicted,
    ItemState,
    Notes,
    PendingRequest,
    RuntimeState,
    StateLimits,
    ThreadState,
    TurnState,
)

__all__ = ["fold_onto", "folded", "histories", "messages", "patient", "states"]

# These are big values: a busy machine takes its time over some of them.
patient = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])

texts = st.text(st.characters(codec=None), max_size=3)  # lone surrogates too
lines = st.binary(max_size=8) | st.sampled_from([b'{"params":{"item":{"text":"\xc3\xa4"}}}\n', b"\xff\n"])
seqs = st.integers(-9, 9)
notes = st.dictionaries(texts, lines, max_size=1).map(lambda told: Notes(MappingProxyType(told)) if told else Notes())


def _by_id(values: st.SearchStrategy[Any], key: str = "id") -> st.SearchStrategy[Any]:
    return st.lists(values, max_size=2).map(
        lambda each: MappingProxyType({getattr(value, key): value for value in each})
    )


def _maybe(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | values


items = st.builds(
    ItemState,
    id=texts, kind=texts, status=st.sampled_from(["open", "completed", "closed"]), text=texts, output=texts, stdin=texts,
    truncated=st.booleans(), last_seq=seqs, started_line=_maybe(lines), completed_line=_maybe(lines),
    patch_line=_maybe(lines),
)  # fmt: skip
turns = st.builds(
    TurnState,
    id=texts, status=texts, items=_by_id(items), started_at=_maybe(st.floats(0, 1e10)), duration=_maybe(st.floats(0, 9)),
    root=_maybe(texts), last_seq=seqs, error_json=_maybe(lines), hooks=notes, reviews=notes, told=notes,
)  # fmt: skip
threads = st.builds(
    ThreadState,
    id=texts, turns=_by_id(turns), name=_maybe(texts), status=_maybe(texts), active_flags=st.tuples(texts, texts),
    active_turn=_maybe(texts), archived=st.booleans(), model=_maybe(texts), parent=_maybe(texts), diff=_maybe(texts),
    environments=st.lists(texts, max_size=2).map(tuple), last_seq=seqs, queue_seq=_maybe(seqs),
    details_line=_maybe(lines), plan_line=_maybe(lines), usage_line=_maybe(lines), queue_line=_maybe(lines),
    mcp_servers=notes, attachments=notes, hooks=notes,
)  # fmt: skip
pending = st.builds(
    PendingRequest,
    ticket_id=texts,
    method=texts,
    thread_id=_maybe(texts),
    opened_at=st.floats(0, 1e10),
    generation=seqs,
)
states = st.builds(
    RuntimeState,
    connection=st.builds(Connection, st.sampled_from(["starting", "running"]), seqs, _maybe(texts)),
    threads=_by_id(threads), pending=_by_id(pending, "ticket_id"), evicted=st.builds(Evicted, seqs, seqs, seqs, seqs),
    rate_limits_line=_maybe(lines), mcp_servers=notes, told=notes,
)  # fmt: skip

few = st.sampled_from(["1", "2", "3"])
messages = st.one_of(
    st.builds(
        lambda method, thread, turn, item, text: (
            method, {"threadId": thread, "turnId": turn, "itemId": item, "delta": text, "stdin": text, "changes": [text]},
        ),
        st.sampled_from([
            "item/agentMessage/delta", "item/commandExecution/outputDelta", "item/commandExecution/terminalInteraction",
            "item/fileChange/patchUpdated",
        ]), few, few, few, texts,
    ),
    st.builds(
        lambda what, thread, turn, item, kind, text: (
            f"item/{what}", {"threadId": thread, "turnId": turn, "item": {"id": item, "type": kind, "text": text}},
        ),
        st.sampled_from(["started", "completed"]), few, few, few, st.sampled_from(["agentMessage", "reasoning"]), texts,
    ),
    st.builds(
        lambda what, thread, turn: (f"turn/{what}", {"threadId": thread, "turn": {"id": turn, "durationMs": 5}}),
        st.sampled_from(["started", "started", "completed"]), few, few,
    ),
    st.builds(
        lambda method, thread, turn, name: (
            method, {"threadId": thread, "turnId": turn, "name": name, "run": {"id": name}, "thread": {"id": thread}},
        ),
        st.sampled_from([
            "thread/started", "thread/archived", "thread/deleted", "thread/goal/updated", "thread/queue/changed",
            "thread/settings/updated", "hook/started", "model/rerouted", "mcpServer/startupStatus/updated",
            "account/updated", "account/rateLimits/updated", "remoteControl/status/changed",
        ]), few, few, few,
    ),
)  # fmt: skip
histories = st.lists(messages, max_size=40)


def fold_onto(projection: Projection, history: list[tuple[str, Any]], *, first_seq: int = 0) -> None:
    """Fold a history, as one read."""
    lines = [json.dumps({"method": method, "params": params}).encode() + b"\n" for method, params in history]
    projection.fold(decode_lines(lines, first_seq, NO_STAMP)[0])


def folded(history: list[tuple[str, Any]], limits: StateLimits | None = None, *, first_seq: int = 0) -> Projection:
    """Return what a history comes to."""
    projection = Projection(limits)
    fold_onto(projection, history, first_seq=first_seq)
    return projection
