"""Command lines, read strictly for a yes and loosely for a no."""

from __future__ import annotations

import shlex
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codex_runtime._sansio.shell_words import possible_commands, simple_words

SIMPLE = [
    ("git status", ("git", "status")),
    ("  ls\t-la  ", ("ls", "-la")),
    ("git commit -m 'two words'", ("git", "commit", "-m", "two words")),
    ('echo "a \\"b\\" \\\\ \\x"', ("echo", 'a "b" \\ \\x')),
    ("r\\m x\\ y", ("rm", "x y")),
    ("'r'm \"-r\"f", ("rm", "-rf")),
    ("git diff HEAD~1 a^ x=y a#b %1", ("git", "diff", "HEAD~1", "a^", "x=y", "a#b", "%1")),
    ("echo ''", ("echo", "")),
]
NOT_SIMPLE = [
    "",
    "   ",
    "ls; rm -rf /",
    "ls && rm x",
    "ls || rm x",
    "ls | sh",
    "ls &",
    "echo $(rm x)",
    "echo `rm x`",
    'echo "$(rm x)"',
    'echo "`rm x`"',
    "echo $HOME",
    'echo "$HOME"',
    "echo $'rm'",
    "cat <(rm x)",
    "ls > /etc/passwd",
    "ls 2>&1",
    "cat < x",
    "(rm x)",
    "{ rm x; }",
    "echo {a,b}",
    "rm *",
    "rm ?",
    "rm [ab]",
    "cat ~/x",
    "cat --file=~/x",
    "cat a:~root",
    "# rm x",
    "ls # rm",
    "=rm x",
    "FOO=1 git status",
    "FOO+=1 git status",
    "a[0]=1 git status",
    "! ls",
    "time rm x",
    "if rm x",
    "ls\nrm x",
    "ls\rrm x",
    "ls \\\nrm",
    "echo 'open",
    'echo "open',
    "echo \\",
    "ls\x00rm",
    "ls\u2028rm",
]


@pytest.mark.parametrize(("command", "words"), SIMPLE)
def test_the_words_of_a_simple_command(command: str, words: tuple[str, ...]) -> None:
    """Quotes and escapes are taken off as a shell would."""
    assert simple_words(command) == words


@pytest.mark.parametrize("command", NOT_SIMPLE)
def test_what_is_not_fully_understood_is_not_simple(command: str) -> None:
    """Lists, pipes, expansions, redirections, assignments, comments, open quotes, control characters."""
    assert simple_words(command) is None


# Python leaves `=ls` as it is, which some shells expand.
WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1).filter(lambda word: word[0] != "=")


@given(st.lists(WORDS, min_size=1, max_size=5))
def test_quoted_words_come_back_as_they_were(words: list[str]) -> None:
    """Whatever was quoted word by word is these words again, unless the first one is more than a name."""
    words = ["program", *words]
    assert simple_words(shlex.join(words)) == tuple(words)


@given(st.text(alphabet="ab 'x\"\\~=#-:%^@!,+/.", max_size=12))
def test_a_shell_agrees_on_the_words_of_a_simple_command(text: str) -> None:
    """What is called simple is what a real shell hands to the program, word by word."""
    words = simple_words(f"printf %s\\\\0 {text}")
    if words is not None:
        shell = subprocess.run(["sh", "-c", f"printf %s\\\\0 {text}"], capture_output=True, check=True)
        assert shell.stdout.decode().split("\0")[:-1] == list(words[2:] or [""])


@pytest.mark.parametrize(
    "command",
    [
        "rm -rf x",
        "ls; rm -rf x",
        "ls\nrm -rf x",
        "ls|rm -rf x",
        "true && { rm -rf x; }",
        "(rm -rf x)",
        "echo $(rm -rf x)",
        'echo "$(rm -rf x)"',
        "echo `rm -rf x`",
        "A=1 B=2 rm -rf x",
        "sudo -u root rm -rf x",
        "env -i A=1 rm -rf x",
        "find . -exec rm -rf x +",
        "xargs rm -rf x",
        "bash -c 'rm -rf x'",
        "/bin/sh -c \"env sh -c 'rm -rf x'\"",
        "if true; then rm -rf x; fi",
        "! rm -rf x",
        "time rm -rf x",
        ">f rm -rf x",
        "r\\m -rf x",
        "'rm' -rf x",
        "cat <(rm -rf x)",
        'echo "unbalanced; rm -rf x',
    ],
)
def test_a_program_is_found_wherever_it_may_be_named(command: str) -> None:
    """A rule that forbids it sees it in lists, pipes, substitutions, wrappers and quoted scripts."""
    assert ("rm", "-rf", "x") in [found[:3] for found in possible_commands(command)]


@pytest.mark.parametrize("command", ["echo rm -rf x", "grep 'rm -rf x' f", "git rm -rf x", "rmdir x"])
def test_a_mere_word_is_no_program(command: str) -> None:
    """What stands behind a program that runs no other is its business."""
    assert "rm" not in [found[0] for found in possible_commands(command)]


@given(st.text())
def test_no_text_makes_either_reading_fail(text: str) -> None:
    """Commands come from a model: anything may be in them."""
    simple_words(text)
    for found in possible_commands(text):
        assert found


@pytest.mark.timeout(20)
@pytest.mark.parametrize("part", ["a", '"', "\\", "'\"", "$(", "sudo ", " ", '"\\a', "`", "rm;", "x=", "<("])
def test_the_cost_grows_with_the_length_and_not_with_its_square(part: str) -> None:
    """A command may be long; what is behind each wrapper is looked at only for some words."""
    command = part * (60_000 // len(part))
    simple_words(command)
    assert sum(len(found) for found in possible_commands(command)) <= 64 * len(command)
