"""What a person sees of a request: all of it, nothing that pretends to be it, and the same text for the same request."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codex_runtime._sansio import server_requests as rules
from codex_runtime._sansio.display import visible
from codex_runtime._sansio.wording import question_of

IDS = {"threadId": "t", "turnId": "u", "itemId": "i", "startedAtMs": 5}
ITEM = {
    "type": "fileChange",
    "id": "i",
    "changes": [
        {"path": "/w/a", "kind": {"type": "add"}, "diff": "one\ntwo\n"},
        {"path": "/w/b", "kind": {"type": "update", "move_path": "/w/c"}, "diff": "@@\n-x\n+y\n"},
    ],
}
TOOL_META = {
    "codex_approval_kind": "mcp_tool_call",
    "persist": ["session", "always"],
    "tool_description": "Echoes.",
    "tool_params": {"text": "x"},
    "tool_params_display": [],
}
CALL = {"type": "mcpToolCall", "server": "stub", "tool": "echo", "status": "inProgress", "arguments": {"text": "x"}}


def shown(method: str, params: Any, *items: Any) -> list[tuple[str, str]]:
    """The title and the parts."""
    question = question_of(method, params, items)
    return [("?", question.title), *((part.label, part.text) for part in question.parts)]


# What is asked, with the items that are known, and what is shown of it.
ASKED: list[tuple[str, Any, tuple[Any, ...], list[tuple[str, str]]]] = [
    (
        rules.COMMAND,
        {
            **IDS,
            "kind": "command",
            "environmentId": "local",
            "command": "/bin/bash -lc 'rm -r x && ls'",
            "cwd": "/ws",
            "reason": "It is old.",
            "commandActions": [{"type": "unknown"}],
            "proposedExecpolicyAmendment": ["rm"],
            "availableDecisions": ["accept"],
        },
        (),
        [("?", "run this command?"), ("command", "rm -r x && ls"), ("in", "/ws"), ("because", "It is old.")],
    ),
    (
        rules.COMMAND,
        {**IDS, "command": "evil/sh -c 'ls'", "cwd": "/ws"},
        (),
        [("?", "run this command?"), ("command", "evil/sh -c 'ls'"), ("in", "/ws")],
    ),
    (
        rules.COMMAND,
        {
            "command": "ls",
            "additionalPermissions": {
                "network": {"enabled": True},
                "fileSystem": {
                    "read": ["/r"],
                    "write": ["/w"],
                    "entries": [
                        {"path": {"type": "path", "path": "/w"}, "access": "write"},
                        {"path": {"type": "special", "value": {"kind": "root"}}, "access": "read"},
                    ],
                    "globScanMaxDepth": 3,
                },
            },
            "environmentId": "far away",
        },
        (),
        [
            ("?", "run this command?"),
            ("command", "ls"),
            ("network", "all of it"),
            ("read", "/r"),
            ("write", "/w"),
            ("files", '{"path":{"type":"special","value":{"kind":"root"}},"access":"read"}'),
            ("also", "globScanMaxDepth: 3"),
            ("also", 'environmentId: "far away"'),
        ],
    ),
    (
        rules.COMMAND,
        {"command": "curl x", "networkApprovalContext": {"host": "a.b", "protocol": "https"}},
        (),
        [("?", "let this command reach the network?"), ("command", "curl x"), ("network", "a.b (https)")],
    ),
    (
        rules.COMMAND,
        {"command": "x", "kind": "writeStdin", "networkApprovalContext": {"host": "a.b", "more": 1}},
        (),
        [("?", "let this command reach the network?"), ("command", "x"), ("network", '{"host":"a.b","more":1}')],
    ),
    (
        rules.COMMAND,
        {**IDS, "kind": "writeStdin"},
        ({"type": "commandExecution", "id": "i", "command": "/bin/sh -c cat", "cwd": "/ws"},),
        [("?", "writeStdin: let this command go on?"), ("command", "cat"), ("in", "/ws")],
    ),
    (rules.COMMAND, {}, (), [("?", "run this command?")]),
    (rules.COMMAND, {"command": ["ls"]}, (), [("?", "run this command?"), ("also", 'command: ["ls"]')]),
    (
        rules.OLD_COMMAND,
        {"conversationId": "t", "callId": "c", "command": ["rm", "a b"], "cwd": "/ws", "parsedCmd": []},
        (),
        [("?", "run this command?"), ("command", "rm 'a b'"), ("in", "/ws")],
    ),
    (
        rules.OLD_COMMAND,
        {"command": ["bash", "-lc", "ls | wc"]},
        (),
        [("?", "run this command?"), ("command", "ls | wc")],
    ),
    (
        rules.FILE_CHANGE,
        {**IDS, "reason": None, "grantRoot": None},
        ({"type": "agentMessage", "id": "x"}, ITEM),
        [
            ("?", "apply this patch?"),
            ("change", "add /w/a"),
            ("diff", "one\ntwo\n"),
            ("change", "update /w/b, moved to /w/c"),
            ("diff", "@@\n-x\n+y\n"),
        ],
    ),
    (
        rules.FILE_CHANGE,
        {**IDS, "grantRoot": "/etc", "reason": "Why not."},
        (),
        [
            ("?", "apply this patch?"),
            ("change", "not known: the server told no files and no diffs"),
            ("write", "everything below /etc, from now on"),
            ("because", "Why not."),
        ],
    ),
    (
        rules.OLD_PATCH,
        {
            "fileChanges": {
                "/a": {"type": "add", "content": "x\n"},
                "/b": {"type": "update", "unified_diff": "@@", "move_path": "/c"},
            }
        },
        (),
        [
            ("?", "apply this patch?"),
            ("change", "add /a"),
            ("diff", "x\n"),
            ("change", "update /b, moved to /c"),
            ("diff", "@@"),
        ],
    ),
    (
        rules.PERMISSIONS,
        {**IDS, "cwd": "/ws", "permissions": {"network": {"enabled": False}, "fileSystem": None, "new": 1}},
        (),
        [("?", "grant these permissions?"), ("network", '{"enabled":false}'), ("also", "new: 1"), ("in", "/ws")],
    ),
    (
        rules.PERMISSIONS,
        {"permissions": ["all"]},
        (),
        [("?", "grant these permissions?"), ("permissions", '["all"]')],
    ),
    (
        rules.ELICITATION,
        {
            "threadId": "t",
            "serverName": "stub",
            "mode": "form",
            "_meta": TOOL_META,
            "message": "Allow?",
            "requestedSchema": {"type": "object", "properties": {}},
        },
        (CALL,),
        [
            ("?", "let a tool of the MCP server stub run?"),
            ("message", "Allow?"),
            ("tool", "stub/echo"),
            ("arguments", '{"text":"x"}'),
            ("description", "Echoes."),
        ],
    ),
    (
        rules.ELICITATION,
        {"serverName": "stub", "message": "Log in", "mode": "url", "url": "http://x", "elicitationId": "e"},
        (),
        [("?", "the MCP server stub asks:"), ("message", "Log in"), ("url", "http://x")],
    ),
    (
        rules.ELICITATION,
        {
            "serverName": "stub",
            "message": "Who?",
            "mode": "form",
            "requestedSchema": {"properties": {"name": {"type": "string"}, "sure": {}}, "required": ["name"]},
        },
        (),
        [
            ("?", "the MCP server stub asks:"),
            ("message", "Who?"),
            ("field", 'name (required): {"type":"string"}'),
            ("field", "sure: {}"),
        ],
    ),
    (
        rules.USER_INPUT,
        {
            **IDS,
            "isBlocking": True,
            "questions": [
                {
                    "id": "q",
                    "header": "Colour",
                    "question": "Which?",
                    "options": [{"label": "Red", "description": "warm"}, {"label": "Blue"}],
                },
                {"id": "r", "header": "Key", "question": "Which?", "isSecret": True},
            ],
        },
        (),
        [
            ("?", "answer these questions?"),
            ("question", "Colour: Which?"),
            ("option", "Red: warm"),
            ("option", "Blue"),
            ("question", "Key: Which? (the answer is a secret)"),
        ],
    ),
    (
        rules.TOOL_CALL,
        {"tool": "lookup", "namespace": "crm", "arguments": {"id": 5}, "callId": "c"},
        (),
        [("?", "run this tool?"), ("tool", "crm.lookup"), ("arguments", '{"id":5}')],
    ),
    (
        rules.TOKENS,
        {"reason": "unauthorized", "previousAccountId": "a"},
        (),
        [("?", "give new tokens for the account?"), ("because", "unauthorized"), ("also", 'previousAccountId: "a"')],
    ),
    (rules.ATTESTATION, {}, (), [("?", "give an attestation?")]),
    (rules.CURRENT_TIME, {"threadId": "t"}, (), [("?", "tell the time?")]),
    ("brand/new", [5], (), [("?", "brand/new wants an answer"), ("also", "params: [5]")]),
]


@pytest.mark.parametrize(("method", "params", "items", "expected"), ASKED)
def test_a_question_holds_what_one_must_see(
    method: str, params: Any, items: tuple[Any, ...], expected: list[tuple[str, str]]
) -> None:
    """Command, place, reason, diffs, rights, tools: all of it, and what we do not know as it came."""
    assert shown(method, params, *items) == expected


def test_every_kind_is_asked_somewhere_above() -> None:
    """So that no kind is forgotten."""
    assert {method for method, *_ in ASKED} > rules.KNOWN


def test_it_says_whether_a_plain_yes_will_do() -> None:
    """And whether it can be one for the session."""

    def ways(method: str, **params: Any) -> tuple[bool, bool]:
        question = question_of(method, params)
        return question.can_accept, question.can_last

    for method in (rules.COMMAND, rules.FILE_CHANGE, rules.PERMISSIONS, rules.OLD_COMMAND, rules.OLD_PATCH):
        assert ways(method) == (True, True)
    assert ways(rules.ELICITATION, _meta=TOOL_META, mode="form") == (True, True)
    assert ways(rules.ELICITATION, mode="url", url="x") == (True, False)
    assert ways(rules.ELICITATION, requestedSchema={"properties": {"a": {}}}) == (False, False)
    for method in (rules.USER_INPUT, rules.TOOL_CALL, rules.TOKENS, rules.ATTESTATION, rules.CURRENT_TIME, "new"):
        assert ways(method) == (False, False)


def test_what_a_terminal_would_obey_is_made_visible() -> None:
    """Escape sequences, text that turns around, and characters that nobody sees."""
    text = str(question_of(rules.COMMAND, {"command": "ls \x1b[2K\u202e", "cwd": "/a\u200bb", "\x1bnew": "\u2066"}))
    assert "ls ␛[2K<U+202E>" in text
    assert "/a<U+200B>b" in text
    assert "␛new" in text
    assert visible(text) == text


@pytest.mark.parametrize(
    ("value", "shown"), [("\ud800", r'"\ud800"'), ("\udcff", r'"\udcff"'), ({"a\ud83d": [1]}, r'{"a\ud83d":[1]}')]
)
def test_what_is_no_unicode_is_shown_as_what_it_is(value: Any, shown: str) -> None:
    """Half of a surrogate pair, or a byte that is no UTF-8: who must decide sees it, and the decision is put on record."""
    question = question_of(rules.TOOL_CALL, {"tool": "t", "arguments": value})
    assert f"arguments: {shown}" in str(question)
    assert question.digest


def test_nothing_is_shortened() -> None:
    """However long."""
    command = "echo " + "x" * 100_000 + " && rm -rf /"
    assert command in str(question_of(rules.COMMAND, {"command": command}))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
NAMES = ["command", "cwd", "reason", "kind", "permissions", "fileSystem", "additionalPermissions", "grantRoot", "_meta"]
NAMES += [
    "networkApprovalContext",
    "questions",
    "requestedSchema",
    "url",
    "message",
    "serverName",
    "tool",
    "fileChanges",
]


@given(st.sampled_from(sorted(rules.KNOWN)), st.dictionaries(st.sampled_from(NAMES), JSON), st.lists(JSON, max_size=2))
def test_any_request_can_be_shown(method: str, params: Any, items: list[Any]) -> None:
    """Nothing that the server sends makes it fail, and what comes out is always safe to be printed."""
    question = question_of(method, params, items)
    assert visible(str(question)) == str(question)
    assert len(question.digest) == 64


@pytest.mark.parametrize("method", sorted(rules.KNOWN))
@pytest.mark.parametrize("value", ["mauve", ["mauve"], {"k": "mauve"}, [{"k": "mauve"}]])
def test_no_field_is_left_out(method: str, value: Any) -> None:
    """Whatever its form: a right of tomorrow is not given unseen."""
    for name in (*NAMES, "brandNew"):
        assert "mauve" in str(question_of(method, {name: value})), name
