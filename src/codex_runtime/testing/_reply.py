"""What a scripted model answers: a :class:`Reply` is made of parts, and it is a value.

This file never touches a socket and never makes up an id: the same reply may
be played any number of times, by any number of streams. Turning parts into
events of the wire is the work of ``_responses_api``.

The one idea: a reply reads like what the model does, top to bottom::

    Reply(Think("A short look first."), Say("Running it."), Exec("ls -la"))
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

import msgspec

if TYPE_CHECKING:
    from codex_runtime.testing._gate import Gate

__all__ = [
    "Call",
    "Custom",
    "Cut",
    "Exec",
    "Fail",
    "Hold",
    "Incomplete",
    "Part",
    "Patch",
    "Pause",
    "RateLimits",
    "Raw",
    "Reply",
    "Say",
    "Stall",
    "Think",
    "Tokens",
]


# -- what the model says and does ---------------------------------------------


@dataclass(frozen=True, slots=True)
class Say:
    """A message of the assistant, streamed in small pieces.

    ``chunks`` says how: ``None`` streams word by word, a number streams that many
    pieces of about the same length (0: no pieces, only the finished message), a
    sequence streams exactly these pieces, which together must be the text.
    ``pace`` is the time in seconds before each piece.

    Example: ``Say("Hello there, world!", pace=0.05)``
    """

    text: str
    _: KW_ONLY
    chunks: int | Sequence[str] | None = None
    pace: float = 0.0
    phase: Literal["commentary", "final_answer"] | None = None

    def __post_init__(self) -> None:
        _check_duration("pace", self.pace)
        if isinstance(self.chunks, int):
            if self.chunks < 0:
                raise ValueError("chunks must not be negative")
        elif self.chunks is not None and (isinstance(self.chunks, str) or "".join(self.chunks) != self.text):
            raise ValueError("chunks must be a sequence of strings that together are the text")


@dataclass(frozen=True, slots=True)
class Think:
    """A piece of reasoning: its summary and, if ``raw`` is given, the reasoning itself; both stream word by word.

    ``pace`` is the time in seconds before each word.

    Example: ``Think("The tests come first.")``
    """

    summary: str
    _: KW_ONLY
    raw: str | None = None
    pace: float = 0.0

    def __post_init__(self) -> None:
        _check_duration("pace", self.pace)


@dataclass(frozen=True, slots=True)
class Exec:
    """Run a command with the ``exec_command`` tool; a model in code mode has it only inside :class:`Custom`.

    ``escalate`` asks to run outside the sandbox and ``justification`` is the question
    the user then sees. ``options`` are further arguments of the tool.

    Example: ``Exec("pip install rich", escalate=True, justification="May I install it?")``
    """

    cmd: str
    _: KW_ONLY
    escalate: bool = False
    justification: str | None = None
    options: Mapping[str, object] = field(default_factory=dict)
    call_id: str | None = None


@dataclass(frozen=True, slots=True)
class Patch:
    r"""Edit files with the ``apply_patch`` tool; models such as ``gpt-5.5`` have it, ``mock-model`` has not.

    Example: ``Patch("*** Begin Patch\n*** Add File: a.txt\n+hello\n*** End Patch\n")``
    """

    text: str
    _: KW_ONLY
    call_id: str | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """Call any function tool. Arguments given as a string are sent as they are, even if they are not JSON.

    ``namespace`` is that of tools which come in groups, for example those of an MCP server.

    Example: ``Call("lookup_ticket", {"id": "ABC"})``
    """

    name: str
    arguments: Mapping[str, object] | str = field(default_factory=dict)
    _: KW_ONLY
    namespace: str | None = None
    call_id: str | None = None


@dataclass(frozen=True, slots=True)
class Custom:
    """Call any free-form tool, whose input is plain text.

    Models in code mode have one such tool, ``exec``, whose input is JavaScript.

    Example: ``Custom("exec", 'text(await tools.exec_command({cmd: "ls"}))')``
    """

    name: str
    input: str
    _: KW_ONLY
    call_id: str | None = None


# -- time -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Pause:
    """Send nothing for that many seconds.

    Example: ``Reply(Say("Wait. "), Pause(0.5), Say("Go."))``
    """

    seconds: float

    def __post_init__(self) -> None:
        _check_duration("seconds", self.seconds)


@dataclass(frozen=True, slots=True)
class Hold:
    """Send nothing until the gate is open.

    Example: ``Reply(Say("one "), Hold(gate), Say("two"))``
    """

    gate: Gate


# -- how a reply ends, if not well ----------------------------------------------


@dataclass(frozen=True, slots=True)
class Stall:
    """Never send anything again, and never end; must be the last part.

    Example: ``Reply(Say("I am thinking about "), Stall())``
    """


@dataclass(frozen=True, slots=True)
class Cut:
    """End before the reply is complete; must be the last part.

    The connection is dropped, or, if ``clean``, the HTTP answer is ended properly
    and only the closing event is missing.

    Example: ``Reply(Say("I was about to "), Cut())``
    """

    _: KW_ONLY
    clean: bool = False


@dataclass(frozen=True, slots=True)
class Fail:
    """End with the failure the model reports inside a good HTTP answer; must be the last part.

    Example: ``Fail("context_length_exceeded", "Too long.")``
    """

    code: str
    message: str = "The mock model was told to fail."


@dataclass(frozen=True, slots=True)
class Incomplete:
    """End early and say why; must be the last part.

    Example: ``Incomplete("content_filter")``
    """

    reason: str = "max_output_tokens"


# -- numbers ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """The token counts that close a reply; ``cached`` is a part of ``input``, ``reasoning`` a part of ``output``.

    Example: ``Tokens(input=1200, output=40, cached=1000)``
    """

    input: int = 1
    output: int = 1
    cached: int = 0
    reasoning: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimits:
    """How much of the account's limits is used, told in the headers of the reply.

    Use is in percent, windows in minutes, ``resets_at`` in seconds since 1970.
    A limit whose use is ``None`` is not told.

    Example: ``RateLimits(primary_used=87, secondary_used=12)``
    """

    primary_used: float | None = None
    primary_window: int = 300
    primary_resets_at: int | None = None
    secondary_used: float | None = None
    secondary_window: int = 10_080
    secondary_resets_at: int | None = None

    def headers(self) -> dict[str, str]:
        """The same as HTTP headers, for ``Reply.http_error(429, headers=...)``."""
        found: dict[str, str] = {}
        for name, used, window, resets_at in (
            ("primary", self.primary_used, self.primary_window, self.primary_resets_at),
            ("secondary", self.secondary_used, self.secondary_window, self.secondary_resets_at),
        ):
            if used is None:
                continue
            found[f"x-codex-{name}-used-percent"] = str(used)
            found[f"x-codex-{name}-window-minutes"] = str(window)
            if resets_at is not None:
                found[f"x-codex-{name}-reset-at"] = str(resets_at)
        return found


# -- the way out -------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Raw:
    r"""Anything else: a mapping is sent as one event, text and bytes are put on the stream as they are.

    Example: ``Raw("data: this is not JSON\n\n")``
    """

    data: Mapping[str, object] | str | bytes

    def __post_init__(self) -> None:
        if isinstance(self.data, Mapping) and "type" not in self.data:
            raise ValueError('an event needs a "type"')


Part: TypeAlias = (
    Say
    | Think
    | Exec
    | Patch
    | Call
    | Custom
    | Pause
    | Hold
    | Stall
    | Cut
    | Fail
    | Incomplete
    | Tokens
    | RateLimits
    | Raw
)
"""Anything a :class:`Reply` may be made of."""


@dataclass(frozen=True, slots=True)
class HttpError:
    """An HTTP answer instead of a stream; made by ``Reply.http_error``, and always alone."""

    status: int
    body: bytes
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True, init=False)
class Reply:
    """One answer of the model to one request; an immutable value made of parts.

    A reply that does not end otherwise is completed in the way the server expects.
    Where a reply is wanted, a plain string stands for ``Reply(Say(string))``.

    Example::

        model.enqueue(
            Reply(Think("Look first."), Exec("ls"), Tokens(input=900, output=20)),
            "There is one file.",
        )
    """

    parts: tuple[Part | HttpError, ...]

    def __init__(self, *parts: Part | HttpError) -> None:
        for part in parts:
            if not isinstance(part, Part | HttpError):
                raise TypeError(f"not a part of a reply: {part!r}")
        if any(isinstance(part, Stall | Cut | Fail | Incomplete) for part in parts[:-1]):
            raise ValueError("nothing can follow a part that ends the reply")
        if len(parts) > 1 and any(isinstance(part, HttpError) for part in parts):
            raise ValueError("an HTTP error is the whole reply")
        if sum(isinstance(part, Tokens) for part in parts) > 1:
            raise ValueError("a reply tells its tokens once")
        object.__setattr__(self, "parts", parts)

    @classmethod
    def of(cls, reply: Reply | str) -> Reply:
        """The reply itself, or the one that a plain string stands for."""
        return reply if isinstance(reply, Reply) else cls(Say(reply))

    @classmethod
    def http_error(
        cls,
        status: int,
        body: Mapping[str, object] | str | None = None,
        *,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """An HTTP answer with an error status instead of a stream; a mapping is sent as JSON, text as it is.

        Example: ``Reply.http_error(503, {"error": {"code": "server_is_overloaded"}})``
        """
        if status // 100 not in (4, 5):
            raise ValueError("an HTTP error has a status from 400 to 599")
        if body is None:
            body = {"error": {"message": f"The mock model was told to answer {status}."}}
        told = {name.lower(): value for name, value in (headers or {}).items()}
        if any("\r" in text or "\n" in text for pair in told.items() for text in pair):
            raise ValueError("a header is one line")
        if isinstance(body, str):
            return cls(HttpError(status, body.encode(), {"content-type": "text/plain; charset=utf-8", **told}))
        return cls(HttpError(status, msgspec.json.encode(body), {"content-type": "application/json", **told}))

    @classmethod
    def usage_limit(cls, *, plan: str = "plus", resets_in: float = 3600.0, limits: RateLimits | None = None) -> Reply:
        """What the service answers when the limit of a plan is used up for another ``resets_in`` seconds.

        Example: ``Reply.usage_limit(limits=RateLimits(primary_used=100))``
        """
        error = {
            "type": "usage_limit_reached",
            "message": "The usage limit has been reached",
            "plan_type": plan,
            "resets_in_seconds": int(resets_in),
        }
        return cls.http_error(429, {"error": error}, headers=limits.headers() if limits else None)


def _check_duration(name: str, seconds: float) -> None:
    if not 0 <= seconds < float("inf"):
        raise ValueError(f"{name} must be a number of seconds, not negative and not endless")
