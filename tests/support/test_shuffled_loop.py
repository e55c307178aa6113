"""Whether the shuffled loop shuffles what it may, and nothing else."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

import pytest

from tests.support.shuffled_loop import SEED_VARIABLE, on_shuffled_loops

if TYPE_CHECKING:
    from collections.abc import Coroutine


def orders(count: int = 40) -> list[tuple[list[str], list[str]]]:
    """What ran, for each seed: tasks and callbacks, as they were made one after the other."""
    found = []

    async def scenario(_: random.Random) -> None:
        ran: list[str] = []

        async def step(name: str) -> None:
            ran.append(name)

        made: list[str] = []
        tasks = []
        for n in range(4):
            asyncio.get_running_loop().call_soon(ran.append, f"callback {n}")
            tasks.append(asyncio.get_running_loop().create_task(step(f"task {n}")))
            made += [f"callback {n}", f"task {n}"]
        await asyncio.wait(tasks)
        found.append((made, ran))

    on_shuffled_loops(scenario, range(count))
    return found


def test_callbacks_keep_their_order_and_no_task_overtakes_one() -> None:
    """What asyncio promises, and relies on itself."""
    for made, ran in orders():
        assert sorted(ran) == sorted(made)
        assert [name for name in ran if name.startswith("callback")] == [f"callback {n}" for n in range(4)]
        for n in range(4):
            assert ran.index(f"task {n}") > ran.index(f"callback {n}")


def test_tasks_run_in_many_orders() -> None:
    """What it does not promise; the same for the same seed."""
    first, again = orders(), orders()
    assert first == again
    assert len({tuple(name for name in ran if name.startswith("task")) for _, ran in first}) > 5
    assert any(ran.index("task 0") > ran.index("callback 3") for _, ran in first)


def test_a_planted_race_is_found_and_its_seed_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two tasks that count together, with an await between reading and writing: right in the order in which all loops run them."""

    def racy(chance: random.Random) -> Coroutine[object, object, None]:
        async def scenario() -> None:
            taken = asyncio.Event()
            state = {"owner": ""}

            async def first() -> None:
                state["owner"] = "first"
                taken.set()

            async def second() -> None:
                assert state["owner"] == "first"

            await asyncio.gather(first(), second())

        return scenario()

    asyncio.run(racy(random.Random(0)))  # type: ignore[arg-type]
    with pytest.raises(AssertionError) as caught:
        on_shuffled_loops(racy, range(100))
    assert SEED_VARIABLE in caught.value.__notes__[0]


def test_what_is_left_is_told() -> None:
    """A task that still runs, and an exception that nobody saw."""

    async def leaves_a_task(_: random.Random) -> None:
        asyncio.get_running_loop().create_task(asyncio.Event().wait(), name="left")

    async def raises_unseen(_: random.Random) -> None:
        asyncio.get_running_loop().call_soon(lambda: 1 // 0)
        await asyncio.sleep(0)

    with pytest.raises(AssertionError, match=r"tasks are left.*left"):
        on_shuffled_loops(leaves_a_task, [1])
    with pytest.raises(AssertionError, match="ZeroDivisionError"):
        on_shuffled_loops(raises_unseen, [1])
