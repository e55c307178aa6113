"""Records what goes over a link, and plays the server's side of it back: a bug report becomes a test.

:class:`Recorder` stands between a runtime and its launcher; :class:`ReplayServer` stands in the launcher's place. Neither
understands a message beyond its method and its id.

The one idea: a recording is lines in the order in which they crossed. Whatever the server wrote is played back as soon as
everything that the client had written before it was written again; ids of requests are exchanged, so a client that
counts differently still gets its answers.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal, TypeAlias, final

from codex_runtime._sansio.envelope import Envelope, Stamp, decode_lines
from codex_runtime._sansio.restart import Exit
from codex_runtime.errors import StartError
from codex_runtime.testing._memory_link import MemoryLink

if TYPE_CHECKING:
    from codex_runtime._io.transport import Launcher, Receiver, Transport

__all__ = ["Entry", "Recorder", "ReplayServer", "load_recording", "replay"]

FORMAT = "codex-runtime recording"
Direction: TypeAlias = Literal["in", "out", "close", "end"]
Json: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One thing that happened on a link, ``t`` seconds after the recording began.

    ``dir`` is ``"in"`` for a line of the server, ``"out"`` for one of the client, ``"close"`` when the client ended the
    server and ``"end"`` when it was gone (``exit`` says how). ``gen`` counts the launches from 0.
    """

    t: float
    gen: int
    dir: Direction
    line: bytes = b""
    exit: Exit | None = None

    def to_json(self) -> str:
        """One line of a recording. Bytes that are no UTF-8 survive."""
        entry: Json = {"t": round(self.t, 6), "gen": self.gen, "dir": self.dir}
        if self.dir in ("in", "out"):
            entry["line"] = self.line.decode("utf-8", "surrogateescape")
        if self.exit is not None:
            entry["exit"] = {"code": self.exit.code, "signal": self.exit.signal, "stderr": self.exit.stderr_tail}
        return json.dumps(entry)

    @classmethod
    def from_json(cls, text: str) -> Entry:
        """Read such a line; raises ``ValueError`` if it is none."""
        entry = json.loads(text)
        if not isinstance(entry, dict) or entry.get("dir") not in ("in", "out", "close", "end"):
            raise ValueError(f"not an entry of a recording: {text[:80]!r}")
        told = entry.get("exit")
        return cls(
            t=float(entry["t"]),
            gen=int(entry.get("gen", 0)),
            dir=entry["dir"],
            line=entry.get("line", "").encode("utf-8", "surrogateescape"),
            exit=Exit(told["code"], told["signal"], told.get("stderr", "")) if told else None,
        )


@final
class Recorder:
    """A launcher that lets another do the work and writes down every line of both directions.

    ``to`` is a list, or a file, which is replaced by the first launch and written to at once after each read or write.
    ``redact`` gets each line as text and returns what is written instead; what it removes cannot come back in a replay.
    Recordings hold everything that was said: treat them like the conversation itself.

    Example::

        recorder = Recorder(launcher, "session.jsonl", redact=lambda line: line.replace(token, "***"))
        async with Runtime(RuntimeConfig(launcher=recorder)) as runtime:
            ...
    """

    def __init__(
        self,
        launcher: Launcher,
        to: str | Path | list[Entry],
        *,
        redact: Callable[[str], str] | None = None,
    ) -> None:
        self._launcher = launcher
        self._entries = to if isinstance(to, list) else None
        self._path = None if isinstance(to, list) else Path(to)
        self._redact = redact
        self._launches = 0
        self._began = time.monotonic()

    async def launch(self, receiver: Receiver, /) -> Transport:
        """Launch, and record from here on."""
        if self._launches == 0:
            self._start()
        tape = _Tape(self._put, gen=self._launches, began=self._began, redact=self._redact)
        link = _RecordedLink(receiver, tape)
        link.inner = await self._launcher.launch(link)
        self._launches += 1
        return link

    def _start(self) -> None:
        self._began = time.monotonic()
        if self._path is not None:
            header = {"format": FORMAT, "version": 1, "at": time.time()}
            self._path.write_text(json.dumps(header) + "\n", encoding="utf-8")

    def _put(self, entries: Iterable[Entry]) -> None:
        if self._entries is not None:
            self._entries.extend(entries)
        elif self._path is not None:
            # Opened each time: a recording that somebody reads while it grows is whole, and nothing is left to close.
            with self._path.open("a", encoding="utf-8") as file:
                _write(file, entries)


def load_recording(source: str | Path | Iterable[Entry]) -> list[Entry]:
    """Read a recording. A last line that was cut off is left out; raises ``ValueError`` for what is no recording."""
    if not isinstance(source, str | Path):
        return list(source)
    header, *lines = Path(source).read_text(encoding="utf-8").split("\n")
    if FORMAT not in header:
        raise ValueError(f"{source} is not a recording")
    # What follows the last newline is empty, or was being written when somebody pulled the plug.
    return [Entry.from_json(line) for line in lines[:-1]]


def replay(source: str | Path | Iterable[Entry]) -> list[Envelope]:
    """Return the recorded messages as envelopes, for whatever folds those: ``seq`` from 0, times of the recording.

    Example: ``inbound = [envelope for envelope in replay("session.jsonl") if envelope.direction == "inbound"]``
    """
    envelopes: list[Envelope] = []
    for entry in load_recording(source):
        if entry.dir in ("in", "out"):
            stamp = Stamp(entry.gen, entry.t, entry.t, "inbound" if entry.dir == "in" else "outbound")
            envelopes += decode_lines([entry.line + b"\n"], len(envelopes), stamp)[0]
    return envelopes


@final
class ReplayServer:
    """A launcher whose servers say what was recorded; the n-th launch plays the n-th of the recording.

    Requests of the client are matched with those of the recording by method and order, notifications likewise, answers
    by the id of what they answer. A server that died by itself dies again, and in the same way; one that the client had
    closed waits to be closed.

    :attr:`missing` is what the recording waits for and :attr:`unexpected` what it has no use for; both are empty after a
    faithful replay.

    Example::

        server = ReplayServer("session.jsonl")
        async with Runtime(RuntimeConfig(launcher=server)) as runtime:
            ...
        assert not server.missing
        assert not server.unexpected
    """

    def __init__(self, source: str | Path | Iterable[Entry], *, chunk: int | None = None) -> None:
        entries = load_recording(source)
        count = max((entry.gen for entry in entries), default=-1) + 1
        self._generations = [[entry for entry in entries if entry.gen == gen] for gen in range(count)]
        self._played: list[_Playback] = []
        self._chunk = chunk

    @property
    def missing(self) -> list[bytes]:
        """Lines of the recording that the client has not written, over all launches so far."""
        return [line for playback in self._played for line in playback.missing]

    @property
    def unexpected(self) -> list[bytes]:
        """Lines that the client has written and the recording does not have, or not yet."""
        return [message.line for playback in self._played for message in playback.waiting]

    async def launch(self, receiver: Receiver, /) -> Transport:
        """Play the next generation; raises :class:`StartError` when the recording has no more."""
        if len(self._played) == len(self._generations):
            raise StartError(f"the recording has only {len(self._generations)} launches")
        link = MemoryLink(receiver, chunk=self._chunk)
        playback = _Playback(self._generations[len(self._played)], link)
        self._played.append(playback)
        link.serve(playback)
        playback.go_on()
        return link


# -- recording -------------------------------------------------------------------------------------------------------


@dataclass(slots=True, kw_only=True)
class _Lines:
    """Bytes of one direction, cut into lines."""

    rest: bytes = b""

    def feed(self, data: bytes) -> list[bytes]:
        *lines, self.rest = (self.rest + data).split(b"\n")
        return lines


class _Tape:
    """Writes the entries of one generation."""

    def __init__(
        self, put: Callable[[Iterable[Entry]], None], *, gen: int, began: float, redact: Callable[[str], str] | None
    ) -> None:
        self._put = put
        self._gen = gen
        self._began = began
        self._redact = redact
        self._directions: dict[Literal["in", "out"], _Lines] = {"in": _Lines(), "out": _Lines()}

    def take(self, direction: Literal["in", "out"], data: bytes) -> None:
        now = time.monotonic() - self._began
        lines = self._directions[direction].feed(data)
        self._put([Entry(t=now, gen=self._gen, dir=direction, line=self._clean(line)) for line in lines])

    def mark(self, what: Literal["close", "end"], exit: Exit | None = None) -> None:  # noqa: A002
        for direction, lines in self._directions.items():
            if what == "end" and lines.rest:
                self.take(direction, b"\n")  # half a line at the end is kept as a line
        self._put([Entry(t=time.monotonic() - self._began, gen=self._gen, dir=what, exit=exit)])

    def _clean(self, line: bytes) -> bytes:
        if self._redact is None:
            return line
        return self._redact(line.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")


class _RecordedLink:
    """A transport and a receiver, between those that it connects."""

    inner: Transport

    def __init__(self, receiver: Receiver, tape: _Tape) -> None:
        self._receiver = receiver
        self._tape = tape
        self._is_closed = False
        self._is_lost = False

    # the receiver's side

    def data_received(self, data: bytes, /) -> None:
        self._tape.take("in", data)
        self._receiver.data_received(data)

    def connection_lost(self, exit: Exit, /) -> None:  # noqa: A002
        self._is_lost = True
        self._tape.mark("end", exit)
        self._receiver.connection_lost(exit)

    # the transport's side

    @property
    def pid(self) -> int | None:
        return self.inner.pid

    @property
    def unsent(self) -> int:
        return self.inner.unsent

    def write(self, data: bytes) -> None:
        if not self._is_lost:
            self._tape.take("out", data)
        self.inner.write(data)

    async def drain(self) -> None:
        await self.inner.drain()

    def pause_reading(self) -> None:
        self.inner.pause_reading()

    def resume_reading(self) -> None:
        self.inner.resume_reading()

    def stderr_tail(self) -> str:
        return self.inner.stderr_tail()

    def kill(self) -> None:
        self._close()
        self.inner.kill()

    async def aclose(self) -> Exit:
        self._close()
        return await self.inner.aclose()

    def _close(self) -> None:
        if not (self._is_closed or self._is_lost):
            self._is_closed = True
            self._tape.mark("close")


def _write(file: IO[str], entries: Iterable[Entry]) -> None:
    file.writelines(entry.to_json() + "\n" for entry in entries)


# -- playing back ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Message:
    """A line, and the little that a replay reads of it: what it is matched by, and its id."""

    line: bytes
    key: tuple[str, object]
    rpc_id: object
    decoded: Json = field(default_factory=dict)

    @classmethod
    def of(cls, line: bytes) -> _Message:
        try:
            decoded = json.loads(line)
        except ValueError:
            decoded = None
        if not isinstance(decoded, dict):
            return cls(line, ("bytes", line), None)
        rpc_id, method = decoded.get("id"), decoded.get("method")
        if method is None:
            return cls(line, ("answer", rpc_id), rpc_id, decoded)
        return cls(line, ("notification" if "id" not in decoded else "request", method), rpc_id, decoded)


class _Playback:
    """One generation of a recording, being played."""

    def __init__(self, entries: list[Entry], link: MemoryLink) -> None:
        self.waiting: list[_Message] = []
        self._entries = entries
        self._link = link
        self._next = 0
        self._ids: dict[object, object] = {}
        self._lines = _Lines()
        self._is_over = False

    @property
    def missing(self) -> list[bytes]:
        return [entry.line for entry in self._entries[self._next :] if entry.dir == "out"]

    def feed(self, data: bytes) -> None:
        self.waiting += map(_Message.of, self._lines.feed(data))
        self.go_on()

    def close(self) -> None:
        self._is_over = True

    def go_on(self) -> None:
        """Play up to the next line that the client has still to write, or to the end."""
        while self._next < len(self._entries) and not self._is_over:
            entry = self._entries[self._next]
            if entry.dir == "close" or (entry.dir == "out" and not self._match(_Message.of(entry.line))):
                return
            self._next += 1
            if entry.dir == "in":
                self._link.send(self._renamed(_Message.of(entry.line)) + b"\n")
            elif entry.exit is not None:
                self._link.end(entry.exit)

    def _match(self, wanted: _Message) -> bool:
        for message in self.waiting:
            if message.key == wanted.key:
                self.waiting.remove(message)
                if wanted.key[0] == "request":
                    self._ids[_hashable(wanted.rpc_id)] = message.rpc_id
                return True
        return False

    def _renamed(self, message: _Message) -> bytes:
        kind, _ = message.key
        actual = self._ids.get(_hashable(message.rpc_id), message.rpc_id)
        if kind != "answer" or actual == message.rpc_id:
            return message.line
        return json.dumps({**message.decoded, "id": actual}, separators=(",", ":")).encode()


def _hashable(rpc_id: object) -> object:
    return rpc_id if isinstance(rpc_id, int | str | None) else repr(rpc_id)
