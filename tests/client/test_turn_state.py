"""What is known of a turn: the same whoever reads, and however slowly."""

from __future__ import annotations

from codex_runtime import (
    TextDelta,
)
from codex_runtime.client import TextCompleted
from codex_runtime.testing import (
    FakeAppServer,
    Gate,
    Hold,
    Notify,
    Say,
    Script,
)
from tests.client.desk import in_a_session


async def test_a_turn_that_nobody_reads_still_has_its_result() -> None:
    """The turn is folded as it comes in, not as it is read; what waits can still be read after the end."""
    text = "word " * 5000
    async with in_a_session(FakeAppServer(text)) as session:
        async with session.stream("go") as turn:
            assert (await turn.finish()).text == text
        assert "".join([event.text async for event in turn if isinstance(event, TextDelta)]) == text


async def test_a_slow_reader_loses_no_text() -> None:
    """Pieces that wait for long are joined, never cut."""
    pieces = [f"{number} " for number in range(4000)]
    gate = Gate()
    fake = FakeAppServer(Script(Say("".join(pieces), chunks=pieces), Hold(gate)))
    async with in_a_session(fake) as session, session.stream("go") as turn:
        first = await anext(turn)
        await gate.reached()
        gate.open()
        await turn.finish()
        events = [first, *await turn.take()]
        assert len(events) < 1200
        assert "".join(event.text for event in events if isinstance(event, TextDelta)) == "".join(pieces)
        assert await turn.take() == []


async def test_take_waits_for_the_first_event_only() -> None:
    """All that waits comes at once, and the rest with the next call."""
    gate = Gate()
    async with (
        in_a_session(FakeAppServer(Script(Say("one"), Hold(gate), Say("two")))) as session,
        session.stream("go") as turn,
    ):
        await gate.reached()
        texts = [event.text for event in await turn.take() if isinstance(event, TextCompleted)]
        gate.open()
        texts += [event.text for event in await turn.take() if isinstance(event, TextCompleted)]
        assert texts == ["one", "two"]


async def test_late_items_of_the_turn_before_do_not_get_into_the_next() -> None:
    """A command left in the background completes after its turn; the next turn is not told of it."""
    late = {"type": "agentMessage", "id": "late", "text": "from before"}
    message = {"threadId": "$thread", "turnId": "turn-1", "item": late, "completedAtMs": 1}
    fake = FakeAppServer("first", Script(Notify("item/completed", message), Say("second")))
    async with in_a_session(fake) as session:
        assert (await session.run("a")).text == "first"
        result = await session.run("b")
        assert (result.text, [message.text for message in result.messages]) == ("second", ["second"])
