"""The adapter of the official SDK: what it does itself and nothing else, so that what is told of it is true."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from codex_runtime.testing import Command, FakeAppServer, Say, Script, Stall
from verification.faults.history import Decided, Ended, Event, Heard
from verification.faults.job import ECHO, Job, Log, carry_out

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytest.importorskip("openai_codex", reason="the extra `bench` is not installed")
async_client = pytest.importorskip("openai_codex.async_client")

under_fault = pytest.importorskip("benchmarks.contenders.under_fault")

# It leaves the pipes of its server to the collector, which complains of it.
pytestmark = [
    pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(autouse=True)
def pool() -> Iterator[None]:
    """End the threads of its one pool, which outlive each client."""
    yield
    async_client._TURN_START_EXECUTOR.shutdown()
    async_client._TURN_START_EXECUTOR = ThreadPoolExecutor(thread_name_prefix="codex-turn-start")


EITHER = pytest.mark.parametrize("kind", [under_fault.Sdk, under_fault.AsyncSdk])
ASKS = Script(Say("one "), Command("rm -rf build", approval=True), Say("two "))


async def done(kind: Callable[[], Any], fake: FakeAppServer, **options: Any) -> list[Event]:
    """What a client writes down about a job."""
    fake.on_request(ECHO, lambda params: params)
    log = Log()
    await carry_out(Job(command=fake.argv, **options), kind(), log)
    return log.events


@EITHER
async def test_it_does_a_whole_job(kind: Callable[[], Any]) -> None:
    """Turns with their text, calls with their own answers, an end."""
    async with FakeAppServer(Script(Say("one two "), Say("three")), default="four", process=True) as fake:
        events = await done(kind, fake, calls=3)
    settled = {event.call: event for event in events if hasattr(event, "typed")}
    assert {name: event.error for name, event in settled.items() if event.error} == {}
    assert [settled[f"call {number}"].value for number in range(3)] == [
        f"token of call {number}" for number in range(3)
    ]
    assert (
        "".join(event.text for event in events if isinstance(event, Heard) and event.turn == "first") == "one two three"
    )
    ends = [event for event in events if isinstance(event, Ended)]
    assert [(end.turn, end.how, end.text) for end in ends] == [
        ("first", "completed", "one two three"),
        ("second", "completed", "four"),
    ]


@EITHER
async def test_its_own_default_answers_unless_the_owner_says_yes(kind: Callable[[], Any]) -> None:
    """The yes of its default is its own, and so is not written down as anybody's decision; the owner's is."""
    for accepts in (False, True):
        async with FakeAppServer(ASKS, process=True) as fake:
            events = await done(kind, fake, accepts=accepts, prompts=("first",))
            assert [answer.decision for answer in fake.answers] == ["accept"]
        decided = [event.question for event in events if isinstance(event, Decided)]
        assert decided == (["item/commandExecution/requestApproval call-1"] if accepts else [])


@EITHER
async def test_a_reader_who_leaves_interrupts_the_turn(kind: Callable[[], Any]) -> None:
    """As its documentation offers it."""
    async with FakeAppServer(Script(Say("one two three "), Stall()), process=True) as fake:
        events = await done(kind, fake, cancels_after=2)
        assert len(fake.requests("turn/interrupt")) == 1
    assert [event.how for event in events if isinstance(event, Ended)] == ["interrupted", "completed"]
