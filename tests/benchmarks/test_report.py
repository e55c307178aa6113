"""What is written into docs/performance.md, and what is left alone there."""

from __future__ import annotations

import pytest

from benchmarks.report import BEGIN, END, PAGE, generated, replaced
from tests.architecture.tree import ROOT

RESULTS = {
    "machine": {
        "cpu": "a processor",
        "cores": 2,
        "system": "Linux 6",
        "python": "CPython 3.11.7 (no PGO)",
        "load": 0.1,
        "versions": {"codex-runtime": "0.1.0"},
    },
    "at": 0.0,
    "pinned": False,
    "rounds": 5,
    "workloads": {
        "delta": {
            "ours": {"ratio": 1.0, "median": {"rate": 600_000.0, "cpu": 1.5}},
            "naive": {"ratio": 5.0, "median": {"rate": 120_000.0, "cpu": 8.0}},
            "cas": {"error": "it fell over"},
        }
    },
}


def test_what_stands_outside_of_the_marks_stays() -> None:
    """People write there."""
    page = f"before\n{BEGIN}\nold\n{END}\nafter\n"
    assert replaced(page, "new") == f"before\n{BEGIN}\n\nnew\n\n{END}\nafter\n"


def test_a_page_without_marks_is_refused() -> None:
    """Rather than appended to."""
    with pytest.raises(ValueError, match="must stand on the page"):
        replaced("no marks", "new")


def test_the_page_has_its_marks() -> None:
    """Once each, in order."""
    assert PAGE.is_relative_to(ROOT)
    replaced(PAGE.read_text(encoding="utf-8"), "new")


def test_a_row_shows_figure_and_ratio_of_each_contender_and_who_fails() -> None:
    """Those that took no part stay empty."""
    text = generated(RESULTS, None)
    assert "600 k/s | 120 k/s (5x) |  |  | fails |" in text
    assert "| deltas, against asyncio streams + json | ≥ 4x | 5x | met |" in text
    assert "not measured" in text
