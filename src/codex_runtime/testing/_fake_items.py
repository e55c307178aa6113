"""What items, questions and answers look like on the wire of the fake app server: values in, values out.

No order and no state is here; ``_fake_turn`` has both. The one idea: every field that the real server sends is there,
the empty ones too, so that a client which needs one of them fails here as it would fail there.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from codex_runtime.testing._fake_log import JsonObject
from codex_runtime.testing._fake_script import Command, Elicit, Question, RequestPermissions
from codex_runtime.testing._reply import Tokens

__all__ = [
    "Outcome",
    "Verdict",
    "change_kind",
    "command_item",
    "command_request",
    "elicitation",
    "error_object",
    "message_item",
    "named",
    "permissions",
    "pieces",
    "questions",
    "tool_content",
    "usage",
    "verdict_of",
    "words_of",
]

Verdict: TypeAlias = Literal["accept", "session", "rule", "decline", "cancel", "invalid"]
"""What an approval's answer means to the real server."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the client answered: a result, or an error."""

    result: Any = None
    error: JsonObject | None = None

    def field(self, name: str) -> Any:
        """A field of the result; ``None`` if the answer is an error or no object."""
        return self.result.get(name) if self.error is None and isinstance(self.result, dict) else None


# -- items -----------------------------------------------------------------------------------------------------------


def message_item(item_id: str, phase: str | None) -> JsonObject:
    """A message of the agent, still empty."""
    empty = {"memoryCitation": None, "delivery": None, "questions": None}
    return {"type": "agentMessage", "id": item_id, "text": "", "phase": phase, **empty}


def command_item(item_id: str, step: Command, cwd: str) -> JsonObject:
    """A command that has not run."""
    return {
        "type": "commandExecution",
        "id": item_id,
        "pluginId": None,
        "scriptPath": None,
        "command": f"/bin/bash -lc {shlex.quote(step.command)}",
        "cwd": cwd,
        "processId": None,
        "source": "agent",
        "status": "inProgress",
        "commandActions": [{"type": "unknown", "command": step.command}],
        "aggregatedOutput": None,
        "exitCode": None,
        "durationMs": None,
    }


def change_kind(kind: str) -> JsonObject:
    """How a file is changed."""
    return {"type": kind, "move_path": None} if kind == "update" else {"type": kind}


def tool_content(outcome: Outcome) -> tuple[list[Any], bool]:
    """What the answer to a tool call gives the model: its content, and whether the call went well."""
    content, success = outcome.field("contentItems"), outcome.field("success")
    if outcome.error is not None:
        return [{"type": "inputText", "text": "dynamic tool request failed"}], False
    if not (isinstance(content, list) and isinstance(success, bool)):
        return [{"type": "inputText", "text": "dynamic tool response was invalid"}], False
    return content, success


# -- questions -------------------------------------------------------------------------------------------------------


def command_request(step: Command, item: JsonObject) -> JsonObject:
    """What the approval of a command tells beside its ids."""
    words = words_of(step.command)
    amendment = {"acceptWithExecpolicyAmendment": {"execpolicy_amendment": words}}
    reason = {} if step.reason is None else {"reason": step.reason}
    shown = {name: item[name] for name in ("command", "cwd", "commandActions")}
    choices = {"proposedExecpolicyAmendment": words, "availableDecisions": ["accept", amendment, "cancel"]}
    return {"kind": "command", "environmentId": "local", **reason, **shown, **choices}


def questions(asked: Sequence[Question]) -> list[JsonObject]:
    """Questions to the user."""
    return [
        {
            "id": question.id,
            "header": question.header,
            "question": question.question,
            "isOther": not question.options,
            "isSecret": question.is_secret,
            "options": [{"label": option, "description": ""} for option in question.options] or None,
        }
        for question in asked
    ]


def elicitation(step: Elicit, elicitation_id: str) -> JsonObject:
    """What an elicitation tells beside its ids."""
    told: JsonObject = {"serverName": step.server, "_meta": None, "message": step.message}
    if step.url is None:
        return {**told, "mode": "form", "requestedSchema": dict(step.schema)}
    return {**told, "mode": "url", "url": step.url, "elicitationId": elicitation_id}


def permissions(step: RequestPermissions) -> JsonObject:
    """The rights that are asked for."""
    network = {"enabled": True} if step.network else None
    wants = [("read", path) for path in step.read] + [("write", path) for path in step.write]
    entries = [{"path": {"type": "path", "path": path}, "access": access} for access, path in wants]
    files = {"read": list(step.read) or None, "write": list(step.write) or None, "entries": entries}
    return {"network": network, "fileSystem": files if wants else None}


# -- answers ---------------------------------------------------------------------------------------------------------


def verdict_of(outcome: Outcome) -> Verdict:
    """What an approval's answer means; whatever is no decision is ``invalid``."""
    match outcome.field("decision"):
        case "accept":
            return "accept"
        case "decline":
            return "decline"
        case "cancel":
            return "cancel"
        case "acceptForSession":
            return "session"
        case {"acceptWithExecpolicyAmendment": {"execpolicy_amendment": [*_]}}:
            return "rule"
    return "invalid"


# -- the rest --------------------------------------------------------------------------------------------------------


def usage(tokens: Tokens) -> JsonObject:
    """How many tokens were used."""
    counts = {
        "totalTokens": tokens.input + tokens.output,
        "inputTokens": tokens.input,
        "cachedInputTokens": tokens.cached,
        "cacheWriteInputTokens": 0,
        "outputTokens": tokens.output,
        "reasoningOutputTokens": tokens.reasoning,
    }
    return {"total": counts, "last": counts, "modelContextWindow": 258_400}


def error_object(message: str, info: object, details: str | None = None) -> JsonObject:
    """The error of a turn."""
    return {"message": message, "codexErrorInfo": info, "additionalDetails": details, "misalignment": None}


def pieces(text: str, chunks: int | Sequence[str] | None) -> Iterable[str]:
    """A text in the pieces in which it is streamed: words, a number of about equal parts, or exactly those."""
    if chunks is None:
        words = text.split(" ")
        return filter(None, [*(word + " " for word in words[:-1]), words[-1]])
    if not isinstance(chunks, int):
        return chunks
    size = -(-len(text) // chunks) if chunks else 0
    return [text[at : at + size] for at in range(0, len(text), size)] if size else []


def words_of(command: str) -> list[str]:
    """The words that a rule for this command would begin with; a command of the shell is one with the shell in front."""
    try:
        words = shlex.split(command)
    except ValueError:
        words = []
    simple = words and not any(mark in command for mark in ";&|<>$`")
    return words if simple else ["/bin/bash", "-lc", command]


def named(params: Mapping[str, object], names: Mapping[str, str]) -> JsonObject:
    """Parameters with the ids in place of the names that stand for them, however deep."""

    def rename(part: object) -> object:
        if isinstance(part, str):
            return names.get(part, part)
        if isinstance(part, Mapping):
            return {key: rename(inner) for key, inner in part.items()}
        return [rename(inner) for inner in part] if isinstance(part, list | tuple) else part

    return {key: rename(part) for key, part in params.items()}
