"""Every answer that can be given has the form that the server's own schema says, and goes to no other kind of request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from codex_runtime._sansio import answers
from codex_runtime._sansio import server_requests as rules
from codex_runtime._sansio.answer_forms import check
from codex_runtime._sansio.server_requests import Refusal, Reply
from codex_runtime.errors import InvalidAnswerError
from codex_runtime.protocol import Undecodable, decode_result
from codex_runtime.protocol._base import Unknown

if TYPE_CHECKING:
    from collections.abc import Callable

PERSIST = {"_meta": {"codex_approval_kind": "mcp_tool_call", "persist": ["session", "always"]}, "mode": "form"}
FORM = {"mode": "form", "requestedSchema": {"type": "object", "properties": {"name": {}}, "required": ["name"]}}
ASKED = {"questions": [{"id": "q", "question": "?"}, {"id": "r", "question": "?"}]}
ENTRY = {"path": {"type": "path", "path": "/d"}, "access": "write"}

# Each way to answer, with the kind that it is for and what is written then.
WAYS: list[tuple[str, Callable[[str], Reply], dict[str, Any], str, str | None]] = [
    (
        rules.PERMISSIONS,
        lambda m: answers.grant(m, network=True, read=["/a"], write=("/b",)),
        {
            "permissions": {"network": {"enabled": True}, "fileSystem": {"read": ["/a"], "write": ["/b"]}},
            "scope": "turn",
        },
        "accepted",
        "once",
    ),
    (
        rules.PERMISSIONS,
        lambda m: answers.grant(m, entries=[ENTRY], for_session=True, strict_auto_review=True),
        {"permissions": {"fileSystem": {"entries": [ENTRY]}}, "scope": "session", "strictAutoReview": True},
        "accepted",
        "session",
    ),
    (rules.PERMISSIONS, answers.grant, {"permissions": {}, "scope": "turn"}, "declined", None),
    (
        rules.COMMAND,
        lambda m: answers.amend_commands(m, ["touch", "x"]),
        {"decision": {"acceptWithExecpolicyAmendment": {"execpolicy_amendment": ["touch", "x"]}}},
        "accepted",
        "always",
    ),
    (
        rules.OLD_COMMAND,
        lambda m: answers.amend_commands(m, ("touch",)),
        {"decision": {"approved_execpolicy_amendment": {"proposed_execpolicy_amendment": ["touch"]}}},
        "accepted",
        "always",
    ),
    (
        rules.COMMAND,
        lambda m: answers.amend_network(m, "a.b", "allow"),
        {"decision": {"applyNetworkPolicyAmendment": {"network_policy_amendment": {"action": "allow", "host": "a.b"}}}},
        "accepted",
        "always",
    ),
    (
        rules.COMMAND,
        lambda m: answers.amend_network(m, "a.b", "deny"),
        {"decision": {"applyNetworkPolicyAmendment": {"network_policy_amendment": {"action": "deny", "host": "a.b"}}}},
        "declined",
        "always",
    ),
    (
        rules.OLD_COMMAND,
        lambda m: answers.amend_network(m, "a.b", "deny"),
        {"decision": {"network_policy_amendment": {"network_policy_amendment": {"action": "deny", "host": "a.b"}}}},
        "declined",
        "always",
    ),
    (
        rules.OLD_COMMAND,
        lambda m: answers.amend_tool(m, None),
        {"decision": "approved_mcp_policy_amendment"},
        "accepted",
        "always",
    ),
    (
        rules.ELICITATION,
        lambda m: answers.amend_tool(m, PERSIST),
        {"action": "accept", "content": {}, "_meta": {"persist": "always"}},
        "accepted",
        "always",
    ),
    (
        rules.ELICITATION,
        lambda m: answers.form(m, FORM, {"name": "Ann", "sure": True}),
        {"action": "accept", "content": {"name": "Ann", "sure": True}},
        "accepted",
        "once",
    ),
    (
        rules.USER_INPUT,
        lambda m: answers.answers(m, ASKED, {"q": "Blue", "r": ("a", "b")}),
        {"answers": {"q": {"answers": ["Blue"]}, "r": {"answers": ["a", "b"]}}},
        "answered",
        None,
    ),
    (
        rules.TOOL_CALL,
        lambda m: answers.result(m, ("text", {"type": "inputImage", "imageUrl": "data:,"}), success=True),
        {
            "success": True,
            "contentItems": [{"type": "inputText", "text": "text"}, {"type": "inputImage", "imageUrl": "data:,"}],
        },
        "answered",
        None,
    ),
    (
        rules.TOOL_CALL,
        lambda m: answers.result(m, ["it broke"], success=False),
        {"success": False, "contentItems": [{"type": "inputText", "text": "it broke"}]},
        "declined",
        None,
    ),
    (
        rules.TOKENS,
        lambda m: answers.tokens(m, "t", "a", "pro"),
        {"accessToken": "t", "chatgptAccountId": "a", "chatgptPlanType": "pro"},
        "answered",
        None,
    ),
    (
        rules.TOKENS,
        lambda m: answers.tokens(m, "t", "a", None),
        {"accessToken": "t", "chatgptAccountId": "a"},
        "answered",
        None,
    ),
    (rules.ATTESTATION, lambda m: answers.attestation(m, "t"), {"token": "t"}, "answered", None),
    (rules.CURRENT_TIME, lambda m: answers.time(m, 12.9), {"currentTimeAt": 12}, "answered", None),
]


def fits(method: str, result: Any) -> None:
    """Read an answer with the types that the server's schema was turned into, and write it again: nothing is lost."""
    read = decode_result(method, msgspec.json.encode(result))
    assert not isinstance(read, Undecodable), read
    assert msgspec.json.decode(msgspec.json.encode(read)) == result
    assert not any(isinstance(getattr(read, name), Unknown) for name in getattr(read, "__struct_fields__", ()))


@pytest.mark.parametrize(("method", "say", "result", "verdict", "scope"), WAYS)
def test_an_answer_has_the_form_of_its_method(
    method: str, say: Callable[[str], Reply], result: Any, verdict: str, scope: str | None
) -> None:
    """As our own check sees it, and as the generated types do; and it is called what it is."""
    answer = say(method)
    assert answer == Reply(result)
    check(method, result)
    fits(method, result)
    assert (rules.outcome(answer), rules.scope(answer)) == (verdict, scope)


@pytest.mark.parametrize("method", sorted(rules.KNOWN))
@pytest.mark.parametrize(("right", "say"), [(way[0], way[1]) for way in WAYS])
def test_a_way_that_does_not_fit_names_the_right_one(method: str, right: str, say: Callable[[str], Reply]) -> None:
    """Nothing is made of it. Amendments also fit the old kind of a command."""
    if any(
        {method, right} <= shared
        for shared in ({rules.COMMAND, rules.OLD_COMMAND}, {rules.ELICITATION, rules.OLD_COMMAND})
    ):
        return
    if method == right:
        return
    with pytest.raises(InvalidAnswerError) as caught:
        say(method)
    assert f"use {rules.right_answer(method)}" in str(caught.value)
    assert str(caught.value).startswith(f"{method} does not take ")


@pytest.mark.parametrize("method", sorted(rules.KNOWN))
def test_what_the_plain_words_write_fits_the_schema_too(method: str) -> None:
    """Yes, no, and no at the deadline, for every kind that has a form for it."""
    said = [rules.decline(method), rules.cancel(method)]
    said += [rules.at_deadline(method, action) for action in ("decline", "cancel", "refuse")]  # type: ignore[arg-type]
    if method in rules.APPROVALS:
        said += [rules.accept(method, PERSIST, for_session=for_session) for for_session in (False, True)]
    for answer in said:
        if isinstance(answer, Reply):
            fits(method, answer.result)
        else:
            assert isinstance(answer, Refusal)


@pytest.mark.parametrize(
    ("say", "told"),
    [
        (lambda: answers.amend_commands(rules.COMMAND, "touch"), "must be a list of texts"),
        (lambda: answers.amend_commands(rules.COMMAND, []), "does not hold what it has to"),
        (lambda: answers.amend_network(rules.COMMAND, "a.b", "perhaps"), "does not hold what it has to"),  # type: ignore[arg-type]
        (lambda: answers.grant(rules.PERMISSIONS, write="/a"), "must be a list of texts"),
        (lambda: answers.answers(rules.USER_INPUT, ASKED, {"x": "y"}), "no question with the id 'x'"),
        (lambda: answers.answers(rules.USER_INPUT, None, {"q": "y"}), "no question with the id 'q'"),
        (lambda: answers.answers(rules.USER_INPUT, ASKED, {"q": [1]}), "must be"),  # type: ignore[list-item]
        (lambda: answers.form(rules.ELICITATION, FORM, {"sure": True}), "the form also needs name"),
        (lambda: answers.form(rules.ELICITATION, {"mode": "url"}, {}), "has no form: use accept()"),
        (lambda: answers.amend_tool(rules.ELICITATION, FORM), "does not offer to be remembered"),
        (lambda: answers.result(rules.TOOL_CALL, [{"text": "x"}], success=True), "'contentItems'"),
        (lambda: answers.tokens(rules.TOKENS, 1, "a", None), "must be text"),  # type: ignore[arg-type]
        (lambda: answers.attestation(rules.ATTESTATION, None), "'token' must be text"),  # type: ignore[arg-type]
    ],
)
def test_what_the_server_would_not_take_is_not_made(say: Callable[[], Reply], told: str) -> None:
    """With a word on what is wrong, and no secret in it."""
    with pytest.raises(InvalidAnswerError, match=told):
        say()


def test_a_yes_never_holds_an_amendment() -> None:
    """Whatever the server offers: rules that outlive the request are asked for by their own names."""
    offered = {
        "availableDecisions": [{"acceptWithExecpolicyAmendment": {"execpolicy_amendment": ["rm"]}}],
        "proposedExecpolicyAmendment": ["rm"],
        "proposedNetworkPolicyAmendments": [{"action": "allow", "host": "*"}],
        **PERSIST,
    }
    for method in rules.APPROVALS:
        for for_session in (False, True):
            answer = rules.accept(method, offered, for_session=for_session)
            assert rules.scope(answer) in ("once", "session", None)
