"""What a turn gathers: whole turns from start to end, the text, and what happens around the items."""

from __future__ import annotations

from codex_runtime._sansio.envelope import Envelope
from codex_runtime._sansio.turn import TurnReducer
from codex_runtime._sansio.turn_events import (
    CommandCompleted,
    CommandInput,
    CommandOutput,
    CommandStarted,
    DiffUpdated,
    ErrorReported,
    FileChangeUpdated,
    ItemCompleted,
    ItemStarted,
    OtherNotification,
    PlanCompleted,
    PlanDelta,
    PlanUpdated,
    ReasoningCompleted,
    ReasoningDelta,
    RequestResolved,
    RetryNotice,
    TextCompleted,
    TextDelta,
    TokenUsageUpdated,
    ToolProgress,
    TurnCompleted,
    TurnStarted,
    TurnWarning,
)
from codex_runtime._sansio.turn_fold import LEAST_OUTPUT, LINE_BUDGET, OUTPUT_BUDGET
from codex_runtime._sansio.turn_result import (
    AgentMessage,
    PlanStep,
    TokenCounts,
    TokenUsage,
    TurnFault,
)
from tests.support.turn_lines import (
    THREAD,
    TURN,
    delta,
    fold,
    item_completed,
    item_started,
    note,
    of_thread,
    reducer,
    said,
    turn_completed,
    turn_started,
)

# --- Golden turns ---------------------------------------------------------------------------------------------------


def test_a_plain_turn_gives_its_text_piece_by_piece_and_whole() -> None:
    """Upstream rule: reasoning, then a message in deltas, then the terminal with a summary."""
    events, result = fold(
        turn_started(),
        item_started("userMessage", "u", content=[]),
        item_completed("userMessage", "u", content=[]),
        item_started("reasoning", "r", summary=[], content=[]),
        note("item/reasoning/summaryPartAdded", itemId="r", summaryIndex=0),
        delta("r", "Looking.", "reasoning/summaryTextDelta", summaryIndex=0),
        delta("r", "raw", "reasoning/textDelta", contentIndex=0),
        item_completed("reasoning", "r", summary=["Looking."], content=["raw"]),
        item_started("agentMessage", "m", text=""),
        delta("m", "Hel"),
        delta("m", "lo"),
        said("m", "Hello"),
        turn_completed(items=[{"type": "agentMessage", "id": "m", "text": "Hello"}]),
    )
    assert events == [
        TurnStarted(TURN),
        ItemStarted("userMessage", "u", {"type": "userMessage", "id": "u", "content": []}),
        ItemCompleted("userMessage", "u", {"type": "userMessage", "id": "u", "content": []}),
        ItemStarted("reasoning", "r", {"type": "reasoning", "id": "r", "summary": [], "content": []}),
        ReasoningDelta("Looking.", "r", summary=True),
        ReasoningDelta("raw", "r", summary=False),
        ReasoningCompleted("Looking.", "raw", "r"),
        ItemStarted("agentMessage", "m", {"type": "agentMessage", "id": "m", "text": ""}),
        TextDelta("Hel", "m"),
        TextDelta("lo", "m"),
        TextCompleted("Hello", "m", None),
        TurnCompleted(result),
    ]
    assert (result.status, str(result), result.reasoning) == ("completed", "Hello", "Looking.")
    assert (result.thread_id, result.turn_id) == (THREAD, TURN)
    assert (result.started_at, result.duration) == (1099, 0.139)
    assert [(item.id, item.state) for item in result.items] == [
        ("u", "completed"),
        ("r", "completed"),
        ("m", "completed"),
    ]


def test_a_command_turn_tells_commentary_from_the_answer() -> None:
    """Upstream rule: the final text is the last message with phase final_answer, not all messages glued together."""
    wrapped = "/bin/bash -lc 'echo hi'"
    events, result = fold(
        turn_started(),
        said("m1", "I will run a command.", "commentary"),
        item_started("commandExecution", "c", command=wrapped, cwd="/w", source="agent", status="inProgress"),
        of_thread("serverRequest/resolved", requestId=0),
        delta("c", "hi\n", "commandExecution/outputDelta"),
        item_completed(
            "commandExecution",
            "c",
            command=wrapped,
            cwd="/w",
            status="completed",
            aggregatedOutput="first\nhi\n",
            exitCode=0,
            durationMs=134,
        ),
        said("m2", "hello", "final_answer"),
        said("m3", "One more thing.", "commentary"),
        turn_completed(),
    )
    assert result.text == "hello"
    assert [message.text for message in result.commentary] == ["I will run a command.", "One more thing."]
    assert events[2] == CommandStarted("echo hi", "/w", "c", wrapped)
    assert RequestResolved(0) in events
    assert CommandOutput("hi\n", "c") in events
    [completed] = [event for event in events if isinstance(event, CommandCompleted)]
    assert (completed.command, completed.output, completed.exit_code) == ("echo hi", "first\nhi\n", 0)
    [command] = result.commands
    assert (command.status, command.output, command.duration) == ("completed", "first\nhi\n", 0.134)


def test_an_approval_cancelled_leaves_the_patch_unapplied_and_its_item_closed() -> None:
    """Upstream rule: a cancelled file change is never completed; the turn ends as interrupted."""
    change = {"path": "/w/a.txt", "kind": {"type": "add"}, "diff": "one\n"}
    _, result = fold(
        turn_started(),
        item_started("fileChange", "p", changes=[change], status="inProgress"),
        turn_completed("interrupted"),
    )
    assert result.status == "interrupted"
    assert result.file_changes == ()
    assert [item.state for item in result.items] == ["closed"]
    assert result.items[0].data["changes"] == [change]


def test_an_interrupted_message_keeps_what_had_come() -> None:
    """Upstream rule: an interrupt leaves the streaming message open."""
    _, result = fold(
        turn_started(), delta("m", "par"), delta("m", "tial"), turn_completed("interrupted", durationMs=None, at=103.5)
    )
    assert result.text == "partial"
    assert result.messages == (AgentMessage("partial", None, "m", is_complete=False),)
    assert result.duration == 3.5


def test_a_retry_shows_the_new_message_and_is_never_the_error() -> None:
    """Upstream rule: the partial message of the first try stays a completed item next to the new one."""
    error = {
        "message": "Reconnecting... 1/2",
        "codexErrorInfo": {"responseStreamDisconnected": {"httpStatusCode": None}},
        "additionalDetails": "stream cut",
    }
    events, result = fold(
        turn_started(),
        delta("m1", "who"),
        said("m1", "who"),
        note("error", error=error, willRetry=True),
        said("m2", "whole"),
        turn_completed(),
    )
    fault = TurnFault("Reconnecting... 1/2", "responseStreamDisconnected", None, "stream cut", error)
    assert RetryNotice("Reconnecting... 1/2", "stream cut", fault) in events
    assert (result.status, result.text, result.retries, result.error) == ("completed", "whole", 1, None)
    assert [message.text for message in result.messages] == ["who", "whole"]


def test_a_failed_turn_carries_the_error_of_the_terminal() -> None:
    """Upstream rule: codexErrorInfo is a word, or an object with one key and the HTTP status under it."""
    error = {"message": "too many", "codexErrorInfo": {"responseTooManyFailedAttempts": {"httpStatusCode": 429}}}
    events, result = fold(
        turn_started(),
        note("error", error=error, willRetry=False),
        turn_completed("failed", error=error),
    )
    fault = TurnFault("too many", "responseTooManyFailedAttempts", 429, None, error)
    assert events[1:] == [ErrorReported(fault), TurnCompleted(result)]
    assert (result.status, result.error) == ("failed", fault)


def test_a_failure_without_a_reason_takes_the_last_lasting_error() -> None:
    """Our promise: transient errors never hide the real one."""
    lasting, passing = {"message": "real", "codexErrorInfo": "other"}, {"message": "Reconnecting... 2/2"}
    _, result = fold(
        turn_started(),
        note("error", error=lasting, willRetry=False),
        note("error", error=passing, willRetry=True),
        turn_completed("failed"),
    )
    assert result.error is not None
    assert str(result.error) == "real"


def test_a_failure_that_nobody_explains_still_has_an_error() -> None:
    """Our promise: a failed turn always says something."""
    _, result = fold(turn_started(), turn_completed("failed"))
    assert result.error is not None
    assert result.error.kind == "other"


def test_an_empty_turn_completes_with_no_text() -> None:
    """Upstream rule: a turn without output completes with no items."""
    _, result = fold(turn_started(), turn_completed())
    assert (result.is_completed, result.text, result.messages, result.commentary) == (True, "", (), ())


# --- The text -------------------------------------------------------------------------------------------------------


def test_a_completed_text_replaces_its_deltas() -> None:
    """Upstream rule: item/completed is the truth."""
    _, result = fold(delta("m", "Hxllo"), said("m", "Hello"), turn_completed())
    assert result.text == "Hello"


def test_the_summary_at_the_end_stands_in_for_messages_that_were_not_seen() -> None:
    """Our promise: a client that opted out of item notifications, or came late, gets the answer all the same."""
    events, result = fold(
        delta("m1", "He"),
        turn_completed(
            items=[
                {"type": "agentMessage", "id": "m1", "text": "Hello"},
                {"type": "agentMessage", "id": "m2", "text": "there"},
                {"type": "userMessage", "id": "u"},
                {"type": "agentMessage", "text": "without an id"},
                "no item at all",
            ]
        ),
    )
    assert events[-3:-1] == [TextCompleted("Hello", "m1"), TextCompleted("there", "m2")]
    assert [message.text for message in result.messages] == ["Hello", "there"]
    assert result.text == "there"


def test_the_summary_does_not_repeat_a_message() -> None:
    """Our promise: nothing twice."""
    _, result = fold(said("m", "Hello"), turn_completed(items=[{"type": "agentMessage", "id": "m", "text": "Hello"}]))
    assert len(result.messages) == 1


def test_a_message_that_stays_open_is_not_the_answer_of_a_completed_turn() -> None:
    """Upstream rule: a review leaves one open; the answer is the last that was completed."""
    _, result = fold(said("m1", "the answer"), delta("m2", "{half"), turn_completed())
    assert result.text == "the answer"
    assert len(result.messages) == 2


def test_only_open_messages_may_still_be_the_answer() -> None:
    """Our promise: a completed turn whose message was never closed keeps the text of its deltas."""
    _, result = fold(delta("m", "streamed"), turn_completed())
    assert result.text == "streamed"


def test_pieces_are_kept_as_they_came_and_never_glued_on_the_way() -> None:
    """Our promise: a message of n pieces costs n steps; the pieces in memory are the very objects of the messages."""
    turn = reducer()
    lines = [delta("m", f"piece {number} ") for number in range(500)]
    for line in lines:
        turn.apply(line)
    [item] = turn._fold._items
    assert len(item.pieces) == len(lines)
    assert all(piece is line.shallow.delta for piece, line in zip(item.pieces, lines, strict=True))
    assert turn.partial().text == "".join(f"piece {number} " for number in range(500))


# --- Around the items -----------------------------------------------------------------------------------------------


def usage(total: int, last: int, window: int | None = 1000) -> Envelope:
    """A count of tokens."""
    counts = {"total": {"totalTokens": total, "inputTokens": total}, "last": {"totalTokens": last, "inputTokens": last}}
    return note("thread/tokenUsage/updated", tokenUsage={**counts, "modelContextWindow": window})


def test_usage_tells_what_this_turn_used() -> None:
    """Our promise: the thread's total is told apart from the turn's own."""
    events, result = fold(turn_started(), usage(110, 10), usage(130, 20))
    counts = TokenUsage(
        TokenCounts(130, total=130), TokenCounts(20, total=20), TokenCounts(30, total=30), context_window=1000
    )
    assert events[-1] == TokenUsageUpdated(counts)
    assert result.usage == counts


def test_usage_is_exact_when_the_caller_knows_what_was_used_before() -> None:
    """Upstream rule: after compaction a turn begins by repeating the last count."""
    turn = TurnReducer(THREAD, used_before=TokenCounts(100, total=100))
    turn.begin(TURN)
    for line in (usage(100, 10), usage(120, 20)):
        turn.apply(line)
    used = turn.partial().usage
    assert used is not None
    assert used.turn.total == 20


def test_a_diff_is_told_when_it_changes() -> None:
    """Upstream rule: the server sends it again, unchanged, after every model response."""
    events, result = fold(
        turn_started(),
        note("turn/diff/updated", diff="a"),
        note("turn/diff/updated", diff="a"),
        note("turn/diff/updated", diff="b"),
        note("turn/diff/updated", diff=None),
    )
    assert events[1:] == [DiffUpdated("a"), DiffUpdated("b")]
    assert result.diff == "b"


def test_the_last_list_of_steps_is_the_plan() -> None:
    """Upstream rule: turn/plan/updated carries the whole list."""
    events, result = fold(
        turn_started(),
        note("turn/plan/updated", explanation="so", plan=[{"step": "look", "status": "inProgress"}]),
        note("turn/plan/updated", explanation=None, plan=[{"step": "look", "status": "completed"}]),
    )
    assert events[1:] == [
        PlanUpdated("so", (PlanStep("look", "inProgress"),)),
        PlanUpdated(None, (PlanStep("look", "completed"),)),
    ]
    assert result.plan == (PlanStep("look", "completed"),)


def test_what_is_malformed_gives_the_generic_event_or_none() -> None:
    """Our promise: a field that we cannot read costs that field only."""
    lines = [note("item/started", item={"type": "sleep"}), note("item/completed", item=None), note("error", error="no")]
    events, result = fold(
        turn_started(),
        *lines,
        delta("m", 7),  # type: ignore[arg-type]
        note("item/agentMessage/delta", delta="of no item"),
        note("item/plan/delta", delta="of no item"),
        note("item/reasoning/textDelta", itemId="r"),
        note("item/commandExecution/outputDelta", itemId="c"),
        of_thread("serverRequest/resolved", requestId=True),
    )
    assert events[1:] == [OtherNotification(line.method or "", line) for line in lines]
    assert result.text == ""


def test_deltas_after_an_item_is_complete_are_ignored() -> None:
    """Our promise: a complete text stays as it is."""
    events, result = fold(said("m", "whole"), delta("m", "more"), delta("m", "x", "plan/delta"))
    assert events[1:] == [TextCompleted("whole", "m")]
    assert result.text == "whole"


def test_an_item_id_that_is_used_again_is_another_item() -> None:
    """Upstream rule: ids are the model's and not unique."""
    _, result = fold(
        said("m", "first"), item_started("agentMessage", "m", text=""), delta("m", "sec"), said("m", "second")
    )
    assert [message.text for message in result.messages] == ["first", "second"]


# --- Bounds ---------------------------------------------------------------------------------------------------------


def test_warnings_are_bounded_and_the_events_are_not() -> None:
    """Our promise: each buffer has a size."""
    events, result = fold(*(of_thread("warning", message=str(number)) for number in range(105)))
    assert result.warnings == tuple(map(str, range(100)))
    assert len(events) == 105


def test_the_output_of_an_unfinished_command_is_bounded() -> None:
    """Our promise: an endless command does not fill the memory; both ends stay."""
    piece = "x" * 65536
    _, result = fold(*(delta("c", f"{number:03}{piece}", "commandExecution/outputDelta") for number in range(40)))
    [command] = result.commands
    assert command.is_truncated
    assert command.output.startswith("000x")
    assert "039x" in command.output
    assert len(command.output) < 1.1 * 1024 * 1024


def test_many_loud_commands_share_one_budget() -> None:
    """Our promise: a turn of a thousand loud commands stays within bounds; the later ones keep less."""
    loud = item_completed("commandExecution", "c", command="yes", aggregatedOutput="y" * 1024 * 1024)
    turn = TurnReducer(THREAD)
    turn.begin(TURN)
    turn.apply(item_started("commandExecution", "c"))
    sizes = []
    for _ in range(36):
        turn.apply(item_started("commandExecution", "c"))
        turn.apply(loud)
        sizes.append(turn.partial().commands[-1])
    assert not sizes[0].is_truncated
    assert sizes[-1].is_truncated
    assert len(sizes[-1].output) < LEAST_OUTPUT + 100
    assert sum(len(command.output) for command in sizes) < OUTPUT_BUDGET + 40 * (LEAST_OUTPUT + 100)
    kept = sum(len(item.line) for item in turn.partial().items)
    assert kept <= LINE_BUDGET
    assert turn.partial().items[-1].data == {}


def test_thirty_two_loud_commands_are_kept_whole_and_of_each_further_one_the_least() -> None:
    """I8: a turn holds 32 million characters of output, and then 16384 of each command."""
    turn = reducer()
    for number in range(34):
        turn.apply(item_completed("commandExecution", f"c{number}", command="yes", aggregatedOutput="y" * 1024 * 1024))
    commands = turn.partial().commands
    assert [command.is_truncated for command in commands] == [False] * 32 + [True] * 2
    assert {len(command.output) for command in commands[:32]} == {1024 * 1024}
    assert all(16384 <= len(command.output) < 16384 + 100 for command in commands[32:])


def test_the_room_of_a_message_is_given_back_when_the_next_one_takes_its_place() -> None:
    """I8: what an item began with is dropped when it is complete, so only what is kept counts."""
    turn = reducer()
    blob = "x" * 1024 * 1023
    for number in range(34):
        turn.apply(item_started("thing", f"i{number}", blob=blob))
        turn.apply(item_completed("thing", f"i{number}", blob=blob))
    kept = [bool(item.line) for item in turn.partial().items]
    assert kept == [True] * 32 + [False] * 2
    turn.apply(item_completed("thing", "small"))
    assert turn.partial().items[-1].data == {"type": "thing", "id": "small"}


def test_the_reasoning_of_a_turn_is_that_of_its_items_in_paragraphs() -> None:
    """Those that say nothing leave no empty paragraph."""
    events, result = fold(
        item_completed("reasoning", "a", summary=["One."], content=[]),
        item_completed("reasoning", "b", summary=[], content=[]),
        delta("c", "Two", "reasoning/summaryTextDelta"),
        note("item/reasoning/summaryPartAdded", itemId="c", summaryIndex=1),
        delta("c", "and a half", "reasoning/summaryTextDelta"),
    )
    assert result.reasoning == "One.\n\nTwo\n\nand a half"
    assert events[-2:] == [ReasoningDelta("\n\n", "c", summary=True), ReasoningDelta("and a half", "c", summary=True)]


def test_a_message_that_never_said_anything_is_none() -> None:
    """Unless the server completed it: then that is what it said."""
    _, result = fold(item_started("agentMessage", "m", text=""), said("n", ""), item_started("plan", "p", text="x"))
    assert [(message.text, message.item_id, message.is_complete) for message in result.messages] == [("", "n", True)]


def test_a_piece_for_an_item_of_another_kind_is_left_out() -> None:
    """It would end up in the wrong text."""
    events, result = fold(
        item_started("agentMessage", "m", text=""),
        delta("m", "plan", "plan/delta"),
        delta("m", "thought", "reasoning/textDelta"),
        delta("m", "output", "commandExecution/outputDelta"),
        note("item/reasoning/summaryPartAdded", itemId="m", summaryIndex=1),
        delta("m", "text"),
    )
    assert events[2:] == [TextDelta("text", "m")]
    assert (result.text, len(result.items)) == ("text", 1)


def test_a_start_that_is_repeated_is_the_same_item_and_one_of_another_kind_is_not() -> None:
    """Upstream rule: ids are the model's. The pieces of the running one go on."""
    events, result = fold(
        delta("m", "a"),
        item_started("agentMessage", "m", text=""),
        delta("m", "b"),
        item_started("plan", "m", text=""),
        item_completed("reasoning", "m", summary=[], content=[]),
    )
    assert [(item.id, item.kind, item.state) for item in result.items] == [
        ("m", "agentMessage", "started"),
        ("m", "plan", "started"),
        ("m", "reasoning", "completed"),
    ]
    assert result.text == "ab"
    assert len(events) == 6


def test_an_item_that_is_completed_twice_is_one_item_with_the_last_words() -> None:
    """Nothing twice."""
    _, result = fold(said("m", "first"), said("m", "second"))
    assert [message.text for message in result.messages] == ["second"]
    assert len(result.items) == 1


def test_the_summary_at_the_end_completes_what_is_open_and_nothing_else() -> None:
    """Neither items of other kinds, nor what was completed, nor what names nothing; whatever form it has."""
    summary = [
        {"type": "agentMessage", "id": "done", "text": "other words"},
        {"type": "plan", "id": "p", "text": "a plan"},
        {"type": "agentMessage", "id": "", "text": "nobody's"},
        {"type": "agentMessage", "id": 7, "text": "nobody's"},
    ]
    events, result = fold(said("done", "words"), turn_completed(items=summary))
    assert [type(event) for event in events] == [TurnStarted, TextCompleted, TurnCompleted]
    assert [message.text for message in result.messages] == ["words"]
    for odd in (None, {"type": "agentMessage", "id": "m", "text": "x"}, "text", 7):
        _, result = fold(turn_started(), turn_completed(items=odd))
        assert (result.status, result.items) == ("completed", ())


def test_the_answer_is_the_last_message_marked_as_one_among_those_that_are_complete() -> None:
    """Also where more came after it; of a turn that did not complete, what had come counts as well."""
    lines = [
        said("m1", "first", "final_answer"),
        said("m2", "second", "final_answer"),
        said("m3", "third"),
        delta("m4", "op"),
    ]
    assert fold(*lines, turn_completed())[1].text == "second"
    assert fold(said("m1", "first"), said("m2", "second"), delta("m3", "op"), turn_completed())[1].text == "second"
    _, result = fold(said("m1", "first"), delta("m2", "op"), turn_completed("interrupted"))
    assert result.text == "op"
    assert result.final_message == result.messages[-1]
    _, result = fold(turn_started(), turn_completed())
    assert (result.text, result.final_message) == ("", None)


def test_only_an_error_that_says_so_is_a_retry() -> None:
    """And only retries are counted as such; they are not the error of the turn."""
    error = {"message": "no"}
    events, result = fold(
        turn_started(),
        note("error", error=error, willRetry=True),
        of_thread("error", error=error, willRetry=True),
        note("error", error=error, willRetry="yes"),
        note("error", error=error),
    )
    assert [type(event) for event in events[1:]] == [RetryNotice, RetryNotice, ErrorReported, ErrorReported]
    assert result.retries == 2


def test_a_warning_has_its_message_or_else_its_summary() -> None:
    """Each sort of notice has its own word for it; those that name the turn count like those that do not."""
    events, result = fold(
        turn_started(),
        note("warning", message="a", summary="not this"),
        note("guardianWarning", summary="b", details="why"),
        of_thread("configWarning", summary="c"),
        of_thread("deprecationNotice", summary="d", details=7),
        note("warning"),
    )
    told = [TurnWarning("a"), TurnWarning("b", "why"), TurnWarning("c"), TurnWarning("d"), TurnWarning("")]
    assert events[1:] == told
    assert result.warnings == ("a", "b", "c", "d", "")


def test_a_request_that_is_resolved_is_named_as_the_server_names_it() -> None:
    """A number or a text; anything else names none."""
    events, _ = fold(
        turn_started(),
        note("serverRequest/resolved", requestId="0"),
        of_thread("serverRequest/resolved", requestId=7),
        note("serverRequest/resolved", requestId=False),
        note("serverRequest/resolved", requestId=None),
        note("serverRequest/resolved"),
    )
    assert events[1:] == [RequestResolved("0"), RequestResolved(7)]


def test_what_names_no_item_is_told_without_one() -> None:
    """Input to a terminal, a patch, progress: the event is there, its item is not."""
    events, result = fold(
        turn_started(),
        note("item/commandExecution/terminalInteraction", stdin="y"),
        note("item/fileChange/patchUpdated", changes=None),
        note("item/mcpToolCall/progress"),
    )
    assert events[1:] == [CommandInput("y", ""), FileChangeUpdated((), ""), ToolProgress("", "")]
    assert result.items == ()


def test_what_is_no_message_and_no_reasoning_is_in_neither_text() -> None:
    """Pieces of a plan are a plan, and those of an answer no thought."""
    _, result = fold(delta("p", "1. Look", "plan/delta"), delta("r", "hm", "reasoning/textDelta"), delta("m", "text"))
    assert [message.text for message in result.messages] == ["text"]
    assert (result.reasoning, result.plan) == ("hm", ())
    assert [item.kind for item in result.items] == ["plan", "reasoning", "agentMessage"]


def test_a_plan_that_is_completed_without_its_text_keeps_its_pieces() -> None:
    """And a piece without a text is none."""
    events, _ = fold(
        delta("p", "1. Look"[:3], "plan/delta"),
        note("item/plan/delta", itemId="p"),
        delta("p", "Look", "plan/delta"),
        item_completed("plan", "p"),
    )
    assert events[1:] == [PlanDelta("1. ", "p"), PlanDelta("Look", "p"), PlanCompleted("1. Look", "p")]


def test_the_same_words_under_another_id_are_another_message() -> None:
    """Only what the record told under an id of its own is looked for by its words."""
    _, result = fold(said("m1", "same"), turn_completed(items=[{"type": "agentMessage", "id": "m2", "text": "same"}]))
    assert [message.item_id for message in result.messages] == ["m1", "m2"]
