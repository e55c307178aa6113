"""A reply as the server will read it: the event stream of the model's HTTP interface.

Pure: reply and serial number in, frames and waits out. It never sends and never
waits; whoever plays the score does. The one idea: ids come from the serial number
of the request and the place in the reply, so a run that repeats sends the same bytes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import count, pairwise
from typing import TypeAlias

import msgspec

from codex_runtime.testing._reply import (
    Call,
    Custom,
    Cut,
    Exec,
    Fail,
    Hold,
    HttpError,
    Incomplete,
    Patch,
    Pause,
    RateLimits,
    Raw,
    Reply,
    Say,
    Stall,
    Think,
    Tokens,
)

__all__ = ["Step", "headers", "score"]

Event: TypeAlias = Mapping[str, object]

Step: TypeAlias = bytes | Pause | Hold | Stall | Cut
"""What the player does next: put bytes on the stream, or one of the things that take time or end it."""

_WORDS = re.compile(r"\s*\S+\s*|\s+")
"""A word and the space around it; joined, the matches are the text again."""


def headers(reply: Reply) -> dict[str, str]:
    """The HTTP headers of a streamed reply."""
    found = {"content-type": "text/event-stream", "cache-control": "no-cache"}
    for part in reply.parts:
        if isinstance(part, RateLimits):
            found.update(part.headers())
    return found


def score(reply: Reply, serial: int) -> Iterator[Step]:
    """Everything to do for one playing of a streamed reply, in order."""
    response = {"id": f"resp_{serial}"}
    yield _frame({"type": "response.created", "response": response})
    places = count()
    tokens = Tokens()
    for part in reply.parts:
        match part:
            case Pause() | Hold() | Stall():
                yield part
            case Cut():
                yield part
                return
            case Raw(data):
                yield _frame(data) if isinstance(data, Mapping) else data.encode() if isinstance(data, str) else data
            case Tokens():
                tokens = part
            case Fail(code, message):
                failed = {**response, "error": {"code": code, "message": message}}
                yield _frame({"type": "response.failed", "response": failed})
                return
            case Incomplete(reason):
                incomplete = {**response, "incomplete_details": {"reason": reason}}
                yield _frame({"type": "response.incomplete", "response": incomplete})
                return
            case RateLimits() | HttpError():
                pass  # told before the stream begins
            case _:
                place = next(places)
                yield from _item(part, place, f"{serial}_{place}")
    yield _frame({"type": "response.completed", "response": {**response, "usage": _usage(tokens)}})


def _item(part: Say | Think | Exec | Patch | Call | Custom, place: int, name: str) -> Iterator[Step]:
    match part:
        case Say():
            yield from _message(part, place, f"msg_{name}")
        case Think():
            yield from _reasoning(part, place, f"rs_{name}")
        case Exec():
            yield _function(place, name, part.call_id, "exec_command", _exec_arguments(part))
        case Call():
            extra = {} if part.namespace is None else {"namespace": part.namespace}
            yield _function(place, name, part.call_id, part.name, part.arguments, **extra)
        case Patch():
            yield _custom(place, name, part.call_id, "apply_patch", part.text)
        case Custom():
            yield _custom(place, name, part.call_id, part.name, part.input)


def _message(part: Say, place: int, item_id: str) -> Iterator[Step]:
    item: dict[str, object] = {"type": "message", "role": "assistant", "id": item_id}
    if part.phase is not None:
        item["phase"] = part.phase
    pieces = _pieces(part)
    if pieces:
        yield _added(place, {**item, "content": []})
    at = {"item_id": item_id, "output_index": place, "content_index": 0}
    for piece in pieces:
        if part.pace:
            yield Pause(part.pace)
        yield _frame({"type": "response.output_text.delta", **at, "delta": piece})
    yield _done(place, {**item, "content": [{"type": "output_text", "text": part.text}]})


def _reasoning(part: Think, place: int, item_id: str) -> Iterator[Step]:
    item: dict[str, object] = {"type": "reasoning", "id": item_id, "summary": []}
    at = {"item_id": item_id, "output_index": place}
    yield _added(place, item)
    yield _frame({"type": "response.reasoning_summary_part.added", **at, "summary_index": 0})
    for piece in _words(part.summary):
        if part.pace:
            yield Pause(part.pace)
        yield _frame({"type": "response.reasoning_summary_text.delta", **at, "summary_index": 0, "delta": piece})
    item["summary"] = [{"type": "summary_text", "text": part.summary}]
    if part.raw is not None:
        for piece in _words(part.raw):
            if part.pace:
                yield Pause(part.pace)
            yield _frame({"type": "response.reasoning_text.delta", **at, "content_index": 0, "delta": piece})
        item["content"] = [{"type": "reasoning_text", "text": part.raw}]
    yield _done(place, item)


def _exec_arguments(part: Exec) -> dict[str, object]:
    arguments: dict[str, object] = {"cmd": part.cmd}
    if part.escalate:
        arguments["sandbox_permissions"] = "require_escalated"
    if part.justification is not None:
        arguments["justification"] = part.justification
    return {**arguments, **part.options}


def _function(
    place: int, name: str, call_id: str | None, tool: str, arguments: Mapping[str, object] | str, **extra: str
) -> bytes:
    item = {
        "type": "function_call",
        "id": f"fc_{name}",
        "call_id": call_id or f"call_{name}",
        "name": tool,
        "arguments": arguments if isinstance(arguments, str) else msgspec.json.encode(arguments).decode(),
        **extra,
    }
    return _done(place, item)


def _custom(place: int, name: str, call_id: str | None, tool: str, text: str) -> bytes:
    item = {
        "type": "custom_tool_call",
        "id": f"ctc_{name}",
        "call_id": call_id or f"call_{name}",
        "name": tool,
        "input": text,
    }
    return _done(place, item)


def _pieces(part: Say) -> list[str]:
    text, chunks = part.text, part.chunks
    if chunks is None:
        return _words(text)
    if not isinstance(chunks, int):
        return list(chunks)
    chunks = min(chunks, len(text))
    edges = [len(text) * edge // chunks for edge in range(chunks + 1)] if chunks else []
    return [text[start:end] for start, end in pairwise(edges)]


def _words(text: str) -> list[str]:
    return _WORDS.findall(text)


def _usage(tokens: Tokens) -> Event:
    return {
        "input_tokens": tokens.input,
        "input_tokens_details": {"cached_tokens": tokens.cached},
        "output_tokens": tokens.output,
        "output_tokens_details": {"reasoning_tokens": tokens.reasoning},
        "total_tokens": tokens.input + tokens.output,
    }


def _added(place: int, item: Event) -> bytes:
    return _frame({"type": "response.output_item.added", "output_index": place, "item": item})


def _done(place: int, item: Event) -> bytes:
    return _frame({"type": "response.output_item.done", "output_index": place, "item": item})


def _frame(event: Event) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (str(event["type"]).encode(), msgspec.json.encode(event))
