"""What the machine allows: nobody who does more than these can be faster than they are."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Sequence

from benchmarks.contenders import Calls, Meter, Stalled, Streams, Turn, turn_params
from codex_runtime._sansio.envelope import NO_STAMP, decode_lines
from codex_runtime._sansio.framing import LineFramer

__all__ = ["DecodeOnly", "PipeOnly"]

CHUNK = 64 * 1024
PIPE = 256 * 1024
END = b'"method":"turn/completed"'


class PipeOnly:
    """Read the pipe and find the newlines."""

    process: subprocess.Popen[bytes]

    def open(self, command: Sequence[str]) -> None:
        """Start the server; nobody greets it."""
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        assert self.process.stdout is not None
        self.out = self.process.stdout.fileno()
        if sys.platform == "linux":
            fcntl.fcntl(self.out, fcntl.F_SETPIPE_SZ, PIPE)

    def close(self) -> None:
        """End the server."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()

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

    def calls(self, count: int, in_flight: int) -> Calls:
        """Not measured."""
        raise NotImplementedError

    def stalled(self, directive: str, seconds: float) -> Stalled:
        """Not measured."""
        raise NotImplementedError

    def streams(self, count: int, directive: str) -> Streams:
        """Not measured."""
        raise NotImplementedError


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
