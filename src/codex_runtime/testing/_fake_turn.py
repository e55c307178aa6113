"""Plays a script as one turn: steps in, the notifications and server requests of the real server out.

Nothing waits here and nothing is read. The one idea: a turn is a generator. It tells what it has to tell through its
:class:`Stage` and yields whatever it has to wait for; the core sends it on with the client's answer, or closes it.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import Protocol, TypeAlias, final

from codex_runtime.testing._fake_items import (
    Outcome,
    Verdict,
    change_kind,
    command_item,
    command_request,
    elicitation,
    error_object,
    message_item,
    named,
    permissions,
    pieces,
    questions,
    tool_content,
    usage,
    verdict_of,
    words_of,
)
from codex_runtime.testing._fake_log import JsonObject
from codex_runtime.testing._fake_script import (
    FAULTS,
    Ask,
    AskUser,
    Bytes,
    CallTool,
    Command,
    Elicit,
    FailTurn,
    Fault,
    FileChange,
    Garbage,
    HalfLine,
    HugeLine,
    Notify,
    RequestPermissions,
    Retrying,
    Script,
    Step,
)
from codex_runtime.testing._fake_threads import FakeDisk, FakeThread, FakeTurn
from codex_runtime.testing._reply import Hold, Pause, Say, Stall, Think, Tokens

__all__ = ["Play", "Request", "Stage", "TurnPlay", "Wait", "play_anytime"]

Flags: TypeAlias = tuple[str, ...]
ON_APPROVAL: Flags = ("waitingOnApproval",)
ON_USER: Flags = ("waitingOnUserInput",)


@dataclass(frozen=True, slots=True)
class Request:
    """A server request that the turn waits for. ``resolves``: the server tells when it is settled (all but tool calls)."""

    method: str
    params: JsonObject
    resolves: bool = True


Wait: TypeAlias = Pause | Hold | Stall | Request
Play: TypeAlias = Generator[Wait, Outcome, None]


class Stage(Protocol):
    """What a turn may do to the world."""

    @property
    def disk(self) -> FakeDisk:
        """Where ids come from."""
        ...

    def now(self) -> float:
        """Unix time."""
        ...

    def notify(self, method: str, params: JsonObject) -> None:
        """Send a notification."""
        ...

    def write(self, data: bytes) -> None:
        """Put bytes on stdout."""
        ...

    def inflict(self, fault: Fault) -> None:
        """Do something to the process."""
        ...

    def set_status(self, thread: FakeThread, status: JsonObject) -> None:
        """Tell a change of the thread's status."""
        ...

    def turn_ends(self, play: TurnPlay) -> None:
        """The turn is over and this is about to be told."""
        ...

    def turn_ended(self, play: TurnPlay) -> None:
        """It was told."""
        ...


class _CancelledByClientError(Exception):
    """An approval was answered with *cancel*."""


@final
class TurnPlay:
    """One turn that is being played. ``begun`` once ``turn/started`` was sent."""

    def __init__(self, stage: Stage, thread: FakeThread, turn: FakeTurn, script: Script) -> None:
        self.thread = thread
        self.turn = turn
        self.begun = False
        self._diff = ""
        self.play: Play = self._run(script)
        self._stage = stage
        self._said: list[tuple[list[JsonObject], str | None]] = []
        self._tokens = Tokens(input=100, output=20, cached=10, reasoning=5)

    def hear(self, content: list[JsonObject], client_id: str | None) -> None:
        """Take what the user said; the turn tells it as an item of its own before its next step."""
        self._said.append((content, client_id))

    def finish(self, status: str, error: JsonObject | None = None) -> None:
        """End the turn and tell it. Items that are open stay open, as they do with the real server."""
        stage, turn = self._stage, self.turn
        turn.status, turn.error, turn.completed_at = status, error, stage.now()
        self.thread.updated_at = turn.completed_at
        if status == "completed":
            self._notify("thread/tokenUsage/updated", {"tokenUsage": usage(self._tokens)})
        stage.set_status(self.thread, {"type": "systemError" if error is not None else "idle"})
        if error is not None:
            self._notify("error", {"error": error, "willRetry": False})
        stage.turn_ends(self)
        view = "summary" if status == "completed" else "notLoaded"
        stage.notify("turn/completed", {"threadId": self.thread.id, "turn": turn.wire(view=view)})
        stage.turn_ended(self)

    # -- the turn ----------------------------------------------------------------------------------------------------

    def _run(self, script: Script) -> Play:
        if script.starts is not None:
            yield Hold(script.starts)
        self.begun = True
        self.turn.started_at = self._stage.now()
        self._active()
        started = {"threadId": self.thread.id, "turn": self.turn.wire(view="notLoaded")}
        self._stage.notify("turn/started", started)
        self._tell_user_messages()
        try:
            for step in script.steps:
                if isinstance(step, FailTurn):
                    self.finish("failed", error_object(step.message, step.info))
                    return
                yield from self._step(step)
                self._tell_user_messages()
        except _CancelledByClientError:
            self.finish("interrupted")
            return
        self.finish("completed")

    def _step(self, step: Step) -> Play:  # noqa: C901  one arm for each kind of step
        match step:
            case Say():
                yield from self._say(step)
            case Think():
                yield from self._think(step)
            case Command():
                yield from self._command(step)
            case FileChange():
                yield from self._change_file(step)
            case AskUser():
                yield from self._ask_user(step)
            case CallTool():
                yield from self._call_tool(step)
            case Elicit():
                yield from self._elicit(step)
            case RequestPermissions():
                yield from self._request_permissions(step)
            case Retrying():
                error = error_object(
                    step.message, {"responseStreamDisconnected": {"httpStatusCode": None}}, step.details
                )
                self._notify("error", {"error": error, "willRetry": True})
            case Tokens():
                self._tokens = step
            case _:
                yield from play_anytime(self._stage, step, {"$thread": self.thread.id, "$turn": self.turn.id})

    # -- what the agent says -----------------------------------------------------------------------------------------

    def _tell_user_messages(self) -> None:
        while self._said:
            content, client_id = self._said.pop(0)
            item = {"type": "userMessage", "id": self._new_id("user"), "clientId": client_id, "content": content}
            self._start(item)
            self._complete(item)

    def _say(self, step: Say) -> Play:
        item = message_item(self._new_id("msg"), step.phase)
        self._start(item)
        for piece in pieces(step.text, step.chunks):
            if step.pace:
                yield Pause(step.pace)
            self._notify("item/agentMessage/delta", {"itemId": item["id"], "delta": piece})
        self._complete({**item, "text": step.text})

    def _think(self, step: Think) -> Play:
        item_id = self._new_id("rs")
        item: JsonObject = {"type": "reasoning", "id": item_id, "summary": [], "content": []}
        self._start(item)
        self._notify("item/reasoning/summaryPartAdded", {"itemId": item_id, "summaryIndex": 0})
        parts = [("summaryTextDelta", step.summary, "summaryIndex"), ("textDelta", step.raw or "", "contentIndex")]
        for method, text, index in parts:
            for piece in pieces(text, None):
                if step.pace:
                    yield Pause(step.pace)
                self._notify(f"item/reasoning/{method}", {"itemId": item_id, "delta": piece, index: 0})
        self._complete({**item, "summary": [step.summary], "content": [] if step.raw is None else [step.raw]})

    # -- what the agent does -----------------------------------------------------------------------------------------

    def _command(self, step: Command) -> Play:
        item = command_item(self._new_id("call"), step, self.thread.cwd)
        asks = step.approval and not self._is_allowed(step.command)
        if asks:
            self._active(ON_APPROVAL)  # the real server tells this before the item
        self._start(item)
        if asks:
            params = {**self._ids(item), "startedAtMs": self._ms(), **command_request(step, item)}
            outcome = yield Request("item/commandExecution/requestApproval", params)
            verdict = verdict_of(outcome)
            if not self._may_run(verdict, outcome, step.command):
                self._complete({**item, "status": "failed" if verdict == "invalid" else "declined"})
                self._active()
                if verdict == "cancel":
                    raise _CancelledByClientError
                return
            self._active()
        for piece in step.chunks if step.chunks is not None else filter(None, [step.output]):
            self._notify("item/commandExecution/outputDelta", {"itemId": item["id"], "delta": piece})
        done: JsonObject = {"processId": "1000", "source": "unifiedExecStartup", "exitCode": step.exit_code}
        done |= {"aggregatedOutput": step.output or None, "durationMs": 1}
        self._complete({**item, **done, "status": "failed" if step.exit_code else "completed"})

    def _may_run(self, verdict: Verdict, outcome: Outcome, subject: str) -> bool:
        if verdict == "session":  # this command, in this thread
            self.thread.allowed.add(subject)
        if verdict == "rule":  # all that begins with these words, in every thread, for good
            words = outcome.field("decision")["acceptWithExecpolicyAmendment"]["execpolicy_amendment"]
            self._stage.disk.rules.append(tuple(map(str, words)))
        return verdict in ("accept", "session", "rule")

    def _is_allowed(self, command: str) -> bool:
        words = tuple(words_of(command))
        rules = self._stage.disk.rules
        return command in self.thread.allowed or any(words[: len(rule)] == rule for rule in rules)

    def _change_file(self, step: FileChange) -> Play:
        changes = [{"path": step.path, "kind": change_kind(step.kind), "diff": step.diff}]
        item: JsonObject = {
            "type": "fileChange",
            "id": self._new_id("call"),
            "changes": changes,
            "status": "inProgress",
        }
        self._start(item)
        if step.approval and step.path not in self.thread.allowed:
            self._active(ON_APPROVAL)
            params = {**self._ids(item), "startedAtMs": self._ms(), "reason": step.reason, "grantRoot": None}
            outcome = yield Request("item/fileChange/requestApproval", params)
            verdict = verdict_of(outcome)
            self._active()
            if verdict == "cancel":
                raise _CancelledByClientError  # the item stays open
            if verdict == "rule" or not self._may_run(verdict, outcome, step.path):
                self._complete({**item, "status": "declined" if verdict == "decline" else "failed"})
                return
        self._complete({**item, "status": "completed"})
        self._diff += f"diff --git a/{step.path} b/{step.path}\n{step.diff}"
        self._notify("turn/diff/updated", {"diff": self._diff})

    # -- what the agent asks -----------------------------------------------------------------------------------------

    def _ask_user(self, step: AskUser) -> Play:
        told = {"questions": questions(step.questions), "isBlocking": False, "autoResolutionMs": None}
        self._active(ON_USER)
        yield Request("item/tool/requestUserInput", {**self._ids({"id": self._new_id("call")}), **told})
        self._active()

    def _call_tool(self, step: CallTool) -> Play:
        called = {"namespace": step.namespace, "tool": step.tool, "arguments": dict(step.arguments)}
        item: JsonObject = {"type": "dynamicToolCall", "id": self._new_id("call"), **called, "status": "inProgress"}
        item |= {"contentItems": None, "success": None, "durationMs": None}
        self._start(item)
        params = {"threadId": self.thread.id, "turnId": self.turn.id, "callId": item["id"], **called}
        content, success = tool_content((yield Request("item/tool/call", params, resolves=False)))
        done = {"contentItems": content, "success": success, "durationMs": 1}
        self._complete({**item, **done, "status": "completed" if success else "failed"})

    def _elicit(self, step: Elicit) -> Play:
        item: JsonObject = {"type": "mcpToolCall", "id": self._new_id("call"), "server": step.server, "tool": step.tool}
        item |= {"status": "inProgress", "arguments": {}, "appContext": None, "mcpAppUi": None, "pluginId": None}
        item |= {"readOnlyHint": None, "result": None, "error": None, "durationMs": None}
        self._start(item)
        self._active(ON_APPROVAL)
        ids = {"threadId": self.thread.id, "turnId": self.turn.id}
        params = {**ids, **elicitation(step, self._new_id("elicitation"))}
        outcome = yield Request("mcpServer/elicitation/request", params)
        self._active()
        done: JsonObject = {"status": "failed", "error": {"message": "user rejected MCP tool call"}, "durationMs": 1}
        if outcome.field("action") == "accept":
            text = json.dumps(outcome.field("content"))
            result = {"content": [{"type": "text", "text": text}], "structuredContent": None, "_meta": None}
            done = {"status": "completed", "result": result, "durationMs": 1}
        self._complete({**item, **done})

    def _request_permissions(self, step: RequestPermissions) -> Play:
        params = {**self._ids({"id": self._new_id("call")}), "environmentId": "local", "startedAtMs": self._ms()}
        params |= {"cwd": self.thread.cwd, "reason": step.reason, "permissions": permissions(step)}
        self._active(ON_APPROVAL)
        yield Request("item/permissions/requestApproval", params)
        self._active()

    # -- shapes ------------------------------------------------------------------------------------------------------

    def _active(self, flags: Flags = ()) -> None:
        self._stage.set_status(self.thread, {"type": "active", "activeFlags": list(flags)})

    def _start(self, item: JsonObject) -> None:
        if "status" in item:
            self.turn.running.append(item)
        self._notify("item/started", {"item": item, "startedAtMs": self._ms()})

    def _complete(self, item: JsonObject) -> None:
        self.turn.running = [other for other in self.turn.running if other["id"] != item["id"]]
        self.turn.items.append(item)
        self._notify("item/completed", {"item": item, "completedAtMs": self._ms()})

    def _notify(self, method: str, params: JsonObject) -> None:
        self._stage.notify(method, {"threadId": self.thread.id, "turnId": self.turn.id, **params})

    def _ids(self, item: JsonObject) -> JsonObject:
        return {"threadId": self.thread.id, "turnId": self.turn.id, "itemId": item["id"]}

    def _ms(self) -> int:
        return int(self._stage.now() * 1000)

    def _new_id(self, kind: str) -> str:
        return self._stage.disk.new_id(kind)


def play_anytime(stage: Stage, step: Step, names: Mapping[str, str]) -> Play:
    """Play a step that needs no turn; ``names`` are what stands for ids in parameters."""
    match step:
        case Notify(method, params):
            stage.notify(method, named(params, names))
        case Ask(method, params):
            yield Request(method, named(params, names))
        case Bytes(data) | HalfLine(data):
            stage.write(data)
        case Garbage(data):
            stage.write(data + b"\n")
        case HugeLine(size):
            frame = b'{"method":"warning","params":{"threadId":null,"message":"%s"}}\n'
            stage.write(frame % (b"x" * (size - len(frame) + 2)))
        case Pause() | Hold() | Stall():
            yield step
        case _ if isinstance(step, FAULTS):
            stage.inflict(step)
        case _:
            raise ValueError(f"only a turn can play {step!r}")
