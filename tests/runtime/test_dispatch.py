"""The one road in: wire order is number order, state order and delivery order, and no guest on it can stop it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codex_runtime._sansio import server_requests as rules
from codex_runtime._sansio.restart import Exit, RestartPolicy
from codex_runtime.errors import (
    ConnectionLostError,
    RequestFailedError,
    RuntimeClosedError,
    RuntimeDeadError,
)
from codex_runtime.runtime import Envelope, Gap, Runtime, Ticket
from codex_runtime.testing._clock import ManualClock
from codex_runtime.testing._fake_script import Ask, Bytes, Command, Garbage, HugeLine, Notify, Script
from codex_runtime.testing._fake_server import FakeAppServer
from codex_runtime.testing._reply import Say
from tests.runtime.rig import Wire, config, restart, running, task, turns, until


def drained(subscription: Any) -> list[Envelope]:
    """What a subscription holds, without waiting."""
    items: list[Envelope] = []
    while (batch := subscription._take()) is not None:
        items += batch
    return items


class Follower:
    """A listener of one thread that keeps what it hears, and misbehaves as told."""

    def __init__(self, *, takes: bool = False, raises: bool = False) -> None:
        self.takes = takes
        self.raises = raises
        self.heard: list[Envelope] = []
        self.tickets: list[Ticket] = []
        self.losses: list[ConnectionLostError] = []
        self.regained = 0

    def envelope(self, envelope: Envelope) -> None:
        """Take note of a message."""
        self.heard.append(envelope)
        self._misbehave()

    def ticket(self, ticket: Ticket) -> bool:
        """Take a server request, or not."""
        self.tickets.append(ticket)
        self._misbehave()
        return self.takes

    def known_items(self, turn_id: str) -> tuple[()]:
        """None."""
        return ()

    def lost(self, error: ConnectionLostError) -> None:
        """Take note of a loss."""
        self.losses.append(error)
        self._misbehave()

    def ready(self) -> None:
        """Take note that there is another server."""
        self.regained += 1
        self._misbehave()

    def _misbehave(self) -> None:
        if self.raises:
            raise ZeroDivisionError("a guest's fault")


def note(n: int, thread: str = "t") -> dict[str, Any]:
    """A notification of a thread."""
    return {"method": "item/agentMessage/delta", "params": {"threadId": thread, "delta": str(n)}}


# -- order -------------------------------------------------------------------------------------------------------------


async def test_an_answer_is_in_the_state_in_its_place_when_the_request_returns() -> None:
    """Before what came after it in the same read, after what came before; whatever became of the parameters since."""
    wire = Wire()
    async with running(wire) as runtime:

        async def listed(*after: dict[str, Any], spoil: bool = False) -> object:
            params: dict[str, Any] = {"threadId": "t"}
            async with task(runtime.request("thread/queue/list", params)) as request:
                await until(lambda: wire.ids("thread/queue/list"))
                params.update({"x": object()} if spoil else {})
                answer = {"id": wire.ids("thread/queue/list")[-1], "result": {"data": ["a"], "nextCursor": None}}
                wire.sent.clear()
                wire.say({"method": "thread/queue/changed", "params": {"threadId": "t"}}, answer, *after)
                await request
            return runtime.state.threads["t"].queue

        assert await listed() == ["a"]
        assert await listed(note(1)) == ["a"]
        assert await listed({"method": "thread/queue/changed", "params": {"threadId": "t"}}) is None
        assert await listed(spoil=True) is None


async def test_all_subscribers_see_the_wire_order_without_holes() -> None:
    """G1, I3: one numbering, the same for all."""
    fake = FakeAppServer("one two three four", chunk=17)
    async with running(fake) as runtime:
        first, second = runtime.subscribe(), runtime.subscribe()
        thread = (await runtime.request("thread/start"))["thread"]["id"]
        text = [{"type": "text", "text": "hi"}]
        await runtime.request("turn/start", {"threadId": thread, "input": text})
        await until(lambda: runtime.state.threads[thread].turns and runtime.state.threads[thread].active_turn is None)
        seen, again = drained(first), drained(second)
        assert [envelope.seq for envelope in seen] == list(range(seen[0].seq, seen[0].seq + len(seen)))
        assert seen == again
        assert [envelope.method for envelope in seen][-1] == "turn/completed"


async def test_when_a_request_returns_all_that_came_before_is_there() -> None:
    """G2: in the state and in every subscription, without another turn of the loop."""
    fake = FakeAppServer()
    fake.on_request("mark", {})
    async with running(fake) as runtime:
        subscription = runtime.subscribe()
        for n in range(20):
            thread = {"id": f"t{n}", "turns": [], "status": {"type": "idle"}}
            fake.play(Notify("thread/started", {"thread": thread}))
            fake.play(Notify("thread/name/updated", {"threadId": f"t{n}", "threadName": f"name {n}"}))
            await runtime.request("mark")
            assert runtime.state.threads[f"t{n}"].name == f"name {n}"
            methods = [envelope.method for envelope in drained(subscription)]
            assert methods == ["thread/started", "thread/name/updated", None]


async def test_numbers_go_on_across_generations() -> None:
    """I3: no hole and no repetition; the generation never falls."""
    fake, clock = FakeAppServer(), ManualClock()
    async with running(fake, clock) as runtime:
        subscription = runtime.subscribe(outbound=True)
        for _ in range(3):
            await runtime.request("account/read")
            await restart(fake, runtime, clock)
        await runtime.request("account/read")
        seen = drained(subscription)
        numbers = [envelope.seq for envelope in seen]
        assert numbers == list(range(numbers[0], numbers[0] + len(seen)))
        generations = [envelope.generation for envelope in seen]
        assert generations == sorted(generations)
        assert set(generations) == {0, 1, 2, 3}


async def test_what_is_written_is_told_to_those_who_asked_in_its_place() -> None:
    """Between what came before and after; others see no hole but one in the numbers."""
    fake = FakeAppServer()
    fake.on_request("echo", {})
    async with running(fake) as runtime:
        deaf, keen = runtime.subscribe(), runtime.subscribe(outbound=True)
        await runtime.request("echo", {"a": 1})
        await runtime.notify("hello")
        await runtime.request("echo", {"a": 2})
        kinds = [(envelope.direction, envelope.kind) for envelope in drained(keen)]
        assert kinds == [
            ("outbound", "request"),
            ("inbound", "response"),
            ("outbound", "notification"),
            ("outbound", "request"),
            ("inbound", "response"),
        ]
        assert [envelope.kind for envelope in drained(deaf)] == ["response", "response"]


async def test_answers_of_ours_come_after_what_they_answer() -> None:
    """Also when a listener gives them from inside the dispatch."""
    wire = Wire()

    class Quick(Follower):
        def envelope(self, envelope: Envelope) -> None:
            if envelope.method == "go":
                for ticket in self.tickets:
                    ticket.decline()

    async with running(wire) as runtime:
        subscription = runtime.subscribe(outbound=True)
        stop = runtime.listen("t", Quick(takes=True))
        wire.say({"id": 0, "method": rules.COMMAND, "params": {"threadId": "t"}})
        wire.say({"method": "go", "params": {"threadId": "t"}}, note(1))
        stop()
        seen = drained(subscription)
        assert [envelope.method for envelope in seen] == [rules.COMMAND, "go", "item/agentMessage/delta", None]
        assert [envelope.seq for envelope in seen] == list(range(seen[0].seq, seen[0].seq + 4))


@given(
    cuts=st.lists(st.integers(1, 60), max_size=30),
    kinds=st.lists(st.sampled_from(["note", "garbage", "huge", "ask", "empty"]), max_size=12),
)
@settings(max_examples=40, deadline=None)
async def test_it_does_not_matter_how_the_bytes_are_cut(cuts: list[int], kinds: list[str]) -> None:
    """M1, M2: same messages, same numbers, same counters; what cannot be used is counted and told."""
    lines = {
        "note": b'{"method":"a","params":{}}\n',
        "garbage": b"oops\n",
        "huge": b'{"method":"%s"}\n' % (b"x" * 400),
        "ask": b'{"id":1,"method":"made/up"}\n',
        "empty": b"  \n",
    }
    data = b"".join(lines[kind] for kind in kinds)
    wire = Wire()
    async with running(wire, line_limit=300) as runtime:
        subscription = runtime.subscribe()
        for cut in cuts:
            wire.receiver.data_received(data[:cut])
            data = data[cut:]
        wire.receiver.data_received(data)
        seen = drained(subscription)
        expected = {"note": "notification", "garbage": "unusable", "huge": "unusable", "ask": "server_request"}
        assert [envelope.kind for envelope in seen] == [expected[kind] for kind in kinds if kind != "empty"]
        assert [envelope.seq for envelope in seen] == [seen[0].seq + n for n in range(len(seen))]
        metrics = runtime.metrics
        assert (metrics.malformed, metrics.too_long) == (kinds.count("garbage"), kinds.count("huge"))
        assert metrics.server_requests == kinds.count("ask") == metrics.settled.get("refused", 0)


# -- subscriptions -----------------------------------------------------------------------------------------------------


async def test_a_subscription_can_be_narrowed() -> None:
    """By thread, method and kind, in any combination."""
    wire = Wire()
    async with running(wire) as runtime:
        of_thread = runtime.subscribe(thread="t")
        of_method = runtime.subscribe(methods={"b"})
        of_kind = runtime.subscribe(kinds=["server_request"])
        of_all = runtime.subscribe(thread="t", methods=["b"], kinds=["notification"])
        wire.say(
            {"method": "a", "params": {"threadId": "t"}},
            {"method": "b", "params": {"threadId": "u"}},
            {"method": "b", "params": {"thread": {"id": "t"}}},
            {"id": 5, "method": "b", "params": {"threadId": "t"}},
        )
        assert [envelope.method for envelope in drained(of_thread)] == ["a", "b", "b"]
        assert len(drained(of_method)) == 3
        assert [envelope.rpc_id for envelope in drained(of_kind)] == [5]
        assert [envelope.thread_id for envelope in drained(of_all)] == ["t"]


async def test_a_long_line_weighs_what_it_weighs() -> None:
    """I8: also when it came in many reads. An over-long one, of which only the head is kept, weighs its head."""
    wire = Wire()
    async with running(wire, line_limit=100_000) as runtime:
        subscription = runtime.subscribe(max_bytes=100_000)
        for _ in range(3):
            line = b'{"method":"%s"}\n' % (b"x" * 60_000)
            for start in range(0, len(line), 1000):
                wire.receiver.data_received(line[start : start + 1000])
        assert [type(item) for item in drained(subscription)] == [Gap, Envelope]
        wire.say(note(1))
        wire.receiver.data_received(b"x" * 300_000)
        wire.receiver.data_received(b"\n")
        assert [item.kind for item in drained(subscription)] == ["notification", "unusable"]


async def test_a_blocking_subscription_pauses_the_pipe_and_resumes_it() -> None:
    """Nothing is lost, and the server is held back meanwhile."""
    wire, clock = Wire(), ManualClock()
    async with running(wire, clock) as runtime:
        subscription = runtime.subscribe(capacity=3, overflow="block")
        for n in range(5):
            wire.say(note(n))
        assert wire.paused == [True]
        assert len(drained(subscription)) == 5
        assert wire.paused == [True, False]
        assert (runtime.metrics.dropped, runtime.metrics.gaps) == (0, 0)


async def test_a_blocked_subscriber_that_awaits_an_answer_does_not_wait_for_itself() -> None:
    """Patience ends in a gap, and the answer gets through."""
    fake, clock = FakeAppServer(), ManualClock()
    fake.on_request("echo", {"said": 1})
    async with running(fake, clock, block_patience=2.0) as runtime:
        subscription = runtime.subscribe(capacity=2, overflow="block", methods=["note"])
        for n in range(5):
            fake.play(Notify("note", {"n": n}))
            await turns(4)
        assert subscription.pending < 5
        async with task(runtime.request("echo")) as call:
            await clock.advance(1.9)
            assert not call.done()
            await clock.advance(0.1)
            assert await call == {"said": 1}
        items = drained(subscription)
        assert isinstance(items[0], Gap)
        assert items[0].count + len(items) - 1 == 5
        assert (runtime.metrics.dropped, runtime.metrics.gaps) == (items[0].count, 1)


async def test_an_abandoned_blocking_subscription_slows_nobody_down_for_long() -> None:
    """I15: once its patience is spent it blocks no more."""
    fake, clock = FakeAppServer(), ManualClock()
    fake.on_request("echo", {})
    async with running(fake, clock, block_patience=2.0) as runtime:
        abandoned = runtime.subscribe(capacity=1, overflow="block")
        fake.play(Notify("a"), Notify("b"))
        await turns()
        assert abandoned.is_blocking
        await clock.advance(2.0)
        for _ in range(5):
            assert await runtime.request("echo") == {}


async def test_a_blocked_pipe_does_not_keep_the_next_server_from_being_greeted() -> None:
    """Only a ready server is held up."""
    wire, clock = Wire(), ManualClock()
    async with running(wire, clock, block_patience=1000.0) as runtime:
        subscription = runtime.subscribe(capacity=1, overflow="block")
        wire.say(note(1), note(2))
        assert wire.paused == [True]
        wire.paused.clear()
        wire.end(Exit(code=1))
        await until(lambda: runtime.connection.phase == "restarting")
        await clock.advance(1.0)
        await runtime.wait_ready()
        assert wire.paused == [True]
        drained(subscription)
        assert wire.paused == [True, False]


async def test_a_blocked_pipe_is_read_again_for_the_end() -> None:
    """A server that cannot write would not leave by itself."""
    wire = Wire()
    runtime = Runtime(config(wire))
    await runtime.open()
    with runtime.subscribe(capacity=1, overflow="block"):
        wire.say(note(1), note(2))
        wire.may_end.clear()
        async with task(runtime.aclose()) as closing:
            await wire.closing.wait()
            assert wire.paused == [True, False]
            wire.say(note(3), note(4))
            assert wire.paused == [True, False]
            wire.may_end.set()
            await closing


@pytest.mark.parametrize("opened", [True, False])
async def test_subscriptions_end_with_the_runtime(opened: bool) -> None:  # noqa: FBT001
    """After what is buffered; one that is made later has ended from the start."""
    fake = FakeAppServer()
    runtime = Runtime(config(fake))
    early = runtime.subscribe(methods=["hello"])
    if opened:
        await runtime.open()
        fake.play(Notify("hello"))
        await turns()
    await runtime.aclose()
    assert len([item async for item in early]) == opened
    assert [item async for item in runtime.subscribe()] == []
    assert runtime.metrics.subscriptions == 0


async def test_subscriptions_raise_when_the_runtime_dies() -> None:
    """With the cause, each its own error; also those that are made later, also after the closing."""
    fake = FakeAppServer()
    runtime = Runtime(config(fake, restart=RestartPolicy(when="never")))
    await runtime.open()
    first, second = runtime.subscribe(methods=["x"]), runtime.subscribe(methods=["x"])
    async with task(anext(first)) as one, task(anext(second)) as two:  # type: ignore[arg-type]
        fake.die(code=3)
        await until(lambda: one.done() and two.done())
        assert isinstance(one.exception(), RuntimeDeadError)
        assert "exit status 3" in str(one.exception())
        assert one.exception() is not two.exception()
    for _ in range(2):
        with pytest.raises(RuntimeDeadError):
            await anext(runtime.subscribe())
        await runtime.aclose()


# -- listeners ---------------------------------------------------------------------------------------------------------


async def test_a_listener_hears_its_thread_and_no_other() -> None:
    """In order, before the answer that follows is settled; until it stops."""
    wire = Wire()
    async with running(wire) as runtime:
        mine, both = Follower(), Follower()
        stop = runtime.listen("t", mine)
        stops = [runtime.listen("t", both), runtime.listen("u", both)]
        wire.say(note(1), note(2, "u"), note(3))
        stop()
        stop()
        wire.say(note(4))
        assert [envelope.shallow.delta for envelope in mine.heard] == ["1", "3"]
        assert [envelope.shallow.delta for envelope in both.heard] == ["1", "2", "3", "4"]
        for each in stops:
            each()
        assert runtime._dispatch._listeners == {}


async def test_a_note_is_taken_before_what_follows_the_answer() -> None:
    """In the same read: so a listener can be put up for a thread whose id is only known from the answer."""
    wire, clock, follower = Wire(), ManualClock(), Follower()
    async with running(wire, clock) as runtime:

        def note_thread(reply: Any) -> None:
            runtime.listen(reply["thread"], follower)

        async with (
            task(runtime.request_and_note("ask", {}, note_thread)) as good,
            task(runtime.request_and_note("ask", {}, lambda _: 1 // 0)) as bad,
            task(runtime.request_and_note("ask", {}, note_thread)) as refused,
        ):
            await until(lambda: len(wire.ids("ask")) == 3)
            first, second, third = wire.ids("ask")
            wire.say({"id": first, "result": {"thread": "t"}}, note(1), {"id": second, "result": 2})
            wire.say({"id": third, "error": {"code": 1, "message": "no"}})
            assert [envelope.shallow.delta for envelope in follower.heard] == ["1"]
            assert await good == {"thread": "t"}
            assert await bad == 2
            await until(refused.done)
            assert isinstance(refused.exception(), RequestFailedError)
        assert runtime.metrics.guest_errors == 1


async def test_a_caller_that_has_gone_gets_no_note() -> None:
    """Not even when the answer comes before it is taken note of that it went."""
    wire, noted = Wire(), list[Any]()
    async with running(wire) as runtime, task(runtime.request_and_note("ask", {}, noted.append)) as asking:
        await until(lambda: wire.ids("ask"))
        asking.cancel()
        wire.say({"id": wire.ids("ask")[0], "result": 1})
        await asyncio.wait([asking])
        assert asking.cancelled()
        assert noted == []


async def test_a_noted_answer_is_decoded_once() -> None:
    """The caller gets what its note got, not the same once more."""
    wire, noted = Wire(), list[Any]()
    async with running(wire) as runtime, task(runtime.request_and_note("ask", {}, noted.append)) as asking:
        await until(lambda: wire.ids("ask"))
        wire.say({"id": wire.ids("ask")[0], "result": {"thread": "t"}})
        assert await asking is noted[0]
        assert noted == [{"thread": "t"}]


async def test_what_is_said_to_everybody_reaches_every_listener() -> None:
    """A warning about the configuration names no thread; each turn that runs may want to show it."""
    wire, one, other = Wire(), Follower(), Follower()
    async with running(wire) as runtime:
        runtime.listen("t1", one)
        runtime.listen("t2", other)
        wire.say({"method": "configWarning", "params": {"summary": "odd"}})
        wire.say({"method": "skills/changed", "params": {}})
        assert [e.method for e in one.heard] == [e.method for e in other.heard] == ["configWarning"]


async def test_a_listener_that_raises_costs_its_own_call_only() -> None:
    """G6: everyone else hears all, and it is heard of in the counters."""
    wire, clock = Wire(), ManualClock()
    async with running(wire, clock) as runtime:
        bad, good = Follower(raises=True), Follower()
        runtime.listen("t", bad)
        runtime.listen("t", good)
        subscription = runtime.subscribe()
        wire.say(note(1), note(2))
        wire.say({"id": 0, "method": rules.COMMAND, "params": {"threadId": "t"}})
        assert [len(bad.heard), len(good.heard), len(drained(subscription))] == [3, 3, 3]
        assert len(good.tickets) == 1
        assert runtime.metrics.guest_errors == 4
        wire.end(Exit(code=1))
        assert len(bad.losses) == len(good.losses) == 1
        assert runtime.metrics.guest_errors == 5
        await clock.advance(1.0)
        await runtime.wait_ready()


async def test_listeners_learn_of_the_loss_once_and_at_once() -> None:
    """With the generation that is gone; a server that never became ready took nothing from them."""
    fake, clock = FakeAppServer(), ManualClock()
    runtime = Runtime(config(fake, clock))
    await runtime.open()
    follower = Follower()
    runtime.listen("t", follower)
    fake.die_at("initialize", "before", times=2)
    fake.die()
    await until(lambda: follower.losses)
    await clock.advance(3.0)
    await runtime.wait_ready()
    assert (fake.launches, follower.regained) == (4, 1)
    assert [(error.generation, type(error)) for error in follower.losses] == [(0, ConnectionLostError)]
    await runtime.aclose()
    assert {type(error) for error in follower.losses[1:]} == {RuntimeClosedError}


# -- counters ----------------------------------------------------------------------------------------------------------


async def test_garbage_and_over_long_lines_are_counted_and_told() -> None:
    """M1, M3: and the next line is read as if nothing had been."""
    fake = FakeAppServer()
    async with running(fake, line_limit=1000) as runtime:
        subscription = runtime.subscribe()
        fake.play(Garbage(), HugeLine(1000), HugeLine(1001), Bytes(b"\n[]\n"), Notify("fine"))
        await until(lambda: runtime.metrics.too_long == 1 and runtime.metrics.malformed == 2)
        seen = drained(subscription)
        assert [envelope.kind for envelope in seen] == [
            "unusable",
            "notification",
            "unusable",
            "unusable",
            "notification",
        ]
        assert [envelope.fault.reason for envelope in seen if envelope.fault] == [
            "not_json",
            "too_long",
            "not_a_message",
        ]


async def test_the_counters_agree_with_the_servers_own() -> None:
    """I19: messages, requests and bytes, counted independently on the other side."""
    fake = FakeAppServer(Script(Command("ls", approval=True), Say("done")))
    async with running(fake) as runtime:
        subscription = runtime.subscribe(outbound=True)
        thread = (await runtime.request("thread/start"))["thread"]["id"]
        await runtime.request("turn/start", {"threadId": thread, "input": [{"type": "text", "text": "hi"}]})
        await until(lambda: runtime.state.threads[thread].turns and runtime.state.threads[thread].active_turn is None)
        await turns()
        metrics = runtime.metrics
        assert metrics.messages == fake.lines_sent
        assert metrics.bytes_out == sum(len(entry.line) + 1 for entry in fake.received)
        assert metrics.requests == sum(entry.method is not None and entry.rpc_id is not None for entry in fake.received)
        assert metrics.server_requests == len(fake.asked) == len(fake.answers) == 1
        inbound = [envelope for envelope in drained(subscription) if envelope.direction == "inbound"]
        assert metrics.messages - len(inbound) <= 2  # the greeting came before the subscription
        assert (metrics.malformed, metrics.too_long, metrics.late_answers, metrics.guest_errors) == (0, 0, 0, 0)


async def test_a_request_and_its_end_in_one_read_leave_nothing_open() -> None:
    """The server asked, and withdrew it before anybody could look."""
    wire = Wire()
    async with running(wire) as runtime:
        runtime.listen("t", Follower(takes=True))
        asked = {"id": 0, "method": rules.COMMAND, "params": {"threadId": "t", "turnId": "u"}}
        wire.say(asked, {"method": "serverRequest/resolved", "params": {"threadId": "t", "requestId": 0}})
        ended = {"method": "turn/completed", "params": {"threadId": "t", "turn": {"id": "u", "status": "completed"}}}
        wire.say({**asked, "id": 1}, ended)
        assert runtime.tickets == ()
        assert dict(runtime.state.pending) == {}
        assert dict(runtime.metrics.settled) == {"withdrawn": 2}


async def test_an_id_that_cannot_be_written_back_stops_nothing() -> None:
    """A request under such an id cannot be answered; the rest of its read is as good as ever."""
    wire = Wire()
    async with running(wire) as runtime, task(runtime.request("ask")) as call:
        await until(lambda: wire.ids("ask"))
        wire.say(
            {"id": "\ud800", "method": rules.COMMAND, "params": {}},
            {"id": 10**25, "method": "made/up"},
            {"id": "", "method": "made/up"},
            {"id": wire.ids("ask")[0], "result": 1},
        )
        assert await call == 1
        assert [m["id"] for m in wire.sent if "error" in m] == [10**25, ""]
        assert runtime.metrics.malformed == 1
        assert runtime.tickets == ()


async def test_requests_of_a_thread_that_nobody_opened_are_declined() -> None:
    """M9: order of the wire, whatever it is."""
    fake = FakeAppServer()
    async with running(fake):
        fake.play(Ask(rules.COMMAND, {"threadId": "nobody's", "turnId": "none"}))
        await until(lambda: fake.answers)
        assert fake.answers[0].decision == "decline"
