"""What the state takes from answers to our own requests: what no notification tells.

A thread that is resumed is not announced, and its turns of old stand in the answer only; so do the prompts that wait in
its queue, and its goal. Lists of what lies on the server's disk are not taken: the state is about what this runtime
works with.

An answer does not say which question it answers, so whoever knows passes the method and the parameters along.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

import msgspec

from codex_runtime._sansio.envelope import DECODE_ERRORS, Envelope, JsonValue, loads
from codex_runtime._sansio.state_facts import describe, short
from codex_runtime._sansio.state_nodes import ThreadNode, TurnNode
from codex_runtime._sansio.state_tree import StateTree

__all__ = ["ANSWERS", "answer", "as_line", "result_of"]

_Answer: TypeAlias = Callable[[StateTree, Envelope, dict[str, JsonValue], dict[str, JsonValue]], None]


def as_line(envelope: Envelope) -> bytes:
    """Return an answer as if it were the parameters of a message."""
    return b'{"params":' + bytes(envelope.result) + b"}"


def answer(tree: StateTree, method: str, asked: JsonValue, envelope: Envelope) -> None:
    """Take in the answer to a request with these parameters, if it is one that tells something and was not refused."""
    if (take := ANSWERS.get(method)) is not None and (result := result_of(envelope)) is not None:
        take(tree, envelope, asked if isinstance(asked, dict) else {}, result)


def result_of(envelope: Envelope) -> dict[str, JsonValue] | None:
    """Return what an answer holds, if it was not refused and can be read."""
    if envelope.refused:
        return None
    try:
        result = loads(bytes(envelope.result))
    except DECODE_ERRORS:
        return None
    return result if isinstance(result, dict) else None


def _thread(tree: StateTree, envelope: Envelope, _: dict[str, JsonValue], result: dict[str, JsonValue]) -> None:
    told = result.get("thread")
    if not isinstance(told, dict) or (thread := tree.thread(_id(told), envelope.seq)) is None:
        return
    turns = told.pop("turns", None)
    describe(tree, thread, told, _line({"params": {"thread": told}}))
    if isinstance(turns, list):
        _turns(tree, thread, turns[-tree.limits.turns_per_thread :], envelope.seq)


def _turns(tree: StateTree, thread: ThreadNode, turns: list[JsonValue], seq: int) -> None:
    """Take the turns of a thread, oldest first. Of those that are known already, our own record says more."""
    for told in turns:
        if not isinstance(told, dict):
            continue
        known = thread.turns.get(_id(told) or "")
        if (known is None or known.status == "lost") and (turn := tree.turn(thread.id, _id(told), seq)) is not None:
            _turn(tree, turn, told, seq)
        if known is None and (added := thread.turns.get(_id(told) or "")) is not None:
            known = added
        if known is not None:
            thread.turns.move_to_end(known.id)
    if thread.active is not None:
        thread.turns.move_to_end(thread.active.id)


def _turn(tree: StateTree, turn: TurnNode, told: dict[str, JsonValue], seq: int) -> None:
    status = short(told.get("status")) or "completed"
    items = told.get("items")
    for item in items[-tree.limits.items_per_turn :] if isinstance(items, list) else ():
        if isinstance(item, dict):
            _item(tree, turn, item, seq)
    if status == "inProgress":
        tree.begin_turn(turn)
    elif turn.status != "lost" or status != "interrupted":  # what the server calls a turn that it lost with itself
        tree.end_turn(turn, status)
    turn.started_at = _number(told.get("startedAt")) or turn.started_at
    turn.completed_at = _number(told.get("completedAt")) or turn.completed_at
    milliseconds = _number(told.get("durationMs"))
    turn.duration = turn.duration if milliseconds is None else milliseconds / 1000
    turn.root = short(told.get("rootTurnId")) or turn.root
    if (error := told.get("error")) is not None:
        line = _line(error)
        turn.error = line if len(line) <= tree.limits.text_bytes else None


def _item(tree: StateTree, turn: TurnNode, told: dict[str, JsonValue], seq: int) -> None:
    """Take an item of an earlier turn, or one that is done in a running one."""
    if (item := tree.item(turn.thread.id, turn.id, _id(told), seq)) is None or item.status == "completed":
        return
    item.kind = short(told.get("type")) or item.kind
    line = _line({"params": {"item": told}})
    keep = len(line) <= tree.limits.line_bytes
    if told.get("status") == "inProgress":
        item.started = line if keep else None
    else:
        turn.open_items.pop(item.id, None)
        item.complete(line, keep=keep)
    tree.weigh(item, item.size() - item.weight)


def _queue(tree: StateTree, envelope: Envelope, asked: dict[str, JsonValue], result: dict[str, JsonValue]) -> None:
    """Take the prompts that wait, if the answer holds all of them."""
    is_whole = result.get("nextCursor") is None and asked.get("cursor") is None
    if is_whole and (thread := tree.thread(_text(asked.get("threadId")), envelope.seq)) is not None:
        line = as_line(envelope)
        thread.queue = line if len(line) <= tree.limits.text_bytes else None


def _goal(tree: StateTree, envelope: Envelope, asked: dict[str, JsonValue], result: dict[str, JsonValue]) -> None:
    if (thread := tree.thread(_text(asked.get("threadId")), envelope.seq)) is not None:
        line = as_line(envelope)
        thread.goal = line if result.get("goal") is not None and len(line) <= tree.limits.text_bytes else None


def _line(document: JsonValue) -> bytes:
    """Return JSON text; ``null`` for what only lenient decoders read and no encoder writes."""
    try:
        return msgspec.json.encode(document)
    except DECODE_ERRORS:
        return b"null"


def _id(told: dict[str, JsonValue]) -> str | None:
    return _text(told.get("id"))


def _text(value: JsonValue) -> str | None:
    return value if isinstance(value, str) else None


def _number(value: JsonValue) -> float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


ANSWERS: Final[Mapping[str, _Answer]] = {
    **dict.fromkeys(
        (
            "thread/fork",
            "thread/metadata/update",
            "thread/read",
            "thread/resume",
            "thread/revert",
            "thread/start",
            "thread/unarchive",
        ),
        _thread,
    ),
    "thread/queue/list": _queue,
    "thread/goal/get": _goal,
}
"""The requests whose answers are taken, and how."""
