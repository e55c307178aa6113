"""What is said to server requests: silence and confusion are a no, in the form that each method wants."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from codex_runtime._sansio import server_requests as rules
from codex_runtime._sansio.answer_forms import check
from codex_runtime._sansio.server_requests import Refusal, Reply
from codex_runtime.errors import InvalidAnswerError
from codex_runtime.protocol import registry

METHODS = sorted(rules.KNOWN)
TOLD_DECLINED = {"type": "inputText", "text": "The tool call was declined."}
CONSENT = ("accept", "acceptForSession", "approved", "approved_for_session")


def test_there_are_eleven_kinds() -> None:
    """Those that the protocol of the app server has; a new one is refused until it has a place in each table."""
    asked = {method.name for method in registry.of("server_request")}
    assert len(METHODS) == 11
    assert set(METHODS) == asked


def test_six_of_them_ask_for_leave() -> None:
    """The others want something done or told; their waits are not those of a person."""
    wants_content = {rules.USER_INPUT, rules.TOOL_CALL, rules.TOKENS, rules.ATTESTATION, rules.CURRENT_TIME}
    assert set(METHODS) - rules.APPROVALS == wants_content


def test_what_may_be_done_at_a_deadline_is_a_no_in_one_of_three_forms() -> None:
    """There is no word for a yes."""
    assert {"decline", "cancel", "refuse"} == rules.DEADLINE_ACTIONS


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
        (rules.TOOL_CALL, {"success": False, "contentItems": [TOLD_DECLINED]}),
        (rules.ELICITATION, {"action": "decline"}),
        (rules.OLD_COMMAND, {"decision": {"denied": {"rejection": "declined"}}}),
        (rules.OLD_PATCH, {"decision": {"denied": {"rejection": "declined"}}}),
    ],
)
def test_each_method_is_declined_in_its_own_words(method: str, result: object) -> None:
    """W-25 of the seed answered permissions with a decision, which the server cannot read."""
    assert rules.decline(method) == Reply(result)


def test_what_has_no_word_for_no_gets_an_error() -> None:
    """Tokens, attestation and time cannot be declined; an unknown method is not ours to handle."""
    for method in (rules.TOKENS, rules.ATTESTATION, rules.CURRENT_TIME):
        assert rules.decline(method) == Refusal(-32000, "declined by the client")
        assert rules.decline(method, "for a reason") == Refusal(-32000, "for a reason")
        assert rules.decline(method, rules.NOBODY) == Refusal(-32000, "nobody is there to answer")
        assert rules.cancel(method) == Refusal(-32000, "cancelled by the client")
        assert rules.at_deadline(method, "decline") == Refusal(-32000, "nobody answered in time")
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
    for method in (rules.COMMAND, rules.FILE_CHANGE):
        assert rules.cancel(method) == Reply({"decision": "cancel"})
    for method in (rules.OLD_COMMAND, rules.OLD_PATCH):
        assert rules.cancel(method) == Reply({"decision": "abort"})
    assert rules.cancel(rules.ELICITATION) == Reply({"action": "cancel"})
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
    assert rules.accept(rules.PERMISSIONS, None) == Reply({"permissions": {}, "scope": "turn"})


def test_permissions_are_granted_as_they_were_asked_for() -> None:
    """Both kinds, and for as long as was said; what is asked for as nothing is not granted as something."""
    files = {"write": ["/w"]}
    asked = {"permissions": {"network": {"enabled": True}, "fileSystem": files}}
    granted = {"network": {"enabled": True}, "fileSystem": files}
    assert rules.accept(rules.PERMISSIONS, asked) == Reply({"permissions": granted, "scope": "turn"})
    for_session = rules.accept(rules.PERMISSIONS, asked, for_session=True)
    assert for_session == Reply({"permissions": granted, "scope": "session"})
    assert rules.outcome(for_session) == "accepted"


@pytest.mark.parametrize(
    ("method", "once", "for_session"),
    [
        (rules.COMMAND, {"decision": "accept"}, {"decision": "acceptForSession"}),
        (rules.FILE_CHANGE, {"decision": "accept"}, {"decision": "acceptForSession"}),
        (rules.OLD_COMMAND, {"decision": "approved"}, {"decision": "approved_for_session"}),
        (rules.OLD_PATCH, {"decision": "approved"}, {"decision": "approved_for_session"}),
    ],
)
def test_each_method_is_accepted_in_its_own_words(method: str, once: object, for_session: object) -> None:
    """And no params are needed for that."""
    assert rules.accept(method, None) == Reply(once)
    assert rules.accept(method, None, for_session=True) == Reply(for_session)


@pytest.mark.parametrize(
    ("method", "ways"),
    [
        (rules.COMMAND, "accept(), amend_commands() or amend_network()"),
        (rules.FILE_CHANGE, "accept()"),
        (rules.PERMISSIONS, "accept() or grant()"),
        (rules.USER_INPUT, "give_answers()"),
        (rules.TOOL_CALL, "give_result()"),
        (rules.ELICITATION, "accept(), amend_tool() or give_form()"),
        (rules.TOKENS, "give_tokens()"),
        (rules.ATTESTATION, "give_attestation()"),
        (rules.CURRENT_TIME, "give_time()"),
        (rules.OLD_COMMAND, "accept(), amend_commands(), amend_network() or amend_tool()"),
        (rules.OLD_PATCH, "accept()"),
        ("made/up", "reply()"),
    ],
)
def test_whoever_tries_the_wrong_answer_is_told_the_right_ones(method: str, ways: str) -> None:
    """By the names of the methods of a ticket."""
    assert rules.right_answer(method) == ways


@pytest.mark.parametrize("method", [rules.USER_INPUT, rules.TOOL_CALL, rules.TOKENS, rules.CURRENT_TIME, "made/up"])
def test_what_wants_content_cannot_be_accepted(method: str) -> None:
    """Consent is not an answer there."""
    told = re.escape(f"{method} wants content, not consent: use {rules.right_answer(method)}")
    with pytest.raises(InvalidAnswerError, match=told):
        rules.accept(method, {})


def test_an_elicitation_is_accepted_for_a_session_if_it_offers_that() -> None:
    """Those about a tool do; the answer then says so."""
    for nothing in (
        None,
        {},
        {"_meta": None},
        {"_meta": ["session"]},
        {"_meta": {}},
        {"_meta": {"persist": ["always"]}},
    ):
        with pytest.raises(InvalidAnswerError, match=f"this {rules.ELICITATION} cannot be accepted for a session"):
            rules.accept(rules.ELICITATION, nothing, for_session=True)
    for offered in ("session", ["session", "always"]):
        answer = rules.accept(rules.ELICITATION, {"_meta": {"persist": offered}}, for_session=True)
        assert answer == Reply({"action": "accept", "content": {}, "_meta": {"persist": "session"}})
    with pytest.raises(InvalidAnswerError, match="for a session"):
        rules.accept(rules.ELICITATION, {"_meta": {"persist": "always"}}, for_session=True)


@pytest.mark.parametrize("method", [rules.COMMAND, rules.FILE_CHANGE, rules.OLD_COMMAND, rules.OLD_PATCH])
def test_what_an_elicitation_would_say_means_nothing_elsewhere(method: str) -> None:
    """Neither a form nor an offer to remember changes how another request is accepted."""
    odd = {"requestedSchema": {"required": ["name"]}, "_meta": {"persist": "session"}}
    for for_session in (False, True):
        assert rules.accept(method, odd, for_session=for_session) == rules.accept(method, None, for_session=for_session)


def test_a_form_that_wants_something_is_not_accepted_empty() -> None:
    """An empty yes would be a lie; the error names the fields."""
    form = {"requestedSchema": {"properties": {"name": {}, "sure": {}}, "required": ["name", 7, "sure"]}}
    told = re.escape(f"{rules.ELICITATION} wants content, not consent: name, sure; use give_form()")
    for for_session in (False, True):
        with pytest.raises(InvalidAnswerError, match=told):
            rules.accept(rules.ELICITATION, form, for_session=for_session)
    assert rules.required_fields(form) == ["name", "sure"]
    for nothing in (None, [], {}, {"requestedSchema": ["name"]}, {"requestedSchema": {"required": "name"}}):
        assert rules.required_fields(nothing) == []
    assert rules.accept(rules.ELICITATION, {"requestedSchema": {}}) == Reply({"action": "accept", "content": {}})


# --- What an answer comes to ------------------------------------------------------------------------------------------

DENIED = {"denied": {"rejection": "declined"}}
RULE = {"acceptWithExecpolicyAmendment": {"execpolicy_amendment": ["git"]}}


def host_rule(action: str, word: str = "applyNetworkPolicyAmendment") -> dict[str, object]:
    """A rule for one host, as an answer."""
    return {word: {"network_policy_amendment": {"action": action, "host": "example.org"}}}


@pytest.mark.parametrize(
    ("result", "outcome", "scope"),
    [
        ({"decision": "accept"}, "accepted", "once"),
        ({"decision": "approved"}, "accepted", "once"),
        ({"decision": "acceptForSession"}, "accepted", "session"),
        ({"decision": "approved_for_session"}, "accepted", "session"),
        ({"decision": "approved_mcp_policy_amendment"}, "accepted", "always"),
        ({"decision": RULE}, "accepted", "always"),
        ({"decision": {"approved_execpolicy_amendment": {}}}, "accepted", "always"),
        ({"decision": "decline"}, "declined", None),
        ({"decision": "timed_out"}, "declined", None),
        ({"decision": DENIED}, "declined", None),
        ({"decision": "cancel"}, "cancelled", None),
        ({"decision": "abort"}, "cancelled", None),
        # A rule that denies a host is a no, and it stays.
        ({"decision": host_rule("allow")}, "accepted", "always"),
        ({"decision": host_rule("deny")}, "declined", "always"),
        ({"decision": host_rule("deny", "network_policy_amendment")}, "declined", "always"),
        ({"decision": {"applyNetworkPolicyAmendment": "deny"}}, "accepted", "always"),
        ({"decision": {"applyNetworkPolicyAmendment": {"network_policy_amendment": "deny"}}}, "accepted", "always"),
        ({"action": "accept", "content": {}}, "accepted", "once"),
        ({"action": "accept", "_meta": {"persist": "session"}}, "accepted", "session"),
        ({"action": "accept", "_meta": {"persist": "always"}}, "accepted", "always"),
        ({"action": "accept", "_meta": "always"}, "accepted", "once"),
        ({"action": "decline"}, "declined", None),
        ({"action": "decline", "_meta": {"persist": "always"}}, "declined", None),
        ({"action": "cancel"}, "cancelled", None),
        ({"permissions": {"network": {}}, "scope": "turn"}, "accepted", "once"),
        ({"permissions": {"network": {}}, "scope": "session"}, "accepted", "session"),
        ({"permissions": {}, "scope": "session"}, "declined", None),
        ({"answers": {"q": {}}}, "answered", None),
        ({"answers": {}}, "declined", None),
        ({"success": True}, "answered", None),
        ({"success": False}, "declined", None),
        ({"token": "x"}, "answered", None),
        ("anything", "answered", None),
        (None, "answered", None),
    ],
)
def test_what_an_answer_comes_to_is_told_from_its_words(result: Any, outcome: str, scope: str | None) -> None:
    """For counters and for the record: whether it was a yes, and for how long that holds."""
    assert rules.outcome(Reply(result)) == outcome
    assert rules.scope(Reply(result)) == scope


def test_an_error_is_a_refusal_and_holds_for_nothing() -> None:
    """Whatever its data says."""
    answer = Refusal(-32000, "no", {"decision": "accept"})
    assert (rules.outcome(answer), rules.scope(answer)) == ("refused", None)
    assert Refusal(-1, "no").data is None


@pytest.mark.parametrize(
    ("params", "found"),
    [
        ({"requestId": 0, "threadId": "t"}, 0),
        ({"requestId": "0"}, "0"),
        ({"requestId": True}, None),
        ({"requestId": None}, None),
        ({"requestId": 1.5}, None),
        ({}, None),
        (None, None),
    ],
)
def test_a_resolution_is_about_one_request_or_about_none(params: object, found: object) -> None:
    """A number and a text are two ids; what is neither resolves nothing."""
    line = json.dumps({"method": "serverRequest/resolved", "params": params}).encode()
    assert rules.resolved_id(line) == found
    assert type(rules.resolved_id(line)) is type(found)


@pytest.mark.parametrize("line", [b"", b"not json", b"[]", b"{}", b"[" * 5000])
def test_a_resolution_that_cannot_be_read_resolves_nothing(line: bytes) -> None:
    """Nothing that the server writes raises."""
    assert rules.resolved_id(line) is None


@pytest.mark.parametrize("answer", [Reply({}), Refusal(-1, "no")])
def test_an_answer_cannot_be_changed_once_it_is_made(answer: object) -> None:
    """What is put on record is what was written."""
    for name in answer.__struct_fields__:  # type: ignore[attr-defined]
        with pytest.raises(AttributeError):
            setattr(answer, name, None)


def test_what_is_said_for_many_cannot_be_changed_by_one() -> None:
    """The words are shared by all requests of their method."""
    with pytest.raises(TypeError):
        rules._DECLINED[rules.COMMAND] = {"decision": "accept"}  # type: ignore[index]
