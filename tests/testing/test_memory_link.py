"""The in-memory link keeps the promises of a transport."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codex_runtime._sansio.restart import Exit
from codex_runtime.testing._memory_link import PIPE_SIZE, MemoryLink
from tests.support.line_client import LineClient


class Echo:
    """A server that sends back what it gets, until it is closed."""

    def __init__(self, link: MemoryLink) -> None:
        self.link = link
        self.got = b""
        self.closed = 0

    def feed(self, data: bytes) -> None:
        """Send it back."""
        self.got += data
        self.link.send(data)

    def close(self) -> None:
        """Count it."""
        self.closed += 1


def connect(chunk: int | None = None) -> tuple[LineClient, MemoryLink, Echo]:
    """A client and an echo."""
    client = LineClient()
    link = MemoryLink(client, chunk=chunk)
    client.transport = link
    echo = Echo(link)
    link.serve(echo)
    return client, link, echo


async def test_nobody_is_called_back_from_within_a_call() -> None:
    """Both directions take a turn of the loop."""
    client, link, echo = connect()
    link.write(b"a")
    assert echo.got == b""
    link.send(b"b")
    assert client.pieces == []
    await client.until(lambda: b"".join(client.pieces) == b"ba")
    await link.aclose()


@given(data=st.lists(st.binary(max_size=40), max_size=10), chunk=st.none() | st.integers(1, 50))
async def test_bytes_arrive_whole_in_order_and_in_pieces_of_the_size_asked_for(
    data: list[bytes], chunk: int | None
) -> None:
    """However they were written."""
    client, link, _ = connect(chunk)
    for piece in data:
        link.write(piece)
    await link.aclose()
    assert b"".join(client.pieces) == b"".join(data)
    assert all(len(piece) <= (chunk or len(piece)) for piece in client.pieces)


async def test_the_loss_comes_once_and_last() -> None:
    """However often and from wherever it is ended."""
    client, link, echo = connect()
    link.write(b"asked")
    first, second = await asyncio.gather(link.aclose(), link.aclose())
    link.kill()
    link.end(Exit(code=7))
    assert first == second == client.exit == Exit(code=0)
    assert (client.losses, client.pieces, echo.closed) == (1, [b"asked"], 1)


async def test_what_was_written_before_the_death_is_still_delivered() -> None:
    """And what is written to the dead is dropped without a word."""
    client, link, echo = connect()
    link.send(b"last words")
    link.kill()
    link.write(b"too late")
    link.send(b"from beyond")
    assert await client.lost() == Exit(signal=9)
    assert (client.pieces, echo.got, link.unsent) == ([b"last words"], b"", 0)


async def test_a_paused_client_hears_nothing_until_it_resumes() -> None:
    """And loses nothing."""
    client, link, _ = connect()
    link.pause_reading()
    link.send(b"a")
    for _ in range(5):
        await asyncio.sleep(0)
    assert client.pieces == []
    link.resume_reading()
    await client.until(lambda: client.pieces == [b"a"])
    await link.aclose()


async def test_the_end_is_told_to_a_paused_client_too() -> None:
    """With all that came before it."""
    client, link, _ = connect()
    link.pause_reading()
    link.send(b"a")
    link.end(Exit(code=3))
    await client.lost()
    assert (client.pieces, client.exit) == ([b"a"], Exit(code=3))


async def test_a_server_that_does_not_read_fills_its_pipe_first() -> None:
    """Then unsent grows and drain waits, until the end."""
    client, link, _ = connect()
    link.stop_reading()
    link.write(b"x" * PIPE_SIZE)
    await link.drain()
    assert link.unsent == 0
    link.write(b"x" * 10)
    assert link.unsent == 10
    waiting = asyncio.create_task(link.drain())
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await asyncio.shield(waiting)
    assert await link.aclose() == Exit(signal=9)
    await waiting
    assert client.exit == Exit(signal=9)


async def test_only_a_kill_ends_what_ignores_everything_else() -> None:
    """Closing it takes the kill."""
    client, link, _ = connect()
    link.ignore_term()
    link.log("I stay\n")
    assert link.stderr_tail() == "I stay\n"
    assert await link.aclose() == Exit(signal=9, stderr_tail="I stay\n")
    assert client.losses == 1
    assert link.pid is None


async def test_cancelling_one_who_closes_does_not_stop_the_end() -> None:
    """The others get it."""
    client, link, _ = connect()
    closing = asyncio.create_task(link.aclose())
    await asyncio.sleep(0)
    closing.cancel()
    assert await client.lost() == Exit(code=0)
    await asyncio.gather(closing, return_exceptions=True)
