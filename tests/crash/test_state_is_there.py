"""A saved state that somebody takes away while nothing changes: it is noticed, told, and saved again."""

from __future__ import annotations

import asyncio
import shutil
from typing import TYPE_CHECKING

from codex_runtime.runtime import JsonStateStore, read_state
from codex_runtime.testing import ManualClock
from tests.runtime.rig import Wire, running, until
from tests.runtime.test_keeper import named

if TYPE_CHECKING:
    from pathlib import Path

    from codex_runtime.runtime import StateStoreMetrics


async def test_a_state_that_is_taken_away_is_saved_again(tmp_path: Path) -> None:
    """Within an interval, and at the end: else the next program would know nothing of what was saved."""
    path, clock, wire = tmp_path / "state.json", ManualClock(), Wire()
    async with running(wire, clock, state_store=JsonStateStore(path)) as runtime, asyncio.timeout(10):
        wire.say(named("kept"))
        await clock.advance(1.0)
        await until(lambda: runtime.metrics.state_store and runtime.metrics.state_store.saves == 1)
        path.unlink()
        while not path.exists():  # the store looks after it on a thread, so each look is some turns away
            await clock.advance(1.0)
        path.unlink()
    assert read_state(path).threads["t"].name == "kept"


async def test_a_folder_that_is_taken_away_is_told_before_anything_changes(tmp_path: Path) -> None:
    """Once, and until it is back the state counts as unsaved."""
    folder, clock, wire = tmp_path / "folder", ManualClock(), Wire()
    folder.mkdir()
    troubles: list[StateStoreMetrics] = []
    store = JsonStateStore(folder / "state.json")
    async with running(wire, clock, state_store=store, on_state_trouble=troubles.append) as runtime:
        wire.say(named("kept"))
        await clock.advance(1.0)
        await until(lambda: runtime.metrics.state_store and runtime.metrics.state_store.saves == 1)
        shutil.rmtree(folder)
        for _ in range(2):
            await clock.advance(1.0)
            await until(lambda: troubles)
        assert [trouble.unsaved for trouble in troubles] == [True]
        folder.mkdir()
    assert read_state(folder / "state.json").threads["t"].name == "kept"
