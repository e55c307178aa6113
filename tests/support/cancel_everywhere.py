"""Cancels a piece of work at each of its waits, one run after the other, and has each aftermath judged.

A *scenario* is an async generator: it prepares a world, yields the coroutine that is to be cancelled, is told how that
:class:`Ended`, judges what is left, and takes its world down. The work is run to its end once, to count how often it waits;
then anew for each of these waits, cancelled there in three ways: while it waits (`asleep`), when what it waited for has just
come (`woken`), and once more at its next wait, while it cleans up (`twice`).

Whatever the scenario thinks of it, a cancellation must come out again as one, and no task may be left.

The one idea: "safe to cancel" is a promise about every single wait, so every single wait is tried.
"""

from __future__ import annotations

import asyncio
import inspect
import re
from collections.abc import AsyncGenerator, Callable, Coroutine
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable

__all__ = ["Counting", "Ended", "Moment", "Scenario", "cancel_everywhere", "public_coroutines"]

Moment: TypeAlias = Literal["asleep", "woken", "twice"]
MOMENTS: tuple[Moment, ...] = get_args(Moment)
LIMIT = 30.0
"""Seconds that one run may take; none needs a tenth of one, unless the machine is busy."""
MOST = 200
"""No work waits so often; one that does has no end."""


@dataclass(frozen=True)
class Ended:
    """How the work ended: it was cancelled, it raised, or it returned. ``waits`` is how often it had waited until then."""

    was_cancelled: bool
    waits: int
    moment: Moment
    result: Any = None
    error: BaseException | None = None


Scenario: TypeAlias = Callable[[], AsyncGenerator[Coroutine[Any, Any, Any], Ended]]


async def cancel_everywhere(scenario: Scenario) -> int:
    """Cancel a scenario's work at each of its waits. Returns how many there are; what fails names the wait."""
    whole = await _once(scenario, 0, "asleep")
    assert not whole.was_cancelled
    if whole.error is not None:
        raise whole.error
    for moment in MOMENTS:
        for place in range(1, MOST):
            try:
                ended = await _once(scenario, place, moment)
            except BaseException as error:
                error.add_note(f"cancelled {moment} at wait {place} of {whole.waits}")
                raise
            if ended.waits < place:
                break  # it came to its end before
        else:
            raise AssertionError("the work has no end")
    return whole.waits


async def _once(scenario: Scenario, place: int, moment: Moment) -> Ended:
    async with asyncio.timeout(LIMIT):
        world = scenario()
        counting = Counting(await anext(world), place, moment)
        working = asyncio.get_running_loop().create_task(counting.run(), name="to be cancelled")
        await asyncio.wait([working])
        error = None if working.cancelled() else working.exception()
        if counting.was_hit:
            assert working.cancelled(), (
                f"the cancellation was swallowed; what came out is {error or working.result()!r}"
            )
        result = None if working.cancelled() or error is not None else working.result()
        ended = Ended(working.cancelled(), counting.waits, moment, result, error)
        try:
            await world.asend(ended)
        except StopAsyncIteration:
            pass
        else:
            raise AssertionError("a scenario yields once")
        for _ in range(100):
            if len(asyncio.all_tasks()) <= _own_tasks():
                return ended
            await asyncio.sleep(0)
    others = [repr(each) for each in asyncio.all_tasks() if each is not asyncio.current_task()]
    raise AssertionError(f"tasks are left: {others}")


def _own_tasks() -> int:
    return 1 + sum(task.get_name().startswith("fixture ") for task in asyncio.all_tasks())


class Counting:
    """Something to await that counts how often it waits, and is cancelled at one of these waits."""

    def __init__(self, work: Coroutine[Any, Any, Any], place: int, moment: Moment) -> None:
        self._work = work
        self._place = place
        self._moment = moment
        self.waits = 0
        self.was_hit = False

    async def run(self) -> Any:
        """Do the work."""
        return await self

    def __await__(self) -> Generator[Any, Any, Any]:
        steps = self._work.__await__()
        result: Any = None
        error: BaseException | None = None
        while True:
            try:
                waits_for = steps.send(result) if error is None else steps.throw(error)
            except StopIteration as stop:
                return stop.value
            self.waits += 1
            if self.waits == self._place or (
                self._moment == "twice" and self.waits == self._place + 1 and self.was_hit
            ):
                self._hit(waits_for)
            try:
                result, error = (yield waits_for), None
            except BaseException as raised:  # noqa: BLE001  # handed on to the one who waits
                error = raised

    def _hit(self, waits_for: asyncio.Future[Any] | None) -> None:
        task = asyncio.current_task()
        assert task is not None

        def cancel(_: object = None) -> None:
            if not task.done():
                self.was_hit = True
                task.cancel()

        if self._moment == "woken" and waits_for is not None:
            waits_for.add_done_callback(cancel)
        else:
            asyncio.get_running_loop().call_soon(cancel)


# -- what has to have a scenario ---------------------------------------------------------------------------------------


def public_coroutines(surface: Iterable[str]) -> set[str]:
    """Name all that users can await, by the names that they can import: functions, methods, and async iterators.

    Of a generated class only the methods that were written by hand count: the others are all alike.
    """
    found = set()
    for name in surface:
        module, _, attribute = name.rpartition(".")
        value = getattr(import_module(module), attribute)
        if inspect.isfunction(value) and _is_awaited(value):
            found.add(attribute)
        elif inspect.isclass(value) and not getattr(value, "_is_protocol", False):
            found |= {f"{attribute}.{method}" for method in _awaited_methods(value)}
    return found


def _awaited_methods(kind: type) -> Iterable[str]:
    for owner in kind.__mro__:
        is_ours = owner.__module__.startswith("codex_runtime.") and not owner.__module__.endswith("_generated")
        if is_ours and not getattr(owner, "_is_protocol", False):
            for name, value in vars(owner).items():
                is_public = not name.startswith("_") or name.startswith("__")
                if is_public and inspect.isfunction(value) and _is_awaited(value):
                    yield name


def _is_awaited(function: Any) -> bool:
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        return True
    told = str(getattr(function, "__annotations__", {}).get("return", ""))
    return re.match(r"(typing\.|collections\.abc\.)?(Async|Awaitable|Coroutine)", told) is not None
