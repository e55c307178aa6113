"""What a request of the server and its item say about the use of a tool."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codex_runtime._sansio import server_requests as rules
from codex_runtime._sansio.tool_use import ended_tool, is_tool_approval, requested_tool, with_paths
from codex_runtime._sansio.turn_events import CommandCompleted, FileChangeCompleted, TextDelta, ToolCompleted
from codex_runtime._sansio.turn_result import FileChange

METHODS = sorted(rules.KNOWN)
PATCH = {
    "type": "fileChange",
    "id": "i",
    "status": "inProgress",
    "changes": [
        {"path": "/w/a", "kind": {"type": "update", "move_path": "/w/b"}, "diff": "@@"},
        {"path": "/w/c", "kind": {"type": "add"}, "diff": "x"},
    ],
}


def mcp_call(tool: str, server: str = "stub", status: str = "inProgress") -> dict[str, Any]:
    """An item of an MCP call."""
    return {
        "type": "mcpToolCall",
        "id": tool,
        "server": server,
        "tool": tool,
        "status": status,
        "arguments": {"a": tool},
    }


def mcp_question(**more: Any) -> dict[str, Any]:
    """The question of the server before an MCP call."""
    return {
        "serverName": "stub",
        "mode": "form",
        "_meta": {"codex_approval_kind": "mcp_tool_call"},
        "message": 'Allow "ask"?',
        "requestedSchema": {"type": "object", "properties": {}},
        **more,
    }


@pytest.mark.parametrize(
    ("raw", "command", "argv"),
    [
        ("/bin/bash -lc 'git status'", "git status", ("git", "status")),
        ("/usr/bin/sh -c 'git status'", "git status", ("git", "status")),
        ("bash -lc \"touch 'a b'\"", "touch 'a b'", ("touch", "a b")),
        ("/bin/bash -lc 'a; b'", "a; b", None),
        ("/tmp/x/bash -lc 'git status'", "/tmp/x/bash -lc 'git status'", ("/tmp/x/bash", "-lc", "git status")),
        ("./bash -c 'git status'", "./bash -c 'git status'", ("./bash", "-c", "git status")),
        ("/bin/bash -lc 'a' b", "/bin/bash -lc 'a' b", ("/bin/bash", "-lc", "a", "b")),
    ],
)
def test_a_command_is_what_was_typed_not_the_shell_around_it(raw: str, command: str, argv: Any) -> None:
    """Only a shell at one of its usual places is taken off: one from the project may do anything."""
    use = requested_tool(rules.COMMAND, {"command": raw, "cwd": "/w"}, [], "/session")
    assert (use.kind, use.name, use.command, use.raw_command, use.argv, use.cwd) == (
        "command",
        "shell",
        command,
        raw,
        argv,
        "/w",
    )


def test_a_command_without_words_takes_them_from_its_item() -> None:
    """Some requests leave them out; without an item they are not known."""
    item = {"type": "commandExecution", "id": "i", "command": "ls", "cwd": "/w"}
    use = requested_tool(rules.COMMAND, {"itemId": "i"}, [item])
    assert (use.command, use.cwd) == ("ls", "/w")
    assert requested_tool(rules.COMMAND, {"itemId": "other"}, [item], "/s").command is None


def test_more_than_the_sandbox_gives_is_an_escalation() -> None:
    """A question of the model, or rights that it asks for."""
    assert not requested_tool(rules.COMMAND, {"command": "ls"}, []).is_escalated
    assert requested_tool(rules.COMMAND, {"command": "ls", "reason": "May I?"}, []).is_escalated
    wanted = {"fileSystem": {"write": ["/x"]}, "network": {"enabled": True}}
    use = requested_tool(rules.COMMAND, {"command": "ls", "additionalPermissions": wanted}, [])
    assert (use.is_escalated, use.paths, use.hosts) == (True, ("/x",), ("*",))


def test_a_command_that_wants_one_host_is_about_the_network() -> None:
    """The server asks per host."""
    params = {"command": "curl x", "networkApprovalContext": {"host": "example.com", "protocol": "https"}}
    use = requested_tool(rules.COMMAND, params, [])
    assert (use.kind, use.name, use.hosts) == ("network", "network", ("example.com",))


def test_the_paths_of_a_file_change_come_from_its_item() -> None:
    """The request has none; a move writes at two places; without the item, nothing is known."""
    use = requested_tool(rules.FILE_CHANGE, {"itemId": "i"}, [PATCH], "/w")
    assert (use.kind, use.name, use.paths) == ("file_change", "apply_patch", ("/w/a", "/w/c", "/w/b"))
    assert [change.path for change in use.changes] == ["/w/a", "/w/c"]
    assert requested_tool(rules.FILE_CHANGE, {"itemId": "j"}, [PATCH]).paths is None
    rooted = requested_tool(rules.FILE_CHANGE, {"itemId": "i", "grantRoot": "/r"}, [PATCH])
    assert (rooted.is_escalated, (rooted.paths or ())[-1]) == (True, "/r")


@pytest.mark.parametrize(
    ("files", "paths"),
    [
        (None, ()),
        ({"read": None, "write": ["/b", "/a"]}, ("/a", "/b")),
        ({"entries": [{"path": {"type": "path", "path": "/a"}, "access": "write"}]}, ("/a",)),
        ({"entries": [{"path": {"type": "glob_pattern", "pattern": "/**"}, "access": "write"}]}, None),
        ({"entries": [{"path": {"type": "special", "value": "root"}, "access": "write"}]}, None),
        ({"write": [7]}, None),
        ({"write": "/a"}, None),
        ({"anything": ["/a"]}, None),
    ],
)
def test_rights_that_are_not_plain_paths_are_not_known(files: Any, paths: Any) -> None:
    """A pattern may mean anything, and so may a key that is newer than this package."""
    use = requested_tool(rules.PERMISSIONS, {"permissions": {"fileSystem": files}}, [], "/w")
    assert (use.kind, use.paths, use.is_escalated) == ("permissions", paths, True)


def test_the_question_before_an_mcp_call_names_the_call_that_waits() -> None:
    """It says only the server; with two tools of it under way, which one is meant is not known."""
    use = requested_tool(rules.ELICITATION, mcp_question(), [mcp_call("ask"), mcp_call("x", "other"), PATCH])
    assert (use.kind, use.name, use.arguments) == ("mcp", "stub/ask", {"a": "ask"})
    both = requested_tool(rules.ELICITATION, mcp_question(), [mcp_call("ask"), mcp_call("drop")])
    assert (both.server, both.tool, both.name) == ("stub", None, None)
    ended = requested_tool(rules.ELICITATION, mcp_question(), [mcp_call("ask", status="completed")])
    assert ended.name is None


def test_only_an_elicitation_without_content_is_about_a_tool() -> None:
    """One that wants an answer is for a person, whatever its server claims it to be."""
    assert is_tool_approval(rules.ELICITATION, mcp_question())
    assert not is_tool_approval(rules.ELICITATION, mcp_question(_meta=None))
    assert not is_tool_approval(rules.ELICITATION, mcp_question(mode="url"))
    form = {"type": "object", "properties": {"password": {"type": "string"}}}
    assert not is_tool_approval(rules.ELICITATION, mcp_question(requestedSchema=form))
    assert is_tool_approval(rules.TOOL_CALL, {})
    assert not is_tool_approval(rules.USER_INPUT, {})


def test_the_two_requests_of_old_servers() -> None:
    """A list of words and a table of files."""
    use = requested_tool(rules.OLD_COMMAND, {"command": ["bash", "-lc", "a; b"], "cwd": "/w"}, [])
    assert (use.command, use.argv, use.cwd) == ("a; b", None, "/w")
    assert requested_tool(rules.OLD_COMMAND, {"command": ["rm", "a b"]}, []).argv == ("rm", "a b")
    assert requested_tool(rules.OLD_COMMAND, {"command": "rm"}, []).argv is None
    patch = {"fileChanges": {"/w/a": {"update": {}}}, "grantRoot": "/r"}
    assert requested_tool(rules.OLD_PATCH, patch, []).paths == ("/w/a", "/r")
    assert requested_tool(rules.OLD_PATCH, {}, []).paths is None


def test_a_tool_of_ours_and_a_request_that_is_no_tool() -> None:
    """The name and the arguments; or nothing."""
    use = requested_tool(rules.TOOL_CALL, {"tool": "lookup", "arguments": {"id": 1}}, [])
    assert (use.kind, use.name, use.arguments) == ("dynamic", "lookup", {"id": 1})
    assert requested_tool("new/request", {}, []).kind == "unknown"


def test_what_ended_is_told_from_its_event() -> None:
    """Commands, patches and tools; nothing else."""
    done = CommandCompleted("ls", "failed", 2, "no", 0.1, "i", "/w", "/bin/bash -c ls")
    use = ended_tool(done)
    assert use is not None
    assert (use.argv, use.cwd, use.status, use.exit_code, use.output) == (("ls",), "/w", "failed", 2, "no")
    patch = ended_tool(FileChangeCompleted((FileChange("/w/a", "add"),), "completed", "i"), "/w")
    assert patch is not None
    assert (patch.paths, patch.status) == (("/w/a",), "completed")
    mcp = ended_tool(ToolCompleted("ask", "completed", None, None, None, "i", server="stub"))
    ours = ended_tool(ToolCompleted("ask", "failed", None, "no", None, "i"))
    assert mcp is not None
    assert ours is not None
    assert (mcp.name, ours.name, ours.status) == ("stub/ask", "ask", "failed")
    assert ended_tool(TextDelta("a", "i")) is None


def test_paths_are_resolved_by_somebody_who_may() -> None:
    """Every path and the folder; what is not known stays so."""
    use = requested_tool(rules.FILE_CHANGE, {"itemId": "i"}, [PATCH], "/w")
    moved = with_paths(use, lambda path: f"/real{path}")
    assert (moved.cwd, moved.paths) == ("/real/w", ("/real/w/a", "/real/w/c", "/real/w/b"))
    assert with_paths(requested_tool(rules.FILE_CHANGE, {}, []), str.upper).paths is None


KEYS = [
    *("type", "id", "itemId", "command", "cwd", "changes", "path", "permissions", "fileSystem", "write", "entries"),
    *("network", "_meta", "serverName", "server", "tool", "requestedSchema", "properties", "fileChanges", "reason"),
]

json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(KEYS),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(st.sampled_from([*METHODS, "new/request"]), json, st.lists(json, max_size=3))
def test_nothing_that_a_server_sends_makes_it_fail(method: str, params: Any, items: list[Any]) -> None:
    """Of what cannot be read, less is known."""
    is_tool_approval(method, params)
    requested_tool(method, params, items, "/w")
