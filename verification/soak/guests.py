"""The guests of a soak: subscribers, sinks, a follower of the journal, hooks and those who answer approvals. Good and bad ones.

Each checks what it was promised while it listens: numbers without a hole but for the gaps that were told. The one idea: whoever
follows both directions gets every number, so the next one is always known.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from random import Random
from typing import TYPE_CHECKING, Final

from codex_runtime import CodexError, Ticket
from codex_runtime.hooks import Allow, Ask, Deny, Hook, HookContext, HookMatcher, HookOutcome
from codex_runtime.runtime import Envelope, EventSink, Gap, Runtime, Subscription

if TYPE_CHECKING:
    from codex_runtime.journal import Entry, Journal
    from verification.soak.ledger import Ledger

__all__ = ["Answerers", "Chain", "FailingSink", "block", "comes_and_goes", "follow", "slow"]

HANGS: Final = 60.0  # longer than any deadline of the soak


class Chain:
    """The numbers of one reader. ``received`` and ``missed`` add up to what was published while it listened."""

    def __init__(self, ledger: Ledger, who: str) -> None:
        self._ledger = ledger
        self._who = who
        self._next: int | None = None
        self._generation = 0
        self.received = 0
        self.missed = 0

    def take(self, items: Iterable[Envelope | Gap]) -> None:
        """Take what came, in order."""
        for item in items:
            if isinstance(item, Gap):
                self._gap(item)
            else:
                self._link(item.seq, item.generation)

    def entry(self, entry: Entry) -> None:
        """Take an entry of a journal."""
        if entry.gap is not None:
            self._gap(entry.gap)
        elif entry.kind == "pruned":
            self._next = None
        elif entry.kind not in ("opened", "closed"):
            self._link(entry.seq, entry.generation)

    def _link(self, seq: int, generation: int) -> None:
        self.received += 1
        if self._next not in (None, seq):
            self._ledger.breach("I4", f"{self._who} got {seq} where {self._next} is next")
        if generation < self._generation:
            self._ledger.breach("I3", f"{self._who} got generation {generation} after {self._generation}")
        self._next, self._generation = seq + 1, generation

    def _gap(self, gap: Gap) -> None:
        self.missed += gap.count
        if self._next not in (None, gap.first_seq) or gap.last_seq - gap.first_seq + 1 != gap.count:
            self._ledger.breach("I4", f"{self._who} was told of {gap} where {self._next} is next")
        self._next = gap.last_seq + 1


async def slow(runtime: Runtime, ledger: Ledger, chain: Chain) -> None:
    """Read a little now and then: most of it falls out, and is told."""
    with runtime.subscribe(name="slow", outbound=True, capacity=512) as window:
        async for batch in window.batches():
            chain.take(batch)
            ledger.require(window.pending <= 512, "I8", f"{window.pending} wait in a window of 512")
            await asyncio.sleep(0.2)


async def block(runtime: Runtime, chain: Chain, chance: Random) -> None:
    """Read everything and hold up the pipe if need be."""
    with runtime.subscribe(name="block", outbound=True, capacity=1024, overflow="block") as window:
        async for batch in window.batches():
            chain.take(batch)
            if chance.random() < 0.002:
                await asyncio.sleep(0.3)


async def comes_and_goes(runtime: Runtime, ledger: Ledger, leave: asyncio.Event, chance: Random) -> None:
    """Subscribe, read for a while, leave in the middle of it, and begin again."""
    while True:
        leave.clear()
        threads = [*runtime.state.threads]
        thread = chance.choice(threads) if threads and chance.random() < 0.5 else None
        with runtime.subscribe(name="comes and goes", thread=thread, capacity=64) as window:
            reading = asyncio.ensure_future(_read_in_order(window, ledger))
            leaving = asyncio.ensure_future(leave.wait())
            try:
                await asyncio.wait([reading, leaving], return_when=asyncio.FIRST_COMPLETED)
            finally:
                reading.cancel()
                leaving.cancel()
                await asyncio.wait([reading, leaving])


async def _read_in_order(window: Subscription, ledger: Ledger) -> None:
    latest = -1
    async for item in window:
        first, last = (item.first_seq, item.last_seq) if isinstance(item, Gap) else (item.seq, item.seq)
        ledger.require(first > latest, "I3", f"a reader of {window.thread} got {first} after {latest}")
        latest = last


async def follow(journal: Journal, chain: Chain) -> None:
    """Follow the journal as it is written."""
    async for entry in journal.follow():
        chain.entry(entry)


class FailingSink(EventSink):
    """A sink that raises while it was told to, and checks that what it lost is told in its place."""

    overflow = "drop"

    def __init__(self, chain: Chain) -> None:
        self.fails = 0
        self._chain = chain

    async def write(self, batch: Sequence[Envelope | Gap], /) -> None:
        """Take a batch, or fail."""
        if self.fails:
            self.fails -= 1
            raise OSError("the far end has hung up")
        self._chain.take(batch)


class Answerers:
    """Those who answer approvals, well or badly. Whoever says yes says it to the ledger first."""

    def __init__(self, ledger: Ledger, chance: Random) -> None:
        self._ledger = ledger
        self._chance = chance
        self.hook = Hook("soak", self._judge, when=HookMatcher(phases=("pre_tool_use",)), timeout=1.0)

    def pick(self) -> Callable[[Ticket], object]:
        """Return somebody who answers as a handler."""
        return self._chance.choice((self._at_once, self._later, self._later, self._raises, self._forgets, self._hangs))

    def settle(self, ticket: Ticket) -> None:
        """Say yes or no, or something that is no answer, or nothing."""
        match self._chance.randrange(10):
            case 0 | 1 | 2 | 3 | 4:
                self._yes(ticket)
            case 5 | 6:
                ticket.decline("not this time")
            case 7 if ticket.is_approval:
                ticket.cancel()
            case 8:
                self._yes(ticket)
                try:
                    self._yes(ticket)
                except CodexError:
                    return
                self._ledger.breach("I7", "a second yes was taken")
            case _:
                return

    async def read(self, runtime: Runtime) -> None:
        """Answer what nobody else took."""
        async for ticket in runtime.server_requests():
            await asyncio.sleep(self._chance.choice((0.0, 0.01, 0.1)))
            if not ticket.is_settled:
                try:
                    self.settle(ticket)
                except CodexError:
                    continue  # too late: it was settled by its deadline, or withdrawn

    def _yes(self, ticket: Ticket) -> None:
        if ticket.is_approval:
            self._ledger.yes.add(ticket.item_id or "")
            ticket.accept()
        else:
            ticket.decline("there is nobody here")

    def _at_once(self, ticket: Ticket) -> None:
        self._yes(ticket)

    async def _later(self, ticket: Ticket) -> None:
        await asyncio.sleep(self._chance.choice((0.0, 0.01, 0.05)))
        if not ticket.is_settled:
            self.settle(ticket)

    async def _raises(self, ticket: Ticket) -> None:
        raise RuntimeError(f"nobody can read {ticket.method}")

    async def _forgets(self, _: Ticket) -> None:
        await asyncio.sleep(0)

    async def _hangs(self, _: Ticket) -> None:
        await asyncio.sleep(HANGS)

    async def _judge(self, context: HookContext) -> HookOutcome:
        match self._chance.randrange(8):
            case 0 | 1 | 2:
                self._ledger.yes.add(context.item_id or "")
                return Allow("a hook said so")
            case 3 | 4:
                return Deny("a hook said so")
            case 5:
                await asyncio.sleep(HANGS)
            case 6:
                raise ValueError("a hook that fails")
            case _:
                pass
        return Ask("let a person look")
