"""Test your own program without the network, without an account, and without waiting.

- :class:`FakeAppServer` stands in for ``codex app-server``: scripted turns, and faults on command. In memory or as a real
  process. Give it to a runtime as its ``launcher``.
- :class:`MockModel` stands in for the model behind a **real** ``codex app-server``: scripted replies on loopback.
  :func:`write_codex_home` makes the configuration that points the server at it.
- :class:`ManualClock` turns deadlines and back-offs by hand.
- :class:`Recorder` writes a session down; :class:`ReplayServer` and :func:`replay` play it back.
- ``pytest_plugins = ["codex_runtime.testing.pytest_plugin"]`` gives fixtures for all of them.
"""

from codex_runtime.testing._clock import ManualClock
from codex_runtime.testing._codex_home import mcp_stub, write_codex_home
from codex_runtime.testing._fake_log import Answer, Asked, Received
from codex_runtime.testing._fake_orders import Refusal
from codex_runtime.testing._fake_script import (
    Ask,
    AskUser,
    Bytes,
    CallTool,
    CloseStdout,
    Command,
    Die,
    Elicit,
    FailTurn,
    Fault,
    FileChange,
    Garbage,
    Grandchild,
    HalfLine,
    HugeLine,
    IgnoreTerm,
    Notify,
    Question,
    RequestPermissions,
    Retrying,
    Script,
    Stderr,
    Step,
    StopReading,
)
from codex_runtime.testing._fake_server import FakeAppServer
from codex_runtime.testing._gate import Gate
from codex_runtime.testing._mock_model import MockModel
from codex_runtime.testing._model_request import ModelRequest
from codex_runtime.testing._recorder import Entry, Recorder, ReplayServer, load_recording, replay
from codex_runtime.testing._reply import (
    Call,
    Custom,
    Cut,
    Exec,
    Fail,
    Hold,
    Incomplete,
    Part,
    Patch,
    Pause,
    RateLimits,
    Raw,
    Reply,
    Say,
    Stall,
    Think,
    Tokens,
)
from codex_runtime.testing._reply_json import replies_from_json

__all__ = [
    "Answer",
    "Ask",
    "AskUser",
    "Asked",
    "Bytes",
    "Call",
    "CallTool",
    "CloseStdout",
    "Command",
    "Custom",
    "Cut",
    "Die",
    "Elicit",
    "Entry",
    "Exec",
    "Fail",
    "FailTurn",
    "FakeAppServer",
    "Fault",
    "FileChange",
    "Garbage",
    "Gate",
    "Grandchild",
    "HalfLine",
    "Hold",
    "HugeLine",
    "IgnoreTerm",
    "Incomplete",
    "ManualClock",
    "MockModel",
    "ModelRequest",
    "Notify",
    "Part",
    "Patch",
    "Pause",
    "Question",
    "RateLimits",
    "Raw",
    "Received",
    "Recorder",
    "Refusal",
    "ReplayServer",
    "Reply",
    "RequestPermissions",
    "Retrying",
    "Say",
    "Script",
    "Stall",
    "Stderr",
    "Step",
    "StopReading",
    "Think",
    "Tokens",
    "load_recording",
    "mcp_stub",
    "replay",
    "replies_from_json",
    "write_codex_home",
]
