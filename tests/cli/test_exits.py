"""The same fault always ends with the same code, and with one line."""

from __future__ import annotations

import pytest

from codex_runtime._sansio.restart import Exit
from codex_runtime.cli._exits import ExitCode, Failure, failure_of
from codex_runtime.client import TurnResult
from codex_runtime.errors import (
    BinaryNotFoundError,
    CodexError,
    ConfigError,
    ConnectionLostError,
    HandshakeError,
    IncompatibleServerError,
    PermissionDeniedError,
    RequestFailedError,
    RequestTimeoutError,
    RuntimeDeadError,
    TurnFailedError,
    TurnInterruptedError,
    TurnLostError,
    TurnTimeoutError,
)

RESULT = TurnResult(thread_id="t", turn_id="u", status="failed")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigError("cwd", "is bad"), ExitCode.USAGE),
        (ConfigError("codex_home", "is bad"), ExitCode.NOT_STARTED),
        (ConfigError("binary", "is bad"), ExitCode.NOT_STARTED),
        (PermissionDeniedError("no"), ExitCode.USAGE),
        (BinaryNotFoundError("no"), ExitCode.NOT_STARTED),
        (HandshakeError("no"), ExitCode.NOT_STARTED),
        (IncompatibleServerError("no"), ExitCode.NOT_STARTED),
        (TurnFailedError("no", RESULT), ExitCode.FAILED),
        (RequestFailedError("turn/start", -32600, "no"), ExitCode.FAILED),
        (TurnTimeoutError("no", RESULT), ExitCode.TIMED_OUT),
        (RequestTimeoutError("turn/start", 1), ExitCode.TIMED_OUT),
        (TurnLostError("no", RESULT), ExitCode.LOST),
        (ConnectionLostError("no"), ExitCode.LOST),
        (RuntimeDeadError("no"), ExitCode.LOST),
        (TurnInterruptedError("no", RESULT), ExitCode.INTERRUPTED),
    ],
)
def test_each_error_has_its_code(error: CodexError, code: ExitCode) -> None:
    """The table that `--help` shows, from the other side."""
    assert failure_of(error).code is code


def test_every_code_is_explained() -> None:
    """`--help` has a text for each."""
    assert all(code.meaning for code in ExitCode)


def test_a_setting_is_named_as_it_was_typed() -> None:
    """Whoever typed an option knows it by that name."""
    assert failure_of(ConfigError("deadline", "must be more")).message == "--timeout: must be more"
    assert failure_of(ConfigError("restart.window", "must be more")).message == "restart.window: must be more"


def test_a_failure_is_one_line_that_steers_nothing() -> None:
    """Whatever the server put into its message."""
    assert Failure(ExitCode.FAILED, "first\n\n  second\x1b[2J").message == "first second␛[2J"


@pytest.mark.parametrize(
    ("tail", "end"),
    [
        ("noise\nError: the home is not there\n\n  6: <unknown>\n", "it ended: Error: the home is not there"),
        ("noise\nlast words\n", "it ended: last words"),
        ("", "it ended"),
    ],
)
def test_a_failed_start_tells_what_the_app_server_said(tail: str, end: str) -> None:
    """The error that it named, else its last line, else nothing."""
    assert failure_of(HandshakeError("it ended", exit=Exit(code=1, stderr_tail=tail))).message == end
