"""The shapes of items and questions."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codex_runtime.testing._fake_items import Outcome, command_item, pieces, verdict_of, words_of
from codex_runtime.testing._fake_script import Command


@given(st.text(max_size=60), st.none() | st.integers(1, 10))
def test_pieces_add_up_to_the_text(text: str, chunks: int | None) -> None:
    """And none is empty."""
    found = list(pieces(text, chunks))
    assert "".join(found) == text
    assert all(found)
    assert chunks is None or len(found) <= chunks


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("touch a.txt", ["touch", "a.txt"]),
        ("echo 'two words'", ["echo", "two words"]),
        ("a && b", ["/bin/bash", "-lc", "a && b"]),
        ("echo 'open", ["/bin/bash", "-lc", "echo 'open"]),
        ("", ["/bin/bash", "-lc", ""]),
    ],
)
def test_a_rule_for_more_than_one_command_begins_with_the_shell(command: str, words: list[str]) -> None:
    """What a shell would take apart is one word."""
    assert words_of(command) == words


def test_a_command_is_shown_as_the_shell_gets_it() -> None:
    """Quoted once."""
    item = command_item("c", Command("echo 'hi'"), "/w")
    assert item["command"] == "/bin/bash -lc 'echo '\"'\"'hi'\"'\"''"
    assert item["commandActions"][0]["command"] == "echo 'hi'"


def test_an_error_has_no_fields() -> None:
    """Whatever else came beside it."""
    assert Outcome({"decision": "accept"}, {"code": 1}).field("decision") is None
    assert verdict_of(Outcome({"decision": "accept"}, {"code": 1})) == "invalid"
    assert verdict_of(Outcome("accept")) == "invalid"
