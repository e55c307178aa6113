"""The record of a decision: plain data, in the same words as a log of the messages."""

from __future__ import annotations

import msgspec
import pytest

from codex_runtime._sansio import server_requests as rules
from codex_runtime._sansio.answer_forms import check
from codex_runtime._sansio.decisions import Decision


def test_a_decision_is_frozen_and_has_a_form_in_json() -> None:
    """Its ids are called as they are in a log, so that the two can be joined."""
    decision = Decision(
        what=rules.COMMAND, outcome="accepted", decider="hook", at=1.0, thread_id="t", ticket_id="x", seq=5
    )
    with pytest.raises(AttributeError):
        decision.decider = "nobody"  # type: ignore[misc]
    told = msgspec.json.decode(msgspec.json.encode(decision))
    assert (told["threadId"], told["ticketId"], told["seq"], told["openedAt"]) == ("t", "x", 5, None)
    assert msgspec.json.decode(msgspec.json.encode(decision), type=Decision) == decision


@pytest.mark.parametrize(
    ("method", "result", "scope"),
    [
        (rules.COMMAND, {"decision": "accept"}, "once"),
        (rules.COMMAND, {"decision": "acceptForSession"}, "session"),
        (rules.COMMAND, {"decision": "decline"}, None),
        (rules.COMMAND, {"decision": {"acceptWithExecpolicyAmendment": {"execpolicy_amendment": ["ls"]}}}, "always"),
        (rules.OLD_PATCH, {"decision": "approved_for_session"}, "session"),
        (rules.OLD_PATCH, {"decision": {"denied": {"rejection": "no"}}}, None),
        (rules.PERMISSIONS, {"permissions": {"network": {"enabled": True}}, "scope": "session"}, "session"),
        (rules.PERMISSIONS, {"permissions": {}, "scope": "session"}, None),
        (rules.ELICITATION, {"action": "accept", "_meta": {"persist": "session"}}, "session"),
        (rules.ELICITATION, {"action": "decline", "_meta": {"persist": "session"}}, None),
        (rules.TOOL_CALL, {"success": True, "contentItems": []}, None),
    ],
)
def test_a_yes_says_for_how_long_it_holds(method: str, result: dict[str, object], scope: str | None) -> None:
    """An audit must tell a yes from a rule."""
    check(method, result)
    assert rules.scope(rules.Reply(result)) == scope


def test_an_error_and_a_word_of_tomorrow_hold_for_nothing() -> None:
    """They are no yes."""
    assert rules.scope(rules.Refusal(-1, "no")) is None
    assert rules.scope(rules.Reply(5)) is None
