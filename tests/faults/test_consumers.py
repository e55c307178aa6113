"""Guests that behave as badly as guests can: each harms its own call, nobody else's, and gets no yes by it."""

from __future__ import annotations

import asyncio
import gc
from typing import TYPE_CHECKING, Any

import pytest

from codex_runtime import Client, RunProfile, Session
from codex_runtime._sansio import server_requests as rules
from codex_runtime.errors import (
    AlreadySettledError,
    CodexError,
    HookBlockedError,
    LocalProtocolError,
    RuntimeClosedError,
    RuntimeDeadError,
    TurnError,
    TurnFailedError,
)
from codex_runtime.hooks import Allow, Deny, Hook, HookMatcher
from codex_runtime.hooks._run import MAX_DEPTH
from codex_runtime.journal import Journal, JournalSink
from codex_runtime.runtime import Decision, Gap, Runtime, Ticket
from codex_runtime.testing import Ask, Command, FailTurn, FakeAppServer, ManualClock, Say, Script, Stall
from tests.client.hooked import decisions, guarded, script
from tests.runtime.rig import Leaps, Wire, config, failure, restart, running, task, turns, until
from tests.runtime.test_pump import Keeper, figures, say
from verification.faults.consumers import CONSUMERS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from codex_runtime.hooks import HookContext
    from codex_runtime.runtime import Envelope

THREAD = {"threadId": "t", "turnId": "u", "itemId": "i"}
ASKED = {"id": 0, "method": rules.COMMAND, "params": THREAD}


class NobodysError(BaseException):
    """What `except Exception` does not catch, and no program ends of."""


GUESTS_RAISE = pytest.mark.parametrize("error", [ZeroDivisionError, asyncio.CancelledError, NobodysError])


def raiser(error: type[BaseException]) -> Callable[..., Any]:
    """A function that raises this."""

    def raises(*_: object) -> None:
        raise error

    return raises


# -- C1: readers -----------------------------------------------------------------------------------------------------


async def test_a_subscription_that_nobody_has_any_more_is_let_go() -> None:
    """Left by a `break`, it would else keep a window of megabytes, and cost its share of every read, to the end."""
    wire = Wire()
    async with running(wire) as runtime:
        for number in range(20):
            say(wire, 3)
            async with asyncio.timeout(5), task(_first(runtime)) as reading:
                await turns()
                say(wire, 2)
                assert isinstance((await reading).seq, int), number
        gc.collect()
        await turns()
        assert len(runtime._fanout) == 0
        assert runtime.metrics.subscriptions == 0


async def _first(runtime: Runtime) -> Any:
    async for envelope in runtime.subscribe():
        return envelope
    return None


async def test_a_task_that_nobody_keeps_goes_on_reading() -> None:
    """A task is kept by what it waits for: were that only its subscription, both would be collected while they wait."""
    wire, got = Wire(), list[Any]()
    async with running(wire) as runtime:

        async def read() -> None:
            async for envelope in runtime.subscribe():
                got.append(envelope)

        reading = asyncio.get_running_loop().create_task(read())
        reading.set_name("kept by nobody")
        del reading
        for number in range(5):
            await turns(5)
            gc.collect()
            say(wire, 1)
            await turns(5)
            assert len(got) == number + 1
    await turns()


@pytest.mark.parametrize("pause", [0, 1, 7])
async def test_whatever_one_reader_does_the_others_get_all(pause: int) -> None:
    """One never reads, one is slow, one leaves in mid-burst, two share: received and told gaps add up for each."""
    wire = Wire()
    async with running(wire) as runtime:
        never, slow = runtime.subscribe(name="never", capacity=8), runtime.subscribe(name="slow", capacity=8)
        leaves, shared, good = runtime.subscribe(capacity=8), runtime.subscribe(), runtime.subscribe(capacity=10_000)
        slowly: list[Envelope | Gap] = []
        halves: list[Envelope | Gap] = []

        async def share() -> None:
            async for item in shared:
                halves.append(item)
                await asyncio.sleep(0)

        async with task(share()), task(share()):
            for burst in range(40):
                say(wire, 11)
                if burst % (pause + 1) == 0:
                    slowly.append(await anext(slow))
                if burst == 20:
                    await anext(leaves)
                    leaves.close()
                await turns(3)
            await until(lambda: shared.pending == 0)
            wire.say()
        everything = [envelope.seq for envelope in await _rest(good) if not isinstance(envelope, Gap)]
        assert everything == list(range(everything[0], everything[0] + 40 * 11))
        assert sorted(item.seq for item in halves if not isinstance(item, Gap)) == everything
        for told in (slowly + await _rest(slow), await _rest(never)):
            assert sum(item.count if isinstance(item, Gap) else 1 for item in told) == 40 * 11
            assert [_first_of(item) for item in told] == sorted(_first_of(item) for item in told)


async def _rest(subscription: Any) -> list[Envelope | Gap]:
    subscription.close()
    return [item async for item in subscription]


def _first_of(item: Envelope | Gap) -> int:
    return item.first_seq if isinstance(item, Gap) else item.seq


# -- C2: who comes late ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("late", [0, 1, 13])
async def test_a_journal_and_a_subscription_meet_without_a_gap_and_without_a_double(tmp_path: Path, late: int) -> None:
    """Subscribe, read the journal up to where the subscription begins, go on with it: numbers tell where."""
    wire, journal = Wire(), Journal(tmp_path / "journal")
    async with running(wire, sinks=(JournalSink(journal),)) as runtime:
        say(wire, late)
        subscription = runtime.subscribe(outbound=True)
        say(wire, 7)
        first = await anext(subscription)
        assert not isinstance(first, Gap)
        wanted = set(range(first.seq))
        before: list[int] = []
        async with asyncio.timeout(10):
            async for entry in journal.follow() if wanted else _nothing():
                if entry.seq in wanted:
                    before.append(entry.seq)
                if len(before) == len(wanted):
                    break
        after = [item.seq for item in [first, *await _rest(subscription)] if not isinstance(item, Gap)]
        assert before + after == list(range(first.seq + 7))
    journal.close()


async def _nothing() -> Any:
    for nothing in ():
        yield nothing


# -- C3: sinks -------------------------------------------------------------------------------------------------------


class Odd(Keeper):
    """Raises what is no common error: once while it writes, or when it is closed."""

    def __init__(self, error: type[BaseException], where: str) -> None:
        super().__init__()
        self.error = error
        self.where = where

    async def write(self, batch: Sequence[Envelope | Gap], /) -> None:
        """Raise once."""
        if self.where == "write" and not self.batches:
            self.batches += 1
            raise self.error
        await super().write(batch)

    async def aclose(self) -> None:
        """Raise."""
        await super().aclose()
        if self.where == "close":
            raise self.error


@GUESTS_RAISE
async def test_whatever_a_sink_raises_costs_it_that_batch_and_no_more(error: type[BaseException]) -> None:
    """Also what only looks as if the sink had been told to stop: a task of its own that was cancelled, say."""
    wire, sink, other = Wire(), Odd(error, "write"), Keeper()
    runtime = Runtime(config(wire, sinks=(sink, other)))
    await runtime.open()
    say(wire, 3)
    await until(lambda: sink.batches)
    await turns()
    say(wire, 3)
    await until(lambda: len(sink.items) > 1)
    await runtime.aclose()
    published = len(other.seqs)
    metrics = figures_of(runtime, "Odd")
    assert isinstance(sink.items[0], Gap)
    assert metrics.errors == 1
    assert (metrics.written + metrics.lost, metrics.pending) == (published, 0)
    assert sink.closed == other.closed == 1


@GUESTS_RAISE
async def test_whatever_a_sink_raises_at_its_end_is_counted_and_told(error: type[BaseException]) -> None:
    """The others drain, and the closing goes on."""
    wire, sink, other, told = Wire(), Odd(error, "close"), Keeper(), list[Any]()
    runtime = Runtime(config(wire, sinks=(sink, other), on_sink_trouble=told.append))
    await runtime.open()
    say(wire, 3)
    await runtime.aclose()
    assert [metrics.errors for metrics in told] == [1]
    assert len(other.items) == len(sink.items) > 3
    assert (sink.closed, other.closed) == (1, 1)


async def test_a_closing_that_is_cancelled_goes_on_and_closes_each_sink_once() -> None:
    """Twice at once, cancelled in between, and once more: a file must not be closed under another's hands."""
    wire, sink = Wire(), Keeper()
    runtime = Runtime(config(wire, sinks=(sink,)))
    await runtime.open()
    sink.gate = asyncio.Event()
    say(wire, 1)
    async with task(runtime.aclose()) as one, task(runtime.aclose()) as other:
        await turns()
        one.cancel()
        await turns()
        sink.gate.set()
        await other
    await runtime.aclose()
    assert (sink.closed, figures(runtime).pending, figures(runtime).lost) == (1, 0, 0)


def figures_of(runtime: Runtime, name: str) -> Any:
    """The figures of the sink with this name."""
    return next(metrics for metrics in runtime.metrics.sinks if metrics.name == name)


# -- C4: hooks -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, NobodysError, StopIteration, asyncio.CancelledError])
async def test_whatever_a_plain_hook_raises_on_its_thread_is_a_no_at_once(error: type[BaseException]) -> None:
    """An exit that a hook wants is not the program's; and nobody waits until the time of a dead hook is over."""
    fake, clock = FakeAppServer(script("ls")), ManualClock()
    hook = Hook("bad", raiser(error), when=HookMatcher(phases=("pre_tool_use",)))
    async with guarded(fake, hook, clock=clock, profile=RunProfile(approvals="accept")) as client:
        session = await client.start_session()
        await session.run("go")
        assert decisions(fake) == ["decline"]
        assert session.hook_report is not None
        assert [(issue.hook, issue.kind) for issue in session.hook_report.issues] == [("bad", "execution")]


@GUESTS_RAISE
async def test_whatever_a_hook_on_the_loop_raises_is_a_no(error: type[BaseException]) -> None:
    """Nothing that is raised is consent, and the turn goes on."""

    async def bad(_: HookContext) -> None:
        raise error

    fake = FakeAppServer(script("ls"))
    hook = Hook("bad", bad, when=HookMatcher(phases=("pre_tool_use",)))
    async with guarded(fake, hook, clock=ManualClock(), profile=RunProfile(approvals="accept")) as client:
        result = await client.run("go")
        assert decisions(fake) == ["decline"]
        assert result.status == "completed"


@GUESTS_RAISE
async def test_whatever_a_hook_after_a_tool_raises_changes_nothing(error: type[BaseException]) -> None:
    """Nobody waits for it; the next one is called all the same."""
    called: list[str] = []

    async def bad(_: HookContext) -> None:
        called.append("bad")
        raise error

    def good(_: HookContext) -> None:
        called.append("good")

    after = HookMatcher(phases=("post_tool_use",))
    fake = FakeAppServer(script("ls", "pwd"))
    async with guarded(
        fake, Hook("bad", bad, when=after), Hook("good", good, when=after), profile=RunProfile(approvals="accept")
    ) as client:
        result = await client.run("go")
        assert result.status == "completed"
        assert decisions(fake) == ["accept", "accept"]
    assert called == ["bad", "good", "bad", "good"]


async def test_a_hook_that_holds_up_the_loop_beyond_its_time_gave_no_leave() -> None:
    """By the clock it is late, though nobody could stop it: its yes is a no."""

    async def blocks(_: HookContext) -> Allow:
        clock.now += 0.1  # as after a long computation: nobody was called meanwhile
        return Allow()

    fake, clock = FakeAppServer(script("ls")), Leaps()
    hook = Hook("blocks", blocks, when=HookMatcher(phases=("pre_tool_use",)), timeout=0.05)
    async with guarded(fake, hook, clock=clock, profile=RunProfile(approvals="accept")) as client:
        session = await client.start_session()
        await session.run("go")
        assert decisions(fake) == ["decline"]
        assert session.hook_report is not None
        assert [issue.kind for issue in session.hook_report.issues] == ["timeout"]


async def test_a_no_that_comes_late_is_still_a_no() -> None:
    """Whoever held up the loop: before a run there is no gate that would deny in its place."""

    async def blocks(_: HookContext) -> Deny:
        clock.now += 0.1
        return Deny("not today")

    fake, clock = FakeAppServer(), Leaps()
    hook = Hook("blocks", blocks, when=HookMatcher(phases=("pre_run",)), timeout=0.05)
    async with guarded(fake, hook, clock=clock) as client:
        session = await client.start_session()
        assert isinstance(await failure(session.run("go")), HookBlockedError)
        assert fake.requests("turn/start") == []


async def test_a_hook_that_is_over_counts_no_more() -> None:
    """Runs that a hook leaves behind are its children only as long as it works: they go on one after the other for ever."""
    fake, runs, held = FakeAppServer(default="hello"), list[asyncio.Task[Any]](), list[Client]()

    async def starts_the_next(_: HookContext) -> None:
        if len(runs) < 2 * MAX_DEPTH:
            runs.append(asyncio.get_running_loop().create_task(held[0].run("next")))

    hook = Hook("next", starts_the_next, when=HookMatcher(phases=("post_run",)))
    async with guarded(fake, hook) as client, asyncio.timeout(20):
        held.append(client)
        await client.run("go")
        while not all(run.done() for run in runs) or len(runs) < 2 * MAX_DEPTH:
            await asyncio.sleep(0)
        assert [run.result().status for run in runs] == ["completed"] * 2 * MAX_DEPTH
        assert len(fake.requests("turn/start")) == 2 * MAX_DEPTH + 1


@pytest.mark.parametrize(
    "how", ["run in the session", "run in the client", "request", "interrupt", "close the session"]
)
async def test_a_hook_may_come_back_to_its_own_session_and_client(how: str) -> None:
    """What cannot be done now is refused at once; nothing waits for itself, and nothing is allowed by it."""
    fake, held = FakeAppServer(script("ls"), default="hello"), list[Any]()

    async def calls_back(_: HookContext) -> None:
        client, session = held
        match how:
            case "run in the session":
                await session.run("again")
            case "run in the client":
                await client.run("another")
            case "request":
                await client.runtime.request("model/list", {})
            case "interrupt":
                await session.interrupt()
            case _:
                await session.aclose()

    hook = Hook("again", calls_back, when=HookMatcher(phases=("pre_tool_use",)))
    async with guarded(fake, hook, profile=RunProfile(approvals="decline")) as client, asyncio.timeout(10):
        session = await client.start_session()
        held += [client, session]
        await failure(session.run("go"))
        assert "accept" not in decisions(fake)
        held[1] = await client.start_session()
        assert (await held[1].run("once more")).status == "completed"


@pytest.mark.parametrize("where", ["on the loop", "on a thread"])
async def test_a_hook_that_runs_what_it_watches_is_not_called_for_ever(where: str) -> None:
    """Runs within runs without end: cancelling them is slower than they are, so there is an end to the depth."""
    fake, called, held = FakeAppServer(default="hello"), list[str](), list[Client]()
    loop = asyncio.get_running_loop()

    async def runs(context: HookContext) -> None:
        called.append(context.phase)
        await held[0].run("deeper")

    def runs_from_a_thread(context: HookContext) -> None:
        asyncio.run_coroutine_threadsafe(runs(context), loop).result()

    call = runs if where == "on the loop" else runs_from_a_thread
    hook = Hook("deeper", call, when=HookMatcher(phases=("pre_run",)))
    async with guarded(fake, hook) as client, asyncio.timeout(20):
        held.append(client)
        assert (await client.run("go")).status == "completed"
        assert called == ["pre_run"] * MAX_DEPTH


# -- C5, C6: those who are asked -------------------------------------------------------------------------------------


@pytest.mark.parametrize("early", [0.001, 0.0, -0.001])
@pytest.mark.parametrize("settle", ["accept", "decline"])
async def test_a_millisecond_decides(early: float, settle: str) -> None:
    """Before the deadline it is the person's word, from the deadline on it is a no: written once in either case."""
    wire, clock, told, kept = Wire(), ManualClock(), list[Decision](), list[Ticket]()
    async with running(
        wire, clock, on_server_request=kept.append, on_decision=told.append, server_request_deadline=5.0
    ) as runtime:
        wire.say(ASKED)
        await clock.advance(5.0 - early)
        late = await failure(_call(getattr(kept[0], settle)))
        await clock.advance(1.0)
        in_time = early > 0
        assert isinstance(late, AlreadySettledError) is not in_time
        assert [line["result"]["decision"] for line in wire.sent if "result" in line] == [
            settle if in_time else "decline"
        ]
        assert [decision.decider for decision in told] == ["reader" if in_time else "deadline"]
        assert runtime.tickets == ()


ENDINGS = ["answered by another", "resolved", "turn over", "deadline", "crash", "close"]


@pytest.mark.parametrize("settle", ["accept", "decline", "cancel"])
@pytest.mark.parametrize("ending", ENDINGS)
async def test_a_second_person_is_told_and_writes_nothing(ending: str, settle: str) -> None:
    """However it ended, whoever still looks at it learns so, and the record has one entry."""
    wire, clock, told, kept = Wire(), ManualClock(), list[Decision](), list[Ticket]()
    runtime = Runtime(config(wire, clock, on_server_request=kept.append, on_decision=told.append))
    await runtime.open()
    wire.say(ASKED)
    [ticket] = kept
    async with task(ticket.wait()) as waiting:
        match ending:
            case "answered by another":
                ticket.decline(by="the first")
            case "resolved":
                wire.say({"method": "serverRequest/resolved", "params": {"threadId": "t", "requestId": 0}})
            case "turn over":
                wire.say({"method": "turn/completed", "params": {"threadId": "t", "turn": {"id": "u"}}})
            case "deadline":
                await clock.advance(60.0)
            case "crash":
                wire.kill()
            case "close":
                await runtime.aclose()
        assert isinstance(await failure(_call(getattr(ticket, settle))), AlreadySettledError)
        assert await waiting == ticket.outcome
    written = [line for line in wire.sent if "result" in line and line.get("id") == 0]
    assert len(written) == (1 if ending in ("answered by another", "deadline") else 0)
    assert not any(line["result"]["decision"] == "accept" for line in written)
    assert len(told) == 1
    assert told[0].outcome == ticket.outcome
    await runtime.aclose()


async def _call(function: Callable[[], object]) -> None:
    function()


async def test_an_answer_to_a_turn_that_was_interrupted_is_none() -> None:
    """The person says yes when it is too late; the command has been called off."""
    fake, kept = FakeAppServer(Script(Command("rm -rf build", approval=True), Stall())), list[Ticket]()
    async with Client(config(fake), profile=RunProfile(approvals=kept.append)) as client:
        session = await client.start_session()
        async with session.stream("go") as turn:
            await until(lambda: kept)
            await turn.interrupt()
        assert isinstance(await failure(_call(kept[0].accept)), AlreadySettledError)
    assert [answer.decision for answer in fake.answers if answer.counted] in ([], ["decline"], ["cancel"])


async def test_two_who_answer_in_one_turn_of_the_loop_are_one_answer() -> None:
    """Whoever is first; the other is told."""
    wire, kept = Wire(), list[Ticket]()
    async with running(wire, on_server_request=kept.append):
        for rpc_id in range(50):
            wire.say({**ASKED, "id": rpc_id})
            results = await asyncio.gather(
                *(_call(getattr(kept[-1], word)) for word in ("accept", "decline", "accept", "cancel")),
                return_exceptions=True,
            )
            assert [type(result) for result in results] == [type(None)] + [AlreadySettledError] * 3
        assert len([line for line in wire.sent if "result" in line]) == 50


async def test_a_yes_that_waits_over_a_restart_reaches_nobody() -> None:
    """C6: the next server asks for something else under the same id, and is told only what it was."""
    fake, clock, kept = FakeAppServer(), ManualClock(), list[Ticket]()
    async with running(fake, clock, on_server_request=kept.append) as runtime:
        for generation in range(3):
            fake.play(_ask(f"item-{generation}"))
            await until(lambda: len(kept) == generation + 1)  # noqa: B023
            for old in kept[:-1]:
                assert isinstance(await failure(_call(old.accept)), AlreadySettledError)
            await restart(fake, runtime, clock)
        fake.play(_ask("the last"))
        await until(lambda: len(kept) == 4)
        for old in kept[:-1]:
            assert isinstance(await failure(_call(old.accept)), AlreadySettledError)
        kept[-1].decline()
        await until(lambda: fake.answers)
    assert [(answer.generation, answer.rpc_id, answer.decision) for answer in fake.answers] == [(3, 0, "decline")]


def _ask(item: str) -> Any:
    return Ask(rules.COMMAND, {**THREAD, "itemId": item})


# -- C9: other loops and threads -------------------------------------------------------------------------------------

DOORS: dict[str, Callable[[Runtime, Session], Any]] = {
    "request": lambda runtime, _: runtime.request("x"),
    "request_raw": lambda runtime, _: runtime.request_raw("x"),
    "notify": lambda runtime, _: runtime.notify("x"),
    "wait_ready": lambda runtime, _: runtime.wait_ready(),
    "aclose": lambda runtime, _: runtime.aclose(),
    "run": lambda _, session: session.run("x"),
    "session.aclose": lambda _, session: session.aclose(),
}


@pytest.mark.parametrize("door", DOORS)
async def test_whoever_comes_from_another_loop_is_told_at_once(door: str) -> None:
    """On a thread with a loop of its own, say: it would wait for ever, or break what is not its own."""
    fake = FakeAppServer()
    async with Client(config(fake)) as client:
        session = await client.start_session()

        def elsewhere() -> BaseException | None:
            async def come() -> BaseException | None:
                async with asyncio.timeout(3):
                    return await failure(DOORS[door](client.runtime, session))

            return asyncio.run(come())

        error = await asyncio.to_thread(elsewhere)
        assert isinstance(error, LocalProtocolError)
        assert (await session.run("still here")).status == "completed"


# -- C10: what is more than an error ---------------------------------------------------------------------------------


@GUESTS_RAISE
@pytest.mark.parametrize("who", ["handler", "record", "taker"])
async def test_whatever_is_raised_within_a_read_the_rest_of_the_read_is_dispatched(
    who: str, error: type[BaseException]
) -> None:
    """Else the answer behind the question is lost, and its call hangs until the deadline."""
    wire, clock = Wire(), ManualClock()
    options: dict[str, Any] = {}
    if who == "handler":
        options["on_server_request"] = raiser(error)
    if who == "record":
        options["on_decision"] = raiser(error)
    async with running(wire, clock, **options) as runtime, task(runtime.request("ask")) as asking:
        if who == "taker":
            runtime.take(None, raiser(error))
        subscription = runtime.subscribe()
        await until(lambda: wire.ids("ask"))
        wire.say(ASKED, {"id": wire.ids("ask")[0], "result": 1}, {**ASKED, "id": 1})
        await until(asking.done)
        assert await asking == 1
        assert [(line["id"], line["result"]["decision"]) for line in wire.sent if "result" in line] == [
            (0, "decline"),
            (1, "decline"),
        ]
        assert subscription.pending == 3
        assert runtime.tickets == ()
        assert runtime.metrics.guest_errors == 2


@GUESTS_RAISE
async def test_whatever_is_raised_when_a_restart_is_told_the_runtime_lives(error: type[BaseException]) -> None:
    """The one long-lived task of the runtime tells it: were it to end, nobody would ever start a server again."""
    fake, clock = FakeAppServer(), ManualClock()
    fake.on_request("echo", {"a": 1})
    async with running(fake, clock, on_restart=raiser(error), on_dead=raiser(error)) as runtime:
        await restart(fake, runtime, clock)
        await restart(fake, runtime, clock)
        assert await runtime.request("echo") == {"a": 1}
        assert runtime.metrics.guest_errors == 2
        fake.die(code=0)
        await until(lambda: runtime.connection.phase == "dead")
        assert isinstance(await failure(runtime.request("echo")), CodexError)


@GUESTS_RAISE
async def test_whatever_a_coroutine_that_is_asked_raises_is_a_no(error: type[BaseException]) -> None:
    """In a task of its own, so nobody else can be harmed; and nobody complains of it at the end."""

    async def bad(_: Ticket) -> None:
        raise error

    wire = Wire()
    async with running(wire, on_server_request=bad) as runtime:
        wire.say(ASKED)
        await until(lambda: not runtime.tickets)
        assert [line["result"]["decision"] for line in wire.sent if "result" in line] == ["decline"]


async def test_when_everything_on_the_loop_is_cancelled_everyone_is_told_at_once() -> None:
    """As `asyncio.run` does at its end: who then tidies up must not wait for a server that nobody will start."""
    fake, clock = FakeAppServer(Script(Say("one "), Stall())), ManualClock()
    client = Client(config(fake, clock))
    await client.open()
    session = await client.start_session()
    async with task(session.run("go")) as running_turn:
        await fake.wait_for("turn/start")
        await turns()
        mine = asyncio.current_task()
        for each in asyncio.all_tasks() - {mine}:
            each.cancel()
        await until(running_turn.done)  # no clock is turned
        assert isinstance(await failure(client.runtime.request("x")), RuntimeDeadError)
        await session.aclose()
    await client.aclose()
    assert client.runtime.connection.phase == "dead"


# -- C11: groups of tasks --------------------------------------------------------------------------------------------


async def test_several_errors_of_a_group_come_out_together() -> None:
    """Neither a turn's nor the body's is swallowed, and the client can be used for more."""
    fake = FakeAppServer(Script(Say("one "), FailTurn("no more")), Script(Say("two "), FailTurn("no more")))
    async with Client(config(fake)) as client:
        sessions = [await client.start_session() for _ in range(2)]

        async def run(session: Session) -> None:
            try:
                await session.run("go")
            finally:
                raise_together.set()

        async def body() -> None:
            async with asyncio.TaskGroup() as group:
                for session in sessions:
                    group.create_task(run(session))
                await raise_together.wait()
                raise ZeroDivisionError

        raise_together = asyncio.Event()
        with pytest.raises(ExceptionGroup) as caught:
            await body()
        kinds = [type(error) for error in caught.value.exceptions]
        assert kinds.count(ZeroDivisionError) == 1
        assert TurnFailedError in kinds
        assert [(await session.run("more")).status for session in sessions] == ["completed"] * 2


async def test_a_group_whose_body_fails_stops_the_turns_in_it() -> None:
    """The turns are interrupted on the server before the group lets go, and their errors are not the body's."""
    fake = FakeAppServer(Script(Say("one "), Stall()), Script(Say("two "), Stall()))
    async with Client(config(fake)) as client:
        sessions = [await client.start_session() for _ in range(2)]

        async def body() -> None:
            async with asyncio.TaskGroup() as group:
                for session in sessions:
                    group.create_task(session.run("go"))
                await fake.wait_for("turn/start", 2)
                await turns()
                raise ZeroDivisionError

        with pytest.raises(ExceptionGroup) as caught:
            await body()
        assert [type(error) for error in caught.value.exceptions] == [ZeroDivisionError]
        assert len(fake.requests("turn/interrupt")) == 2


async def test_errors_of_turns_can_be_picked_out_of_a_group() -> None:
    """With `except*`: they keep their types and their results."""
    fake, found = FakeAppServer(Script(Say("one "), Stall()), Script(Say("two "), Stall())), list[Any]()
    client = Client(config(fake))
    await client.open()
    sessions = [await client.start_session() for _ in range(2)]
    try:
        async with asyncio.TaskGroup() as group:
            for session in sessions:
                group.create_task(_run(session))
            await fake.wait_for("turn/start", 2)
            await turns()
            await client.aclose()
    except* TurnError as errors:
        found += errors.exceptions
    except* RuntimeClosedError:
        found.append("closed")
    assert found
    assert all(isinstance(error, TurnError) and error.result.status == "lost" for error in found)


async def _run(session: Session) -> None:
    await session.run("go")


# -- the scenarios themselves ----------------------------------------------------------------------------------------


def test_the_scenarios_of_consumers_have_names_of_their_own() -> None:
    """A table of results would show one of two that share one."""
    assert len({scenario.name for scenario in CONSUMERS}) == len(CONSUMERS)
    assert {scenario.fault for scenario in CONSUMERS} == {"C1", "C5", "C6", "C8"}
