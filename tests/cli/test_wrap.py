"""Text that flows is broken between words, whatever pieces it comes in."""

from __future__ import annotations

import itertools
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codex_runtime.cli._wrap import Wrapper

texts = st.text(st.sampled_from("ab  \n`|日"), max_size=120)


def wrapped(*pieces: str, width: int = 10) -> str:
    """Wrap the text that these pieces are."""
    wrapper = Wrapper(width)
    return "".join(map(wrapper.feed, pieces)) + wrapper.flush()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("one two three four", "one two\nthree four"),
        ("exactly 10 and", "exactly 10\nand"),
        ("short\nand short", "short\nand short"),
        ("averyveryverylongword and more", "averyveryverylongword\nand more"),
        ("日本語 日本語", "日本語\n日本語"),
        ("    code that is long stays", "    code that is long stays"),
        ("| a | table | stays |", "| a | table | stays |"),
        (
            "```\ncode that is long stays\n```\nand prose goes on",
            "```\ncode that is long stays\n```\nand prose\ngoes on",
        ),
    ],
)
def test_prose_is_broken_and_form_is_kept(text: str, shown: str) -> None:
    """Each rule once."""
    assert wrapped(text) == shown


@given(texts, st.lists(st.integers(0, 120)))
def test_pieces_do_not_matter(text: str, cuts: list[int]) -> None:
    """However the text is cut, the lines are the same."""
    places = [0, *sorted(cut for cut in cuts if cut < len(text)), len(text)]
    assert wrapped(*(text[start:end] for start, end in itertools.pairwise(places))) == wrapped(text)


@given(texts)
def test_nothing_but_blanks_is_changed(text: str) -> None:
    """Every word and every newline of the text is still there, in order."""
    assert re.sub(r"\s", "", wrapped(text)) == re.sub(r"\s", "", text)
    assert wrapped(text).count("\n") >= text.count("\n")


@given(st.lists(st.text("ab", min_size=1, max_size=10), min_size=1))
def test_words_that_fit_never_run_over(words: list[str]) -> None:
    """No line of prose is wider than it may be."""
    assert all(len(line.rstrip()) <= 10 for line in wrapped(" ".join(words)).split("\n"))
