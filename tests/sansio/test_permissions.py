"""The gate before anything is sent."""

from __future__ import annotations

import dataclasses
import json
from functools import cache
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import codex_runtime.protocol as p
from codex_runtime._sansio import permissions
from codex_runtime._sansio.permissions import GATED, check_setting, gate
from codex_runtime.errors import ConfigError, LocalProtocolError, PermissionDeniedError
from tests.architecture.tree import ROOT

SAFE: dict[str, Any] = {
    "sandbox": "read-only",
    "network": False,
    "writable_roots": (),
    "approval_policy": None,
    "allow_full_access": False,
}


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"sandbox": "workspace-write", "network": True},
        {"sandbox": "workspace-write", "writable_roots": ("/a",), "allow_full_access": True},
        {"sandbox": "danger-full-access", "allow_full_access": True},
        {"approval_policy": "untrusted", "network": True},
    ],
)
def test_sensible_settings_pass(options: dict[str, Any]) -> None:
    """The default is the safest of them."""
    permissions.check(**SAFE | options)


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"sandbox": "workspaceWrite"}, "sandbox"),
        ({"approval_policy": "on-failure"}, "approval_policy"),
        ({"writable_roots": ("/a",)}, "writable_roots"),
        ({"sandbox": "workspace-write", "writable_roots": ("a",)}, "writable_roots"),
        ({"sandbox": "danger-full-access", "network": True}, "network"),
    ],
)
def test_settings_without_a_meaning_are_refused(options: dict[str, Any], field: str) -> None:
    """The server would ignore them in silence."""
    with pytest.raises(ConfigError) as caught:
        permissions.check(**SAFE | options)
    assert caught.value.field == field


def test_full_access_must_be_said_twice() -> None:
    """It lets the agent do anything."""
    with pytest.raises(PermissionDeniedError, match="allow_full_access=True"):
        permissions.check(**SAFE | {"sandbox": "danger-full-access"})


def test_writing_outside_of_the_workspace_must_be_said_twice() -> None:
    """The workspace may be written anyway: what is named is elsewhere, or what the server protects in it."""
    with pytest.raises(PermissionDeniedError, match=r"writable_roots .*allow_full_access=True"):
        permissions.check(**SAFE | {"sandbox": "workspace-write", "writable_roots": ("/a",)})


@pytest.mark.parametrize(
    ("sandbox", "policy"),
    [
        ("read-only", {"type": "readOnly", "networkAccess": True}),
        ("workspace-write", {"type": "workspaceWrite", "networkAccess": True, "writableRoots": ["/a"]}),
        ("danger-full-access", {"type": "dangerFullAccess"}),
    ],
)
def test_a_turn_wants_the_sandbox_in_another_form(sandbox: str, policy: dict[str, Any]) -> None:
    """app-server.md section 3: kebab-case for threads, an object for turns."""
    assert permissions.sandbox_policy(sandbox, network=True, writable_roots=("/a",)) == policy


# -- any request whatsoever --------------------------------------------------------------------------------------------

THREADS = ("thread/start", "thread/resume", "thread/fork")
PLACES = ("runtimeWorkspaceRoots", "environments", "approvalsReviewer")
TURNS = ("turn/start", "turn/settings/update", "thread/settings/update")
FREE = ("process/spawn", "thread/shellCommand", "fs/writeFile", "fs/createDirectory", "fs/remove", "fs/copy")
# How each of the server's words for a sandbox looks on the wire, the safe ones first.
KEEPING: dict[str, list[Any]] = {
    "sandbox": [None, "read-only", "workspace-write"],
    "sandboxPolicy": [
        None,
        {"type": "readOnly", "networkAccess": True},
        {"type": "workspaceWrite", "writableRoots": [], "networkAccess": True, "news": 1},
        {"type": "workspaceWrite", "writableRoots": None},
    ],
    "permissions": [None, ":read-only", ":workspace"],
    "permissionProfile": [None, ":read-only", ":workspace"],
    "runtimeWorkspaceRoots": [None, []],
    "selectedCapabilityRoots": [None, []],
    "environments": [None, [], [{"environmentId": "local", "cwd": "/a", "runtimeWorkspaceRoots": []}]],
    "approvalsReviewer": [None, "user"],
    "config": [
        None,
        {},
        {"model": "m", "sandbox_mode": "workspace-write"},
        {"sandbox_workspace_write.network_access": True, "default_permissions": ":workspace"},
        {"sandbox_workspace_write": {"writable_roots": [], "network_access": False}, "approvals_reviewer": "user"},
        {"tools": {"sandbox_mode": None}, "list": [{"sandbox_mode": "danger-full-access"}]},
        {"model_reasoning_effort": "low", "features": {"hooks": True, "plugins": False}, "features.hooks": True},
        {"model_providers": {"x": {"name": "X", "base_url": "http://127.0.0.1:1/v1", "env_key": "KEY"}}},
        {"mcp_servers": {}},
        {"mcp_servers": {"x": {"url": "http://127.0.0.1:1", "http_headers": {"A": "b"}, "enabled_tools": ["t"]}}},
        {"mcp_servers.x.url": "http://127.0.0.1:1", "mcp_servers.x.enabled": False, "mcp_servers.y": None},
        {"projects": {"/a.b": {"trust_level": "untrusted"}}},
        {"shell_environment_policy": {"set": {"A": "b"}}, "tui": {"notifications": True}},
    ],
}
GIVING_UP: dict[str, list[Any]] = {
    "selectedCapabilityRoots": [[{"id": "x", "location": {"type": "environment", "path": "/a"}}], "/a"],
    "sandbox": ["danger-full-access", "dangerFullAccess", "", 1, {"type": "dangerFullAccess"}],
    "sandboxPolicy": [
        {"type": "dangerFullAccess"},
        {"type": "externalSandbox", "networkAccess": "restricted"},
        {"type": "somethingNew"},
        {"type": "workspaceWrite", "writableRoots": ["/"]},
        {"type": "workspaceWrite", "writableRoots": ["/a/.git"]},
        {"type": "workspaceWrite", "writableRoots": {"0": "/"}},
        {"type": None},
        {},
        ["dangerFullAccess"],  # the server takes this one
        ["readOnly"],
        "dangerFullAccess",
        7,
    ],
    "permissions": [":danger-full-access", "one-of-mine", {"id": ":workspace"}],
    "permissionProfile": [":danger-full-access", "one-of-mine", ["x"]],
    "runtimeWorkspaceRoots": [["/"], ["/a/.git"], "/", {}],
    "environments": [[{"runtimeWorkspaceRoots": ["/"]}], [{}, {"runtimeWorkspaceRoots": "/"}], [["/"]], {"0": {}}, 1],
    "approvalsReviewer": ["auto_review", "guardian_subagent", "something-new", ["user"], 1],
    "config": [
        {"sandbox_mode": "danger-full-access"},
        {"sandbox_mode": {"a": 1}},
        {"sandbox_mode.danger-full-access": {}},  # codex takes a table with one key for the word
        {"sandbox_mode.danger-full-access": []},
        {"sandbox_mode": {"danger-full-access": {}}},
        {"profiles.x.sandbox_mode": "danger-full-access"},
        {"profiles": {"x": {"sandbox_mode": "danger-full-access"}}},
        {'"sandbox_mode"': "danger-full-access"},
        {" sandbox_mode ": "danger-full-access"},
        {'"sandbox\\u005fmode"': "x"},
        {"default_permissions": ":danger-full-access"},
        {"default_permissions": "one-of-mine"},
        {"permissions": {"x": {"filesystem": {"/": "write"}}}},
        {"permissions.x.filesystem": {"/": "write"}},
        {"sandbox_workspace_write": {"writable_roots": ["/"]}},
        {"sandbox_workspace_write.writable_roots": ["/"]},
        {"sandbox_workspace_write.writable_roots": "/"},
        {"profiles.x.sandbox_workspace_write.writable_roots": ["/"]},
        {"approvals_reviewer": "auto_review"},
        {"profiles": {"x": {"approvals_reviewer": "guardian_subagent"}}},
        {"profiles.x.permissions.foo": {}},
        {"profiles": {"x": {"permissions": {"foo": {}}}}},
        {"mcp_servers": {"x": {"command": "/bin/sh", "args": ["-c", "true"]}}},
        {"mcp_servers": {"x": {"url": "http://127.0.0.1:1", "http_headers_helper": ["/bin/sh"]}}},
        {"mcp_servers": {"x": {"something_new": 1}}},
        {"mcp_servers": {"features": {"args": ["-c", "true"]}}},
        {"mcp_servers": {"a.url.b": {"args": ["-c", "true"]}}},
        {'mcp_servers."a.url.b".args': ["-c", "true"]},
        {"mcp_servers": {"x.args": ["-c", "true"]}},
        {"mcp_servers.x": {"command": "/bin/sh"}},
        {"mcp_servers.x.command": "/bin/sh"},
        {"mcp_servers.x.env.PATH": "/tmp"},
        {"mcp_servers": "x"},
        {"mcp_servers": {"x": ["/bin/sh"]}},
        {"profiles": {"x": {"mcp_servers": {"y": {"command": "/bin/sh"}}}}},
        {"notify": ["/bin/sh", "-c", "true"]},
        {"profiles.x.notify": ["/bin/sh"]},
        {"profiles": {"features": {"notify": ["/bin/sh"]}}},
        {"hooks": {"Stop": [{"hooks": [{"type": "command", "command": "true"}]}]}},
        {"model_providers.x.auth": {"command": "/bin/sh"}},
        {"model_providers": {"x": {"auth": {"args": ["-c", "true"]}}}},
        {"model_providers": {"x": {"aws": {"credential_export": {"args": ["-c", "true"]}}}}},
        {"model_providers": {"x": {"aws": {"auth_refresh": {"args": ["-c", "true"]}}}}},
        {"something.new": {"command": "/bin/sh"}},
        {"agents": {"x": {"config_file": "/tmp/x.toml"}}},
        {"plugins": {"x": {"enabled": True}}},
        {"marketplaces.x.source": "/tmp/x"},
        {"js_repl_node_path": "/tmp/node"},
        {"projects": {"/a.b": {"trust_level": "trusted"}}},
        {'projects."/a.b".trust_level': "trusted"},
        ["sandbox_mode"],
    ],
}
# Where a leave to write makes the server trust the folder, and run what its configuration names.
BEGINNING, TRUSTING = ("thread/start", "thread/fork"), ("workspace-write", ":workspace")
PARAMETERS = {
    **dict.fromkeys(THREADS, ("sandbox", "permissions", *PLACES, "selectedCapabilityRoots", "config")),
    **dict.fromkeys(TURNS, ("sandboxPolicy", "permissions", *PLACES)),
    "command/exec": ("sandboxPolicy", "permissionProfile"),
}


def rows(values: dict[str, list[Any]]) -> list[Any]:
    """Each method, with each of its parameters, with each value that this can have."""
    return [
        pytest.param(method, name, value, id=f"{method} {name} {number}")
        for method, names in PARAMETERS.items()
        for name in names
        for number, value in enumerate(values[name])
        if not (method in BEGINNING and value in TRUSTING)
    ]


@pytest.mark.parametrize(("method", "name", "value"), rows(KEEPING))
def test_a_request_that_keeps_the_sandbox_passes(method: str, name: str, value: Any) -> None:
    """And is sent as it was given."""
    params = {"threadId": "t", name: value}
    assert json.loads(bytes(gate(method, params))) == params


@pytest.mark.parametrize(("method", "name", "value"), rows(GIVING_UP))
def test_a_request_that_gives_up_the_sandbox_is_refused(method: str, name: str, value: Any) -> None:
    """Of what is judged, that which we do not know counts as giving it up; the error names the method, the parameter and the way out."""
    with pytest.raises(
        PermissionDeniedError, match=f"^{method} gives up the sandbox with its {name}[;,] .*RuntimeConfig"
    ):
        gate(method, {"threadId": "t", name: value})


@pytest.mark.parametrize("method", BEGINNING)
@pytest.mark.parametrize(("name", "value"), [("sandbox", "workspace-write"), ("permissions", ":workspace")])
def test_a_thread_that_begins_with_leave_to_write_gives_up_the_sandbox(method: str, name: str, value: str) -> None:
    """The server would trust the folder for good and start the programs that its configuration names; a turn may say it."""
    with pytest.raises(PermissionDeniedError, match=f"^{method} gives up the sandbox with its {name}"):
        gate(method, {"cwd": "/a", name: value})
    assert gate("turn/start", {"threadId": "t", "sandboxPolicy": {"type": "workspaceWrite"}}) is not None


def test_who_names_a_program_is_told_that_this_is_it() -> None:
    """The sandbox of the thread itself may be as safe as ever."""
    with pytest.raises(PermissionDeniedError, match="with its config, or names a program to run outside of it; say"):
        gate("thread/start", {"sandbox": "read-only", "config": {"mcp_servers.x.command": "/bin/sh"}})


def test_what_the_pinned_schema_does_not_have_is_not_judged() -> None:
    """Nobody can say what a parameter, a setting or a method of tomorrow means; the documents say that it passes."""
    for method, more in (
        ("turn/start", {"futureSandbox": "none"}),
        ("thread/start", {"futureSandbox": "none"}),
        ("thread/start", {"config": {"some_future_sandbox": "none"}}),
    ):
        assert json.loads(bytes(gate(method, {"threadId": "t", **more}))) == {"threadId": "t", **more}
    assert not any(method.startswith(("plugin/", "marketplace/")) for method in GATED)


@pytest.mark.parametrize("method", FREE)
@pytest.mark.parametrize("params", [None, {}, {"sandboxPolicy": {"type": "readOnly"}}])
def test_what_no_sandbox_holds_is_refused_whatever_it_says(method: str, params: Any) -> None:
    """The server takes no sandbox for these."""
    with pytest.raises(
        PermissionDeniedError, match=f"^{method} acts where no sandbox holds it; .*allow_full_access=True"
    ):
        gate(method, params)


@pytest.mark.parametrize("config", KEEPING["config"][1:])
def test_a_setting_that_keeps_the_sandbox_may_be_written(config: dict[str, Any]) -> None:
    """By either of the two methods."""
    for key, value in config.items():
        edit = {"keyPath": key, "value": value, "mergeStrategy": "replace"}
        gate("config/value/write", edit)
        gate("config/batchWrite", {"edits": [edit, edit]})


@pytest.mark.parametrize("config", GIVING_UP["config"][:-1])
def test_a_setting_that_gives_up_the_sandbox_is_not_written(config: dict[str, Any]) -> None:
    """It would hold for every thread to come."""
    for key, value in config.items():
        edit = {"keyPath": key, "value": value, "mergeStrategy": "replace"}
        with pytest.raises(PermissionDeniedError, match="keyPath"):
            gate("config/value/write", edit)
        for edits in ([{"keyPath": "model", "value": "m"}, edit], [["model", "m"]], {"0": edit}, None):
            with pytest.raises(PermissionDeniedError, match="edits"):
                gate("config/batchWrite", {"edits": edits})


@pytest.mark.parametrize("method", [*PARAMETERS, "config/value/write", "config/batchWrite"])
def test_parameters_by_their_place_are_refused(method: str) -> None:
    """The server reads a list as well, and nobody can tell which of them is the sandbox."""
    for params in ([], ["x"], "text", 1, msgspec.Raw(b"{broken")):
        with pytest.raises(PermissionDeniedError, match="params"):
            gate(method, params)


def test_structs_dataclasses_and_finished_json_are_judged_like_dicts() -> None:
    """What is written counts, not what it was made of."""

    @dataclasses.dataclass
    class Exec:
        command: list[str]
        sandboxPolicy: Any  # noqa: N815  # the server's spelling

    free, held = {"type": "dangerFullAccess"}, {"type": "readOnly"}
    turn = {"thread_id": "t", "input": []}
    for method, bad, good in (
        ("command/exec", Exec(["ls"], free), Exec(["ls"], held)),
        ("command/exec", msgspec.Raw(json.dumps({"sandboxPolicy": free})), msgspec.Raw(b'{"command":["ls"]}')),
        (
            "turn/start",
            p.TurnStartParams(**turn, sandbox_policy=p.DangerFullAccessSandboxPolicy()),
            p.TurnStartParams(**turn, sandbox_policy=p.ReadOnlySandboxPolicy()),
        ),
        ("thread/start", p.ThreadStartParams(sandbox="danger-full-access"), p.ThreadStartParams(sandbox="read-only")),
        ("command/exec", {"sandboxPolicy": p.ExternalSandboxSandboxPolicy()}, p.CommandExecParams(command=["ls"])),
    ):
        assert json.loads(bytes(gate(method, good))) == json.loads(msgspec.json.encode(good))
        with pytest.raises(PermissionDeniedError):
            gate(method, bad)


def test_of_a_name_that_stands_twice_the_last_counts() -> None:
    """As it does for the server, which was tried."""
    free, held = b'"sandboxPolicy":{"type":"dangerFullAccess"}', b'"sandboxPolicy":{"type":"readOnly"}'
    gate("command/exec", msgspec.Raw(b"{" + free + b"," + held + b"}"))
    with pytest.raises(PermissionDeniedError):
        gate("command/exec", msgspec.Raw(b"{" + held + b"," + free + b"}"))


def test_what_cannot_be_sent_is_our_own_mistake() -> None:
    """And no matter of leave."""
    with pytest.raises(LocalProtocolError):
        gate("turn/start", {"input": object()})


@given(
    st.sampled_from(sorted(GATED)),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from([*KEEPING, "type", "edits", "keyPath", "sandbox_mode"]), inner, max_size=4
            )
        ),
    ),
)
def test_the_gate_says_yes_or_no_to_anything(method: str, params: Any) -> None:
    """It has no third way out, and changes nothing."""
    try:
        sent = gate(method, params)
    except (PermissionDeniedError, LocalProtocolError):
        return
    assert json.loads(bytes(sent)) == ({} if params is None else params)


@cache
def facts() -> tuple[dict[str, str], dict[str, Any]]:
    """The requests that a client may send, by the name of their parameters, and all types, as pinned."""
    folder = ROOT / "schema" / f"codex-{json.loads((ROOT / 'schema/PINNED.json').read_text())['version']}"
    methods = json.loads((folder / "methods.json").read_text())
    asked = {each["method"]: each.get("params") for each in methods if each["direction"] == "client_request"}
    return asked, json.loads((folder / "types.json").read_text())


def test_every_method_that_takes_a_sandbox_is_gated() -> None:
    """Also one that a later server brings: by the schema, whatever mentions a sandbox, a profile or the configuration."""
    asked, types = facts()
    words = {"sandbox", "sandboxPolicy", "permissions", "permissionProfile", "config", "keyPath"}
    words |= {"runtimeWorkspaceRoots", "writableRoots", "approvalsReviewer"}

    def names(node: Any, seen: frozenset[str]) -> set[str]:
        if isinstance(node, list):
            return set().union(*(names(each, seen) for each in node))
        if not isinstance(node, dict):
            return set()
        found = words.intersection(node.get("properties", ()))
        if (ref := node.get("$ref")) is not None and ref not in seen:
            found |= names(types[ref], seen | {ref})
        return found.union(*(names(each, seen) for each in node.values()))

    taking = {method for method, params in asked.items() if params and names(types[params], frozenset())}
    assert taking == set(GATED) - set(FREE)
    assert set(FREE) <= set(asked)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("model", '"m"'),
        ("model", "m"),
        ("sandbox_mode", '"read-only"'),
        ("features.plugins", "false"),
        ("a", "1\nb = 2"),
    ],
)
def test_ordinary_settings_of_the_command_line_pass(key: str, value: str) -> None:
    """As TOML, or as the text that codex takes them for."""
    check_setting(key, value)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("sandbox_mode", '"danger-full-access"'),
        ("sandbox_mode", "danger-full-access"),
        ("sandbox_mode.danger-full-access", "{}"),
        ("mcp_servers.x", '{command = "/bin/sh"}'),
        ("notify", '["/bin/sh"]'),
    ],
)
def test_settings_of_the_command_line_are_no_way_round(key: str, value: str) -> None:
    """They are judged like those of a request."""
    with pytest.raises(PermissionDeniedError, match="allow_full_access"):
        check_setting(key, value)


def test_a_setting_too_deep_to_be_read_is_refused() -> None:
    """And a number that is too long for Python is text, as to codex."""
    with pytest.raises(ConfigError, match="nested too deeply"):
        check_setting("model", "[" * 5000 + "]" * 5000)
    check_setting("model", "1" * 5000)
