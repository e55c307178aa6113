"""Two programs on one store, a thousand records each: one writes, the other is told so, and nothing is lost or mixed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from verification.crash import beside

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("store", ["jsonl never", "state", "journal"])
def test_two_programs_take_turns_and_lose_nothing(store: str, shelf: Path) -> None:
    """The lock ends with its holder and names nobody who is gone; whoever has the store goes on where the other one ended."""
    done, wrong = beside.run(store, shelf)
    assert wrong == []
    assert [len(one.added) for one in done] == [1000, 1000]
