"""One message from the wire, stamped: the value that everything after the pipe works with.

A line is decoded once, shallowly and typed: the method, the ids and the text of a delta come out of the same pass; the
rest of the line stays as bytes until somebody asks. :attr:`Envelope.message` and :attr:`Envelope.event` decode on use
and keep nothing, so a subscriber that only counts or forwards pays for neither.

Nothing that the server writes makes this file raise. What is not a message becomes an envelope with a ``fault``.

Envelopes are shared between all subscribers and are read-only by contract. They are not frozen structs because the
stamp is written after the decoder built them, and a frozen struct would make that the dearest step of the road.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal, TypeAlias, final

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType, field

__all__ = [
    "Direction",
    "Envelope",
    "Fault",
    "JsonValue",
    "Kind",
    "Params",
    "Ref",
    "RpcId",
    "Stamp",
    "decode_lines",
    "params_of",
    "stamp_outbound",
]

JsonValue: TypeAlias = Any  # The edge: a decoded JSON document has no narrower type.
RpcId: TypeAlias = int | str
Kind: TypeAlias = Literal["response", "server_request", "notification", "request", "answer", "unknown", "unusable"]
Direction: TypeAlias = Literal["inbound", "outbound"]

ABSENT = Raw(b"")
DECODE_ERRORS = (msgspec.MsgspecError, TypeError, ValueError, RecursionError)


class Ref(Struct, gc=False, frozen=True):
    """What the shallow pass reads of a nested thread, turn or item."""

    id: str | None = None
    type: str | None = None


class Params(Struct, gc=False, frozen=True, rename="camel"):
    """What the shallow pass reads of ``params``: ids and the text of a delta."""

    thread_id: str | None = None
    turn_id: str | None = None
    item_id: str | None = None
    delta: str | None = None
    item: Ref | None = None
    turn: Ref | None = None
    thread: Ref | None = None


NO_PARAMS = Params()


class Stamp(Struct, gc=False, frozen=True):
    """What all messages of one read have in common.

    ``generation`` counts the app servers of a runtime from 0. ``at`` is Unix time in seconds, ``monotonic`` the loop's
    clock; both are taken once per read.
    """

    generation: int
    at: float
    monotonic: float
    direction: Direction = "inbound"


NO_STAMP = Stamp(0, 0.0, 0.0)


@final
class Fault:
    """Why a line could not be used. ``size`` is its length in bytes; of an over-long line only the head is kept.

    Not a struct, so that no message can be decoded into one.
    """

    __slots__ = ("reason", "size")

    def __init__(self, reason: Literal["too_long", "not_json", "not_a_message"], size: int) -> None:
        self.reason = reason
        self.size = size

    def __repr__(self) -> str:
        """Name both."""
        return f"Fault({self.reason!r}, {self.size})"


class Envelope(Struct, gc=False, eq=False):
    """One message, with its place in the order of this runtime. Read-only.

    ``seq`` rises by one for every stamped message, across generations. ``raw`` is the line as it came, ``shallow`` what
    the first pass read of it. The fields named ``~`` are ours: what a server sends under these names is overwritten or
    refused.
    """

    method: str | None = None
    shallow: Params = field(default=NO_PARAMS, name="params")
    rpc_id: int | str | UnsetType | None = field(default=UNSET, name="id")
    result: Raw = field(default=ABSENT, name="result")
    error: Raw = field(default=ABSENT, name="error")
    raw: bytes = field(default=b"", name="~raw")
    seq: int = field(default=0, name="~seq")
    stamp: Stamp = field(default=NO_STAMP, name="~stamp")
    fault: Fault | None = field(default=None, name="~fault")

    @property
    def generation(self) -> int:
        """Which app server of this runtime it came from or went to, from 0."""
        return self.stamp.generation

    @property
    def at(self) -> float:
        """When it was read or written, Unix time in seconds."""
        return self.stamp.at

    @property
    def monotonic(self) -> float:
        """When it was read or written, on the clock of the event loop."""
        return self.stamp.monotonic

    @property
    def direction(self) -> Direction:
        """``"inbound"`` from the server, ``"outbound"`` from us."""
        return self.stamp.direction

    @property
    def refused(self) -> bool:
        """True for a response that holds an error (``"error": null`` beside a result is none)."""
        return bool(bytes(self.error)) and bytes(self.error) != b"null"

    @property
    def kind(self) -> Kind:
        """What sort of message it is, told from which of ``id``, ``method``, ``result``, ``error`` are there."""
        if self.fault is not None:
            return "unusable"
        if self.rpc_id is UNSET:
            return "unknown" if self.method is None else "notification"
        if self.rpc_id is None:
            return "unknown"
        inbound = self.stamp.direction == "inbound"
        if self.method is not None:
            return "server_request" if inbound else "request"
        if self.result is ABSENT and self.error is ABSENT:
            return "unknown"
        return "response" if inbound else "answer"

    @property
    def thread_id(self) -> str | None:
        """The thread that it belongs to, if it names one."""
        params = self.shallow
        return _canonical(params.thread_id) or _canonical_of(params.thread) or self._deep("thread")

    @property
    def turn_id(self) -> str | None:
        """The turn that it belongs to, if it names one."""
        params = self.shallow
        return _canonical(params.turn_id) or _canonical_of(params.turn) or self._deep("turn")

    @property
    def item_id(self) -> str | None:
        """The item that it belongs to, if it names one."""
        params = self.shallow
        return _canonical(params.item_id) or _canonical_of(params.item) or self._deep("item")

    @property
    def message(self) -> JsonValue:
        """The whole message as plain JSON values, decoded on each use. ``None`` where it cannot be."""
        if self.fault is not None:
            return None
        try:
            return loads(self.raw)
        except DECODE_ERRORS:
            # The shallow pass skips over what it does not need, so a line can be good there and broken in its depth.
            return None

    @property
    def params(self) -> JsonValue:
        """The parameters as plain JSON values, decoded on each use; ``None`` if there are none."""
        message = self.message
        return message.get("params") if isinstance(message, dict) else None

    @property
    def event(self) -> object:
        """The parameters as the protocol's own type, decoded on each use.

        A method that this version does not know gives :class:`~codex_runtime.protocol.UnknownMessage`; a response
        gives ``None``, since only the one who asked knows its type.
        """
        if self.method is None or self.fault is not None:
            return None
        from codex_runtime.protocol import _registry  # only those who ask for types pay for them

        return _registry.decode_message(self.raw)

    def _deep(self, noun: str) -> str | None:
        """Look for an id in the places that only responses use. Rare, so it decodes the whole line."""
        if self.method is not None or self.fault is not None:
            return None
        message = self.message
        if not isinstance(message, dict):
            return None
        error = message.get("error")
        for root in (message.get("result"), error.get("data") if isinstance(error, dict) else None, message):
            if isinstance(root, dict) and (found := _id_in(root, noun)):
                return found
        return None

    def __repr__(self) -> str:
        """Show the place and the name, never the payload."""
        return f"<Envelope {self.seq} {self.kind} {self.method or ''} {self.direction}>"


_decode = msgspec.json.Decoder(Envelope).decode
_any = msgspec.json.Decoder().decode


def decode_lines(
    lines: Sequence[bytes | Fault], first_seq: int, stamp: Stamp
) -> tuple[list[Envelope], list[Envelope] | None]:
    """Turn the lines of one read into stamped envelopes.

    Returns all of them, in order, and those that have an id or a fault (``None`` when there are none, which is the
    common case). Empty lines vanish and take no number.
    """
    envelopes: list[Envelope]
    try:
        # To map costs less for each line, and more for a single one.
        envelopes = list(map(_decode, lines)) if len(lines) > 1 else [_decode(line) for line in lines]  # type: ignore[arg-type]  # a Fault raises TypeError: the slow road
    except DECODE_ERRORS:
        pairs = [(_decode_odd(line), line) for line in lines if not (isinstance(line, bytes) and line.isspace())]
        envelopes = [envelope for envelope, _ in pairs]
        lines = [line for _, line in pairs]
    special: list[Envelope] | None = None
    seq, unset = first_seq, UNSET
    # Every instruction of this loop is paid once per event; the length is the same by construction.
    for envelope, line in zip(envelopes, lines):  # noqa: B905
        envelope.seq = seq
        envelope.stamp = stamp
        envelope.raw = line  # type: ignore[assignment]  # a Fault is put right below
        seq += 1
        if envelope.rpc_id is not unset or envelope.method is None:
            if envelope.fault is not None and not isinstance(line, bytes):
                envelope.raw = b""
            if special is None:
                special = []
            special.append(envelope)
    return envelopes, special


def stamp_outbound(line: bytes, seq: int, stamp: Stamp) -> Envelope:
    """Turn a line that we wrote into an envelope."""
    envelope = _decode_odd(line)
    envelope.raw, envelope.seq, envelope.stamp = line, seq, stamp
    return envelope


def _decode_odd(line: bytes | Fault) -> Envelope:
    """Decode one line of a read that did not decode as a whole."""
    if not isinstance(line, bytes):
        return Envelope(fault=line)
    try:
        return _decode(line)
    except DECODE_ERRORS:
        return _decode_untyped(line)


def _decode_untyped(line: bytes) -> Envelope:
    """Make the best of a line that is JSON but not of the expected types."""
    try:
        message = loads(line)
    except DECODE_ERRORS:
        return Envelope(fault=Fault("not_json", len(line)))
    if not isinstance(message, dict):
        return Envelope(fault=Fault("not_a_message", len(line)))
    method = message.get("method")
    rpc_id: int | str | UnsetType | None = UNSET
    if "id" in message:
        value = message["id"]
        # bool is an int to Python, not to JSON-RPC.
        rpc_id = value if isinstance(value, (int, str)) and not isinstance(value, bool) else None
    return Envelope(
        method=method if isinstance(method, str) else None,
        shallow=_shallow(message.get("params")),
        rpc_id=rpc_id,
        result=_raw(message, "result"),
        error=_raw(message, "error"),
    )


def _shallow(params: JsonValue) -> Params:
    if not isinstance(params, dict):
        return NO_PARAMS
    return Params(
        thread_id=_text(params.get("threadId")),
        turn_id=_text(params.get("turnId")),
        item_id=_text(params.get("itemId")),
        delta=_text(params.get("delta")),
        item=_ref(params.get("item")),
        turn=_ref(params.get("turn")),
        thread=_ref(params.get("thread")),
    )


def _ref(value: JsonValue) -> Ref | None:
    return Ref(_text(value.get("id")), _text(value.get("type"))) if isinstance(value, dict) else None


def _text(value: JsonValue) -> str | None:
    return value if isinstance(value, str) else None


def _raw(message: dict[str, JsonValue], key: str) -> Raw:
    if key not in message:
        return ABSENT
    import json  # for lines that no server of today writes

    return Raw(json.dumps(message[key]).encode())


def params_of(envelope: Envelope) -> dict[str, JsonValue]:
    """Decode the parameters of a message in full; empty if there are none, or none that can be read."""
    params = envelope.params
    return params if isinstance(params, dict) else {}


def _canonical(value: str | None) -> str | None:
    return value if value and value == value.strip() else None


def _canonical_of(ref: Ref | None) -> str | None:
    return None if ref is None else _canonical(ref.id)


def _id_in(root: dict[str, JsonValue], noun: str) -> str | None:
    params = root.get("params")
    for place in (root, params if isinstance(params, dict) else {}):
        nested = place.get(noun)
        candidates: Iterable[JsonValue] = (
            place.get(f"{noun}Id"),
            nested.get("id") if isinstance(nested, dict) else None,
        )
        for value in candidates:
            if isinstance(value, str) and (found := _canonical(value)):
                return found
    return None


def loads(raw: bytes | Raw) -> JsonValue:
    """Decode JSON that may hold what strict decoders refuse: lone surrogates, broken UTF-8, huge numbers.

    Raises ``ValueError`` or ``RecursionError`` if it is no JSON even so.
    """
    try:
        return _any(raw)
    except DECODE_ERRORS:
        import json  # for lines that no server of today writes

        return json.loads(bytes(raw).decode("utf-8", "surrogateescape"), parse_int=_number)


def _number(digits: str) -> int | float:
    # Python refuses to read integers of more than 4300 digits; nobody means them.
    return int(digits) if len(digits) < 1000 else float(digits)  # noqa: PLR2004
