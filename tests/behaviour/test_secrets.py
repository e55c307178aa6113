"""What came over the wire, or stood on stderr, stays out of messages that end up in logs; it is kept where one asks for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from codex_runtime._sansio import server_requests as rules
from codex_runtime._sansio.answer_forms import check
from codex_runtime.errors import CodexError, InvalidAnswerError, RequestFailedError, StartError
from codex_runtime.runtime import RestartPolicy, Runtime
from codex_runtime.testing import FakeAppServer, ManualClock, Stderr
from tests.client.desk import at_the_desk
from tests.runtime.rig import Wire, config, running, task, until

if TYPE_CHECKING:
    from codex_runtime._io.transport import Receiver, Transport

SECRET = "sk-do-not-log-me"


class Complains:
    """A launcher whose server writes a secret to stderr and dies before it is greeted."""

    def __init__(self) -> None:
        self.fake = FakeAppServer()

    async def launch(self, receiver: Receiver, /) -> Transport:
        """Start it, and let it."""
        transport = await self.fake.launch(receiver)
        self.fake.play(Stderr(f"token {SECRET}\n"))
        self.fake.die(code=1)
        return transport


async def test_what_stood_on_stderr_is_beside_the_error_and_not_in_it() -> None:
    """Of a start that failed."""
    with pytest.raises(StartError) as caught:
        await Runtime(config(Complains(), ManualClock(), restart=RestartPolicy(when="never"))).open()
    assert caught.value.exit is not None
    assert SECRET in caught.value.exit.stderr_tail
    assert SECRET not in str(caught.value)


async def test_what_a_dying_server_complained_of_is_beside_the_error_and_not_in_it() -> None:
    """Of a call that was lost with its server."""
    fake = FakeAppServer()
    fake.never_answer("ask")
    async with running(fake, restart=RestartPolicy(when="never")) as runtime:
        async with task(failure_of(runtime.request("ask"))) as call:
            await fake.wait_for("ask")
            fake.play(Stderr(f"token {SECRET}\n"))
            fake.die(code=1)
            error: Any = await call
        assert SECRET in error.exit.stderr_tail
        assert SECRET not in str(error)
        assert SECRET not in str(await failure_of(runtime.request("ask")))


@pytest.mark.parametrize("thread", [{"name": SECRET}, SECRET, [SECRET], {"id": 7, "name": SECRET}])
async def test_a_result_without_the_id_it_should_have_is_not_repeated(thread: Any) -> None:
    """The error names the method."""
    fake = FakeAppServer()
    fake.on_request("thread/start", {"thread": thread})
    async with at_the_desk(fake) as client:
        error = await failure_of(client.start_session())
        assert "thread/start" in str(error)
        assert SECRET not in str(error)


@pytest.mark.parametrize("method", sorted(rules.KNOWN))
def test_an_answer_that_is_wrong_is_not_repeated(method: str) -> None:
    """The error says what it must look like."""
    with pytest.raises(InvalidAnswerError) as caught:
        check(method, {"decision": SECRET, "answers": SECRET, "action": SECRET, "contentItems": SECRET})
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("error", "said"),
    [({"code": 1, "message": "no such thing", "data": {"x": SECRET}}, "no such thing"), (SECRET, "promised shape")],
)
async def test_only_the_words_of_a_refusal_are_quoted(error: Any, said: str) -> None:
    """They were written for whoever asked; its data can be had from the error, and an odd one is not told at all."""
    wire = Wire()
    async with running(wire) as runtime, task(failure_of(runtime.request("ask"))) as call:
        await until(lambda: wire.ids("ask"))
        wire.say({"id": wire.ids("ask")[0], "error": error})
        refusal = await call
    assert isinstance(refusal, RequestFailedError)
    assert said in str(refusal)
    assert SECRET not in str(refusal)


async def failure_of(work: Any) -> CodexError:
    """Await what must fail with an error of ours."""
    with pytest.raises(CodexError) as caught:
        await work
    return caught.value
