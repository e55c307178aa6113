"""What may be said to a server request, and what is said when nobody says anything.

The eleven kinds differ in the form of their answers; the rule is one: whatever is unclear is refused in the form that
the method wants. Nothing here ever turns silence, an error or an unknown word into consent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Literal, TypeAlias

from msgspec import Struct

from codex_runtime._sansio.envelope import JsonValue
from codex_runtime.errors import InvalidAnswerError

__all__ = [
    "APPROVALS",
    "ELICITATION",
    "KNOWN",
    "PERMISSIONS",
    "TOOL_CALL",
    "USER_INPUT",
    "Answer",
    "Refusal",
    "Reply",
    "accept",
    "cancel",
    "check",
    "decline",
    "verdict",
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
Verdict: TypeAlias = Literal["accepted", "declined", "cancelled", "answered", "refused"]

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


def accept(method: str, params: JsonValue, *, for_session: bool = False) -> Answer:
    """Say yes to exactly what was asked, once (or for the session, where the method has a word for that).

    Raises :class:`InvalidAnswerError` for requests that want content rather than consent.
    """
    if method == PERMISSIONS:
        asked = params.get("permissions") if isinstance(params, dict) else None
        wanted = asked if isinstance(asked, dict) else {}
        granted = {key: wanted[key] for key in ("network", "fileSystem") if wanted.get(key)}
        return Reply({"permissions": granted, "scope": "session" if for_session else "turn"})
    if method not in _ACCEPTED:
        raise InvalidAnswerError(f"{method} wants content, not consent: use reply()")
    if not for_session:
        return Reply(_ACCEPTED[method])
    if method in (COMMAND, FILE_CHANGE):
        return Reply({"decision": "acceptForSession"})
    if method in (OLD_COMMAND, OLD_PATCH):
        return Reply({"decision": "approved_for_session"})
    raise InvalidAnswerError(f"{method} cannot be accepted for a session")


def check(method: str, result: JsonValue) -> None:
    """Raise :class:`InvalidAnswerError` unless the result has the form that the server will take.

    The server treats a malformed answer as a failed action; better to tell the caller, who can try again.
    """
    rule = _FORMS.get(method)
    if rule is None:
        return
    if not isinstance(result, dict):
        raise InvalidAnswerError(f"{method}: the answer must be an object")
    if problem := rule(result):
        raise InvalidAnswerError(f"{method}: {problem}")


def verdict(answer: Answer) -> Verdict:
    """Name an answer for counters and audit records."""
    if isinstance(answer, Refusal):
        return "refused"
    result = answer.result
    if not isinstance(result, dict):
        return "answered"
    word = result.get("decision", result.get("action"))
    if isinstance(word, dict):
        return "declined" if "denied" in word else "accepted"
    if word is None:
        return _verdict_without_word(result)
    if word in ("decline", "timed_out"):
        return "declined"
    return "cancelled" if word in ("cancel", "abort") else "accepted"


def _verdict_without_word(result: dict[str, JsonValue]) -> Verdict:
    if "permissions" in result:
        return "accepted" if result["permissions"] else "declined"
    if "answers" in result:
        return "answered" if result["answers"] else "declined"
    return "declined" if result.get("success") is False else "answered"


def _decision(words: frozenset[str], objects: frozenset[str]) -> Callable[[dict[str, JsonValue]], str | None]:
    def rule(result: dict[str, JsonValue]) -> str | None:
        value = result.get("decision")
        if isinstance(value, str) and value in words:
            return None
        if isinstance(value, dict) and len(value) == 1 and next(iter(value)) in objects:
            return None
        return f"'decision' must be one of {', '.join(sorted(words | objects))}"

    return rule


def _permissions(result: dict[str, JsonValue]) -> str | None:
    if not isinstance(result.get("permissions"), dict):
        return "'permissions' must be an object; an empty one grants nothing"
    if result.get("scope", "turn") not in ("turn", "session"):
        return "'scope' must be 'turn' or 'session'"
    return None


def _answers(result: dict[str, JsonValue]) -> str | None:
    answers = result.get("answers")
    if not isinstance(answers, dict):
        return "'answers' must be an object, from question id to {'answers': [text, ...]}"
    for value in answers.values():
        texts = value.get("answers") if isinstance(value, dict) else None
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            return "each entry of 'answers' must be {'answers': [text, ...]}"
    return None


def _tool_result(result: dict[str, JsonValue]) -> str | None:
    if not isinstance(result.get("success"), bool):
        return "'success' must be true or false"
    items = result.get("contentItems")
    if not isinstance(items, list) or not all(isinstance(item, dict) and "type" in item for item in items):
        return "'contentItems' must be a list of objects with a 'type'"
    return None


def _action(result: dict[str, JsonValue]) -> str | None:
    return (
        None if result.get("action") in ("accept", "decline", "cancel") else "'action' must be accept, decline, cancel"
    )


def _tokens(result: dict[str, JsonValue]) -> str | None:
    if not all(isinstance(result.get(key), str) for key in ("accessToken", "chatgptAccountId")):
        return "'accessToken' and 'chatgptAccountId' must be text"
    plan = result.get("chatgptPlanType")
    return None if plan is None or isinstance(plan, str) else "'chatgptPlanType' must be text or null"


def _token(result: dict[str, JsonValue]) -> str | None:
    return None if isinstance(result.get("token"), str) else "'token' must be text"


def _time(result: dict[str, JsonValue]) -> str | None:
    value = result.get("currentTimeAt")
    whole = isinstance(value, int) and not isinstance(value, bool)
    return None if whole else "'currentTimeAt' must be a whole number, Unix time in seconds"


_OLD_DECISION = _decision(
    frozenset({"approved", "approved_for_session", "approved_mcp_policy_amendment", "timed_out", "abort"}),
    frozenset({"approved_execpolicy_amendment", "network_policy_amendment", "denied"}),
)
_FORMS: Mapping[str, Callable[[dict[str, JsonValue]], str | None]] = MappingProxyType(
    {
        COMMAND: _decision(
            frozenset({"accept", "acceptForSession", "decline", "cancel"}),
            frozenset({"acceptWithExecpolicyAmendment", "applyNetworkPolicyAmendment"}),
        ),
        FILE_CHANGE: _decision(frozenset({"accept", "acceptForSession", "decline", "cancel"}), frozenset()),
        PERMISSIONS: _permissions,
        USER_INPUT: _answers,
        TOOL_CALL: _tool_result,
        ELICITATION: _action,
        TOKENS: _tokens,
        ATTESTATION: _token,
        CURRENT_TIME: _time,
        OLD_COMMAND: _OLD_DECISION,
        OLD_PATCH: _OLD_DECISION,
    }
)
