"""A file of decisions: who answered which server request, how and why, one JSON line each, in the order in which it happened.

It is beside the log of the messages, not in it: a decision never was on the wire. ``seq`` and ``generation`` of a line lead to
the request in a :class:`JsonlSink` or a journal of the same runtime.

The one idea: a decision is in the file before anything else happens on the loop, so what a program did after an answer
never stands there without the answer.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

import msgspec

from codex_runtime._io.files import LineLog
from codex_runtime.errors import ConfigError, StoreError

if TYPE_CHECKING:
    from codex_runtime._sansio.decisions import Decision

__all__ = ["AuditLog"]

AuditFlush: TypeAlias = Literal["always", "never"]


class AuditLog:
    """Keeps decisions in a file of JSON lines: ``RuntimeConfig(on_decision=AuditLog("decisions.jsonl"))``.

    The file is made at the first decision, for its owner alone, in a folder that is there; it only grows: above ``rotate_bytes`` a new one is begun,
    and ``keep`` old ones stay, as ``path.1`` (the youngest) and so on. What was written survives the death of this process;
    with ``flush="always"`` also a loss of power, for which the event loop waits for the disk at each decision.

    A decision that cannot be written is lost; the runtime counts it in ``Metrics.guest_errors`` and goes on, and the next line
    that can be written is ``{"lost": 1}``. ``lost`` counts them all.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        flush: AuditFlush = "never",
        rotate_bytes: int | None = None,
        keep: int = 5,
    ) -> None:
        if flush not in ("always", "never"):  # nobody is here to sync it from time to time
            raise ConfigError("flush", f"{flush!r} is not one of 'always', 'never'")
        folder = Path(path).absolute().parent
        if not (folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)):
            raise ConfigError("path", f"{os.fspath(folder)!r} is not a folder that can be written to")
        self.lost = 0
        self._told = 0
        self._log = LineLog(path, flush=flush, rotate_bytes=rotate_bytes, keep=keep)

    def __call__(self, decision: Decision) -> None:
        """Write a decision down. Raises :class:`StoreError`."""
        lines = msgspec.json.encode(decision) + b"\n"
        if self.lost > self._told:
            lines = b'{"lost":%d}\n%b' % (self.lost - self._told, lines)
        try:
            self._log.append(lines)
        except StoreError:
            self.lost += 1
            raise
        self._told = self.lost

    def close(self) -> None:
        """Wait for the disk and close the file; the next decision would open it again. Raises :class:`StoreError`."""
        self._log.close()

    def __repr__(self) -> str:
        """Name the file."""
        return f"AuditLog({os.fspath(self._log.path)!r})"
