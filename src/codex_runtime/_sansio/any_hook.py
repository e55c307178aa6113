"""What a hook must have, apart from everything that hooks do, so that those who only hold hooks load little."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from codex_runtime._sansio.hooks import HookContext, HookMatcher, HookOutcome

__all__ = ["AnyHook"]


class AnyHook(Protocol):
    """What is called at its phases: a :class:`Hook`, a ``Policy``, a ``ShellHook``, or anything with these four.

    ``call`` may be a plain function, which runs on a thread of its own, or a coroutine function. It has ``timeout`` seconds.
    """

    @property
    def name(self) -> str:
        """What it is called in reports and records; unique."""

    @property
    def when(self) -> HookMatcher:
        """When it is called."""

    @property
    def timeout(self) -> float:
        """How many seconds a call may take."""

    @property
    def call(self) -> Callable[[HookContext], HookOutcome | Awaitable[HookOutcome]]:
        """What is called."""
