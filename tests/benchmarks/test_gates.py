"""Which gates are met, read from results as `make bench` writes them."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.gates import TIMED


def verdicts(results: dict[str, Any]) -> dict[str, bool | None]:
    """Judge all gates; what was not measured is None."""
    values = {gate.name: (gate, gate.measured(results)) for gate in TIMED}
    return {name: None if value is None else gate.met(value) for name, (gate, value) in values.items()}


def test_nothing_measured_is_nothing_met() -> None:
    """A run of a part says nothing about the rest."""
    assert set(verdicts({"workloads": {}}).values()) == {None}


@pytest.mark.parametrize(("ratio", "met"), [(4.0, True), (3.9, False)])
def test_a_ratio_is_met_at_its_limit(ratio: float, *, met: bool) -> None:
    """`≥ 4x` means what it says."""
    results = {"workloads": {"delta": {"naive": {"ratio": ratio, "median": {}}}}}
    assert verdicts(results)["deltas, against asyncio streams + json"] is met


@pytest.mark.parametrize(("lost", "met"), [(0, True), (1, False)])
def test_a_sink_that_loses_a_message_has_missed_its_gate(lost: int, *, met: bool) -> None:
    """However fast it is."""
    results = {"workloads": {"more": {"ours-jsonl": {"ratio": 1.25, "median": {"lost": lost}}}}}
    assert verdicts(results)["deltas with a JSONL sink, nothing lost: share of the plain rate"] is met


@pytest.mark.parametrize(("untold", "met"), [(0, True), (1, False)])
def test_a_loss_that_is_not_told_misses_the_gate_of_the_sleeping_reader(untold: int, *, met: bool) -> None:
    """However little memory that took."""
    results = {"workloads": {"stalled": {"ours": {"ratio": 1.0, "median": {"growth": 2**20, "missing": untold}}}}}
    assert verdicts(results)["a reader that sleeps through 100 000 events"] is met


def test_a_contender_that_fails_proves_nothing() -> None:
    """Its row has no ratio."""
    results = {"workloads": {"mixed": {"naive": {"error": "it fell over"}}}}
    assert verdicts(results)["a working turn, against asyncio streams + json"] is None
