"""Large numbers: what is right for three messages must be right for a hundred thousand."""

from __future__ import annotations

import asyncio
import sys
import time

from codex_runtime.runtime import Envelope, Runtime, RuntimeConfig
from codex_runtime.testing import FakeAppServer
from tests.real import flood
from tests.runtime.rig import Wire, running, until

FLOOD = (sys.executable, flood.__file__)


async def test_ten_thousand_calls_one_after_the_other_each_get_their_own_answer() -> None:
    """Ids never repeat and never slip by one."""
    async with FakeAppServer() as fake, running(fake) as runtime:
        fake.on_request("echo", lambda params: {"said": params["n"]})
        for n in range(10_000):
            assert await runtime.request("echo", {"n": n}) == {"said": n}
        ids = [request.rpc_id for request in fake.requests("echo")]
        assert len(set(ids)) == 10_000
        assert (runtime.metrics.in_flight, runtime.metrics.late_answers) == (0, 0)


async def test_a_hundred_calls_at_once_are_answered_last_first() -> None:
    """By id, whatever the order."""
    wire = Wire()
    async with running(wire, max_in_flight=100) as runtime:
        calls = [asyncio.create_task(runtime.request("ask", {"n": n})) for n in range(100)]
        await until(lambda: len(wire.ids("ask")) == 100)
        asked = [message for message in wire.sent if message.get("method") == "ask"]
        wire.say(*({"id": message["id"], "result": message["params"]["n"]} for message in reversed(asked)))
        assert await asyncio.gather(*calls) == list(range(100))


async def test_a_hundred_thousand_lines_arrive_whole_and_soon() -> None:
    """From a real child, to a reader that may hold the pipe up: none is lost, and it takes seconds."""
    begun = time.monotonic()
    seqs = []
    async with Runtime(RuntimeConfig(command=FLOOD)) as runtime, asyncio.timeout(40):
        with runtime.subscribe(methods=["item/agentMessage/delta"], overflow="block") as reader:
            call = asyncio.create_task(runtime.request("flood", deadline=30))
            async for envelope in reader:
                assert isinstance(envelope, Envelope)
                seqs.append(envelope.seq)
                if len(seqs) == flood.COUNT:
                    break
            await call
        assert runtime.metrics.malformed == runtime.metrics.dropped == 0
    assert seqs == list(range(seqs[0], seqs[0] + flood.COUNT))
    assert flood.COUNT >= 100_000
    assert time.monotonic() - begun < 20
