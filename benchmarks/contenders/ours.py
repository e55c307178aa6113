"""This project: the runtime with one subscription, in the forms that users choose from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from benchmarks.contenders import PING, turn_params
from benchmarks.contenders.asynchronous import AsyncContender
from codex_runtime.runtime import Gap, Runtime, RuntimeConfig, Subscription, Ticket

__all__ = ["Ours", "OursBlocking", "OursInBatches", "OursStateless", "OursTyped"]


async def accept(ticket: Ticket) -> None:
    """Accept whatever is asked."""
    ticket.accept()


class Ours(AsyncContender[Subscription]):
    """The default: state is kept, events come one by one, readers that lag lose events and are told."""

    state = True
    overflow: Literal["drop", "block"] = "drop"
    runtime: Runtime

    async def connect(self, command: Sequence[str]) -> None:
        """Open the runtime."""
        self.runtime = Runtime(
            RuntimeConfig(command=tuple(command), state=self.state, on_server_request=accept, max_in_flight=128)
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
                if event.method == "turn/completed":
                    break
        return events, lost


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
                    if event.method == "turn/completed":
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
                if event.method == "turn/completed":
                    break
        return events, lost


class OursStateless(Ours):
    """Without the state."""

    state = False


class OursBlocking(Ours):
    """A subscriber that would rather hold up the server than lose an event."""

    overflow = "block"
