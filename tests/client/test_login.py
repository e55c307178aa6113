"""Who is not logged in is told so, before a turn is begun that cannot come to an end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from codex_runtime import RuntimeConfig, quick_run
from codex_runtime.errors import LoginRequiredError
from codex_runtime.testing import FakeAppServer

if TYPE_CHECKING:
    from pathlib import Path


async def test_one_prompt_without_a_login_is_refused_at_once(workspace: Path) -> None:
    """With the way out, and nothing left behind."""
    fake = FakeAppServer()
    fake.on_request("account/read", {"requiresOpenaiAuth": True, "account": None})
    with pytest.raises(LoginRequiredError, match="codex-runtime doctor"):
        await quick_run("go", cwd=workspace, config=RuntimeConfig(launcher=fake))
    assert fake.requests("turn/start") == []
    assert "alive=0" in repr(fake)


@pytest.mark.parametrize(
    "account",
    [
        {"requiresOpenaiAuth": False, "account": None},
        {"requiresOpenaiAuth": True, "account": {"type": "apiKey"}},
        {},
        [],
    ],
)
async def test_who_needs_none_or_has_one_goes_on(workspace: Path, account: Any) -> None:
    """A provider of one's own, an account, and answers that say neither."""
    fake = FakeAppServer("fine")
    fake.on_request("account/read", account)
    assert (await quick_run("go", cwd=workspace, config=RuntimeConfig(launcher=fake))).text == "fine"
