"""Requests of the server: each gets one answer, in its own generation, and whatever is unclear is a no."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from codex_runtime._sansio import server_requests as rules
from codex_runtime._sansio.discreet import HIDDEN
from codex_runtime._sansio.restart import Exit
from codex_runtime._sansio.wording import question_of
from codex_runtime.errors import (
    AlreadySettledError,
    InvalidAnswerError,
    LocalProtocolError,
    RuntimeDeadError,
    ServerRequestNotFoundError,
)
from codex_runtime.runtime import Decision, Graces, Runtime, Ticket
from codex_runtime.runtime._server_requests import MAX_SPOILT
from codex_runtime.testing._clock import ManualClock
from codex_runtime.testing._fake_script import Ask, Command, Script
from codex_runtime.testing._fake_server import FakeAppServer
from tests.runtime.rig import Leaps, Wire, config, failure, restart, running, task, turns, until

THREAD = {"threadId": "t", "turnId": "u", "itemId": "i"}

# What each kind is asked with, and an answer that it takes.
KINDS: dict[str, tuple[dict[str, Any], Any]] = {
    rules.COMMAND: ({**THREAD, "command": "ls"}, {"decision": "accept"}),
    rules.FILE_CHANGE: (THREAD, {"decision": "acceptForSession"}),
    rules.PERMISSIONS: (
        {**THREAD, "permissions": {"network": {"enabled": True}}},
        {"permissions": {}, "scope": "turn"},
    ),
    rules.USER_INPUT: ({**THREAD, "questions": []}, {"answers": {"q": {"answers": ["a"]}}}),
    rules.TOOL_CALL: ({**THREAD, "tool": "x"}, {"success": True, "contentItems": []}),
    rules.ELICITATION: ({"threadId": "t", "message": "?"}, {"action": "accept", "content": {}}),
    rules.TOKENS: ({"reason": "unauthorized"}, {"accessToken": "a", "chatgptAccountId": "b"}),
    rules.ATTESTATION: ({}, {"token": "x"}),
    rules.CURRENT_TIME: ({}, {"currentTimeAt": 1}),
    rules.OLD_COMMAND: ({"conversationId": "t"}, {"decision": "approved"}),
    rules.OLD_PATCH: ({"conversationId": "t"}, {"decision": "approved"}),
}
EVERY = pytest.mark.parametrize("method", sorted(rules.KNOWN))


def declined(method: str) -> Any:
    """The answer that says no, as it stands in the fake's record: result, code."""
    answer = rules.decline(method)
    return (answer.result, None) if isinstance(answer, rules.Reply) else (None, answer.code)


def told(fake: FakeAppServer) -> list[Any]:
    """The answers in the fake's record."""
    return [(answer.result, answer.error and answer.error["code"]) for answer in fake.answers]


class Taker:
    """A listener that takes server requests, or not."""

    def __init__(self, *, takes: bool = True, error: Exception | None = None, settles: bool = False) -> None:
        self.takes = takes
        self.error = error
        self.settles = settles
        self.tickets: list[Ticket] = []

    def envelope(self, envelope: object) -> None:
        """Not of interest."""

    def known_items(self, turn_id: str) -> tuple[()]:
        """None."""
        return ()

    def lost(self, error: object) -> None:
        """Not of interest."""

    def ready(self) -> None:
        """Not of interest."""

    def ticket(self, ticket: Ticket) -> bool:
        """Take it, or not."""
        self.tickets.append(ticket)
        if self.settles:
            ticket.accept()
        if self.error is not None:
            raise self.error
        return self.takes


async def ask(fake: FakeAppServer, runtime: Runtime, method: str = rules.COMMAND, **params: Any) -> Ticket:
    """Have the server ask, and return the ticket."""
    before = len(runtime.tickets)
    fake.play(Ask(method, {**KINDS[method][0], **params}))
    await until(lambda: len(runtime.tickets) == before + 1)
    return runtime.tickets[-1]


# -- at the wrong time, in the wrong place -----------------------------------------------------------------------------


async def test_a_yes_after_the_deadline_is_a_no() -> None:
    """Also if the loop was held up, so that the deadline itself could not pass."""
    fake, clock = FakeAppServer(), ManualClock()
    async with running(fake, clock, on_server_request=lambda _: None, server_request_deadline=5.0) as runtime:
        fake.play(Ask(rules.COMMAND, KINDS[rules.COMMAND][0]))
        await until(lambda: runtime.tickets)
        (ticket,) = runtime.tickets
        clock.hold_up(5.0)
        with pytest.raises(AlreadySettledError, match="is already declined"):
            ticket.accept()
        await fake.until(lambda: bool(fake.answers))
        assert told(fake) == [declined(rules.COMMAND)]
        assert ticket.holder == "deadline"


async def test_another_loop_cannot_settle_a_ticket_either() -> None:
    """The words say what to do instead; on the loop of the runtime itself it goes on as ever."""
    fake, failed = FakeAppServer(), list[BaseException]()

    async def elsewhere(ticket: Ticket) -> None:
        try:
            ticket.decline()
        except LocalProtocolError as error:
            failed.append(error)

    async with running(fake, on_server_request=lambda _: None) as runtime:
        ticket = await ask(fake, runtime)
        await asyncio.to_thread(lambda: asyncio.run(elsewhere(ticket)))
        assert len(failed) == 1
        assert str(failed[0]) == (
            "a server request is settled on the event loop of its runtime; from a thread, hand it over: "
            "loop.call_soon_threadsafe(ticket.accept)"
        )
        assert not ticket.is_settled
        ticket.decline()
        await fake.until(lambda: bool(fake.answers))
        assert told(fake) == [declined(rules.COMMAND)]


async def test_a_thread_cannot_settle_a_ticket() -> None:
    """It is told how to; nothing is sent, nothing is put on record, and the ticket waits on."""
    kept: list[Decision] = []
    failed: list[BaseException | None] = []

    async def answer(ticket: Ticket) -> None:
        failed.append(await failure(asyncio.to_thread(ticket.accept)))
        ticket.decline()

    fake = FakeAppServer()
    async with running(fake, on_server_request=answer, on_decision=kept.append):
        fake.play(Ask(rules.COMMAND, KINDS[rules.COMMAND][0]))
        await fake.until(lambda: bool(fake.answers))
        assert told(fake) == [declined(rules.COMMAND)]
    assert [type(error) for error in failed] == [LocalProtocolError]
    assert len(kept) == 1


# -- nobody, somebody, everybody ---------------------------------------------------------------------------------------


@EVERY
async def test_nobody_is_a_no_at_once(method: str) -> None:
    """I6: in the method's own form, without any wait."""
    fake, clock = FakeAppServer(), ManualClock()
    async with running(fake, clock) as runtime:
        fake.play(Ask(method, KINDS[method][0]))
        await fake.until(lambda: bool(fake.answers))
        assert told(fake) == [declined(method)]
        assert fake.answers[0].counted
        assert dict(runtime.state.pending) == {}
        assert sum(runtime.metrics.settled.values()) == runtime.metrics.server_requests == 1


async def test_an_unknown_method_is_refused_even_if_somebody_would_answer() -> None:
    """M8: never left hanging, never accepted; a handler could not know what it says yes to."""
    seen: list[Ticket] = []

    async def handler(ticket: Ticket) -> None:
        seen.append(ticket)

    fake = FakeAppServer()
    async with running(fake, on_server_request=handler) as runtime:
        fake.play(Ask("brand/new", {"threadId": "t"}))
        await fake.until(lambda: bool(fake.answers))
        assert told(fake) == [(None, -32601)]
        assert seen == []
        assert dict(runtime.metrics.settled) == {"refused": 1}


@EVERY
async def test_a_handler_answers(method: str) -> None:
    """G5: exactly what it says is written, once."""
    params, answer = KINDS[method]
    seen: list[Ticket] = []

    async def handler(ticket: Ticket) -> None:
        seen.append(ticket)
        ticket.reply(answer)
        await asyncio.sleep(0)

    fake = FakeAppServer()
    async with running(fake, on_server_request=handler) as runtime:
        fake.play(Ask(method, params))
        await fake.until(lambda: bool(fake.answers))
        assert told(fake) == [(answer, None)]
        assert (seen[0].method, seen[0].params, seen[0].generation) == (method, params, 0)
        assert seen[0].is_approval == (method in rules.APPROVALS)
        await turns()
        assert runtime.metrics.guest_errors == 0


@pytest.mark.parametrize("how", ["raises", "returns", "raises at once", "cancels itself"])
async def test_a_handler_that_does_not_answer_is_a_no(how: str) -> None:
    """I6: whatever way it fails."""

    async def handler(_: Ticket) -> None:
        if how == "raises":
            raise ZeroDivisionError
        if how == "cancels itself":
            raise asyncio.CancelledError

    def plain(_: Ticket) -> None:
        raise ZeroDivisionError

    fake = FakeAppServer()
    async with running(fake, on_server_request=plain if how == "raises at once" else handler) as runtime:
        fake.play(Ask(rules.COMMAND, THREAD))
        await fake.until(lambda: bool(fake.answers))
        assert fake.answers[0].decision == "decline"
        assert runtime.metrics.guest_errors == how.startswith("raises")


async def test_a_handler_that_hangs_is_cancelled_and_declined_at_the_deadline() -> None:
    """C4: with the deadline of its method."""
    cancelled: list[str] = []

    async def handler(ticket: Ticket) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.append(ticket.method)

    fake, clock = FakeAppServer(), ManualClock()
    options = {"server_request_deadline": 10.0, "server_request_deadlines": {rules.FILE_CHANGE: 3.0}}
    async with running(fake, clock, on_server_request=handler, **options) as runtime:
        command, change = await ask(fake, runtime), await ask(fake, runtime, rules.FILE_CHANGE)
        assert (command.deadline, change.deadline) == (clock.monotonic() + 10.0, clock.monotonic() + 3.0)
        await clock.advance(3.0)
        assert (change.outcome, change.reason) == ("declined", "nobody answered in time")
        assert cancelled == [rules.FILE_CHANGE]
        assert not command.is_settled
        await clock.advance(7.0)
        assert [answer.decision for answer in fake.answers] == ["decline", "decline"]
        assert cancelled == [rules.FILE_CHANGE, rules.COMMAND]


async def test_those_that_are_late_together_are_answered_in_the_order_of_their_deadlines() -> None:
    """After our loop stood still: not in the order in which the server asked."""
    wire, clock, settled = Wire(), Leaps(), list[str]()
    deadlines = {rules.COMMAND: 9.0, rules.FILE_CHANGE: 3.0, rules.PERMISSIONS: 6.0}
    async with running(
        wire,
        clock,
        watchdog=None,
        on_server_request=lambda _: None,
        server_request_deadlines=deadlines,
        on_decision=lambda decision: settled.append(decision.what),
    ):
        wire.say(*({"id": n, "method": method, "params": KINDS[method][0]} for n, method in enumerate(deadlines)))
        await clock.leap(10.0)
        assert settled == [rules.FILE_CHANGE, rules.PERMISSIONS, rules.COMMAND]


@EVERY
@pytest.mark.parametrize("action", ["decline", "cancel", "refuse"])
async def test_what_is_said_at_the_deadline_can_be_chosen(method: str, action: str) -> None:
    """Three ways to say no, for all methods or for one; never a yes, and for tokens always an error."""
    fake, clock = FakeAppServer(), ManualClock()
    by_method = {"server_request_deadline_actions": {method: action}}
    options: Any = by_method if action == "refuse" else {"server_request_deadline_action": action}
    async with running(
        fake, clock, on_server_request=lambda _: None, server_request_deadline=5.0, **options
    ) as runtime:
        ticket = await ask(fake, runtime, method)
        await clock.advance(5.0)
        await fake.until(lambda: bool(fake.answers))
        expected = rules.at_deadline(method, action)  # type: ignore[arg-type]
        assert ticket.outcome == rules.outcome(expected)
        assert ticket.outcome in ("declined", "cancelled", "refused")
        if isinstance(expected, rules.Reply):
            assert told(fake) == [(expected.result, None)]
        else:
            assert fake.answers[0].error["code"] == -32000
            assert "in time" in fake.answers[0].error["message"] or action == "cancel"
        if method == rules.TOKENS or action == "refuse":
            assert ticket.outcome == "refused"


async def test_a_handler_that_answers_too_late_is_told() -> None:
    """I7: the first outcome stands."""
    late: list[Exception] = []

    async def handler(ticket: Ticket) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            try:
                ticket.accept()
            except AlreadySettledError as error:
                late.append(error)
            raise

    fake, clock = FakeAppServer(), ManualClock()
    async with running(fake, clock, on_server_request=handler) as runtime:
        await ask(fake, runtime)
        await clock.advance(60.0)
        assert [answer.decision for answer in fake.answers] == ["decline"]
        assert "already declined" in str(late[0])


async def test_a_handler_may_go_on_after_its_answer() -> None:
    """It is ended with the runtime."""
    done: list[str] = []
    gate = asyncio.Event()

    async def handler(ticket: Ticket) -> None:
        ticket.accept()
        await gate.wait()
        done.append("logged")
        await asyncio.Event().wait()

    fake = FakeAppServer()
    async with running(fake, on_server_request=handler):
        fake.play(Ask(rules.COMMAND, THREAD))
        await fake.until(lambda: bool(fake.answers))
        gate.set()
        await until(lambda: done)
    assert done == ["logged"]


async def test_a_plain_function_answers_without_a_task() -> None:
    """It is called on the road in, and costs no more than that."""
    tasks: list[int] = []

    def handler(ticket: Ticket) -> None:
        tasks.append(len(runtime._desk._tasks))
        ticket.accept()

    fake = FakeAppServer()
    async with running(fake, on_server_request=handler) as runtime:
        fake.play(Ask(rules.COMMAND, THREAD))
        await fake.until(lambda: bool(fake.answers))
        assert fake.answers[0].decision == "accept"
        assert (tasks, runtime._desk._tasks) == ([0], set())


async def test_a_plain_function_may_keep_the_ticket() -> None:
    """It is settled later, from anywhere and by its id; or else at its deadline."""
    kept: list[str] = []

    def keep(ticket: Ticket) -> None:
        kept.append(ticket.id)

    fake, clock = FakeAppServer(), ManualClock()
    async with running(fake, clock, on_server_request=keep) as runtime:
        first, second = await ask(fake, runtime), await ask(fake, runtime)
        assert (kept, runtime._desk._tasks) == ([first.id, second.id], set())
        runtime.ticket(kept[0]).accept(by="alice@example.org")
        await clock.advance(60.0)
        assert (first.outcome, second.outcome) == ("accepted", "declined")


async def test_a_plain_function_may_return_any_awaitable() -> None:
    """It is waited for, like a coroutine; if the ticket is still open by then, the answer is no."""
    fake, work = FakeAppServer(), list[asyncio.Future[None]]()

    def handler(_: Ticket) -> asyncio.Future[None]:
        work.append(asyncio.get_running_loop().create_future())
        return work[-1]

    async with running(fake, on_server_request=handler) as runtime:
        answered, forgotten = await ask(fake, runtime), await ask(fake, runtime)
        await turns()
        assert (answered.outcome, forgotten.outcome) == (None, None)
        answered.accept()
        work[1].set_result(None)
        await fake.until(lambda: len(fake.answers) == 2)
        assert [answer.decision for answer in fake.answers] == ["accept", "decline"]
        assert work[0].cancelled(), "nobody waits for it any more"
        assert forgotten.reason == "the handler gave no answer"


async def test_what_a_plain_function_returns_says_nothing() -> None:
    """Neither a yes nor a no: it has kept the ticket."""
    fake, clock = FakeAppServer(), ManualClock()
    async with running(fake, clock, on_server_request=lambda _: True, server_request_deadline=5.0) as runtime:
        ticket = await ask(fake, runtime)
        await turns()
        assert (ticket.outcome, ticket.holder) == (None, "reader")
        await clock.advance(5.0)
        assert (ticket.outcome, ticket.holder) == ("declined", "deadline")


async def test_each_method_may_have_its_own_handler() -> None:
    """What none is there for is left to whoever iterates, and else declined."""
    seen: list[str] = []

    def commands(ticket: Ticket) -> None:
        seen.append(ticket.method)
        ticket.accept()

    async def changes(ticket: Ticket) -> None:
        seen.append(ticket.method)
        ticket.cancel()

    fake = FakeAppServer()
    handlers = {rules.COMMAND: commands, rules.FILE_CHANGE: changes}
    async with running(fake, on_server_request=handlers) as runtime:
        for method in (rules.COMMAND, rules.FILE_CHANGE, rules.PERMISSIONS):
            fake.play(Ask(method, KINDS[method][0]))
        await fake.until(lambda: len(fake.answers) == 3)
        assert seen == [rules.COMMAND, rules.FILE_CHANGE]
        assert {answer.method: answer.decision for answer in fake.answers} == {
            rules.COMMAND: "accept",
            rules.FILE_CHANGE: "cancel",
            rules.PERMISSIONS: None,
        }
        async with task(anext(runtime.server_requests())) as reader:  # type: ignore[arg-type]
            await turns()
            fake.play(Ask(rules.PERMISSIONS, KINDS[rules.PERMISSIONS][0]))
            (await reader).grant(network=True)
        await fake.until(lambda: len(fake.answers) == 4)
        assert fake.answers[3].result == {"permissions": {"network": {"enabled": True}}, "scope": "turn"}


async def test_a_handler_cancelled_before_it_began_leaves_nothing() -> None:
    """The request is resolved in the read that brought it: no coroutine is left that nobody ran."""

    async def handler(ticket: Ticket) -> None:
        raise AssertionError(ticket)

    wire = Wire()
    async with running(wire, on_server_request=handler) as runtime:
        wire.say(
            {"id": 0, "method": rules.COMMAND, "params": THREAD},
            {"method": "serverRequest/resolved", "params": {"requestId": 0}},
        )
        await turns()
        assert dict(runtime.metrics.settled) == {"withdrawn": 1}
        assert runtime.metrics.guest_errors == 0


async def test_a_request_whose_id_cannot_be_sent_back_is_malformed() -> None:
    """An answer under another id would reach nobody, so there is no ticket, and nobody is asked."""
    seen: list[Ticket] = []
    wire = Wire()
    async with running(wire, on_server_request=seen.append) as runtime:
        written = len(wire.sent)
        bad = {"id": "\ud800", "method": rules.COMMAND, "params": THREAD}
        wire.say(bad, bad, {"id": 1, "method": rules.COMMAND}, {"id": "b", "method": rules.COMMAND})
        assert (runtime.metrics.malformed, runtime.metrics.server_requests) == (2, 2)
        assert [ticket.envelope.rpc_id for ticket in seen] == [1, "b"]
        assert len(wire.sent) == written


async def test_whoever_answers_is_seen_among_the_tasks() -> None:
    """By the method that it answers."""
    names: list[str] = []

    async def handler(ticket: Ticket) -> None:
        here = asyncio.current_task()
        names.append(here.get_name() if here is not None else "")
        ticket.decline()

    fake = FakeAppServer()
    async with running(fake, on_server_request=handler):
        fake.play(Ask(rules.COMMAND, THREAD))
        await fake.until(lambda: bool(fake.answers))
    assert names == [f"answer {rules.COMMAND}"]


# -- listeners ---------------------------------------------------------------------------------------------------------


async def test_the_listener_of_the_thread_comes_first() -> None:
    """Before the handler; one that refuses or raises makes way for the next."""
    seen: list[str] = []

    async def handler(ticket: Ticket) -> None:
        seen.append(ticket.params["threadId"])
        ticket.decline()

    fake = FakeAppServer()
    async with running(fake, on_server_request=handler) as runtime:
        refusing, raising, taking = Taker(takes=False), Taker(error=ZeroDivisionError()), Taker()
        stops = [runtime.listen("t", taker) for taker in (refusing, raising, taking)]
        ticket = await ask(fake, runtime)
        assert [len(taker.tickets) for taker in (refusing, raising, taking)] == [1, 1, 1]
        assert (seen, runtime.metrics.guest_errors) == ([], 1)
        ticket.accept()
        stops[2]()
        fake.play(Ask(rules.COMMAND, {**THREAD, "threadId": "t"}), Ask(rules.COMMAND, {**THREAD, "threadId": "other"}))
        await until(lambda: seen == ["t"])
        await fake.until(lambda: len(fake.answers) == 3)
        assert seen == ["t", "other"]


@pytest.mark.parametrize("error", [None, ZeroDivisionError()])
@pytest.mark.parametrize("handled", [False, True])
async def test_a_listener_that_settles_has_taken(error: Exception | None, handled: bool) -> None:  # noqa: FBT001
    """Also if it says no word about it, and also if it breaks afterwards: nobody else is bothered, nothing else breaks."""
    seen: list[Ticket] = []

    async def handler(ticket: Ticket) -> None:
        seen.append(ticket)

    fake = FakeAppServer()
    async with running(fake, on_server_request=handler if handled else None) as runtime:
        runtime.listen("t", Taker(takes=False, settles=True, error=error))
        fake.play(Ask(rules.COMMAND, THREAD))
        await fake.until(lambda: bool(fake.answers))
        await turns()
        assert [answer.decision for answer in fake.answers] == ["accept"]
        assert seen == []
        assert await runtime.request("account/read")


async def test_a_taken_ticket_may_be_handed_to_a_handler() -> None:
    """Later, by whoever took it; handing on a settled one does nothing."""
    fake, seen = FakeAppServer(), []

    async def handler(ticket: Ticket) -> None:
        seen.append(ticket)
        ticket.accept()

    async with running(fake) as runtime:
        runtime.listen("t", Taker())
        ticket = await ask(fake, runtime)
        for _ in range(2):
            runtime.answer_with(ticket, handler)
            await turns()
        assert seen == [ticket]
        assert runtime._desk._tasks == set()
        assert [answer.decision for answer in fake.answers] == ["accept"]


# -- the queue ---------------------------------------------------------------------------------------------------------


async def test_while_somebody_iterates_requests_wait_for_them() -> None:
    """In order."""
    fake = FakeAppServer()
    async with running(fake) as runtime:
        answered = []
        async with task(anext(runtime.server_requests())) as first:  # type: ignore[arg-type]
            await turns()
            fake.play(Ask(rules.COMMAND, THREAD))
            (await first).accept()
        await turns()
        requests = runtime.server_requests()
        async with task(anext(requests)) as first:  # type: ignore[arg-type]
            await turns()
            for method in sorted(rules.KNOWN):
                fake.play(Ask(method, KINDS[method][0]))
            ticket = await first
            while True:
                answered.append(ticket.method)
                ticket.reply(KINDS[ticket.method][1])
                if len(answered) == len(KINDS):
                    break
                ticket = await anext(requests)
        assert answered == sorted(rules.KNOWN)
        await fake.until(lambda: len(fake.answers) == 12)
        assert set(runtime.metrics.settled) == {"accepted", "answered", "declined"}


async def test_leaving_the_iteration_declines_what_waits() -> None:
    """And what comes later; what the reader still holds is theirs to settle."""
    fake = FakeAppServer()
    async with running(fake) as runtime:

        async def read_one() -> Ticket:
            async for ticket in runtime.server_requests():
                return ticket
            raise AssertionError

        async with task(read_one()) as reader:
            await turns()
            fake.play(Ask(rules.COMMAND, THREAD))
            fake.play(Ask(rules.FILE_CHANGE, THREAD))
            held = await reader
        await fake.until(lambda: len(fake.answers) == 1)
        fake.play(Ask(rules.PERMISSIONS, THREAD))
        await fake.until(lambda: len(fake.answers) == 2)
        assert [answer.method for answer in fake.answers] == [rules.FILE_CHANGE, rules.PERMISSIONS]
        held.accept()
        await fake.until(lambda: len(fake.answers) == 3)
        assert fake.answers[2].decision == "accept"
        assert runtime._desk._queues == []


async def test_another_iteration_takes_over_what_waits() -> None:
    """A request goes to one reader; when that one leaves, the next is there."""
    fake = FakeAppServer()
    async with running(fake) as runtime:
        first, second = runtime.server_requests(), runtime.server_requests()
        async with task(anext(first)) as one, task(anext(second)) as two:  # type: ignore[arg-type]
            await turns()
            fake.play(Ask(rules.COMMAND, THREAD))
            fake.play(Ask(rules.FILE_CHANGE, THREAD))
            assert (await one).method == rules.COMMAND
            assert not two.done()
            await first.aclose()  # type: ignore[attr-defined]
            (await two).accept()
        assert [ticket.method for ticket in runtime.tickets] == [rules.COMMAND]


async def test_a_cancelled_reader_leaves_the_iteration() -> None:
    """Requests are declined again."""
    fake = FakeAppServer()
    async with running(fake) as runtime:
        async with task(anext(runtime.server_requests())) as reader:  # type: ignore[arg-type]
            await turns()
            assert len(runtime._desk._queues) == 1
            reader.cancel()
            await asyncio.wait([reader])
        assert runtime._desk._queues == []
        fake.play(Ask(rules.COMMAND, THREAD))
        await fake.until(lambda: bool(fake.answers))


async def test_a_reader_that_stopped_reading_costs_a_bounded_amount() -> None:
    """I8: what was settled in the meantime does not wait for it any more."""
    fake, clock = FakeAppServer(), ManualClock()
    async with running(fake, clock, server_request_deadline=5.0, max_open_server_requests=3) as runtime:
        requests = runtime.server_requests()
        async with task(anext(requests)) as reader:  # type: ignore[arg-type]
            await turns()
            for _ in range(4):
                for _ in range(5):
                    fake.play(Ask(rules.COMMAND, THREAD))
                await turns()
                assert len(runtime._desk._queues[0]._items) <= 3
                await clock.advance(5.0)
            assert len(runtime._desk._queues[0]._items) == 0
            assert (await reader).outcome == "declined"
        async with task(anext(requests)) as reader:  # type: ignore[arg-type]
            await turns()
            fake.play(Ask(rules.FILE_CHANGE, THREAD))
            assert (await reader).method == rules.FILE_CHANGE
        assert len(fake.answers) == 20
        await requests.aclose()  # type: ignore[attr-defined]


async def test_an_iteration_may_be_narrow() -> None:
    """To a thread, to methods, or both; what nobody wants is declined, and the first reader that wants it gets it."""
    fake = FakeAppServer()
    async with running(fake) as runtime:
        of_thread = runtime.server_requests(thread="t")
        of_method = runtime.server_requests(methods={rules.FILE_CHANGE})
        async with task(anext(of_thread)) as one, task(anext(of_method)) as two:  # type: ignore[arg-type]
            await turns()
            elsewhere = {**THREAD, "threadId": "other"}
            fake.play(Ask(rules.COMMAND, elsewhere))
            await fake.until(lambda: len(fake.answers) == 1)
            fake.play(Ask(rules.FILE_CHANGE, elsewhere))
            fake.play(Ask(rules.FILE_CHANGE, THREAD))
            assert ((await one).thread_id, (await two).thread_id) == ("t", "other")
            fake.play(Ask(rules.FILE_CHANGE, THREAD))
            fake.play(Ask(rules.COMMAND, THREAD))
            await until(lambda: len(runtime.tickets) == 4)
            await of_thread.aclose()  # type: ignore[attr-defined]
            await fake.until(lambda: len(fake.answers) == 2)
            assert [answer.method for answer in fake.answers] == [rules.COMMAND, rules.COMMAND]
            assert (await anext(of_method)).thread_id == "t"
        await of_method.aclose()  # type: ignore[attr-defined]
        for ticket in runtime.tickets:
            ticket.decline()


async def test_an_iteration_ends_with_the_runtime() -> None:
    """Quietly at the close, with the cause at a death; also one that begins later."""
    fake = FakeAppServer()
    runtime = Runtime(config(fake))
    await runtime.open()

    async def count() -> int:
        return len([ticket async for ticket in runtime.server_requests()])

    async with task(count()) as reader:
        await turns()
        await runtime.aclose()
        assert await reader == 0
    assert await count() == 0

    runtime = Runtime(config(fake))
    await runtime.open()
    async with task(count()) as reader:
        fake.die(code=0)
        await asyncio.wait([reader])
        assert isinstance(reader.exception(), RuntimeDeadError)
    with pytest.raises(RuntimeDeadError):
        await count()
    await runtime.aclose()
    with pytest.raises(RuntimeDeadError):
        await count()


async def test_nobody_iterates_over_what_a_listener_has_settled() -> None:
    """Even if the listener said that it did not take it."""
    fake = FakeAppServer()
    async with running(fake) as runtime:
        runtime.listen("t", Taker(takes=False, settles=True))
        async with task(anext(runtime.server_requests())) as reader:  # type: ignore[arg-type]
            await turns()
            fake.play(Ask(rules.COMMAND, THREAD))
            await fake.until(lambda: bool(fake.answers))
            await turns()
            assert not reader.done()


async def test_whoever_iterates_has_what_they_were_given_in_hand() -> None:
    """Also if others had it before them: the record names the last."""
    fake, kept = FakeAppServer(), list[Decision]()

    class Hesitates(Taker):
        def ticket(self, ticket: Ticket) -> bool:
            ticket.holder = "hook"
            return False

    async with running(fake, on_decision=kept.append) as runtime:
        runtime.listen("t", Hesitates())
        requests = runtime.server_requests()
        async with task(anext(requests)) as reader:  # type: ignore[arg-type]
            await turns()
            fake.play(Ask(rules.COMMAND, THREAD))
            fake.play(Ask(rules.FILE_CHANGE, THREAD))
            (await reader).accept()
            await until(lambda: runtime.tickets)
        await requests.aclose()  # type: ignore[attr-defined]
        await fake.until(lambda: len(fake.answers) == 2)
    assert [(each.decider, each.outcome, each.reason) for each in kept] == [
        ("reader", "accepted", None),
        ("nobody", "declined", "nobody is there to answer"),
    ]


# -- bounds ------------------------------------------------------------------------------------------------------------


async def test_too_many_at_once_are_declined() -> None:
    """M10: the newest, at once; the others keep their place."""
    fake = FakeAppServer()
    async with running(fake, max_open_server_requests=2) as runtime:
        runtime.listen("t", Taker())
        first, second = await ask(fake, runtime), await ask(fake, runtime)
        fake.play(Ask(rules.COMMAND, THREAD))
        await fake.until(lambda: bool(fake.answers))
        assert fake.answers[0].to == fake.asked[2]
        assert runtime.tickets == (first, second)
        first.accept()
        third = await ask(fake, runtime)
        assert runtime.tickets == (second, third)
        assert runtime.metrics.open_server_requests == 2


async def test_there_is_room_for_exactly_as_many_as_was_said() -> None:
    """And the one too many does not cost one of the others its answer at its deadline."""
    kept: list[Decision] = []
    fake, clock = FakeAppServer(), ManualClock()
    async with running(
        fake, clock, on_server_request=lambda _: None, max_open_server_requests=1, on_decision=kept.append
    ) as runtime:
        ticket = await ask(fake, runtime)
        fake.play(Ask(rules.FILE_CHANGE, THREAD))
        await fake.until(lambda: len(fake.answers) == 1)
        assert runtime.tickets == (ticket,)
        await clock.advance(60.0)
        await fake.until(lambda: len(fake.answers) == 2)
    assert [(each.what, each.decider, each.outcome, each.reason) for each in kept] == [
        (rules.FILE_CHANGE, "nobody", "declined", "too many server requests are open"),
        (rules.COMMAND, "deadline", "declined", "nobody answered in time"),
    ]


@pytest.mark.parametrize("unread", [16 * 1024 * 1024, 16 * 1024 * 1024 + 1])
async def test_a_server_that_asks_and_reads_nothing_is_ended(unread: int) -> None:
    """I8: answers that it does not read are kept for it, up to 16 MiB; the end of it says why."""
    wire = Wire()
    async with running(wire, on_server_request=lambda _: None) as runtime:
        wire.unsent = unread
        runtime._desk._unread = unread
        wire.say({"id": 0, "method": rules.COMMAND, "params": THREAD})
        is_too_much = unread > 16 * 1024 * 1024
        assert (wire.is_lost, len(runtime.tickets), runtime.metrics.server_requests) == (
            is_too_much,
            not is_too_much,
            not is_too_much,
        )
        if is_too_much:
            await until(lambda: runtime.connection.phase == "restarting")
            assert "it asks and reads no answers" in str(runtime.connection)


async def test_a_long_request_of_ours_is_no_answer_that_it_does_not_read() -> None:
    """A server that asks before it has read a prompt of 20 MB is as well as can be."""
    wire = Wire()
    async with running(wire, on_server_request=lambda _: None) as runtime:
        wire.unsent = 20 * 1024 * 1024
        for number in range(3):
            wire.say({"id": number, "method": rules.COMMAND, "params": THREAD})
        assert (wire.is_lost, len(runtime.tickets)) == (False, 3)


async def test_the_next_server_answers_for_nothing_of_the_one_before() -> None:
    """Neither for answers that were left unread, nor for ids that were used twice."""
    wire, clock, kept = Wire(), ManualClock(), list[Ticket]()
    async with running(wire, clock, on_server_request=kept.append) as runtime:
        for command in ("ls", "rm"):
            wire.say({"id": 0, "method": rules.COMMAND, "params": {**THREAD, "command": command}})
        runtime._desk._unread = 17 * 1024 * 1024
        wire.end(Exit(signal=9))
        await clock.advance(1.0)
        await until(lambda: runtime.connection.phase == "running")
        wire.unsent = 1
        wire.say({"id": 0, "method": rules.COMMAND, "params": THREAD})
        assert (wire.is_lost, runtime.tickets) == (False, (kept[-1],))


async def test_to_a_server_that_spoils_ids_without_end_nothing_is_allowed() -> None:
    """What can be kept in mind of it has an end, and a yes needs a mind."""
    wire = Wire()
    async with running(wire, on_server_request=lambda _: None) as runtime:
        runtime._desk._spoilt.update(range(1, MAX_SPOILT))
        wire.say({"id": 5000, "method": rules.COMMAND, "params": THREAD})
        assert len(runtime.tickets) == 1
        runtime._desk._spoilt.add(0)
        wire.say({"id": 5001, "method": rules.COMMAND, "params": THREAD})
        assert len(runtime.tickets) == 1


async def test_what_is_asked_again_is_offered_to_who_is_here_by_now() -> None:
    """Whoever kept the ticket may have gone; the same request is still one ticket."""
    wire, seen = Wire(), list[Ticket]()

    def keep(ticket: Ticket) -> bool:
        seen.append(ticket)
        return True

    async with running(wire) as runtime:
        leave = runtime.take("t", keep)
        wire.say({"id": 0, "method": rules.COMMAND, "params": {**THREAD, "threadId": "t"}})
        leave()
        runtime.take("t", keep)
        wire.say({"id": 0, "method": rules.COMMAND, "params": {**THREAD, "threadId": "t"}})
        assert len(seen) == 2
        assert seen[0] is seen[1]
        assert runtime.tickets == (seen[0],)


async def test_two_questions_under_one_id_are_two_noes() -> None:
    """M10: whatever is written under that id may be taken for the answer to either."""
    wire, kept, seen = Wire(), list[Decision](), list[Ticket]()
    async with running(wire, on_server_request=seen.append, on_decision=kept.append) as runtime:
        wire.say({"id": 0, "method": rules.COMMAND, "params": THREAD})
        wire.say({"id": 0, "method": rules.COMMAND, "params": {**THREAD, "command": "rm"}})
        assert runtime.tickets == ()
        assert len(seen) == 1
        twice = "the server asks two things under one id"
        assert [(each.decider, each.outcome, each.reason) for each in kept] == [
            ("server", "withdrawn", twice),
            ("nobody", "declined", twice),
        ]
        wire.say({"id": 0, "method": rules.FILE_CHANGE, "params": THREAD})
        assert runtime.tickets == (), "nobody can tell any more what an answer under this id is for"
        answers = [message["result"] for message in wire.sent if message.get("id") == 0 and "result" in message]
        assert answers == [{"decision": "decline"}] * 2


# -- exactly once ------------------------------------------------------------------------------------------------------


async def test_the_second_answer_is_refused() -> None:
    """I7: nothing of it is written."""
    fake = FakeAppServer()
    async with running(fake) as runtime:
        runtime.listen("t", Taker())
        ticket = await ask(fake, runtime)
        async with task(ticket.wait()) as waiter:
            ticket.decline("I say no")
            assert await waiter == await ticket.wait() == "declined"
        for again in (ticket.accept, ticket.decline, ticket.cancel, lambda: ticket.refuse("no")):
            with pytest.raises(AlreadySettledError, match="already declined"):
                again()
        with pytest.raises(AlreadySettledError):
            ticket.reply({"decision": "accept"})
        ticket.withdraw("too late")
        await turns()
        assert [answer.decision for answer in fake.answers] == ["decline"]
        assert (ticket.outcome, ticket.reason, ticket.is_settled) == ("declined", "I say no", True)
        assert repr(ticket) == f"<Ticket {ticket.id[:8]} {rules.COMMAND} declined>"


@pytest.mark.parametrize("wrong", [None, {}, {"decision": "maybe"}, {"decision": "declined"}, "decline", []])
async def test_an_invalid_answer_leaves_the_ticket_open(wrong: Any) -> None:
    """So that a second try is possible; the server would have treated it as a failed action."""
    fake = FakeAppServer()
    async with running(fake) as runtime:
        runtime.listen("t", Taker())
        ticket = await ask(fake, runtime)
        with pytest.raises(InvalidAnswerError):
            ticket.reply(wrong)
        assert (ticket.is_settled, len(runtime.tickets)) == (False, 1)
        ticket.reply({"decision": "accept"})
        await fake.until(lambda: bool(fake.answers))
        assert [answer.decision for answer in fake.answers] == ["accept"]


async def test_an_answer_that_cannot_be_written_leaves_the_ticket_open() -> None:
    """It has the right form and holds something that is no JSON."""
    fake = FakeAppServer()
    async with running(fake) as runtime:
        runtime.listen("t", Taker())
        ticket = await ask(fake, runtime, rules.TOOL_CALL)
        with pytest.raises(LocalProtocolError):
            ticket.reply({"success": True, "contentItems": [{"type": "inputText", "text": "\ud800"}]})
        assert not ticket.is_settled
        ticket.decline()
        assert ticket.outcome == "declined"


@pytest.mark.parametrize(
    ("settle", "outcome", "result"),
    [
        (lambda ticket: ticket.accept(), "accepted", {"decision": "accept"}),
        (lambda ticket: ticket.accept(for_session=True), "accepted", {"decision": "acceptForSession"}),
        (lambda ticket: ticket.decline(), "declined", {"decision": "decline"}),
        (lambda ticket: ticket.cancel(), "cancelled", {"decision": "cancel"}),
        (lambda ticket: ticket.reply({"decision": "cancel"}), "cancelled", {"decision": "cancel"}),
        (lambda ticket: ticket.refuse("no", code=-1, data={"a": 1}), "refused", None),
    ],
)
async def test_each_way_to_settle_has_its_words_and_its_outcome(settle: Any, outcome: str, result: Any) -> None:
    """And its counter."""
    fake = FakeAppServer()
    async with running(fake) as runtime:
        runtime.listen("t", Taker())
        ticket = await ask(fake, runtime)
        settle(ticket)
        await fake.until(lambda: bool(fake.answers))
        assert (ticket.outcome, fake.answers[0].result) == (outcome, result)
        if outcome == "refused":
            assert fake.answers[0].error == {"code": -1, "message": "no", "data": {"a": 1}}
        assert dict(runtime.metrics.settled) == {outcome: 1}


async def test_consent_is_not_content() -> None:
    """What wants an answer cannot be accepted; it stays open."""
    fake = FakeAppServer()
    async with running(fake) as runtime:
        runtime.listen("t", Taker())
        ticket = await ask(fake, runtime, rules.USER_INPUT)
        with pytest.raises(InvalidAnswerError):
            ticket.accept()
        assert not ticket.is_settled


# -- withdrawn ---------------------------------------------------------------------------------------------------------


async def test_what_the_server_resolves_is_withdrawn() -> None:
    """Nothing is sent; whoever worked on it is stopped; other requests stay."""
    stopped: list[str] = []

    async def handler(ticket: Ticket) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            stopped.append(ticket.method)

    wire = Wire()
    async with running(wire, on_server_request=handler) as runtime:
        wire.say(
            {"id": 0, "method": rules.COMMAND, "params": THREAD},
            {"id": "0", "method": rules.FILE_CHANGE, "params": THREAD},
        )
        await turns()
        first, second = runtime.tickets
        written = len(wire.sent)
        resolved = {"method": "serverRequest/resolved", "params": {"threadId": "t", "requestId": 0}}
        wire.say(resolved, resolved)
        assert (first.outcome, second.outcome) == ("withdrawn", None)
        assert first.reason == "the server no longer needs it"
        await turns()
        assert stopped == [rules.COMMAND]
        assert len(wire.sent) == written
        wire.say(
            {"method": "serverRequest/resolved", "params": {"requestId": "0"}}, {"method": "serverRequest/resolved"}
        )
        assert second.outcome == "withdrawn"
        with pytest.raises(AlreadySettledError, match="withdrawn"):
            second.accept()


async def test_what_a_turn_asked_is_withdrawn_with_the_turn() -> None:
    """An interrupted turn needs no answer."""
    fake = FakeAppServer(Script(Command("ls", approval=True)))
    async with running(fake) as runtime:
        thread = (await runtime.request("thread/start"))["thread"]["id"]
        runtime.listen(thread, Taker())
        reply = await runtime.request("turn/start", {"threadId": thread, "input": [{"type": "text", "text": "hi"}]})
        await until(lambda: runtime.tickets)
        ticket = runtime.tickets[0]
        await runtime.request("turn/interrupt", {"threadId": thread, "turnId": reply["turn"]["id"]})
        await until(lambda: ticket.is_settled)
        assert (ticket.outcome, fake.answers) == ("withdrawn", [])


async def test_the_end_of_a_turn_withdraws_what_that_turn_asked_and_nothing_else() -> None:
    """Other turns, and what belongs to no turn, wait on; other messages about the turn end nothing."""
    wire, kept = Wire(), list[Decision]()
    async with running(wire, on_server_request=lambda _: None, on_decision=kept.append) as runtime:
        wire.say(
            {"id": 0, "method": rules.COMMAND, "params": THREAD},
            {"id": 1, "method": rules.COMMAND, "params": {**THREAD, "turnId": "other"}},
            {"id": 2, "method": rules.ATTESTATION, "params": {}},
            {"id": 3, "method": rules.FILE_CHANGE, "params": THREAD},
        )
        tickets = runtime.tickets
        wire.say({"method": "turn/plan/updated", "params": {"threadId": "t", "turnId": "u", "plan": []}})
        wire.say({"method": "turn/completed", "params": {"threadId": "t", "turn": {}}})
        assert runtime.tickets == tickets
        wire.say(
            {"method": "turn/completed", "params": {"threadId": "t", "turn": {"id": "u", "status": "interrupted"}}},
            {"method": "serverRequest/resolved", "params": {"requestId": 2}},
        )
        assert [ticket.outcome for ticket in tickets] == ["withdrawn", None, "withdrawn", "withdrawn"]
        assert {(each.decider, each.reason) for each in kept} == {("server", "the server no longer needs it")}
        assert runtime._desk._asked == {(0, 1): tickets[1]}, "nothing is kept of the others"


async def test_a_late_answer_never_reaches_the_next_server() -> None:
    """I7, tools of the trade: the next server uses id 0 again, and gets the answer that was meant for it, alone."""
    fake, clock = FakeAppServer(), ManualClock()
    async with running(fake, clock) as runtime:
        runtime.listen("t", Taker())
        old = await ask(fake, runtime)
        await restart(fake, runtime, clock)
        assert (old.outcome, old.reason) == ("withdrawn", "the app server is gone")
        new = await ask(fake, runtime)
        assert [asked.rpc_id for asked in fake.asked] == [0, 0]
        assert [pending.generation for pending in runtime.state.pending.values()] == [1]
        with pytest.raises(AlreadySettledError):
            old.accept()
        await turns()
        assert fake.answers == []
        new.decline()
        await fake.until(lambda: bool(fake.answers))
        await turns()
        assert [(answer.generation, answer.decision) for answer in fake.answers] == [(1, "decline")]
        assert (old.id != new.id, old.generation, new.generation) == (True, 0, 1)


async def test_an_answer_in_the_moment_of_the_death_goes_nowhere() -> None:
    """The server is dead, and we do not know it yet."""
    fake, clock = FakeAppServer(), ManualClock()
    async with running(fake, clock) as runtime:
        runtime.listen("t", Taker())
        ticket = await ask(fake, runtime)
        fake.die()
        ticket.accept()
        await turns()
        await clock.advance(1.0)
        await runtime.wait_ready()
        assert fake.answers == []


async def test_closing_withdraws_what_is_open_and_stops_the_handlers() -> None:
    """G7."""
    stopped = asyncio.Event()

    async def handler(_: Ticket) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()

    fake = FakeAppServer()
    async with running(fake, on_server_request=handler) as runtime:
        ticket = await ask(fake, runtime)
        await turns()
    assert stopped.is_set()
    assert (ticket.outcome, runtime.tickets, fake.answers) == ("withdrawn", (), [])


async def test_a_runtime_that_was_closed_has_nothing_planned() -> None:
    """I20: the deadlines of its tickets went with it."""
    fake, clock = FakeAppServer(), ManualClock()
    async with running(fake, clock, watchdog=None, on_server_request=lambda _: None) as runtime:
        await ask(fake, runtime)
        assert clock.planned > 0
    assert clock.planned == 0


async def test_closing_does_not_wait_for_a_handler_that_will_not_go() -> None:
    """Bounded, in real time; the handler is on its own from there."""
    release = asyncio.Event()

    async def stays(_: Ticket) -> None:
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue

    fake = FakeAppServer()
    runtime = Runtime(config(fake, on_server_request=stays, graces=Graces(terminate=0.05)))
    await runtime.open()
    await ask(fake, runtime)
    await turns()
    async with asyncio.timeout(2.0):
        await runtime.aclose()
    release.set()


async def test_a_handler_may_close_the_runtime() -> None:
    """It does not wait for itself."""
    fake = FakeAppServer()

    async def closes(_: Ticket) -> None:
        await runtime.aclose()

    runtime = Runtime(config(fake, on_server_request=closes))
    await runtime.open()
    fake.play(Ask(rules.COMMAND, THREAD))
    await until(lambda: runtime.connection.phase == "closed")


# -- the record --------------------------------------------------------------------------------------------------------


async def test_every_ticket_is_on_record_however_it_ends() -> None:
    """Who, what, when, why, and what was shown; by whom is told for each road that a ticket may take."""
    kept: list[Decision] = []

    async def handler(ticket: Ticket) -> None:
        if ticket.params["command"] == "forget":
            return
        ticket.accept(reason="harmless", for_session=True)

    fake, clock = FakeAppServer(), ManualClock()
    handlers: Any = {rules.COMMAND: handler, rules.PERMISSIONS: lambda _: None, rules.FILE_CHANGE: lambda _: None}
    async with running(fake, clock, on_server_request=handlers, on_decision=kept.append) as runtime:
        fake.play(Ask(rules.COMMAND, {**THREAD, "command": "ls"}))
        await fake.until(lambda: len(fake.answers) == 1)
        fake.play(Ask(rules.COMMAND, {**THREAD, "command": "forget"}), Ask(rules.ATTESTATION, {}), Ask("brand/new", {}))
        await fake.until(lambda: len(fake.answers) == 4)
        asked = await ask(fake, runtime, rules.PERMISSIONS)
        await clock.advance(2.5)
        runtime.ticket(asked.id).grant(by="alice@example.org", reason="not today")
        await ask(fake, runtime, rules.PERMISSIONS)
        await clock.advance(60.0)
        await ask(fake, runtime, rules.FILE_CHANGE)
    told = [(each.decider, each.outcome, each.scope, each.by, each.reason) for each in kept]
    assert sorted(told[1:4]) == [
        ("handler", "declined", None, None, "the handler gave no answer"),
        ("nobody", "refused", None, None, "nobody is there to answer"),
        ("nobody", "refused", None, None, "unknown to this version"),
    ]
    assert [told[0], *told[4:]] == [
        ("handler", "accepted", "session", None, "harmless"),
        ("reader", "declined", None, "alice@example.org", "not today"),
        ("deadline", "declined", None, None, "nobody answered in time"),
        ("server", "withdrawn", None, None, "the app server is gone"),
    ]
    first, granted = kept[0], kept[4]
    assert (first.what, first.thread_id, first.turn_id, first.item_id) == (rules.COMMAND, "t", "u", "i")
    assert first.digest == question_of(rules.COMMAND, {"command": "ls"}).digest
    assert (granted.ticket_id, granted.generation, granted.seq) == (asked.id, 0, asked.envelope.seq)
    assert (granted.wait, granted.at - (granted.opened_at or 0)) == (2.5, 2.5)


@pytest.mark.parametrize("waits", [False, True])
async def test_a_handler_that_failed_is_on_record_as_the_one_who_said_no(*, waits: bool) -> None:
    """With the reason; and each failure is counted."""
    kept: list[Decision] = []

    async def breaks(_: Ticket) -> None:
        raise ZeroDivisionError

    def breaks_at_once(_: Ticket) -> None:
        raise ZeroDivisionError

    fake = FakeAppServer()
    handler = breaks if waits else breaks_at_once
    async with running(fake, on_server_request=handler, on_decision=kept.append) as runtime:
        for count in (1, 2):
            fake.play(Ask(rules.COMMAND, THREAD))
            await fake.until(lambda count=count: len(fake.answers) == count)
        assert runtime.metrics.guest_errors == 2
    told = [(each.decider, each.outcome, each.reason) for each in kept]
    assert told == [("handler", "declined", "the handler failed")] * 2


async def test_a_record_keeper_that_fails_costs_its_entry_only() -> None:
    """The answer was given before it was told, and the failure is counted."""

    def fail(_: Decision) -> None:
        raise OSError("disk full")

    fake = FakeAppServer()
    async with running(fake, on_decision=fail) as runtime:
        for count in (1, 2):
            fake.play(Ask(rules.COMMAND, THREAD))
            await fake.until(lambda count=count: len(fake.answers) == count)
        assert (runtime.metrics.guest_errors, runtime.tickets) == (2, ())


async def test_without_a_record_nothing_is_put_into_words() -> None:
    """A ticket costs what its answer costs."""
    fake = FakeAppServer()
    async with running(fake) as runtime:
        runtime.listen("t", Taker())
        ticket = await ask(fake, runtime)
        ticket.accept()
        assert ticket._question is None


async def test_how_long_each_outcome_took_is_measured() -> None:
    """All kinds by outcome, and once more those that ask for leave."""
    fake, clock = FakeAppServer(), ManualClock()
    async with running(fake, clock, on_server_request=lambda _: None, server_request_deadline=9.0) as runtime:
        command, time = await ask(fake, runtime), await ask(fake, runtime, rules.CURRENT_TIME)
        await clock.advance(2.5)
        command.accept()
        time.give_time()
        fake.play(Ask("brand/new", {}))
        await fake.until(lambda: len(fake.answers) == 3)
        await ask(fake, runtime, rules.FILE_CHANGE)
        await clock.advance(9.0)
        seen = runtime.metrics
    times = {name: (each.count, each.sum) for name, each in seen.settle_times.items()}
    assert times == {"accepted": (1, 2.5), "answered": (1, 2.5), "refused": (1, 0.0), "declined": (1, 9.0)}
    assert seen.server_requests == 4
    approvals = {name: (each.count, each.sum) for name, each in seen.approvals.items()}
    assert approvals == {"accepted": (1, 2.5), "declined": (1, 9.0)}


async def test_an_answer_that_is_a_secret_is_not_shown_to_those_who_follow_both_directions() -> None:
    """S18: its form is; what is not a secret is, and so is a refusal, which holds none."""
    fake = FakeAppServer()
    async with running(fake, on_server_request=lambda _: None) as runtime:
        both = runtime.subscribe(outbound=True)
        (await ask(fake, runtime, rules.ATTESTATION)).give_attestation("the-token")
        (await ask(fake, runtime, rules.ATTESTATION)).refuse("no attestation here")
        (await ask(fake, runtime, rules.COMMAND)).accept()
        await fake.until(lambda: len(fake.answers) == 3)
        assert fake.answers[0].result == {"token": "the-token"}
        shown: list[Any] = []
        async for envelope in both:
            if envelope.kind == "answer":
                shown.append({**envelope.message, "id": None})
            if len(shown) == 3:
                break
    assert shown == [
        {"id": None, "result": {"token": HIDDEN}},
        {"id": None, "error": {"code": -32000, "message": "no attestation here"}},
        {"id": None, "result": {"decision": "accept"}},
    ]


# -- what is seen ------------------------------------------------------------------------------------------------------


async def test_the_state_shows_what_is_open() -> None:
    """From before anybody hears of it until it is settled, by whomever."""
    shown: list[Any] = []
    fake, clock = FakeAppServer(), ManualClock()

    class Looks(Taker):
        def ticket(self, ticket: Ticket) -> bool:
            shown.append(runtime.state.pending[ticket.id])
            return True

    async with running(fake, clock, server_request_deadline=9.0) as runtime:
        runtime.listen("t", Looks())
        ticket = await ask(fake, runtime)
        (pending,) = runtime.state.pending.values()
        assert shown == [pending]
        assert (pending.ticket_id, pending.method, pending.generation) == (ticket.id, rules.COMMAND, 0)
        assert (pending.thread_id, pending.turn_id, pending.item_id) == ("t", "u", "i")
        assert (pending.opened_at, pending.deadline) == (clock.wall(), clock.monotonic() + 9.0)
        ticket.accept()
        assert dict(runtime.state.pending) == {}
        await ask(fake, runtime)
        fake.die()
        await until(lambda: not runtime.state.pending)
        assert dict(runtime.metrics.settled) == {"accepted": 1, "withdrawn": 1}


async def test_a_ticket_is_found_by_its_id_while_it_is_open() -> None:
    """And by no other."""
    fake = FakeAppServer()
    async with running(fake) as runtime:
        runtime.listen("t", Taker())
        ticket = await ask(fake, runtime)
        assert runtime.ticket(ticket.id) is ticket
        for wrong in ("", "0", ticket.id[:-1]):
            with pytest.raises(ServerRequestNotFoundError, match=f"no open server request has the id '{wrong}'"):
                runtime.ticket(wrong)
        ticket.decline()
        with pytest.raises(ServerRequestNotFoundError):
            runtime.ticket(ticket.id)


async def test_without_a_state_requests_are_settled_all_the_same() -> None:
    """The board is only for show."""
    fake = FakeAppServer()
    async with running(fake, state=False) as runtime:
        fake.play(Ask(rules.COMMAND, THREAD))
        await fake.until(lambda: bool(fake.answers))
        assert runtime.metrics.settled == {"declined": 1}


async def test_the_same_request_twice_is_one() -> None:
    """M10: a server may repeat what it has asked; one answer is for both, and so is one resolution."""
    wire = Wire()
    async with running(wire) as runtime:
        runtime.listen("t", Taker())
        asked = {"id": 0, "method": rules.COMMAND, "params": THREAD}
        wire.say(asked, asked)
        wire.say(asked)
        assert len(runtime.tickets) == 1
        assert runtime.metrics.server_requests == 1
        wire.say({"method": "serverRequest/resolved", "params": {"requestId": 0}})
        assert runtime.tickets == ()
        assert runtime._desk._asked == {}, "nothing is kept of it"
        wire.end(Exit(code=0))


async def test_the_entries_of_the_state_are_the_same_as_long_as_they_are_open() -> None:
    """A snapshot that is compared with the last one tells what has changed; none can be changed by a reader."""
    fake = FakeAppServer()
    async with running(fake, on_server_request=lambda _: None) as runtime:
        first = await ask(fake, runtime)
        before = runtime.state.pending
        await ask(fake, runtime)
        assert runtime.state.pending[first.id] is before[first.id]
        assert (len(before), len(runtime.state.pending)) == (1, 2)
        with pytest.raises(TypeError):
            before["x"] = before[first.id]  # type: ignore[index]
