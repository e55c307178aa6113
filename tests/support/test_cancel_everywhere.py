"""Whether the driver finds what it looks for."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.cancel_everywhere import Ended, cancel_everywhere, public_coroutines

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Coroutine


async def test_each_wait_is_cancelled_in_each_way() -> None:
    """And the one run to the end is not."""
    ends: list[tuple[int, bool]] = []

    async def work() -> str:
        for _ in range(3):
            await asyncio.sleep(0)
        return "done"

    async def scenario() -> AsyncGenerator[Coroutine[Any, Any, Any], Ended]:
        ended = yield work()
        assert ended.was_cancelled or ended.result == "done"
        ends.append((ended.waits, ended.was_cancelled))

    assert await cancel_everywhere(scenario) == 3
    assert ends == [(3, False), *[(1, True), (2, True), (3, True), (3, False)] * 3]


async def test_a_cancellation_that_is_swallowed_is_found() -> None:
    """Work that goes on as if nothing had been said."""

    async def work() -> None:
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(0)

    async def scenario() -> AsyncGenerator[Coroutine[Any, Any, Any], Ended]:
        yield work()

    with pytest.raises(AssertionError, match="swallowed") as caught:
        await cancel_everywhere(scenario)
    assert caught.value.__notes__ == ["cancelled asleep at wait 1 of 1"]


async def test_clean_up_that_can_be_cut_short_is_found() -> None:
    """Only the second cancellation shows it."""
    taken: list[str] = []

    async def work() -> None:
        taken.append("it")
        try:
            await asyncio.sleep(0)
        finally:
            await asyncio.sleep(0)
            taken.clear()

    async def scenario() -> AsyncGenerator[Coroutine[Any, Any, Any], Ended]:
        yield work()
        assert taken == []

    with pytest.raises(AssertionError) as caught:
        await cancel_everywhere(scenario)
    assert "wait 2 of 2" in caught.value.__notes__[0]


async def test_what_is_lost_between_coming_and_waking_is_found() -> None:
    """Something was handed over to one who was about to be cancelled."""
    box: asyncio.Queue[str] = asyncio.Queue()

    async def work() -> str:
        loop = asyncio.get_running_loop()
        handed: asyncio.Future[str] = loop.create_future()
        hand_over = lambda: handed.done() or handed.set_result(box.get_nowait())  # noqa: E731
        loop.call_soon(loop.call_soon, hand_over)
        return await handed

    async def scenario() -> AsyncGenerator[Coroutine[Any, Any, Any], Ended]:
        box.put_nowait("it")
        ended = yield work()
        assert ended.result == "it" or not box.empty()
        while not box.empty():
            box.get_nowait()

    with pytest.raises(AssertionError) as caught:
        await cancel_everywhere(scenario)
    assert caught.value.__notes__ == ["cancelled woken at wait 1 of 1"]


async def test_a_task_that_is_left_is_found() -> None:
    """Whoever started it."""
    left: list[asyncio.Task[Any]] = []

    async def work() -> None:
        left.append(asyncio.create_task(asyncio.Event().wait(), name="left"))
        await asyncio.sleep(0)

    async def scenario() -> AsyncGenerator[Coroutine[Any, Any, Any], Ended]:
        yield work()

    with pytest.raises(AssertionError, match=r"tasks are left.*left"):
        await cancel_everywhere(scenario)
    for each in left:
        each.cancel()
    await asyncio.wait(left)


def test_public_coroutines_are_found_by_what_they_return() -> None:
    """Functions, methods, context managers and iterators, also where they are no coroutine functions themselves."""
    names = [
        "codex_runtime.quick_run",
        "codex_runtime.Runtime",
        "codex_runtime.runtime.Launcher",
        "codex_runtime.CodexError",
    ]
    found = public_coroutines(names)
    assert {"quick_run", "Runtime.request", "Runtime.__aenter__", "Runtime.server_requests"} <= found
    assert not any(name.startswith(("Launcher", "CodexError")) for name in found)
