"""The real app server that listens on a socket: who gets in, and what outlives a connection, a client and a server."""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import signal
import time
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from codex_runtime import (
    Client,
    RestartPolicy,
    Runtime,
    RuntimeConfig,
    TextDelta,
    Ticket,
    TurnCompleted,
    TurnLostError,
)
from codex_runtime._io.process import ChildProcess, Graces, ProcessLauncher, ProcessSpec
from codex_runtime._io.websocket import WebSocketLauncher
from codex_runtime.client import Reconnected, TextCompleted
from codex_runtime.errors import HandshakeError, RuntimeDeadError, SessionBusyError, StartError
from codex_runtime.runtime import SignedToken, TokenFile
from codex_runtime.testing import Exec, Gate, Hold, ManualClock, MockModel, Reply, Say, Stall, write_codex_home
from tests.real.rig import SOON, Place, next_ticket
from tests.support.children import Recorder

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from codex_runtime import Session
    from codex_runtime.client import Event

SECRET = "a secret that both of us know, and long enough"
TOUCH = "touch made-it"
ASKS: dict[str, Any] = {"approval_policy": "untrusted", "sandbox": "workspace-write"}


@asynccontextmanager
async def listening(place: Place, where: str, *options: str) -> AsyncIterator[tuple[ChildProcess, str]]:
    """Run the real server as somebody else would, and say where it listens."""
    argv = (str(place.binary), "app-server", "--listen", where, *options)
    graces = Graces(stdin_close=0.05, terminate=0.5)
    server = await ProcessLauncher(
        ProcessSpec(argv=argv, env={"CODEX_HOME": str(place.home), "HTTP_PROXY": None}, graces=graces)
    ).launch(Recorder())
    try:
        yield server, await address_of(server, where)
    finally:
        await server.aclose()


async def address_of(server: ChildProcess, where: str) -> str:
    """Wait until the server listens."""
    if where.startswith("unix://"):
        await until(Path(where.removeprefix("unix://")).exists)
        return where
    await until(lambda: "listening on: ws" in server.stderr_tail())
    match = re.search(r"listening on: (ws://\S+)", server.stderr_tail())
    assert match is not None
    return match[1]


async def until(condition: Callable[[], object]) -> None:
    """Let others run until the condition holds."""
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0)


def attached(address: str, **config: Any) -> Client:
    """Make a client of a server that listens."""
    return Client(RuntimeConfig(address=address, **{"restart": SOON, **config}))


@pytest.fixture
def where(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Both kinds of address, for those tests that ask for them."""
    return "ws://127.0.0.1:0" if getattr(request, "param", "tcp") == "tcp" else f"unix://{tmp_path}/s.sock"


@asynccontextmanager
async def at_work(
    place: Place, where: str, *replies: Reply | str
) -> AsyncIterator[tuple[ChildProcess, str, MockModel]]:
    """Have a server listen whose model says `replies`."""
    async with MockModel(*replies) as model:
        write_codex_home(place.home, model.base_url)
        async with listening(place, where) as (server, address):
            yield server, address, model


def cut(client: Client) -> None:
    """Lose the connection, and nothing else."""
    link = client.runtime._life.link
    assert link is not None
    link.transport.kill()


# -- getting in --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["tcp", "unix"], indirect=True)
async def test_a_server_and_its_threads_outlive_its_clients(place: Place, where: str) -> None:
    """Leaving ends our connection alone; the next client goes on with the thread."""
    async with at_work(place, where, "one", "two") as (server, address, model):
        async with attached(address) as client, await client.start_session(cwd=place.workspace) as session:
            assert (await session.run("first")).text == "one"
            assert client.runtime.pid is None
            thread_id = session.thread_id
        async with attached(address) as client:
            session = await client.resume_session(thread_id, cwd=place.workspace)
            assert (await session.run("second")).text == "two"
        assert "first" in model.requests[1].texts()
        assert server.pid is not None
        os.kill(server.pid, 0)


async def test_a_message_may_be_larger_than_what_the_server_takes_in_one_piece(place: Place) -> None:
    """16 MiB, over which it cuts the connection."""
    async with at_work(place, "ws://127.0.0.1:0") as (_, address, _), attached(address) as client:
        text = "x" * (20 * 1024 * 1024)
        path = str(place.workspace / "large")
        params = {"path": path, "dataBase64": "", "remark": text}
        await client.runtime.request("fs/writeFile", params, allow_full_access=True)
        assert client.runtime.generation == 0


async def test_who_has_no_token_or_a_wrong_one_is_told(place: Place, tmp_path: Path) -> None:
    """In the server's own words, when the start fails."""
    (tmp_path / "token").write_text("the-right-one\n")
    options = ("--ws-auth", "capability-token", "--ws-token-file", str(tmp_path / "token"))
    async with listening(place, "ws://127.0.0.1:0", *options) as (_, address):
        for token, words in (
            (None, "HTTP status 401, 'missing websocket bearer token'"),
            ("a-wrong-one", "HTTP status 401, 'invalid websocket bearer token'"),
        ):
            with pytest.raises(HandshakeError) as caught:
                await Runtime(RuntimeConfig(address=address, token=token)).open()
            assert words in str(caught.value)
            assert "a-wrong-one" not in str(caught.value)
        for right in ("the-right-one", TokenFile(tmp_path / "token")):
            async with attached(address, token=right) as client:
                assert client.runtime.server_info.user_agent


async def test_a_server_may_know_only_the_digest_of_the_token(place: Place) -> None:
    """It makes no difference to us."""
    digest = hashlib.sha256(b"the-right-one").hexdigest()
    options = ("--ws-auth", "capability-token", "--ws-token-sha256", digest)
    async with (
        listening(place, "ws://127.0.0.1:0", *options) as (_, address),
        attached(address, token="the-right-one") as client,
    ):
        assert client.runtime.connection.phase == "running"


async def test_a_signed_token_gets_in_while_it_is_good(place: Place, tmp_path: Path) -> None:
    """Its issuer, its audience, its secret and its time have to be right."""
    (tmp_path / "secret").write_text(SECRET + "\n")
    (tmp_path / "other").write_text(SECRET + "!\n")
    options = ("--ws-auth", "signed-bearer-token", "--ws-shared-secret-file", str(tmp_path / "secret"))
    options += ("--ws-issuer", "me", "--ws-audience", "it")
    good = {"secret_file": tmp_path / "secret", "issuer": "me", "audience": "it"}
    async with listening(place, "ws://127.0.0.1:0", *options) as (_, address):
        async with attached(address, token=SignedToken(**good)) as client:
            assert client.runtime.connection.phase == "running"
        for change, words in (
            ({"issuer": "you"}, "issuer mismatch"),
            ({"audience": None}, "HTTP status 401"),
            ({"secret_file": tmp_path / "other"}, "invalid websocket jwt"),
        ):
            with pytest.raises(HandshakeError, match=words):
                await Runtime(RuntimeConfig(address=address, token=SignedToken(**{**good, **change}))).open()
        late = WebSocketLauncher(address, token=SignedToken(**good), wall=lambda: time.time() - 10_000)
        with pytest.raises(HandshakeError, match="expired websocket jwt"):
            await late.launch(Recorder())


# -- losing the connection ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["tcp", "unix"], indirect=True)
async def test_an_approval_is_asked_for_again_after_a_reconnect(place: Place, where: str) -> None:
    """The turn runs on, and what it waits for is answered by its own `approvals`, on the new connection."""
    asked: asyncio.Queue[Ticket] = asyncio.Queue()

    async def handler(ticket: Ticket) -> None:
        await asked.put(ticket)
        await ticket.wait()

    async with (
        at_work(place, where, Reply(Exec(TOUCH)), "done", "next") as (_, address, _),
        attached(address) as client,
    ):
        session = await client.start_session(cwd=place.workspace, **ASKS)
        running = asyncio.ensure_future(session.run("go", approvals=handler))
        first = await asked.get()
        cut(client)
        second = await asked.get()
        assert (first.outcome, first.generation, second.generation) == ("withdrawn", 0, 1)
        assert second.item_id == first.item_id
        assert second.params == first.params
        assert not (place.workspace / "made-it").exists()
        second.accept()
        result = await running
        assert (result.text, result.turn_id, result.commands[0].exit_code) == ("done", second.turn_id, 0)
        assert (place.workspace / "made-it").exists()
        assert not session.is_closed
        assert (await session.run("and now")).text == "next"


@pytest.mark.parametrize("where", ["tcp", "unix"], indirect=True)
async def test_a_turn_goes_on_after_a_reconnect(place: Place, where: str) -> None:
    """The same turn, the same stream, and the exact text, though pieces of it went to nobody."""
    pieces = ["half ", "an ", "answer ", "to ", "be ", "given"]
    reply = Reply(Say("first", phase="commentary"), Say("".join(pieces), chunks=pieces, pace=0.15))
    async with (
        at_work(place, where, reply, "next") as (_, address, _),
        attached(address) as client,
        await client.start_session(cwd=place.workspace) as session,
    ):
        async with session.stream("go") as turn:
            events: list[Event] = []
            async for event in turn:
                events.append(event)
                if isinstance(event, TextDelta) and event.text == "half ":
                    cut(client)
            result = await turn.finish()
        [again] = [event for event in events if isinstance(event, Reconnected)]
        assert again.generation == 1
        assert again.unfinished == (result.messages[-1].item_id,)
        assert [event.text for event in events if isinstance(event, TextCompleted)] == ["first", "".join(pieces)]
        assert [message.text for message in result.messages] == ["first", "".join(pieces)]
        assert [item.kind for item in result.items] == ["userMessage", "agentMessage", "agentMessage"]
        assert (result.text, result.status) == ("".join(pieces), "completed")
        assert (await session.run("and now")).text == "next"


@pytest.mark.parametrize("where", ["tcp", "unix"], indirect=True)
async def test_a_turn_that_ended_while_nobody_was_connected_has_its_result(place: Place, where: str) -> None:
    """From the server's record, as if we had been there."""
    clock, gate = ManualClock(), Gate()
    later = RestartPolicy(backoff=10.0, jitter=0.0)
    replies = Reply(Say("one", phase="commentary"), Hold(gate), Exec("echo hello")), "two"
    async with (
        at_work(place, where, *replies) as (_, address, _),
        attached(address, clock=clock, restart=later) as client,
        attached(address) as witness,
    ):
        session = await client.start_session(cwd=place.workspace, sandbox="danger-full-access", allow_full_access=True)
        async with session.stream("go") as turn:
            await gate.reached()
            await witness.resume_session(session.thread_id)
            cut(client)
            await until(lambda: client.runtime.connection.phase == "restarting")
            with witness.runtime.subscribe(methods=["turn/completed"]) as ends:
                gate.open()
                await anext(ends)
            await clock.advance(10.0)
            result = await turn.finish()
            events = [event async for event in turn]
        assert [type(event) for event in events if isinstance(event, Reconnected | TurnCompleted)] == [
            Reconnected,
            TurnCompleted,
        ]
        assert (result.status, result.text, [each.text for each in result.messages]) == (
            "completed",
            "two",
            ["one", "two"],
        )
        assert [(run.command, run.output, run.exit_code) for run in result.commands] == [("echo hello", "hello\n", 0)]
        assert result.duration is not None


async def test_leaving_while_disconnected_interrupts_the_turn_on_the_server(place: Place) -> None:
    """As soon as there is a connection again; the next turn is one of its own."""
    async with (
        at_work(place, "ws://127.0.0.1:0") as (_, address, model),
        attached(address) as client,
        await client.start_session(cwd=place.workspace) as session,
    ):
        gate = Gate()
        model.on("go", Reply(Say("one"), Hold(gate)))
        model.on("now", "mine")
        async with session.stream("go") as turn:
            await gate.reached()
            cut(client)
        assert (turn.result.status, turn.result.text, client.runtime.generation) == ("interrupted", "one", 1)
        assert (await session.run("now")).text == "mine"


async def test_a_turn_that_runs_on_after_a_reconnect_is_not_taken_for_the_next_one(place: Place) -> None:
    """The server would take our prompt for a remark; it is told to stop, and the turn after that is one of its own."""
    gate = Gate()
    async with (
        at_work(place, "ws://127.0.0.1:0") as (_, address, model),
        attached(address) as client,
        await client.start_session(cwd=place.workspace) as session,
    ):
        model.on("go", Reply(Say("one"), Hold(gate)))
        model.on("too early", Reply(Say("never the end"), Stall()))
        model.on("now", "mine")
        running = asyncio.ensure_future(session.run("go", on_crash="lose"))
        await gate.reached()
        cut(client)
        with pytest.raises(TurnLostError):
            await running
        with pytest.raises(SessionBusyError, match="the turn before, which was lost"):
            await session.run("too early")
        assert (await run_when_free(session, "now")).text == "mine"


async def run_when_free(session: Session, prompt: str) -> Any:
    """Run a turn as soon as the one before has ended on the server."""
    async with asyncio.timeout(20):
        while True:
            try:
                return await session.run(prompt)
            except SessionBusyError:
                continue


async def test_a_client_that_died_is_followed_by_another(place: Place) -> None:
    """The next one resumes the thread, is asked what the first was asked, and answers."""
    async with at_work(place, "ws://127.0.0.1:0", Reply(Exec(TOUCH)), "done") as (_, address, _):
        async with attached(address) as client:
            session = await client.start_session(cwd=place.workspace, **ASKS)
            async with session.stream("go", approvals="stream", on_crash="lose") as turn:
                ticket = await next_ticket(turn)
                cut(client)
                with pytest.raises(TurnLostError):
                    await turn.finish()
            assert ticket.outcome == "withdrawn"
            await client.aclose()
        asked: list[Ticket] = []

        async def handler(ticket: Ticket) -> None:
            asked.append(ticket)
            ticket.accept()

        async with attached(address) as client:
            with client.runtime.subscribe(methods=["turn/completed"]) as ends:
                await client.resume_session(session.thread_id, cwd=place.workspace, approvals=handler, **ASKS)
                assert (await anext(ends)).thread_id == session.thread_id
            assert [ticket.turn_id for ticket in asked] == [turn.turn_id]
            assert (place.workspace / "made-it").exists()


async def test_two_clients_of_one_server_share_a_thread(place: Place) -> None:
    """Both hear what happens; the first answer counts, and the other's ticket is withdrawn."""
    async with (
        at_work(place, "ws://127.0.0.1:0", Reply(Exec(TOUCH)), "done") as (_, address, _),
        attached(address) as one,
        attached(address) as two,
    ):
        begun = Gate()
        async with at_once(two, begun) as tickets:
            session = await one.start_session(cwd=place.workspace, **ASKS)
            async with session.stream("go", approvals="stream") as turn:
                first = await next_ticket(turn)
                with two.runtime.subscribe(methods=["turn/completed", "item/completed"]) as heard:
                    await two.resume_session(session.thread_id, cwd=place.workspace, approvals="stream", **ASKS)
                    second = await tickets.get()
                    assert second.params == first.params
                    second.accept()
                    assert (await turn.finish()).text == "done"
                    assert first.outcome == "withdrawn"
                    with pytest.raises(Exception, match="already withdrawn"):
                        first.decline()
                    methods = []
                    while methods[-1:] != ["turn/completed"]:
                        methods.append((await anext(heard)).method)
                    assert "item/completed" in methods
            assert (place.workspace / "made-it").exists()


@asynccontextmanager
async def at_once(client: Client, begun: Gate) -> AsyncIterator[asyncio.Queue[Ticket]]:
    """Collect the server requests that no session of a client takes."""
    tickets: asyncio.Queue[Ticket] = asyncio.Queue()

    async def collect() -> None:
        begun.open()
        async for ticket in client.runtime.server_requests():
            await tickets.put(ticket)

    collecting = asyncio.ensure_future(collect())
    await begun.wait()
    yield tickets
    collecting.cancel()
    await asyncio.wait([collecting])


# -- losing the server -------------------------------------------------------------------------------------------------


async def test_a_server_that_stays_away_is_given_up(place: Place) -> None:
    """Connecting is tried as often as the restart rule has it; then everybody learns why."""
    dead: asyncio.Future[RuntimeDeadError] = asyncio.get_running_loop().create_future()
    budget = RestartPolicy(budget=3, backoff=0.01, jitter=0.0)
    async with (
        at_work(place, "ws://127.0.0.1:0") as (server, address, _),
        attached(address, restart=budget, on_dead=dead.set_result) as client,
    ):
        server.kill()
        async with asyncio.timeout(10):
            error = await dead
        assert re.search(r"cannot connect to ws://.* 3 restarts within 180 s are used up", str(error))
        assert client.runtime.generation == 3
        with pytest.raises(RuntimeDeadError, match="used up"):
            await client.runtime.request("thread/loaded/list", {})


async def test_a_server_that_comes_back_is_found(place: Place, tmp_path: Path) -> None:
    """At the same address; the session finds its thread there."""
    where = f"unix://{tmp_path}/s.sock"
    patient = RestartPolicy(budget=1000, backoff=0.01, max_backoff=0.01)
    async with (
        at_work(place, where, "one", "two") as (server, address, model),
        attached(address, restart=patient) as client,
    ):
        session = await client.start_session(cwd=place.workspace)
        assert (await session.run("first")).text == "one"
        assert server.pid is not None
        os.kill(server.pid, signal.SIGKILL)
        await until(lambda: client.runtime.connection.phase == "restarting")
        async with listening(place, where):
            assert (await session.run("second")).text == "two"
            assert "first" in model.requests[1].texts()
            assert client.runtime.generation > 0


async def test_where_no_server_listens_the_start_fails() -> None:
    """At once, and with the address."""
    with pytest.raises(StartError, match=r"cannot connect to unix:///no/such\.sock: No such file"):
        await Runtime(RuntimeConfig(address="unix:///no/such.sock")).open()
