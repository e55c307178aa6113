"""Plays a script as one turn: steps in, the notifications and server requests of the real server out.

Nothing waits here and nothing is read. The one idea: a turn is a generator. It tells what it has to tell through its
:class:`Stage` and yields whatever it has to wait for; the core sends it on with the client's answer, or closes it.
"""

from __future__ import annotations

import shlex
from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, final

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

__all__ = ["Outcome", "Play", "Request", "Stage", "TurnPlay", "Wait", "play_anytime"]

Flags: TypeAlias = tuple[str, ...]
ON_APPROVAL: Flags = ("waitingOnApproval",)
ON_USER: Flags = ("waitingOnUserInput",)


@dataclass(frozen=True, slots=True)
class Request:
    """A server request that the turn waits for. ``resolves``: the server tells when it is settled (all but tool calls)."""

    method: str
    params: JsonObject
    resolves: bool = True


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the client answered: a result, or an error."""

    result: Any = None
    error: JsonObject | None = None

    def field(self, name: str) -> Any:
        """A field of the result; ``None`` if the answer is an error or no object."""
        return self.result.get(name) if self.error is None and isinstance(self.result, dict) else None


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
        self.diff = ""
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
            self._tell_usage()
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
                    self.finish("failed", _error(step.message, step.info))
                    return
                yield from self._step(step)
                self._tell_user_messages()
        except _CancelledByClientError:
            self.finish("interrupted")
            return
        self.finish("completed")

    def _step(self, step: Step) -> Play:
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
                error = _error(step.message, {"responseStreamDisconnected": {"httpStatusCode": None}}, step.details)
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
        item = {"type": "agentMessage", "id": self._new_id("msg"), "text": "", "phase": step.phase}
        item |= {"memoryCitation": None, "delivery": None, "questions": None}
        self._start(item)
        for piece in _pieces(step.text, step.chunks):
            if step.pace:
                yield Pause(step.pace)
            self._notify("item/agentMessage/delta", {"itemId": item["id"], "delta": piece})
        self._complete({**item, "text": step.text})

    def _think(self, step: Think) -> Play:
        item_id = self._new_id("rs")
        item: JsonObject = {"type": "reasoning", "id": item_id, "summary": [], "content": []}
        self._start(item)
        self._notify("item/reasoning/summaryPartAdded", {"itemId": item_id, "summaryIndex": 0})
        for method, text, index in (("summaryTextDelta", step.summary, "summaryIndex"), ("textDelta", step.raw, "contentIndex")):
            for piece in _pieces(text or "", None):
                if step.pace:
                    yield Pause(step.pace)
                self._notify(f"item/reasoning/{method}", {"itemId": item_id, "delta": piece, index: 0})
        self._complete({**item, "summary": [step.summary], "content": [] if step.raw is None else [step.raw]})

    # -- what the agent does -----------------------------------------------------------------------------------------

    def _command(self, step: Command) -> Play:
        line = f"/bin/bash -lc {shlex.quote(step.command)}"
        item: JsonObject = {"type": "commandExecution", "id": self._new_id("call"), "pluginId": None, "scriptPath": None}
        item |= {"command": line, "cwd": self.thread.cwd, "processId": None, "source": "agent", "status": "inProgress"}
        item |= {"commandActions": [{"type": "unknown", "command": step.command}]}
        item |= {"aggregatedOutput": None, "exitCode": None, "durationMs": None}
        asks = step.approval and not self._is_allowed(step.command)
        if asks:
            self._active(ON_APPROVAL)  # the real server tells this before the item
        self._start(item)
        if asks:
            outcome = yield self._command_request(step, item)
            verdict = _verdict(outcome)
            if verdict == "session":
                self.thread.allowed.add(step.command)
            if verdict == "rule":  # kept for good, in every thread
                self._stage.disk.rules.append(tuple(_rule(outcome)))
            if verdict in ("accept", "session", "rule"):
                self._active()
            else:
                self._complete({**item, "status": "failed" if verdict == "invalid" else "declined"})
                self._active()
                if verdict == "cancel":
                    raise _CancelledByClientError
                return
        for piece in step.chunks if step.chunks is not None else filter(None, [step.output]):
            self._notify("item/commandExecution/outputDelta", {"itemId": item["id"], "delta": piece})
        done = {"processId": "1000", "source": "unifiedExecStartup", "aggregatedOutput": step.output or None}
        done |= {"status": "failed" if step.exit_code else "completed", "exitCode": step.exit_code, "durationMs": 1}
        self._complete({**item, **done})

    def _command_request(self, step: Command, item: JsonObject) -> Request:
        words = _words(step.command)
        amendment = {"acceptWithExecpolicyAmendment": {"execpolicy_amendment": words}}
        params: JsonObject = {"kind": "command", **self._ids(item), **self._since(), "environmentId": "local"}
        if step.reason is not None:
            params["reason"] = step.reason
        params |= {name: item[name] for name in ("command", "cwd", "commandActions")}
        params |= {"proposedExecpolicyAmendment": words, "availableDecisions": ["accept", amendment, "cancel"]}
        return Request("item/commandExecution/requestApproval", params)

    def _is_allowed(self, command: str) -> bool:
        words = _words(command)
        return command in self.thread.allowed or any(
            tuple(words[: len(rule)]) == rule for rule in self._stage.disk.rules
        )

    def _change_file(self, step: FileChange) -> Play:
        changes = [{"path": step.path, "kind": _change_kind(step.kind), "diff": step.diff}]
        item: JsonObject = {"type": "fileChange", "id": self._new_id("call"), "changes": changes, "status": "inProgress"}
        self._start(item)
        if step.approval and step.path not in self.thread.allowed:
            self._active(ON_APPROVAL)
            params = {**self._ids(item), **self._since(), "reason": step.reason, "grantRoot": None}
            verdict = _verdict((yield Request("item/fileChange/requestApproval", params)))
            self._active()
            if verdict == "session":
                self.thread.allowed.add(step.path)
            if verdict == "cancel":
                raise _CancelledByClientError  # the item stays open
            if verdict not in ("accept", "session"):
                self._complete({**item, "status": "failed" if verdict == "invalid" else "declined"})
                return
        self._complete({**item, "status": "completed"})
        self.diff += f"diff --git a/{step.path} b/{step.path}\n{step.diff}"
        self._notify("turn/diff/updated", {"diff": self.diff})

    # -- what the agent asks -----------------------------------------------------------------------------------------

    def _ask_user(self, step: AskUser) -> Play:
        questions: list[JsonObject] = [
            {
                "id": question.id,
                "header": question.header,
                "question": question.question,
                "isOther": not question.options,
                "isSecret": question.is_secret,
                "options": [{"label": option, "description": ""} for option in question.options] or None,
            }
            for question in step.questions
        ]
        params = {**self._ids({"id": self._new_id("call")}), "questions": questions}
        self._active(ON_USER)
        yield Request("item/tool/requestUserInput", {**params, "isBlocking": False, "autoResolutionMs": None})
        self._active()

    def _call_tool(self, step: CallTool) -> Play:
        called = {"namespace": step.namespace, "tool": step.tool, "arguments": dict(step.arguments)}
        item: JsonObject = {"type": "dynamicToolCall", "id": self._new_id("call"), **called, "status": "inProgress"}
        item |= {"contentItems": None, "success": None, "durationMs": None}
        self._start(item)
        ids = {"threadId": self.thread.id, "turnId": self.turn.id, "callId": item["id"]}
        outcome = yield Request("item/tool/call", {**ids, **called}, resolves=False)
        content, success = outcome.field("contentItems"), outcome.field("success")
        if outcome.error is not None:
            content, success = [{"type": "inputText", "text": "dynamic tool request failed"}], False
        elif not (isinstance(content, list) and isinstance(success, bool)):
            content, success = [{"type": "inputText", "text": "dynamic tool response was invalid"}], False
        status = "completed" if success else "failed"
        self._complete({**item, "status": status, "contentItems": content, "success": success, "durationMs": 1})

    def _elicit(self, step: Elicit) -> Play:
        item: JsonObject = {"type": "mcpToolCall", "id": self._new_id("call"), "server": step.server, "tool": step.tool}
        item |= {"status": "inProgress", "arguments": {}, "appContext": None, "mcpAppUi": None, "pluginId": None}
        item |= {"readOnlyHint": None, "result": None, "error": None, "durationMs": None}
        self._start(item)
        self._active(ON_APPROVAL)
        params: JsonObject = {"threadId": self.thread.id, "turnId": self.turn.id, "serverName": step.server}
        if step.url is None:
            params |= {"mode": "form", "_meta": None, "message": step.message, "requestedSchema": dict(step.schema)}
        else:
            params |= {"mode": "url", "_meta": None, "message": step.message, "url": step.url}
            params["elicitationId"] = self._new_id("elicitation")
        outcome = yield Request("mcpServer/elicitation/request", params)
        self._active()
        if outcome.field("action") == "accept":
            result = {"content": [{"type": "text", "text": "accepted"}], "structuredContent": None, "_meta": None}
            self._complete({**item, "status": "completed", "result": result, "durationMs": 1})
        else:
            self._complete({**item, "status": "failed", "error": {"message": "user rejected MCP tool call"}, "durationMs": 1})

    def _request_permissions(self, step: RequestPermissions) -> Play:
        wanted: JsonObject = {"network": {"enabled": True} if step.network else None, "fileSystem": None}
        if step.read or step.write:
            wants = [("read", path) for path in step.read] + [("write", path) for path in step.write]
            entries = [{"path": {"type": "path", "path": path}, "access": access} for access, path in wants]
            wanted["fileSystem"] = {"read": list(step.read) or None, "write": list(step.write) or None, "entries": entries}
        ids = {**self._ids({"id": self._new_id("call")}), "environmentId": "local", **self._since()}
        self._active(ON_APPROVAL)
        asked = {**ids, "cwd": self.thread.cwd, "reason": step.reason, "permissions": wanted}
        yield Request("item/permissions/requestApproval", asked)
        self._active()

    # -- shapes ------------------------------------------------------------------------------------------------------

    def _tell_usage(self) -> None:
        tokens = self._tokens
        counts: JsonObject = {"totalTokens": tokens.input + tokens.output, "inputTokens": tokens.input}
        counts |= {"cachedInputTokens": tokens.cached, "cacheWriteInputTokens": 0, "outputTokens": tokens.output}
        counts |= {"reasoningOutputTokens": tokens.reasoning}
        usage = {"total": counts, "last": counts, "modelContextWindow": 258400}
        self._notify("thread/tokenUsage/updated", {"tokenUsage": usage})

    def _active(self, flags: Flags = ()) -> None:
        self._stage.set_status(self.thread, {"type": "active", "activeFlags": list(flags)})

    def _start(self, item: JsonObject) -> None:
        self._notify("item/started", {"item": item, "startedAtMs": self._ms()})

    def _complete(self, item: JsonObject) -> None:
        self.turn.items.append(item)
        self._notify("item/completed", {"item": item, "completedAtMs": self._ms()})

    def _notify(self, method: str, params: JsonObject) -> None:
        self._stage.notify(method, {"threadId": self.thread.id, "turnId": self.turn.id, **params})

    def _ids(self, item: JsonObject) -> JsonObject:
        return {"threadId": self.thread.id, "turnId": self.turn.id, "itemId": item["id"]}

    def _since(self) -> JsonObject:
        return {"startedAtMs": self._ms()}

    def _ms(self) -> int:
        return int(self._stage.now() * 1000)

    def _new_id(self, kind: str) -> str:
        return self._stage.disk.new_id(kind)


def play_anytime(stage: Stage, step: Step, names: Mapping[str, str]) -> Play:
    """Play a step that needs no turn; ``names`` are what stands for ids in parameters."""
    match step:
        case Notify(method, params):
            stage.notify(method, _named(params, names))
        case Ask(method, params):
            yield Request(method, _named(params, names))
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


def _verdict(outcome: Outcome) -> str:
    """What an approval's answer means to the real server: accept, session, rule, decline, cancel or invalid."""
    match outcome.field("decision"):
        case "accept" | "decline" | "cancel" as plain:
            return str(plain)
        case "acceptForSession":
            return "session"
        case {"acceptWithExecpolicyAmendment": {"execpolicy_amendment": [*_]}}:
            return "rule"
    return "invalid"


def _rule(outcome: Outcome) -> list[str]:
    """The words of a rule that the client allowed for good."""
    words = outcome.field("decision")["acceptWithExecpolicyAmendment"]["execpolicy_amendment"]
    return [str(word) for word in words]


def _pieces(text: str, chunks: int | Sequence[str] | None) -> Iterable[str]:
    if chunks is None:
        words = text.split(" ")
        return filter(None, [word + " " for word in words[:-1]] + words[-1:])
    if not isinstance(chunks, int):
        return chunks
    size = -(-len(text) // chunks) if chunks else 0
    return [text[at : at + size] for at in range(0, len(text), size)] if size else []


def _words(command: str) -> list[str]:
    try:
        words = shlex.split(command)
    except ValueError:
        words = []
    simple = words and not any(mark in command for mark in ";&|<>$`")
    return words if simple else ["/bin/bash", "-lc", command]


def _change_kind(kind: str) -> JsonObject:
    return {"type": kind, "move_path": None} if kind == "update" else {"type": kind}


def _error(message: str, info: object, details: str | None = None) -> JsonObject:
    return {"message": message, "codexErrorInfo": info, "additionalDetails": details, "misalignment": None}


def _named(value: Mapping[str, object], names: Mapping[str, str]) -> JsonObject:
    def rename(part: object) -> object:
        if isinstance(part, str):
            return names.get(part, part)
        if isinstance(part, Mapping):
            return {key: rename(inner) for key, inner in part.items()}
        return [rename(inner) for inner in part] if isinstance(part, list | tuple) else part

    return {key: rename(part) for key, part in value.items()}
