"""Filling in from the record: whatever was missed, the turn comes to the same, and nothing is told twice or made up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st

from codex_runtime._sansio.envelope import Stamp
from codex_runtime._sansio.turn import TurnReducer
from codex_runtime._sansio.turn_events import (
    CommandCompleted,
    CommandStarted,
    ItemStarted,
    Reconnected,
    TextCompleted,
    TextDelta,
    TurnCompleted,
    TurnStarted,
)
from codex_runtime._sansio.turn_record import Ended, GoesOn, Lost
from codex_runtime._sansio.turn_result import TurnFault
from tests.support.turn_lines import (
    delta,
    item_completed,
    item_started,
    reducer,
    said,
    turn_completed,
    turn_started,
)

if TYPE_CHECKING:
    from codex_runtime._sansio.envelope import Envelope
    from codex_runtime._sansio.turn_events import TurnEvent
    from codex_runtime._sansio.turn_record import Finding

STAMP = Stamp(3, 1105.0, 105.0)
LOST = TurnFault("the server died", kind="connectionLost")
SAID = {"userMessage", "agentMessage", "reasoning"}


def heard(*lines: Envelope) -> TurnReducer:
    """A turn that heard this much before the connection broke."""
    turn = reducer()
    for line in (turn_started(), *lines):
        turn.apply(line)
    return turn


def message(text: str, item: str = "item-1") -> dict[str, Any]:
    """A message in the record."""
    return {"type": "agentMessage", "id": item, "text": text, "phase": None}


def command(item: str = "c", **fields: Any) -> dict[str, Any]:
    """A command in the record."""
    return {"type": "commandExecution", "id": item, "command": "ls", "cwd": "/ws", **fields}


DONE = {"status": "completed", "exitCode": 0, "aggregatedOutput": "whole\n", "durationMs": 1}


def recover(turn: TurnReducer, finding: Finding) -> list[TurnEvent]:
    """What the record makes of it."""
    return turn.recover(finding, STAMP, lost=LOST)


# -- the end, read from the record -------------------------------------------------------------------------------------


def test_a_turn_that_ended_unheard_has_the_result_of_the_record() -> None:
    """Our promise: the rest of a text comes as one more piece, then its completion, then the end."""
    turn = heard(item_started("agentMessage", "m"), delta("m", "half an "))
    events = recover(turn, Ended("completed", (message("half an answer", "m"),), None, 1099, 1.5))
    assert events[:3] == [
        Reconnected((), 3),
        TextDelta("answer", "m"),
        TextCompleted("half an answer", "m"),
    ]
    result = turn.result
    assert result is not None
    assert events[3:] == [TurnCompleted(result)]
    assert (result.status, result.text, result.duration, result.error) == ("completed", "half an answer", 1.5, None)
    assert result.items[0].data == message("half an answer", "m")


def test_an_item_that_was_never_heard_of_begins_and_ends() -> None:
    """Our promise: readers that pair starts with ends still can."""
    turn = heard()
    _, *events, _ = recover(turn, Ended("completed", (command(**DONE), message("done", "m"))))
    assert [type(event) for event in events] == [
        CommandStarted,
        CommandCompleted,
        ItemStarted,
        TextDelta,
        TextCompleted,
    ]
    assert turn.partial().commands[0].output == "whole\n"


def test_a_turn_that_was_interrupted_for_its_deadline_timed_out() -> None:
    """Our promise: the reason that we know is told, also if the server's word for it was only read later."""
    turn = heard()
    turn.interrupted_as = "timed_out"
    recover(turn, Ended("interrupted"))
    assert turn.partial().status == "timed_out"


def test_a_turn_that_failed_without_a_word_failed() -> None:
    """Our promise: an error is always there after a failure."""
    turn = heard()
    recover(turn, Ended("failed"))
    assert turn.partial().error is not None


def test_a_turn_that_was_never_heard_to_start_starts_first() -> None:
    """Our promise: `TurnStarted` comes before all other events."""
    turn = reducer()
    events = recover(turn, GoesOn())
    assert [type(event) for event in events] == [TurnStarted, Reconnected]
    turn.apply(turn_completed(durationMs=None, at=106.0))
    assert turn.partial().duration == 1.0


def test_a_lost_turn_keeps_what_was_finished() -> None:
    """Our promise: what the server wrote down before it died is in the partial result."""
    turn = heard(
        item_started("commandExecution", "c", command="ls", cwd="/ws"),
        delta("c", "who", "commandExecution/outputDelta"),
    )
    events = recover(turn, Lost("gone", (command(**DONE),)))
    assert [type(event) for event in events] == [CommandCompleted, TurnCompleted]
    result = turn.partial()
    assert (result.status, result.error, result.commands[0].output) == ("lost", LOST, "whole\n")


def test_a_turn_that_was_never_heard_of_has_its_times_from_the_record() -> None:
    """What was heard counts more: the record rounds."""
    turn = reducer()
    *_, ending = turn.recover(Ended("completed", (), None, 900.0, 2.0), STAMP, lost=LOST)
    assert isinstance(ending, TurnCompleted)
    assert (ending.result.started_at, ending.result.duration) == (900.0, 2.0)
    *_, ending = heard().recover(Ended("completed", (), None, 900.0, 2.0), STAMP, lost=LOST)
    assert isinstance(ending, TurnCompleted)
    assert (ending.result.started_at, ending.result.duration) == (1099, 2.0)


def test_a_lost_turn_lasted_until_it_was_known_to_be_lost() -> None:
    """From its first message to the record; also one that was never heard to start, which then starts first."""
    [ending] = heard().recover(Lost("unknown", ()), STAMP, lost=LOST)
    assert isinstance(ending, TurnCompleted)
    assert (ending.result.duration, ending.result.error) == (5.0, LOST)
    events = reducer().recover(Lost("unknown", ()), STAMP, lost=LOST)
    assert [type(event) for event in events] == [TurnStarted, TurnCompleted]


def test_a_turn_without_an_id_is_not_in_any_record() -> None:
    """It has not begun: whoever starts it learns what became of that."""
    turn = TurnReducer("thread-1")
    assert turn.recover(Lost("unknown", ()), STAMP, lost=LOST) == []
    assert not turn.is_over


def test_other_words_at_the_end_are_another_message_than_that_of_the_record() -> None:
    """And what the record says that cannot be written as a message again is shown without it."""
    turn = heard()
    turn.recover(GoesOn((message("one"), {"type": "thing", "id": "t", "text": "\ud800"})), STAMP, lost=LOST)
    turn.apply(turn_completed(items=[message("two", "real")]))
    assert turn.result is not None
    assert [each.text for each in turn.result.messages] == ["one", "two"]
    assert [(item.id, item.line) for item in turn.result.items if item.kind == "thing"] == [("t", b"")]


def test_nothing_happens_to_a_turn_that_is_over() -> None:
    """Our promise: exactly one end."""
    turn = heard(turn_completed())
    assert recover(turn, Lost("gone")) == []
    assert turn.partial().status == "completed"


# -- going on ----------------------------------------------------------------------------------------------------------


def test_the_made_up_ids_of_a_running_turn_do_not_double_its_messages() -> None:
    """Our promise: words are recognised by the words, a prompt by its place."""
    turn = heard(
        item_completed("userMessage", "u", content=[]),
        said("m1", "one"),
        item_started("agentMessage", "m2"),
        delta("m2", "tw"),
    )
    items = ({"type": "userMessage", "id": "item-1", "content": []}, message("one", "item-2"), message("two", "item-3"))
    events = recover(turn, GoesOn(items))
    assert events == [Reconnected((), 3), TextDelta("o", "m2"), TextCompleted("two", "m2")]
    turn.apply(turn_completed(items=[message("two", "m2")]))
    assert [each.text for each in turn.partial().messages] == ["one", "two"]


def test_the_summary_at_the_end_knows_a_message_of_the_record_by_another_id() -> None:
    """Our promise: it is one message all the same."""
    turn = heard()
    recover(turn, GoesOn((message("only", "item-2"),)))
    turn.apply(turn_completed(items=[message("only", "msg_1")]))
    assert [each.text for each in turn.partial().messages] == ["only"]


def test_a_message_in_the_middle_has_a_gap_until_it_is_complete() -> None:
    """Our promise: pieces around a gap are not passed off as one text."""
    turn = heard(item_started("agentMessage", "m"), delta("m", "half "))
    assert recover(turn, GoesOn()) == [Reconnected(("m",), 3)]
    turn.apply(delta("m", "given here"))
    [partial] = turn.partial().messages
    assert (partial.text, partial.has_gap, partial.is_complete) == ("half given here", True, False)
    turn.apply(said("m", "half an answer given here"))
    [whole] = turn.partial().messages
    assert (whole.text, whole.has_gap) == ("half an answer given here", False)


def test_a_second_break_finds_a_message_with_a_gap_again() -> None:
    """Our promise: it is recognised by what came before the gap."""
    turn = heard(item_started("agentMessage", "m"), delta("m", "half "))
    recover(turn, GoesOn())
    turn.apply(delta("m", "given "))
    events = recover(turn, GoesOn((message("half an answer given here", "item-2"),)))
    assert events[1] == TextCompleted("half an answer given here", "m")
    assert [each.text for each in turn.partial().messages] == ["half an answer given here"]


def test_other_words_do_not_complete_a_message() -> None:
    """Our promise: what does not begin with what we heard is another message."""
    turn = heard(item_started("agentMessage", "m"), delta("m", "half "))
    recover(turn, GoesOn((message("something else", "item-2"),)))
    assert [(each.text, each.is_complete) for each in turn.partial().messages] == [
        ("half ", False),
        ("something else", True),
    ]


def test_a_message_that_began_meanwhile_lacks_its_beginning() -> None:
    """Our promise: that is told, too."""
    turn = heard()
    recover(turn, GoesOn())
    turn.apply(delta("m", "the end"))
    assert turn.partial().messages[0].has_gap


def test_the_output_of_a_running_command_says_where_something_is_missing() -> None:
    """Our promise: the same for commands, whose completion has the whole output."""
    turn = heard(
        item_started("commandExecution", "c", command="ls", cwd="/ws"),
        delta("c", "1\n", "commandExecution/outputDelta"),
    )
    assert recover(turn, GoesOn((command(status="inProgress"),))) == [Reconnected(("c",), 3)]
    turn.apply(delta("c", "4\n", "commandExecution/outputDelta"))
    [run] = turn.partial().commands
    assert run.output == "1\n\n[... what came while the connection was broken ...]\n4\n"
    assert run.is_truncated
    turn.apply(item_completed("commandExecution", "c", command="ls", **DONE))
    [run] = turn.partial().commands
    assert (run.output, run.is_truncated) == ("whole\n", False)


# -- any turn, cut anywhere --------------------------------------------------------------------------------------------

WORDS = st.lists(st.sampled_from(["a", "b", ""]), max_size=3)


@st.composite
def turns(draw: st.DrawFn) -> list[Envelope]:
    """The messages of a whole turn."""
    lines: list[Envelope] = [turn_started(), item_completed("userMessage", "u", content=[])]
    last: dict[str, Any] | None = None
    for number in range(draw(st.integers(0, 4))):
        kind, pieces = draw(st.sampled_from(["agentMessage", "commandExecution", "reasoning"])), draw(WORDS)
        item, whole = f"real-{number}", "".join(pieces)
        fields: dict[str, Any]
        match kind:
            case "agentMessage":
                begin, fields, how = {"text": ""}, {"text": whole, "phase": None}, "agentMessage/delta"
                last = {"type": kind, "id": item, **fields}
            case "reasoning":
                begin, fields, how = {}, {"summary": [whole], "content": []}, "reasoning/summaryTextDelta"
            case _:
                begin = {"command": f"run {number}", "cwd": "/", "status": "inProgress"}
                fields = {**begin, "status": "completed", "exitCode": 0, "aggregatedOutput": whole}
                how = "commandExecution/outputDelta"
        lines.append(item_started(kind, item, **begin))
        lines += [delta(item, piece, how) for piece in pieces]
        lines.append(item_completed(kind, item, **fields))
    lines.append(turn_completed(items=[] if last is None else [last]))
    return lines


def record_of(lines: list[Envelope]) -> Finding:
    """What a real server's record says once it has written these messages."""
    params = [line.params for line in lines]
    is_over = any(line.method == "turn/completed" for line in lines)
    items: dict[str, Any] = {}
    for line, each in zip(lines, params, strict=True):
        item = each.get("item") if isinstance(each, dict) else None
        if isinstance(item, dict) and (line.method == "item/completed" or item["type"] == "commandExecution"):
            items[str(item["id"])] = item
    if is_over:
        return Ended("completed", tuple(items.values()), None, 1099, 0.139)
    return GoesOn(
        tuple(
            {**item, "id": f"item-{place}"} if item["type"] in SAID else item
            for place, item in enumerate(items.values(), 1)
        )
    )


def essence(turn: TurnReducer) -> object:
    """All that must not depend on what was missed: ids are made up while a turn runs."""
    result = turn.partial()
    return (
        result.status,
        result.text,
        [(each.text, each.is_complete, each.has_gap) for each in result.messages],
        result.reasoning,
        [(run.command, run.status, run.output, run.is_truncated) for run in result.commands],
        [(item.kind, item.state) for item in result.items],
        result.duration,
    )


@given(turns(), st.lists(st.tuples(st.integers(0, 25), st.integers(0, 25)), max_size=3))
def test_a_turn_comes_to_the_same_wherever_it_was_cut(lines: list[Envelope], cuts: list[tuple[int, int]]) -> None:
    """Our promise: for any number of breaks, of any length, the result is that of a turn which nobody missed."""
    whole = reducer()
    for line in lines:
        whole.apply(line)
    turn, events, at = reducer(), list[Any](), 0
    for before, missed in cuts:
        for line in lines[at : at + before]:
            events += turn.apply(line)
        at = min(len(lines), at + before + missed)
        events += recover(turn, record_of(lines[:at]))
    for line in lines[at:]:
        events += turn.apply(line)
    assert essence(turn) == essence(whole)
    assert isinstance(events[-1], TurnCompleted)
    assert isinstance(events[0], TurnStarted)
    assert sum(isinstance(event, TurnCompleted | TurnStarted) for event in events) == 2
    unfinished = {item for event in events if isinstance(event, Reconnected) for item in event.unfinished}
    for done in (event for event in events if isinstance(event, TextCompleted)):
        pieces = "".join(
            event.text for event in events if isinstance(event, TextDelta) and event.item_id == done.item_id
        )
        assert pieces == done.text or done.item_id in unfinished or done.text.endswith(pieces)
