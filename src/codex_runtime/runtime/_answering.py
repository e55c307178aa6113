"""The ways to answer a server request, one method for each: the same for the loop's tickets and for those of threads.

Nothing is written here. Each method makes the answer in the form of the request's own method (``_sansio``) and hands it to
whoever holds the ticket. A method that does not fit the request raises and names the one that does; the ticket stays open.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

from codex_runtime._sansio import answers
from codex_runtime._sansio import server_requests as rules
from codex_runtime._sansio.answer_forms import check

if TYPE_CHECKING:
    from codex_runtime._sansio.envelope import JsonValue

__all__ = ["Answering"]

_NEED_PARAMS = frozenset({rules.PERMISSIONS, rules.ELICITATION})


class Answering:
    """Something that can be answered once.

    A second answer raises :class:`AlreadySettledError`; one that does not fit raises :class:`InvalidAnswerError`, and may be
    tried again. ``by`` says who answers and ``reason`` why: for the record (``RuntimeConfig.on_decision``), not for the server.
    """

    __slots__ = ()

    method: str

    def _told(self) -> JsonValue:
        """Return what the server sent, decoded anew: nobody can have changed it."""
        raise NotImplementedError

    def _answer(self, answer: rules.Answer, reason: str | None, by: str | None) -> None:
        """Write the answer and be settled."""
        raise NotImplementedError

    def _now(self) -> float:
        """Return the Unix time in seconds."""
        raise NotImplementedError

    @property
    def is_approval(self) -> bool:
        """True if it asks for leave to do something, rather than for something to be done."""
        return self.method in rules.APPROVALS

    # -- yes and no ------------------------------------------------------------------------------------------------

    def accept(self, *, for_session: bool = False, by: str | None = None, reason: str | None = None) -> None:
        """Allow exactly what was asked, once; ``for_session`` allows it again without asking, where the method can."""
        params = self._told() if self.method in _NEED_PARAMS else None
        self._answer(rules.accept(self.method, params, for_session=for_session), reason, by)

    def decline(self, reason: str | None = None, *, by: str | None = None) -> None:
        """Refuse it; the turn goes on. Every kind can be declined."""
        self._answer(rules.decline(self.method), reason, by)

    def cancel(self, reason: str | None = None, *, by: str | None = None) -> None:
        """Refuse it and end the turn, where the method has a word for that; otherwise decline."""
        self._answer(rules.cancel(self.method), reason, by)

    # -- a part of what was asked, or more than that ---------------------------------------------------------------

    def grant(
        self,
        *,
        network: bool = False,
        read: Sequence[str] = (),
        write: Sequence[str] = (),
        entries: Sequence[JsonValue] = (),
        for_session: bool = False,
        strict_auto_review: bool = False,
        by: str | None = None,
        reason: str | None = None,
    ) -> None:
        """Give these rights of those that ``item/permissions/requestApproval`` asks for, for the turn or the session.

        ``read`` and ``write`` are absolute paths; ``entries`` are taken as they stand in the request. With
        ``strict_auto_review`` the server has a reviewer look at each command in this turn before it runs.
        """
        rights = answers.grant(
            self.method,
            network=network,
            read=read,
            write=write,
            entries=entries,
            for_session=for_session,
            strict_auto_review=strict_auto_review,
        )
        self._answer(rights, reason, by)

    def amend_commands(self, words: Sequence[str], *, by: str | None = None, reason: str | None = None) -> None:
        """Allow a command, and let all that begin with these words run from now on, unasked and *outside the sandbox*.

        The server writes the rule to its home, for all sessions, for good. What it proposes is in
        ``params["proposedExecpolicyAmendment"]``.
        """
        self._answer(answers.amend_commands(self.method, words), reason, by)

    def amend_network(
        self, host: str, action: Literal["allow", "deny"], *, by: str | None = None, reason: str | None = None
    ) -> None:
        """Allow or deny a command's way to a host, from now on. What the server proposes is in its ``params``."""
        self._answer(answers.amend_network(self.method, host, action), reason, by)

    def amend_tool(self, *, by: str | None = None, reason: str | None = None) -> None:
        """Allow a tool of an MCP server, and let it run unasked from now on, for good, where the server offers that."""
        self._answer(answers.amend_tool(self.method, self._told()), reason, by)

    # -- content ---------------------------------------------------------------------------------------------------

    def give_answers(
        self, texts: Mapping[str, str | Sequence[str]], *, by: str | None = None, reason: str | None = None
    ) -> None:
        """Answer a tool's questions to its user (``item/tool/requestUserInput``): question id to text, or several.

        Example: ``ticket.give_answers({"colour": "Blue"})``
        """
        self._answer(answers.answers(self.method, self._told(), texts), reason, by)

    def give_form(self, content: Mapping[str, JsonValue], *, by: str | None = None, reason: str | None = None) -> None:
        """Fill in the form of an MCP server (``mcpServer/elicitation/request``): field to value."""
        self._answer(answers.form(self.method, self._told(), content), reason, by)

    def give_result(
        self,
        *content: str | Mapping[str, JsonValue],
        success: bool = True,
        by: str | None = None,
        reason: str | None = None,
    ) -> None:
        """Give what a tool of yours came to (``item/tool/call``): texts, or items as the server knows them.

        Example: ``ticket.give_result("ABC is open")``
        """
        self._answer(answers.result(self.method, content, success=success), reason, by)

    def give_tokens(
        self,
        *,
        access_token: str,
        account_id: str,
        plan_type: str | None = None,
        by: str | None = None,
        reason: str | None = None,
    ) -> None:
        """Give new tokens of the account that you logged in (``account/chatgptAuthTokens/refresh``)."""
        self._answer(answers.tokens(self.method, access_token, account_id, plan_type), reason, by)

    def give_attestation(self, token: str, *, by: str | None = None, reason: str | None = None) -> None:
        """Give an attestation (``attestation/generate``)."""
        self._answer(answers.attestation(self.method, token), reason, by)

    def give_time(self, at: float | None = None, *, by: str | None = None, reason: str | None = None) -> None:
        """Tell the time (``currentTime/read``) in Unix seconds; ``None`` is now."""
        self._answer(answers.time(self.method, self._now() if at is None else at), reason, by)

    # -- any form --------------------------------------------------------------------------------------------------

    def reply(self, result: JsonValue, *, by: str | None = None, reason: str | None = None) -> None:
        """Answer with any result in the method's own form."""
        check(self.method, result)
        self._answer(rules.Reply(result), reason, by)

    def refuse(
        self,
        message: str,
        *,
        code: int = rules.REFUSED,
        data: JsonValue = None,
        by: str | None = None,
        reason: str | None = None,
    ) -> None:
        """Answer with an error, which the server treats as a failed action."""
        self._answer(rules.Refusal(code, message, data), reason, by)
