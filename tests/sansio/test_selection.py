"""What narrows a stream of messages."""

from __future__ import annotations

from typing import Any

import pytest

from codex_runtime._sansio.selection import check_words
from codex_runtime.errors import ConfigError


@pytest.mark.parametrize("value", [None, (), ["a"], {"a"}, {"a": 1}, frozenset({"a"})])
def test_any_collection_will_do(value: Any) -> None:
    """And so does none at all."""
    check_words(methods=value, kinds=value)


@pytest.mark.parametrize("value", ["turn/completed", "", b"turn/completed"])
def test_a_bare_word_is_refused(value: Any) -> None:
    """It would select by parts of words; the error names the option."""
    with pytest.raises(ConfigError, match="not one bare word") as caught:
        check_words(methods=["a"], kinds=value)
    assert caught.value.field == "kinds"
