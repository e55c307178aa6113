"""The engine: one supervised app server, many users.

:class:`Runtime` starts the server, keeps it alive across crashes, carries requests, hands every message to every
subscriber in order, and settles what the server asks. Most programs want :mod:`codex_runtime.client` instead, which
stands on it.
"""

from codex_runtime._io.bearer import SignedToken, TokenFile
from codex_runtime._io.fanout import Gap, Overflow, Subscription
from codex_runtime._io.process import Graces
from codex_runtime._io.transport import Launcher, Receiver, Transport
from codex_runtime._sansio.decisions import Decider, Decision
from codex_runtime._sansio.envelope import Direction, Envelope, Fault, JsonValue, Kind
from codex_runtime._sansio.projection import Connection, RuntimeState, StateLimits
from codex_runtime._sansio.questions import Part, Question
from codex_runtime._sansio.restart import Exit, RestartPolicy
from codex_runtime._sansio.watchdog import WatchdogPolicy
from codex_runtime.runtime._audit import AuditLog
from codex_runtime.runtime._dispatch import ThreadListener
from codex_runtime.runtime._life import ServerInfo
from codex_runtime.runtime._runtime import Runtime
from codex_runtime.runtime._ticket import Outcome, Ticket
from codex_runtime.runtime.config import DeadlineAction, Restarted, RuntimeConfig, ServerRequestHandler
from codex_runtime.runtime.metrics import (
    BOUNDS,
    ClosedSubscriptions,
    Durations,
    Metrics,
    SinkMetrics,
    StateStoreMetrics,
    SubscriptionMetrics,
)
from codex_runtime.runtime.sinks import Damage, EventSink, JsonlSink, read_jsonl
from codex_runtime.runtime.state_store import JsonStateStore, MemoryStateStore, StateStore, read_state

__all__ = [
    "BOUNDS",
    "AuditLog",
    "ClosedSubscriptions",
    "Connection",
    "Damage",
    "DeadlineAction",
    "Decider",
    "Decision",
    "Direction",
    "Durations",
    "Envelope",
    "EventSink",
    "Exit",
    "Fault",
    "Gap",
    "Graces",
    "JsonStateStore",
    "JsonValue",
    "JsonlSink",
    "Kind",
    "Launcher",
    "MemoryStateStore",
    "Metrics",
    "Outcome",
    "Overflow",
    "Part",
    "Question",
    "Receiver",
    "RestartPolicy",
    "Restarted",
    "Runtime",
    "RuntimeConfig",
    "RuntimeState",
    "ServerInfo",
    "ServerRequestHandler",
    "SignedToken",
    "SinkMetrics",
    "StateLimits",
    "StateStore",
    "StateStoreMetrics",
    "Subscription",
    "SubscriptionMetrics",
    "ThreadListener",
    "Ticket",
    "TokenFile",
    "Transport",
    "WatchdogPolicy",
    "read_jsonl",
    "read_state",
]
