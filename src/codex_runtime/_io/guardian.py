"""The program between us and the app server: whatever ends first, nothing outlives it.

Run as a file by a bare interpreter (``python -I -S guardian.py CONTROL PARENT -- PROGRAM ARG...``), Linux only. It starts
PROGRAM on the three standard streams that it was given itself, lets go of them, and waits. When the program ends, when
PARENT dies or when it is told so, it kills every process that descends from it, then ends exactly as the program did.

The one idea: the guardian is a *subreaper*. A process whose parent dies becomes a child of the guardian, whatever
sessions and groups it made for itself. So "no child left to wait for" means "no descendant left", and a direct child
cannot have its pid reused before the guardian has waited for it.

It never copies a byte of traffic, never writes to stderr and imports nothing of this package. It uses no signal handler:
every signal is blocked and read from a descriptor. The ``signal`` module is left out because it costs more start time than
all the rest; the numbers below are those of every Linux that the app server is built for.

CONTROL is a stream socket. Down come single bytes: :data:`TERMINATE` is passed on as SIGTERM, :data:`KILL` and the end of
the stream kill. Up go lines: ``pid N`` once the program runs or ``errno N`` if it could not be run, ``status N`` (as waitpid
gives it) when it has ended, and ``swept`` when nothing of it is left. Without the last one the work is not done.
"""

from __future__ import annotations

import ctypes
import os
import select
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:  # spelt without importing typing
    from collections.abc import Iterator

TERMINATE = b"T"
KILL = b"K"

_SIGHUP, _SIGKILL, _SIGTERM, _SIGCONT = 1, 9, 15, 18
_LAST_SIGNAL = 64
_SIG_SETMASK = 2
_SIGSET_SIZE = 128
_SIGINFO_SIZE = 128
_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_SET_CHILD_SUBREAPER = 36
_MAX_ROUNDS_IN_VAIN = 40

_libc = ctypes.CDLL(None)


class Guardian:
    """Everything that one run knows."""

    def __init__(self, control: int, parent: int) -> None:
        self._control = control
        self._parent = parent
        self._child = 0
        self._status: int | None = None
        self._buried = 0
        self._reported = False
        self._swept = False
        self._terminated = False
        self._over = False
        # Without it, having no child would not mean that there is no descendant.
        self._reaper = _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0
        self._signals = _take_all_signals()
        # Sent when the *thread* that started us ends, so it only makes us look who our parent is.
        _libc.prctl(_PR_SET_PDEATHSIG, _SIGHUP, 0, 0, 0)
        self._parent_watch = _watch(parent)
        self._verdict = -1
        os.set_inheritable(control, False)
        os.set_blocking(control, False)

    def run(self, argv: list[str]) -> None:
        """Start ``argv``, wait for the first reason to end, clean up and end. Does not return."""
        self._start(argv)
        react = {
            self._control: self._on_order,
            self._signals: self._on_signal,
            self._verdict: self._on_verdict,
            self._parent_watch: self._on_parent_gone,
        }
        poll = select.poll()
        for fd in react:
            if fd >= 0:
                poll.register(fd, select.POLLIN)
        patience = None if self._parent_watch >= 0 else 1000
        while not self._over and self._status is None and os.getppid() == self._parent:
            for fd, _ in poll.poll(patience):
                react[fd]()
                if fd == self._verdict:
                    poll.unregister(fd)
                    self._verdict = -1
            self._bury()
        if self._status is not None:
            self._report_end()
        self._sweep()
        self._leave()

    # --- start ---

    def _start(self, argv: list[str]) -> None:
        self._verdict, tell = os.pipe()
        guardian = os.getpid()
        self._child = os.fork()
        if self._child == 0:
            _become(argv, guardian, tell)
        os.close(tell)
        # Let go of the streams: the child's stdin must break, and its stdout must end, when the child does.
        null = os.open(os.devnull, os.O_RDWR)
        for fd in (0, 1, 2):
            os.dup2(null, fd)
        os.close(null)
        os.chdir("/")

    # --- what may happen ---

    def _on_verdict(self) -> None:
        """The pipe out of the child closes when exec succeeds; otherwise the reason comes first."""
        reason = os.read(self._verdict, 16)
        self._report(b"errno %b" % reason if reason else b"pid %d" % self._child)

    def _on_order(self) -> None:
        try:
            orders = os.read(self._control, 16)
        except BlockingIOError:
            return
        except OSError:
            orders = b""
        if not orders or KILL in orders:
            self._over = True
        else:
            self._terminate()

    def _on_signal(self) -> None:
        """Any signal wakes us to look around; only SIGTERM has a meaning of its own, and the second one a stronger one."""
        number = int.from_bytes(os.read(self._signals, _SIGINFO_SIZE)[:4], sys.byteorder)
        if number == _SIGTERM:
            self._over = self._over or self._terminated
            self._terminate()

    def _on_parent_gone(self) -> None:
        self._over = True

    def _terminate(self) -> None:
        self._terminated = True
        if self._status is None:
            os.kill(self._child, _SIGTERM)
            os.kill(self._child, _SIGCONT)  # a stopped process must run to leave in good order

    # --- the end ---

    def _bury(self) -> bool:
        """Wait for every child that has ended. False: there is no child left, so no descendant either."""
        try:
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    return True
                self._buried += 1
                if pid == self._child:
                    self._status = status
        except ChildProcessError:
            return False

    def _sweep(self) -> None:
        """Kill from the top down until nobody is left; whoever loses his parent on the way becomes our child.

        The wait is for SIGCHLD; its limit grows so that a process stuck in the kernel costs next to nothing. Gives up on
        processes that may not be killed (they changed their user).
        """
        pause = 1
        in_vain = 0
        died = select.poll()
        died.register(self._signals, select.POLLIN)
        while self._bury():
            before, self._buried = self._buried, 0
            killed = [_kill_with_group(pid) for pid in _children_of(os.getpid())]
            in_vain = 0 if before or any(killed) else in_vain + 1
            if in_vain == _MAX_ROUNDS_IN_VAIN:
                return
            if died.poll(pause):
                os.read(self._signals, _SIGINFO_SIZE)
            pause = min(2 * pause, 200)
        self._swept = self._reaper

    def _leave(self) -> None:
        if self._status is None:
            os._exit(1)
        self._report_end()
        if self._swept:
            self._report(b"swept")
        if os.WIFSIGNALED(self._status):
            _die_by(os.WTERMSIG(self._status))
        os._exit(os.WEXITSTATUS(self._status))

    def _report_end(self) -> None:
        if self._verdict >= 0:  # both happened at once; the parent hears of the start first
            self._on_verdict()
            self._verdict = -1
        if not self._reported:
            self._reported = True
            self._report(b"status %d" % (self._status or 0))

    def _report(self, line: bytes) -> None:
        try:
            os.write(self._control, line + b"\n")
        except OSError:
            self._over = True  # nobody listens any more


def _take_all_signals() -> int:
    """Block every signal, make each one's disposition the default, and return a descriptor to read them from.

    The child inherits the dispositions: whatever our parent ignored does not matter to it.
    """
    mask = ctypes.create_string_buffer(_SIGSET_SIZE)
    _libc.sigfillset(mask)
    _libc.sigprocmask(_SIG_SETMASK, mask, None)
    for number in range(1, _LAST_SIGNAL + 1):
        _libc.signal(number, None)
    fd: int = _libc.signalfd(-1, mask, 0)
    os.set_inheritable(fd, False)
    return fd


def _watch(pid: int) -> int:
    """Return a descriptor that becomes readable when ``pid`` ends; -1 where the system has no such thing."""
    try:
        return os.pidfd_open(pid)
    except (AttributeError, OSError):
        return -1


def _become(argv: list[str], guardian: int, tell: int) -> None:
    """Turn this process, the fork, into the program. Does not return."""
    try:
        os.setsid()
        _libc.prctl(_PR_SET_PDEATHSIG, _SIGKILL, 0, 0, 0)
        if os.getppid() == guardian:
            _libc.sigprocmask(_SIG_SETMASK, ctypes.create_string_buffer(_SIGSET_SIZE), None)
            os.execvpe(argv[0], argv, _given_environment())  # noqa: S606  no shell is the point
    except OSError as error:
        os.write(tell, b"%d" % (error.errno or 0))
    finally:
        os._exit(127)


def _given_environment() -> dict[bytes, bytes]:
    """Return the environment as we got it: the interpreter may have put LC_CTYPE into its own."""
    with open("/proc/self/environ", "rb") as file:  # noqa: PTH123  pathlib costs start time
        pairs = (entry.partition(b"=") for entry in file.read().split(b"\0"))
        return {name: value for name, mark, value in pairs if name and mark}


def _children_of(parent: int) -> Iterator[int]:
    """Name the direct children of ``parent``, the newest first, each one as soon as it is found.

    A process that keeps forking and leaving is only hit if little time passes between the look and the blow.
    """
    for pid in sorted((int(name) for name in os.listdir("/proc") if name.isdigit()), reverse=True):  # noqa: PTH208
        try:
            with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123
                stat = file.read()
        except OSError:
            continue
        # The second field, a name in brackets, may hold anything; the parent is the second one after it.
        if int(stat.rpartition(b")")[2].split()[1]) == parent:
            yield pid


def _kill_with_group(pid: int) -> bool:
    """Kill a direct child and its process group; False if we may not.

    A group is killed in one step, so its members cannot outrun us by forking. It holds descendants only: the program was
    made a session of its own before it ran, and groups do not reach across sessions.
    """
    group = os.getpgid(pid)
    own = group in (0, os.getpgrp())  # 0: a group that this PID namespace cannot name
    try:
        if not own:
            os.killpg(group, _SIGKILL)
        os.kill(pid, _SIGKILL)
    except PermissionError:
        return False
    return True


def _die_by(number: int) -> None:
    """End by this signal, as the program did, without leaving a core file of our own."""
    mask = ctypes.create_string_buffer(_SIGSET_SIZE)
    _libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    _libc.sigfillset(mask)
    _libc.sigdelset(mask, number)
    _libc.sigprocmask(_SIG_SETMASK, mask, None)
    os.kill(os.getpid(), number)
    os._exit(128 + number)  # a signal whose default is not to end a process


if __name__ == "__main__":
    Guardian(int(sys.argv[1]), int(sys.argv[2])).run(sys.argv[4:])
