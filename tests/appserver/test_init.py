"""Typed calls: what goes to the requester, what comes back, and that no method is missing."""

from __future__ import annotations

import inspect
import subprocess
import sys
from dataclasses import dataclass, field

import msgspec
import pytest

from codex_runtime.appserver import AppServer
from codex_runtime.errors import RemoteProtocolError
from codex_runtime.protocol import (
    ApiKeyLoginAccountParams,
    ApiKeyLoginAccountResponse,
    FsReadFileResponse,
    GatewayOAuthReadResponse,
    TextUserInput,
    TurnStartResponse,
    Wire,
    decode_params,
    registry,
)
from codex_runtime.protocol._registry import load
from tests.protocol.samples import Sampler
from tools.codegen.model import snake


@dataclass
class Scripted:
    """A requester that answers everything with the same bytes and remembers what it was asked."""

    answer: bytes = b"{}"
    asked: list[tuple[str, object, float | None]] = field(default_factory=list)

    async def request_raw(self, method: str, params: object = None, *, deadline: float | None = None) -> msgspec.Raw:
        """Remember what would go over the wire."""
        sent = msgspec.json.decode(msgspec.json.encode(params))
        self.asked.append((method, sent, deadline))
        return msgspec.Raw(self.answer)


async def test_keyword_options_become_params() -> None:
    """What is given is sent in upstream's spelling; null is sent, the rest is left out."""
    server = Scripted(b'{"turn":{"id":"u","items":[],"status":"inProgress"}}')
    started = await AppServer(server).turn_start(
        thread_id="t", input=[TextUserInput(text="hi")], approval_policy="never", service_tier=None, deadline=3
    )
    assert isinstance(started, TurnStartResponse)
    assert started.turn.id == "u"
    assert server.asked == [
        (
            "turn/start",
            {
                "threadId": "t",
                "input": [{"type": "text", "text": "hi"}],
                "approvalPolicy": "never",
                "serviceTier": None,
            },
            3,
        )
    ]


async def test_params_that_are_a_union_are_given_whole() -> None:
    """Where there are several forms, the caller picks one."""
    server = Scripted(b'{"type":"apiKey"}')
    answer = await AppServer(server).account_login_start(ApiKeyLoginAccountParams(api_key="k"))
    assert isinstance(answer, ApiKeyLoginAccountResponse)
    assert server.asked == [("account/login/start", {"type": "apiKey", "apiKey": "k"}, None)]


async def test_a_method_with_only_options_sends_an_empty_object() -> None:
    """The server refuses null where it declares an object."""
    server = Scripted(b'{"data":[],"nextCursor":null}')
    await AppServer(server).thread_list()
    assert server.asked == [("thread/list", {}, None)]


async def test_a_method_without_params_sends_none() -> None:
    """The server refuses an object where it declares nothing."""
    server = Scripted(b'{"status":"disconnected"}')
    await AppServer(server).account_logout()
    assert server.asked == [("account/logout", None, None)]


async def test_a_result_that_does_not_fit_is_the_servers_fault() -> None:
    """The error names the method and the place, never the value."""
    server = Scripted(b'{"dataBase64":["secret"]}')
    with pytest.raises(RemoteProtocolError, match=r"fs/readFile.*\$\.dataBase64") as caught:
        await AppServer(server).fs_read_file(path="/home/dev/a")
    assert "secret" not in str(caught.value)
    assert isinstance(await AppServer(Scripted(b'{"dataBase64":"eA=="}')).fs_read_file(path="/a"), FsReadFileResponse)


async def test_any_method_can_be_called_raw() -> None:
    """Also one this version does not know; the result is plain JSON."""
    server = Scripted(b'{"depth":[3]}')
    assert await AppServer(server).request("hologram/start", {"a": None}, deadline=1) == {"depth": [3]}
    assert server.asked == [("hologram/start", {"a": None}, 1)]
    assert await AppServer(Scripted(b"")).request("hologram/start") is None


@pytest.mark.parametrize("answer", [b"{", b"\xff", b"[" * 100_000])
async def test_a_raw_result_that_is_no_json_is_the_servers_fault(answer: bytes) -> None:
    """It is told as such and not as a fault of the caller."""
    with pytest.raises(RemoteProtocolError, match="hologram/start"):
        await AppServer(Scripted(answer)).request("hologram/start")


async def test_a_call_of_an_unknown_method_is_refused() -> None:
    """The generated calls and the table of methods come from one schema; a subclass may not stray from it."""
    with pytest.raises(RemoteProtocolError, match="not part of the protocol"):
        await AppServer(Scripted())._call("hologram/start", None, None)


@dataclass
class Answering:
    """A requester that answers each method with a sample of its result."""

    asked: list[str] = field(default_factory=list)

    async def request_raw(self, method: str, params: object = None, *, deadline: float | None = None) -> msgspec.Raw:
        """Answer with everything the result can hold."""
        self.asked.append(method)
        known = registry.get(method)
        assert known is not None
        assert known.result_name is not None
        assert (params is None) == (known.params is None)
        return msgspec.Raw(msgspec.json.encode(Sampler().of(known.result_name)))


async def test_every_client_request_has_its_call() -> None:
    """Each of the 172 takes the fields of its params, reaches its own method and reads its result."""
    server = Answering()
    app = AppServer(server)
    for method in registry.of("client_request"):
        call = getattr(app, snake(method.name.replace("/", "_")))
        options = inspect.signature(call).parameters.values()
        params = decode_params(method.name, msgspec.json.encode(Sampler().of(method.params_name or "Thread")))
        positional = [params for option in options if option.kind is option.POSITIONAL_ONLY]
        named = {option.name: getattr(params, option.name) for option in options if option.name in fields_of(params)}
        result = await call(*positional, **({} if positional else named))
        assert isinstance(result, load(method.result_name or ""))
        assert positional or named.keys() == fields_of(params)
    assert server.asked == [method.name for method in registry.of("client_request")]
    assert isinstance(await app.account_gateway_oauth_read(), GatewayOAuthReadResponse)


def fields_of(params: object) -> set[str]:
    """The names of a struct's fields; none for anything else."""
    return set(params.__struct_fields__) if isinstance(params, Wire) else set()


def test_the_import_is_cheap() -> None:
    """Types are loaded when a call needs them, not before."""
    code = "import sys, codex_runtime.appserver; print([m for m in sys.modules if '.protocol._generated.' in m])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "['codex_runtime.protocol._generated.methods']\n"
