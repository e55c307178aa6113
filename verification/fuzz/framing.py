"""Bytes to lines, against a framer of three lines: any cut, any limit, and no more memory than was promised."""

from __future__ import annotations

from codex_runtime._sansio.envelope import Fault
from codex_runtime._sansio.framing import FEW, HEAD, SMALL, LineFramer
from verification.fuzz.pieces import Choices, cut

__all__ = ["judge", "one"]

LIMITS = (1, 7, 64, 1000, 5000, 100_000)


def one(data: bytes) -> None:
    """Cut a stream somewhere and have it framed under some limit."""
    choices = Choices(data)
    limit = LIMITS[choices.below(len(LIMITS))]
    marks = Choices(choices.take(8))
    judge(LineFramer(limit), limit, list(cut(choices.rest(), marks)))


def judge(framer: LineFramer, limit: int, chunks: list[bytes]) -> None:
    """Compare what comes out of a framer with what must."""
    lines: list[bytes | Fault] = []
    for chunk in chunks:
        lines += framer.feed(chunk)
        pieces = list(map(len, framer._tail))  # noqa: SLF001  # what is held is the point
        assert sum(pieces) <= max(limit, HEAD)
        assert len(pieces) <= 1 + FEW + sum(pieces) // SMALL
    lines += framer.finish()
    expected = _split(b"".join(chunks))
    assert [line if isinstance(line, bytes) else line.size for line in lines] == [
        line if len(line) <= limit else len(line) for line in expected
    ]
    assert framer.heads == [line[:HEAD] for line in expected if len(line) > limit]
    assert framer.finish() == []


def _split(stream: bytes) -> list[bytes]:
    parts = stream.split(b"\n")
    return [part + b"\n" for part in parts[:-1]] + ([parts[-1]] if parts[-1] else [])
