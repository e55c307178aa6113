"""The two surfaces are one: same names, same options, without `await`. Every difference is written down here, with its why."""

from __future__ import annotations

import inspect
from functools import cached_property

import pytest

import codex_runtime
from codex_runtime import client as desk
from codex_runtime import sync
from codex_runtime.runtime._answering import Answering

PAIRS = [
    (desk.Client, sync.Client),
    (desk.Session, sync.Session),
    (desk.Turn, sync.Turn),
    (desk.Ticket, sync.Ticket),
]

SPELLED = {
    "aclose": "close",
    "__aenter__": "__enter__",
    "__aexit__": "__exit__",
    "__aiter__": "__iter__",
    "__anext__": "__next__",
}
"""Asynchronous name → synchronous name; all others are the same."""

ASYNC_ONLY = {
    "Client": {
        "app_server": "its methods are coroutines; `request` does the same by name",
        "runtime": "it belongs to the loop; `metrics`, `state` and `request` reach through to it",
    },
    "Session": {
        "runtime": "as in Client",
        "carry_out": "between the session and its turn",
        "begin": "between the session and its turn",
        "end": "between the session and its turn",
        "loose_turn": "between the session and its turn",
        "require_thread": "between the session and its turn",
    },
    "Turn": {
        "envelope": "called inside the dispatch",
        "ticket": "called inside the dispatch",
        "lost": "called inside the dispatch",
        "known_items": "asked for by the runtime",
        "ready": "called inside the dispatch",
        "found": "called inside the dispatch",
        "search": "between the session and its turn",
        "is_away": "between the session and its turn",
        "lose": "between the session and its turn",
        "may_run_on": "between the session and its turn",
    },
    "Ticket": {
        "envelope": "a message of the loop; what matters of it has names of its own",
        "withdraw": "done by the runtime",
        "holder": "told by the record of decisions",
        "__repr__": "the default one does",
    },
}
SYNC_ONLY = {
    "Client": {
        "metrics": "of `runtime`, by a call on the loop",
        "state": "of `runtime`, by a call on the loop",
        "request": "of `runtime`, by a call on the loop",
        "tickets": "of `runtime`, by a call on the loop",
        "ticket": "of `runtime`, by a call on the loop",
    },
}

OF_INSTANCES = {
    "Client": {"runtime", "profile"},
    "Session": {"runtime", "thread_id", "cwd", "profile"},
    "Ticket": {
        "id",
        "method",
        "envelope",
        "generation",
        "deadline",
        "holder",
        "outcome",
        "reason",
    },
}
"""What asynchronous objects have as attributes, set when they are made."""
SET_IN_SYNC_TICKETS = OF_INSTANCES["Ticket"] - {"envelope", "holder", "outcome", "reason"}


def names(owner: type) -> set[str]:
    """The public names of a class, and the special ones that make it a block or an iterator."""
    return {
        name
        for name, member in vars(owner).items()
        if (not name.startswith("_") or name in (*SPELLED, *SPELLED.values(), "__repr__")) and not name.endswith("_cls")
        if callable(member) or isinstance(member, (property, cached_property))
    }


@pytest.mark.parametrize(("slow", "plain"), PAIRS, ids=lambda owner: owner.__name__)
def test_the_names_are_the_same(slow: type, plain: type) -> None:
    """But for those that are listed above."""
    name = slow.__name__
    expected = {SPELLED.get(each, each) for each in names(slow) | OF_INSTANCES.get(name, set())}
    expected = expected - set(ASYNC_ONLY[name]) | set(SYNC_ONLY.get(name, {}))
    found = names(plain) | (SET_IN_SYNC_TICKETS if plain is sync.Ticket else set())
    assert found == expected


@pytest.mark.parametrize(("slow", "plain"), PAIRS, ids=lambda owner: owner.__name__)
def test_the_parameters_are_the_same(slow: type, plain: type) -> None:
    """Names, kinds, defaults and types; only what is asynchronous in a type differs."""
    for name in sorted(names(slow) - set(ASYNC_ONLY[slow.__name__])):
        ours, theirs = vars(slow)[name], vars(plain)[SPELLED.get(name, name)]
        if isinstance(ours, cached_property):
            ours = property(ours.func)
        if isinstance(ours, property):
            assert isinstance(theirs, property), name
            ours, theirs = ours.fget, theirs.fget
        assert parameters(ours) == parameters(theirs), name
        assert inspect.signature(ours).return_annotation == inspect.signature(theirs).return_annotation, name


def test_both_tickets_are_answered_in_the_same_ways() -> None:
    """The ways are written once; neither changes one."""
    for ticket in (desk.Ticket, sync.Ticket):
        assert issubclass(ticket, Answering)
        assert {name for name in vars(ticket) if not name.startswith("_")} & set(vars(Answering)) <= {"method"}
    assert {name for name in desk.Ticket.__slots__ if not name.startswith("_")} == OF_INSTANCES["Ticket"]


def test_making_a_client_takes_the_same() -> None:
    """The other classes are made for the user."""
    assert parameters(desk.Client.__init__) == parameters(sync.Client.__init__)


def test_quick_run_is_the_same() -> None:
    """The shortest way in takes the same."""
    assert parameters(codex_runtime.quick_run) == parameters(sync.quick_run)


def parameters(function: object) -> list[tuple[str, object, object, str]]:
    """What a function takes; a type of ours that only renames an asynchronous one counts as that one."""
    assert callable(function)
    return [
        (each.name, each.kind, each.default, str(each.annotation).replace("Unpack[Sync", "Unpack["))
        for each in inspect.signature(function).parameters.values()
    ]


def test_nothing_that_waits_is_left_asynchronous() -> None:
    """A coroutine function here would never run."""
    for _, plain in PAIRS:
        assert [name for name, member in vars(plain).items() if inspect.iscoroutinefunction(member)] == []


def test_every_difference_is_still_one() -> None:
    """An exception that is no longer needed is taken off the lists."""
    for slow, plain in PAIRS:
        here = names(slow) | OF_INSTANCES.get(slow.__name__, set())
        assert set(ASYNC_ONLY[slow.__name__]) <= here
        assert set(SYNC_ONLY.get(slow.__name__, {})) <= names(plain)
