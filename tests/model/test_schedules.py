"""The main scenarios under many schedules: the order in which tasks go on is not ours to choose, and nothing may hang on it.

Each runs on a shuffled loop with a clock that the scenario turns; from its seed it also draws when things go wrong. What has to
hold is in ``laws``; what would be right in one order only is the matter of ``test_runtime`` and ``test_turns``.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import pytest

from codex_runtime import (
    Client,
    CodexError,
    ConnectionLostError,
    RequestFailedError,
    RestartPolicy,
    Runtime,
    RuntimeConfig,
    TextDelta,
    TurnError,
    TurnInterruptedError,
    TurnLostError,
)
from codex_runtime.errors import (
    AlreadySettledError,
    LocalProtocolError,
    RequestTimeoutError,
    RuntimeDeadError,
    SessionBusyError,
    SessionClosedError,
    TurnTimeoutError,
)
from codex_runtime.hooks import Allow, Deny, Hook, HookMatcher
from codex_runtime.testing import Command, FakeAppServer, Gate, ManualClock, Notify, Pause, Say, Script
from tests.model.laws import answers_are_lawful, runtime_is_at_rest, tiles
from tests.support.effort import PATIENCE
from tests.support.shuffled_loop import on_shuffled_loops, seeds

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable

    from codex_runtime import Session, Ticket, Turn
    from codex_runtime.hooks import HookContext
    from codex_runtime.runtime import Decision, Subscription

pytestmark = pytest.mark.timeout(PATIENCE)

SEEDS = 25
ALWAYS = RestartPolicy(when="always", budget=1000, backoff=0.5, max_backoff=0.5, jitter=0.2)
TEXT = "one two three four"
LATER = (ConnectionLostError, RequestTimeoutError)
BROKEN_OFF = (TurnLostError, TurnInterruptedError, TurnTimeoutError)


class World:
    """What all scenarios have: chance, a clock, and a fake whose pipe cuts as it likes."""

    def __init__(self, chance: random.Random, default: Script | str = "Hello!") -> None:
        self.chance = chance
        self.clock = ManualClock()
        self.fake = FakeAppServer(default=default, clock=self.clock, chunk=chance.choice([None, 5, 50]))
        self.fake.on_request("echo", lambda params: {"said": params})
        self.consented: set[str] = set()

    def config(self, **options: Any) -> RuntimeConfig:
        """Settings of a runtime here."""
        chosen = {"restart": ALWAYS, "watchdog": None, **options}
        return RuntimeConfig(launcher=self.fake, clock=self.clock, **chosen)

    async def in_a_while(self, longest: int) -> None:
        """Come back after some turns of the loop."""
        for _ in range(self.chance.randrange(longest)):
            await asyncio.sleep(0)

    def perhaps(self, probability: float) -> bool:
        """Draw."""
        return self.chance.random() < probability

    def crash(self, **how: Any) -> None:
        """Kill the server, if one lives."""
        if self.fake._live:
            self.fake.die(**how)

    @asynccontextmanager
    async def passing(self, step: float = 0.1) -> AsyncIterator[None]:
        """Let time pass beside the scenario."""

        async def pass_on() -> None:
            while True:
                await self.clock.advance(step)

        turning = asyncio.create_task(pass_on(), name="time")
        try:
            yield
        finally:
            turning.cancel()
            await asyncio.wait([turning])

    async def rest(self, runtime: Runtime) -> None:
        """See that nobody waits any more, and that it is good for more."""
        with suppress(ConnectionLostError):  # a crash of just now, which nobody has noticed yet
            await runtime.request("echo")
        await runtime.wait_ready()
        runtime_is_at_rest(runtime)
        assert await runtime.request("echo", {"n": "last"}) == {"said": {"n": "last"}}

    def accept(self, ticket: Ticket) -> None:
        """Be the one who says yes, unless somebody was quicker."""
        with suppress(AlreadySettledError):
            ticket.accept(by="somebody")
            self.consented.add(ticket.params["command"])


async def all_of(works: Iterable[Awaitable[object]]) -> None:
    """Wait for all, then raise what any of them raised."""
    tasks = [asyncio.ensure_future(each) for each in works]
    await asyncio.wait(tasks)
    for each in tasks:
        each.result()


# -- calls -------------------------------------------------------------------------------------------------------------


async def _calls_with_trouble(chance: random.Random) -> None:
    world, outcomes = World(chance), Counter[str]()

    async def ask(n: int) -> None:
        await world.in_a_while(40)
        try:
            answer = await runtime.request("echo", {"n": n}, deadline=chance.choice([0.3, 5.0, 60.0]))
        except LATER as error:
            outcomes[type(error).__name__] += 1
        else:
            assert answer == {"said": {"n": n}}
            outcomes["answered"] += 1

    async with Runtime(world.config(max_in_flight=2)) as runtime, world.passing(0.25):
        if world.perhaps(0.5):
            world.fake.never_answer("echo", times=2)
        asking = [asyncio.create_task(ask(n)) for n in range(10)]
        await world.in_a_while(40)
        if world.perhaps(0.7):
            world.crash()
        cancelled = sum(each.cancel() for each in chance.sample(asking, 3))
        await asyncio.wait(asking)
        assert [each.cancelled() or each.result() for each in asking].count(True) == cancelled
        assert sum(outcomes.values()) + cancelled == 10
        assert runtime.metrics.requests_lost >= outcomes["ConnectionLostError"]
        world.fake._orders.replies.clear()
        await world.rest(runtime)
    answers_are_lawful(world.fake, ())


def test_each_call_has_one_outcome_of_its_own() -> None:
    """I1, I2: whoever is cancelled, late, or caught by a crash, the others get the answer to their own question."""
    on_shuffled_loops(_calls_with_trouble, seeds(SEEDS))


async def _everything_at_once(chance: random.Random) -> None:
    world = World(chance)
    async with Runtime(world.config()) as runtime:
        for n in range(6):
            await runtime.wait_ready()
            call = asyncio.create_task(runtime.request("echo", {"n": n}, deadline=1.0))
            await asyncio.sleep(0)
            events: list[Callable[[], object]] = [lambda: world.clock.hold_up(1.0), call.cancel, world.crash]
            for event in chance.sample(events, chance.randrange(1, 3)):
                event()
                if world.perhaps(0.3):
                    await asyncio.sleep(0)
            advancing = asyncio.create_task(world.clock.advance(3.0))
            await asyncio.wait([call])
            if not call.cancelled():
                error = call.exception()
                assert isinstance(error, LATER) if error is not None else call.result() == {"said": {"n": n}}
            await advancing
        await world.rest(runtime)


def test_answers_that_come_with_the_deadline_or_with_the_end_settle_once() -> None:
    """C5, M5: the answer, the deadline, the caller's going away and the crash, all in one turn of the loop."""
    on_shuffled_loops(_everything_at_once, seeds(SEEDS))


# -- streams -----------------------------------------------------------------------------------------------------------


class Reading:
    """Readers of everything, of each kind."""

    def __init__(self, world: World, runtime: Runtime) -> None:
        self.world = world
        self.first = runtime._dispatch._next_seq
        self.read: dict[str, list[Any]] = {"small": [], "held": [], "wide": [], "shared": []}
        shared = runtime.subscribe()
        self.tasks = [
            asyncio.create_task(self.follow("small", runtime.subscribe(capacity=3), 20)),
            asyncio.create_task(self.follow("held", runtime.subscribe(capacity=3, overflow="block"), 30)),
            asyncio.create_task(self.take_batches("wide", runtime.subscribe())),
            asyncio.create_task(self.follow("shared", shared, 8)),
            asyncio.create_task(self.follow("shared", shared, 2)),
        ]

    async def follow(self, name: str, subscription: Subscription, pause: int) -> None:
        """One by one."""
        async for item in subscription:
            self.read[name].append(item)
            await self.world.in_a_while(pause)

    async def take_batches(self, name: str, subscription: Subscription) -> None:
        """As they were read."""
        async for batch in subscription.batches():
            self.read[name].extend(batch)
            await self.world.in_a_while(4)

    def judge(self, end: int) -> int:
        """See that nothing is missing untold; returns how many were told as missing."""
        shared = self.read.pop("shared")
        # Two readers on one window: each message went to one of them, in whichever order they noted it.
        assert sorted(item.seq for item in shared) == list(range(self.first, end))
        for items in self.read.values():
            assert tiles(items, self.first) == end
        generations = [envelope.generation for envelope in self.read["wide"]]
        assert generations == sorted(generations)
        return sum(item.count for items in self.read.values() for item in items if not hasattr(item, "seq"))


async def _readers(chance: random.Random) -> None:
    world = World(chance)
    async with Runtime(world.config(block_patience=1.0)) as runtime, world.passing():
        reading = Reading(world, runtime)
        for n in range(25):
            if world.fake._live:
                world.fake.play(*(Notify("note", {"n": n}) for _ in range(chance.randrange(1, 4))))
            await world.in_a_while(10)
            if world.perhaps(0.1):
                world.crash()
            if world.perhaps(0.2):
                with suppress(ConnectionLostError):
                    await runtime.request("echo", {"n": n})
        with suppress(ConnectionLostError):
            await runtime.request("echo")
    await all_of(reading.tasks)
    assert reading.judge(runtime._dispatch._next_seq) == runtime.metrics.dropped


def test_readers_get_everything_or_are_told_in_any_schedule() -> None:
    """I3, I4, I8: slow ones, quick ones, two on one subscription, and those that hold the pipe up; over crashes."""
    on_shuffled_loops(_readers, seeds(SEEDS))


# -- server requests ---------------------------------------------------------------------------------------------------


async def _handlers(chance: random.Random) -> None:
    world, decisions = World(chance), list["Decision"]()

    async def handler(ticket: Ticket) -> None:
        await world.in_a_while(15)
        match chance.randrange(6):
            case 0:
                world.accept(ticket)
            case 1:
                raise ZeroDivisionError("a guest's fault")
            case 2:
                await asyncio.get_running_loop().create_future()
            case 3:
                with suppress(AlreadySettledError):
                    ticket.decline()
                world.accept(ticket)
            case 4:
                asyncio.get_running_loop().call_soon(world.accept, ticket)
                await ticket.wait()

    async def run(session: Session, n: int) -> None:
        for m in range(2):
            name = f"{n}.{m} "
            commands = (Command(name + word, approval=True) for word in "abc")
            world.fake.on_turn(Script(*commands, Say("done")), match=name)
            with suppress(*BROKEN_OFF, ConnectionLostError):
                await session.run(name, deadline=chance.choice([1.0, 60.0]))

    settings = world.config(server_request_deadline=2.0, on_decision=decisions.append)
    async with world.fake, Client(settings) as client, world.passing():
        options: dict[str, Any] = {"approvals": handler, "approval_policy": "untrusted"}
        sessions = [await client.start_session(**options) for _ in range(3)]
        running = asyncio.create_task(all_of(run(session, n) for n, session in enumerate(sessions)))
        if world.perhaps(0.4):
            await world.in_a_while(300)
            world.crash()
        await running
        await world.rest(client.runtime)
        assert len(decisions) == client.runtime.metrics.server_requests
    answers_are_lawful(world.fake, world.consented)
    assert {decision.by for decision in decisions if decision.outcome == "accepted"} <= {"somebody"}


def test_approvals_are_answered_once_and_never_by_nobody() -> None:
    """I6, I7: handlers that answer, hang, fail or hold on; two hands on one ticket; deadlines; interruptions; crashes."""
    on_shuffled_loops(_handlers, seeds(SEEDS))


async def _iterations(chance: random.Random) -> None:
    world, taken = World(chance), list[str]()

    async def read() -> None:
        async for ticket in client.runtime.server_requests():
            taken.append(ticket.id)
            await world.in_a_while(10)
            if not ticket.is_settled:
                ticket.decline()
            if world.perhaps(0.2):
                return

    async with Client(world.config(server_request_deadline=2.0)) as client, world.passing():
        async with await client.start_session(approvals="stream") as session:
            world.fake.on_turn(Script(*(Command(f"c{n}", approval=True) for n in range(8)), Say("done")))
            readers = [asyncio.create_task(read()) for _ in range(3)]
            running = asyncio.create_task(session.run("go"))
            for reader in chance.sample(readers, 2):
                await world.in_a_while(60)
                reader.cancel()
            assert (await running).text == "done"
        for reader in readers:
            reader.cancel()
        await asyncio.wait(readers)
        assert len(taken) == len(set(taken))
        await world.rest(client.runtime)
    answers_are_lawful(world.fake, ())
    assert len(world.fake.answers) == len(world.fake.asked)


def test_whoever_iterates_over_server_requests_may_leave_at_any_moment() -> None:
    """Each request is settled by one reader, or declined because the last one left."""
    on_shuffled_loops(_iterations, seeds(SEEDS))


# -- turns -------------------------------------------------------------------------------------------------------------


class Using:
    """Somebody who runs turns in a session, each in another way."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.ends: Counter[str] = Counter()

    async def go(self, session: Session) -> None:
        """Three turns."""
        for _ in range(3):
            reading = None
            try:
                async with session.stream("go") as turn:
                    if self.world.perhaps(0.5):
                        reading = asyncio.create_task(self.read(turn))
                    await self.use(turn)
            except BROKEN_OFF as error:
                text = error.result.text
            except SessionBusyError:
                text = ""  # a turn that was given up may run on for a moment
            else:
                text = turn.result.text
            if reading is not None:
                await reading
            assert TEXT.startswith(text)
            assert session.turn is None

    async def use(self, turn: Turn) -> None:
        """Interrupt it, leave it, say more, or see it through."""
        match self.world.chance.randrange(5):
            case 0:
                await self.world.in_a_while(40)
                await turn.interrupt()
            case 1:
                await self.world.in_a_while(40)
            case 2:
                with suppress(RequestFailedError, LocalProtocolError, *LATER):
                    await turn.steer("and also")
                await turn.finish()
            case _:
                assert (await turn.finish()).text == TEXT

    async def read(self, turn: Turn) -> None:
        """See it from its first event to its last."""
        said = ""
        async for event in turn:
            said += event.text if isinstance(event, TextDelta) else ""
            await self.world.in_a_while(6)
        self.ends[str(turn.turn_id)] += 1
        assert turn.is_over
        assert TEXT.startswith(said)


async def _turns(chance: random.Random) -> None:
    world = World(chance, Script(Say(TEXT, pace=0.1)))
    using = Using(world)
    async with world.fake, Client(world.config()) as client, world.passing(0.05):
        sessions = [await client.start_session() for _ in range(3)]
        running = asyncio.create_task(all_of(using.go(session) for session in sessions))
        for _ in range(chance.randrange(3)):
            await world.in_a_while(200)
            if world.fake._live:
                chance.choice([world.fake.die, world.fake.disconnect])()
        await running
        for session in sessions:
            with suppress(SessionBusyError):
                await session.run("what was given up is over then")
            assert (await session.run("again")).text == TEXT
            await session.aclose()
        await world.rest(client.runtime)
    assert all(count == 1 for turn, count in using.ends.items() if turn != "None")


def test_each_turn_ends_once_with_its_exact_text() -> None:
    """I5: read or not, interrupted, steered or left; over crashes and broken connections."""
    on_shuffled_loops(_turns, seeds(SEEDS))


async def _cancelled_runs(chance: random.Random) -> None:
    world = World(chance, Script(Say("one ", pace=0.1), Command("ls", approval=True), Say("two", pace=0.1)))

    async def slowly(ticket: Ticket) -> None:
        await world.in_a_while(20)
        world.accept(ticket)

    async with world.fake, Client(world.config()) as client, world.passing(0.05):
        async with await client.start_session(approvals=slowly, approval_policy="untrusted") as session:
            for n in range(4):
                starts = Gate()
                world.fake.on_turn(Script(*world.fake._orders.default.steps, starts=starts), match=f"<{n}>")
                asyncio.get_running_loop().call_later(0.001 * chance.randrange(3), starts.open)
                running = asyncio.create_task(session.run(f"<{n}>"))
                await world.in_a_while(150)
                running.cancel()
                await asyncio.wait([running])
                await starts.wait()
                assert session.turn is None
                turns = [turn for thread in world.fake._disk.threads.values() for turn in thread.turns]
                assert [turn.status for turn in turns if turn.status == "inProgress"] == []
                assert client.runtime.tickets == ()
        await world.rest(client.runtime)
    answers_are_lawful(world.fake, {"/bin/bash -lc 'ls'", "ls"})


def test_a_run_that_is_cancelled_at_any_moment_leaves_no_turn_running() -> None:
    """I16: also one that the server has accepted and not begun, and one that waits for an approval."""
    on_shuffled_loops(_cancelled_runs, seeds(SEEDS))


async def _guards(chance: random.Random) -> None:
    world, told = World(chance), list["str | None"]()

    async def judge(context: HookContext) -> object:
        await world.in_a_while(10)
        command = context.tool.command if context.tool is not None else ""
        match chance.randrange(5):
            case 0:
                world.consented.add(f"/bin/bash -lc '{command}'")
                return Allow()
            case 1:
                return Deny("no")
            case 2:
                raise ZeroDivisionError("a guest's fault")
            case 3:
                await asyncio.get_running_loop().create_future()
        return None

    async def go(session: Session, n: int) -> None:
        for m in range(2):
            name = f"<{n}.{m}>"
            world.fake.on_turn(Script(Command(f"a{name}", approval=True), Say("done")), match=name)
            with suppress(TurnError, ConnectionLostError):
                await session.run(name, deadline=chance.choice([0.5, 30.0]))

    hooks = [
        Hook("judge", judge, when=HookMatcher(phases=("pre_tool_use",)), timeout=1.0),
        Hook("after", lambda context: told.append(context.status), when=HookMatcher(phases=("post_turn",))),
    ]
    async with world.fake, Client(world.config(), hooks=hooks) as client, world.passing():
        sessions = [await client.start_session(approval_policy="untrusted") for _ in range(2)]
        running = asyncio.create_task(all_of(go(session, n) for n, session in enumerate(sessions)))
        await world.in_a_while(150)
        if world.perhaps(0.3):
            world.crash()
        await running
        assert len(told) == 4
        await world.rest(client.runtime)
    answers_are_lawful(world.fake, world.consented)


def test_guards_judge_in_any_schedule() -> None:
    """I6, I15: hooks that allow, deny, fail and hang, while turns reach their deadline and the server dies."""
    on_shuffled_loops(_guards, seeds(SEEDS))


# -- the end -----------------------------------------------------------------------------------------------------------


class Guests:
    """Some of everybody who may use a client, each at it until something tells them that it is over."""

    def __init__(self, world: World, client: Client) -> None:
        self.world = world
        self.client = client
        self.runtime = client.runtime
        self.told: list[CodexError | None] = []

    async def until_told(self, work: Callable[[], Awaitable[object]], *, over: type[CodexError]) -> None:
        """Do it again and again; take note of what ends that."""
        while True:
            try:
                await work()
            except TurnLostError as error:
                if isinstance(error.__cause__, over):
                    self.told.append(error.__cause__)
                    return
            except ConnectionLostError as error:
                if isinstance(error, over):
                    self.told.append(error)
                    return
            except SessionClosedError as error:
                self.told.append(error)
                return
            if self.runtime.connection.phase == "closed":
                self.told.append(None)
                return
            await asyncio.sleep(0)

    async def run(self) -> None:
        """Run a turn in a session of its own."""
        approvals = self.world.chance.choice(["accept", "decline", "stream"])
        async with await self.client.start_session(approvals=approvals) as session:
            await session.run("go")

    async def ask(self) -> None:
        """Call."""
        await self.runtime.request("echo", deadline=30.0)

    async def listen(self) -> None:
        """Follow the stream to its end."""
        async for _ in self.runtime.subscribe(capacity=2, overflow=self.world.chance.choice(["drop", "block"])):
            await self.world.in_a_while(5)

    async def answer(self) -> None:
        """Answer what is asked, to the end."""
        async for ticket in self.runtime.server_requests():
            await self.world.in_a_while(5)
            if not ticket.is_settled:
                ticket.decline()


async def _closing(chance: random.Random) -> None:
    world = World(chance, Script(Say("one ", pace=0.1), Command("ls", approval=True), Pause(0.3), Say("two")))
    client = Client(world.config(max_in_flight=2, server_request_deadline=3.0))
    guests, runtime = Guests(world, client), client.runtime
    works = [guests.run, guests.run, guests.ask, guests.ask, guests.ask, guests.listen, guests.answer]

    async def open_and_use() -> None:
        with suppress(CodexError):
            await client.open()
            await all_of(guests.until_told(work, over=ConnectionLostError) for work in works)

    async with world.passing(0.05):
        using = asyncio.create_task(open_and_use())
        await world.in_a_while(250)
        if world.perhaps(0.3):
            world.crash()
            await world.in_a_while(10)
        closing = [asyncio.create_task(runtime.aclose()) for _ in range(chance.randrange(1, 3))]
        if world.perhaps(0.3):
            await world.in_a_while(5)
            closing[0].cancel()
        await asyncio.wait(closing)
        await runtime.aclose()
        await using
    assert runtime.connection.phase == "closed"
    assert (world.clock.planned, world.fake._live) == (0, {})
    runtime_is_at_rest(runtime)
    answers_are_lawful(world.fake, {"ls"})


def test_closing_at_any_moment_ends_everything_and_everybody_is_told() -> None:
    """I1, I5, I9, I13: while it opens, in mid-turn, with calls in line, after a crash; by one, by two, or cancelled."""
    on_shuffled_loops(_closing, seeds(SEEDS))


async def _giving_up(chance: random.Random) -> None:
    world = World(chance, Script(Say("one ", pace=0.1), Say("two", pace=0.1)))
    policy = RestartPolicy(budget=2, window=1000.0, backoff=0.2, jitter=0.5)
    async with Client(world.config(restart=policy)) as client, world.passing(0.05):
        guests, runtime = Guests(world, client), client.runtime
        session = await client.start_session()
        works = [lambda: session.run("go"), guests.ask, guests.listen, guests.answer]
        using = asyncio.create_task(all_of(guests.until_told(work, over=RuntimeDeadError) for work in works))
        while runtime.connection.phase != "dead":
            await world.in_a_while(60)
            world.crash(code=3)
        await using
        assert {type(error) for error in guests.told} == {RuntimeDeadError}
        assert all("exit status 3" in str(error) for error in guests.told)
        assert len(set(map(id, guests.told))) == len(works)
        assert world.fake.launches == 3
        runtime_is_at_rest(runtime)


def test_giving_up_at_any_moment_is_told_to_everybody_with_the_cause() -> None:
    """I10: the budget is spent in the midst of turns, calls and readers."""
    on_shuffled_loops(_giving_up, seeds(SEEDS))
