"""What the fake app server does for each request: the greeting, threads, turns and a few questions about itself.

Nothing is parsed or written here; see ``_fake_core``. The one idea: what the real server refuses is refused with its own
words, since words are all that clients have to tell its errors apart.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias, final

from codex_runtime.testing._fake_log import JsonObject
from codex_runtime.testing._fake_orders import Refusal, ReplyOrder
from codex_runtime.testing._fake_threads import SANDBOXES, FakeThread, FakeTurn
from codex_runtime.testing._fake_turn import TurnPlay

if TYPE_CHECKING:
    from codex_runtime.testing._fake_core import FakeServerCore

__all__ = ["Call", "Methods", "RefusedError"]

INVALID = -32600
VERSION = "0.163.0"
MODEL = "fake-model"
MAX_INPUT = 1_048_576


class RefusedError(Exception):
    """A request is refused."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


@dataclass(frozen=True, slots=True)
class Call:
    """One request of the client, and what was ordered for its answer."""

    rpc_id: int | str
    method: str
    params: Any
    order: ReplyOrder | None = None

    def text(self, name: str) -> str:
        """A parameter that must be a string."""
        if name not in self.params:
            raise _refused(f"Invalid request: missing field `{name}`")
        value = self.params[name]
        if not isinstance(value, str):
            raise _refused(f"Invalid request: invalid type: {type(value).__name__}, expected a string")
        return value


Answering: TypeAlias = Callable[[Call], None]


@final
class Methods:
    """The methods of one process."""

    def __init__(self, core: FakeServerCore) -> None:
        self._core = core
        self._table: dict[str, Answering] = {
            "initialize": self._initialize,
            "server/diagnostics": self._diagnostics,
            "account/read": self._account,
            "config/read": self._config,
            "model/list": self._models,
            "thread/start": self._thread_start,
            "thread/resume": self._thread_resume,
            "thread/fork": self._thread_fork,
            "thread/read": self._thread_read,
            "thread/list": self._thread_list,
            "thread/loaded/list": self._thread_loaded_list,
            "thread/turns/list": self._thread_turns_list,
            "thread/name/set": self._thread_name_set,
            "thread/archive": self._thread_archive,
            "thread/unarchive": self._thread_unarchive,
            "thread/delete": self._thread_delete,
            "thread/unsubscribe": self._thread_unsubscribe,
            "turn/start": self._turn_start,
            "turn/steer": self._turn_steer,
            "turn/interrupt": self._turn_interrupt,
        }

    def handle(self, call: Call) -> None:
        """Do what is asked and answer it, or raise :class:`RefusedError`."""
        handler = self._core.orders.handlers.get(call.method)
        if handler is None and call.method not in self._table:
            known = ", ".join(f"`{method}`" for method in self._table)
            raise _refused(f"Invalid request: unknown variant `{call.method}`, expected one of {known}")
        if self._core.client is None and call.method != "initialize":
            raise _refused("Not initialized")
        if handler is not None:
            answer = handler(call.params if isinstance(call.params, dict) else {})
            if isinstance(answer, Refusal):
                raise RefusedError(answer)
            self._core.reply(call, dict(answer))
            return
        if not isinstance(call.params, dict):
            raise _refused("Invalid request: missing field `params`")
        self._table[call.method](call)

    # -- the process -------------------------------------------------------------------------------------------------

    def _initialize(self, call: Call) -> None:
        if self._core.client is not None:
            raise _refused("Already initialized")
        info = call.params.get("clientInfo")
        for name in ("clientInfo",) if not isinstance(info, dict) else ("name", "version"):
            if not isinstance(info, dict) or not isinstance(info.get(name), str):
                raise _refused(f"Invalid request: missing field `{name}`")
        name = info["name"]
        if not (name.isascii() and name.isprintable() and name):
            raise _refused(f"Invalid clientInfo.name: '{name}'. Must be a valid HTTP header value.")
        self._core.client = call.params
        agent = f"{name}/{VERSION} (Debian 12; x86_64) unknown ({name}; {info['version']})"
        home = {"codexHome": "/fake/codex-home", "platformFamily": "unix", "platformOs": "linux"}
        self._core.reply(call, {"userAgent": agent, **home})
        status = {"status": "disabled", "serverName": "fake", "installationId": "fake", "environmentId": None}
        self._core.notify("remoteControl/status/changed", status)

    def _diagnostics(self, call: Call) -> None:
        process = {"id": self._core.pid, "residentMemoryBytes": 100_000_000, "physicalFootprintBytes": None}
        gauges = [{"name": "app.requests.in_flight", "value": 1}, {"name": "app.requests.queued", "value": 0}]
        self._core.reply(call, {"process": process, "gauges": gauges})

    def _account(self, call: Call) -> None:
        self._core.reply(call, {"account": None, "requiresOpenaiAuth": False, "workspaceRouting": None})

    def _config(self, call: Call) -> None:
        config = {"model": MODEL, "model_provider": "fake", "approval_policy": "never", "sandbox_mode": "read-only"}
        self._core.reply(call, {"config": config, "origins": {}, "layers": None})

    def _models(self, call: Call) -> None:
        model: JsonObject = {"id": MODEL, "model": MODEL, "upgrade": None, "upgradeInfo": None, "availabilityNux": None}
        model |= {
            "displayName": "Fake",
            "description": "Says what it is told to say.",
            "hidden": False,
            "isDefault": True,
        }
        model |= {"supportedReasoningEfforts": [], "defaultReasoningEffort": "low", "inputModalities": ["text"]}
        self._core.reply(call, {"data": [model], "nextCursor": None})

    # -- threads -----------------------------------------------------------------------------------------------------

    def _thread_start(self, call: Call) -> None:
        if "dynamicTools" in call.params and not self._core.capability("experimentalApi"):
            raise _refused("thread/start.dynamicTools requires experimentalApi capability")
        now = self._core.now()
        thread = FakeThread(
            id=self._core.disk.new_id("thread"),
            cwd="/fake/workspace",
            model=MODEL,
            model_provider="fake",
            approval_policy="never",
            sandbox=SANDBOXES["read-only"],
            ephemeral=bool(call.params.get("ephemeral")),
            created_at=now,
            updated_at=now,
        )
        _apply_settings(thread, call.params)
        self._core.disk.threads[thread.id] = thread
        self._load(thread)
        self._core.reply(call, {"thread": self._wire(thread, with_turns=True), **thread.settings()})
        self._core.notify("thread/started", {"thread": self._wire(thread)})

    def _thread_resume(self, call: Call) -> None:
        thread = self._core.disk.threads.get(call.text("threadId"))
        if thread is None or not thread.has_rollout or thread.archived:
            raise _refused(f"no rollout found for thread id {call.text('threadId')}")
        if thread.writer not in (None, self._core.generation):
            raise _refused(f"thread {thread.id} already has an active writer")
        if thread.writer is None:
            thread.sandbox = SANDBOXES["read-only"]  # the one setting that the real server does not bring back
        _apply_settings(thread, call.params)
        is_heard = thread.id in self._core.subscribed
        self._load(thread)
        with_turns = not call.params.get("excludeTurns")
        page = self._page(thread, call.params.get("initialTurnsPage"))
        self._core.reply(call, {"thread": self._wire(thread, with_turns=with_turns), **thread.settings(), **page})
        if not is_heard:
            self._core.ask_again(thread)

    def _thread_fork(self, call: Call) -> None:
        source = self._core.disk.threads.get(call.text("threadId"))
        if source is None or not source.has_rollout:
            raise _refused(f"no rollout found for thread id {call.text('threadId')}")
        now = self._core.now()
        fork = FakeThread(
            id=self._core.disk.new_id("thread"),
            cwd=source.cwd,
            model=source.model,
            model_provider=source.model_provider,
            approval_policy=source.approval_policy,
            sandbox=SANDBOXES["read-only"],
            effort=source.effort,
            forked_from=source.id,
            name=source.name,
            preview=source.preview,
            created_at=now,
            updated_at=now,
            turns=[turn for turn in source.turns if turn.status != "inProgress"],
        )
        _apply_settings(fork, call.params)
        self._core.disk.threads[fork.id] = fork
        self._load(fork)
        self._core.reply(call, {"thread": self._wire(fork, with_turns=True), **fork.settings()})
        self._core.notify("thread/started", {"thread": self._wire(fork)})

    def _thread_read(self, call: Call) -> None:
        thread = self._core.disk.threads.get(call.text("threadId"))
        if thread is None or not (thread.has_rollout or thread.id in self._core.statuses):
            raise _refused(f"thread not loaded: {call.text('threadId')}")
        self._core.reply(call, {"thread": self._wire(thread, with_turns=bool(call.params.get("includeTurns")))})

    def _thread_list(self, call: Call) -> None:
        archived = bool(call.params.get("archived"))
        found = [
            thread for thread in self._core.disk.threads.values() if thread.has_rollout and thread.archived == archived
        ]
        data = [self._wire(thread) for thread in reversed(found)]
        self._core.reply(call, {"data": data, "readStates": {}, "nextCursor": None, "backwardsCursor": None})

    def _thread_loaded_list(self, call: Call) -> None:
        self._core.reply(call, {"data": list(self._core.statuses), "nextCursor": None})

    def _thread_turns_list(self, call: Call) -> None:
        thread = self._core.disk.threads.get(call.text("threadId"))
        if thread is None:
            raise _refused(f"thread not loaded: {call.text('threadId')}")
        data = [turn.wire(view="summary") for turn in reversed(thread.turns)]
        self._core.reply(call, {"data": data, "nextCursor": None, "backwardsCursor": None})

    def _thread_name_set(self, call: Call) -> None:
        thread = self._on_disk(call)
        thread.name = call.text("name")
        self._core.reply(call, {})
        self._core.notify("thread/name/updated", {"threadId": thread.id, "threadName": thread.name})

    def _thread_archive(self, call: Call) -> None:
        thread = self._on_disk(call)
        thread.archived = True
        self._unload(thread)
        self._core.reply(call, {})
        self._core.notify("thread/archived", {"threadId": thread.id})

    def _thread_unarchive(self, call: Call) -> None:
        thread = self._on_disk(call)
        thread.archived = False
        self._core.reply(call, {"thread": self._wire(thread)})
        self._core.notify("thread/unarchived", {"threadId": thread.id})

    def _thread_delete(self, call: Call) -> None:
        thread = self._on_disk(call)
        self._unload(thread)
        del self._core.disk.threads[thread.id]
        self._core.reply(call, {})
        self._core.notify("thread/deleted", {"threadId": thread.id})

    def _thread_unsubscribe(self, call: Call) -> None:
        thread_id = call.text("threadId")
        status = "notLoaded" if thread_id not in self._core.statuses else "notSubscribed"
        if thread_id in self._core.subscribed:
            self._core.subscribed.remove(thread_id)
            status = "unsubscribed"
        self._core.reply(call, {"status": status})

    # -- turns -------------------------------------------------------------------------------------------------------

    def _turn_start(self, call: Call) -> None:
        thread, content = self._loaded(call), _content(call)
        client_id = call.params.get("clientUserMessageId")
        if (play := self._core.plays.get(thread.id)) is not None:
            self._reply_started(call, play.turn.id)
            play.hear(content, client_id)  # a busy thread does not refuse, it steers
            return
        _apply_settings(thread, call.params)
        text = "\n".join(part["text"] for part in content if isinstance(part.get("text"), str))
        thread.preview = thread.preview or text
        turn = FakeTurn(id=self._core.disk.new_id("turn"))
        thread.turns.append(turn)
        play = TurnPlay(self._core, thread, turn, self._core.orders.script_for(text))
        if content:
            play.hear(content, client_id)
        self._reply_started(call, turn.id)
        self._core.begin(play)

    def _reply_started(self, call: Call, turn_id: str) -> None:
        self._core.reply(call, {"turn": FakeTurn(id=turn_id).wire(view="notLoaded")})

    def _turn_steer(self, call: Call) -> None:
        thread, content = self._loaded(call), _content(call)
        expected = call.text("expectedTurnId")
        play = self._core.plays.get(thread.id)
        if play is None:
            raise _refused("no active turn to steer")
        if play.turn.id != expected:
            raise _refused(f"expected active turn id `{expected}` but found `{play.turn.id}`")
        self._core.reply(call, {"turnId": play.turn.id})
        play.hear(content, call.params.get("clientUserMessageId"))

    def _turn_interrupt(self, call: Call) -> None:
        thread, turn_id = self._loaded(call), call.text("turnId")
        play = self._core.plays.get(thread.id)
        past = [turn for turn in thread.turns if play is None or turn is not play.turn]
        was_interrupted = bool(past) and past[-1].status == "interrupted"
        if play is None:
            if turn_id == "":
                self._core.reply(call, {})
            elif was_interrupted and past[-1].id == turn_id:
                self._core.hanging.setdefault(thread.id, []).append(call)  # answered when the next turn ends
            else:
                raise _refused("no active turn to interrupt")
            return
        if not play.begun and turn_id:
            if was_interrupted:
                raise _refused(f"expected active turn id {turn_id} but found {past[-1].id}")
            raise _refused("no active turn to interrupt")
        if turn_id not in ("", play.turn.id):
            raise _refused(f"expected active turn id {turn_id} but found {play.turn.id}")
        self._core.reply(call, {})
        self._core.interrupt(play)

    # -- shared ------------------------------------------------------------------------------------------------------

    def _load(self, thread: FakeThread) -> None:
        thread.writer = self._core.generation
        self._core.statuses.setdefault(thread.id, {"type": "idle"})
        self._core.subscribed.add(thread.id)

    def _unload(self, thread: FakeThread) -> None:
        if (play := self._core.plays.get(thread.id)) is not None:
            self._core.interrupt(play)
        thread.writer = None
        self._core.statuses.pop(thread.id, None)
        self._core.subscribed.discard(thread.id)

    def _loaded(self, call: Call) -> FakeThread:
        thread_id = call.text("threadId")
        if thread_id not in self._core.statuses:
            raise _refused(f"thread not found: {thread_id}")
        return self._core.disk.threads[thread_id]

    def _on_disk(self, call: Call) -> FakeThread:
        thread = self._core.disk.threads.get(call.text("threadId"))
        if thread is None or not (thread.has_rollout or thread.id in self._core.statuses):
            raise _refused(f"no rollout found for thread id {call.text('threadId')}")
        return thread

    def _page(self, thread: FakeThread, asked: object) -> JsonObject:
        if not isinstance(asked, dict):
            return {}
        if not self._core.capability("experimentalApi"):
            raise _refused("thread/resume.initialTurnsPage requires experimentalApi capability")
        data = [turn.wire(view=asked.get("itemsView", "summary")) for turn in reversed(thread.turns)]
        return {"initialTurnsPage": {"data": data[: asked.get("limit")], "nextCursor": None, "backwardsCursor": None}}

    def _wire(self, thread: FakeThread, *, with_turns: bool = False) -> JsonObject:
        return thread.wire(self._core.statuses.get(thread.id, {"type": "notLoaded"}), with_turns=with_turns)


def _refused(message: str) -> RefusedError:
    return RefusedError(Refusal(INVALID, message))


def _content(call: Call) -> list[JsonObject]:
    given = call.params.get("input")
    if not isinstance(given, list):
        raise _refused("Invalid request: missing field `input`")
    content = [dict(part) for part in given if isinstance(part, Mapping)]
    size = sum(len(part["text"]) for part in content if isinstance(part.get("text"), str))
    if size > MAX_INPUT:
        data = {"input_error_code": "input_too_large", "max_chars": MAX_INPUT, "actual_chars": size}
        raise RefusedError(Refusal(-32602, f"Input exceeds the maximum length of {MAX_INPUT} characters.", data))
    for part in content:
        if part.get("type") == "text":
            part.setdefault("text_elements", [])
    return content


def _apply_settings(thread: FakeThread, params: Mapping[str, Any]) -> None:
    """Take over what thread/start, resume, fork and turn/start may set; the first three name a sandbox, the last tells one."""
    if (sandbox := params.get("sandbox")) is not None:
        if not isinstance(sandbox, str) or sandbox not in SANDBOXES:
            known = ", ".join(f"`{name}`" for name in SANDBOXES)
            raise _refused(f"Invalid request: unknown variant `{sandbox}`, expected one of {known}")
        thread.sandbox = SANDBOXES[sandbox]
    thread.sandbox = params.get("sandboxPolicy") or thread.sandbox
    thread.cwd = params.get("cwd") or thread.cwd
    thread.model = params.get("model") or thread.model
    thread.model_provider = params.get("modelProvider") or thread.model_provider
    thread.approval_policy = params.get("approvalPolicy") or thread.approval_policy
    thread.effort = params.get("effort") or thread.effort
