"""The threads of a fake app server: what the real one keeps in its home folder, so it outlives each process.

No rule of the wire is here, only what threads and turns look like on it. The one idea: a thread belongs to the disk, and
at most one process at a time may write it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import final

from codex_runtime.testing._fake_log import JsonObject

__all__ = ["SANDBOXES", "FakeDisk", "FakeThread", "FakeTurn"]

SANDBOXES: dict[str, JsonObject] = {
    "read-only": {"type": "readOnly", "networkAccess": False},
    "workspace-write": {
        "type": "workspaceWrite",
        "writableRoots": [],
        "networkAccess": False,
        "excludeTmpdirEnvVar": False,
        "excludeSlashTmp": False,
    },
    "danger-full-access": {"type": "dangerFullAccess"},
}


SAID = frozenset({"userMessage", "agentMessage", "reasoning"})


@final
@dataclass(slots=True, kw_only=True)
class FakeTurn:
    """One turn. ``items`` are the finished ones, ``running`` those that take time and are at it."""

    id: str
    status: str = "inProgress"
    items: list[JsonObject] = field(default_factory=list)
    running: list[JsonObject] = field(default_factory=list)
    error: JsonObject | None = None
    started_at: float | None = None
    completed_at: float | None = None

    def wire(self, *, view: str) -> JsonObject:
        """The turn as the protocol tells it: ``notLoaded`` has no items, ``summary`` the last message, ``full`` all."""
        items: list[JsonObject] = []
        if view == "full":
            items = [*self.items, *self.running]
            if self.status == "inProgress":
                # Until the end, the real server makes up the ids of all that is said.
                items = [
                    {**item, "id": f"item-{place}"} if item["type"] in SAID else item
                    for place, item in enumerate(items, 1)
                ]
        elif view == "summary":
            items = [item for item in self.items if item["type"] == "agentMessage"][-1:]
        duration = None
        if self.completed_at is not None and self.started_at is not None:
            duration = int((self.completed_at - self.started_at) * 1000)
        return {
            "id": self.id,
            "rootTurnId": self.id,
            "items": items,
            "itemsView": view,
            "status": self.status,
            "error": self.error,
            "startedAt": None if self.started_at is None else int(self.started_at),
            "completedAt": None if self.completed_at is None else int(self.completed_at),
            "durationMs": duration,
        }


@final
@dataclass(slots=True, kw_only=True)
class FakeThread:
    """One thread. ``writer`` is the generation that has it loaded; ``allowed`` the commands that need no approval."""

    id: str
    cwd: str
    model: str
    model_provider: str
    approval_policy: object
    sandbox: JsonObject
    effort: object = None
    ephemeral: bool = False
    forked_from: str | None = None
    name: str | None = None
    preview: str = ""
    archived: bool = False
    created_at: float = 0.0
    updated_at: float = 0.0
    turns: list[FakeTurn] = field(default_factory=list)
    writer: int | None = None
    allowed: set[str] = field(default_factory=set)

    @property
    def has_rollout(self) -> bool:
        """Whether a later process can find it: only a thread that ran a turn is on disk."""
        return bool(self.turns) and not self.ephemeral

    def wire(self, status: JsonObject, *, with_turns: bool) -> JsonObject:
        """The thread as the protocol tells it."""
        loaded = status["type"] != "notLoaded"
        roots = {"environmentId": "local", "cwd": self.cwd, "runtimeWorkspaceRoots": [self.cwd]}
        return {
            "id": self.id,
            "environments": [roots] if loaded else None,
            "extra": None,
            "sessionId": self.id,
            "forkedFromId": self.forked_from,
            "parentThreadId": None,
            "preview": self.preview,
            "ephemeral": self.ephemeral,
            "section": None,
            "sectionEnteredAt": None,
            "projectId": None,
            "historyMode": "paginated",
            "modelProvider": self.model_provider,
            "model": self.model,
            "reasoningEffort": self.effort,
            "createdAt": int(self.created_at),
            "updatedAt": int(self.updated_at),
            "recencyAt": int(self.updated_at),
            "status": status,
            "path": None if self.ephemeral else f"/fake/codex-home/sessions/rollout-{self.id}.jsonl",
            "cwd": self.cwd,
            "cliVersion": "0.163.0",
            "originator": "fake",
            "source": "vscode",
            "canAcceptDirectInput": True if loaded else None,
            "threadSource": None,
            "agentNickname": None,
            "agentRole": None,
            "gitInfo": None,
            "name": self.name,
            "daybreakEnabled": None,
            "turns": [turn.wire(view="full") for turn in self.turns] if with_turns else [],
        }

    def settings(self) -> JsonObject:
        """What the answers to thread/start, resume and fork tell beside the thread."""
        return {
            "model": self.model,
            "modelProvider": self.model_provider,
            "serviceTier": None,
            "disabledPluginIds": [],
            "cwd": self.cwd,
            "runtimeWorkspaceRoots": [self.cwd],
            "instructionSources": [],
            "approvalPolicy": self.approval_policy,
            "approvalsReviewer": "user",
            "sandbox": self.sandbox,
            "activePermissionProfile": None,
            "reasoningEffort": self.effort,
            "multiAgentMode": "explicitRequestOnly",
        }


@final
@dataclass(slots=True)
class FakeDisk:
    """The home folder that all generations of one fake share: threads, rules for commands, and the last id of each kind."""

    threads: dict[str, FakeThread] = field(default_factory=dict)
    rules: list[tuple[str, ...]] = field(default_factory=list)
    _last: dict[str, int] = field(default_factory=dict)

    def new_id(self, kind: str) -> str:
        """An id that no generation used before, for people to read: ``thread-1``, ``turn-7``."""
        self._last[kind] = self._last.get(kind, 0) + 1
        return f"{kind}-{self._last[kind]}"

    def release(self, generation: int, now: float) -> None:
        """The process is gone: its threads are free, turns that ran are broken off, and what had no rollout is lost."""
        for thread in [thread for thread in self.threads.values() if thread.writer == generation]:
            thread.writer = None
            thread.updated_at = now
            for turn in thread.turns:
                if turn.status == "inProgress":
                    turn.status = "interrupted"
                    turn.running.clear()
            if not thread.has_rollout:
                del self.threads[thread.id]
