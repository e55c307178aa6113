"""Text from a model or a command cannot steer, hide or reorder anything on the terminal of a person."""

from __future__ import annotations

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codex_runtime._sansio.display import one_line, visible, visible_json

KEPT = {"\n", "\t", "\u200c", "\u200d"}
BLANK_LETTERS = {"\u115f", "\u1160", "\u3164", "\uffa0"}
UNFIT_KINDS = {"Cc", "Cf", "Cs", "Zl", "Zp"}
any_text = st.text(st.characters(categories=None))  # surrogates as well
hostile_text = st.text(st.sampled_from("a\x1b[]0;\x07\x9b\r\n\t\u202e\u2066\u200b\U000e0041\ud800<>+"))


def is_unfit(character: str) -> bool:
    """Tell what must not reach a terminal."""
    return (unicodedata.category(character) in UNFIT_KINDS and character not in KEPT) or character in BLANK_LETTERS


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain text, ünïcode, 日本語 and 👩‍💻", "plain text, ünïcode, 日本語 and 👩‍💻"),
        ("a\tb\nc", "a\tb\nc"),
        ("\x1b[31mred\x1b[0m", "␛[31mred␛[0m"),
        ("\x1b]0;title\x07", "␛]0;title␇"),
        ("\x1b]8;;http://x\x1b\\link", "␛]8;;http://x␛\\link"),
        ("\x9b2J", "<U+009B>2J"),
        ("progress 1\rprogress 2", "progress 1␍progress 2"),
        ("dos\r\nlines\r\n", "dos\nlines\n"),
        ("\r\r\n", "␍\n"),
        ("\x00\x08\x7f", "␀␈␡"),
        ("rm \u202etxt.exe", "rm <U+202E>txt.exe"),
        ("a\u2066b\u2069c", "a<U+2066>b<U+2069>c"),
        ("zero\u200bwidth\ufeff", "zero<U+200B>width<U+FEFF>"),
        ("line\u2028break", "line<U+2028>break"),
        ("tag\U000e0041", "tag<U+E0041>"),
        ("half \ud83d", "half <U+D83D>"),
        ("[bold]no markup[/bold]", "[bold]no markup[/bold]"),
    ],
)
def test_what_a_terminal_would_obey_or_hide_is_shown(text: str, shown: str) -> None:
    """Each kind of character once, with what a person gets to see."""
    assert visible(text) == shown


def test_every_unfit_character_of_unicode_is_replaced() -> None:
    """Whatever category this Python's Unicode puts it in; and what is replaced is only that, or not assigned at all."""
    for code in range(0x110000):
        character = chr(code)
        if is_unfit(character):
            assert visible(character) != character, hex(code)
            assert not any(map(is_unfit, visible(character))), hex(code)
        elif visible(character) != character:
            assert unicodedata.category(character) == "Cn", hex(code)


@given(any_text | hostile_text)
def test_nothing_unfit_is_left(text: str) -> None:
    """For any text, also one that cannot be encoded; and showing it twice changes nothing more."""
    shown = visible(text)
    assert not any(map(is_unfit, shown))
    assert visible(shown) == shown
    shown.encode()


@given(hostile_text, hostile_text)
def test_pieces_are_as_safe_as_the_whole(first: str, second: str) -> None:
    """A sequence that is cut in two is replaced all the same; only a cut inside of CR LF shows."""
    if first.endswith("\r") and second.startswith("\n"):
        assert visible(first) + visible(second) == visible(first[:-1]) + "␍" + visible(second)
    else:
        assert visible(first) + visible(second) == visible(first + second)


@given(any_text | hostile_text)
def test_one_line_is_one_line(text: str) -> None:
    """No text makes a second line."""
    assert len(one_line(text).splitlines()) <= 1


def test_one_line_shows_where_lines_ended() -> None:
    """Inner newlines are told, outer ones are not."""
    assert one_line("\nfirst\nsecond\tthird\r\n") == "first␤second third"


@given(st.dictionaries(any_text, any_text | hostile_text))
def test_json_means_the_same_after_it_was_made_visible(value: dict[str, str]) -> None:
    """Only the spelling changes, and nothing unfit is left in it."""
    shown = visible_json(json.dumps(value, ensure_ascii=False))
    assert not any(map(is_unfit, shown))
    assert json.loads(shown) == json.loads(json.dumps(value))
