"""The Python runtime for the Codex agent.

It starts, supervises and drives the local ``codex app-server``. Take the highest step that does what you need:

- :func:`quick_run` - one prompt, one answer.
- :class:`Client` and :class:`Session` - many turns, streamed, with approvals.
- :class:`~codex_runtime.appserver.AppServer` - every method of the server, typed.
- :class:`Runtime` - every message, every knob.

:mod:`codex_runtime.sync` has the same doors for programs without an event loop.
"""

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
