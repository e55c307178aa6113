"""What narrows a stream of messages: collections of words, never one bare word.

A text is a collection too, of its letters; ``"turn/completed"`` in place of ``["turn/completed"]`` would select by parts of
words, and in silence.
"""

from __future__ import annotations

from collections.abc import Collection

from codex_runtime.errors import ConfigError

__all__ = ["check_words"]


def check_words(**options: Collection[str] | None) -> None:
    """Refuse a bare word where a collection of them is wanted (:class:`ConfigError`)."""
    for name, value in options.items():
        if isinstance(value, str | bytes):
            raise ConfigError(name, f"is a collection, such as [{value!r}], not one bare word")
