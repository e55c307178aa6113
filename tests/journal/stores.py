"""Journals to write and to read without a runtime."""

from __future__ import annotations

import base64
import random
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from codex_runtime._sansio.envelope import Envelope, Stamp, decode_lines
from codex_runtime.journal._reader import Reader
from codex_runtime.journal._segment import Segment, Wanted, segments_of
from codex_runtime.journal._store import Retention, Writer

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

    from codex_runtime.journal import Entry

KEEP_ALL = Retention(None, None)


def heard(seq: int, *, at: float = 0.0, thread: str = "t", method: str = "m", size: int = 10) -> Envelope:
    """Make a message that does not shrink when it is packed."""
    rubbish = base64.b64encode(random.Random(seq).randbytes(size))[:size]
    line = b'{"method":"%b","params":{"threadId":"%b","turnId":"u","x":"%b"}}\n'
    [envelope], _ = decode_lines([line % (method.encode(), thread.encode(), rubbish)], seq, Stamp(0, at, at))
    return envelope


def segments(*envelopes: Envelope) -> list[Segment]:
    """Make segments, one for each message."""
    return [one for envelope in envelopes for one in segments_of([envelope], 1, at=0.0)]


@contextmanager
def writing(path: Path, retention: Retention = KEEP_ALL) -> Iterator[Writer]:
    """Be the writer of a journal."""
    writer = Writer(path, retention)
    writer.open()
    try:
        yield writer
    finally:
        writer.close()


def add(writer: Writer, *envelopes: Envelope, now: float = 0.0) -> int:
    """Add messages in one transaction."""
    return writer.append(segments_of(envelopes, 1, at=0.0), now=now)


def entries(
    path: Path,
    *,
    after: int = 0,
    limit: int = 100_000,
    thread: str | None = None,
    turn: str | None = None,
    methods: Collection[str] | None = None,
) -> list[Entry]:
    """Read entries."""
    with closing(Reader(path)) as reader:
        return reader.page(Wanted(thread, turn, methods), after=after, limit=limit).entries


def seqs(path: Path, *, after: int = 0) -> list[int]:
    """Read the numbers of the messages."""
    return [entry.seq for entry in entries(path, after=after)]
