"""One prompt, one answer: what it takes, what it raises, and that nothing is left of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from codex_runtime import ConfigError, RuntimeConfig, TurnFailedError, TurnTimeoutError, quick_run
from codex_runtime.errors import BinaryNotFoundError, IncompatibleServerError, PermissionDeniedError
from codex_runtime.testing import FailTurn, FakeAppServer, Say, Script, Stall

if TYPE_CHECKING:
    from pathlib import Path


async def test_one_call_gives_the_result(workspace: Path) -> None:
    """In the folder and with the options that were asked for; the server is ended afterwards."""
    fake = FakeAppServer("All good.")
    result = await quick_run("How is it?", cwd=workspace, config=RuntimeConfig(launcher=fake), model="m", effort="low")
    assert (str(result), result.status) == ("All good.", "completed")
    assert fake.requests("thread/start")[0].params["cwd"] == str(workspace)
    assert fake.requests("turn/start")[0].params["effort"] == "low"
    assert "alive=0" in repr(fake)


async def test_the_agent_may_only_read_unless_more_is_said(workspace: Path) -> None:
    """And asks for nothing."""
    fake = FakeAppServer()
    await quick_run("go", cwd=workspace, config=RuntimeConfig(launcher=fake))
    params = fake.requests("turn/start")[0].params
    assert params["sandboxPolicy"] == {"type": "readOnly", "networkAccess": False}
    assert params["approvalPolicy"] == "never"


async def test_a_failed_turn_raises_with_its_partial_result(workspace: Path) -> None:
    """The server is ended all the same."""
    fake = FakeAppServer(Script(Say("half"), FailTurn("no")))
    with pytest.raises(TurnFailedError) as caught:
        await quick_run("go", cwd=workspace, config=RuntimeConfig(launcher=fake))
    assert caught.value.result.text == "half"
    assert "alive=0" in repr(fake)


async def test_the_deadline_ends_it(workspace: Path) -> None:
    """With what had come."""
    fake = FakeAppServer(Script(Say("half"), Stall()))
    with pytest.raises(TurnTimeoutError):
        await quick_run("go", cwd=workspace, config=RuntimeConfig(launcher=fake), deadline=0.1)


async def test_a_missing_binary_is_named(workspace: Path) -> None:
    """Together with where it was looked for."""
    with pytest.raises(BinaryNotFoundError, match="codex-of-nowhere"):
        await quick_run("go", cwd=workspace, config=RuntimeConfig(binary=workspace / "codex-of-nowhere"))


async def test_an_old_server_is_refused(workspace: Path) -> None:
    """Before anything is asked of it."""
    fake = FakeAppServer()
    fake.on_request("initialize", {"userAgent": "codex_runtime/0.1.0 (x)"})
    with pytest.raises(IncompatibleServerError):
        await quick_run("go", cwd=workspace, config=RuntimeConfig(launcher=fake))
    assert fake.requests("thread/start") == []


@pytest.mark.parametrize(
    ("prompt", "options", "error"),
    [
        ("", {}, ConfigError),
        ("go", {"mood": "good"}, ConfigError),
        ("go", {"sandbox": "danger-full-access"}, PermissionDeniedError),
    ],
)
async def test_what_is_wrong_runs_no_turn(
    workspace: Path, prompt: str, options: dict[str, object], error: type[Exception]
) -> None:
    """It is the caller's mistake, and told as such."""
    fake = FakeAppServer()
    with pytest.raises(error):
        await quick_run(prompt, cwd=workspace, config=RuntimeConfig(launcher=fake), **options)  # type: ignore[arg-type]
    assert fake.requests("turn/start") == []
