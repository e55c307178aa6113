"""How hard the tests try that search: those with many seeds or many examples.

``CODEX_RUNTIME_TEST_EFFORT=100`` makes them a hundred times as long. Without it they are quick and always do the same; with
it, they also try what they have not tried before.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

__all__ = ["EFFORT", "EFFORT_VARIABLE", "PATIENCE", "searching"]

EFFORT_VARIABLE = "CODEX_RUNTIME_TEST_EFFORT"
EFFORT = int(os.environ.get(EFFORT_VARIABLE, "1"))
PATIENCE = 300 * EFFORT
"""Seconds for one test that searches: a few are enough, unless the machine has a dozen other things to do."""


def searching(examples: int, *, steps: int = 50) -> settings:
    """Settings for a property that is searched for in so many examples, each of at most so many steps."""
    return settings(
        max_examples=examples * EFFORT,
        stateful_step_count=steps,
        derandomize=EFFORT == 1,
        database=None,
        deadline=None,
        print_blob=True,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
    )
