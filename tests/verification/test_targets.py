"""What we ask in trouble: each measurement once, and what is held against a limit. The figures are for a quiet machine."""

from __future__ import annotations

import pytest

from verification.targets import measures
from verification.targets.__main__ import TARGETS, Target
from verification.targets.measures import quantile


@pytest.mark.parametrize(("value", "more", "met"), [(9.0, False, True), (11.0, False, False), (11.0, True, True)])
def test_a_figure_is_held_against_its_limit(value: float, *, more: bool, met: bool) -> None:
    """From above, or from below where more is better."""
    assert Target(what="x", unit="ms", limit=10.0, more=more).is_met(value) is met


def test_a_quantile_is_one_of_the_figures() -> None:
    """The worst is the worst."""
    values = [float(number) for number in range(1, 101)]
    assert (quantile(values, 0.5), quantile(values, 0.99), quantile(values, 1)) == (50.5, 100.0, 100.0)


def test_every_target_is_named_once() -> None:
    """They share a table."""
    names = [target.what for measure in TARGETS for target in measure.targets]
    assert len(names) == len(set(names))


async def test_what_is_measured_happens() -> None:
    """One round of each that needs neither the real server nor long lines."""
    (told,) = await measures.loss_told(1, grandchild=True)
    (ended,) = await measures.end_of_a_hostile_server(1)
    assert 0 < told < ended


async def test_a_long_line_is_seen_to_take_time_and_room() -> None:
    """A measurement that always says zero would meet every target."""
    held, grown = await measures.long_lines(40_000_000, 1)
    assert held > 0
    assert grown > 0


async def test_the_journal_is_measured_with_what_has_to_be_safe_and_with_what_has_not() -> None:
    """A turn's end waits for the disk."""
    (commit,) = await measures.commit_of_a_decision(1)
    assert commit > 0
    assert await measures.throughput_of_the_journal(2, 10) > 0
