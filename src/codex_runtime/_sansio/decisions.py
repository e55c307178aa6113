"""The record of who settled a server request, how, when and why: for an audit, not for the server.

What was said is in the log of messages, if there is one; :attr:`Decision.seq` is the number of the request there. Who said
it, why, and what they saw of it, is known here alone. Content that was given (tokens, answers to questions) is in neither
``by`` nor reason, so the record holds no secrets of its own.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

from msgspec import Struct

from codex_runtime._sansio.server_requests import Outcome, Scope

__all__ = ["Decider", "Decision"]

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
