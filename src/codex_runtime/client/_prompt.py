"""What the caller wants, merged and checked, and its form on the wire. Pure but for the look whether files exist."""

from __future__ import annotations

import math
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import NoneType
from typing import Literal, TypeAlias, TypedDict, TypeVar, Unpack

from msgspec import Struct, field
from msgspec.structs import force_setattr, replace

from codex_runtime._sansio import permissions
from codex_runtime._sansio.any_hook import AnyHook
from codex_runtime._sansio.discreet import Discreet, masked
from codex_runtime._sansio.envelope import JsonValue
from codex_runtime._sansio.permissions import ApprovalPolicy, SandboxMode
from codex_runtime.errors import ConfigError
from codex_runtime.runtime import Ticket

__all__ = [
    "Approvals",
    "File",
    "Image",
    "LocalImage",
    "OnCrash",
    "Prompt",
    "RunOptions",
    "RunProfile",
    "Skill",
    "TurnOptions",
]

Approvals: TypeAlias = Literal["decline", "accept", "stream"] | Callable[[Ticket], Awaitable[None] | None]
OnCrash: TypeAlias = Literal["reconcile", "lose"]
PathLike: TypeAlias = str | os.PathLike[str]
T = TypeVar("T")

# What the real server takes; it refuses more with an error of its own that does not say where the text came from.
MAX_INPUT = 1024 * 1024

# What options must be, and in which words that is told. Callers without a type checker find out here, not from the server.
KINDS: tuple[tuple[str, tuple[type, ...], tuple[str, ...]], ...] = (
    ("text or None", (str, NoneType), ("model", "effort", "summary", "base_instructions", "developer_instructions")),
    ("True or False", (bool,), ("network", "allow_full_access", "ephemeral")),
    ("a number or None", (int, float, NoneType), ("deadline", "idle_deadline", "first_event_deadline")),
    ("a mapping", (Mapping,), ("settings",)),
    ("a mapping or None", (Mapping, NoneType), ("output_schema",)),
)


class File(Struct, frozen=True):
    """A file or folder for the agent to look at, mentioned in the prompt as ``@path``."""

    path: PathLike


class Image(Struct, frozen=True):
    """An image at an address."""

    url: str


class LocalImage(Struct, frozen=True):
    """An image in a file."""

    path: PathLike


class Skill(Struct, frozen=True):
    """A skill to use: its name and the path of its ``SKILL.md``."""

    name: str
    path: PathLike


Attachment: TypeAlias = File | Image | LocalImage | Skill
Prompt: TypeAlias = "str | Sequence[str | Attachment]"


class TurnOptions(TypedDict, total=False):
    """The options of :class:`RunProfile` that may change from turn to turn."""

    model: str | None
    effort: str | None
    summary: str | None
    sandbox: SandboxMode
    network: bool
    writable_roots: Sequence[PathLike]
    allow_full_access: bool
    approvals: Approvals
    approval_policy: ApprovalPolicy | None
    deadline: float | None
    idle_deadline: float | None
    first_event_deadline: float | None
    on_crash: OnCrash
    output_schema: Mapping[str, JsonValue] | None
    hooks: Sequence[AnyHook]


class RunOptions(TurnOptions, total=False):
    """All options of :class:`RunProfile`."""

    base_instructions: str | None
    developer_instructions: str | None
    settings: Mapping[str, JsonValue]
    ephemeral: bool


class RunProfile(Discreet, frozen=True, kw_only=True):
    """Options of a session or of a single turn. The defaults are the safe ones.

    - ``model``, ``effort``, ``summary``: ``None`` leaves them to the server's configuration.
    - ``sandbox``: what commands may touch; ``network`` and ``writable_roots`` (absolute paths) widen it.
      ``"danger-full-access"`` and ``writable_roots`` also need ``allow_full_access=True``.
    - ``approvals``: who answers when the agent asks for leave. ``"decline"`` (nobody), ``"accept"`` (always yes),
      ``"stream"`` (whoever reads the turn's events), or a ``handler(ticket)``. A coroutine function that
      ends without an answer says no; a plain one answers at once or keeps the ticket. Silence is always a no.
    - ``approval_policy``: when the agent asks at all. ``None`` means ``"never"`` if nobody answers, else ``"on-request"``;
      with hooks that judge the use of tools it means ``"untrusted"``, which asks before all but known harmless commands.
    - ``deadline``: seconds for a whole turn, after which it is interrupted; ``None`` is for ever.
    - ``idle_deadline``: seconds without a sign of the agent's work, after which the turn is interrupted as well. A command
      that prints nothing is silent too; while an approval waits for its answer, no time passes. ``None`` is for ever.
    - ``first_event_deadline``: likewise for the first such sign, counted from the call; ``None`` is for ever.
    - ``on_crash``: what becomes of a turn whose app server dies, or whose connection breaks. ``"reconcile"`` waits for the
      next one, within the deadline, and asks for the server's record: the turn may have ended meanwhile or, on a server
      that listens, go on. ``"lose"`` ends it at once.
    - ``output_schema``: a JSON schema that the final answer must follow.
    - ``hooks``: see :mod:`codex_runtime.hooks`. Those of a session or a turn come after those of before, and replace none.
    - ``base_instructions``, ``developer_instructions``, ``settings`` (dotted keys of codex's own configuration),
      ``ephemeral`` (kept in memory only) belong to the session; a turn cannot change them. Settings that give up the sandbox
      or name a program, such as an MCP server with a command, also need ``allow_full_access=True``.
    """

    model: str | None = None
    effort: str | None = None
    summary: str | None = None
    sandbox: SandboxMode = "read-only"
    network: bool = False
    writable_roots: Sequence[PathLike] = ()
    allow_full_access: bool = False
    approvals: Approvals = "decline"
    approval_policy: ApprovalPolicy | None = None
    deadline: float | None = 600.0
    idle_deadline: float | None = None
    first_event_deadline: float | None = None
    on_crash: OnCrash = "reconcile"
    output_schema: Mapping[str, JsonValue] | None = None
    hooks: tuple[AnyHook, ...] = ()
    base_instructions: str | None = None
    developer_instructions: str | None = None
    settings: Mapping[str, JsonValue] = field(default_factory=dict)
    ephemeral: bool = False

    def __post_init__(self) -> None:
        self._check_kinds()
        force_setattr(self, "hooks", tuple(_listed("hooks", self.hooks)))
        force_setattr(self, "writable_roots", self.roots)
        permissions.check(
            sandbox=self.sandbox,
            network=self.network,
            writable_roots=self.roots,
            approval_policy=self.approval_policy,
            allow_full_access=self.allow_full_access,
        )
        for name in ("deadline", "idle_deadline", "first_event_deadline"):
            seconds = getattr(self, name)
            if seconds is not None and not (math.isfinite(seconds) and seconds > 0):
                raise ConfigError(name, "must be a finite number of seconds above 0, or None")
        if not callable(self.approvals) and self.approvals not in ("decline", "accept", "stream"):
            raise ConfigError("approvals", f"{self.approvals!r} is not 'decline', 'accept', 'stream' or a function")
        if self.on_crash not in ("reconcile", "lose"):
            raise ConfigError("on_crash", f"{self.on_crash!r} is not 'reconcile' or 'lose'")
        if self._has_tool_hooks and self.approval_policy == "never":
            raise ConfigError("approval_policy", "'never' would keep hooks from being asked; leave it out")
        for name in ("model", "effort", "summary"):
            if getattr(self, name) == "":
                raise ConfigError(name, "must not be empty; leave it out for the default")

    def _shown(self) -> dict[str, object]:
        return {"settings": masked(self.settings)}  # there may be keys and headers among them

    def changed(self, **options: Unpack[RunOptions]) -> RunProfile:
        """Return a profile with some options replaced. Raises :class:`ConfigError` for a name that is none."""
        for name in options:
            if name not in self.__struct_fields__:
                raise ConfigError(name, f"is not an option; there are {', '.join(sorted(self.__struct_fields__))}")
        if "hooks" in options:
            options["hooks"] = (*self.hooks, *_listed("hooks", options["hooks"]))
        return replace(self, **options) if options else self

    def under(self, hooks: tuple[AnyHook, ...]) -> RunProfile:
        """Return the profile with the hooks of an outer scope before its own."""
        return replace(self, hooks=(*hooks, *self.hooks)) if hooks else self

    @property
    def roots(self) -> tuple[str, ...]:
        """``writable_roots`` as text."""
        return tuple(_path("writable_roots", root) for root in _listed("writable_roots", self.writable_roots))

    def _check_kinds(self) -> None:
        for what, kinds, names in KINDS:
            for name in names:
                value = getattr(self, name)
                if not isinstance(value, kinds):
                    raise ConfigError(name, f"must be {what}, not {type(value).__name__}")
                if isinstance(value, str):
                    _sendable(name, value)

    @property
    def _has_tool_hooks(self) -> bool:
        if not self.hooks:
            return False
        from codex_runtime._sansio.hooks import asks, joined  # for those who have hooks

        return asks(joined(self.hooks, ()), ["pre_tool_use"])

    @property
    def effective_approval_policy(self) -> ApprovalPolicy:
        """When the agent asks: what was said, or what follows from ``hooks`` and ``approvals``."""
        if self.approval_policy is None and self._has_tool_hooks:
            return "untrusted"
        return self.approval_policy or ("never" if self.approvals == "decline" else "on-request")

    def start_params(self, cwd: str) -> dict[str, JsonValue]:
        """The parameters of ``thread/start``.

        The thread itself may only read; each turn says the sandbox that it runs in. A thread that starts with more makes the
        server note in the user's own configuration that the folder's repository is trusted, for good, and then obey the
        configuration in that repository, whose programs run outside of any sandbox.
        """
        params = replace(self, sandbox="read-only", network=False, writable_roots=()).thread_params(cwd)
        return {**params, "ephemeral": True} if self.ephemeral else params

    def thread_params(self, cwd: str | None) -> dict[str, JsonValue]:
        """The parameters of ``thread/resume``, all flat. The sandbox is always said: resuming forgets it."""
        config = dict(self.settings)
        if self.sandbox == "workspace-write" and (self.network or self.writable_roots):
            config["sandbox_workspace_write.network_access"] = self.network
            config["sandbox_workspace_write.writable_roots"] = list(self.roots)
        params: dict[str, JsonValue] = {
            "cwd": cwd,
            "sandbox": self.sandbox,
            "approvalPolicy": self.effective_approval_policy,
            "model": self.model,
            "baseInstructions": self.base_instructions,
            "developerInstructions": self.developer_instructions,
            "config": config or None,
        }
        return {key: value for key, value in params.items() if value is not None}

    def turn_params(self, thread_id: str, inputs: list[JsonValue]) -> dict[str, JsonValue]:
        """The parameters of ``turn/start``."""
        params: dict[str, JsonValue] = {
            "threadId": thread_id,
            "input": inputs,
            "sandboxPolicy": permissions.sandbox_policy(self.sandbox, network=self.network, writable_roots=self.roots),
            "approvalPolicy": self.effective_approval_policy,
            "model": self.model,
            "effort": self.effort,
            "summary": self.summary,
            "outputSchema": None if self.output_schema is None else dict(self.output_schema),
        }
        return {key: value for key, value in params.items() if value is not None}


def folder(cwd: PathLike | None) -> str:
    """Return the absolute path of an existing folder. The server would take any, and fail later in odd ways."""
    text = _path("cwd", cwd or ".")
    with suppress(OSError, RuntimeError):  # a name too long to be looked for, nobody's home, our own folder is gone
        path = Path(text).expanduser().absolute()
        if path.is_dir():
            return _sendable("cwd", str(path))
    raise ConfigError("cwd", f"{text!r} is not an existing folder")


def inputs(prompt: Prompt, cwd: str) -> list[JsonValue]:
    """Return the wire form of a prompt. Raises :class:`ConfigError` if it is empty, too long or names a missing file."""
    parts: Sequence[str | Attachment] = [prompt] if isinstance(prompt, str) else _listed("prompt", prompt)
    text, mentions = "", []
    rest: list[JsonValue] = []
    for part in parts:
        match part:
            case str():
                text = _joined(text, _sendable("prompt", part))
            case File(path):
                _existing(path, cwd)
                text = _joined(text, f"@{os.fspath(path)}")
                # The server counts in bytes of UTF-8.
                end = len(text.encode())
                mentions.append({"byteRange": {"start": end - len(os.fsencode(path)) - 1, "end": end}})
            case Image(url):
                rest.append({"type": "image", "url": _sendable("prompt", url)})
            case LocalImage(path):
                rest.append({"type": "localImage", "path": _existing(path, cwd)})
            case Skill(name, path):
                rest.append({"type": "skill", "name": _sendable("prompt", name), "path": _existing(path, cwd)})
            case _:
                raise ConfigError("prompt", f"{type(part).__name__} is neither text nor an attachment")
    if not text.strip() and not rest:
        raise ConfigError("prompt", "must not be empty")
    if len(text) > MAX_INPUT:
        raise ConfigError("prompt", f"has {len(text)} characters; the server takes {MAX_INPUT}")
    first: list[JsonValue] = []
    if text:
        first.append({"type": "text", "text": text, **({"text_elements": mentions} if mentions else {})})
    return first + rest


def _joined(text: str, more: str) -> str:
    return f"{text}{'' if not text or text.endswith(chr(10)) else chr(10)}{more}"


def _existing(path: PathLike, cwd: str) -> str:
    text = _path("prompt", path)
    with suppress(OSError, RuntimeError):  # as for folders
        resolved = Path(cwd, Path(text).expanduser())
        if resolved.exists():
            return str(resolved)
    raise ConfigError("prompt", f"the attachment {text!r} does not exist")


def _path(name: str, path: object) -> str:
    text = os.fspath(path) if isinstance(path, os.PathLike) else path
    return _sendable(name, text)


def _sendable(name: str, text: object) -> str:
    if not isinstance(text, str):
        raise ConfigError(name, f"has {type(text).__name__} where text belongs")
    try:
        text.encode()
    except UnicodeEncodeError:
        # Such as half of a surrogate pair, or a file name that is not in UTF-8.
        raise ConfigError(name, "has a character that cannot be sent") from None
    return text


def _listed(name: str, value: Sequence[T]) -> Sequence[T]:
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise ConfigError(name, f"must be a list or tuple, not {type(value).__name__}")
    return value
