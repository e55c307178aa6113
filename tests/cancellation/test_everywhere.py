"""I16, C7: whatever users can await may be cancelled at every wait in it, and again while it cleans up."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.cancellation.scenarios import SCENARIOS, covered
from tests.support.cancel_everywhere import cancel_everywhere, public_coroutines

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Coroutine
    from typing import Any

    from tests.support.cancel_everywhere import Ended

pytestmark = pytest.mark.timeout(180)

SURFACE = Path(__file__).parent.parent / "architecture" / "surface.txt"
NOT_OURS = ("codex_runtime.testing.", "codex_runtime.sync.", "codex_runtime.cli.")
"""Tools of tests are not for programs; the other two have no coroutines."""
GENERATED = "AppServer.<each method of the server>"


@pytest.mark.parametrize("name", sorted(SCENARIOS))
async def test_it_may_be_cancelled_at_every_wait(name: str, tmp_path: Path) -> None:
    """It comes out as a cancellation, and what the scenario promises still holds."""
    runs = 0

    async def scenario() -> AsyncGenerator[Coroutine[Any, Any, Any], Ended]:
        nonlocal runs
        runs += 1
        folder = tmp_path / str(runs)
        folder.mkdir()
        world = SCENARIOS[name](folder)
        ended = yield await anext(world)
        with pytest.raises(StopAsyncIteration):
            await world.asend(ended)

    await cancel_everywhere(scenario)


def test_everything_that_can_be_awaited_has_a_scenario() -> None:
    """And each scenario stands for something that is there."""
    surface = [name for name in SURFACE.read_text().split() if not name.startswith(NOT_OURS)]
    assert covered() == public_coroutines(surface) | {GENERATED}
