"""The small languages that we read: addresses, and command lines as a policy sees them."""

from __future__ import annotations

import re
import shlex

from codex_runtime._sansio.address import parse_address
from codex_runtime._sansio.shell_words import might_run, possible_commands, simple_words
from codex_runtime.errors import ConfigError

__all__ = ["one"]

_ESCAPED = re.compile(r"\\[$`\n]")


def one(data: bytes) -> None:
    """Read a text as both."""
    text = data.decode("utf-8", "surrogateescape")
    for address in (text, f"ws://{text}", f"unix://{text}"):
        _address(address)
    _command(text)


def _address(text: str) -> None:
    try:
        address = parse_address(text)
    except ConfigError:
        return
    assert parse_address(str(address)) == address
    assert isinstance(address.is_local, bool)


def _command(text: str) -> None:
    words = simple_words(text)
    if words is None:
        list(possible_commands(text))
        return
    if not _ESCAPED.search(text):  # in double quotes a shell takes the backslash away, and shlex does not
        assert list(words) == shlex.split(text), "a shell reads it the same way"
    assert might_run(words[:1], text), "what certainly runs is among what might"
