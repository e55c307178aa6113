"""Keeping the state: what comes back, when it is saved, in which order, and what a bad store costs."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import pytest

from codex_runtime._sansio.snapshot import decode, encode
from codex_runtime.errors import ConfigError, StoreError
from codex_runtime.runtime import (
    JsonStateStore,
    MemoryStateStore,
    Runtime,
    RuntimeState,
    StateStoreMetrics,
    read_state,
)
from codex_runtime.runtime._keeper import CLOSE_GRACE, SAVE_DEADLINE
from codex_runtime.runtime.state_store import StateStore
from codex_runtime.testing import FakeAppServer, ManualClock
from tests.runtime.rig import Wire, config, running, start, turns, until
from tests.sansio.states import folded

if TYPE_CHECKING:
    from pathlib import Path

ABOUT = {"threadId": "t", "turnId": "u", "itemId": "i"}


def named(name: str) -> dict[str, Any]:
    """Say that the thread has a new name."""
    return {"method": "thread/name/updated", "params": {"threadId": "t", "threadName": name}}


def began(turn: str = "u") -> dict[str, Any]:
    """Say that a turn begins."""
    return {"method": "turn/started", "params": {"threadId": "t", "turn": {"id": turn}}}


def ended(turn: str = "u") -> dict[str, Any]:
    """Say that a turn is over."""
    return {"method": "turn/completed", "params": {"threadId": "t", "turn": {"id": turn, "status": "completed"}}}


class Store(MemoryStateStore):
    """Keeps all that it got, and in which thread; waits and fails as told."""

    def __init__(self, data: bytes | None = None) -> None:
        super().__init__(data)
        self.states: list[RuntimeState] = []
        self.threads: set[str] = set()
        self.errors: list[Exception] = []
        self.may_go = threading.Event()
        self.may_go.set()
        self.entered = self.closed = 0

    def save(self, data: bytes, /) -> None:
        """Wait, raise or keep."""
        self.threads.add(threading.current_thread().name)
        self.entered += 1
        self.may_go.wait()
        if self.errors:
            raise self.errors.pop(0)
        state = decode(data)
        assert isinstance(state, RuntimeState)
        self.states.append(state)
        super().save(data)

    def close(self) -> None:
        """Count."""
        self.closed += 1
        super().close()

    @property
    def names(self) -> list[str | None]:
        """The name of the thread in each state that was saved."""
        return [state.threads["t"].name for state in self.states]


# -- coming back -------------------------------------------------------------------------------------------------------


async def test_the_next_runtime_begins_with_what_the_last_one_knew() -> None:
    """Before anything is asked of its server; a turn that was under way is lost, and no request waits."""
    store = MemoryStateStore()
    wire = Wire()
    async with running(wire, state_store=store) as runtime:
        wire.say(named("kept"), began("1"), ended("1"), began("2"))
        wire.say({"method": "item/agentMessage/delta", "params": {**ABOUT, "turnId": "2", "delta": "half"}})
        assert runtime.state.threads["t"].active_turn == "2"
    wire = Wire()
    async with running(wire, state_store=store) as runtime:
        state = runtime.state
        assert wire.ids("initialize")
        thread = state.threads["t"]
        assert (thread.name, thread.status, thread.active_turn) == ("kept", None, None)
        assert [turn.status for turn in thread.turns.values()] == ["completed", "lost"]
        item = thread.turns["2"].items["i"]
        assert (item.text, item.status) == ("half", "closed")
        assert (state.connection.phase, dict(state.pending)) == ("running", {})


async def test_what_comes_after_a_restart_is_never_taken_for_old() -> None:
    """However many messages the last program saw: numbers begin anew, and all that came back is below them."""
    store = MemoryStateStore(
        encode(folded([("thread/name/updated", named("old")["params"])], first_seq=10**9).snapshot())
    )
    wire = Wire()
    async with running(wire, state_store=store) as runtime:
        assert runtime.state.threads["t"].last_seq == -1
        wire.say(named("new"))
        thread = runtime.state.threads["t"]
        assert (thread.name, thread.last_seq >= 0) == ("new", True)


async def test_a_state_is_there_before_the_first_message(tmp_path: Path) -> None:
    """A server that speaks at once speaks into it."""
    path = tmp_path / "state.json"
    JsonStateStore(path).save(encode(folded([("thread/name/updated", named("old")["params"])]).snapshot()))

    class Eager(Wire):
        async def launch(self, receiver: Any, /) -> Wire:
            link = await super().launch(receiver)
            asyncio.get_running_loop().call_soon(self.say, began())
            return link

    async with running(Eager(), state_store=JsonStateStore(path)) as runtime:
        await until(lambda: "u" in runtime.state.threads["t"].turns)
        assert runtime.state.threads["t"].name == "old"


@pytest.mark.parametrize(
    ("data", "reason", "word"),
    [(b'{"torn', "damaged", "corrupt"), (b'{"format":"codex-runtime state","version":2}', "newer", "newer")],
)
async def test_a_file_that_cannot_be_read_is_set_aside_and_told(
    tmp_path: Path, data: bytes, reason: str, word: str
) -> None:
    """It is never fatal, never lost, and never in silence."""
    path = tmp_path / "state.json"
    path.write_bytes(data)
    told: list[StateStoreMetrics] = []
    wire = Wire()
    async with running(wire, state_store=JsonStateStore(path), on_state_trouble=told.append) as runtime:
        aside = tmp_path / f"state.json.{word}-1"
        assert [metrics.unreadable for metrics in told] == [f"{reason}: {aside}"]
        assert aside.read_bytes() == data
        assert dict(runtime.state.threads) == {}
        wire.say(named("new"))
    assert read_state(path).threads["t"].name == "new"
    assert aside.read_bytes() == data
    assert len(told) == 1


async def test_a_store_that_cannot_be_opened_fails_the_opening(tmp_path: Path) -> None:
    """Before a server is started, and whatever it raised."""

    class Broken(MemoryStateStore):
        def open(self) -> bytes | None:
            raise ZeroDivisionError

    for store, message in ((Broken(), "ZeroDivisionError"), (JsonStateStore(tmp_path / "no" / "s"), "cannot lock")):
        fake = FakeAppServer()
        with pytest.raises(StoreError, match=message):
            await Runtime(config(fake, state_store=store)).open()
        assert fake.launches == 0


async def test_a_store_that_hangs_at_its_opening_is_not_waited_for_for_ever() -> None:
    """The opening fails; when the store comes back, it is closed."""
    entered, may_go = threading.Event(), threading.Event()

    class Slow(Store):
        def open(self) -> bytes | None:
            entered.set()
            may_go.wait()
            return super().open()

    store, clock = Slow(), ManualClock()
    opening = asyncio.ensure_future(
        Runtime(config(FakeAppServer(), clock, state_store=store, start_deadline=7.0)).open()
    )
    await until(entered.is_set)
    await clock.advance(7.0)
    with pytest.raises(StoreError, match="did not open within 7 s"):
        await opening
    may_go.set()
    await until(lambda: store.closed == 1)


async def test_one_file_has_one_writer(tmp_path: Path) -> None:
    """A second runtime on it is not started; with a file each they do not know each other."""
    async with running(FakeAppServer(), state_store=JsonStateStore(tmp_path / "a")):
        with pytest.raises(StoreError, match="somebody else already writes"):
            await Runtime(config(FakeAppServer(), state_store=JsonStateStore(tmp_path / "a"))).open()
        async with running(FakeAppServer(), state_store=JsonStateStore(tmp_path / "b")):
            pass
    async with running(FakeAppServer(), state_store=JsonStateStore(tmp_path / "a")):
        pass


# -- saving ------------------------------------------------------------------------------------------------------------


async def test_what_changed_is_saved_once_in_an_interval() -> None:
    """Five changes are one save; none is none; nothing is saved on the thread of the loop."""
    store, clock, wire = Store(), ManualClock(), Wire()
    async with running(wire, clock, state_store=store, state_store_interval=2.0):
        for number in range(5):
            wire.say(named(str(number)))
        await clock.advance(1.9)
        assert store.entered == 0
        await clock.advance(0.1)
        await until(lambda: store.names == ["4"])
        await turns()
        await clock.advance(10.0)
        wire.say({"method": "warning", "params": {"threadId": "t", "message": "nothing lasting"}})
        await clock.advance(10.0)
        assert store.entered == 1
    assert store.names == ["4"]
    assert store.threads == {"codex-runtime state"}
    assert store.closed == 1


async def test_the_end_of_a_turn_is_saved_at_once() -> None:
    """No time has to pass for it."""
    store, clock, wire = Store(), ManualClock(), Wire()
    async with running(wire, clock, state_store=store):
        wire.say(began())
        await turns()
        assert store.entered == 0
        wire.say(ended())
        await until(lambda: store.states)
        assert store.states[0].threads["t"].turns["u"].status == "completed"


async def test_what_changes_during_a_save_is_one_more_save() -> None:
    """Never two at a time, and the last state wins."""
    store, clock, wire = Store(), ManualClock(), Wire()
    async with running(wire, clock, state_store=store):
        store.may_go.clear()
        wire.say(named("first"), began("1"), ended("1"))
        await until(lambda: store.entered == 1)
        for number in range(2, 7):
            wire.say(named(str(number)), began(str(number)), ended(str(number)))
        await clock.advance(5.0)
        assert store.entered == 1
        store.may_go.set()
        await until(lambda: len(store.states) == 2)
        await turns()
        await clock.advance(5.0)
        assert store.names == ["first", "6"]


async def test_a_slow_store_rests_as_long_as_it_took() -> None:
    """Turns that end one after the other do not keep a disk busy all the time."""
    store, clock, wire = Store(), ManualClock(), Wire()
    async with running(wire, clock, state_store=store, state_store_interval=60.0) as runtime:
        store.may_go.clear()
        wire.say(began("1"), ended("1"))
        await until(lambda: store.entered == 1)
        await clock.advance(3.0)
        store.may_go.set()
        await until(lambda: runtime.metrics.state_store.saves == 1)  # type: ignore[union-attr]
        store.may_go.clear()
        try:
            wire.say(began("2"), ended("2"))
            wire.say(began("3"), ended("3"))
            await clock.advance(2.9)
            assert store.entered == 1
            await clock.advance(0.1)
            await until(lambda: store.entered == 2)
            await clock.advance(1.0)
        finally:
            store.may_go.set()
        await until(lambda: runtime.metrics.state_store.saves == 2)  # type: ignore[union-attr]
        # Half of the time at most: had it begun any sooner, it would have taken longer than the first one.
        assert runtime.metrics.state_store.slowest == 3.0  # type: ignore[union-attr]


async def test_the_last_state_is_saved_at_the_end() -> None:
    """Also what was told a moment before, also without a turn; and what the end itself means for the turns."""
    store, clock, wire = Store(), ManualClock(), Wire()
    async with running(wire, clock, state_store=store):
        wire.say(named("last"), began())
    assert store.names[-1] == "last"
    assert store.states[-1].threads["t"].turns["u"].status == "lost"


async def test_a_runtime_in_which_nothing_happened_saves_nothing(tmp_path: Path) -> None:
    """Neither with a new store, nor with one that brought something back."""
    store = Store()
    async with running(FakeAppServer(), state_store=store):
        pass
    assert store.entered == 0
    store = Store(encode(folded([("thread/name/updated", named("old")["params"])]).snapshot()))
    async with running(FakeAppServer(), state_store=store):
        pass
    assert store.entered == 0
    async with running(FakeAppServer(), state_store=JsonStateStore(tmp_path / "s")):
        pass
    assert not (tmp_path / "s").exists()


async def test_a_life_in_many_programs_is_one_story() -> None:
    """Each of them goes on where the last one ended."""
    store = MemoryStateStore()
    for number in range(5):
        wire = Wire()
        async with running(wire, state_store=store) as runtime:
            assert len(runtime.state.threads["t"].turns if runtime.state.threads else ()) == number
            wire.say(began(str(number)), ended(str(number)))
    found = decode(store.data or b"")
    assert isinstance(found, RuntimeState)
    assert list(found.threads["t"].turns) == [str(number) for number in range(5)]


# -- trouble -----------------------------------------------------------------------------------------------------------


async def test_a_save_that_failed_is_told_once_and_tried_again() -> None:
    """Until it works; then the next trouble is told anew."""
    store, clock, wire = Store(), ManualClock(), Wire()
    told: list[StateStoreMetrics] = []
    store.errors = [OSError("full"), OSError("full")]
    async with running(wire, clock, state_store=store, on_state_trouble=told.append) as runtime:

        def figures() -> StateStoreMetrics:
            assert runtime.metrics.state_store is not None
            return runtime.metrics.state_store

        wire.say(named("a"))
        for count in (1, 2):
            await clock.advance(1.0)
            await until(lambda count=count: figures().errors == count)
            assert (figures().unsaved, figures().last_error) == (True, "OSError('full')")
        await clock.advance(1.0)
        await until(lambda: figures().saves == 1)
        assert (store.names, figures().unsaved, len(told)) == (["a"], False, 1)
        assert figures().size == len(store.data or b"")
        store.errors = [ValueError("again")]
        wire.say(named("b"))
        await clock.advance(1.0)
        await until(lambda: len(told) == 2)
    assert store.names == ["a", "b"]
    assert len(told) == 2


async def test_a_store_that_hangs_holds_up_nobody_and_the_end_is_bounded() -> None:
    """It is told when it hangs, and again when the last state could not be saved."""
    store, clock, wire = Store(), ManualClock(), Wire()
    told: list[StateStoreMetrics] = []
    runtime = await start(wire, clock, state_store=store, on_state_trouble=told.append, sink_grace=3.0)
    store.may_go.clear()
    wire.say(began(), ended())
    await until(lambda: store.entered == 1)
    await clock.advance(SAVE_DEADLINE)
    assert [(metrics.errors, metrics.last_error) for metrics in told] == [(1, "no end within 30 s")]
    wire.say(named("never saved"))
    assert runtime.state.threads["t"].name == "never saved"
    closing = asyncio.ensure_future(runtime.aclose())
    await clock.advance(3.0 + CLOSE_GRACE)
    await closing
    assert (len(told), told[-1].unsaved, store.entered, store.closed) == (2, True, 1, 0)
    store.may_go.set()
    await until(lambda: store.closed == 1)


async def test_a_store_that_cannot_close_costs_nobody_anything() -> None:
    """It is counted."""

    class Stuck(Store):
        def close(self) -> None:
            super().close()
            raise ZeroDivisionError

    async with running(FakeAppServer(), state_store=Stuck()) as runtime:
        pass
    assert runtime.metrics.state_store is not None
    assert (runtime.metrics.state_store.errors, runtime.metrics.state_store.last_error) == (1, "ZeroDivisionError()")


async def test_a_store_is_closed_when_a_sink_fails_the_opening(tmp_path: Path) -> None:
    """The next attempt finds it free."""
    from codex_runtime.runtime import JsonlSink

    store = JsonStateStore(tmp_path / "s")
    for _ in range(2):
        with pytest.raises(StoreError, match="nowhere"):
            await Runtime(
                config(FakeAppServer(), state_store=store, sinks=(JsonlSink(tmp_path / "nowhere" / "l"),))
            ).open()


async def test_who_is_told_of_trouble_may_raise() -> None:
    """That is their fault, and counted as such."""

    def wrong(_: StateStoreMetrics) -> None:
        raise ZeroDivisionError

    async with running(FakeAppServer(), state_store=MemoryStateStore(b"?"), on_state_trouble=wrong) as runtime:
        assert runtime.metrics.guest_errors == 1


def test_settings_that_make_no_sense_are_refused() -> None:
    """Before anything is started."""
    with pytest.raises(ConfigError, match="state_store: has nothing to keep"):
        config(FakeAppServer(), state_store=MemoryStateStore(), state=False)
    with pytest.raises(ConfigError, match="state_store_interval"):
        config(FakeAppServer(), state_store_interval=0.0)
    with pytest.raises(ConfigError, match="str has no open"):
        config(FakeAppServer(), state_store="state.json")


def test_a_store_of_ones_own_needs_three_functions() -> None:
    """Closing may be left out."""

    class Own(StateStore):
        def open(self) -> bytes | None:
            return None

        def save(self, data: bytes, /) -> None:
            pass

        def set_aside(self, why: str, /) -> str | None:
            return None

    assert config(FakeAppServer(), state_store=Own()).state_store is not None
    assert Own().close() is None  # type: ignore[func-returns-value]
