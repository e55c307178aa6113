"""An event loop that runs what is ready in another order for each seed, as far as asyncio promises none.

What asyncio promises: callbacks run in the order in which they were registered, and what a future wakes runs after the
callbacks that it had before. What it does not promise is when a task that may go on goes on: another task, or a callback
that is younger, may always come first. So steps of tasks are put off within one iteration, by chance, behind whatever else is ready
in it; callbacks keep their order among themselves, and no step overtakes a callback that was there before it.

It knows no clock: whoever wants time to pass turns a ``ManualClock``. The one idea: a race is a bug that waits for its
schedule, and a seed is a schedule that can be had again.
"""

from __future__ import annotations

import asyncio
import os
import random
from functools import partial
from typing import TYPE_CHECKING, Any

from tests.support.effort import EFFORT, EFFORT_VARIABLE

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable

__all__ = ["SEED_VARIABLE", "ShuffledLoop", "on_shuffled_loops", "seeds"]

SEED_VARIABLE = "CODEX_RUNTIME_TEST_SEED"
LIMIT = 60.0
"""Seconds that one schedule may take; none needs a hundredth of it."""


class ShuffledLoop(asyncio.SelectorEventLoop):
    """The loop of one schedule. ``shuffled`` counts the iterations in which something was put off."""

    _ready: Any  # a deque of handles; the loop's own attribute, which no type stub names

    def __init__(self, seed: int) -> None:
        super().__init__()
        self._chance = random.Random(seed)
        self.shuffled = 0

    def _run_once(self) -> None:
        ready = list(self._ready)
        if len(ready) > 1 and any(map(_is_step, ready)):
            chance, count = self._chance.random, len(ready)
            places = [place + chance() * count * _is_step(handle) for place, handle in enumerate(ready)]
            order = sorted(range(count), key=places.__getitem__)
            if order != list(range(count)):
                self.shuffled += 1
                self._ready.clear()
                self._ready.extend(ready[place] for place in order)
        super()._run_once()  # type: ignore[misc]


def _is_step(handle: asyncio.Handle) -> bool:
    """Tell a task that goes on from all other callbacks; a call of ``task.cancel`` is one of these."""
    callback = handle._callback  # type: ignore[attr-defined]
    return isinstance(getattr(callback, "__self__", None), asyncio.Task) and (
        getattr(callback, "__name__", None) != "cancel"
    )


def seeds(count: int) -> Iterable[int]:
    """So many seeds, more of them with more effort; or the one that was asked for."""
    wanted = os.environ.get(SEED_VARIABLE)
    return range(count * EFFORT) if wanted is None else [int(wanted)]


def on_shuffled_loops(
    scenario: Callable[[random.Random], Coroutine[Any, Any, object]], tries: Iterable[int]
) -> dict[int, int]:
    """Run a scenario once on a loop of its own for each seed; it may draw chances of its own from what it is given.

    Returns how many iterations were shuffled, by seed. What goes wrong names its seed: an error, a task that is left, or
    an exception that nobody saw.
    """
    state = random.getstate()
    shuffled = {}
    try:
        for seed in tries:
            try:
                shuffled[seed] = _run(scenario, seed)
            except BaseException as error:
                error.add_note(
                    f"under seed {seed}: {SEED_VARIABLE}={seed} runs it alone, {EFFORT_VARIABLE}=N tries more"
                )
                raise
    finally:
        random.setstate(state)
    return shuffled


def _run(scenario: Callable[[random.Random], Coroutine[Any, Any, object]], seed: int) -> int:
    random.seed(seed)  # the spread of back-offs
    unseen: list[str] = []
    with asyncio.Runner(loop_factory=partial(ShuffledLoop, seed)) as runner:
        loop = runner.get_loop()
        assert isinstance(loop, ShuffledLoop)
        loop.set_exception_handler(lambda _, context: unseen.append(str(context)))
        left = runner.run(_limited(scenario(random.Random(seed))))
    assert not left, f"tasks are left: {left}"
    assert not unseen, f"the loop was told of: {unseen}"
    return loop.shuffled


async def _limited(work: Coroutine[Any, Any, object]) -> list[str]:
    async with asyncio.timeout(LIMIT):
        await work
    for _ in range(50):  # what is just ending may end
        if len(asyncio.all_tasks()) == 1:
            break
        await asyncio.sleep(0)
    return [repr(task) for task in asyncio.all_tasks() if task is not asyncio.current_task()]
