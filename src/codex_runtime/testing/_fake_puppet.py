"""The program that plays the app server as a real process: its pipes are real, its mind is in the test.

Run as a file, with the standard library only: ``python -I -S _fake_puppet.py HOST:PORT TOKEN [anything]``. It hands what
it reads to the fake that listens there and does what that says: write, die, close stdout, ignore SIGTERM. It decides only
one thing itself: when the fake is gone, it leaves at the end of stdin, as the real server does.

The one idea: one thread, one loop, blocking writes. A client that does not read stops this program just as it would stop
the real one.
"""

from __future__ import annotations

import json
import os
import resource
import select
import signal
import socket
import struct
import subprocess
import sys
from typing import NoReturn

HEAD = struct.Struct("!cI")
READ_SIZE = 64 * 1024
VERSION = "codex-cli 0.163.0"
SLEEPER = "import sys, time; time.sleep(float(sys.argv[1]))"


class Puppet:
    """One process, on its strings."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._watched: list[int] = [0, control.fileno()]
        self._orders = bytearray()
        self._is_stubborn = False

    def run(self) -> NoReturn:
        """Live until something ends it."""
        while True:
            if not self._watched:
                signal.pause()  # only a signal is left that could mean anything
                continue
            ready, _, _ = select.select(self._watched, [], [])
            if self._control.fileno() in ready:
                self._take_orders()
            if 0 in ready and 0 in self._watched:
                self._take_input()

    def tell(self, kind: bytes, payload: bytes) -> None:
        """Tell the fake something. It may be gone."""
        try:
            self._control.sendall(HEAD.pack(kind, len(payload)) + payload)
        except OSError:
            self._forget(self._control.fileno())

    def _take_input(self) -> None:
        data = os.read(0, READ_SIZE)
        if data:
            self.tell(b"I", data)
            return
        self._forget(0)
        if self._is_stubborn:
            return
        if self._control.fileno() in self._watched:
            self.tell(b"F", b"")  # all that was written is answered first; then comes the order to leave
        else:
            os._exit(0)

    def _take_orders(self) -> None:
        try:
            data = self._control.recv(READ_SIZE)
        except OSError:
            data = b""
        if not data:
            self._forget(self._control.fileno())
            if 0 not in self._watched and not self._is_stubborn:
                os._exit(0)
        self._orders += data
        while len(self._orders) >= HEAD.size:
            kind, size = HEAD.unpack_from(self._orders)
            if len(self._orders) < HEAD.size + size:
                return
            payload = bytes(self._orders[HEAD.size : HEAD.size + size])
            del self._orders[: HEAD.size + size]
            self._obey(kind, payload)

    def _obey(self, kind: bytes, payload: bytes) -> None:
        match kind:
            case b"O":
                _write(1, payload)
            case b"E":
                _write(2, payload)
            case b"X":
                os._exit(int(payload))
            case b"K":
                _kill_self(int(payload))
            case b"C":
                os.close(1)
            case b"S":
                self._forget(0)
            case b"T":
                self._is_stubborn = True
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
            case b"G":
                self.tell(b"G", str(_grandchild(json.loads(payload))).encode())

    def _forget(self, descriptor: int) -> None:
        if descriptor in self._watched:
            self._watched.remove(descriptor)


def _write(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    try:
        while view:
            view = view[os.write(descriptor, view) :]
    except OSError:
        os._exit(1)  # nobody listens


def _kill_self(number: int) -> None:
    if number not in (signal.SIGKILL, signal.SIGSTOP):
        signal.signal(number, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.kill(os.getpid(), number)


def _grandchild(wanted: dict[str, float]) -> int:
    return subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", SLEEPER, str(wanted["seconds"])],
        stdin=subprocess.DEVNULL,
        stdout=None if wanted["holds_stdout"] else subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=bool(wanted["detached"]),
    ).pid


def main(address: str, token: str, *rest: str) -> NoReturn:
    """Reach the fake and do as it says."""
    if "--version" in rest:
        _write(1, VERSION.encode() + b"\n")
        os._exit(0)
    host, _, port = address.rpartition(":")
    control = socket.create_connection((host, int(port)))
    control.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    puppet = Puppet(control)
    puppet.tell(b"H", json.dumps({"token": token, "pid": os.getpid(), "args": rest}).encode())
    puppet.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
