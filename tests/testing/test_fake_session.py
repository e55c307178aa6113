"""A session carries out what the core wants: lines in, bytes out, waits in between."""

from __future__ import annotations

import asyncio

from codex_runtime.testing._clock import ManualClock
from codex_runtime.testing._fake_core import FakeServerCore
from codex_runtime.testing._fake_log import History
from codex_runtime.testing._fake_orders import Orders
from codex_runtime.testing._fake_script import Bytes, Die, Fault, Script, Stderr, StopReading
from codex_runtime.testing._fake_session import FakeSession
from codex_runtime.testing._fake_threads import FakeDisk
from codex_runtime.testing._gate import Gate
from codex_runtime.testing._reply import Hold, Pause


class Tape:
    """A body that only takes note."""

    def __init__(self) -> None:
        self.done: list[bytes | Fault] = []

    def send(self, data: bytes) -> None:
        """Take note."""
        self.done.append(data)

    def inflict(self, fault: Fault) -> None:
        """Take note."""
        self.done.append(fault)


def make(clock: ManualClock) -> tuple[FakeSession, Tape]:
    """A session at work."""
    history = History()
    core = FakeServerCore(
        generation=history.born(),
        disk=FakeDisk(),
        orders=Orders(default=Script()),
        history=history,
        wall=clock.wall,
    )
    session, tape = FakeSession(core, clock, lambda: None), Tape()
    session.start(tape)
    return session, tape


async def test_lines_may_be_cut_anywhere() -> None:
    """They are put together again, and half a line waits."""
    session, tape = make(ManualClock())
    for byte in b'{"id":1,"method":"x"}\n{"id":2,':
        session.feed(bytes([byte]))
    assert len(tape.done) == 1
    assert b"Not initialized" in tape.done[0] or b"unknown variant" in tape.done[0]  # type: ignore[operator]


async def test_bytes_and_faults_keep_their_order() -> None:
    """Bytes that follow each other travel together."""
    session, tape = make(ManualClock())
    session.play([Bytes(b"a"), Bytes(b"b"), Stderr("oops"), Bytes(b"c"), Die(code=2)])
    assert tape.done == [b"ab", Stderr("oops"), b"c", Die(code=2)]


async def test_a_pause_is_spent_on_the_clock_that_was_given() -> None:
    """Not a moment of real time."""
    clock = ManualClock()
    session, tape = make(clock)
    session.play([Pause(60), Bytes(b"a")])
    await clock.advance(59.9)
    assert tape.done == []
    await clock.advance(0.1)
    assert tape.done == [b"a"]


async def test_a_gate_is_waited_for() -> None:
    """And counts the arrival."""
    session, tape = make(ManualClock())
    gate = Gate()
    session.play([Hold(gate), Bytes(b"a")])
    await gate.reached()
    assert session.is_busy
    gate.open()
    await session.closed()
    assert tape.done == [b"a"]


async def test_what_is_closed_waits_for_nothing() -> None:
    """Neither for time nor for gates; and closing twice is fine."""
    clock = ManualClock()
    session, tape = make(clock)
    gate = Gate()
    session.play([Pause(1), Bytes(b"a")])
    session.play([Hold(gate), Bytes(b"b")])
    await gate.reached()
    session.close()
    session.close()
    await session.closed()
    assert clock.planned == 0
    gate.open()
    await clock.advance(2)
    await asyncio.sleep(0)
    assert tape.done == []


async def test_a_server_that_stopped_reading_takes_no_further_line() -> None:
    """Not even one that came with the last."""
    session, tape = make(ManualClock())
    session.play([StopReading()])
    session.feed(b'{"id":1,"method":"x"}\n')
    assert tape.done == [StopReading()]
