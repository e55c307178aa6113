r"""Reads a shell's command line in two ways, and never runs a word of it.

:func:`simple_words` is strict: it returns the words only if the shell would run exactly one program with exactly these
words. Whatever it does not fully understand is not simple. It is what an *allow* may be built on.

:func:`possible_commands` is loose: it finds every place where a program might be named, inside lists, pipes, substitutions,
wrappers and quoted scripts. It finds too much rather than too little, and is what a *deny* is built on. It is no parser of
a shell, and a command that wants to hide can hide from it: that is why a command which is not simple is never allowed.

The one idea: to say yes one must understand everything, to say no it is enough to suspect something.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

__all__ = ["might_run", "possible_commands", "simple_words"]

# One stretch of a word: '...', "..." without expansions, \x, or characters that no shell treats in a special way.
_STRETCH = re.compile(
    r"""'([^']*)'|"([^"\\$`]*(?:\\.[^"\\$`]*)*)"|\\([^\n\r])|([^\s'"\\$`;&|<>(){}\[\]*?\x00-\x1f\x7f]+)""", re.DOTALL
)
_IN_DOUBLE = re.compile(r'\\([$`"\\])|\\\n')
# Bare beginnings of a word that shells expand or ignore: a home, a comment, the path of a program (zsh).
_EXPANDED = re.compile(r"[~#=]|.*[:=]~")
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*(\[[^]]*\])?\+?=")
_RESERVED = frozenset(
    {
        *("!", "[[", "case", "coproc", "do", "done", "elif", "else", "end", "esac", "fi", "for", "foreach", "function"),
        *("if", "in", "nocorrect", "noglob", "repeat", "select", "then", "time", "until", "while"),
    }
)

# A loose token: quoted text, an operator, or a run of other characters. A lone quote is an operator too.
_TOKEN = re.compile(
    r"""'(?P<single>[^']*)'|"(?P<double>[^"\\]*(?:\\.[^"\\]*)*)"|(?P<space>[ \t]+|\\\n)|(?P<redirect>[0-9]*[<>]+&?)"""
    r"""|(?P<end>[;&|(){}`'"\n\r]|\$[({])|(?P<plain>(?:[^\s'"\\;&|<>(){}`$]|\\[^\n]|\$(?![({])|[^\S \t\n\r])+|\\)""",
    re.DOTALL,
)
# Programs and words that run what comes after them.
_WRAPPERS = _RESERVED | {
    *(
        "bash",
        "builtin",
        "busybox",
        "chroot",
        "command",
        "dash",
        "doas",
        "env",
        "eval",
        "exec",
        "find",
        "flock",
        "ionice",
    ),
    *("ksh", "nice", "nohup", "parallel", "script", "setsid", "sh", "stdbuf", "sudo", "su", "taskset", "timeout"),
    *("unshare", "watch", "xargs", "zsh"),
}
_DEPTH = 4
_TAIL = 64  # words after a wrapper, from each of them on: all of them would cost the square of their number


def simple_words(command: str) -> tuple[str, ...] | None:
    """Return the words of a command line that is one program with literal words, else ``None``.

    Lists, pipes, redirections, expansions of any kind, globs, comments, assignments, reserved words and line breaks
    outside of quotes are not simple.
    """
    words: list[str] = []
    at, end = 0, len(command)
    while at < end:
        if command[at] in " \t":
            at += 1
            continue
        parts: list[str] = []
        while at < end and command[at] not in " \t":
            stretch = _STRETCH.match(command, at)
            if stretch is None:
                return None
            single, double, escaped, bare = stretch.groups()
            if bare is not None and (_EXPANDED.match(bare) if not parts else ":~" in bare or "=~" in bare):
                return None
            parts.append(single or escaped or bare or (_IN_DOUBLE.sub(r"\1", double) if double else ""))
            at = stretch.end()
        words.append("".join(parts))
    if not words or words[0] in _RESERVED or _ASSIGNMENT.match(words[0]):
        return None
    return tuple(words)


def possible_commands(command: str) -> Iterator[tuple[str, ...]]:
    """Yield, for each place where a program may be named, the words from there to the end of its stretch."""
    yield from _possible(command, _DEPTH)


def might_run(words: tuple[str, ...], command: str, argv: tuple[str, ...] | None = None) -> bool:
    """Tell whether a command might run a program, the first of ``words``, with the others behind it in this order.

    ``argv`` are the words of the command, if they are known. A program is meant wherever it lies: ``/bin/rm`` is ``rm``.
    """
    program, *rest = words
    for found in ((argv or ()), *possible_commands(command)):
        if found and program in (found[0], found[0].rpartition("/")[2]):
            behind = iter(found[1:])
            if all(word in behind for word in rest):
                return True
    return False


def _possible(text: str, depth: int) -> Iterator[tuple[str, ...]]:
    words: list[str] = []
    is_anywhere = False
    for word, kind in _tokens(text):
        if kind == "word":
            words.append(word)
            continue
        if kind == "redirect":
            is_anywhere = True
            continue
        if kind == "script" and depth:
            yield from _possible(word, depth - 1)
            continue
        yield from _of_stretch(words, depth, is_anywhere=is_anywhere)
        words, is_anywhere = [], False
    yield from _of_stretch(words, depth, is_anywhere=is_anywhere)


def _of_stretch(words: list[str], depth: int, *, is_anywhere: bool) -> Iterator[tuple[str, ...]]:
    is_here = True
    for at, word in enumerate(words):
        if is_here or is_anywhere:
            yield tuple(words[at:] if is_here else words[at : at + _TAIL])
            is_here = bool(_ASSIGNMENT.match(word))
            is_anywhere = is_anywhere or word.rpartition("/")[2] in _WRAPPERS
        if is_anywhere and depth and re.search(r"\s", word):
            yield from _possible(word, depth - 1)


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    """Yield words, and what stands between them. Text in double quotes is a word, and a script if it has expansions."""
    parts: list[str] = []
    for token in _TOKEN.finditer(text):
        kind, value = token.lastgroup, token[0]
        if kind in ("space", "redirect", "end"):
            if parts:
                yield "".join(parts), "word"
                parts = []
            if kind != "space":
                yield value, kind
        elif kind == "double":
            inner = _IN_DOUBLE.sub(r"\1", token["double"])
            if "$" in inner or "`" in inner:
                yield token["double"], "script"
            parts.append(inner)
        else:
            parts.append(token["single"] if kind == "single" else re.sub(r"\\(.)", r"\1", value))
    if parts:
        yield "".join(parts), "word"
