"""How a row of figures is judged."""

from __future__ import annotations

import pytest

from benchmarks.curves import judge

XS = [0, 1, 2, 4, 8]


@pytest.mark.parametrize(
    ("ys", "word"),
    [
        ([30.0, 30.1, 29.9, 30.2, 30.0], "flat"),
        ([30.0, 29.0, 28.0, 26.0, 22.0], "flat"),
        ([30.0, 36.0, 40.0, 40.1, 40.0], "levels off"),
        ([30.0, 33.0, 36.0, 42.0, 54.0], "linear"),
        ([30.0, 31.0, 34.0, 46.0, 94.0], "grows"),
    ],
)
def test_figures_are_judged_by_how_they_go_on(ys: list[float], word: str) -> None:
    """What falls is flat as well: nobody needs to be warned of it."""
    assert judge(XS, ys, tolerance=0.1).word == word


def test_a_line_is_told_by_its_slope_and_its_height_at_zero() -> None:
    """So that it can be drawn."""
    verdict = judge(XS, [30.0 + 3 * x for x in XS], tolerance=0.1)
    assert verdict.slope == pytest.approx(3.0)
    assert verdict.base == pytest.approx(30.0)
