"""Is anybody logged in? Without, a server tries, and tries again, and in the end says something about HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING

from codex_runtime.errors import LoginRequiredError

if TYPE_CHECKING:
    from codex_runtime.runtime import Runtime

__all__ = ["require_login"]


async def require_login(runtime: Runtime) -> None:
    """Raise :class:`LoginRequiredError` if the model provider wants a login and there is none."""
    account = await runtime.request("account/read", {})
    if isinstance(account, dict) and account.get("requiresOpenaiAuth") and account.get("account") is None:
        raise LoginRequiredError(
            "nobody is logged in: `codex-runtime doctor` names the command for it; or configure a model provider of your own"
        )
