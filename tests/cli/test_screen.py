"""A screen never lets text steer the terminal, and keeps lines whole."""

from __future__ import annotations

import asyncio

import pytest

from tests.cli.command_line import picture
from tests.cli.pictures import Picture


@pytest.fixture(autouse=True)
def known_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """The terminal has 40 columns."""
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("TERM", "xterm-256color")
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "COLORTERM"):
        monkeypatch.delenv(name, raising=False)


def test_text_cannot_steer_the_terminal() -> None:
    """Neither by escape sequences nor by the markup of the library below."""
    shown = Picture()
    shown.screen.line("\x1b[31mred\x1b[0m [bold]x[/bold] :smile:", mark="> ")
    shown.screen.flow("\x1b]0;title\x07\n")
    assert shown.lines == ["> ␛[31mred␛[0m [bold]x[/bold] :smile:", "␛]0;title␇"]
    assert "\x1b[31m" not in shown.raw
    assert "\x1b]" not in shown.raw


def test_a_line_begins_where_a_line_begins() -> None:
    """Whoever wrote before need not have ended its line."""
    shown = Picture()
    shown.screen.flow("some ")
    shown.screen.flow("text")
    shown.screen.line("a line")
    shown.screen.flow("ended\n")
    shown.screen.line("another")
    assert shown.lines == ["some text", "a line", "ended", "another"]


def test_marks_stand_before_the_first_line_only() -> None:
    """The lines of one text stay in their column."""
    shown = Picture()
    shown.screen.line("first\nsecond", mark="$ ")
    shown.screen.paragraph("words that do not fit into one line of forty", mark="! ")
    assert shown.lines == ["$ first", "  second", "! words that do not fit into one line of", "  forty"]


def test_what_does_not_fit_is_cut_on_a_terminal_only() -> None:
    """A file has no width."""
    text = "日本語" * 20
    on_terminal, in_file = Picture(), Picture(terminal=False)
    for shown in (on_terminal, in_file):
        shown.screen.line(text, mark="  │ ", crop=True)
    assert on_terminal.lines == [f"  │ {text[:17]}…"]
    assert in_file.lines == [f"  │ {text}"]


def test_text_that_flows_is_broken_between_words_on_a_terminal_only() -> None:
    """A file gets the text as it is."""
    on_terminal, in_file = Picture(), Picture(terminal=False)
    for shown in (on_terminal, in_file):
        for word in ["word "] * 9:
            shown.screen.flow(word)
        shown.screen.fresh_line()
    assert on_terminal.lines == [" ".join(["word"] * 8), "word"]
    assert in_file.raw == "word " * 9 + "\n"


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_colours_can_be_unwanted(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    """Both ways to say so are heard."""
    monkeypatch.setenv(name, value)
    shown = Picture()
    shown.screen.line("green", "green")
    assert shown.raw == "green\n"


async def test_the_status_line_moves_and_leaves_no_trace() -> None:
    """It is drawn while nothing else is, cut to the width, and gone when a line comes."""
    shown = Picture()
    async with shown.screen.animated(), asyncio.timeout(5):
        shown.screen.status("counting to a number that is far too large\nfor a line")
        while shown.raw.count("counting") < 2:
            await asyncio.sleep(0)
        assert shown.lines[-1].startswith("⠙ counting")
        assert len(shown.lines[-1]) < 40
        shown.screen.line("done")
    assert picture(shown.raw) == "done\n"


async def test_a_file_has_no_status_line() -> None:
    """Nothing moves where nothing can be erased."""
    shown = Picture(terminal=False)
    async with shown.screen.animated():
        shown.screen.status("counting")
    assert shown.raw == ""
