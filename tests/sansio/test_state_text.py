"""Text within a limit: cut between two characters, however it came."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codex_runtime._sansio.state_text import LOOSE, Text, byte_size, cut

ANY_TEXT = st.text(st.characters(codec=None), max_size=40)  # lone surrogates too


@given(ANY_TEXT, st.integers(1, 60))
def test_text_is_cut_at_a_character_boundary_and_no_earlier_than_needed(text: str, limit: int) -> None:
    """What is kept is a start of the text, fits, and one more character would not."""
    kept = cut(text, limit)
    assert text.startswith(kept)
    assert byte_size(kept) <= limit
    assert kept == text or byte_size(text[: len(kept) + 1]) > limit


@given(st.lists(ANY_TEXT, max_size=30), st.integers(1, 200))
def test_text_added_in_pieces_is_the_text_added_at_once(pieces: list[str], limit: int) -> None:
    """However it came, the same start of it is kept, and the flag says whether any was lost."""
    text, whole = Text(limit), "".join(pieces)
    booked = 0
    for piece in pieces:
        before = max(text.room, 0)
        text.add(piece)
        booked += text.book(before)
    assert text.value() == cut(whole, limit)
    assert text.truncated == (byte_size(whole) > limit)
    assert byte_size(text.value()) <= booked <= limit


def test_many_small_pieces_are_joined_without_a_look() -> None:
    """A long text of tiny deltas does not stay a hundred thousand objects."""
    text = Text(1_000_000)
    for _ in range(20 * LOOSE):
        before = text.room
        text.add("ab")
        text.book(before)
    assert len(text.parts) < 2 * LOOSE
    assert text.value() == "ab" * (20 * LOOSE)


@pytest.mark.parametrize(
    ("told", "value", "truncated"), [(None, "old", False), ("", "old", False), ("longer than six", "longer", True)]
)
def test_what_is_told_at_the_end_replaces_what_came_before(told: str | None, value: str, truncated: bool) -> None:  # noqa: FBT001
    """Without a last word, what came stays; after either, nothing more is taken."""
    text = Text(6)
    text.add("old")
    text.book(6)
    text.end()
    text.replace(told)
    text.add("more")
    assert (text.value(), text.truncated, text.held) == (value, truncated, len(value))
