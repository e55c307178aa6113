"""Group messages that belong together, for whoever writes them down.

Nearly all messages of a busy turn are pieces of the same text: they differ in their number and in their line, and in
nothing else that a log tells about them. :func:`runs_of` finds such stretches once per batch, so that what is the same is
looked up, named and encoded once for each stretch and not for each message.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import length_hint

import msgspec
from msgspec import UNSET, Struct

from codex_runtime._sansio.envelope import NO_PARAMS, NO_STAMP, Envelope, Kind, Params, Stamp

__all__ = ["Route", "by_thread", "runs_of"]


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
        return self.kind == "answer" or self.method == "turn/completed"


class _ErrorData(Struct, frozen=True):
    data: Params = NO_PARAMS


# Equal to no id.
NOBODY = object()
# How every key begins that names a thread.
THREAD = b'"thread'

_result_ids = msgspec.json.Decoder(Params).decode
_error_ids = msgspec.json.Decoder(_ErrorData).decode


def runs_of(envelopes: Sequence[Envelope]) -> list[tuple[Route, Sequence[Envelope]]]:
    """Cut a batch into stretches of messages with the same route, in order."""
    runs: list[tuple[Route, Sequence[Envelope]]] = []
    rest, size, begin = iter(envelopes), len(envelopes), 0
    route: Route | None = None
    stamp: Stamp = NO_STAMP
    item_id: object = NOBODY
    method = thread_id = turn_id = None
    unset = UNSET
    # Of this loop, the condition alone is paid once per event. Where it is comes from the iterator, for nothing.
    for envelope in rest:
        shallow = envelope.shallow
        if (
            shallow.item_id == item_id
            and envelope.stamp is stamp
            and envelope.method == method
            and shallow.turn_id == turn_id
            and shallow.thread_id == thread_id
            and envelope.rpc_id is unset
        ):
            continue
        here = size - length_hint(rest) - 1
        if route is not None:
            runs.append((route, envelopes[begin:here]))
        begin, route = here, _route_of(envelope)
        stamp = route.stamp
        # Only a notification that names all three ids can be told to be alike by looking at them.
        ids = (shallow.thread_id, shallow.turn_id, shallow.item_id)
        if route.kind == "notification" and None not in ids and ids == (route.thread_id, route.turn_id, route.item_id):
            method, thread_id, turn_id, item_id = route.method, *ids
        else:
            item_id = NOBODY
    if route is not None:
        runs.append((route, envelopes[begin:]))
    return runs


def by_thread(envelopes: Sequence[Envelope]) -> dict[str, list[Envelope]]:
    """Cut a batch into what belongs to each thread, in order; what names none is left out."""
    parts: dict[str, list[Envelope]] = {}
    latest: str | None = None
    part: list[Envelope] = []
    for envelope in envelopes:
        thread_id = envelope.shallow.thread_id
        if not thread_id:
            # A response may be huge, and nearly none is about a thread.
            is_silent = envelope.method is None and THREAD not in envelope.raw
            if is_silent or (thread_id := envelope.thread_id) is None:
                continue
        if thread_id != latest:
            latest = thread_id
            if (found := parts.get(thread_id)) is None:
                found = parts[thread_id] = []
            part = found
        part.append(envelope)
    return parts


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
