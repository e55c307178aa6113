"""The events of a turn become lines that a person can follow."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from codex_runtime.cli._view import TurnView, seconds, summary
from codex_runtime.client import (
    CommandCompleted,
    CommandOutput,
    CommandRun,
    CommandStarted,
    Event,
    FileChange,
    FileChangeCompleted,
    FileChangeStarted,
    ItemCompleted,
    PlanStep,
    PlanUpdated,
    ReasoningCompleted,
    ReasoningDelta,
    Reconnected,
    RetryNotice,
    TextCompleted,
    TextDelta,
    TokenCounts,
    TokenUsage,
    ToolCompleted,
    ToolStarted,
    TurnCompleted,
    TurnFault,
    TurnResult,
    TurnStarted,
    TurnWarning,
    WebSearchCompleted,
)
from tests.cli.pictures import Picture

if TYPE_CHECKING:
    from collections.abc import Sequence


@pytest.fixture(autouse=True)
def known_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """The terminal has 60 columns."""
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("TERM", "xterm-256color")


def seen(*events: Event, with_text: bool = True, in_full: bool = False) -> list[str]:
    """Show these events, and return the lines."""
    shown = Picture()
    view = TurnView(shown.screen, cwd="/ws", with_text=with_text, in_full=in_full)
    for event in events:
        view.show(event)
    shown.screen.fresh_line()
    return shown.lines


def completed(command: str, output: str, *, code: int | None = 0, status: str = "completed", item: str = "c") -> Event:
    """A command that ended."""
    return CommandCompleted(
        command=command,
        status=status,
        exit_code=code,
        output=output,
        duration=0.24,
        item_id=item,
        cwd="/ws",
        raw_command=command,
    )


def started(command: str, item: str = "c") -> Event:
    """A command that began."""
    return CommandStarted(command, cwd="/ws", item_id=item, raw_command=command)


def test_text_flows_and_is_not_repeated() -> None:
    """The completion of a text adds nothing to its pieces."""
    events = (TurnStarted("t"), TextDelta("Hello ", "m"), TextDelta("there", "m"), TextCompleted("Hello there", "m"))
    assert seen(*events) == ["Hello there"]


def test_a_text_without_pieces_is_shown_at_its_end() -> None:
    """Some models do not stream."""
    assert seen(TextCompleted("Hello", "m"), ReasoningCompleted("Why", "", "r")) == ["Hello", "· Why"]


def test_reasoning_is_marked_and_parted_from_text() -> None:
    """Each item has lines of its own."""
    events = (
        ReasoningDelta("I ", "r"),
        ReasoningDelta("think", "r"),
        ReasoningCompleted("I think", "", "r"),
        TextDelta("So.", "m"),
    )
    assert seen(*events) == ["· I think", "So."]


def test_text_can_be_left_out() -> None:
    """In a pipe, the answer goes elsewhere."""
    events = (TextDelta("Hello", "m"), TextCompleted("Hello", "m"), started("ls"), completed("ls", "a\n"))
    assert seen(*events, with_text=False) == ["$ ls", "  │ a", "  ✓ 0.2 s"]


def test_a_command_is_shown_with_its_output_once() -> None:
    """Pieces of the output are for the status line; the block is what the completion says."""
    events = (started("ls"), CommandOutput("lost", "c"), completed("ls", "a\r\nb\n"))
    assert seen(*events) == ["$ ls", "  │ a", "  │ b", "  ✓ 0.2 s"]


@pytest.mark.parametrize(
    ("code", "status", "line"),
    [
        (3, "failed", "  ✗ exit 3 · 0.2 s"),
        (None, "failed", "  ✗ failed · 0.2 s"),
        (None, "declined", "  ✗ declined · 0.2 s"),
    ],
)
def test_a_command_that_failed_says_how(code: int | None, status: str, line: str) -> None:
    """By its exit code, if it has one."""
    assert seen(started("ls"), completed("ls", "", code=code, status=status))[-1] == line


def test_long_output_is_shortened_in_the_middle() -> None:
    """Beginning and end are what people look at."""
    lines = seen(started("seq 40"), completed("seq 40", "".join(f"{number}\n" for number in range(1, 41))))
    shown = ["1", "2", "3", "4", "5", "6", "7", "8", "… 28 more lines", "37", "38", "39", "40"]
    assert lines == ["$ seq 40", *(f"  │ {text}" for text in shown), "  ✓ 0.2 s"]


def test_commands_at_once_are_told_apart() -> None:
    """A block stands below its own command, which is named again if another one came between."""
    events = (
        started("one", "1"),
        started("two", "2"),
        completed("one", "a", item="1"),
        completed("two", "b", item="2"),
    )
    blocks = [["$ one"], ["$ two"], ["$ one", "  │ a", "  ✓ 0.2 s"], ["$ two", "  │ b", "  ✓ 0.2 s"]]
    assert seen(*events) == [line for block in blocks for line in block]


def test_a_long_command_is_shortened_unless_somebody_is_asked_about_it() -> None:
    """Whoever approves must see all of it."""
    command = "\n".join(f"line {number}" for number in range(1, 21))
    short, whole = seen(started(command)), seen(started(command), in_full=True)
    assert (len(short), short[-1]) == (9, "  … 12 more lines")
    assert [line.strip("$ ") for line in whole] == command.split("\n")


def patch(*changes: FileChange, status: str = "completed") -> Sequence[Event]:
    """A patch from its beginning to its end."""
    return (FileChangeStarted(changes, "inProgress", "p"), FileChangeCompleted(changes, status, "p"))


def test_a_patch_is_shown_as_a_diff_once() -> None:
    """A new file comes as content, an edit as hunks; both look like diffs, with paths below the folder shortened."""
    new = FileChange("/ws/a.txt", "add", "x\ny\n")
    edit = FileChange("/etc/b.txt", "update", "@@ -1 +1 @@\n-x\n+y\n z\n", move_path="/ws/c.txt")
    assert seen(*patch(new, edit)) == [
        "± new file a.txt  +2 -0",
        "  │ +x",
        "  │ +y",
        "± edit /etc/b.txt → c.txt  +1 -1",
        "  │ @@ -1 +1 @@",
        "  │ -x",
        "  │ +y",
        "  │  z",
        "  ✓ applied",
    ]
    assert seen(*patch(FileChange("/ws/a", "delete", "x\n"), status="declined")) == [
        "± delete a  +0 -1",
        "  │ -x",
        "  ✗ declined",
    ]


def test_a_long_patch_is_shortened_unless_somebody_is_asked_about_it() -> None:
    """As with commands; and then its lines are not cut at the edge either."""
    change = FileChange("/ws/a", "add", "".join(f"{'x' * 80}{number}\n" for number in range(100)))
    short, whole = (
        seen(FileChangeStarted((change,), "", "p")),
        seen(FileChangeStarted((change,), "", "p"), in_full=True),
    )
    assert (len(short), short[-1]) == (62, "  │ … 40 more lines")
    assert short[1].endswith("…")
    assert len(whole) == 101
    assert whole[100].endswith("x99")


def test_tools_and_searches_are_lines() -> None:
    """With their arguments, cut to the width, and their end."""
    events = (
        ToolStarted("echo", {"text": "hi"}, "t", server="stub"),
        ToolCompleted("echo", "completed", None, None, 0.1, "t", server="stub"),
        ToolStarted("own", None, "u"),
        ToolCompleted("own", "failed", None, "it broke", None, "u"),
        WebSearchCompleted("weather", "w"),
    )
    assert seen(*events) == [
        '→ stub.echo {"text":"hi"}',
        "  ✓ 0.1 s",
        "→ own",
        "  ✗ it broke",
        "→ web search: weather",
    ]


def test_plans_retries_and_warnings_are_lines() -> None:
    """What happens around the work is told as well."""
    events = (
        PlanUpdated("How", (PlanStep("one", "completed"), PlanStep("two", "inProgress"), PlanStep("three", "pending"))),
        RetryNotice("Reconnecting", None, TurnFault("Reconnecting")),
        Reconnected((), 1),
        Reconnected(("m",), 2),
        TurnWarning("Beware", "of this"),
        ItemCompleted("contextCompaction", "i", {}),
        ItemCompleted("somethingNew", "i", {}),
    )
    assert seen(*events) == [
        "☰ How",
        "  ✓ one",
        "  ▸ two",
        "  · three",
        "↻ Reconnecting",
        "↻ connected again",
        "↻ connected again; some text may be missing here",
        "! Beware: of this",
        "· the conversation was compacted",
    ]


def test_saying_and_doing_are_parted_by_an_empty_line() -> None:
    """That is where the eye looks for the answer."""
    events = (TextCompleted("First.", "m"), started("ls"), completed("ls", ""), TextCompleted("Then.", "n"))
    assert seen(*events) == ["First.", "", "$ ls", "  ✓ 0.2 s", "", "Then."]


def test_hostile_text_of_any_event_steers_nothing() -> None:
    """Every text of an event goes through the screen."""
    evil = "\x1b[2J\u202e"
    events = (
        TextDelta(evil, "m"),
        ReasoningDelta(evil, "r"),
        started(evil),
        completed(evil, evil),
        *patch(FileChange(evil, "add", evil)),
        ToolStarted(evil, {evil: evil}, "t"),
        ToolCompleted(evil, "failed", None, evil, None, "t"),
        PlanUpdated(evil, (PlanStep(evil, "completed"),)),
        RetryNotice(evil, None, TurnFault(evil)),
        TurnWarning(evil, evil),
        WebSearchCompleted(evil, "w"),
    )
    text = "\n".join(seen(*events))
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert text.count("<U+202E>") >= 14


def test_a_summary_says_what_a_turn_came_to() -> None:
    """In a few words, and only what there is."""
    counts = TokenCounts(total=12345)
    run = CommandRun("ls", "/ws", "completed", 0, "", 0.1, "c", "ls")
    whole = TurnResult(
        thread_id="t",
        turn_id="u",
        status="completed",
        commands=(run, run),
        file_changes=(FileChange("a", "add"),),
        usage=TokenUsage(counts, counts, counts),
        duration=3.21,
    )
    assert summary(whole) == "3.2 s · 12 345 tokens · 2 commands · 1 file"
    assert summary(TurnResult(thread_id="t", turn_id=None, status="lost")) == ""
    assert seen(TurnCompleted(whole)) == []


@pytest.mark.parametrize(
    ("duration", "text"), [(0.04, "0.0 s"), (9.94, "9.9 s"), (12.4, "12 s"), (60, "1 min"), (125.2, "2 min 5 s")]
)
def test_durations_are_told_as_people_say_them(duration: float, text: str) -> None:
    """Tenths matter below ten seconds only."""
    assert seconds(duration) == text
