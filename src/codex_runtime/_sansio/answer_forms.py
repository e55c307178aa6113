"""The form that each kind of server request wants its answer to have: one rule for each, in a table.

The server takes a malformed answer for a failed action, in silence. So whatever a caller makes up by hand is looked at here
before it is written, and the error says what is missing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from codex_runtime._sansio import server_requests as rules
from codex_runtime._sansio.envelope import JsonValue
from codex_runtime.errors import InvalidAnswerError

__all__ = ["check"]


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


def _decision(
    words: frozenset[str], objects: Mapping[str, Callable[[JsonValue], bool]]
) -> Callable[[dict[str, JsonValue]], str | None]:
    def rule(result: dict[str, JsonValue]) -> str | None:
        value = result.get("decision")
        if isinstance(value, str) and value in words:
            return None
        if isinstance(value, dict) and len(value) == 1 and (name := next(iter(value))) in objects:
            return None if objects[name](value[name]) else f"'{name}' does not hold what it has to"
        return f"'decision' must be one of {', '.join(sorted({*words, *objects}))}"

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


def _has(key: str, is_good: Callable[[JsonValue], bool]) -> Callable[[JsonValue], bool]:
    return lambda value: isinstance(value, dict) and is_good(value.get(key))


def _are_words(value: JsonValue) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(word, str) for word in value)


def _is_host_rule(value: JsonValue) -> bool:
    return isinstance(value, dict) and value.get("action") in ("allow", "deny") and isinstance(value.get("host"), str)


_OLD_DECISION = _decision(
    frozenset({"approved", "approved_for_session", "approved_mcp_policy_amendment", "timed_out", "abort"}),
    {
        "approved_execpolicy_amendment": _has("proposed_execpolicy_amendment", _are_words),
        "network_policy_amendment": _has("network_policy_amendment", _is_host_rule),
        "denied": _has("rejection", lambda value: isinstance(value, str)),
    },
)
_FORMS: Mapping[str, Callable[[dict[str, JsonValue]], str | None]] = MappingProxyType(
    {
        rules.COMMAND: _decision(
            frozenset({"accept", "acceptForSession", "decline", "cancel"}),
            {
                "acceptWithExecpolicyAmendment": _has("execpolicy_amendment", _are_words),
                "applyNetworkPolicyAmendment": _has("network_policy_amendment", _is_host_rule),
            },
        ),
        rules.FILE_CHANGE: _decision(frozenset({"accept", "acceptForSession", "decline", "cancel"}), {}),
        rules.PERMISSIONS: _permissions,
        rules.USER_INPUT: _answers,
        rules.TOOL_CALL: _tool_result,
        rules.ELICITATION: _action,
        rules.TOKENS: _tokens,
        rules.ATTESTATION: _token,
        rules.CURRENT_TIME: _time,
        rules.OLD_COMMAND: _OLD_DECISION,
        rules.OLD_PATCH: _OLD_DECISION,
    }
)
