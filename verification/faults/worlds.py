"""What may be odd in the process that a client lives in: other people's signal handlers, reapers, limits and forks.

Each is a function that makes it so, in the client's own process, before the client is opened. None of them belongs to any
client; a program that uses one may contain all of this without knowing.

The one idea: a library does not own its process.
"""

from __future__ import annotations

import gc
import os
import resource
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from verification.faults.history import Called, Event, Heard

if TYPE_CHECKING:
    from verification.faults.job import Log

__all__ = ["WORLDS"]

SCARCITY = 0.4
"""For how many seconds there are no descriptors: less than all restarts of the policy take together."""


def _reap_everybody(_: Log) -> None:
    """A thread takes every child that ends, whoever started it."""

    def reap() -> None:
        while True:
            try:
                os.waitpid(-1, 0)
            except ChildProcessError:
                time.sleep(0.01)

    threading.Thread(target=reap, daemon=True).start()


def _reap_on_sigchld(_: Log) -> None:
    """A handler of SIGCHLD does."""

    def reap(*_: object) -> None:
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass

    signal.signal(signal.SIGCHLD, reap)


def _ignore_sigchld(_: Log) -> None:
    """The system does: nobody ever learns how a child ended."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)


def _die_of_broken_pipes(_: Log) -> None:
    """SIGPIPE kills, as it does in programs that were told to behave like ``cat``."""
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)


def _block_signals(_: Log) -> None:
    """Signals are blocked, as in a program that reads them elsewhere; children inherit that."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM, signal.SIGCHLD, signal.SIGHUP})


def _fork(log: Log) -> None:
    """Workers are forked, by a thread and in the middle of the event loop; each collects its garbage and leaves."""

    def fork() -> None:
        pid = os.fork()
        if pid == 0:
            gc.collect()
            os._exit(0)
        with suppress(ChildProcessError):
            os.waitpid(pid, 0)

    def fork_again_and_again() -> None:
        for _number in range(20):
            fork()
            time.sleep(0.02)

    def tell(event: Event) -> None:
        if isinstance(event, Heard):
            fork()

    log.told.append(tell)
    threading.Thread(target=fork_again_and_again, daemon=True).start()


def _stand_still(_: Log) -> None:
    """Everything here stops for a while, twice, as on a machine that sleeps; a helper wakes it up."""
    me = os.getpid()
    if os.fork() == 0:
        for _number in range(2):
            time.sleep(0.5)
            with suppress(ProcessLookupError):
                os.kill(me, signal.SIGSTOP)
                time.sleep(1.5)
                os.kill(me, signal.SIGCONT)
        os._exit(0)


def _run_out_of_descriptors(log: Log) -> None:
    """As soon as a turn speaks no descriptor can be opened any more, for a while."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)

    def tell(event: Event) -> None:
        if isinstance(event, Heard):
            log.told.remove(tell)
            resource.setrlimit(resource.RLIMIT_NOFILE, (3, limits[1]))
            later = threading.Timer(SCARCITY, resource.setrlimit, (resource.RLIMIT_NOFILE, limits))
            later.daemon = True
            later.start()

    log.told.append(tell)


def _lose_the_folder(_: Log) -> None:
    """The folder that the program was started in is gone."""
    folder = tempfile.mkdtemp()
    os.chdir(folder)
    Path(folder).rmdir()


def _close_the_streams(log: Log) -> None:
    """Nobody gave the program an input, or a place for its complaints: what a client opens first gets their numbers."""

    def tell(event: Event) -> None:
        if isinstance(event, Called):
            log.told.remove(tell)
            os.close(0)
            os.close(2)

    log.told.append(tell)


def _rain_signals(_: Log) -> None:
    """A profiler interrupts whatever is done, two hundred times a second, and wakes the loop each time."""
    signal.signal(signal.SIGALRM, lambda *_: None)
    signal.setitimer(signal.ITIMER_REAL, 0.005, 0.005)


def _hurry_sockets(_: Log) -> None:
    """Every socket that is made gives up after a hundredth of a second, unless it is told otherwise."""
    socket.setdefaulttimeout(0.01)


def _fill_the_environment(_: Log) -> None:
    """Variables that are no text, have lines in them, or are as long as they may be."""
    os.environb[b"NOT_TEXT"] = b"\xff\xfe\x80"
    os.environ["LINES"] = "a\nb=c\n"
    os.environ["LONG"] = "x" * 120_000
    os.environ["PYTHONHOME"] = "/nowhere"
    os.environ["PYTHONSTARTUP"] = "/nowhere"


WORLDS: dict[str, Callable[[Log], None]] = {
    "a thread reaps all children": _reap_everybody,
    "a handler of SIGCHLD reaps all children": _reap_on_sigchld,
    "SIGCHLD is ignored": _ignore_sigchld,
    "SIGPIPE kills": _die_of_broken_pipes,
    "signals are blocked": _block_signals,
    "workers are forked": _fork,
    "the process stands still": _stand_still,
    "descriptors run out": _run_out_of_descriptors,
    "signals rain down": _rain_signals,
    "sockets are in a hurry": _hurry_sockets,
    "the environment is odd": _fill_the_environment,
    "the folder is gone": _lose_the_folder,
    "the standard streams are closed": _close_the_streams,
}
