"""The mock model as a server: which reply goes to whom, and what happens to connections."""

from __future__ import annotations

import asyncio
import json
import logging

import pytest

from codex_runtime.testing._gate import Gate
from codex_runtime.testing._mock_model import MockModel
from codex_runtime.testing._reply import Cut, Hold, Pause, Reply, Say, Stall
from tests.testing.wire_client import Event, all_ended, ask, connected, prompt, said


async def test_a_string_is_said_word_by_word() -> None:
    """The simplest script gives the whole sequence of events that the server needs."""
    async with MockModel("Hello there!") as model:
        events = await ask(model.base_url)
    assert [event["type"].removeprefix("response.") for event in events] == [
        "created",
        "output_item.added",
        "output_text.delta",
        "output_text.delta",
        "output_item.done",
        "completed",
    ]
    assert [event["delta"] for event in events if "delta" in event] == ["Hello ", "there!"]


async def test_replies_are_used_once_each_and_in_order() -> None:
    """Replies of the constructor and of `enqueue` form one queue."""
    async with MockModel("one") as model:
        model.enqueue("two", Reply(Say("three")))
        assert model.pending == 3
        assert [said(await ask(model.base_url)) for _ in range(3)] == ["one", "two", "three"]
        assert model.pending == 0


async def test_one_connection_carries_many_requests() -> None:
    """The connection is kept alive after streams, errors and wrong routes alike."""
    async with (
        MockModel("one", Reply.http_error(418, "no coffee"), "two") as model,
        connected(model.base_url) as client,
    ):
        await client.send(prompt("a"))
        assert await client.head() == 200
        assert said([event async for event in client.events()]) == "one"
        await client.send(prompt("b"))
        assert await client.refusal() == "no coffee"
        assert client.status == 418
        await client.send(prompt("c"), path="/v1/models")
        assert "only answers POST" in await client.refusal()
        assert client.status == 404
        await client.send(prompt("d"))
        await client.head()
        assert said([event async for event in client.events()]) == "two"
        assert [request.prompt for request in model.requests] == ["a", "b", "d"]


async def test_requests_sent_ahead_are_answered_in_turn() -> None:
    """A request that comes while another is answered waits for its turn."""
    async with MockModel("one", "two") as model, connected(model.base_url) as client:
        await client.send(prompt("a"))
        await client.send(prompt("b"))
        for expected in ("one", "two"):
            await client.head()
            assert said([event async for event in client.events()]) == expected


async def test_rules_keep_threads_apart() -> None:
    """Each thread gets its own replies, in its own order, whatever the others do in between."""
    async with MockModel("from the queue") as model:
        model.on("apples", "red", "green")
        model.on(lambda request: request.thread_id == "b", "blue")
        assert said(await ask(model.base_url, "pears", thread="b")) == "blue"
        assert said(await ask(model.base_url, "count the apples")) == "red"
        assert said(await ask(model.base_url, "pears", thread="b")) == "from the queue"
        assert said(await ask(model.base_url, "apples again")) == "green"
        assert model.pending == 0


async def test_a_request_without_a_reply_fails_with_a_text_that_helps(caplog: pytest.LogCaptureFixture) -> None:
    """The answer, the log and `unscripted` all tell of it."""
    with caplog.at_level(logging.WARNING, "codex_runtime.testing"):
        async with MockModel() as model, connected(model.base_url) as client:
            await client.send(prompt("paint it black"), thread="t-7")
            text = json.loads(await client.refusal())["error"]["message"]
    assert client.status == 500
    assert "t-7" in text
    assert "'paint it black'" in text
    assert "enqueue()" in text
    assert text in caplog.text
    assert [request.prompt for request in model.unscripted] == ["paint it black"]


async def test_the_default_answers_when_nothing_is_lined_up() -> None:
    """A default may be a reply or a function of the request, and is never used up."""
    async with MockModel("first", default=lambda request: f"You said {request.prompt}.") as model:
        assert [said(await ask(model.base_url, text)) for text in "abc"] == ["first", "You said b.", "You said c."]
        assert model.unscripted == ()
    async with MockModel(default=Reply(Say("ok"))) as model:
        assert [said(await ask(model.base_url)) for _ in range(2)] == ["ok", "ok"]


async def test_a_rule_that_raises_costs_only_its_own_request(caplog: pytest.LogCaptureFixture) -> None:
    """The answer names the fault, and the next request is served."""

    def broken(_request: object) -> bool:
        raise ZeroDivisionError("oh no")

    async with MockModel() as model, connected(model.base_url) as client:
        model.on(broken, "never")
        await client.send(prompt("a"))
        assert "ZeroDivisionError('oh no')" in await client.refusal()
        assert client.status == 500
        assert len(await model.wait_for_requests(1)) == 1
    assert "oh no" in caplog.text


async def test_waiting_for_requests_ends_when_they_have_come() -> None:
    """The waiter is woken by the request, and gets all requests."""
    async with MockModel(default="ok") as model:
        waiter = asyncio.create_task(model.wait_for_requests(2))
        await ask(model.base_url, "a")
        assert not waiter.done()
        await ask(model.base_url, "b")
        assert [request.prompt for request in await waiter] == ["a", "b"]


async def test_waiting_for_requests_that_do_not_come_says_how_many_did() -> None:
    """The wait has a bound of its own, so a broken test ends."""
    async with MockModel(default="ok") as model:
        await ask(model.base_url)
        with pytest.raises(TimeoutError, match=r"^1 of 2 model requests after 0\.01 s$"):
            await model.wait_for_requests(2, timeout=0.01)


async def test_many_streams_run_at_once() -> None:
    """96 streams are held in the middle at the same time, and all of them end well."""
    gate = Gate()
    async with MockModel(default=Reply(Say("one "), Hold(gate), Say("two"))) as model:
        answers = [asyncio.create_task(ask(model.base_url, thread=str(number))) for number in range(96)]
        await gate.reached(96)
        assert not any(answer.done() for answer in answers)
        gate.open()
        assert {said(events) for events in await asyncio.gather(*answers)} == {"one two"}
        assert {request.thread_id for request in model.requests} == {str(number) for number in range(96)}


async def test_what_was_said_before_a_gate_arrives_before_it_opens() -> None:
    """A stream is flushed where it waits."""
    gate = Gate()
    async with MockModel(Reply(Say("one"), Hold(gate))) as model, connected(model.base_url) as client:
        await client.send(prompt("go"))
        await client.head()
        events = client.events()
        assert [(await anext(events))["type"] for _ in range(4)][-1] == "response.output_item.done"
        assert not gate.is_open
        await events.aclose()


@pytest.mark.parametrize("wait", [Stall(), Hold(Gate()), Pause(1000)], ids=["stall", "hold", "pause"])
async def test_a_client_that_leaves_ends_its_stream(wait: Stall | Hold | Pause) -> None:
    """However long the reply meant to wait, nothing of it is left once its reader has gone."""
    async with MockModel(Reply(Say("I am"), wait)) as model:
        before = asyncio.all_tasks()
        async with connected(model.base_url) as client:
            await client.send(prompt("go"))
            await client.head()
        await all_ended(before)


async def test_a_client_that_leaves_in_the_middle_of_a_request_does_no_harm() -> None:
    """Half a request is no request."""
    async with MockModel("unused") as model:
        before = asyncio.all_tasks()
        async with connected(model.base_url) as client:
            client.writer.write(b"POST /v1/responses HTTP/1.1\r\nContent-Length: 9\r\n\r\n{")
            client.writer.write_eof()
            assert await client.reader.read() == b""
        await all_ended(before)
        assert model.requests == ()


async def test_a_connection_that_comes_too_late_is_dropped() -> None:
    """One that was accepted while the mock model was being closed gets no task of its own."""
    async with MockModel("unused") as model:
        pass
    late = await asyncio.start_server(model._accept, "127.0.0.1", 0)
    async with late, connected(f"http://127.0.0.1:{late.sockets[0].getsockname()[1]}") as client:
        before = asyncio.all_tasks()
        assert await client.reader.read() == b""
        assert asyncio.all_tasks() == before


async def test_a_connection_that_comes_just_before_the_end_is_dropped_too() -> None:
    """Closing may cancel a conversation before it has taken its first step."""
    model = MockModel("unused")

    def accept_and_close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        model._accept(reader, writer)
        for conversation in model._conversations:
            conversation.cancel()

    server = await asyncio.start_server(accept_and_close, "127.0.0.1", 0)
    async with server, connected(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}") as client:
        async with asyncio.timeout(5):
            assert await client.reader.read() == b""


async def test_closing_ends_every_stream_and_may_be_repeated() -> None:
    """Held, stalled and idle connections all end, no task is left, and whoever closes again waits as well."""
    gate = Gate()
    before = asyncio.all_tasks()
    model = MockModel(Reply(Hold(gate), Stall()), default=Reply(Hold(gate)))
    async with model:
        answers = [asyncio.create_task(ask(model.base_url)) for _ in range(3)]
        await gate.reached(3)
        async with connected(model.base_url):
            await asyncio.gather(model.aclose(), model.aclose())
    ends = await asyncio.gather(*answers, return_exceptions=True)
    assert all(isinstance(end, (asyncio.IncompleteReadError, ConnectionError)) for end in ends)
    assert asyncio.all_tasks() == before
    await model.aclose()


async def test_closing_does_not_wait_for_a_client_that_does_not_read() -> None:
    """What could not be sent is thrown away."""
    async with MockModel("x" * 50_000_000) as model, connected(model.base_url) as client:
        await client.send(prompt("go"))
        await client.head()
        async with asyncio.timeout(5):
            await model.aclose()


async def test_a_cut_drops_the_connection_after_what_was_said() -> None:
    """Everything before the cut arrives; the end of the body never does."""
    async with MockModel(Reply(Say("I was about to"), Cut())) as model, connected(model.base_url) as client:
        await client.send(prompt("go"))
        await client.head()
        heard: list[Event] = []
        with pytest.raises(asyncio.IncompleteReadError):
            await client.listen(heard)
        assert said(heard) == "I was about to"
        assert await client.reader.read() == b""


async def test_a_clean_cut_only_leaves_out_the_closing_event() -> None:
    """The HTTP answer is whole, and the connection is kept."""
    async with MockModel(Reply(Say("half"), Cut(clean=True)), "whole") as model, connected(model.base_url) as client:
        await client.send(prompt("go"))
        await client.head()
        assert [event async for event in client.events()][-1]["type"] == "response.output_item.done"
        await client.send(prompt("go"))
        await client.head()
        assert [event async for event in client.events()][-1]["type"] == "response.completed"


async def test_a_large_prompt_and_a_large_answer_pass() -> None:
    """Sizes far above any buffer, both ways."""
    answer = "word " * 20_000
    async with MockModel(answer) as model:
        assert said(await ask(model.base_url, "y" * 5_000_000)) == answer
        assert len(model.requests[0].prompt) == 5_000_000


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff"])
async def test_a_body_that_is_no_json_object_is_refused(body: bytes) -> None:
    """It is answered with 400 and not counted as a request."""
    async with MockModel("unused") as model, connected(model.base_url) as client:
        await client.send(body)
        assert "not a JSON object" in await client.refusal()
        assert client.status == 400
        assert model.requests == ()


async def test_a_client_may_ask_for_the_end_of_the_connection() -> None:
    """`connection: close` is obeyed after a whole answer."""
    async with MockModel("bye") as model, connected(model.base_url) as client:
        body = json.dumps(prompt("go")).encode()
        client.writer.write(
            b"POST /v1/responses HTTP/1.1\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
        )
        await client.head()
        assert said([event async for event in client.events()]) == "bye"
        assert await client.reader.read() == b""


async def test_a_mock_model_runs_once() -> None:
    """There is no address before the start, and no second start."""
    model = MockModel()
    with pytest.raises(RuntimeError, match="not running"):
        _ = model.base_url
    async with model:
        with pytest.raises(RuntimeError, match="runs once"):
            await model.__aenter__()


async def test_a_mock_model_that_never_ran_can_be_closed() -> None:
    """Closing is always allowed."""
    await MockModel().aclose()


async def test_a_port_may_be_chosen() -> None:
    """A second mock model can take the place of one that is gone."""
    async with MockModel("one") as first:
        port = int(first.base_url.removesuffix("/v1").rpartition(":")[2])
    async with MockModel("two", port=port) as second:
        assert second.base_url == f"http://127.0.0.1:{port}/v1"
        assert said(await ask(second.base_url)) == "two"
