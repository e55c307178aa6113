"""What is told of values and messages that hold secrets: everything but those.

No log and no traceback shall hold a secret by way of ``repr``: a :class:`Discreet` value says who it is, and ``***`` in the place
of what it hides. And we send credentials: keys to log in, tokens, values of variables, settings. Sinks and subscribers see those
messages by :func:`without_secrets`, for a log outlives what it was written for; the server gets them as they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import msgspec
from msgspec import Struct

from codex_runtime._sansio.envelope import DECODE_ERRORS, JsonValue, loads
from codex_runtime._sansio.server_requests import ATTESTATION, TOKENS, USER_INPUT

__all__ = ["HIDDEN", "TELLING_SECRETS", "Discreet", "is_secret", "masked", "without_secrets"]

HIDDEN = "***"


def masked(names: Iterable[str]) -> dict[str, str]:
    """Return the names with nothing of their values."""
    return dict.fromkeys(names, HIDDEN)


class Discreet(Struct, frozen=True):
    """The base of such values: ``repr`` and rich show :meth:`_shown` in the place of the fields that it names."""

    def _shown(self) -> Mapping[str, object]:
        """Fields that are not shown as they are, and what is shown instead."""
        return {}

    def __rich_repr__(self) -> list[tuple[str, object]]:
        """Name every field."""
        shown = self._shown()
        return [(name, shown[name] if name in shown else getattr(self, name)) for name in self.__struct_fields__]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self.__rich_repr__())})"


# -- messages -----------------------------------------------------------------------------------------------------------

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
