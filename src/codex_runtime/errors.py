"""Every error that this package raises, in one tree.

::

    CodexError
    ├── ConfigError (ValueError)             a setting is wrong; found before any I/O
    ├── StartError                           the app server could not be brought up
    │   ├── BinaryNotFoundError
    │   ├── HandshakeError
    │   ├── IncompatibleServerError
    │   └── LoginRequiredError               its model provider wants a login, and nobody is logged in
    ├── ConnectionLostError                  the app server went away
    │   ├── RuntimeDeadError                 and will not come back: the restart budget is spent
    │   └── RuntimeClosedError               we closed it
    ├── ProtocolError
    │   ├── LocalProtocolError               we would have broken the rules
    │   └── RemoteProtocolError              the server did
    ├── RequestFailedError                   the server refused: code, message, data
    │   └── OverloadedError
    ├── RequestTimeoutError (TimeoutError)
    ├── TurnError                            carries the partial result
    │   ├── TurnFailedError
    │   ├── TurnInterruptedError
    │   ├── TurnLostError
    │   └── TurnTimeoutError (TimeoutError)
    ├── HookBlockedError                     a hook denied it before it began
    ├── PermissionDeniedError                a gate refused before anything was sent
    ├── ServerRequestError
    │   ├── ServerRequestNotFoundError
    │   ├── AlreadySettledError
    │   └── InvalidAnswerError (ValueError)
    ├── SessionBusyError                     the session already runs a turn
    ├── SessionClosedError
    └── StoreError                           a file of ours cannot be read or written

Catch :class:`CodexError` for all of them. ``RequestFailedError`` and ``TurnFailedError`` repeat what the server
said, and so does ``HandshakeError`` if the server refused the greeting or would not let us in; no other message holds
anything that came over the wire.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from codex_runtime._sansio.restart import Exit
    from codex_runtime._sansio.turn import TurnResult

__all__ = [
    "AlreadySettledError",
    "BinaryNotFoundError",
    "CodexError",
    "ConfigError",
    "ConnectionLostError",
    "HandshakeError",
    "HookBlockedError",
    "IncompatibleServerError",
    "InvalidAnswerError",
    "LocalProtocolError",
    "LoginRequiredError",
    "OverloadedError",
    "PermissionDeniedError",
    "ProtocolError",
    "RemoteProtocolError",
    "RequestFailedError",
    "RequestTimeoutError",
    "RuntimeClosedError",
    "RuntimeDeadError",
    "ServerRequestError",
    "ServerRequestNotFoundError",
    "SessionBusyError",
    "SessionClosedError",
    "StartError",
    "StoreError",
    "TurnError",
    "TurnFailedError",
    "TurnInterruptedError",
    "TurnLostError",
    "TurnTimeoutError",
]


class CodexError(Exception):
    """The root of every error that this package raises on purpose. Every one of them can be pickled."""

    def __reduce__(self) -> tuple[object, ...]:
        """Restore without calling the constructor, whose arguments differ from class to class."""
        return _restored, (type(self), self.args, self.__dict__)


class ConfigError(CodexError, ValueError):
    """A setting is wrong. Nothing was started.

    ``field`` is the dotted name of the setting, as the caller wrote it.
    """

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field
        self.problem = problem


class StartError(CodexError):
    """The app server could not be brought up. ``exit`` tells how it ended, with its stderr, if it was started at all."""

    def __init__(self, message: str, *, exit: Exit | None = None) -> None:  # noqa: A002
        super().__init__(message)
        self.exit = exit


class BinaryNotFoundError(StartError):
    """No ``codex`` binary was found, or the one that was named cannot be run."""


class HandshakeError(StartError):
    """The process started, or somebody listens, but the greeting was not completed."""


class IncompatibleServerError(StartError):
    """The app server is older than this package supports, or does not say what it is."""


class LoginRequiredError(StartError):
    """The model provider of the app server wants a login, and nobody is logged in."""


class ConnectionLostError(CodexError):
    """The app server went away before it answered.

    ``generation`` counts the app servers of one runtime from 0; ``exit`` says how the process ended, with the tail of
    its stderr, where that is known. Whether the request took effect is not known.
    """

    def __init__(self, message: str, *, generation: int | None = None, exit: Exit | None = None) -> None:  # noqa: A002
        super().__init__(message)
        self.generation = generation
        self.exit = exit


class RuntimeDeadError(ConnectionLostError):
    """The app server is gone and will not be started again; the message tells the cause."""


class RuntimeClosedError(ConnectionLostError):
    """The runtime was closed by its owner."""


class ProtocolError(CodexError):
    """Somebody broke the rules of the wire."""


class LocalProtocolError(ProtocolError):
    """The caller asked for something that must not be sent. Nothing was written."""


class RemoteProtocolError(ProtocolError):
    """The server sent an answer that does not have the promised shape."""


class RequestFailedError(CodexError):
    """The server refused a request.

    The real server answers -32600 for nearly everything, so tell cases apart by ``message`` and, where there is one,
    by ``data``.
    """

    def __init__(self, method: str, code: int, message: str, data: object = None) -> None:
        super().__init__(f"{method}: {message} (code {code})")
        self.method = method
        self.code = code
        self.message = message
        self.data = data


class OverloadedError(RequestFailedError):
    """The server had no room (-32001), also after the retries that the runtime makes."""


class RequestTimeoutError(CodexError, TimeoutError):
    """No answer within the deadline. The request may still take effect; a late answer is counted and dropped."""

    def __init__(self, method: str, seconds: float) -> None:
        super().__init__(f"{method}: no answer within {seconds:g} s")
        self.method = method
        self.seconds = seconds


class TurnError(CodexError):
    """A turn did not complete. ``result`` holds everything that had arrived by then."""

    def __init__(self, message: str, result: TurnResult) -> None:
        super().__init__(message)
        self.result = result


class TurnFailedError(TurnError):
    """The server ended the turn with an error; see ``result.error``."""


class TurnInterruptedError(TurnError):
    """The turn was interrupted, or an approval was answered with *cancel*."""


class TurnLostError(TurnError):
    """The app server died in mid-turn, or does not know it any more. The thread itself goes on after the restart."""


class TurnTimeoutError(TurnError, TimeoutError):
    """The turn did not end within its deadline and was interrupted."""


class HookBlockedError(CodexError):
    """A hook denied a run, a session or a turn before it began: ``hook`` is its name, ``phase`` when, ``reason`` why."""

    def __init__(self, hook: str, phase: str, reason: str) -> None:
        super().__init__(f"the hook {hook!r} denied it at {phase}: {reason}")
        self.hook = hook
        self.phase = phase
        self.reason = reason


class PermissionDeniedError(CodexError):
    """A gate refused before anything was sent."""


class ServerRequestError(CodexError):
    """A server request could not be settled."""


class ServerRequestNotFoundError(ServerRequestError):
    """No open server request has this ticket id."""


class AlreadySettledError(ServerRequestError):
    """The server request already has its answer, or no longer needs one; nothing was sent."""


class InvalidAnswerError(ServerRequestError, ValueError):
    """The answer does not have the form that this server request wants. The ticket stays open."""


class SessionBusyError(CodexError):
    """The session already runs a turn. Wait for it, interrupt it, or steer it."""


class SessionClosedError(CodexError):
    """The session was closed."""


class StoreError(CodexError):
    """A file of ours (a log, a journal) cannot be read or written, is damaged, or is in use by somebody else.

    ``path`` names it. What was acknowledged before is still there.
    """

    def __init__(self, message: str, *, path: str | None = None) -> None:
        super().__init__(message)
        self.path = path


def _restored(kind: type[CodexError], args: tuple[object, ...], state: dict[str, object]) -> CodexError:
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(state)
    return error
