"""S4: whatever gives the agent more room takes a second word, by every method that the server has for it.

The table of what is dangerous is read off the pinned schema, and judged by one value after the other. So a parameter or method
that a later schema brings fails a test until somebody has decided about it.
"""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import pytest

from codex_runtime import Client, RunProfile, RuntimeConfig
from codex_runtime._sansio.permissions import GATED, gate
from codex_runtime.errors import ConfigError, PermissionDeniedError
from codex_runtime.testing import FakeAppServer
from tests.architecture.tree import ROOT
from tests.client.desk import at_the_desk
from tests.runtime.rig import failure, running

# The names under which the schema lets a client choose rights, with values that widen them. `None`: it cannot.
WIDENING: dict[str, tuple[Any, ...] | None] = {
    "sandbox": ("danger-full-access",),
    "sandboxPolicy": (
        {"type": "dangerFullAccess"},
        {"type": "externalSandbox"},
        {"type": "workspaceWrite", "writableRoots": ["/"]},
    ),
    "writableRoots": (["/"], ["/home/me/.ssh"], ["/ws/.git"]),
    "permissions": (":danger-full-access", "mine"),
    "permissionProfile": (":danger-full-access", "mine"),
    "runtimeWorkspaceRoots": (["/"], ["/ws/.git"]),
    "approvalsReviewer": ("auto_review", "guardian_subagent"),
    "config": (
        {"sandbox_mode": "danger-full-access"},
        {"sandbox_workspace_write": {"writable_roots": ["/"]}},
        {"approvals_reviewer": "auto_review"},
        {"mcp_servers": {"x": {"command": "sh"}}},
        {"notify": ["sh"]},
    ),
    "keyPath": ("sandbox_mode", "mcp_servers.x.command", "sandbox_workspace_write.writable_roots"),
    # It says when somebody is asked, not what may be done: "never" in a sandbox is no asking, and so no leave.
    "approvalPolicy": None,
}
# Parameters that hold one of those further down, by the method's own parameter that they are reached through.
THROUGH = {
    "environments": (
        "runtimeWorkspaceRoots",
        lambda value: [{"environmentId": "local", "runtimeWorkspaceRoots": value}],
    )
}
# Methods that no sandbox holds, whatever they are told.
FREE = {"process/spawn", "thread/shellCommand", "fs/writeFile", "fs/createDirectory", "fs/remove", "fs/copy"}


@cache
def schema() -> tuple[dict[str, str], dict[str, Any]]:
    """The requests of a client by the name of their parameters' type, and all types."""
    folder = ROOT / "schema" / f"codex-{json.loads((ROOT / 'schema/PINNED.json').read_text())['version']}"
    methods = json.loads((folder / "methods.json").read_text())
    asked = {m["method"]: m["params"] for m in methods if m["direction"] == "client_request" and m.get("params")}
    return asked, json.loads((folder / "types.json").read_text())


def reached(node: Any, seen: frozenset[str] = frozenset()) -> set[str]:
    """The dangerous names that can be written anywhere below a type."""
    if isinstance(node, list):
        return set().union(*(reached(each, seen) for each in node))
    if not isinstance(node, dict):
        return set()
    found = set(WIDENING).intersection(node.get("properties", ()))
    ref = node.get("$ref")
    if ref is not None and ref not in seen:
        found |= reached(schema()[1][ref], seen | {ref})
    return found.union(*(reached(each, seen) for each in node.values()))


def ways() -> list[Any]:
    """Each request of the schema, with each parameter through which more can be had, and each such value."""
    asked, types = schema()
    rows = []
    for method, name in asked.items():
        for parameter, node in types[name].get("properties", {}).items():
            values: list[Any] = []
            if parameter == "keyPath":
                values = [{"keyPath": path, "value": ["/bin/sh"]} for path in WIDENING["keyPath"] or ()]
            elif parameter == "edits":
                values = [{"edits": [{"keyPath": path, "value": ["/bin/sh"]}]} for path in WIDENING["keyPath"] or ()]
            elif parameter in WIDENING:
                values = [{parameter: value} for value in WIDENING[parameter] or ()]
            elif found := reached(node):
                inner, made = THROUGH[parameter]  # a KeyError here is a new way in that nobody has decided about
                assert found == {inner}
                values = [{parameter: made(value)} for value in WIDENING[inner] or ()]
            rows += [pytest.param(method, value, id=f"{method} {json.dumps(value)}") for value in values]
    return rows


def test_every_way_in_is_known() -> None:
    """By the schema: the methods through which something can be widened are those that the gate stands before."""
    asked, types = schema()
    taking = {m for m, name in asked.items() if reached(types[name]) - {"approvalPolicy"}}
    assert taking == set(GATED) - FREE
    assert set(asked) >= FREE


def test_every_name_of_a_right_is_judged() -> None:
    """A word for rights that the schema did not have before is found by what such words look like."""
    asked, types = schema()
    suspicious = (
        "sandbox",
        "permission",
        "approval",
        "writable",
        "workspaceroot",
        "fullaccess",
        "privilege",
        "escalat",
    )
    known = set(WIDENING)
    seen: set[str] = set()

    def look(node: Any, done: frozenset[str]) -> None:
        if isinstance(node, list):
            for each in node:
                look(each, done)
        elif isinstance(node, dict):
            seen.update(p for p in node.get("properties", ()) if any(word in p.lower() for word in suspicious))
            if (ref := node.get("$ref")) is not None and ref not in done:
                look(types[ref], done | {ref})
            for each in node.values():
                look(each, done)

    for name in asked.values():
        look(types[name], frozenset())
    # Parts of `approvalPolicy`, and what an MCP server's tools say of themselves.
    assert seen - known <= {"sandbox_approval", "skill_approval", "request_permissions"}


@pytest.mark.parametrize(("method", "params"), ways())
def test_what_widens_is_refused(method: str, params: dict[str, Any]) -> None:
    """As a mapping, and as finished JSON: what is written counts."""
    params = {"threadId": "t", **params}
    with pytest.raises(PermissionDeniedError, match=method):
        gate(method, params)


async def test_neither_door_lets_it_pass_before_it_is_said_twice() -> None:
    """Typed and raw: nothing of it reaches the server, and all of it does with the second word."""
    fake = FakeAppServer()
    bad: list[tuple[str, dict[str, Any]]] = [row.values for row in ways()]
    bad += [(method, {}) for method in sorted(FREE)]
    for method, _ in bad:
        fake.on_request(method, {})
    async with running(fake) as runtime:
        before = len(fake.received)
        for method, params in bad:
            for call in (
                runtime.request(method, {"threadId": "t", **params}),
                runtime.request_raw(method, {"threadId": "t", **params}),
            ):
                assert isinstance(await failure(call), PermissionDeniedError)
        assert len(fake.received) == before
        for method, params in bad:
            await runtime.request(method, {"threadId": "t", **params}, allow_full_access=True)
        assert len(fake.received) == before + len(bad)


@pytest.mark.parametrize(
    "options",
    [
        {"sandbox": "danger-full-access"},
        {"sandbox": "workspace-write", "writable_roots": ("/",)},
        {"sandbox": "workspace-write", "writable_roots": ("/ws/.git",)},
    ],
)
async def test_a_session_and_its_turns_take_the_second_word_too(options: dict[str, Any]) -> None:
    """In the profile of a client, of a session and of a turn."""
    with pytest.raises(PermissionDeniedError, match="allow_full_access"):
        RunProfile(**options)
    async with at_the_desk(FakeAppServer()) as client:
        with pytest.raises(PermissionDeniedError):
            await client.start_session(**options)
        async with await client.start_session() as session:
            with pytest.raises(PermissionDeniedError):
                await session.run("x", **options)
            assert (await session.run("x", **options, allow_full_access=True)).text == "Hello!"
            # It was said for that turn alone.
            with pytest.raises(PermissionDeniedError):
                await session.run("x", **options)


@pytest.mark.parametrize("config", WIDENING["config"] or ())
async def test_settings_are_judged_wherever_they_are_given(config: dict[str, Any]) -> None:
    """With a session, or on the command line of the server."""
    async with at_the_desk(FakeAppServer()) as client:
        with pytest.raises(PermissionDeniedError):
            await client.start_session(settings=config)
    for key, value in config.items():
        told = json.dumps(value) if not isinstance(value, dict) else "{" + ", ".join(toml(value)) + "}"
        with pytest.raises(PermissionDeniedError):
            RuntimeConfig(settings={key: told})
        RuntimeConfig(settings={key: told}, allow_full_access=True)


def toml(table: dict[str, Any]) -> list[str]:
    """The entries of a table on one line."""
    return [
        f"{key} = " + (json.dumps(value) if not isinstance(value, dict) else "{" + ", ".join(toml(value)) + "}")
        for key, value in table.items()
    ]


def test_the_defaults_are_the_narrowest() -> None:
    """Nobody has to say anything to be safe, and nothing but a word opens the gate."""
    profile, config = RunProfile(), RuntimeConfig()
    assert (profile.sandbox, profile.network, profile.writable_roots) == ("read-only", False, ())
    assert (profile.approvals, profile.effective_approval_policy) == ("decline", "never")
    assert (profile.allow_full_access, config.allow_full_access, config.on_server_request) == (False, False, None)
    for word in (1, "yes", None):
        with pytest.raises(ConfigError):
            RunProfile(allow_full_access=word)  # type: ignore[arg-type]
    assert Client(config).runtime.config.allow_full_access is False
