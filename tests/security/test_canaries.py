"""S18: a secret that passes through us is in no log, no record, no message and no `repr`, unless it is said to be kept there.

Canaries are planted wherever a program hands us a secret, and afterwards everything that we left behind is searched for them.
What is kept on purpose is planted as well, and must be found: a search that finds nothing may just be blind.
"""

from __future__ import annotations

import asyncio
import logging
import traceback
from typing import TYPE_CHECKING, Any

import pytest

import codex_runtime.protocol as p
from codex_runtime import Client, CodexError, RestartPolicy, RunProfile, RuntimeConfig
from codex_runtime._io.spawn import ProcessSpec
from codex_runtime._sansio.discreet import TELLING_SECRETS, without_secrets
from codex_runtime.hooks import ShellHook
from codex_runtime.journal import Journal, JournalSink
from codex_runtime.runtime import AuditLog, Exit, JsonlSink, JsonStateStore, SignedToken, TokenFile
from codex_runtime.testing import Ask, FakeAppServer, ManualClock, Stderr
from tests.runtime.rig import failure, until
from tests.security.test_gate import schema

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from codex_runtime.runtime import Ticket


def canary(name: str) -> str:
    """A secret that nobody else has."""
    return f"sk-canary-{name}-5f3a"


ANY = "sk-canary-"
QUESTION = {"id": "q", "header": "Key", "question": "Your key?", "isSecret": True}
# What a client may ask with a secret in it, by where it is.
SECRET_REQUESTS: dict[str, dict[str, Any]] = {
    "account/login/start": {"type": "apiKey", "apiKey": canary("apikey"), "sessionToken": canary("session")},
    "environment/add": {"environmentId": "e", "execServerUrl": "ws://x", "authBearerToken": canary("bearer")},
    "command/exec": {"command": ["ls"], "env": {"KEY": canary("env")}},
    "process/spawn": {"command": ["ls"], "env": {"KEY": canary("spawn")}, "processHandle": "1"},
    "config/value/write": {"keyPath": "mcp_servers.x.http_headers.Authorization", "value": canary("write")},
    "config/batchWrite": {
        "edits": [{"keyPath": "model_providers.x.experimental_bearer_token", "value": canary("edit")}]
    },
}
SETTINGS = {
    "model_providers": {"x": {"http_headers": {"Authorization": canary("header")}, "api_key": canary("provider")}},
    "mcp_servers.y.env": {"PASSWORD": canary("mcp")},
    "mcp_servers.z.http_headers.X": canary("dotted"),
    "shell_environment_policy.set": {"K": canary("policy")},
}


class Everything:
    """All that was left behind."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.shown: list[str] = []

    def show(self, *things: object) -> None:
        """Show something as a program would that is looking for a mistake; an error with all that it came from."""
        for thing in things:
            self.shown += [repr(thing), str(thing), f"{thing!a}"]
            if isinstance(thing, BaseException):
                self.shown += traceback.format_exception(thing)
                if (more := thing.__cause__ or thing.__context__) is not None:
                    self.show(more)

    def found(self) -> set[str]:
        """The canaries that are somewhere."""
        return {name for text in self._texts() for name in self._in(text)}

    def _texts(self) -> Iterator[str]:
        yield from self.shown
        for path in self.folder.rglob("*"):
            if path.is_file():
                yield path.read_text(encoding="utf-8", errors="replace")
        for entry in Journal(self.folder / "journal").read(limit=10_000):  # it may be packed in the file
            yield entry.line.decode()

    def _in(self, text: str) -> Iterator[str]:
        for piece in text.split(ANY)[1:]:
            yield piece.split("-")[0]


async def answer(ticket: Ticket) -> None:
    """Give what is asked for."""
    match ticket.method:
        case "account/chatgptAuthTokens/refresh":
            ticket.give_tokens(access_token=canary("access"), account_id="me", plan_type="pro")
        case "attestation/generate":
            ticket.give_attestation(canary("attestation"))
        case "item/tool/requestUserInput":
            ticket.give_answers({"q": canary("typed")})


async def test_secrets_reach_the_server_and_nothing_else(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """With every record kept that we can keep, and every word logged that anybody here may say."""
    caplog.set_level(logging.DEBUG)
    left, audit = Everything(tmp_path), AuditLog(tmp_path / "audit")
    fake, clock = FakeAppServer(), ManualClock()
    for method in SECRET_REQUESTS:
        fake.on_request(method, {})
    settings = RuntimeConfig(
        launcher=fake,
        clock=clock,
        env={"KEY": canary("config")},
        settings={"model_providers.x.api_key": f'"{canary("settings")}"'},
        sinks=(JsonlSink(tmp_path / "log"), JournalSink(Journal(tmp_path / "journal"))),
        state_store=JsonStateStore(tmp_path / "state"),
        on_decision=audit,
        on_server_request=answer,
        restart=RestartPolicy(when="never"),
    )
    profile = RunProfile(settings=SETTINGS, allow_full_access=True)
    async with Client(settings, profile=profile) as client:
        runtime = client.runtime
        with runtime.subscribe() as events:
            session = await client.start_session(cwd=tmp_path)
            for method, params in SECRET_REQUESTS.items():
                await runtime.request(method, params, allow_full_access=True)
            fake.play(Ask("account/chatgptAuthTokens/refresh", {"reason": "unauthorized"}))
            fake.play(Ask("attestation/generate"), Ask("item/tool/requestUserInput", {"questions": [QUESTION]}))
            await until(lambda: len(fake.answers) == 3)
            await session.run(f"keep {canary('PROMPT')}")
            left.show(client, runtime, session, runtime.metrics, runtime.state, runtime.server_info, events)
        left.show(settings, profile, *settings.sinks, settings.state_store, settings.on_decision)
        left.show(await failure(runtime.request("account/login/start", {"apiKey": canary("type"), "x": object()})))
        left.show(await failure(runtime.request("account/login/start", {"apiKey": f"{canary('surrogate')}\ud800"})))
        left.show(await failure(runtime.request("process/spawn", SECRET_REQUESTS["process/spawn"])))
        fake.play(Stderr(f"panicked with {canary('stderr')}\n"))
        fake.never_answer("account/login/start")
        lost = runtime.request("account/login/start", {"apiKey": canary("lost")})

        call = asyncio.ensure_future(lost)
        await fake.wait_for("account/login/start", 2)
        fake.die(code=1)
        error: Any = await failure(call)
        assert canary("stderr") in error.exit.stderr_tail  # where somebody can ask for it
        left.show(error, error.exit, runtime.connection, await failure(runtime.request("model/list")))
        left.show(runtime.metrics, runtime.state)
    audit.close()
    # What the server got, which is all of it.
    told = str([entry.message for entry in fake.received]) + str(fake.answers)
    for name in ("apikey", "session", "bearer", "env", "spawn", "write", "edit", "header", "mcp", "dotted", "policy"):
        assert canary(name) in told
    for name in ("access", "attestation", "typed"):
        assert canary(name) in told
    left.shown += [record.getMessage() for record in caplog.records]
    assert left.found() == {"PROMPT"}  # the words of a turn are what a log of it is for
    assert '"apiKey":"***"' in (tmp_path / "log").read_text().replace(" ", "")


def test_no_repr_of_ours_tells_a_secret(tmp_path: Path) -> None:
    """They end up in logs of other people, and in reports of what went wrong."""
    secret = canary("repr")
    for thing in (
        RuntimeConfig(address="ws://127.0.0.1:1", token=secret),
        RuntimeConfig(env={"K": secret}, settings={"model_providers.x.api_key": secret}),
        RunProfile(settings={"model_providers.x.api_key": secret}),
        ShellHook("h", "true", env={"K": secret}),
        ProcessSpec(argv=("codex", "-c", secret), env={"K": secret}),
        Exit(code=1, stderr_tail=secret),
        TokenFile(tmp_path / "token"),
        SignedToken(secret_file=tmp_path / "secret"),
        p.ApiKeyLoginAccountParams(api_key=secret),
        p.ChatgptAuthTokensRefreshResponse(access_token=secret, chatgpt_account_id="me"),
        p.AttestationGenerateResponse(token=secret),
    ):
        assert secret not in repr(thing), type(thing)
        rich = getattr(thing, "__rich_repr__", None)
        assert rich is None or secret not in str(list(rich())), type(thing)


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (RuntimeConfig, {"address": "ws://127.0.0.1:1", "token": f"{canary('a')} b"}),
        (RuntimeConfig, {"address": f"ws://u:{canary('a')}@127.0.0.1:1"}),
        (RuntimeConfig, {"env": {"K": f"{canary('a')}\0"}}),
        (RuntimeConfig, {"settings": {"sandbox_mode": canary("a")}}),
        (RuntimeConfig, {"settings": {"mcp_servers.x.env": canary("a")}}),
        (RunProfile, {"settings": canary("a")}),
    ],
)
def test_a_setting_that_is_refused_is_not_repeated(kind: Any, options: dict[str, Any]) -> None:
    """Its name is told, and what it must look like."""
    with pytest.raises(CodexError) as caught:
        kind(**options)
    left = "".join(traceback.format_exception(caught.value)).replace(repr(options), "")
    assert canary("a") not in str(caught.value)
    assert canary("a") not in "".join(line for line in left.splitlines() if not line.startswith("  "))


def test_every_request_that_may_hold_a_secret_is_known() -> None:
    """By the schema: a parameter that is called like one, in a method that is not on the list, fails this."""
    words = ("token", "secret", "apikey", "password", "bearer", "credential", "authoriz", "cookie")
    asked, types = schema()
    found: set[str] = set()

    def look(method: str, node: Any, seen: frozenset[str]) -> None:
        if isinstance(node, list):
            for each in node:
                look(method, each, seen)
        elif isinstance(node, dict):
            for name, kind in node.get("properties", {}).items():
                is_text = "string" in str(kind.get("type", "string"))
                if name in ("env", "config") or (is_text and any(word in name.lower() for word in words)):
                    found.add(method)
            if (ref := node.get("$ref")) is not None and ref not in seen:
                look(method, types[ref], seen | {ref})
            for each in node.values():
                look(method, each, seen)

    for method, name in asked.items():
        look(method, types[name], frozenset())
    # A word to stop a search by, which is no secret; the rest write settings by their key.
    assert found - {"fuzzyFileSearch"} == set(TELLING_SECRETS) - {"config/value/write", "config/batchWrite"}


def test_what_cannot_be_read_is_not_put_on_record_at_all() -> None:
    """Nobody can tell what is in it."""
    for line in (b'{"params":{"apiKey":"sk-canary-x', b"[1]\n", b'"sk-canary-x"\n'):
        assert ANY.encode() not in without_secrets(line)
        assert ANY.encode() not in without_secrets(line, is_secret=True)
