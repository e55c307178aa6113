"""Does a row of figures grow? Mann and Kendall say whether it has a direction at all, Theil and Sen how steep it is.

Nothing here knows what the figures are. The one idea: samples that follow each other are alike, and tests that count pairs
take that for proof. So a row is first cut into stretches, and only their medians are judged.
"""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal, TypeAlias

__all__ = ["Trend", "judge", "mann_kendall", "medians", "theil_sen"]

Word: TypeAlias = Literal["flat", "within bounds", "falls", "grows", "too short"]

ALPHA = 0.05
STRETCHES = 40  # their pairs are 780
FEWEST = 8  # below so many points no rise would be sure


@dataclass(frozen=True, slots=True, kw_only=True)
class Trend:
    """What a row does: its slope per unit of x, how likely it is that chance did it, and where it began and ended."""

    word: Word
    slope: float
    p: float
    first: float
    last: float
    bound: float

    @property
    def is_good(self) -> bool:
        """True unless it grows."""
        return self.word != "grows"


def judge(xs: Sequence[float], ys: Sequence[float], *, bound: float) -> Trend:
    """Judge a row. It grows if that is no chance and its slope is above the bound."""
    xs, ys = medians(xs, ys)
    if len(xs) < FEWEST:
        return Trend(
            word="too short", slope=0.0, p=1.0, first=ys[0] if ys else 0.0, last=ys[-1] if ys else 0.0, bound=bound
        )
    slope, p = theil_sen(xs, ys), mann_kendall(ys)
    word: Word = "flat"
    if p <= ALPHA:
        word = "falls" if slope < 0 else "within bounds" if slope <= bound else "grows"
    return Trend(word=word, slope=slope, p=p, first=ys[0], last=ys[-1], bound=bound)


def medians(xs: Sequence[float], ys: Sequence[float], most: int = STRETCHES) -> tuple[list[float], list[float]]:
    """Cut a row into at most so many stretches, and return the middle of each."""
    size = max(1, math.ceil(len(xs) / most))
    starts = range(0, len(xs), size)
    return (
        [statistics.median(xs[start : start + size]) for start in starts],
        [statistics.median(ys[start : start + size]) for start in starts],
    )


def mann_kendall(ys: Sequence[float]) -> float:
    """Return how likely it is that a row without direction has as much of one by chance. Two-sided, ties considered."""
    n = len(ys)
    score = sum((b > a) - (b < a) for a, b in combinations(ys, 2))
    ties = sum(t * (t - 1) * (2 * t + 5) for t in Counter(ys).values())
    variance = (n * (n - 1) * (2 * n + 5) - ties) / 18
    if variance <= 0 or score == 0:
        return 1.0
    z = (abs(score) - 1) / math.sqrt(variance)
    return math.erfc(z / math.sqrt(2))


def theil_sen(xs: Sequence[float], ys: Sequence[float]) -> float:
    """Return the median of the slopes between any two points."""
    slopes = [(d - b) / (c - a) for (a, b), (c, d) in combinations(zip(xs, ys, strict=True), 2) if c != a]
    return statistics.median(slopes) if slopes else 0.0
