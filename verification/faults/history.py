"""What happened in one run, told by both sides, and the judge of it.

A run is a list of events. The client's owner writes down what was called and how it ended, what was read and what was
decided; the server's side writes down what it said, asked and heard, and who lived when. :func:`check` reads all of it and
returns each invariant that was broken, with the events that show it. It knows nothing of any client, starts nothing and
waits for nothing: whoever ran it says with :class:`Hung` what had not ended in time.

The one idea: no eye decides whether a run was good. The same judge reads the runs of every client.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

import msgspec

__all__ = [
    "Answered",
    "Asked",
    "Born",
    "Called",
    "Decided",
    "Died",
    "Ended",
    "Event",
    "Greeted",
    "Heard",
    "Hung",
    "Left",
    "Loud",
    "Missed",
    "Said",
    "Settled",
    "Swelled",
    "Violation",
    "check",
    "dump",
    "load",
]


class _Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="what"):
    """Something that happened, ``at`` so many seconds on one clock of the machine."""

    at: float = 0.0


# -- what the client's owner saw -------------------------------------------------------------------------------------


class Called(_Event, frozen=True, tag="called"):
    """Something was begun that has to end within ``bound`` seconds. ``call`` names it, once in a run.

    ``token`` is what a faithful answer contains, if the call is one whose answer can be told from all others.
    """

    call: str
    bound: float
    token: str | None = None


class Settled(_Event, frozen=True, tag="settled"):
    """It ended: with a value, or with an error, whose type is ``error``. ``typed``: the error is one that the client documents."""

    call: str
    error: str | None = None
    typed: bool = True
    value: str | None = None


class Hung(_Event, frozen=True, tag="hung"):
    """It had not ended when its bound was over, and was given up."""

    call: str


class Heard(_Event, frozen=True, tag="heard"):
    """A reader got this piece of text of a turn."""

    turn: str
    text: str


class Missed(_Event, frozen=True, tag="missed"):
    """A reader was told that something is missing: ``count`` messages, or an unknown number."""

    turn: str
    count: int | None = None


class Ended(_Event, frozen=True, tag="ended"):
    """A reader was told that the turn is over, and how: completed, failed, interrupted, lost, timed out, unknown."""

    turn: str
    how: str
    text: str | None = None


class Decided(_Event, frozen=True, tag="decided"):
    """The owner said yes (or no) to what this generation asked under this id."""

    question: str
    accept: bool


class Swelled(_Event, frozen=True, tag="swelled"):
    """The client's process grew by so many bytes while it was allowed ``limit``."""

    grew: int
    limit: int


class Loud(_Event, frozen=True, tag="loud"):
    """Something was thrown where nobody could catch it: a warning at exit, a task's lost exception, a traceback of a thread."""

    text: str


# -- what the server's side saw --------------------------------------------------------------------------------------


class Born(_Event, frozen=True, tag="born"):
    """A generation of the server began to run."""

    generation: int


class Greeted(_Event, frozen=True, tag="greeted"):
    """The client said ``initialized`` to this generation."""

    generation: int


class Received(_Event, frozen=True, tag="received"):
    """A request that was no greeting reached this generation."""

    generation: int
    method: str


class Died(_Event, frozen=True, tag="died"):
    """A generation is gone."""

    generation: int


class Said(_Event, frozen=True, tag="said"):
    """The server wrote this piece of text of a turn."""

    turn: str
    text: str


class Asked(_Event, frozen=True, tag="asked"):
    """The server asked for something; ``question`` names generation and id."""

    question: str
    method: str


class Answered(_Event, frozen=True, tag="answered"):
    """An answer came. ``accept``: it permits what was asked. ``counted``: it was the first, and still wanted."""

    question: str
    accept: bool
    counted: bool


class Left(_Event, frozen=True, tag="left"):
    """After all was closed, this was still there: processes, threads, descriptors, in words."""

    things: tuple[str, ...]


Event: TypeAlias = (
    Called
    | Settled
    | Hung
    | Heard
    | Missed
    | Ended
    | Decided
    | Swelled
    | Loud
    | Born
    | Greeted
    | Received
    | Died
    | Said
    | Asked
    | Answered
    | Left
)

SLACK = 0.1
"""By how many seconds a bound may be overrun before it counts: the machine is not ours alone."""


class Violation(msgspec.Struct, frozen=True):
    """An invariant that was broken, and how that is seen."""

    invariant: str
    how: str


# -- the judge -------------------------------------------------------------------------------------------------------


def check(history: Sequence[Event], *, budget: int | None = None) -> list[Violation]:
    """Return what was broken; nothing if all is well. ``budget``: the most generations that may be started."""
    found = [Violation(name, how) for name, rule in _RULES for how in rule(history)]
    launches = sum(isinstance(event, Born) for event in history)
    if budget is not None and launches > budget:
        found.append(Violation("I10", f"{launches} servers were started, {budget} were allowed"))
    return found


def _settles(history: Sequence[Event]) -> Iterator[str]:
    """Every call ends exactly once, in time, with a value or a documented error."""
    yield from _ends(history, closing=False)


def _closes(history: Sequence[Event]) -> Iterator[str]:
    """So does every closing."""
    yield from _ends(history, closing=True)


def _ends(history: Sequence[Event], *, closing: bool) -> Iterator[str]:
    history = [
        event
        for event in history
        if isinstance(event, Called | Settled | Hung) and (event.call.partition(" ")[0] == "close") is closing
    ]
    called = {event.call: event for event in history if isinstance(event, Called)}
    ends: defaultdict[str, list[Settled]] = defaultdict(list)
    for event in history:
        if isinstance(event, Settled):
            ends[event.call].append(event)
    hung = {event.call for event in history if isinstance(event, Hung)}
    for name, call in called.items():
        ended = ends[name]
        if name in hung or not ended:
            yield f"{name} had not ended after {call.bound:g} s"
            continue
        if len(ended) > 1:
            yield f"{name} ended {len(ended)} times"
        if (took := ended[0].at - call.at) > call.bound + SLACK:
            yield f"{name} took {took:.2f} s of {call.bound:g}"
        if not ended[0].typed:
            yield f"{name} ended with {ended[0].error}, which is not documented"
    yield from (f"{name} ended and was never begun" for name in ends.keys() - called.keys())


def _keeps_answers_apart(history: Sequence[Event]) -> Iterator[str]:
    """The value of a call is the one that was meant for it."""
    tokens = {event.call: event.token for event in history if isinstance(event, Called) and event.token}
    for event in history:
        if isinstance(event, Settled) and event.error is None and event.call in tokens:
            token = tokens[event.call]
            if event.value != token:
                yield f"{event.call} was answered with {event.value!r} instead of {token!r}"


def _texts(history: Sequence[Event], kind: type[Said | Heard]) -> dict[str, list[str]]:
    texts: defaultdict[str, list[str]] = defaultdict(list)
    for event in history:
        if isinstance(event, kind):
            texts[event.turn].append(event.text)
    return texts


def _keeps_order(history: Sequence[Event]) -> Iterator[str]:
    """What is read of a turn stands in that order in what was said; pieces may have been joined."""
    said = _texts(history, Said)
    for turn, pieces in _texts(history, Heard).items():
        whole, position = "".join(said.get(turn, ())), 0
        for piece in pieces:
            found = whole.find(piece, position)
            if found < 0:
                yield f"{turn}: {piece[:40]!r} was not said after what was read before"
                break
            position = found + len(piece)


def _loses_nothing_silently(history: Sequence[Event]) -> Iterator[str]:
    """A turn that is said to be complete was read whole, or its reader was told that something is missing."""
    said, heard = _texts(history, Said), _texts(history, Heard)
    told = {event.turn for event in history if isinstance(event, Missed)}
    for event in history:
        if not isinstance(event, Ended) or event.how != "completed":
            continue
        whole = "".join(said.get(event.turn, ()))
        read = "".join(heard.get(event.turn, ()))
        if event.turn not in told and read != whole:
            yield f"{event.turn} is complete, {len(read)} of {len(whole)} characters were read, and nobody was told"
        if event.text is not None and event.text != whole:
            yield f"{event.turn} is complete, and its result has {len(event.text)} of {len(whole)} characters"


def _ends_turns_once(history: Sequence[Event]) -> Iterator[str]:
    """A turn that was read, to its end or in part, is over exactly once."""
    ends = Counter(event.turn for event in history if isinstance(event, Ended))
    begun = {event.turn for event in history if isinstance(event, Heard)} | ends.keys()
    for event in history:
        kind, _, turn = event.call.partition(" ") if isinstance(event, Settled) else ("", "", "")
        if kind == "turn":
            begun.add(turn)
    for turn in sorted(begun):
        if ends[turn] != 1:
            yield f"{turn} was over {ends[turn]} times"


def _accepts_only_what_was_decided(history: Sequence[Event]) -> Iterator[str]:
    """A yes on the wire follows a yes of the owner to that very question."""
    allowed: set[str] = set()
    for event in history:
        if isinstance(event, Decided) and event.accept:
            allowed.add(event.question)
        if isinstance(event, Answered) and event.accept and event.question not in allowed:
            yield f"{event.question} was accepted, and nobody had said so"


def _answers_once(history: Sequence[Event]) -> Iterator[str]:
    """No question gets a second answer, and no other generation's question one."""
    answers = Counter(event.question for event in history if isinstance(event, Answered))
    asked = {event.question for event in history if isinstance(event, Asked)}
    yield from (f"{question} was answered {count} times" for question, count in answers.items() if count > 1)
    yield from (f"{question} was answered and never asked" for question in answers.keys() - asked)


def _stays_bounded(history: Sequence[Event]) -> Iterator[str]:
    """Memory stays within its limit, whatever comes in."""
    for event in history:
        if isinstance(event, Swelled) and event.grew > event.limit:
            yield f"grew by {event.grew / 2**20:.0f} MiB, {event.limit / 2**20:.0f} were allowed"


def _leaves_nothing(history: Sequence[Event]) -> Iterator[str]:
    """After the end nothing is there that was not there before, and nothing complains."""
    for event in history:
        if isinstance(event, Left):
            yield from (f"left behind: {thing}" for thing in event.things)
        if isinstance(event, Loud):
            yield f"said at its end: {event.text[:200]}"


def _lets_one_live(history: Sequence[Event]) -> Iterator[str]:
    """No two generations are alive at once."""
    alive: set[int] = set()
    for event in history:
        if isinstance(event, Born):
            if alive:
                yield f"generation {event.generation} began while {sorted(alive)} lived"
            alive.add(event.generation)
        if isinstance(event, Died):
            alive.discard(event.generation)


def _greets_first(history: Sequence[Event]) -> Iterator[str]:
    """No request of the owner reaches a generation that was not greeted."""
    greeted: set[int] = set()
    for event in history:
        if isinstance(event, Greeted):
            greeted.add(event.generation)
        if isinstance(event, Received) and event.generation not in greeted:
            yield f"{event.method} reached generation {event.generation} before it was greeted"


_RULES: tuple[tuple[str, Callable[[Sequence[Event]], Iterator[str]]], ...] = (
    ("I1", _settles),
    ("I2", _keeps_answers_apart),
    ("I3", _keeps_order),
    ("I4", _loses_nothing_silently),
    ("I5", _ends_turns_once),
    ("I6", _accepts_only_what_was_decided),
    ("I7", _answers_once),
    ("I8", _stays_bounded),
    ("I9", _leaves_nothing),
    ("I11", _lets_one_live),
    ("I12", _greets_first),
    ("I13", _closes),
)


# -- on paper --------------------------------------------------------------------------------------------------------


_DECODER: msgspec.json.Decoder[Event] = msgspec.json.Decoder(Event)


def dump(event: Event) -> bytes:
    """One line of JSON."""
    return msgspec.json.encode(event)


def load(line: bytes) -> Event:
    """Read such a line. Raises ``msgspec.DecodeError`` for any other."""
    return _DECODER.decode(line)
