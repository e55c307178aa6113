"""Bounded windows on one stream: exact gaps, back-pressure with patience, and readers that come and go."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codex_runtime._io.fanout import Fanout, Gap, Subscription
from codex_runtime._sansio.envelope import Envelope, Stamp, decode_lines, stamp_outbound
from codex_runtime.testing._clock import ManualClock
from tests.runtime.rig import task, turns

if TYPE_CHECKING:
    from collections.abc import Iterable


class Source:
    """A fan-out, and somebody who publishes in it."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.blocked: list[bool] = []
        self.fanout = Fanout(clock=self.clock, on_block=self.blocked.append, patience=5.0)
        self.seq = 0

    def publish(self, *names: str, size: int | None = None) -> None:
        """Publish notifications with these methods, as one read."""
        lines = [b'{"method":"%s"}\n' % name.encode() for name in names]
        envelopes, _ = decode_lines(lines, self.seq, Stamp(0, 0.0, 0.0))
        self.seq += len(envelopes)
        self.fanout.publish(envelopes, sum(map(len, lines)) if size is None else size)


def told(items: Iterable[Envelope | Gap]) -> list[Any]:
    """Envelopes by number, gaps as they are."""
    return [item if isinstance(item, Gap) else item.seq for item in items]


async def read(subscription: Subscription) -> list[Any]:
    """Read what waits."""
    items: list[Envelope | Gap] = []
    while subscription.pending or subscription._gap is not None:
        items.append(await anext(subscription))
    return told(items)


# -- what a reader gets ------------------------------------------------------------------------------------------------


async def test_a_reader_gets_everything_in_order() -> None:
    """Also what was published before it came to read."""
    source = Source()
    subscription = source.fanout.subscribe()
    source.publish("a", "b")
    source.publish("c")
    assert subscription.pending == 3
    assert [(await anext(subscription)).method for _ in range(2)] == ["a", "b"]  # type: ignore[union-attr]
    assert subscription.pending == 1
    subscription.close()
    assert told([item async for item in subscription]) == [2]


async def test_what_was_published_before_is_not_seen() -> None:
    """A subscription begins with its making."""
    source = Source()
    source.publish("a")
    subscription = source.fanout.subscribe()
    source.publish("b")
    assert await read(subscription) == [1]


async def test_a_filter_narrows_what_is_kept() -> None:
    """And what counts as lost."""
    source = Source()
    subscription = source.fanout.subscribe(select=lambda envelope: envelope.method == "b", capacity=1)
    source.publish("a", "b", "c", "b")
    source.publish("a")
    assert await read(subscription) == [Gap(1, 1, 1), 3]


async def test_batches_are_the_same_items_in_the_same_order() -> None:
    """One item each read, and the gap on its own."""
    source = Source()
    subscription = source.fanout.subscribe(capacity=3)
    source.publish("a", "b")
    source.publish("c", "d")
    subscription.close()
    assert [told(batch) async for batch in subscription.batches()] == [[Gap(0, 0, 1)], [1], [2, 3]]


async def test_batches_go_on_where_single_reading_stopped() -> None:
    """The rest of a batch is not lost when the reader changes its way to read."""
    source = Source()
    subscription = source.fanout.subscribe()
    source.publish("a", "b", "c")
    assert told([await anext(subscription)]) == [0]
    source.publish("d")
    subscription.close()
    assert [told(batch) async for batch in subscription.batches()] == [[1, 2], [3]]


async def test_what_was_written_is_only_for_those_who_asked() -> None:
    """Outbound envelopes have their place in the same order."""
    source = Source()
    deaf, keen = source.fanout.subscribe(), source.fanout.subscribe(outbound=True)
    assert source.fanout.wants_outbound
    source.publish("a")
    source.fanout.publish_outbound(stamp_outbound(b'{"method":"b"}\n', 1, Stamp(0, 0.0, 0.0, "outbound")))
    assert await read(deaf) == [0]
    assert await read(keen) == [0, 1]
    keen.close()
    assert not source.fanout.wants_outbound


# -- lag ---------------------------------------------------------------------------------------------------------------


async def test_a_lagging_reader_loses_the_oldest_and_is_told_where() -> None:
    """One gap, exactly at its place, however often something fell out."""
    source = Source()
    subscription = source.fanout.subscribe(capacity=2)
    for name in "abcde":
        source.publish(name)
    assert subscription.pending == 2
    assert await read(subscription) == [Gap(0, 2, 3), 3, 4]
    assert (source.fanout.dropped, source.fanout.gaps, subscription.dropped) == (3, 1, 3)


async def test_bytes_are_bounded_but_the_newest_batch_survives() -> None:
    """A message that is larger than the limit can still be read."""
    source = Source()
    subscription = source.fanout.subscribe(max_bytes=10)
    source.publish("a", size=6)
    source.publish("b", size=6)
    source.publish("c", size=1000)
    assert await read(subscription) == [Gap(0, 1, 2), 2]


async def test_a_single_batch_above_the_capacity_is_cut() -> None:
    """The newest of it are kept."""
    source = Source()
    subscription = source.fanout.subscribe(capacity=2)
    source.publish("a", "b", "c", "d", "e", size=10_000)
    assert await read(subscription) == [Gap(0, 2, 3), 3, 4]
    assert subscription._bytes == 0


PUSH = st.lists(st.sampled_from("abc"), min_size=1, max_size=6)


@given(
    steps=st.lists(PUSH | st.just("read") | st.just("batch"), max_size=40),
    capacity=st.integers(1, 8),
    max_bytes=st.integers(1, 200),
    wanted=st.sampled_from(["a", "ab", "abc", None]),
    overflow=st.sampled_from(["drop", "block"]),
)
@settings(max_examples=80, deadline=None)
async def test_what_is_received_and_what_is_lost_add_up(
    steps: list[Any], capacity: int, max_bytes: int, wanted: str | None, overflow: Any
) -> None:
    """I3, I4: in any interleaving each wanted envelope is read once, or lies in exactly one gap."""
    source = Source()
    select = None if wanted is None else lambda envelope: envelope.method in wanted
    subscription = source.fanout.subscribe(select=select, capacity=capacity, max_bytes=max_bytes, overflow=overflow)
    published: list[int] = []
    items: list[Envelope | Gap] = []
    waiting = False
    for step in steps:
        waiting = subscription.pending > 0 or subscription._gap is not None
        if step == "read" and waiting:
            items.append(await anext(subscription))
        elif step == "batch" and waiting:
            items.extend(await anext(subscription.batches()))
        elif isinstance(step, list):
            published += [source.seq + i for i, name in enumerate(step) if wanted is None or name in wanted]
            source.publish(*step)
            assert overflow == "block" or subscription.pending <= capacity + 6
    subscription.close()
    items += [item async for item in subscription]
    seen: list[int] = []
    for item in items:
        if isinstance(item, Gap):
            lost = [seq for seq in published if item.first_seq <= seq <= item.last_seq]
            assert len(lost) == item.count > 0
            assert [lost[0], lost[-1]] == [item.first_seq, item.last_seq]
            seen += lost
        else:
            seen.append(item.seq)
    assert seen == published
    assert sum(item.count for item in items if isinstance(item, Gap)) == subscription.dropped == source.fanout.dropped
    assert sum(isinstance(item, Gap) for item in items) == source.fanout.gaps
    assert (subscription._events, subscription._bytes) == (0, 0)
    assert overflow == "drop" or subscription.dropped == 0


# -- back-pressure -----------------------------------------------------------------------------------------------------


async def test_a_blocking_reader_holds_the_pipe_and_lets_go_when_it_has_caught_up() -> None:
    """Nothing is lost; half of the window has to be free again."""
    source = Source()
    subscription = source.fanout.subscribe(capacity=4, overflow="block")
    for name in "abcdef":
        source.publish(name)
    assert source.blocked == [True]
    for _ in range(3):
        await anext(subscription)
    assert source.blocked == [True]
    await anext(subscription)
    assert source.blocked == [True, False]
    assert await read(subscription) == [4, 5]
    await source.clock.advance(100.0)
    assert source.blocked == [True, False]
    assert subscription.dropped == 0


async def test_bytes_block_as_well() -> None:
    """The newest batch counts once others wait before it."""
    source = Source()
    subscription = source.fanout.subscribe(max_bytes=10, overflow="block")
    source.publish("a", size=50)
    assert source.blocked == []
    source.publish("b", size=1)
    assert source.blocked == [True]
    assert await read(subscription) == [0, 1]
    assert source.blocked == [True, False]


async def test_patience_ends_in_a_gap() -> None:
    """A reader that waits for an answer in its own loop would otherwise wait for itself."""
    source = Source()
    subscription = source.fanout.subscribe(capacity=2, overflow="block")
    source.publish("a", "b", "c")
    await source.clock.advance(4.9)
    assert source.blocked == [True]
    await source.clock.advance(0.1)
    assert source.blocked == [True, False]
    assert await read(subscription) == [Gap(0, 0, 1), 1, 2]


async def test_a_reader_that_gave_way_does_not_block_again_before_it_has_caught_up() -> None:
    """Or one abandoned subscription would slow everybody down for ever, by its patience for each read."""
    source = Source()
    subscription = source.fanout.subscribe(capacity=2, overflow="block")
    source.publish("a", "b", "c")
    await source.clock.advance(5.0)
    source.publish("d")
    source.publish("e")
    assert source.blocked == [True, False]
    assert await read(subscription) == [Gap(0, 2, 3), 3, 4]
    source.publish("f", "g", "h")
    assert source.blocked == [True, False, True]
    subscription.close()


async def test_the_pipe_is_free_when_the_last_of_several_lets_go() -> None:
    """Whether it catches up or is closed."""
    source = Source()
    first = source.fanout.subscribe(capacity=1, overflow="block")
    second = source.fanout.subscribe(capacity=1, overflow="block")
    source.publish("a", "b")
    assert source.blocked == [True]
    await read(first)
    assert source.blocked == [True]
    second.close()
    assert source.blocked == [True, False]
    assert await read(second) == [0, 1]
    assert source.clock.planned == 0


# -- readers that come and go ------------------------------------------------------------------------------------------


async def test_a_waiting_reader_wakes_for_what_comes() -> None:
    """And only then."""
    source = Source()
    subscription = source.fanout.subscribe()
    async with task(anext(subscription)) as reader:  # type: ignore[arg-type]
        await turns()
        assert not reader.done()
        source.publish("a")
        assert (await reader).seq == 0


async def test_closing_ends_a_waiting_reader() -> None:
    """Leaving the block does it, from anywhere."""
    source = Source()
    with source.fanout.subscribe() as subscription:
        async with task(anext(subscription, None)) as reader:  # type: ignore[arg-type]
            subscription.close()
            assert await reader is None
        assert len(source.fanout) == 0
    source.publish("a")
    assert told([item async for item in subscription]) == []


async def test_closing_in_the_middle_of_an_iteration_ends_it_after_the_buffered() -> None:
    """What is there can still be read."""
    source = Source()
    subscription = source.fanout.subscribe()
    source.publish("a", "b")
    source.publish("c")
    seen = []
    async for item in subscription:
        seen += told([item])
        subscription.close()
        source.publish("d")
    assert seen == [0, 1, 2]


async def test_two_readers_share_without_losing_or_doubling() -> None:
    """Each envelope goes to one of them, also when both were waiting and two reads came at once."""
    source = Source()
    subscription = source.fanout.subscribe()

    async def collect() -> list[Any]:
        return told([item async for item in subscription])

    async with task(collect()) as one, task(collect()) as two:
        await turns()
        source.publish("a", "b", "c")
        source.publish("d", "e")
        await turns()
        source.publish("f")
        await turns()
        subscription.close()
        assert sorted(await one + await two) == [0, 1, 2, 3, 4, 5]


async def test_cancelling_a_waiting_reader_loses_nothing() -> None:
    """Also when it is cancelled in the very turn in which something comes, and it leaves nothing behind."""
    source = Source()
    subscription = source.fanout.subscribe()
    for publishes in (False, True):
        async with task(anext(subscription)) as reader:  # type: ignore[arg-type]
            await turns()
            if publishes:
                source.publish("a")
            reader.cancel()
            await asyncio.wait([reader])
            assert reader.cancelled()
        assert subscription._waiters == []
    assert await read(subscription) == [0]


async def test_a_dead_fanout_gives_each_reader_an_error_of_its_own() -> None:
    """After what was buffered; also to whoever subscribes later. One error in two tasks would mix their tracebacks."""
    source = Source()
    early = source.fanout.subscribe()
    source.publish("a")
    source.fanout.close(lambda: ValueError("dead"))
    late = source.fanout.subscribe(outbound=True, overflow="block")
    assert await read(early) == [0]
    errors = []
    for subscription in (early, early, late):
        with pytest.raises(ValueError, match="dead") as caught:
            await anext(subscription)
        errors.append(caught.value)
    assert len(set(map(id, errors))) == 3
    assert (len(source.fanout), source.fanout.wants_outbound) == (0, False)


async def test_the_first_end_counts() -> None:
    """Closing after death does not make it an orderly end, nor the other way round."""
    source = Source()
    subscription = source.fanout.subscribe()
    source.fanout.close()
    source.fanout.close(lambda: ValueError("dead"))
    assert told([item async for item in subscription]) == []
    assert told([item async for item in source.fanout.subscribe()]) == []


# -- topics ------------------------------------------------------------------------------------------------------------


async def test_readers_of_one_topic_get_their_part_and_nobody_looks_twice() -> None:
    """A batch is sorted once, however many want a part of it, and not at all when nobody does."""
    sorted_: list[int] = []

    def sort(envelopes: list[Envelope]) -> dict[str, list[Envelope]]:
        sorted_.append(len(envelopes))
        topics: dict[str, list[Envelope]] = {}
        for envelope in envelopes:
            topics.setdefault((envelope.method or "")[0], []).append(envelope)
        return topics

    source = Source()
    source.fanout = Fanout(clock=source.clock, on_block=source.blocked.append, patience=5.0, sort=sort)
    wide = source.fanout.subscribe()
    source.publish("a1")
    assert sorted_ == []
    narrow = [source.fanout.subscribe(topic=topic) for topic in "aab"]
    picky = source.fanout.subscribe(topic="a", select=lambda envelope: envelope.method == "a3", outbound=True)
    source.publish("a2", "b1", "a3", "c1")
    assert sorted_ == [4]
    assert [await read(subscription) for subscription in narrow] == [[1, 3], [1, 3], [2]]
    source.fanout.publish_outbound(stamp_outbound(b'{"method":"a3"}\n', 5, Stamp(0, 0.0, 0.0, "outbound")))
    source.fanout.publish_outbound(stamp_outbound(b'{"method":"b3"}\n', 6, Stamp(0, 0.0, 0.0, "outbound")))
    assert await read(picky) == [3, 5]
    for subscription in (*narrow, picky):
        subscription.close()
    source.publish("a4")
    assert await read(wide) == [0, 1, 2, 3, 4, 5]
    assert sorted_ == [4, 1, 1]
    assert len(source.fanout) == 1


# -- who is forgotten --------------------------------------------------------------------------------------------------


async def test_a_subscription_that_is_forgotten_costs_nothing_any_more() -> None:
    """Also one whose thread never says anything: what is written is looked at no more, and other doors are quick."""
    source = Source()
    kept = source.fanout.subscribe(topic="t")
    forgotten = source.fanout.subscribe(topic="silent", outbound=True)
    assert source.fanout.wants_outbound
    del forgotten
    source.publish("a")
    assert not source.fanout.wants_outbound
    assert source.fanout.subscriptions == (kept,)
    kept.close()
    kept.close()
    assert len(source.fanout) == 0


async def test_thousands_come_and_go_in_any_order() -> None:
    """Each is found by what it is known by: nothing is built anew for one that leaves."""
    source = Source()
    some = [source.fanout.subscribe(topic=str(number % 7) if number % 2 else None) for number in range(2000)]
    for subscription in some[::3]:
        subscription.close()
    left = [subscription for number, subscription in enumerate(some) if number % 3]
    assert list(source.fanout.subscriptions) == left
    source.publish("a")
    assert [subscription.pending for subscription in left[:6]] == [
        0 if subscription._topic is not None else 1 for subscription in left[:6]
    ]
    for subscription in left:
        subscription.close()
    assert len(source.fanout) == 0
