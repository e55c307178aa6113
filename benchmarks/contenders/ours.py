"""This project: the runtime with one subscription, in the forms that users choose from."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from benchmarks.contenders import DELTA, PING, TURN_ENDED, turn_params
from benchmarks.contenders.asynchronous import AsyncContender
from codex_runtime.runtime import EventSink, Gap, JsonlSink, Runtime, RuntimeConfig, Subscription, Ticket

__all__ = [
    "Ours",
    "OursBlocking",
    "OursForFour",
    "OursInBatches",
    "OursStateless",
    "OursToJournal",
    "OursToJsonl",
    "OursTyped",
]


def accept(ticket: Ticket) -> None:
    """Accept whatever is asked."""
    ticket.accept()


class Ours(AsyncContender[Subscription]):
    """The default: state is kept, events come one by one, readers that lag lose events and are told."""

    state = True
    overflow: Literal["drop", "block"] = "drop"
    runtime: Runtime

    def sinks(self) -> tuple[EventSink, ...]:
        """Return what else gets every message."""
        return ()

    async def connect(self, command: Sequence[str]) -> None:
        """Open the runtime."""
        self.runtime = Runtime(
            RuntimeConfig(
                command=tuple(command),
                state=self.state,
                on_server_request=accept,
                max_in_flight=128,
                sinks=self.sinks(),
            )
        )
        await self.runtime.open()

    async def disconnect(self) -> None:
        """Close the runtime."""
        await self.runtime.aclose()

    async def new_thread(self) -> str:
        """Start a thread."""
        result = await self.runtime.request("thread/start", {})
        return str(result["thread"]["id"])

    async def call(self) -> object:
        """Make one request and decode its result."""
        return await self.runtime.request("bench/ping", PING)

    async def start(self, thread_id: str, directive: str, *, narrow: bool) -> Subscription:
        """Subscribe, then start the turn."""
        subscription = self.runtime.subscribe(thread=thread_id if narrow else None, overflow=self.overflow)
        await self.runtime.request("turn/start", turn_params(thread_id, directive))
        return subscription

    async def read(self, stream: Subscription) -> tuple[int, int]:
        """Read one event at a time."""
        events = lost = 0
        with stream:
            async for event in stream:
                if isinstance(event, Gap):
                    lost += event.count
                    continue
                events += 1
                if event.method == TURN_ENDED:
                    break
        return events, lost

    async def texts(self, stream: Subscription) -> AsyncIterator[str]:
        """Read one event at a time and take the text of deltas."""
        with stream:
            async for event in stream:
                if isinstance(event, Gap) or event.method == TURN_ENDED:
                    break
                if event.method == DELTA and event.shallow.delta is not None:
                    yield event.shallow.delta


class OursInBatches(Ours):
    """The same by batches: what was read together is handed over together."""

    async def read(self, stream: Subscription) -> tuple[int, int]:
        """Read a batch at a time, and look at each event in it."""
        events = lost = 0
        with stream:
            async for batch in stream.batches():
                for event in batch:
                    if isinstance(event, Gap):
                        lost += event.count
                        continue
                    events += 1
                    if event.method == TURN_ENDED:
                        return events, lost
        return events, lost


class OursTyped(Ours):
    """Every event decoded into the protocol's own type, as the official client does unasked."""

    async def read(self, stream: Subscription) -> tuple[int, int]:
        """Read one event at a time and ask each for its typed form."""
        events = lost = 0
        with stream:
            async for event in stream:
                if isinstance(event, Gap):
                    lost += event.count
                    continue
                events += 1
                _ = event.event
                if event.method == TURN_ENDED:
                    break
        return events, lost


class OursStateless(Ours):
    """Without the state."""

    state = False


class OursBlocking(Ours):
    """A subscriber that would rather hold up the server than lose an event."""

    overflow = "block"


class OursForFour(Ours):
    """Four subscribers, of whom each gets and reads everything."""

    async def read(self, stream: Subscription) -> tuple[int, int]:
        """Read the four at the same time, and tell of the first."""
        others = [self.runtime.subscribe() for _ in range(3)]
        totals = await asyncio.gather(*(super(OursForFour, self).read(each) for each in (stream, *others)))
        return totals[0][0], sum(lost for _, lost in totals)


class OursToFile(Ours):
    """With a sink that writes to the disk: a turn is over when all of it is written."""

    folder: TemporaryDirectory[str]

    async def connect(self, command: Sequence[str]) -> None:
        """Open the runtime, with a file of its own."""
        self.folder = TemporaryDirectory(prefix="codex-runtime-bench-")
        await super().connect(command)

    async def disconnect(self) -> None:
        """Close the runtime and remove the file."""
        await super().disconnect()
        self.folder.cleanup()

    async def read(self, stream: Subscription) -> tuple[int, int]:
        """Read one event at a time, then wait for the sink; what either lost is lost."""
        events, lost = await super().read(stream)
        while (sink := self.runtime.metrics.sinks[0]).pending:  # noqa: ASYNC110  nobody tells; a poll is cheap beside the rest
            await asyncio.sleep(0.001)
        return events, lost + sink.lost


class OursToJsonl(OursToFile):
    """A log of JSON lines."""

    def sinks(self) -> tuple[EventSink, ...]:
        """Return the log."""
        return (JsonlSink(Path(self.folder.name) / "log.jsonl"),)


class OursToJournal(OursToFile):
    """The durable journal in SQLite."""

    def sinks(self) -> tuple[EventSink, ...]:
        """Return the journal."""
        from codex_runtime.journal import Journal, JournalSink

        return (JournalSink(Journal(Path(self.folder.name) / "journal.sqlite")),)
