"""One item: the server's JSON read into our values, and what its pieces add up to."""

from __future__ import annotations

from typing import Any

import pytest

from codex_runtime._sansio.turn_events import (
    CommandInput,
    FileChangeCompleted,
    FileChangeStarted,
    FileChangeUpdated,
    ItemCompleted,
    ItemStarted,
    PlanCompleted,
    PlanDelta,
    ReasoningCompleted,
    ReasoningDelta,
    TextCompleted,
    ToolCompleted,
    ToolProgress,
    ToolStarted,
    TurnEvent,
    WebSearchCompleted,
    WebSearchStarted,
)
from codex_runtime._sansio.turn_items import (
    ItemFold,
    file_changes,
    mapping,
    number,
    plan_steps,
    seconds,
    text,
    text_or_none,
    token_counts,
    turn_fault,
    typed_command,
)
from codex_runtime._sansio.turn_result import FileChange, PlanStep, TokenCounts, TurnFault
from tests.support.turn_lines import delta, fold, item_completed, note, turn_started


@pytest.mark.parametrize(
    ("raw", "typed"),
    [
        ("/bin/bash -lc 'echo hi'", "echo hi"),
        ("/bin/bash -c 'mkdir -p a && ls'", "mkdir -p a && ls"),
        ("bash -lc ls", "ls"),
        ("/usr/bin/zsh -lc 'a\nb'", "a\nb"),
        ("""/bin/bash -lc "it's" """.strip(), "it's"),
        (r"""/bin/sh -c 'say "'"it's \$HOME"'"'""", """say "it's $HOME\""""),
        (r"/bin/sh -c a\ b", "a b"),
        ("/bin/bash -lc 'echo' extra", "/bin/bash -lc 'echo' extra"),
        ("/bin/bash -lc 'open", "/bin/bash -lc 'open"),
        ("/bin/bash -l script.sh", "/bin/bash -l script.sh"),
        ("python -c 'print(1)'", "python -c 'print(1)'"),
        ("fish -c", "fish -c"),
        ("", ""),
    ],
)
def test_a_command_is_shown_as_it_would_be_typed(raw: str, typed: str) -> None:
    """Our promise: only a shell, its flag and exactly one word are unwrapped."""
    assert typed_command(raw) == typed


@pytest.mark.parametrize("value", [None, 7, True, "text", [], {}, [1], {"x": 1}, 1.5, 10**20])
def test_whatever_is_of_another_type_becomes_the_mildest_value(value: Any) -> None:
    """Our promise: readers never raise and never pass a wrong type on."""
    assert isinstance(mapping(value), dict)
    assert isinstance(text(value), str)
    assert text_or_none(value) in {None, "text"}
    assert number(value) in {None, 7}
    assert seconds(value) in {None, 0.007}
    assert isinstance(file_changes(value), tuple)
    assert isinstance(plan_steps(value), tuple)
    assert token_counts(value) == TokenCounts()
    assert (turn_fault(value) is None) is (not isinstance(value, dict))


def test_changes_and_steps_are_read_field_by_field() -> None:
    """Our promise: a field that we cannot read costs that field only."""
    assert file_changes([{"path": "a", "kind": "delete"}, {"path": 7, "kind": {"type": "add"}}, None]) == (
        FileChange("a", "delete"),
        FileChange("", "add"),
        FileChange("", ""),
    )
    assert plan_steps([{"step": "a", "status": "pending"}, 7]) == (PlanStep("a", "pending"), PlanStep("", ""))


@pytest.mark.parametrize(
    ("info", "kind", "status"),
    [
        ("usageLimitExceeded", "usageLimitExceeded", None),
        ({"httpConnectionFailed": {"httpStatusCode": 401}}, "httpConnectionFailed", 401),
        ({"responseStreamDisconnected": {"httpStatusCode": None}}, "responseStreamDisconnected", None),
        ({"activeTurnNotSteerable": "review"}, "activeTurnNotSteerable", None),
        ({}, "other", None),
        (None, "other", None),
        (5, "other", None),
    ],
)
def test_the_kind_of_an_error_is_the_servers_word(info: Any, kind: str, status: int | None) -> None:
    """Upstream rule: codexErrorInfo is a word or an object with one key."""
    raw = {"message": "m", "codexErrorInfo": info, "additionalDetails": "d"}
    assert turn_fault(raw) == TurnFault("m", kind, status, "d", raw)


TOOL = {"tool": "look", "arguments": {"a": 1}}
CHANGE = {"path": "a", "kind": {"type": "add"}, "diff": "x"}


@pytest.mark.parametrize(
    ("kind", "item", "started", "completed"),
    [
        (
            "mcpToolCall",
            {**TOOL, "server": "stub", "status": "completed", "result": {"content": []}, "durationMs": 4},
            ToolStarted("look", {"a": 1}, "i", "stub"),
            ToolCompleted("look", "completed", {"content": []}, None, 0.004, "i", {"a": 1}, "stub"),
        ),
        (
            "mcpToolCall",
            {**TOOL, "server": "stub", "status": "failed", "error": {"message": "rejected"}},
            ToolStarted("look", {"a": 1}, "i", "stub"),
            ToolCompleted("look", "failed", None, "rejected", None, "i", {"a": 1}, "stub"),
        ),
        (
            "dynamicToolCall",
            {**TOOL, "namespace": "n", "status": "failed", "contentItems": [{"type": "inputText", "text": "boom"}]},
            ToolStarted("look", {"a": 1}, "i", None, "n"),
            ToolCompleted(
                "look", "failed", [{"type": "inputText", "text": "boom"}], "boom", None, "i", {"a": 1}, None, "n"
            ),
        ),
        (
            "fileChange",
            {"changes": [CHANGE], "status": "completed"},
            FileChangeStarted((FileChange("a", "add", "x"),), "completed", "i"),
            FileChangeCompleted((FileChange("a", "add", "x"),), "completed", "i"),
        ),
        (
            "webSearch",
            {"query": "q", "action": {"type": "search"}},
            WebSearchStarted("q", "i"),
            WebSearchCompleted("q", "i", {"type": "search"}),
        ),
        ("plan", {"text": "1."}, ItemStarted("plan", "i", {"text": "1."}), PlanCompleted("1.", "i")),
        (
            "sleep",
            {"durationMs": 1},
            ItemStarted("sleep", "i", {"durationMs": 1}),
            ItemCompleted("sleep", "i", {"durationMs": 1}),
        ),
    ],
)
def test_each_kind_has_its_events(kind: str, item: dict[str, Any], started: TurnEvent, completed: TurnEvent) -> None:
    """Upstream rule: the fields of the item kinds; a kind without events of its own has the generic ones."""
    item_fold = ItemFold("i", kind)
    assert item_fold.start(item) == started
    assert item_fold.item(is_over=False).state == "started"
    assert item_fold.item(is_over=True).state == "closed"
    assert item_fold.complete(item) == completed
    assert item_fold.item(is_over=True).state == "completed"


def test_a_completion_without_its_text_keeps_the_pieces() -> None:
    """Our promise: what streamed is not lost to a malformed completion."""
    message, reasoning = ItemFold("m", "agentMessage"), ItemFold("r", "reasoning")
    message.pieces += ["a", "b"]
    reasoning.summary += ["s"]
    reasoning.pieces += ["t", "u"]
    assert message.complete({"text": 7}) == TextCompleted("ab", "m")
    assert reasoning.reasoning_text() == "s"
    assert reasoning.complete({}) == ReasoningCompleted("s", "tu", "r")


def test_reasoning_without_a_summary_is_told_itself() -> None:
    """Upstream rule: some models show their reasoning and no summary."""
    reasoning = ItemFold("r", "reasoning")
    reasoning.pieces += ["thin", "king"]
    assert reasoning.reasoning_text() == "thinking"
    reasoning.complete({"summary": [], "content": ["thinking", "twice"]})
    assert reasoning.reasoning_text() == "thinking\n\ntwice"


def test_a_declined_command_has_no_output() -> None:
    """Upstream rule: aggregatedOutput and exitCode are null."""
    command = ItemFold("c", "commandExecution")
    assert command.command_run().status == "inProgress"
    command.complete({"command": "ls", "status": "declined", "aggregatedOutput": None, "exitCode": None})
    run = command.command_run()
    assert (run.command, run.status, run.output, run.exit_code) == ("ls", "declined", "", None)


def test_changes_are_told_only_if_they_were_applied() -> None:
    """Our promise: file_changes is what is on disk."""
    change = {"path": "a", "kind": {"type": "add"}, "diff": "x"}
    _, result = fold(
        item_completed("fileChange", "p1", changes=[change], status="declined"),
        item_completed("fileChange", "p2", changes=[{**change, "path": "b"}], status="completed"),
    )
    assert result.file_changes == (FileChange("b", "add", "x"),)
    assert len(result.items) == 2


def test_a_further_part_of_a_summary_is_a_further_paragraph() -> None:
    """Our promise: the deltas of a summary add up to its completed text."""
    events, _ = fold(
        turn_started(),
        note("item/reasoning/summaryPartAdded", itemId="r", summaryIndex=0),
        delta("r", "One.", "reasoning/summaryTextDelta"),
        note("item/reasoning/summaryPartAdded", itemId="r", summaryIndex=1),
        delta("r", "Two.", "reasoning/summaryTextDelta"),
        item_completed("reasoning", "r", summary=["One.", "Two."], content=[]),
    )
    streamed = "".join(event.text for event in events if isinstance(event, ReasoningDelta))
    assert events[-1] == ReasoningCompleted(streamed, "", "r")


def test_small_events_of_running_items() -> None:
    """Upstream rule: input to a terminal, progress of a tool, a patch that grows, a plan in plan mode."""
    change = {"path": "a", "kind": {"type": "update", "move_path": "b"}, "diff": "@@"}
    events, _ = fold(
        turn_started(),
        note("item/commandExecution/terminalInteraction", itemId="c", processId="1", stdin="y\n"),
        note("item/mcpToolCall/progress", itemId="t", message="half"),
        note("item/fileChange/patchUpdated", itemId="p", changes=[change]),
        delta("l", "1. Look", "plan/delta"),
    )
    assert events[1:] == [
        CommandInput("y\n", "c"),
        ToolProgress("half", "t"),
        FileChangeUpdated((FileChange("a", "update", "@@", "b"),), "p"),
        PlanDelta("1. Look", "l"),
    ]
