"""One prompt, one answer: the shortest way in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

from codex_runtime.client import Client
from codex_runtime.client._login import require_login

if TYPE_CHECKING:
    from codex_runtime.client import Prompt, TurnResult
    from codex_runtime.client._prompt import PathLike, RunOptions
    from codex_runtime.runtime import RuntimeConfig

__all__ = ["quick_run"]


async def quick_run(
    prompt: Prompt, *, cwd: PathLike | None = None, config: RuntimeConfig | None = None, **options: Unpack[RunOptions]
) -> TurnResult:
    """Start an app server, run one turn in ``cwd`` (default: our own folder), end the server, return the result.

    ``options`` are those of :class:`~codex_runtime.RunProfile`; by default the agent may only read. Raises
    :class:`StartError` if the server cannot be brought up, :class:`LoginRequiredError` if nobody is logged in, and a
    :class:`TurnError`, with the partial result, if the turn does not complete.
    """
    async with Client(config) as client:
        await require_login(client.runtime)
        return await client.run(prompt, cwd=cwd, **options)
