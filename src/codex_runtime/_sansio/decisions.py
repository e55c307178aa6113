"""What is put on record: who settled a server request, how, when and why; and what of our own messages must not be.

What was said is in the log of messages, if there is one; :attr:`Decision.seq` is the number of the request there. Who said
it, why, and what they saw of it, is known here alone. Content that was given (tokens, answers to questions) is in neither
``by`` nor reason, so the record holds no secrets of its own.

We send credentials: keys to log in, tokens, values of variables, settings. Sinks and subscribers see those messages with
``***`` in the place of each, for a log outlives what it was written for. The server gets them as they are.
"""

from __future__ import annotations

import re
from typing import Literal, TypeAlias

import msgspec
from msgspec import Struct

from codex_runtime._sansio.discreet import HIDDEN
from codex_runtime._sansio.envelope import DECODE_ERRORS, JsonValue, loads
from codex_runtime._sansio.server_requests import ATTESTATION, TOKENS, USER_INPUT, Outcome, Scope

__all__ = ["TELLING_SECRETS", "Decider", "Decision", "is_secret", "without_secrets"]

Decider: TypeAlias = Literal["hook", "handler", "profile", "reader", "deadline", "server", "nobody"]


class Decision(Struct, frozen=True, kw_only=True, rename="camel"):
    """Who decided what, for the record.

    - ``what``: the server's method, or the phase at which a hook denied something that had not begun.
    - ``outcome``: "accepted", "declined", "cancelled", "answered", "refused", "withdrawn" or "blocked". ``scope`` of a yes:
      "once", "session" or "always" (an amendment: a rule that outlives all of it, also if it is one that denies).
    - ``by``: what was said as ``by=`` with the answer, or the name of the hook; ``None`` if nobody gave a name.
    - ``decider``: what kind it was: "hook", "profile" (``approvals="accept"``), "handler", "reader" (whoever else held the
      ticket), "deadline", "server" (it no longer wanted to know, or is gone) or "nobody".
    - ``reason``: in the decider's words. ``digest``: SHA-256, in hex, of the question as it was shown, or would have been.
    - ``opened_at`` and ``at``: Unix time in seconds, when it was asked and when it was settled; ``wait``: seconds between.
    - ``seq``: the number of the request in a log of the messages. ``generation``: of the server that asked. The rest are ids.
    """

    what: str
    outcome: Outcome | Literal["blocked"]
    decider: Decider
    at: float
    opened_at: float | None = None
    wait: float = 0.0
    scope: Scope | None = None
    by: str | None = None
    reason: str | None = None
    digest: str = ""
    seq: int | None = None
    generation: int | None = None
    thread_id: str | None = None
    turn_id: str | None = None
    item_id: str | None = None
    ticket_id: str | None = None


TELLING_SECRETS = frozenset(
    {
        "account/login/start",
        "command/exec",
        "config/batchWrite",
        "config/value/write",
        "environment/add",
        "process/spawn",
        "thread/fork",
        "thread/resume",
        "thread/start",
    }
)
"""The requests of ours whose parameters may hold a credential, by the pinned schema."""

# The names of what is one, also behind the dots of a setting's key: each text below it is hidden, whatever it is called.
_CREDENTIAL = re.compile(
    r"token|secret|password|passwd|api[_-]?key|access[_-]?key|authorization|header|credential|cookie|bearer|query_params"
    r"|environment_policy|(?:^|\.)[\s\"']*env[\s\"']*(?:$|\.)",
    re.IGNORECASE,
)


def is_secret(method: str, params: JsonValue) -> bool:
    """Tell whether the answer to a server request is a secret as a whole."""
    if method == USER_INPUT:
        asked = params.get("questions") if isinstance(params, dict) else None
        return isinstance(asked, list) and any(isinstance(each, dict) and each.get("isSecret") for each in asked)
    return method in (TOKENS, ATTESTATION)


def without_secrets(line: bytes, *, is_secret: bool = False) -> bytes:
    """Return a line of ours as it is put on record. ``is_secret``: it is an answer, of which only the form is told."""
    try:
        message = loads(line)
    except DECODE_ERRORS:
        message = None
    if not isinstance(message, dict):  # it could be sent, but not be read again: nobody can tell what is in it
        return msgspec.json.encode({"hidden": HIDDEN}) + b"\n"
    if is_secret:
        shown = {**message, "result": _hidden(message.get("result"))}
    else:
        shown = {**message, "params": _shown(message.get("params"))}
    return msgspec.json.encode(shown) + b"\n"


def _shown(value: JsonValue) -> JsonValue:
    if isinstance(value, list):
        return [_shown(each) for each in value]
    if not isinstance(value, dict):
        return value
    shown = {key: _hidden(each) if _CREDENTIAL.search(key) else _shown(each) for key, each in value.items()}
    setting = value.get("keyPath")
    if isinstance(setting, str) and _CREDENTIAL.search(setting):
        shown["value"] = _hidden(value.get("value"))
    return shown


def _hidden(value: JsonValue) -> JsonValue:
    if isinstance(value, dict):
        return {key: _hidden(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_hidden(each) for each in value]
    return HIDDEN if isinstance(value, str) else value
