"""What is said to a server request, what it comes to, and what is said when nobody says anything.

The eleven kinds differ in the form of their answers; the rule is one: whatever is unclear is refused in the form that
the method wants. Nothing here ever turns silence, an error or an unknown word into consent.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, TypeAlias

import msgspec
from msgspec import Struct

from codex_runtime._sansio.envelope import DECODE_ERRORS, JsonValue, RpcId
from codex_runtime.errors import InvalidAnswerError

__all__ = [
    "APPROVALS",
    "ATTESTATION",
    "DEADLINE_ACTIONS",
    "ELICITATION",
    "KNOWN",
    "NOBODY",
    "PERMISSIONS",
    "TOKENS",
    "TOOL_CALL",
    "USER_INPUT",
    "Answer",
    "DeadlineAction",
    "Outcome",
    "Refusal",
    "Reply",
    "Scope",
    "accept",
    "at_deadline",
    "cancel",
    "decline",
    "outcome",
    "required_fields",
    "right_answer",
    "scope",
]

COMMAND = "item/commandExecution/requestApproval"
FILE_CHANGE = "item/fileChange/requestApproval"
PERMISSIONS = "item/permissions/requestApproval"
USER_INPUT = "item/tool/requestUserInput"
TOOL_CALL = "item/tool/call"
ELICITATION = "mcpServer/elicitation/request"
TOKENS = "account/chatgptAuthTokens/refresh"
ATTESTATION = "attestation/generate"
CURRENT_TIME = "currentTime/read"
OLD_COMMAND = "execCommandApproval"
OLD_PATCH = "applyPatchApproval"

KNOWN = frozenset(
    {
        COMMAND,
        FILE_CHANGE,
        PERMISSIONS,
        USER_INPUT,
        TOOL_CALL,
        ELICITATION,
        TOKENS,
        ATTESTATION,
        CURRENT_TIME,
        OLD_COMMAND,
        OLD_PATCH,
    }
)
# Those that ask for leave to do something, rather than for something to be done.
APPROVALS = frozenset({COMMAND, FILE_CHANGE, PERMISSIONS, ELICITATION, OLD_COMMAND, OLD_PATCH})

# The range that JSON-RPC leaves to applications.
REFUSED = -32000
METHOD_NOT_FOUND = -32601


class Reply(Struct, frozen=True):
    """Answer with this result."""

    result: JsonValue


class Refusal(Struct, frozen=True):
    """Answer with this error."""

    code: int
    message: str
    data: JsonValue = None


Answer: TypeAlias = Reply | Refusal
Outcome: TypeAlias = Literal["accepted", "declined", "cancelled", "answered", "refused", "withdrawn"]
Scope: TypeAlias = Literal["once", "session", "always"]
DeadlineAction: TypeAlias = Literal["decline", "cancel", "refuse"]
DEADLINE_ACTIONS: frozenset[str] = frozenset({"decline", "cancel", "refuse"})

LATE = "nobody answered in time"
NOBODY = "nobody is there to answer"

_DECLINED: Mapping[str, JsonValue] = MappingProxyType(
    {
        COMMAND: {"decision": "decline"},
        FILE_CHANGE: {"decision": "decline"},
        PERMISSIONS: {"permissions": {}},
        USER_INPUT: {"answers": {}},
        TOOL_CALL: {"success": False, "contentItems": [{"type": "inputText", "text": "The tool call was declined."}]},
        ELICITATION: {"action": "decline"},
        OLD_COMMAND: {"decision": {"denied": {"rejection": "declined"}}},
        OLD_PATCH: {"decision": {"denied": {"rejection": "declined"}}},
    }
)
_CANCELLED: Mapping[str, JsonValue] = MappingProxyType(
    {
        COMMAND: {"decision": "cancel"},
        FILE_CHANGE: {"decision": "cancel"},
        ELICITATION: {"action": "cancel"},
        OLD_COMMAND: {"decision": "abort"},
        OLD_PATCH: {"decision": "abort"},
    }
)
_ACCEPTED: Mapping[str, JsonValue] = MappingProxyType(
    {
        COMMAND: {"decision": "accept"},
        FILE_CHANGE: {"decision": "accept"},
        ELICITATION: {"action": "accept", "content": {}},
        OLD_COMMAND: {"decision": "approved"},
        OLD_PATCH: {"decision": "approved"},
    }
)
# What each method takes beside a no, for whoever tried something else.
_RIGHT: Mapping[str, str] = MappingProxyType(
    {
        COMMAND: "accept(), amend_commands() or amend_network()",
        FILE_CHANGE: "accept()",
        PERMISSIONS: "accept() or grant()",
        USER_INPUT: "give_answers()",
        TOOL_CALL: "give_result()",
        ELICITATION: "accept(), amend_tool() or give_form()",
        TOKENS: "give_tokens()",
        ATTESTATION: "give_attestation()",
        CURRENT_TIME: "give_time()",
        OLD_COMMAND: "accept(), amend_commands(), amend_network() or amend_tool()",
        OLD_PATCH: "accept()",
    }
)


def right_answer(method: str) -> str:
    """Name the ways to say yes to a method, or to give it what it wants."""
    return _RIGHT.get(method, "reply()")


def decline(method: str, reason: str = "declined by the client") -> Answer:
    """Say no in the form that the method wants. For what cannot be declined in its own form, an error."""
    if method in _DECLINED:
        return Reply(_DECLINED[method])
    if method in KNOWN:
        return Refusal(REFUSED, reason)
    return Refusal(METHOD_NOT_FOUND, "this client does not handle that request")


def cancel(method: str) -> Answer:
    """Say no and end the turn, where the method has a word for that; otherwise decline."""
    return Reply(_CANCELLED[method]) if method in _CANCELLED else decline(method, "cancelled by the client")


def at_deadline(method: str, action: DeadlineAction) -> Answer:
    """What is said when nobody answered in time: one of three ways to say no. Tokens are always refused with an error."""
    match action:
        case "cancel":
            return cancel(method)
        case "refuse":
            return Refusal(REFUSED, LATE, {"method": method})
        case _:
            return decline(method, LATE)


def accept(method: str, params: JsonValue, *, for_session: bool = False) -> Answer:
    """Say yes to exactly what was asked, once (or for the session, where the method has a word for that).

    ``params`` may be ``None`` for all but permissions and elicitations. Raises :class:`InvalidAnswerError` for requests
    that want content rather than consent.
    """
    if method == PERMISSIONS:
        asked = params.get("permissions") if isinstance(params, dict) else None
        wanted = asked if isinstance(asked, dict) else {}
        granted = {key: wanted[key] for key in ("network", "fileSystem") if wanted.get(key)}
        return Reply({"permissions": granted, "scope": "session" if for_session else "turn"})
    if method not in _ACCEPTED:
        raise InvalidAnswerError(f"{method} wants content, not consent: use {right_answer(method)}")
    if method == ELICITATION and (missing := required_fields(params)):
        raise InvalidAnswerError(f"{method} wants content, not consent: {', '.join(missing)}; use give_form()")
    if not for_session:
        return Reply(_ACCEPTED[method])
    if method == ELICITATION and offers(params, "session"):
        return remembered("session")
    if method in (COMMAND, FILE_CHANGE):
        return Reply({"decision": "acceptForSession"})
    if method in (OLD_COMMAND, OLD_PATCH):
        return Reply({"decision": "approved_for_session"})
    raise InvalidAnswerError(f"this {method} cannot be accepted for a session")


def required_fields(params: JsonValue) -> list[str]:
    """The fields that the form of an elicitation must have filled in."""
    schema = params.get("requestedSchema") if isinstance(params, dict) else None
    required = schema.get("required") if isinstance(schema, dict) else None
    return [name for name in required if isinstance(name, str)] if isinstance(required, list) else []


def offers(params: JsonValue, how_long: Literal["session", "always"]) -> bool:
    """Tell whether an elicitation offers to remember a yes for so long; those that ask for the use of a tool may."""
    meta = params.get("_meta") if isinstance(params, dict) else None
    offered = meta.get("persist") if isinstance(meta, dict) else None
    return how_long == offered or (isinstance(offered, list) and how_long in offered)


def remembered(how_long: Literal["session", "always"]) -> Reply:
    """Say yes to an elicitation, and to its like for so long."""
    return Reply({"action": "accept", "content": {}, "_meta": {"persist": how_long}})


def resolved_id(line: bytes) -> RpcId | None:
    """Read which request a ``serverRequest/resolved`` is about; ``None`` if it does not say so in the promised form."""
    try:
        return _resolved(line).params.requestId
    except DECODE_ERRORS:
        return None


class _Resolution(Struct):
    requestId: RpcId  # noqa: N815  # the server's spelling


class _Resolved(Struct):
    params: _Resolution


_resolved = msgspec.json.Decoder(_Resolved).decode


def outcome(answer: Answer) -> Outcome:
    """Name an answer for counters and audit records."""
    if isinstance(answer, Refusal):
        return "refused"
    result = answer.result
    if not isinstance(result, dict):
        return "answered"
    word = result.get("decision", result.get("action"))
    if isinstance(word, dict):
        return "declined" if "denied" in word or _host_rule(word).get("action") == "deny" else "accepted"
    if word is None:
        return _outcome_without_word(result)
    if word in ("decline", "timed_out"):
        return "declined"
    return "cancelled" if word in ("cancel", "abort") else "accepted"


def _outcome_without_word(result: dict[str, JsonValue]) -> Outcome:
    if "permissions" in result:
        return "accepted" if result["permissions"] else "declined"
    if "answers" in result:
        return "answered" if result["answers"] else "declined"
    return "declined" if result.get("success") is False else "answered"


def scope(answer: Answer) -> Scope | None:
    """Tell for how long a yes holds, or an amendment that denies; ``None`` for other answers."""
    result = answer.result if isinstance(answer, Reply) else None
    if not isinstance(result, dict):
        return None
    word = result.get("decision")
    if isinstance(word, dict):
        return None if "denied" in word else "always"
    if word == "approved_mcp_policy_amendment":
        return "always"
    if outcome(answer) != "accepted":
        return None
    meta = result.get("_meta")
    persist = meta.get("persist") if isinstance(meta, dict) else None
    if persist == "always":
        return "always"
    for_session = word in ("acceptForSession", "approved_for_session") or "session" in (persist, result.get("scope"))
    return "session" if for_session else "once"


def _host_rule(word: dict[str, JsonValue]) -> dict[str, JsonValue]:
    inner = word.get("applyNetworkPolicyAmendment", word.get("network_policy_amendment"))
    rule = inner.get("network_policy_amendment") if isinstance(inner, dict) else None
    return rule if isinstance(rule, dict) else {}
