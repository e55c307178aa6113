r"""What a scripted app server does in a turn: a :class:`Script` is made of steps, and it is a value.

This file never writes a message and never makes up an id: the same script may be played by any number of turns. Turning
steps into lines is the work of ``_fake_turn``, and doing to a process what :class:`Die` and its like say is that of
``_fake_memory`` and ``_fake_process``.

The one idea: a script reads like what happens, top to bottom, and what the client answers decides the rest::

    Script(Say("I will look."), Command("ls", output="a.txt\n", approval=True), Say("One file."))

``Say``, ``Think``, ``Tokens``, ``Pause``, ``Hold`` and ``Stall`` are the same words that the mock model uses.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

from codex_runtime.testing._reply import Hold, Pause, Say, Stall, Think, Tokens

if TYPE_CHECKING:
    from codex_runtime.testing._gate import Gate

__all__ = [
    "Ask",
    "AskUser",
    "Bytes",
    "CallTool",
    "CloseStdout",
    "Command",
    "Die",
    "Elicit",
    "FailTurn",
    "Fault",
    "FileChange",
    "Garbage",
    "Grandchild",
    "HalfLine",
    "HugeLine",
    "IgnoreTerm",
    "Notify",
    "Question",
    "RequestPermissions",
    "Retrying",
    "Script",
    "Stderr",
    "Step",
    "StopReading",
]

SIGKILL = 9
MIN_HUGE = 256  # The notification around the filling needs some.


# -- what the agent does ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Command:
    r"""Run a command (nothing is run: ``output`` and ``exit_code`` are what it gives).

    With ``approval`` the client is asked first, and its answer decides as the real server lets it: *accept* runs it,
    *acceptForSession* also the next time unasked, *decline* goes on without, *cancel* interrupts the turn, and anything
    that is no decision fails the item. ``reason`` is the question of an escalation. The output comes in one delta, or in
    the pieces of ``chunks``, which need not add up: the real server loses deltas too, only the finished item is exact.

    Example: ``Command("make test", output="2 failed\n", exit_code=1, approval=True)``
    """

    command: str
    _: KW_ONLY
    output: str = ""
    exit_code: int = 0
    approval: bool = False
    reason: str | None = None
    chunks: Sequence[str] | None = None


@dataclass(frozen=True, slots=True)
class FileChange:
    r"""Change one file (nothing is changed). ``diff`` is the whole content for ``add``, a hunk for ``update``.

    With ``approval`` the client is asked first; *cancel* leaves the item open, as the real server does.

    Example: ``FileChange("notes.txt", "one line\n", approval=True)``
    """

    path: str
    diff: str
    _: KW_ONLY
    kind: Literal["add", "update", "delete"] = "add"
    approval: bool = False
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Question:
    """One question of :class:`AskUser`; without ``options`` it wants free text."""

    id: str
    question: str
    _: KW_ONLY
    options: Sequence[str] = ()
    header: str = "Question"
    is_secret: bool = False


@dataclass(frozen=True, slots=True, init=False)
class AskUser:
    """Ask the user.

    Example: ``AskUser(Question("colour", "Which colour?", options=("Red", "Blue")))``
    """

    questions: tuple[Question, ...]

    def __init__(self, *questions: Question) -> None:
        if not questions:
            raise ValueError("ask at least one question")
        object.__setattr__(self, "questions", questions)


@dataclass(frozen=True, slots=True)
class CallTool:
    """Call a dynamic tool of the client.

    Example: ``CallTool("lookup_ticket", {"id": "ABC"})``
    """

    tool: str
    arguments: Mapping[str, object] = field(default_factory=dict)
    _: KW_ONLY
    namespace: str | None = None


@dataclass(frozen=True, slots=True)
class Elicit:
    """Call a tool of an MCP server which asks the user: a form, or a page if ``url`` is given.

    Example: ``Elicit("Who are you?", schema={"type": "object", "properties": {"name": {"type": "string"}}})``
    """

    message: str
    _: KW_ONLY
    schema: Mapping[str, object] = field(default_factory=lambda: {"type": "object", "properties": {}})
    url: str | None = None
    server: str = "stub"
    tool: str = "ask"


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestPermissions:
    """Ask for more rights.

    Example: ``RequestPermissions(network=True, write=["/srv/data"], reason="to fetch it")``
    """

    network: bool = False
    read: Sequence[str] = ()
    write: Sequence[str] = ()
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Retrying:
    """Tell that the model could not be reached and is tried again.

    Example: ``Retrying("Reconnecting... 1/2")``
    """

    message: str = "Reconnecting... 1/2"
    _: KW_ONLY
    details: str | None = "stream disconnected before completion"


@dataclass(frozen=True, slots=True)
class FailTurn:
    """End the turn with an error; must be the last step. ``info`` is the server's code for it, text or object.

    Example: ``FailTurn("You have hit your usage limit.", info="usageLimitExceeded")``
    """

    message: str = "The fake app server was told to fail."
    _: KW_ONLY
    info: str | Mapping[str, object] | None = "other"


# -- any message -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Notify:
    """Send any notification. Values ``"$thread"`` and ``"$turn"`` in ``params`` become the ids of this turn.

    Example: ``Notify("thread/name/updated", {"threadId": "$thread", "threadName": "A name"})``
    """

    method: str
    params: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Ask:
    """Send any server request and wait for the answer, whatever it is; ``params`` as in :class:`Notify`.

    Example: ``Ask("currentTime/read")``
    """

    method: str
    params: Mapping[str, object] = field(default_factory=dict)


# -- what is wrong with the bytes ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Bytes:
    r"""Put these bytes on stdout as they are; a newline is not added.

    Example: ``Bytes(b'{"method":"a"}\n{"meth')``
    """

    data: bytes


@dataclass(frozen=True, slots=True)
class HalfLine:
    """Put the beginning of a line on stdout; whatever is written next is glued to it."""

    data: bytes = b'{"method":"thread/status/changed","params":{"threadId":'

    def __post_init__(self) -> None:
        if b"\n" in self.data:
            raise ValueError("half a line has no newline")


@dataclass(frozen=True, slots=True)
class Garbage:
    """Put a line on stdout that is no message; a newline is added."""

    data: bytes = b"thread 'main' panicked \xff\x00 {"


@dataclass(frozen=True, slots=True)
class HugeLine:
    """Send a good notification (``warning``) whose line has ``size`` bytes, newline included."""

    size: int

    def __post_init__(self) -> None:
        if self.size < MIN_HUGE:
            raise ValueError(f"a huge line has at least {MIN_HUGE} bytes")


# -- what is wrong with the process ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Die:
    """End the app server here and now: by a signal (SIGKILL unless said otherwise), or with an exit status.

    Example: ``Script(Say("one "), Die(code=3))``
    """

    signal: int | None = None
    code: int | None = None

    def __post_init__(self) -> None:
        if self.signal is not None and self.code is not None:
            raise ValueError("it dies of a signal or with an exit status, not both")
        if self.signal is None and self.code is None:
            object.__setattr__(self, "signal", SIGKILL)


@dataclass(frozen=True, slots=True)
class CloseStdout:
    """Close stdout and live on."""


@dataclass(frozen=True, slots=True)
class StopReading:
    """Read stdin no more: what the client writes piles up, and the end of stdin is not noticed."""


@dataclass(frozen=True, slots=True)
class IgnoreTerm:
    """Ignore SIGTERM and the end of stdin from here on; only SIGKILL ends it."""


@dataclass(frozen=True, slots=True)
class Stderr:
    r"""Write to stderr.

    Example: ``Stderr("error: out of memory\n")``
    """

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Grandchild:
    """Start a process that would outlive the app server by ``seconds``; only a real process can.

    ``detached`` puts it into a session of its own, where a signal to the group does not reach it. With ``holds_stdout``
    it inherits stdout, so that the end of the app server is no end of the pipe.
    """

    detached: bool = False
    holds_stdout: bool = True
    seconds: float = 60.0


# -- scripts ---------------------------------------------------------------------------------------------------------

Fault: TypeAlias = Die | CloseStdout | StopReading | IgnoreTerm | Stderr | Grandchild
"""Steps that are done to the process, not said by it."""

Step: TypeAlias = (
    Say
    | Think
    | Command
    | FileChange
    | AskUser
    | CallTool
    | Elicit
    | RequestPermissions
    | Retrying
    | FailTurn
    | Tokens
    | Notify
    | Ask
    | Bytes
    | HalfLine
    | Garbage
    | HugeLine
    | Pause
    | Hold
    | Stall
    | Fault
)
"""Anything that a :class:`Script` may be made of."""

FAULTS = (Die, CloseStdout, StopReading, IgnoreTerm, Stderr, Grandchild)
ANYTIME = (Notify, Ask, Bytes, HalfLine, Garbage, HugeLine, Pause, Hold, *FAULTS)
"""The steps that need no turn."""


@dataclass(frozen=True, slots=True, init=False)
class Script:
    r"""What happens in one turn; an immutable value made of steps. A plain string stands for ``Script(Say(string))``.

    The turn completes after the last step, unless that says otherwise. While the gate ``starts`` is closed the turn has
    been accepted but not begun, which is the moment in which the real server refuses to interrupt it.

    Example::

        fake.on_turn(
            Script(Think("Look first."), Command("ls", output="a.txt\n"), Say("One file."), Tokens(input=900, output=20)),
            "Nothing left to do.",
        )
    """

    steps: tuple[Step, ...]
    starts: Gate | None

    def __init__(self, *steps: Step, starts: Gate | None = None) -> None:
        for step in steps:
            if not isinstance(step, Step):
                raise TypeError(f"not a step of a script: {step!r}")
        for step in steps[:-1]:
            if isinstance(step, FailTurn | Stall | Die):
                raise ValueError(f"nothing can follow {step!r}")  # noqa: TRY004  the type is fine, the place is not
        object.__setattr__(self, "steps", steps)
        object.__setattr__(self, "starts", starts)

    @classmethod
    def of(cls, script: Script | str) -> Script:
        """The script itself, or the one that a plain string stands for."""
        return script if isinstance(script, Script) else cls(Say(script))
