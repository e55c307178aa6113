"""A link is one generation: it joins a transport and a peer, and knows when it is over."""

from __future__ import annotations

import gc
import weakref

import pytest

from codex_runtime._io.link import Link
from codex_runtime._sansio.restart import Exit
from codex_runtime.errors import StartError
from codex_runtime.testing._fake_server import FakeAppServer
from tests.runtime.rig import turns, until


class Heard:
    """What a link told."""

    def __init__(self) -> None:
        self.chunks: list[bytes] = []
        self.ends: list[Exit] = []

    def data(self, _link: Link[str], data: bytes) -> None:
        """Keep a chunk."""
        self.chunks.append(data)

    def lost(self, link: Link[str], ended: Exit) -> None:
        """Keep the end."""
        assert link.lost.done(), "told before it was so"
        self.ends.append(ended)

    def link(self, generation: int = 0, first_id: int = 1) -> Link[str]:
        """Make one that tells here."""
        return Link(generation=generation, first_id=first_id, line_limit=1000, on_data=self.data, on_lost=self.lost)


async def test_a_link_carries_lines_both_ways_and_tells_its_end_once() -> None:
    """The whole life of a generation."""
    heard, fake = Heard(), FakeAppServer()
    link = heard.link(generation=3, first_id=7)
    await link.open(fake)
    assert link.alive
    _, hello = link.peer.greet({"clientInfo": {"name": "a", "version": "1"}}, "greeting")
    link.write(hello)
    await until(lambda: heard.chunks)
    assert b'"id":7' in heard.chunks[0].replace(b" ", b"")
    assert (await link.aclose()) == Exit(code=0)
    assert heard.ends == [Exit(code=0)] == [await link.lost]
    assert not link.alive
    link.connection_lost(Exit(code=9))
    assert heard.ends == [Exit(code=0)]


async def test_a_link_that_was_never_opened_has_nothing_to_close() -> None:
    """The supervisor closes whatever it made, also when the launch failed."""
    link = Heard().link()
    assert not link.alive
    assert link.unsent == 0
    link.write(b"into the void\n")
    assert await link.aclose() is None
    with pytest.raises(RuntimeError, match="not open"):
        _ = link.transport


@pytest.mark.parametrize("process", [True, False])
async def test_a_link_that_was_lost_is_freed_at_once(*, process: bool) -> None:
    """It holds pipes and what was told on stderr: a server that crashes all day must not leave that to the collector."""
    async with FakeAppServer(process=process) as fake:
        heard = Heard()
        gc.collect()
        gc.disable()
        try:
            link = heard.link()
            await link.open(fake)
            await until(lambda: fake.launches)
            link.kill("enough")
            await link.lost
            traces = weakref.ref(link), weakref.ref(link.transport)
            del link
            await turns()
            assert [trace() for trace in traces] == [None, None]
        finally:
            gc.enable()


async def test_a_failed_launch_leaves_the_link_unopened() -> None:
    """The error is the launcher's own."""
    heard, fake = Heard(), FakeAppServer()
    fake.fail_next_launch(StartError("no"))
    link = heard.link()
    with pytest.raises(StartError, match="no"):
        await link.open(fake)
    assert not link.alive
    assert heard.ends == []


async def test_writing_after_the_loss_reaches_nobody() -> None:
    """A late answer to a dead server is dropped without a word."""
    heard, fake = Heard(), FakeAppServer()
    link = heard.link()
    await link.open(fake)
    fake.die()
    ended = await link.lost
    assert ended.signal == 9
    link.write(b'{"id":1,"result":{}}\n')
    assert link.unsent == 0
    assert fake.answers == []
    assert await link.aclose() == ended


async def test_a_link_that_is_killed_tells_why() -> None:
    """The cause is ours, the signal the system's."""
    heard, fake = Heard(), FakeAppServer()
    link = heard.link()
    link.kill("too early, it has no server")
    await link.open(fake)
    link.kill("killed: it was in the way")
    assert await link.over() == Exit(signal=9, reason="killed: it was in the way")
    assert heard.ends[0].describe() == "killed: it was in the way"
    assert not link.is_retired


async def test_a_retired_link_is_ended_by_whoever_waits_for_its_end() -> None:
    """In good order; one that is already gone cannot be retired."""
    heard, fake = Heard(), FakeAppServer()
    link = heard.link()
    await link.open(fake)
    link.retire("recycled: it was old")
    link.retire("once is enough")
    assert (link.alive, link.is_retired, heard.ends) == (True, True, [])
    assert await link.over() == Exit(code=0, reason="recycled: it was old")
    dead = heard.link()
    await dead.open(fake)
    fake.die()
    assert (await dead.over()).signal == 9
    dead.retire("too late")
    assert not dead.is_retired
