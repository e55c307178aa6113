"""Brings a child process into being, with its pipes, and puts into words why that failed.

It creates and refuses; everything that happens to a child afterwards is in process.py.
"""

from __future__ import annotations

import errno
import os
import signal
import socket
import subprocess
import sys
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct, field

from codex_runtime._io.binary import on_path
from codex_runtime._io.survivors import MARK
from codex_runtime.errors import BinaryNotFoundError, StartError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Graces", "ProcessSpec", "Spawned", "refusal", "signal_group", "spawn"]

_GUARDIAN = Path(__file__).with_name("guardian.py")  # run as a file; importing it would cost us ctypes
# What programs need to find their files and to speak the user's language, and what codex itself looks at.
_NEEDED = (
    *("PATH", "HOME", "USER", "LOGNAME", "SHELL", "TERM", "TZ", "LANG", "LANGUAGE", "LC_*", "TMPDIR", "TEMP", "TMP"),
    *("XDG_*", "CODEX_*", "SSL_CERT_FILE", "SSL_CERT_DIR"),
)
_BAD_BINARY = {
    errno.ENOENT,
    errno.ENOTDIR,
    errno.EACCES,
    errno.ENOEXEC,
    errno.EISDIR,
    errno.ELOOP,
    errno.ENAMETOOLONG,
}


class Graces(Struct, frozen=True, kw_only=True):
    """Seconds that a child gets at each step of its end: after the end of its stdin, SIGTERM and SIGKILL."""

    stdin_close: float = 0.5
    terminate: float = 0.75
    kill: float = 1.0


class ProcessSpec(Struct, frozen=True, kw_only=True):
    """What to run, where, and how it is ended.

    ``argv[0]`` is looked up on PATH if it holds no slash, and never in the folder where it, or we, happen to work. ``env``
    is laid over what is inherited of our environment; ``None`` removes a variable. ``inherit`` names what that is, beside what
    every program needs: a name, or how it begins (``"LC_*"``); ``"*"`` is all of it. The last ``stderr_tail_bytes`` of
    stderr are kept. ``guarded=False`` runs the child without a guardian, as is always done outside Linux and in a frozen program, which has
    no interpreter to run one.
    """

    argv: tuple[str, ...]
    env: Mapping[str, str | None] = field(default_factory=dict)
    inherit: tuple[str, ...] = ("*",)
    cwd: str | None = None
    stderr_tail_bytes: int = 16 * 1024
    graces: Graces = field(default_factory=Graces)
    guarded: bool = sys.platform == "linux"

    def __rich_repr__(self) -> list[tuple[str, object]]:
        """Name the program and where it runs: what it is told may be secret."""
        return [("program", self.argv[0]), ("cwd", self.cwd)]

    def __repr__(self) -> str:
        return f"ProcessSpec(program={self.argv[0]!r}, cwd={self.cwd!r})"


class Spawned(Struct, frozen=True, kw_only=True):
    """What a spawn leaves in our hands. ``process`` is the guardian where there is a ``control``, else the child."""

    process: subprocess.Popen[bytes]
    stdin: socket.socket
    control: socket.socket | None
    mark: str


def spawn(spec: ProcessSpec) -> Spawned:
    """Start a child after ``spec``, in a session of its own and with no descriptor but the standard three.

    Raises:
        StartError: the system refused. Under a guardian the program itself is tried later, and refused over ``control``.
    """
    mark = os.urandom(12).hex()
    env = {name: value for name, value in {**_inherited(spec), **spec.env, MARK: mark}.items() if value is not None}
    guarded = spec.guarded and bool(sys.executable) and not getattr(sys, "frozen", False)
    program = _program(spec, env)
    try:
        with ExitStack() as ours, ExitStack() as theirs:
            stdin, its_stdin = _socketpair(ours, theirs)
            stdin.shutdown(socket.SHUT_RD)  # the child can read its stdin, not write to it
            control, keeper = _socketpair(ours, theirs) if guarded else (None, None)
            process = subprocess.Popen(
                _command(spec, keeper, program),
                bufsize=0,
                stdin=its_stdin.fileno(),
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd=spec.cwd,
                env=env,
                pass_fds=() if keeper is None else (keeper.fileno(),),
                start_new_session=True,
            )
            ours.pop_all()
    except (OSError, ValueError) as error:
        raise _not_spawned(spec, error) from error
    return Spawned(process=process, stdin=stdin, control=control, mark=mark)


def signal_group(leader: int, number: signal.Signals) -> None:
    """Signal the group that ``leader`` leads. Only before the leader is reaped: later the number may be another's."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, number)


def refusal(spec: ProcessSpec, number: int) -> StartError:
    """Return the error for a program that could not be executed."""
    program = spec.argv[0]
    if number not in _BAD_BINARY:
        return StartError(f"cannot start {program!r}: {os.strerror(number)}")
    if number == errno.ENOENT and "/" in program and Path(program).exists():
        return BinaryNotFoundError(f"cannot start {program!r}: the interpreter that it asks for does not exist")
    return BinaryNotFoundError(f"cannot start {program!r}: {os.strerror(number)}")


def _socketpair(ours: ExitStack, theirs: ExitStack) -> tuple[socket.socket, socket.socket]:
    near, far = socket.socketpair()
    far.setblocking(True)  # whatever socket.setdefaulttimeout says
    return ours.enter_context(near), theirs.enter_context(far)


def _inherited(spec: ProcessSpec) -> Mapping[str, str]:
    wanted = (*_NEEDED, *spec.inherit)
    starts = tuple(name[:-1] for name in wanted if name.endswith("*"))
    return {name: value for name, value in os.environ.items() if name in wanted or name.startswith(starts)}


def _program(spec: ProcessSpec, env: Mapping[str, str]) -> str:
    """Return the path of the program. A bare name is looked up here: exec would also look where PATH says "here"."""
    name = spec.argv[0]
    if "/" in name:
        return os.path.abspath(name)  # noqa: PTH100  as the caller sees it, not as seen from cwd; links stay
    if "\0" in name:
        raise _not_spawned(spec, ValueError("embedded null byte"))
    found = on_path(name, env)
    if found is None:
        raise refusal(spec, errno.ENOENT)
    return found


def _command(spec: ProcessSpec, keeper: socket.socket | None, program: str) -> list[str]:
    arguments = spec.argv[1:]
    if keeper is None:
        return [program, *arguments]
    # -I and -S: nothing in the user's environment can change or slow down the guardian.
    python = [sys.executable, "-I", "-S", str(_GUARDIAN)]
    return [*python, str(keeper.fileno()), str(os.getpid()), "--", program, *arguments]


def _not_spawned(spec: ProcessSpec, error: OSError | ValueError) -> StartError:
    if isinstance(error, ValueError):  # a NUL character in a word
        return StartError(f"cannot start {spec.argv[0]!r}: {error}")
    if spec.cwd is not None and error.filename == spec.cwd:
        return StartError(f"cannot start {spec.argv[0]!r} in {spec.cwd!r}: {error.strerror}")
    if spec.guarded and error.errno != errno.E2BIG:
        return StartError(f"cannot start {spec.argv[0]!r}: its guardian, {sys.executable!r}: {error.strerror}")
    return refusal(spec, error.errno or 0)
