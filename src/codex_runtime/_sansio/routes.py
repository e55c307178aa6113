"""Group messages that belong together, for whoever writes them down.

Nearly all messages of a busy turn are pieces of the same text: they differ in their number and in their line, and in
nothing else that a log tells about them. :func:`runs_of` finds such stretches once per batch, so that what is the same is
looked up, named and encoded once for each stretch and not for each message.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec import UNSET, Struct

from codex_runtime._sansio.envelope import NO_PARAMS, NO_STAMP, Envelope, Kind, Params, Stamp

__all__ = ["TURN_ENDS", "Route", "runs_of"]

# How a turn ends, in the words of today's server and of those before it.
TURN_ENDS = frozenset({"turn/completed", "turn/failed", "turn/interrupted", "turn/cancelled"})


class Route(Struct, frozen=True, gc=False):
    """All that a log tells about a message beside its number and its line."""

    stamp: Stamp
    kind: Kind
    method: str | None
    thread_id: str | None
    turn_id: str | None
    item_id: str | None

    @property
    def is_decisive(self) -> bool:
        """True for what must not be lost: an answer that we gave, or the end of a turn."""
        return self.kind == "answer" or self.method in TURN_ENDS


class _ErrorData(Struct, frozen=True):
    data: Params = NO_PARAMS


_result_ids = msgspec.json.Decoder(Params).decode
_error_ids = msgspec.json.Decoder(_ErrorData).decode


def runs_of(envelopes: Sequence[Envelope]) -> list[tuple[Route, list[Envelope]]]:
    """Cut a batch into stretches of messages with the same route, in order."""
    runs: list[tuple[Route, list[Envelope]]] = []
    stamp: Stamp = NO_STAMP
    method = thread_id = turn_id = item_id = None
    stretch: list[Envelope] = []
    append = stretch.append
    for envelope in envelopes:
        shallow = envelope.shallow
        if (
            (ours := shallow.item_id) is not None
            and ours == item_id
            and envelope.stamp is stamp
            and envelope.rpc_id is UNSET
            and envelope.method == method
            and shallow.turn_id == turn_id
            and shallow.thread_id == thread_id
        ):
            append(envelope)
            continue
        route = _route_of(envelope)
        stretch = [envelope]
        runs.append((route, stretch))
        append, stamp = stretch.append, route.stamp
        # Only a notification that names all three ids can be told to be alike by looking at them.
        ids = (shallow.thread_id, shallow.turn_id, ours)
        if route.kind == "notification" and None not in ids and ids == (route.thread_id, route.turn_id, route.item_id):
            method, thread_id, turn_id, item_id = route.method, *ids
        else:
            item_id = None
    return runs


def _route_of(envelope: Envelope) -> Route:
    named = envelope
    if envelope.method is None and envelope.fault is None:
        # A response may be huge, so it is not decoded for the sake of its ids.
        named = Envelope(method="", shallow=_ids_of_response(envelope))
    return Route(envelope.stamp, envelope.kind, envelope.method, named.thread_id, named.turn_id, named.item_id)


def _ids_of_response(envelope: Envelope) -> Params:
    result, error = bytes(envelope.result), bytes(envelope.error)
    try:
        if result.startswith(b"{"):
            return _result_ids(result)
        if error.startswith(b"{"):
            return _error_ids(error).data
    except (msgspec.MsgspecError, ValueError, RecursionError):
        pass
    return NO_PARAMS
