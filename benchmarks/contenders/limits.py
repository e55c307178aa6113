"""What the machine allows: nobody who does more than these can be faster than they are."""

from __future__ import annotations

import asyncio
import fcntl
import itertools
import json
import os
import subprocess
import sys
from collections.abc import Sequence

import msgspec

from benchmarks.contenders import PING, TURN_ENDED, Contender, Meter, Turn, turn_params
from benchmarks.contenders.asynchronous import AsyncContender
from codex_runtime._sansio.envelope import NO_STAMP, decode_lines
from codex_runtime._sansio.framing import LineFramer

__all__ = ["DecodeOnly", "LoopOnly", "PipeOnly"]

CHUNK = 64 * 1024
PIPE = 256 * 1024
END = f'"method":"{TURN_ENDED}"'.encode()


def spawn(command: Sequence[str]) -> subprocess.Popen[bytes]:
    """Start the server behind wide pipes."""
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
    if sys.platform == "linux" and process.stdout is not None:
        fcntl.fcntl(process.stdout.fileno(), fcntl.F_SETPIPE_SZ, PIPE)
    return process


def end(process: subprocess.Popen[bytes]) -> None:
    """End the server."""
    assert process.stdin is not None
    process.stdin.close()
    process.wait()
    if process.stdout is not None:
        process.stdout.close()


class PipeOnly(Contender):
    """Read the pipe and find the newlines."""

    process: subprocess.Popen[bytes]

    def open(self, command: Sequence[str]) -> None:
        """Start the server; nobody greets it."""
        self.process = spawn(command)
        assert self.process.stdout is not None
        self.out = self.process.stdout.fileno()

    def close(self) -> None:
        """End the server."""
        end(self.process)

    def _send(self, method: str, params: object) -> None:
        assert self.process.stdin is not None
        message = {"id": 1, "method": method, "params": params}
        os.write(self.process.stdin.fileno(), json.dumps(message).encode() + b"\n")

    def _thread(self) -> str:
        self._send("thread/start", {})
        data = b""
        while data.count(b"\n") < 2:
            data += os.read(self.out, CHUNK)
        return str(json.loads(data.partition(b"\n")[0])["result"]["thread"]["id"])

    def turn(self, directive: str) -> Turn:
        """Read one turn."""
        thread_id = self._thread()
        meter = Meter()
        self._send("turn/start", turn_params(thread_id, directive))
        events = 0
        tail = b""
        while END not in tail:
            data = os.read(self.out, CHUNK)
            events += data.count(b"\n")
            tail = (tail + data)[-1000:]
        return meter.turn(events)


class DecodeOnly(PipeOnly):
    """Split and decode what was read before, as the runtime does, and nothing else."""

    def turn(self, directive: str) -> Turn:
        """Read one turn without a clock, then decode it under one."""
        self._send("turn/start", turn_params(self._thread(), directive))
        chunks: list[bytes] = []
        tail = b""
        while END not in tail:
            chunks.append(os.read(self.out, CHUNK))
            tail = (tail + chunks[-1])[-1000:]
        framer = LineFramer()
        events = 0
        meter = Meter()
        for chunk in chunks:
            events += len(decode_lines(framer.feed(chunk), events, NO_STAMP)[0])
        return meter.turn(events)


class LoopOnly(AsyncContender[None]):
    """Requests and nothing else: a future for each, one write, one read. No deadline, no limit, no metrics, no order."""

    process: subprocess.Popen[bytes]

    async def connect(self, command: Sequence[str]) -> None:
        """Start the server; nobody greets it."""
        self.process = spawn(command)
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.into, self.out = self.process.stdin.fileno(), self.process.stdout.fileno()
        self.ids = itertools.count(1)
        self.pending: dict[int, asyncio.Future[object]] = {}
        self.tail = b""
        asyncio.get_running_loop().add_reader(self.out, self._read)

    async def disconnect(self) -> None:
        """End the server."""
        asyncio.get_running_loop().remove_reader(self.out)
        end(self.process)

    async def call(self) -> object:
        """Make one request and decode its result."""
        request_id = next(self.ids)
        future = self.pending[request_id] = asyncio.get_running_loop().create_future()
        os.write(self.into, msgspec.json.encode({"id": request_id, "method": "bench/ping", "params": PING}) + b"\n")
        return await future

    def _read(self) -> None:
        *lines, self.tail = (self.tail + os.read(self.out, CHUNK)).split(b"\n")
        for line in lines:
            message = msgspec.json.decode(line)
            self.pending.pop(message["id"]).set_result(message["result"])
