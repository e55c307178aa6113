"""The form of each answer: what the server would take passes, all else is told before it is written."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codex_runtime._sansio import server_requests as rules
from codex_runtime._sansio.answer_forms import check
from codex_runtime._sansio.server_requests import Reply
from codex_runtime.errors import InvalidAnswerError

GOOD: list[tuple[str, dict[str, Any], str]] = [
    (rules.COMMAND, {"decision": "accept"}, "accepted"),
    (rules.COMMAND, {"decision": {"acceptWithExecpolicyAmendment": {"execpolicy_amendment": ["ls"]}}}, "accepted"),
    (rules.FILE_CHANGE, {"decision": "cancel"}, "cancelled"),
    (rules.PERMISSIONS, {"permissions": {"network": {"enabled": True}}, "scope": "session"}, "accepted"),
    (rules.USER_INPUT, {"answers": {"q": {"answers": ["Blue"]}}}, "answered"),
    (rules.TOOL_CALL, {"success": True, "contentItems": [{"type": "inputText", "text": "x"}]}, "answered"),
    (rules.TOOL_CALL, {"success": False, "contentItems": []}, "declined"),
    (rules.ELICITATION, {"action": "accept", "content": {"name": "x"}}, "accepted"),
    (rules.TOKENS, {"accessToken": "a", "chatgptAccountId": "b", "chatgptPlanType": None}, "answered"),
    (rules.ATTESTATION, {"token": "t"}, "answered"),
    (rules.CURRENT_TIME, {"currentTimeAt": 5}, "answered"),
    (rules.OLD_COMMAND, {"decision": "approved"}, "accepted"),
    (rules.OLD_PATCH, {"decision": {"denied": {"rejection": "x"}}}, "declined"),
    (rules.OLD_PATCH, {"decision": "timed_out"}, "declined"),
]


@pytest.mark.parametrize(("method", "result", "outcome"), GOOD)
def test_good_answers_pass_and_are_named(method: str, result: dict[str, Any], outcome: str) -> None:
    """Every kind has at least one."""
    check(method, result)
    assert rules.outcome(Reply(result)) == outcome


def test_the_good_answers_cover_every_kind() -> None:
    """So that no kind is forgotten."""
    assert {method for method, _, _ in GOOD} == rules.KNOWN


@pytest.mark.parametrize(
    ("method", "result"),
    [
        (rules.COMMAND, {"decision": "yes"}),
        (rules.COMMAND, {"decision": {}}),
        (rules.COMMAND, {"decision": {"accept": 1, "x": 2}}),
        (rules.COMMAND, {}),
        (rules.COMMAND, "accept"),
        (rules.FILE_CHANGE, {"decision": {"acceptWithExecpolicyAmendment": {}}}),
        (rules.PERMISSIONS, {"decision": "accept"}),
        (rules.PERMISSIONS, {"permissions": {}, "scope": "for ever"}),
        (rules.USER_INPUT, {"answers": []}),
        (rules.USER_INPUT, {"answers": {"q": ["Blue"]}}),
        (rules.USER_INPUT, {"answers": {"q": {"answers": [1]}}}),
        (rules.TOOL_CALL, {"success": "yes", "contentItems": []}),
        (rules.TOOL_CALL, {"success": True, "contentItems": ["x"]}),
        (rules.ELICITATION, {"action": "maybe"}),
        (rules.TOKENS, {"accessToken": "a"}),
        (rules.TOKENS, {"accessToken": "a", "chatgptAccountId": "b", "chatgptPlanType": 5}),
        (rules.ATTESTATION, {"token": 1}),
        (rules.CURRENT_TIME, {"currentTimeAt": True}),
        (rules.OLD_COMMAND, {"decision": "accept"}),
        (rules.COMMAND, {"decision": {"acceptWithExecpolicyAmendment": {}}}),
        (rules.COMMAND, {"decision": {"acceptWithExecpolicyAmendment": {"execpolicy_amendment": "ls"}}}),
        (rules.COMMAND, {"decision": {"applyNetworkPolicyAmendment": {"network_policy_amendment": {"host": "a"}}}}),
        (rules.OLD_PATCH, {"decision": {"denied": {}}}),
    ],
)
def test_bad_answers_are_refused_with_the_method_named(method: str, result: object) -> None:
    """The server would treat them as a failed action."""
    with pytest.raises(InvalidAnswerError, match=method):
        check(method, result)


def test_methods_of_tomorrow_take_any_answer() -> None:
    """We cannot know their form."""
    check("made/up", 5)


@given(
    st.sampled_from(sorted(rules.KNOWN)),
    st.recursive(st.none() | st.text(), lambda i: st.dictionaries(st.text(), i) | st.lists(i)),
)
def test_checking_any_value_passes_or_raises_the_one_error(method: str, value: object) -> None:
    """And what passes can be named."""
    try:
        check(method, value)
    except InvalidAnswerError:
        return
    rules.outcome(Reply(value))
