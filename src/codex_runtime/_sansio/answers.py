"""Answers that hold more than a yes or a no: content, grants of rights, and amendments, each in the form of its method.

Nothing here is ever said unasked. An amendment is a rule that outlives the request, so each kind has a function of its own
and none is part of a plain yes. Whoever picks the wrong function for a method gets an :class:`InvalidAnswerError` that names
the right one.

The one idea: what comes out passes the same check as an answer that somebody wrote by hand.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from codex_runtime._sansio import server_requests as rules
from codex_runtime._sansio.answer_forms import check
from codex_runtime._sansio.envelope import JsonValue
from codex_runtime._sansio.server_requests import Reply
from codex_runtime.errors import InvalidAnswerError

__all__ = ["amend_commands", "amend_network", "amend_tool", "answers", "attestation", "form", "grant", "result", "time"]
__all__ += ["tokens"]


def grant(
    method: str,
    *,
    network: bool = False,
    read: Sequence[str] = (),
    write: Sequence[str] = (),
    entries: Sequence[JsonValue] = (),
    for_session: bool = False,
    strict_auto_review: bool = False,
) -> Reply:
    """Give the rights that are named here, and no others."""
    _only("grant", method, rules.PERMISSIONS)
    files = {
        "read": _texts("read", read),
        "write": _texts("write", write),
        "entries": [dict(entry) if isinstance(entry, Mapping) else entry for entry in entries],
    }
    files = {key: value for key, value in files.items() if value}
    rights = {**({"network": {"enabled": True}} if network else {}), **({"fileSystem": files} if files else {})}
    review = {"strictAutoReview": True} if strict_auto_review else {}
    return _checked(method, {"permissions": rights, "scope": "session" if for_session else "turn", **review})


def amend_commands(method: str, words: Sequence[str]) -> Reply:
    """Say yes, and let every command that begins with these words run unasked from now on."""
    _only("amend_commands", method, rules.COMMAND, rules.OLD_COMMAND)
    listed = _texts("words", words)
    if method == rules.COMMAND:
        decision: JsonValue = {"acceptWithExecpolicyAmendment": {"execpolicy_amendment": listed}}
    else:
        decision = {"approved_execpolicy_amendment": {"proposed_execpolicy_amendment": listed}}
    return _checked(method, {"decision": decision})


def amend_network(method: str, host: str, action: Literal["allow", "deny"]) -> Reply:
    """Allow or deny a host from now on."""
    _only("amend_network", method, rules.COMMAND, rules.OLD_COMMAND)
    word = "applyNetworkPolicyAmendment" if method == rules.COMMAND else "network_policy_amendment"
    return _checked(method, {"decision": {word: {"network_policy_amendment": {"action": action, "host": host}}}})


def amend_tool(method: str, params: JsonValue) -> Reply:
    """Say yes, and let the tool run unasked from now on."""
    _only("amend_tool", method, rules.ELICITATION, rules.OLD_COMMAND)
    if method == rules.OLD_COMMAND:
        return _checked(method, {"decision": "approved_mcp_policy_amendment"})
    if not rules.offers(params, "always"):
        raise InvalidAnswerError(f"this {method} does not offer to be remembered for good")
    return rules.remembered("always")


def answers(method: str, params: JsonValue, texts: Mapping[str, str | Sequence[str]]) -> Reply:
    """Answer the questions of a tool to its user, by their ids."""
    _only("give_answers", method, rules.USER_INPUT)
    asked = params.get("questions") if isinstance(params, dict) else None
    ids = {each.get("id") for each in asked if isinstance(each, dict)} if isinstance(asked, list) else set()
    if wrong := sorted(set(texts) - ids):
        raise InvalidAnswerError(f"{method} has no question with the id {wrong[0]!r}")
    listed = {key: [value] if isinstance(value, str) else list(value) for key, value in texts.items()}
    return _checked(method, {"answers": {key: {"answers": value} for key, value in listed.items()}})


def form(method: str, params: JsonValue, content: Mapping[str, JsonValue]) -> Reply:
    """Fill in the form of an elicitation."""
    _only("give_form", method, rules.ELICITATION)
    if isinstance(params, dict) and params.get("mode") == "url":
        raise InvalidAnswerError(f"this {method} has no form: use accept()")
    if missing := [name for name in rules.required_fields(params) if name not in content]:
        raise InvalidAnswerError(f"{method}: the form also needs {', '.join(missing)}")
    return _checked(method, {"action": "accept", "content": dict(content)})


def result(method: str, content: Sequence[str | Mapping[str, JsonValue]], *, success: bool) -> Reply:
    """Give what a tool call came to; text, or items in the server's own form."""
    _only("give_result", method, rules.TOOL_CALL)
    items = [{"type": "inputText", "text": part} if isinstance(part, str) else dict(part) for part in content]
    return _checked(method, {"success": success, "contentItems": items})


def tokens(method: str, access_token: str, account_id: str, plan_type: str | None) -> Reply:
    """Give new tokens."""
    _only("give_tokens", method, rules.TOKENS)
    plan = {} if plan_type is None else {"chatgptPlanType": plan_type}
    return _checked(method, {"accessToken": access_token, "chatgptAccountId": account_id, **plan})


def attestation(method: str, token: str) -> Reply:
    """Give an attestation."""
    _only("give_attestation", method, rules.ATTESTATION)
    return _checked(method, {"token": token})


def time(method: str, at: float) -> Reply:
    """Tell the time."""
    _only("give_time", method, rules.CURRENT_TIME)
    return _checked(method, {"currentTimeAt": int(at)})


def _only(name: str, method: str, *methods: str) -> None:
    if method not in methods:
        raise InvalidAnswerError(f"{method} does not take {name}(): use {rules.right_answer(method)}")


def _texts(name: str, value: Sequence[str]) -> list[str]:
    if isinstance(value, str):  # a sequence of strings as well, and never what was meant
        raise InvalidAnswerError(f"{name!r} must be a list of texts, not one text")
    return list(value)


def _checked(method: str, value: dict[str, JsonValue]) -> Reply:
    check(method, value)
    return Reply(value)
