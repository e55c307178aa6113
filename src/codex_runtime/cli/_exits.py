"""How a command ends: the exit codes, and the one line that is said when it did not go well.

The one idea: whatever goes wrong is a :class:`Failure`, a code and a sentence. Errors of the package are turned into one
here and nowhere else, so the same fault always gives the same code.
"""

from __future__ import annotations

from enum import IntEnum

from codex_runtime._sansio.display import one_line
from codex_runtime.errors import (
    CodexError,
    ConfigError,
    ConnectionLostError,
    PermissionDeniedError,
    RequestTimeoutError,
    StartError,
    TurnInterruptedError,
    TurnLostError,
    TurnTimeoutError,
)

__all__ = ["ExitCode", "Failure", "failure_of"]

# Settings that say where things are rather than what to do: a wrong one means that nothing can be started.
_PLACES = {"binary", "codex_home"}
# What the setting is called on the command line.
_NAMES = {
    "approval_policy": "--policy",
    "binary": "--binary",
    "codex_home": "CODEX_HOME",
    "cwd": "--cwd",
    "deadline": "--timeout",
    "effort": "--effort",
    "model": "--model",
    "network": "--network",
    "prompt": "PROMPT",
}


class ExitCode(IntEnum):
    """What the shell gets. The text of each is shown by ``--help``."""

    OK = 0
    FAILED = 1
    USAGE = 2
    NOT_STARTED = 3
    TIMED_OUT = 4
    LOST = 5
    INTERRUPTED = 130
    PIPE_CLOSED = 141
    TERMINATED = 143

    @property
    def meaning(self) -> str:
        """Say it in words."""
        return _MEANINGS[self]


_MEANINGS = {
    ExitCode.OK: "the turn completed",
    ExitCode.FAILED: "the turn failed, or the app server refused a request",
    ExitCode.USAGE: "wrong arguments or settings",
    ExitCode.NOT_STARTED: "the app server could not be started: binary, version, CODEX_HOME, login",
    ExitCode.TIMED_OUT: "not done within the time limit",
    ExitCode.LOST: "the app server died in mid-turn",
    ExitCode.INTERRUPTED: "interrupted: Ctrl-C, or an approval was answered with cancel",
    ExitCode.PIPE_CLOSED: "whoever read the output has gone",
    ExitCode.TERMINATED: "ended by SIGTERM or SIGHUP",
}


class Failure(Exception):  # noqa: N818  it is how a command ends, not an error of the program
    """End the command with ``code``, after ``message`` was said on one line."""

    def __init__(self, code: ExitCode, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = one_line(" ".join(message.split()))


def failure_of(error: CodexError) -> Failure:
    """Say in one line what an error of the package means for whoever typed the command."""
    text = str(error)
    match error:
        case ConfigError(field=field, problem=problem):
            code = ExitCode.NOT_STARTED if field in _PLACES else ExitCode.USAGE
            return Failure(code, f"{_NAMES.get(field, field)}: {problem}")
        case PermissionDeniedError():
            return Failure(ExitCode.USAGE, text)
        case StartError():
            return Failure(ExitCode.NOT_STARTED, f"{text}{_last_words(error)}")
        case TurnTimeoutError() | RequestTimeoutError():
            return Failure(ExitCode.TIMED_OUT, text)
        case TurnLostError() | ConnectionLostError():
            return Failure(ExitCode.LOST, text)
        case TurnInterruptedError():
            return Failure(ExitCode.INTERRUPTED, text)
        case _:
            return Failure(ExitCode.FAILED, text)


def _last_words(error: StartError) -> str:
    """What the app server said before it ended: the error that it named, else its last line."""
    lines = error.exit.stderr_tail.strip().splitlines() if error.exit is not None else []
    named = [line for line in lines if line.lower().startswith("error")]
    words = (named or lines or [""])[-1].strip()
    return f": {words}" if words and words not in str(error) else ""
