"""The Python runtime for the Codex agent.

It starts, supervises and drives the local ``codex app-server``. Take the highest step that does what you need:

- :func:`quick_run` - one prompt, one answer.
- :class:`Client` and :class:`Session` - many turns, streamed, with approvals.
- :class:`~codex_runtime.appserver.AppServer` - every method of the server, typed.
- :class:`Runtime` - every message, every knob.

:mod:`codex_runtime.sync` has the same doors for programs without an event loop.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from codex_runtime.client import (
        ApprovalRequested,
        Client,
        CommandCompleted,
        CommandOutput,
        CommandStarted,
        File,
        FileChangeCompleted,
        FileChangeStarted,
        Image,
        LocalImage,
        PlanUpdated,
        ReasoningDelta,
        RetryNotice,
        RunProfile,
        Session,
        Skill,
        TextCompleted,
        TextDelta,
        Ticket,
        TokenUsageUpdated,
        ToolCompleted,
        ToolStarted,
        Turn,
        TurnCompleted,
        TurnResult,
        TurnStarted,
    )
    from codex_runtime.errors import (
        CodexError,
        ConfigError,
        ConnectionLostError,
        RequestFailedError,
        StartError,
        TurnError,
        TurnFailedError,
        TurnInterruptedError,
        TurnLostError,
        TurnTimeoutError,
    )
    from codex_runtime.oneshot import quick_run
    from codex_runtime.runtime import RestartPolicy, Runtime, RuntimeConfig

__version__ = "0.1.0"

__all__ = [
    "ApprovalRequested",
    "Client",
    "CodexError",
    "CommandCompleted",
    "CommandOutput",
    "CommandStarted",
    "ConfigError",
    "ConnectionLostError",
    "File",
    "FileChangeCompleted",
    "FileChangeStarted",
    "Image",
    "LocalImage",
    "PlanUpdated",
    "ReasoningDelta",
    "RequestFailedError",
    "RestartPolicy",
    "RetryNotice",
    "RunProfile",
    "Runtime",
    "RuntimeConfig",
    "Session",
    "Skill",
    "StartError",
    "TextCompleted",
    "TextDelta",
    "Ticket",
    "TokenUsageUpdated",
    "ToolCompleted",
    "ToolStarted",
    "Turn",
    "TurnCompleted",
    "TurnError",
    "TurnFailedError",
    "TurnInterruptedError",
    "TurnLostError",
    "TurnResult",
    "TurnStarted",
    "TurnTimeoutError",
    "quick_run",
]

# Where each name lives. Imported on first use, so that the door itself costs next to nothing.
_HOMES = {
    "ApprovalRequested": "codex_runtime.client",
    "Client": "codex_runtime.client",
    "CodexError": "codex_runtime.errors",
    "CommandCompleted": "codex_runtime.client",
    "CommandOutput": "codex_runtime.client",
    "CommandStarted": "codex_runtime.client",
    "ConfigError": "codex_runtime.errors",
    "ConnectionLostError": "codex_runtime.errors",
    "File": "codex_runtime.client",
    "FileChangeCompleted": "codex_runtime.client",
    "FileChangeStarted": "codex_runtime.client",
    "Image": "codex_runtime.client",
    "LocalImage": "codex_runtime.client",
    "PlanUpdated": "codex_runtime.client",
    "ReasoningDelta": "codex_runtime.client",
    "RequestFailedError": "codex_runtime.errors",
    "RestartPolicy": "codex_runtime.runtime",
    "RetryNotice": "codex_runtime.client",
    "RunProfile": "codex_runtime.client",
    "Runtime": "codex_runtime.runtime",
    "RuntimeConfig": "codex_runtime.runtime",
    "Session": "codex_runtime.client",
    "Skill": "codex_runtime.client",
    "StartError": "codex_runtime.errors",
    "TextCompleted": "codex_runtime.client",
    "TextDelta": "codex_runtime.client",
    "Ticket": "codex_runtime.client",
    "TokenUsageUpdated": "codex_runtime.client",
    "ToolCompleted": "codex_runtime.client",
    "ToolStarted": "codex_runtime.client",
    "Turn": "codex_runtime.client",
    "TurnCompleted": "codex_runtime.client",
    "TurnError": "codex_runtime.errors",
    "TurnFailedError": "codex_runtime.errors",
    "TurnInterruptedError": "codex_runtime.errors",
    "TurnLostError": "codex_runtime.errors",
    "TurnResult": "codex_runtime.client",
    "TurnStarted": "codex_runtime.client",
    "TurnTimeoutError": "codex_runtime.errors",
    "quick_run": "codex_runtime.oneshot",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
