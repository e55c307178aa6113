"""The desk: sessions and turns.

:class:`Client` owns a runtime and starts sessions; a :class:`Session` is one thread with a profile; a :class:`Turn` is
one prompt with its events and its result.
"""

from codex_runtime._sansio.permissions import ApprovalPolicy, SandboxMode
from codex_runtime._sansio.turn_events import *  # noqa: F403
from codex_runtime._sansio.turn_events import __all__ as _events
from codex_runtime._sansio.turn_result import *  # noqa: F403
from codex_runtime._sansio.turn_result import __all__ as _results
from codex_runtime.client._client import Client
from codex_runtime.client._prompt import Approvals, File, Image, LocalImage, Prompt, RunProfile, Skill
from codex_runtime.client._session import Session
from codex_runtime.client._turn import Event, Turn
from codex_runtime.client._version import MINIMUM_VERSION
from codex_runtime.runtime import Ticket

__all__ = [
    "MINIMUM_VERSION",
    "ApprovalPolicy",
    "Approvals",
    "Client",
    "Event",
    "File",
    "Image",
    "LocalImage",
    "Prompt",
    "RunProfile",
    "SandboxMode",
    "Session",
    "Skill",
    "Ticket",
    "Turn",
    *_events,
    *_results,
]
