"""Server requests, settled from ordinary threads."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from codex_runtime import ApprovalRequested, RuntimeConfig
from codex_runtime.errors import AlreadySettledError, InvalidAnswerError, ServerRequestNotFoundError
from codex_runtime.sync import Client, Ticket
from codex_runtime.testing import Ask, AskUser, Command, FakeAppServer, ManualClock, Question, Script

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def ask() -> Iterator[Callable[[Script], Ticket]]:
    """Have the server ask for something, and return the ticket."""
    fake = FakeAppServer()
    with Client(RuntimeConfig(launcher=fake)) as client, client.start_session() as session:

        def ask(script: Script) -> Ticket:
            fake.on_turn(script)
            turn = session.stream("go", approvals="stream").__enter__()
            turns.append(turn)
            return next(event.ticket for event in turn if isinstance(event, ApprovalRequested))

        turns: list[object] = []
        yield ask
        for turn in turns:
            turn.__exit__(None, None, None)  # type: ignore[attr-defined]


COMMAND = Script(Command("touch a", approval=True))


def test_a_ticket_says_what_is_asked(ask: Callable[[Script], Ticket]) -> None:
    """The same as the asynchronous one."""
    ticket = ask(COMMAND)
    assert ticket.method == "item/commandExecution/requestApproval"
    assert (ticket.is_approval, ticket.is_settled, ticket.outcome, ticket.reason) == (True, False, None, None)
    assert (ticket.thread_id, ticket.turn_id, ticket.generation) == ("thread-1", "turn-1", 0)
    assert "touch a" in ticket.params["command"]
    assert ticket.item_id == ticket.params["itemId"]
    assert ticket.deadline > 0
    assert ticket.id


@pytest.mark.parametrize(
    ("settle", "outcome"),
    [
        (lambda ticket: ticket.accept(), "accepted"),
        (lambda ticket: ticket.accept(for_session=True), "accepted"),
        (lambda ticket: ticket.decline("why not"), "declined"),
        (lambda ticket: ticket.cancel(), "cancelled"),
        (lambda ticket: ticket.reply({"decision": "accept"}), "accepted"),
        (lambda ticket: ticket.refuse("no", code=-32001, data={"a": 1}), "refused"),
    ],
)
def test_a_ticket_is_settled_once(
    ask: Callable[[Script], Ticket], settle: Callable[[Ticket], None], outcome: str
) -> None:
    """From any thread; the second attempt is told."""
    ticket = ask(COMMAND)
    settler = threading.Thread(target=settle, args=[ticket])
    settler.start()
    assert ticket.wait() == outcome
    settler.join()
    assert (ticket.outcome, ticket.is_settled) == (outcome, True)
    assert ticket.reason == ("why not" if outcome == "declined" else None)
    with pytest.raises(AlreadySettledError):
        settle(ticket)


def test_a_question_is_in_words(ask: Callable[[Script], Ticket]) -> None:
    """The same words as on the loop."""
    assert str(ask(COMMAND).question).startswith("run this command?\n  command: touch a\n")


def test_content_is_given_in_the_same_ways(ask: Callable[[Script], Ticket]) -> None:
    """What fits is written, what does not leaves it open."""
    ticket = ask(Script(AskUser(Question("q", "Which?"))))
    with pytest.raises(InvalidAnswerError, match=r"use give_answers\(\)"):
        ticket.give_time()
    ticket.give_answers({"q": "this"}, by="alice@example.org", reason="it is nicer")
    assert (ticket.wait(), ticket.reason) == ("answered", "it is nicer")


def test_a_client_finds_its_open_tickets() -> None:
    """By their ids, for whoever answers from elsewhere; the time that is told is that of the runtime's clock."""
    fake, kept, clock = FakeAppServer(), threading.Event(), ManualClock()
    config = RuntimeConfig(launcher=fake, clock=clock, on_server_request=lambda _: kept.set())
    with Client(config) as client:
        assert client.tickets == ()
        client._portal.call(fake.play, Ask("currentTime/read", {"threadId": "t"}))
        assert kept.wait(5)
        (ticket,) = client.tickets
        client.ticket(ticket.id).give_time()
        assert ticket.wait() == "answered"
        assert fake.answers[0].result == {"currentTimeAt": int(clock.wall())}
        with pytest.raises(ServerRequestNotFoundError):
            client.ticket(ticket.id)


def test_a_wrong_answer_leaves_it_open(ask: Callable[[Script], Ticket]) -> None:
    """For another attempt."""
    ticket = ask(Script(AskUser(Question("q", "Which?"))))
    with pytest.raises(InvalidAnswerError):
        ticket.accept()
    ticket.reply({"answers": {"q": {"answers": ["this"]}}})
    assert ticket.outcome == "answered"
