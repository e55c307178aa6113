"""The app server as a child process: move its bytes, notice its end, end it.

On Linux the child runs under a guardian (guardian.py), which sees to it that nothing the child started outlives the child
or us. Elsewhere, or with ``guarded=False``, the child leads a process group and the group is all that is ended.

This file knows bytes and signals, never lines, JSON or when to start again. It has no task and no thread of its own:
everything is a callback of the event loop.

The one idea: the pipes never decide. The end of stdout means that there is nothing more to hear, a failed write means
nothing at all; only the death of the process that we started ends a :class:`ChildProcess`. All ways to get there are
rungs of one ladder (:class:`Rung`), which is climbed by timers, upwards only.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import socket
from contextlib import suppress
from enum import IntEnum
from typing import TYPE_CHECKING

from codex_runtime._io.exit_watch import ExitWatch, watch_exit
from codex_runtime._io.outbox import Outbox, require_owner
from codex_runtime._io.spawn import Graces, ProcessSpec, Spawned, refusal, signal_group, spawn
from codex_runtime._io.stderr_tail import StderrTail
from codex_runtime._io.survivors import kill_marked
from codex_runtime._sansio.restart import Exit
from codex_runtime.errors import StartError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from codex_runtime._io.transport import Receiver

__all__ = ["ChildProcess", "Graces", "ProcessLauncher", "ProcessSpec", "Rung"]

# The guardian's words, and the start that it could not bring about for reasons of its own.
_TERMINATE, _KILL = b"T", b"K"
_GUARDIAN_FAILED = 0

# Larger reads are slower: the objects made of one chunk no longer fit the processor's cache.
_READ_SIZE = 64 * 1024
_PIPE_SIZE = 256 * 1024
_UNKNOWN_CAPACITY = 1024 * 1024

# Processes may fork while they are swept; each round is one look at the process table.
_SWEEP_ROUNDS = 20
_SWEEP_PAUSE = 0.005
# For a killed guardian to be seen dead. Then the end is told even if the system still holds the process.
_LAST_GRACE = 0.25


class Rung(IntEnum):
    """The ladder on which a child is ended. Each rung has its grace before the next is climbed."""

    UNTOUCHED = 0
    HANG_UP = 1  # end of stdin: a healthy app server leaves
    TERMINATE = 2  # SIGTERM
    KILL = 3  # SIGKILL for it and everything that it started
    CUT = 4  # SIGKILL for the guardian, which takes the child along
    GONE = 5  # it is dead, or so stuck in the kernel that nobody can wait for it


class ProcessLauncher:
    """Starts app servers after one spec."""

    def __init__(self, spec: ProcessSpec) -> None:
        self._spec = spec

    async def launch(self, receiver: Receiver, /) -> ChildProcess:
        """Start the child; ``receiver`` hears from it only after this has returned.

        Raises:
            BinaryNotFoundError: ``argv[0]`` does not exist or cannot be executed.
            StartError: the working directory is wrong, or the system refused.
        """
        child = ChildProcess(spawn(self._spec), self._spec)
        try:
            refused = await child.started()
        except BaseException:
            await child.discard()
            raise
        if refused is None:
            child.open(receiver)
            return child
        end = await child.discard()
        if refused == _GUARDIAN_FAILED:
            raise StartError(f"cannot start {self._spec.argv[0]!r}: its guardian failed: {end.stderr_tail.strip()}")
        raise refusal(self._spec, refused)


class ChildProcess:
    """One running app server; a :class:`~codex_runtime._io.transport.Transport`."""

    def __init__(self, spawned: Spawned, spec: ProcessSpec) -> None:
        process = spawned.process
        assert process.stdout is not None  # noqa: S101  spawn asks for both pipes
        assert process.stderr is not None  # noqa: S101
        self._owner = os.getpid()
        self._loop = loop = asyncio.get_running_loop()
        self._graces = spec.graces
        self._mark = spawned.mark
        self._process = process
        self._stdout = process.stdout.fileno()
        self._stderr = process.stderr.fileno()
        self._control = control = spawned.control
        self._outbox = Outbox(spawned.stdin, loop)
        self._tail = StderrTail(spec.stderr_tail_bytes)
        self._pid = process.pid if control is None else None
        self._receiver: Receiver | None = None
        self._deliver: Callable[[bytes], None]  # to the receiver; reading starts with one
        self._reading = False
        self._at_end = False  # of stdout
        self._rung = Rung.UNTOUCHED
        self._timer: asyncio.TimerHandle | None = None
        self._told: int | None = None  # wait status, as the guardian tells it
        self._swept = False  # so it says
        self._started: asyncio.Future[int | None] = loop.create_future()
        self._ended: asyncio.Future[Exit] = loop.create_future()
        self._watch: ExitWatch | None = None
        os.set_blocking(self._stdout, False)
        os.set_blocking(self._stderr, False)
        with suppress(AttributeError, OSError):  # not Linux, or over the user's limit: the default size will do
            fcntl.fcntl(self._stdout, fcntl.F_SETPIPE_SZ, _PIPE_SIZE)
        loop.add_reader(self._stderr, self._read_stderr)
        if control is None:
            self._started.set_result(None)
        else:
            control.setblocking(False)
            loop.add_reader(control, self._read_control)

    # --- the transport ---

    @property
    def pid(self) -> int | None:
        """The app server's own process id."""
        return self._pid

    @property
    def unsent(self) -> int:
        """Bytes accepted by :meth:`write` and not yet taken by the system."""
        return self._outbox.unsent

    def write(self, data: bytes) -> None:
        """Send ``data`` after everything before it; dropped after the loss."""
        self._outbox.write(data)

    async def drain(self) -> None:
        """Wait until ``unsent`` is below the low-water mark, or nothing can be sent any more."""
        await self._outbox.drain()

    def pause_reading(self) -> None:
        """Leave stdout unread: the child waits once its pipe is full. What is in the pipe at its end is delivered."""
        if self._reading:
            self._reading = False
            self._loop.remove_reader(self._stdout)

    def resume_reading(self) -> None:
        """Read stdout again."""
        if not (self._reading or self._at_end):
            self._reading = True
            self._loop.add_reader(self._stdout, self._read_stdout)

    def stderr_tail(self) -> str:
        """Return the end of what the child wrote to stderr, without control sequences."""
        return self._tail.text()

    def kill(self) -> None:
        """End the child and everything that it started, without waiting for it."""
        require_owner(self._owner)
        self._climb(Rung.KILL)

    async def aclose(self) -> Exit:
        """Climb the ladder and return how the child ended. Takes the sum of the graces at most, and a little."""
        require_owner(self._owner)
        self._climb(Rung.HANG_UP)
        return await asyncio.shield(self._ended)

    # --- the start, for the launcher ---

    async def started(self) -> int | None:
        """Wait until the program runs (``None``) or is known not to (the errno, or 0 if the guardian failed)."""
        return await self._started

    def open(self, receiver: Receiver) -> None:
        """Begin to deliver to ``receiver``."""
        self._receiver = receiver
        self._deliver = receiver.data_received
        self.resume_reading()
        self._watch = watch_exit(self._process.pid, self._loop, self._on_exit)

    async def discard(self) -> Exit:
        """End a child that nobody was told of."""
        self._climb(Rung.KILL)
        self._watch = watch_exit(self._process.pid, self._loop, self._on_exit)
        return await asyncio.shield(self._ended)

    # --- what the descriptors say ---

    def _read_stdout(self) -> None:
        try:
            data = os.read(self._stdout, _READ_SIZE)
        except BlockingIOError:
            return
        if data:
            self._outbox.sent_one = False
            self._deliver(data)
        else:
            self.pause_reading()
            self._at_end = True
            self._climb(Rung.HANG_UP)  # dead, dying or of no more use

    def _read_stderr(self) -> None:
        with suppress(BlockingIOError):
            data = os.read(self._stderr, _READ_SIZE)
            self._tail.feed(data)
            if not data:
                self._loop.remove_reader(self._stderr)

    def _read_control(self) -> None:
        assert self._control is not None  # noqa: S101
        try:
            data = self._control.recv(4096)
        except BlockingIOError:
            return
        except ConnectionError:
            data = b""
        if not data:
            self._loop.remove_reader(self._control)
            self._note_start(_GUARDIAN_FAILED)
        for line in data.splitlines():  # each was written at once, and is too short to be cut
            word, _, number = line.partition(b" ")
            if word == b"pid":
                self._pid = int(number)
                self._note_start(None)
            elif word == b"errno":
                self._note_start(int(number))
            elif word == b"status":
                self._told = int(number)
                self._climb(Rung.KILL)  # the child is dead: bound the time for what it left behind
            elif word == b"swept":
                self._swept = True

    def _note_start(self, refused: int | None) -> None:
        if not self._started.done():
            self._started.set_result(refused)

    # --- the end ---

    def _climb(self, rung: Rung) -> None:
        if rung <= self._rung:
            return
        self._rung = rung
        self._cancel_timer()
        match rung:
            case Rung.HANG_UP:
                self._outbox.finish()
                grace = self._graces.stdin_close
            case Rung.TERMINATE:
                self._order(_TERMINATE, signal.SIGTERM, signal.SIGCONT)
                grace = self._graces.terminate
            case Rung.KILL:
                self._outbox.abandon()  # open still: at the end of its stdin the child might leave as if all were well
                self._order(_KILL, signal.SIGKILL)
                grace = self._graces.kill
            case Rung.CUT:
                signal_group(self._process.pid, signal.SIGKILL)
                grace = _LAST_GRACE
            case _:
                self._stop_watching()
                self._sweep(None, _SWEEP_ROUNDS)
                return
        self._timer = self._loop.call_later(grace, self._climb, Rung(rung + 1))

    def _order(self, word: bytes, *numbers: signal.Signals) -> None:
        """Have the guardian do it, or do it to the group."""
        if self._control is None:
            for number in numbers:
                signal_group(self._process.pid, number)
            return
        with suppress(OSError):  # it is gone, or stopped: the next rung will help
            self._control.send(word, getattr(socket, "MSG_NOSIGNAL", 0))

    def _on_exit(self) -> None:
        """What we started is a zombie now: until it is reaped, its pid and its group are still its own."""
        self._rung = Rung.GONE
        self._stop_watching()
        if self._control is None:
            signal_group(self._process.pid, signal.SIGKILL)
        else:
            self._read_control()
        reaped = self._reap()
        status = reaped if self._told is None else self._told
        if self._swept:
            self._finish(status)
        else:
            self._sweep(status, _SWEEP_ROUNDS)

    def _stop_watching(self) -> None:
        self._cancel_timer()
        if self._watch is not None:
            self._watch.close()

    def _reap(self) -> int | None:
        assert self._watch is not None  # noqa: S101
        status = self._watch.reap()
        # Popen must neither wait nor complain; it takes 0 for the status of a child that somebody else has reaped.
        self._process.returncode = 0 if status is None else os.waitstatus_to_exitcode(status)
        return status

    def _sweep(self, status: int | None, rounds: int) -> None:
        """Do the work of a guardian that could not, until one look finds nobody."""
        if kill_marked(self._mark) and rounds:
            self._loop.call_later(_SWEEP_PAUSE, self._sweep, status, rounds - 1)
        else:
            self._finish(status)

    def _finish(self, status: int | None) -> None:
        try:
            self._take_the_rest()
        finally:  # a receiver that fails on the last chunk must not keep the end from being told
            self._outbox.close()
            for stream in (self._process.stdout, self._process.stderr, self._control):
                if stream is not None:
                    self._loop.remove_reader(stream)
                    stream.close()
            end = _exit(status, self._tail.text())
            self._ended.set_result(end)
            receiver, self._receiver, self._watch = self._receiver, None, None  # who know us: no circle is left
            if receiver is not None:
                del self._deliver
                receiver.connection_lost(end)

    def _take_the_rest(self) -> None:
        """Take what the pipes still hold, also while reading is paused."""
        self.pause_reading()
        for data in _contents(self._stderr):
            self._tail.feed(data)
        if self._receiver is not None and not self._at_end:
            self._at_end = True
            for data in _contents(self._stdout):
                self._receiver.data_received(data)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()


def _contents(pipe: int) -> Iterator[bytes]:
    """Read at most what the pipe can hold.

    All that the child wrote is in there, ahead of what a survivor may still be writing: so this is all, and it ends.
    """
    try:
        left = fcntl.fcntl(pipe, fcntl.F_GETPIPE_SZ)
    except (AttributeError, OSError):
        left = _UNKNOWN_CAPACITY
    while left > 0:
        try:
            data = os.read(pipe, min(left, _READ_SIZE))
        except BlockingIOError:
            return
        if not data:
            return
        left -= len(data)
        yield data


def _exit(status: int | None, stderr_tail: str) -> Exit:
    if status is None:
        return Exit(stderr_tail=stderr_tail)
    code = os.waitstatus_to_exitcode(status)
    return Exit(code=code, stderr_tail=stderr_tail) if code >= 0 else Exit(signal=-code, stderr_tail=stderr_tail)
