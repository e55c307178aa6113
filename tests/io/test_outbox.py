"""The outbox: order, counting and the ways to end, against a socket that the test reads itself."""

from __future__ import annotations

import asyncio
import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from codex_runtime._io.outbox import LOW_WATER, Outbox

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def outbox() -> Iterator[tuple[Outbox, socket.socket]]:
    """Make an outbox and the far end of its socket."""
    near, far = socket.socketpair()
    far.settimeout(5)
    box = Outbox(near, asyncio.get_running_loop())
    with far:
        yield box, far
        box.close()


async def read(far: socket.socket, size: int) -> bytes:
    """Take `size` bytes, or what there is until the end, letting the loop run in between."""
    far.setblocking(False)
    data = b""
    async with asyncio.timeout(5):
        while len(data) < size:
            chunk = await asyncio.get_running_loop().sock_recv(far, size - len(data))
            if not chunk:
                break
            data += chunk
    return data


async def test_the_first_message_of_a_tick_goes_out_at_once_and_the_rest_together() -> None:
    """A lone request has no latency added; a burst costs one system call more."""
    with outbox() as (box, far):
        box.write(b"one")
        box.write(b"two")
        box.write(b"three")
        assert far.recv(100) == b"one"
        assert box.unsent == len(b"twothree")
        await asyncio.sleep(0)
        assert far.recv(100) == b"twothree"
        assert box.unsent == 0


@given(sizes=st.lists(st.integers(0, 400_000), max_size=12), ticks=st.sets(st.integers(0, 11)))
async def test_any_mix_of_writes_arrives_whole_and_in_order(sizes: list[int], ticks: set[int]) -> None:
    """Whatever their sizes, wherever the loop gets a turn, and however often the socket is full."""
    with outbox() as (box, far):
        wanted = b""
        for number, size in enumerate(sizes):
            piece = bytes([number + 1]) * size
            wanted += piece
            box.write(piece)
            if number in ticks:
                await asyncio.sleep(0)
        assert box.unsent <= len(wanted)
        assert await read(far, len(wanted)) == wanted
        assert box.unsent == 0


async def test_more_pieces_than_one_call_takes() -> None:
    """The system limits how many buffers one call may name."""
    with outbox() as (box, far):
        for _ in range(5000):
            box.write(b"0123456789")
        assert await read(far, 50_000) == b"0123456789" * 5000


async def test_finish_sends_the_rest_and_then_ends_the_stream() -> None:
    """Nothing that was accepted is cut off, and nothing more is accepted."""
    with outbox() as (box, far):
        box.write(b"x" * 1_000_000)
        box.finish()
        box.write(b"too late")
        assert await read(far, 2_000_000) == b"x" * 1_000_000


async def test_close_ends_the_stream_though_somebody_else_holds_the_socket() -> None:
    """A fork of our process would."""
    with outbox() as (box, far), box._sock.dup():
        box.write(b"last")
        box.close()
        box.close()
        assert await read(far, 100) == b"last"


async def test_abandon_drops_what_is_unsent_but_leaves_the_stream_open() -> None:
    """For a reader that is about to be killed and must not think that all is well."""
    with outbox() as (box, far):
        box.write(b"x" * 1_000_000)
        waiting = asyncio.create_task(box.drain())
        await asyncio.sleep(0)
        box.abandon()
        async with asyncio.timeout(5):
            await waiting
        assert box.unsent == 0
        far.setblocking(False)
        while True:
            try:
                assert far.recv(1_000_000)
            except BlockingIOError:
                break


async def test_one_message_goes_out_at_once_and_the_next_one_when_something_was_heard() -> None:
    """A question after an answer costs no iteration of the loop; a burst costs one."""
    with outbox() as (box, far):
        box.write(b"1")
        box.write(b"2")
        assert (far.recv(9), box.unsent) == (b"1", 1)
        await asyncio.sleep(0)
        assert (far.recv(9), box.unsent) == (b"2", 0)
        box.sent_one = False
        box.write(b"3")
        assert (far.recv(9), box.unsent) == (b"3", 0)


async def test_a_reader_that_is_gone_is_not_reported() -> None:
    """What was unsent is dropped, and whoever waits is let go."""
    with outbox() as (box, far):
        box.write(b"x" * 1_000_000)
        waiting = asyncio.create_task(box.drain())
        await asyncio.sleep(0)
        far.close()
        async with asyncio.timeout(5):
            await waiting
        box.write(b"more")
        assert box.unsent == 0


async def test_drain_returns_below_the_low_water_mark_and_a_cancelled_one_is_forgotten() -> None:
    """Several may wait; one that gives up takes nothing from the others."""
    with outbox() as (box, far):
        await box.drain()
        box.write(b"x" * 2_000_000)
        first, second = asyncio.create_task(box.drain()), asyncio.create_task(box.drain())
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.wait([first])
        assert len(box._waiters) == 1
        reading = asyncio.create_task(read(far, 2_000_000))
        async with asyncio.timeout(5):
            await second
        assert box.unsent < LOW_WATER
        await reading
