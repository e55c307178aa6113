"""The judge of histories: a good run passes, and each thing that can be wrong with one is seen and named.

Whoever trusts a judge has to have seen it convict. Each case here is the good run with one thing bent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from verification.faults.catalogue import INVARIANTS
from verification.faults.history import (
    Answered,
    Asked,
    Born,
    Called,
    Decided,
    Died,
    Ended,
    Greeted,
    Heard,
    Hung,
    Left,
    Loud,
    Missed,
    Received,
    Said,
    Settled,
    Swelled,
    check,
    dump,
    load,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from verification.faults.history import Event

TURN = "first"

GOOD: tuple[Event, ...] = (
    Said(turn=TURN, text="one two three"),
    Called(call="open", bound=1.0, at=10.0),
    Settled(call="open", at=10.5),
    Called(call="turn first", bound=1.0, at=11.0),
    Called(call="call 0", bound=1.0, token="a", at=11.0),
    Settled(call="call 0", value="a", at=11.1),
    Heard(turn=TURN, text="one ", at=11.2),
    Heard(turn=TURN, text="two three", at=11.3),
    Decided(question="rm 1", accept=True),
    Ended(turn=TURN, how="completed", text="one two three"),
    Settled(call="turn first", at=11.9),
    Called(call="close", bound=1.0, at=12.0),
    Settled(call="close", at=12.5),
    Born(generation=0),
    Greeted(generation=0),
    Received(generation=0, method="turn/start"),
    Died(generation=0),
    Born(generation=1),
    Greeted(generation=1),
    Asked(question="rm 1", method="item/commandExecution/requestApproval"),
    Answered(question="rm 1", accept=True, counted=True),
    Died(generation=1),
    Swelled(grew=10, limit=10),
)


def with_(*more: Event) -> list[Event]:
    """The good run, and something after it."""
    return [*GOOD, *more]


def without(*kinds: type[object]) -> list[Event]:
    """The good run, as somebody tells it who leaves these out."""
    return [event for event in GOOD if not isinstance(event, kinds)]


def bent(kind: type[object], bend: Callable[[Event], Event], number: int = 0) -> list[Event]:
    """The good run with one event of this kind changed."""
    place = [index for index, event in enumerate(GOOD) if isinstance(event, kind)][number]
    return [*GOOD[:place], bend(GOOD[place]), *GOOD[place + 1 :]]


def but(**changes: object) -> Callable[[Event], Event]:
    """The same event, but for this."""
    return lambda event: msgspec.structs.replace(event, **changes)  # type: ignore[arg-type]


def cut(history: list[Event]) -> list[Event]:
    """The same, of a turn that was lost."""
    return [but(how="lost")(event) if isinstance(event, Ended) else event for event in history]


BAD = [
    ("I1", "a call that hangs", with_(Called(call="call 1", bound=1.0), Hung(call="call 1"))),
    ("I1", "a call that never ends", with_(Called(call="call 1", bound=1.0))),
    ("I1", "a call that ends twice", with_(Settled(call="call 0", value="a"))),
    ("I1", "a call that ends too late", bent(Settled, but(at=11.5), 0)),
    ("I1", "an error that nobody documents", bent(Settled, but(error="KeyError", typed=False), 2)),
    ("I1", "an end of what was never begun", with_(Settled(call="call 7"))),
    ("I2", "the answer to another call", bent(Settled, but(value="b"), 1)),
    ("I2", "no answer at all", bent(Settled, but(value=None), 1)),
    ("I3", "pieces in another order", cut(bent(Heard, but(text="three"), 0))),
    ("I3", "what nobody said", cut(bent(Heard, but(text="one four "), 0))),
    ("I4", "text that is missing", bent(Heard, but(text="two"), 1)),
    ("I4", "a result that is not whole", bent(Ended, but(text="one two"))),
    ("I5", "a turn that is over twice", with_(Ended(turn=TURN, how="lost"))),
    ("I5", "a turn that was heard and is never over", without(Ended)),
    ("I5", "a turn that ends without a word", with_(Called(call="turn 2", bound=1.0), Settled(call="turn 2"))),
    ("I6", "a yes of nobody", without(Decided)),
    ("I6", "a yes in place of a no", bent(Decided, but(accept=False))),
    ("I6", "a yes to another question", bent(Decided, but(question="rm 0"))),
    ("I7", "a second answer", with_(Answered(question="rm 1", accept=False, counted=False))),
    ("I7", "an answer to what was not asked", with_(Answered(question="rm 2", accept=False, counted=False))),
    ("I8", "too much memory", bent(Swelled, but(grew=11))),
    ("I9", "a process that is left", with_(Left(things=("process sleep",)))),
    ("I9", "a complaint at the end", with_(Loud(text="Task exception was never retrieved"))),
    ("I10", "too many servers", with_(Born(generation=2), Died(generation=2))),
    ("I11", "two servers at once", bent(Died, but(generation=7), 0)),
    ("I12", "a request before the greeting", without(Greeted)),
    ("I13", "a closing that hangs", with_(Called(call="close again", bound=1.0), Hung(call="close again"))),
    ("I13", "a closing that takes too long", bent(Settled, but(at=13.5), 3)),
    ("I13", "a closing that raises something of its own", bent(Settled, but(error="OSError", typed=False), 3)),
]


def test_a_good_run_passes() -> None:
    """Else nothing could be learned from a verdict."""
    assert check(GOOD, budget=2) == []


@pytest.mark.parametrize(("invariant", "what", "history"), BAD, ids=[f"{name}: {what}" for name, what, _ in BAD])
def test_what_is_wrong_is_named(invariant: str, what: str, history: list[Event]) -> None:
    """Under the invariant that it breaks, and under no other."""
    found = check(history, budget=2)
    assert {violation.invariant for violation in found} == {invariant}, found
    assert all(violation.how for violation in found)


def test_every_invariant_that_it_judges_is_one() -> None:
    """Its names are those of the list."""
    assert {invariant for invariant, _, _ in BAD} <= INVARIANTS.keys()


def test_what_was_told_is_no_silent_loss() -> None:
    """A reader who knows that something is missing was not deceived; what was read must be in order all the same."""
    history = bent(Heard, but(text="three"), 1)
    assert {violation.invariant for violation in check(history)} == {"I4"}
    assert check([*history, Missed(turn=TURN, count=1)]) == []
    assert {violation.invariant for violation in check([*history[::-1], Missed(turn=TURN)])} >= {"I3"}


def test_a_turn_that_is_not_complete_may_be_cut() -> None:
    """Whoever lost a turn was promised what had come, not the rest."""
    shorter = [event for event in bent(Ended, but(text="one ")) if event != GOOD[7]]
    assert {violation.invariant for violation in check(shorter)} == {"I4"}
    assert check(cut(shorter)) == []


def test_a_little_late_is_in_time() -> None:
    """The machine is not ours alone."""
    assert check(bent(Settled, but(at=11.05), 0)) == []


def test_an_error_that_is_documented_is_an_end() -> None:
    """A call that fails has ended."""
    assert check(bent(Settled, but(error="ConnectionLostError", value=None), 1)) == []


def test_without_a_budget_servers_are_not_counted() -> None:
    """Not every run has one."""
    assert check(with_(Born(generation=2), Died(generation=2))) == []


@pytest.mark.parametrize(
    "event", [*GOOD, Hung(call="a"), Missed(turn="a"), Left(things=("a",)), Loud(text="a")], ids=str
)
def test_a_history_can_be_written_down(event: Event) -> None:
    """A client in another process tells it line by line."""
    line = dump(event)
    assert b"\n" not in line
    assert load(line) == event
