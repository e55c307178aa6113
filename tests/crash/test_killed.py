"""Programs are killed in mid-write, two hundred over all stores: what they acknowledged is there, in order, and no half of more."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from verification.crash import kill
from verification.crash.stores import STORES

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("store", STORES)
def test_what_was_acknowledged_survives_being_killed(store: str, shelf: Path) -> None:
    """At most the one record is there besides that was on its way."""
    deaths = kill.run(store, rounds=-(-200 // len(STORES)), seed=7, folder=shelf)
    assert deaths.violations == []
    assert deaths.acknowledged > 0
