"""Scripts as data: replies written in JSON, for a command line or a test in another language.

It never reads a file. The one idea: one word names the part and holds its main
value; it is the first key, and the other keys are the options of that part, spelled as in Python.
"""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING

import msgspec

from codex_runtime.testing._reply import (
    Call,
    Custom,
    Cut,
    Exec,
    Fail,
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

if TYPE_CHECKING:
    from codex_runtime.testing._reply import Part

__all__ = ["replies_from_json"]

_BY_VALUE: dict[str, type[Part]] = {
    "say": Say,
    "think": Think,
    "exec": Exec,
    "patch": Patch,
    "call": Call,
    "custom": Custom,
    "pause": Pause,
    "fail": Fail,
    "incomplete": Incomplete,
}
_BY_OPTIONS: dict[str, type[Part]] = {"tokens": Tokens, "rate_limits": RateLimits, "cut": Cut, "stall": Stall}


def replies_from_json(script: object) -> list[Reply]:
    """The replies that a script describes: a list with one entry for each reply.

    An entry is a string (a reply that says it), one part, or a list of parts, such as
    ``[{"think": "Look first."}, {"exec": "ls", "escalate": true}, {"tokens": {"input": 900}}]``.
    ``{"http_error": 503, "body": {...}, "headers": {...}}`` and ``{"usage_limit": {}}`` stand alone.
    There is no word for a gate.

    Raises:
        ValueError: The script is not like that; the text says which reply is wrong, and how.

    Example: ``model.enqueue(*replies_from_json([{"exec": "ls"}, "Done."]))``
    """
    if not isinstance(script, list):
        raise ValueError("a script is a list of replies")  # noqa: TRY004 - data, not a call, is at fault
    replies = []
    for number, entry in enumerate(script, 1):
        try:
            replies.append(_reply(entry))
        except (ValueError, TypeError, msgspec.ValidationError) as error:
            raise ValueError(f"reply {number}: {error}") from None
    return replies


class _HttpError(msgspec.Struct, forbid_unknown_fields=True):
    http_error: int
    body: dict[str, object] | str | None = None
    headers: dict[str, str] | None = None


class _UsageLimit(msgspec.Struct, forbid_unknown_fields=True):
    plan: str = "plus"
    resets_in: float = 3600.0


def _reply(entry: object) -> Reply:
    match entry:
        case str():
            return Reply.of(entry)
        case {"http_error": _}:
            error = msgspec.convert(entry, _HttpError)
            return Reply.http_error(error.http_error, error.body, headers=error.headers)
        case {"usage_limit": options}:
            limit = msgspec.convert(options, _UsageLimit)
            return Reply.usage_limit(plan=limit.plan, resets_in=limit.resets_in)
        case list():
            return Reply(*map(_part, entry))
        case _:
            return Reply(_part(entry))


def _part(entry: object) -> Part:
    if not isinstance(entry, dict) or not entry:
        raise ValueError(f"{entry!r} is not a part of a reply")
    (word, value), *rest = entry.items()
    options = dict(rest)
    if word == "raw":  # its value may be anything, so there is nothing to convert
        part: type[Part] = Raw
    elif word in _BY_OPTIONS:
        part, options = _BY_OPTIONS[word], {**options, **value}
    elif word in _BY_VALUE:
        part = _BY_VALUE[word]
        options[fields(part)[0].name] = value
    else:
        raise ValueError(f"no part is called {word!r}")
    unknown = options.keys() - {field.name for field in fields(part)}
    if unknown:
        raise ValueError(f"{word!r} has no option {min(unknown)!r}")
    return Raw(value) if part is Raw else msgspec.convert(options, part)
