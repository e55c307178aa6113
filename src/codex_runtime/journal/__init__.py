"""A durable log of everything that runtimes say and hear: written by a sink, read and followed by anybody.

    journal = Journal("codex.journal")
    async with Runtime(RuntimeConfig(sinks=(JournalSink(journal),))) as runtime:
        ...

    async for entry in journal.follow(after=cursor):   # also from another process, also later
        ...

:func:`replay` folds a journal, or a log of JSON lines, into the state and the turns of then.
"""

from codex_runtime.journal._entry import Entry, EntryKind
from codex_runtime.journal._journal import Journal, JournalSink, JournalStats
from codex_runtime.journal._replay import Record, Replay, Replayer, replay

__all__ = ["Entry", "EntryKind", "Journal", "JournalSink", "JournalStats", "Record", "Replay", "Replayer", "replay"]
