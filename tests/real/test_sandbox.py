"""What the real server runs and writes outside of a sandbox: the gate stands before all of it, and nothing else."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from codex_runtime import Runtime, RuntimeConfig
from codex_runtime.errors import PermissionDeniedError, RequestFailedError
from codex_runtime.testing import MockModel, write_codex_home

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.real.rig import Place


@pytest.fixture
def outside(place: Place) -> Path:
    """A file that no sandbox lets anybody write, unless it is given up."""
    folder = place.workspace.parent / "outside"
    folder.mkdir()
    return folder / "file"


@pytest.fixture
async def runtime(place: Place) -> AsyncIterator[Runtime]:
    """The real server below the desk, where every method can be called."""
    async with MockModel() as model:
        write_codex_home(place.home, model.base_url)
        # `thread/shellCommand` takes a login shell, which would read the profile of whoever runs the tests.
        env = {"HOME": str(place.home)}
        async with Runtime(RuntimeConfig(binary=place.binary, codex_home=place.home, env=env)) as runtime:
            yield runtime


def is_there(path: Path) -> bool:
    """Tell whether somebody wrote it."""
    return path.exists()


async def written(path: Path) -> None:
    """Wait for it: some methods answer before they are done."""
    async with asyncio.timeout(10):
        while not is_there(path):
            await asyncio.sleep(0)


def ways_out(place: Place, outside: Path, thread_id: str) -> list[tuple[str, dict[str, Any]]]:
    """Every way to write that file."""
    touch = {"command": ["touch", str(outside)], "cwd": str(place.workspace)}
    return [
        ("command/exec", {**touch, "sandboxPolicy": {"type": "dangerFullAccess"}}),
        ("command/exec", {**touch, "sandboxPolicy": ["dangerFullAccess"]}),
        ("command/exec", {**touch, "sandboxPolicy": {"type": "externalSandbox"}}),
        ("command/exec", {**touch, "permissionProfile": ":danger-full-access"}),
        ("process/spawn", {**touch, "processHandle": "1"}),
        ("thread/shellCommand", {"threadId": thread_id, "command": f"touch {outside}"}),
        ("fs/writeFile", {"path": str(outside), "dataBase64": ""}),
        ("fs/createDirectory", {"path": str(outside)}),
        ("fs/copy", {"sourcePath": str(place.home / "config.toml"), "destinationPath": str(outside)}),
    ]


async def test_what_the_server_lets_out_of_the_sandbox_is_what_the_gate_stops(
    place: Place, runtime: Runtime, outside: Path
) -> None:
    """Each of these writes where it should not, once the second word is said, and does not reach the server before."""
    started = await runtime.request("thread/start", {"cwd": str(place.workspace)})
    assert started["sandbox"]["type"] == "readOnly"
    for method, params in ways_out(place, outside, started["thread"]["id"]):
        with pytest.raises(PermissionDeniedError, match=method):
            await runtime.request(method, params)
        assert not is_there(outside)
        await runtime.request(method, params, allow_full_access=True)
        await written(outside)
        with pytest.raises(PermissionDeniedError):
            await runtime.request("fs/remove", {"path": str(outside)})
        await runtime.request("fs/remove", {"path": str(outside), "recursive": True}, allow_full_access=True)


async def test_what_passes_the_gate_stays_in_the_sandbox(place: Place, runtime: Runtime, outside: Path) -> None:
    """In whatever words it is asked for."""
    touch = {"command": ["touch", str(outside)], "cwd": str(place.workspace)}
    for more in (
        {},
        {"sandboxPolicy": None},
        {"sandboxPolicy": {"type": "readOnly"}},
        {"sandboxPolicy": {"type": "workspaceWrite", "excludeSlashTmp": True, "excludeTmpdirEnvVar": True}},
        {"permissionProfile": ":read-only"},
        {"sandbox_policy": {"type": "dangerFullAccess"}},
        {"sandbox": "danger-full-access"},
    ):
        assert (await runtime.request("command/exec", {**touch, **more}))["exitCode"] != 0
        assert not is_there(outside)
    for more in ({}, {"sandboxPolicy": {"type": "dangerFullAccess"}}, {"sandbox_mode": "danger-full-access"}):
        started = await runtime.request("thread/start", {"cwd": str(place.workspace), **more})
        assert started["sandbox"]["type"] == "readOnly"


async def test_a_program_in_the_configuration_takes_the_second_word(
    place: Place, runtime: Runtime, outside: Path
) -> None:
    """The server starts an MCP server outside of the sandbox that the thread has; so it is not told of it before."""
    server = {"command": "/bin/sh", "args": ["-c", f"touch '{outside}'"]}
    params = {"cwd": str(place.workspace), "sandbox": "read-only", "config": {"mcp_servers": {"x": server}}}
    with pytest.raises(PermissionDeniedError, match="its config"):
        await runtime.request("thread/start", params)
    edit = {"keyPath": "mcp_servers.x", "value": server, "mergeStrategy": "replace"}
    with pytest.raises(PermissionDeniedError, match="its keyPath"):
        await runtime.request("config/value/write", edit)
    await runtime.request("thread/start", {**params, "config": {"mcp_servers": {"x": {"url": "http://127.0.0.1:9"}}}})
    assert not is_there(outside)
    started = await runtime.request("thread/start", params, allow_full_access=True)
    assert started["sandbox"]["type"] == "readOnly"
    await written(outside)


async def test_a_thread_without_a_sandbox_takes_the_second_word(place: Place, runtime: Runtime) -> None:
    """By any of the words that the server has for it; none of them is one that the gate does not know."""
    for more in (
        {"sandbox": "danger-full-access"},
        {"permissions": ":danger-full-access"},
        {"config": {"sandbox_mode": "danger-full-access"}},
        {"config": {"default_permissions": ":danger-full-access"}},
        {"config": {"default_permissions": "x", "permissions": {"x": {"filesystem": {":root": "write"}}}}},
    ):
        params = {"cwd": str(place.workspace), "ephemeral": True, **more}
        with pytest.raises(PermissionDeniedError):
            await runtime.request("thread/start", params)
        started = await runtime.request("thread/start", params, allow_full_access=True)
        assert started["sandbox"]["type"] in {"dangerFullAccess", "externalSandbox"}, json.dumps(more)
    with pytest.raises(RequestFailedError, match="unknown variant"):
        await runtime.request("thread/start", {"sandbox": "dangerFullAccess"}, allow_full_access=True)
