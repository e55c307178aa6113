"""Our half of one app-server connection, without the I/O.

Feed it bytes from the server and it returns what they mean; ask it to send something and it returns the bytes to
write. It never reads a clock, never waits, and never raises on anything the *server* did.

A caller that wants an answer leaves a token. The same token comes back beside the response, so this file needs no
future and no task.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Sequence
from itertools import accumulate
from typing import Generic, TypeVar

import msgspec
from msgspec import Raw, Struct

from codex_runtime._sansio.envelope import DECODE_ERRORS, Envelope, JsonValue, RpcId, Stamp, decode_lines
from codex_runtime._sansio.framing import DEFAULT_LINE_LIMIT, LineFramer
from codex_runtime.errors import LocalProtocolError

__all__ = ["MAX_DEPTH", "Peer", "PeerState", "Received", "RefusalBody", "encode", "refusal_of"]

T = TypeVar("T")

# The server drops a message that nests deeper than its own parser goes (128), and answers nothing.
MAX_DEPTH = 120
# Our ids are far smaller; anything longer is no answer to us.
MAX_ID_DIGITS = 18

# As numbers: looking for one byte as bytes makes the interpreter raise and drop an error first.
NEWLINE, RETURN = b"\n\r"

_encode = msgspec.json.Encoder().encode
_ANSWERS = re.compile(rb'\s*\{\s*"id"\s*:\s*(\d{1,18})\s*,\s*"(?:result|error)"')


class PeerState(enum.Enum):
    """Where the connection stands. The order of the greeting cannot be broken."""

    NEW = "new"
    GREETING = "greeting"
    READY = "ready"
    CLOSED = "closed"


class Received(Struct, Generic[T]):
    """What one read meant.

    ``envelopes`` are all messages in wire order. ``answered`` pairs the tokens of our requests with their responses;
    ``asked`` are requests of the server. ``malformed``, ``too_long`` and ``late`` count what could not be used or came
    for nobody.
    """

    envelopes: list[Envelope]
    answered: Sequence[tuple[T, Envelope]] = ()
    asked: Sequence[Envelope] = ()
    malformed: int = 0
    too_long: int = 0
    late: int = 0


class RefusalBody(Struct, frozen=True):
    """The ``error`` of a response, as far as it has the promised shape."""

    code: int = 0
    message: str = "the server gave no reason"
    data: Raw = Raw(b"null")


class Peer(Generic[T]):
    """Sans-IO state of one connection: framing, request ids, correlation, greeting."""

    def __init__(self, *, first_id: int = 1, line_limit: int = DEFAULT_LINE_LIMIT) -> None:
        self.state = PeerState.NEW
        self._framer = LineFramer(line_limit)
        self._next_id = first_id
        self._waiting: dict[int, T] = {}

    @property
    def next_id(self) -> int:
        """The id that the next request will get. Hand it to the next connection, so that ids never repeat."""
        return self._next_id

    @property
    def in_flight(self) -> int:
        """How many requests wait for their answer."""
        return len(self._waiting)

    # -- what we send ----------------------------------------------------------------------------------------------

    def greet(self, params: object, token: T) -> tuple[int, bytes]:
        """Begin the connection: the ``initialize`` request."""
        self._require(PeerState.NEW)
        self.state = PeerState.READY
        greeting = self.request("initialize", params, token)
        self.state = PeerState.GREETING
        return greeting

    def greeted(self) -> bytes:
        """End the greeting: the ``initialized`` notification. Requests may follow."""
        self._require(PeerState.GREETING)
        self.state = PeerState.READY
        return encode({"method": "initialized"})

    def request(self, method: str, params: object, token: T) -> tuple[int, bytes]:
        """Ask for something. Returns the request's id and the bytes to write."""
        if self.state is not PeerState.READY:
            self._require(PeerState.READY)
        request_id = self._next_id
        # The server refuses absent params where it wants an object, so "nothing" is told as an empty one.
        line = encode({"id": request_id, "method": method, "params": {} if params is None else params})
        self._next_id += 1
        self._waiting[request_id] = token
        return request_id, line

    def notify(self, method: str, params: object = None) -> bytes:
        """Tell something that wants no answer."""
        self._require(PeerState.READY)
        return encode({"method": method} if params is None else {"method": method, "params": params})

    def answer(self, rpc_id: RpcId, result: object) -> bytes:
        """Answer a request of the server."""
        return encode({"id": rpc_id, "result": result})

    def refuse(self, rpc_id: RpcId, code: int, message: str, data: object = None) -> bytes:
        """Answer a request of the server with an error."""
        error: dict[str, object] = {"code": code, "message": message}
        if data is not None:
            error["data"] = data
        return encode({"id": rpc_id, "error": error})

    def abandon(self, request_id: int) -> None:
        """Stop waiting for an answer. One that still comes is counted as late."""
        self._waiting.pop(request_id, None)

    def close(self) -> list[T]:
        """End the connection and hand back the tokens that nobody answered."""
        self.state = PeerState.CLOSED
        orphans = list(self._waiting.values())
        self._waiting.clear()
        return orphans

    # -- what we hear ----------------------------------------------------------------------------------------------

    def receive(self, data: bytes, first_seq: int, stamp: Stamp) -> Received[T]:
        """Accept a chunk from the server. ``first_seq`` and ``stamp`` are the caller's, written on as they are."""
        return self._sort(*decode_lines(self._framer.feed(data), first_seq, stamp))

    def finish(self, first_seq: int, stamp: Stamp) -> Received[T]:
        """Accept the end of the stream: a last line without a newline still counts."""
        return self._sort(*decode_lines(self._framer.finish(), first_seq, stamp))

    def _sort(self, envelopes: list[Envelope], special: list[Envelope] | None) -> Received[T]:
        if special is None:
            return Received(envelopes)
        answered: list[tuple[T, Envelope]] = []
        asked: list[Envelope] = []
        received = Received(envelopes, answered, asked)
        for envelope in special:
            match envelope.kind:
                case "response":
                    if (token := self._take(envelope.rpc_id)) is not None:
                        answered.append((token, envelope))
                    else:
                        received.late += 1
                case "server_request":
                    asked.append(envelope)
                case "unusable":
                    if (token := self._take(self._id_in_unusable(envelope, received))) is not None:
                        answered.append((token, envelope))
                case _:
                    received.malformed += 1
                    # No better one follows an answer that holds neither a result nor an error.
                    if (token := self._take(envelope.rpc_id)) is not None:
                        answered.append((token, envelope))
        return received

    def _id_in_unusable(self, envelope: Envelope, received: Received[T]) -> int | None:
        """Count a line that cannot be used. A call whose answer it would have been fails now, not at its deadline."""
        if envelope.fault is not None and envelope.fault.reason == "too_long":
            received.too_long += 1
            envelope.raw = self._framer.heads.pop(0)
        else:
            received.malformed += 1
            if not envelope.raw.endswith(b"\n"):
                return None  # half a line, cut by the end of the stream: its call is lost, not badly answered
        found = _ANSWERS.match(envelope.raw)
        return None if found is None else int(found[1])

    def _take(self, rpc_id: object) -> T | None:
        if type(rpc_id) is int:
            return self._waiting.pop(rpc_id, None)
        if isinstance(rpc_id, str) and rpc_id.isascii() and rpc_id.isdecimal() and len(rpc_id) <= MAX_ID_DIGITS:
            return self._waiting.pop(int(rpc_id), None)
        return None

    def _require(self, state: PeerState) -> None:
        if self.state is not state:
            raise LocalProtocolError(f"the connection is {self.state.value}; this needs it to be {state.value}")


def encode(message: object) -> bytes:
    """Return one line, or raise :class:`LocalProtocolError` for what the server would drop or die of."""
    try:
        line = _encode(message)
    except UnicodeEncodeError:
        problem = "the message holds a lone surrogate, which is not valid UTF-8"
    except RecursionError:
        problem = "the message is nested too deeply or holds itself"
    except (TypeError, ValueError, OverflowError, msgspec.MsgspecError) as error:
        problem = f"the message cannot be written as JSON: {error}"
    else:
        # Each level takes two brackets, and most messages hold fewer of them; only then is the depth worth measuring.
        if len(line) > 2 * MAX_DEPTH and line.count(b"{") + line.count(b"[") > MAX_DEPTH and _depth(line) > MAX_DEPTH:
            raise LocalProtocolError(f"the message is nested deeper than {MAX_DEPTH} levels")
        # Raw values pass through the encoder unread; a newline in one would cut the line in two.
        if NEWLINE in line or RETURN in line:
            line = line.replace(b"\n", b" ").replace(b"\r", b" ")
        return line + b"\n"
    # Out here, so that the error that was found holds on to none of those above: one of them keeps all of the text.
    raise LocalProtocolError(problem)


def refusal_of(envelope: Envelope) -> tuple[int, str, JsonValue]:
    """Read code, message and data of a response's error; odd shapes give a code of 0 and say so."""
    try:
        body = msgspec.json.decode(envelope.error, type=RefusalBody)
        return body.code, body.message, msgspec.json.decode(body.data)
    except DECODE_ERRORS:
        return 0, "the server's error does not have the promised shape", None


# All bytes but brackets, and the step that each bracket takes.
_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_STEPS = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}


def _depth(line: bytes) -> int:
    # A prompt may hold a megabyte of code, so text is not looked at piece by piece: without escaped quotes, every second
    # piece between quotes is text.
    structure = b"".join(line.replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"')[::2])
    return max(accumulate(map(_STEPS.__getitem__, structure.translate(None, _NOT_BRACKETS))), default=0)
