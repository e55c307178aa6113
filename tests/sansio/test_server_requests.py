"""What is said to server requests: silence and confusion are a no, in the form that each method wants."""

from __future__ import annotations

from typing import Any

import pytest

from codex_runtime._sansio import server_requests as rules
from codex_runtime._sansio.answer_forms import check
from codex_runtime._sansio.server_requests import Refusal, Reply
from codex_runtime.errors import InvalidAnswerError

METHODS = sorted(rules.KNOWN)
CONSENT = ("accept", "acceptForSession", "approved", "approved_for_session")


def test_there_are_eleven_kinds() -> None:
    """app-server.md section 10."""
    assert len(METHODS) == 11


@pytest.mark.parametrize("method", [*METHODS, "made/up"])
@pytest.mark.parametrize("say", [rules.decline, rules.cancel])
def test_no_refusal_of_any_method_reads_as_consent(method: str, say: Any) -> None:
    """I6, for every method: what we say unasked has the method's own form and grants nothing."""
    answer = say(method)
    if isinstance(answer, Reply):
        check(method, answer.result)
        assert answer.result.get("decision") not in CONSENT
        assert answer.result.get("action") != "accept"
        assert not answer.result.get("permissions")
        assert not answer.result.get("answers")
        assert answer.result.get("success") is not True
    assert rules.outcome(answer) in ("declined", "cancelled", "refused")


@pytest.mark.parametrize(
    ("method", "result"),
    [
        (rules.COMMAND, {"decision": "decline"}),
        (rules.FILE_CHANGE, {"decision": "decline"}),
        (rules.PERMISSIONS, {"permissions": {}}),
        (rules.USER_INPUT, {"answers": {}}),
        (rules.ELICITATION, {"action": "decline"}),
        (rules.OLD_COMMAND, {"decision": {"denied": {"rejection": "declined"}}}),
    ],
)
def test_each_method_is_declined_in_its_own_words(method: str, result: object) -> None:
    """W-25 of the seed answered permissions with a decision, which the server cannot read."""
    assert rules.decline(method) == Reply(result)


def test_what_has_no_word_for_no_gets_an_error() -> None:
    """Tokens, attestation and time cannot be declined; an unknown method is not ours to handle."""
    assert isinstance(rules.decline(rules.TOKENS), Refusal)
    assert isinstance(rules.decline(rules.ATTESTATION), Refusal)
    assert rules.decline("made/up") == Refusal(-32601, "this client does not handle that request")


@pytest.mark.parametrize("action", ["decline", "cancel", "refuse"])
def test_tokens_are_refused_whatever_the_deadline_says(action: Any) -> None:
    """Nobody invents a token; other kinds have the form that was chosen."""
    assert isinstance(rules.at_deadline(rules.TOKENS, action), Refusal)
    told = {"decline": {"decision": "decline"}, "cancel": {"decision": "cancel"}}
    late = Refusal(-32000, "nobody answered in time", {"method": rules.COMMAND})
    assert rules.at_deadline(rules.COMMAND, action) == (Reply(told[action]) if action in told else late)


def test_cancelling_ends_the_turn_where_there_is_a_word_for_it() -> None:
    """Elsewhere it declines."""
    assert rules.cancel(rules.COMMAND) == Reply({"decision": "cancel"})
    assert rules.cancel(rules.OLD_PATCH) == Reply({"decision": "abort"})
    assert rules.cancel(rules.PERMISSIONS) == Reply({"permissions": {}})


def test_accepting_allows_what_was_asked_and_no_more() -> None:
    """Never an amendment: it would run later commands outside the sandbox (app-server.md section 0.13)."""
    offered = {"availableDecisions": [{"acceptWithExecpolicyAmendment": {"execpolicy_amendment": ["rm"]}}, "accept"]}
    assert rules.accept(rules.COMMAND, offered) == Reply({"decision": "accept"})
    assert rules.accept(rules.COMMAND, offered, for_session=True) == Reply({"decision": "acceptForSession"})
    asked = {"permissions": {"network": {"enabled": True}, "fileSystem": None, "new": 1}}
    granted = rules.accept(rules.PERMISSIONS, asked)
    assert granted == Reply({"permissions": {"network": {"enabled": True}}, "scope": "turn"})
    assert rules.accept(rules.PERMISSIONS, {}) == Reply({"permissions": {}, "scope": "turn"})
    assert rules.accept(rules.PERMISSIONS, {"permissions": ["all"]}) == Reply({"permissions": {}, "scope": "turn"})


@pytest.mark.parametrize("method", [rules.USER_INPUT, rules.TOOL_CALL, rules.TOKENS, rules.CURRENT_TIME, "made/up"])
def test_what_wants_content_cannot_be_accepted(method: str) -> None:
    """Consent is not an answer there."""
    with pytest.raises(InvalidAnswerError, match="wants content"):
        rules.accept(method, {})


def test_an_elicitation_is_accepted_for_a_session_if_it_offers_that() -> None:
    """Those about a tool do; the answer then says so."""
    with pytest.raises(InvalidAnswerError, match="for a session"):
        rules.accept(rules.ELICITATION, {}, for_session=True)
    for offered in ("session", ["session", "always"]):
        answer = rules.accept(rules.ELICITATION, {"_meta": {"persist": offered}}, for_session=True)
        assert answer == Reply({"action": "accept", "content": {}, "_meta": {"persist": "session"}})
    with pytest.raises(InvalidAnswerError, match="for a session"):
        rules.accept(rules.ELICITATION, {"_meta": {"persist": "always"}}, for_session=True)


def test_a_form_that_wants_something_is_not_accepted_empty() -> None:
    """An empty yes would be a lie; the error names the fields."""
    form = {"requestedSchema": {"properties": {"name": {}, "sure": {}}, "required": ["name"]}}
    with pytest.raises(InvalidAnswerError, match=r"name; use give_form\(\)"):
        rules.accept(rules.ELICITATION, form)
    assert rules.required_fields(form) == ["name"]
    assert rules.accept(rules.ELICITATION, {"requestedSchema": {}}) == Reply({"action": "accept", "content": {}})
