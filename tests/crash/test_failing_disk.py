"""The n-th system call fails: each store tells it, keeps what it has acknowledged, and goes on when the disk does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from verification.crash import faults, living, power
from verification.crash.stores import STORES

if TYPE_CHECKING:
    from pathlib import Path

SMALL = [name for name, store in STORES.items() if store.is_small]


@pytest.mark.parametrize("store", SMALL)
def test_no_call_that_fails_costs_what_was_acknowledged(store: str, library: Path, shelf: Path) -> None:
    """Full, broken, interrupted, half done, once or for long; and every error is one of ours."""
    outcome = faults.run(store, library, shelf, every=17 if "journal" in store else 7)
    assert outcome.violations == []
    assert outcome.refused > 0
    assert {"OPEN", "WRITE"} <= outcome.failed.keys()


def test_a_runtime_lives_on_a_disk_that_fails(library: Path, shelf: Path) -> None:
    """Its turns go on, what a log did not get is counted and stands in it as a gap, and at the end the state is saved."""
    outcome = living.run(library, shelf, every=9)
    assert outcome.violations == []
    assert outcome.rounds > outcome.acknowledged > 0 < outcome.refused


@pytest.mark.parametrize("store", SMALL)
def test_no_loss_of_power_costs_what_was_waited_for(store: str, library: Path, shelf: Path) -> None:
    """Whichever part of the rest the disk had by then; and the store goes on with what there is."""
    cuts = power.run(store, library, shelf, seed=7, choices=1, every=5)
    assert cuts.violations == []
    assert cuts.cuts > 20
    assert (cuts.sure > 0) == (store != "jsonl never")
