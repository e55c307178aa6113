"""What hooks are told, what they may answer, and what their answers come to together. Nobody is called here.

Two kinds of phases. At a *gate* (``pre_tool_use``, ``user_input``, ``server_request``) the server waits for an answer: hooks
allow, deny, or leave it to whoever is asked next, and a hook that fails is a *deny*. At all other phases the caller waits:
hooks may deny what has not begun, and change it with a :class:`Patch`; one that fails is an issue in the report.

The one rule of precedence, everywhere: hooks run in order, the outer scope (client) before the inner (session, then run),
and an inner one can only tighten: *deny* beats *ask* beats *allow*, whoever says it. A name stands for one hook: the same
hook in two scopes runs once, and two different hooks of one name are an error.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from posixpath import isabs, normpath
from typing import Literal, TypeAlias

from msgspec import Raw, Struct, field

from codex_runtime._sansio.any_hook import AnyHook
from codex_runtime._sansio.envelope import JsonValue, loads
from codex_runtime._sansio.shell_words import might_run
from codex_runtime._sansio.tool_use import ToolUse
from codex_runtime.errors import ConfigError

__all__ = [
    "AFTER",
    "BEFORE",
    "GATES",
    "PHASES",
    "TIME_LIMIT",
    "Allow",
    "AnyHook",
    "Ask",
    "Deny",
    "Hook",
    "HookContext",
    "HookIssue",
    "HookMatcher",
    "HookOutcome",
    "HookReport",
    "IssueKind",
    "Patch",
    "Phase",
    "Verdict",
    "applies",
    "asks",
    "fold",
    "joined",
    "problem_with",
    "stronger",
    "within",
]

Phase: TypeAlias = Literal[
    "pre_run",
    "post_run",
    "pre_session_start",
    "post_session_start",
    "pre_turn",
    "post_turn",
    "pre_tool_use",
    "post_tool_use",
    "user_input",
    "server_request",
]
BEFORE: frozenset[Phase] = frozenset({"pre_run", "pre_session_start", "pre_turn"})
AFTER: frozenset[Phase] = frozenset({"post_run", "post_session_start", "post_turn", "post_tool_use"})
GATES: frozenset[Phase] = frozenset({"pre_tool_use", "user_input", "server_request"})
PHASES: frozenset[Phase] = BEFORE | AFTER | GATES

IssueKind: TypeAlias = Literal["validation", "execution", "timeout", "internal"]

# How long a call of a hook may take by default, in seconds.
TIME_LIMIT = 5.0


# -- what a hook may answer --------------------------------------------------------------------------------------------


class Allow(Struct, frozen=True):
    """Let it happen, unless another hook is against it. At a gate that wants content, it only means no objection."""

    reason: str | None = None


class Ask(Struct, frozen=True):
    """Somebody else must answer: whoever ``approvals=`` names. An *allow* of another hook does not count any more."""

    reason: str | None = None


class Deny(Struct, frozen=True):
    """It must not happen. ``reason`` is for the record and for the error; the model is not told."""

    reason: str = "denied by a hook"


class Patch(Struct, frozen=True, kw_only=True):
    """Change what is about to begin; ``None`` leaves things as they are. Later hooks win over earlier ones.

    ``prompt`` replaces the text of the prompt, not its attachments. ``add_attachments`` takes what a prompt takes
    (``File``, ``Image``, ``LocalImage``, ``Skill``). ``metadata`` is merged, key by key, into what later hooks of the same
    run are told. Before a session starts only ``model`` and ``metadata`` mean something.
    """

    prompt: str | None = None
    model: str | None = None
    add_attachments: Sequence[object] = ()
    metadata: Mapping[str, JsonValue] = field(default_factory=dict)


Verdict: TypeAlias = Allow | Ask | Deny
HookOutcome: TypeAlias = Verdict | Patch | None


# -- what a hook is told -----------------------------------------------------------------------------------------------


class HookContext(Struct, frozen=True, kw_only=True, rename={"params_json": "params"}):
    """What a hook is told. Nothing in it is shared: a hook can keep it, and cannot change anything through it.

    - ``phase``; ``correlation_id``: the same for all phases of one run; ``at``: Unix time in seconds.
    - ``cwd``: the session's folder, and ``roots``: folders that it may write, both with links resolved.
    - ``thread_id``, ``turn_id``, ``item_id``, ``model``, ``prompt`` (its text): as far as they are known at that phase.
    - ``method`` and :attr:`params` of the server's request, and the ``tool`` that is about to be used, or was.
    - ``status`` and ``text``, after something: how it ended ("completed", "failed", ..., "error", "blocked") and the answer.
    - ``metadata``: what hooks of the same run left for each other.
    """

    phase: Phase
    correlation_id: str = ""
    at: float = 0.0
    cwd: str | None = None
    roots: tuple[str, ...] = ()
    thread_id: str | None = None
    turn_id: str | None = None
    item_id: str | None = None
    model: str | None = None
    prompt: str | None = None
    method: str | None = None
    tool: ToolUse | None = None
    status: str | None = None
    text: str | None = None
    metadata: Mapping[str, JsonValue] = field(default_factory=dict)
    params_json: Raw = Raw(b"null")

    @property
    def params(self) -> JsonValue:
        """What the server sent, decoded on each use; ``None`` where there is no request."""
        return loads(bytes(self.params_json))


class HookMatcher(Struct, frozen=True, kw_only=True):
    """When a hook is called: all that is given must hold. An empty one always holds.

    - ``phases``: any of these. ``method``: this request of the server.
    - ``tool``: the name of the tool ("shell", "apply_patch", "server/tool", ...).
    - ``command``: a program, and words that come behind it in this order, as in the *deny* rules of a policy: looked for
      wherever a program may be named, also inside of pipes and scripts. So a hook that allows by it must look at
      ``tool.argv`` too.
    - ``cwd``: where the tool runs (else the session's folder) is this folder or one below it.

    At a gate, what is not known holds: a guard is rather called once too often.
    """

    phases: tuple[Phase, ...] = ()
    tool: str | None = None
    command: tuple[str, ...] = ()
    cwd: str | None = None
    method: str | None = None

    def __post_init__(self) -> None:
        for name in ("phases", "command"):
            if isinstance(getattr(self, name), str):
                raise ConfigError(f"when.{name}", "must be a tuple of words, not one text")
        if self.cwd is not None and not isabs(self.cwd):
            raise ConfigError("when.cwd", f"{self.cwd!r} is not an absolute path")
        for phase in self.phases:
            if phase not in PHASES:
                raise ConfigError("when.phases", f"{phase!r} is not one of {', '.join(sorted(PHASES))}")


class Hook(Struct, frozen=True):
    """A function to be called at some phases.

    Example: ``Hook("no pushing", guard, when=HookMatcher(phases=("pre_tool_use",), command=("git", "push")))``
    """

    name: str
    call: Callable[[HookContext], HookOutcome | Awaitable[HookOutcome]]
    when: HookMatcher = HookMatcher()
    timeout: float = TIME_LIMIT


# -- what is told of hooks ---------------------------------------------------------------------------------------------


class HookIssue(Struct, frozen=True):
    """What went wrong with one call of one hook.

    ``kind``: "validation" (an answer that means nothing here), "execution" (it failed), "timeout", "internal".
    """

    hook: str
    phase: Phase
    kind: IssueKind
    message: str


class HookReport(Struct, frozen=True):
    """The issues of one run, oldest first. ``dropped`` counts calls after a tool use for which there was no time or room."""

    issues: tuple[HookIssue, ...] = ()
    dropped: int = 0

    @property
    def is_clean(self) -> bool:
        """True if nothing went wrong."""
        return not self.issues and not self.dropped


# -- the rules ---------------------------------------------------------------------------------------------------------


def joined(outer: Iterable[AnyHook], inner: Iterable[AnyHook]) -> tuple[AnyHook, ...]:
    """Return the hooks of two scopes in the order in which they run. Raises :class:`ConfigError` for a name used twice."""
    hooks: dict[str, AnyHook] = {}
    for hook in (*outer, *inner):
        _check(hook)
        if hooks.setdefault(hook.name, hook) != hook:
            raise ConfigError("hooks", f"two different hooks are called {hook.name!r}")
    return tuple(hooks.values())


def _check(hook: AnyHook) -> None:
    for name in ("name", "when", "timeout", "call"):
        if not hasattr(hook, name):
            raise ConfigError("hooks", f"{type(hook).__name__} is not a hook; wrap a function as Hook(name, function)")
    if not hook.name.strip():
        raise ConfigError("hooks", "a hook needs a name")
    if not 0 < hook.timeout < float("inf"):
        raise ConfigError("hooks", f"the timeout of {hook.name!r} must be a finite number of seconds above 0")


def asks(hooks: Iterable[AnyHook], phases: Iterable[Phase]) -> bool:
    """Tell whether any of the hooks may be called at one of the phases."""
    wanted = set(phases)
    return any(not hook.when.phases or wanted.intersection(hook.when.phases) for hook in hooks)


def applies(matcher: HookMatcher, context: HookContext) -> bool:
    """Tell whether a hook with this matcher is to be called."""
    if matcher.phases and context.phase not in matcher.phases:
        return False
    if matcher.method is not None and matcher.method != context.method:
        return False
    unknown = context.phase in GATES
    tool = context.tool
    if matcher.tool is not None and (tool is None or tool.name != matcher.tool):
        # A gate without a tool is not about a tool; a tool without a name may be any.
        return unknown and tool is not None and tool.name is None
    if matcher.command and not _may_be(matcher.command, tool, unknown=unknown):
        return False
    if matcher.cwd is not None:
        cwd = context.cwd if tool is None or tool.cwd is None else tool.cwd
        return unknown if cwd is None else within(cwd, matcher.cwd)
    return True


def _may_be(words: tuple[str, ...], tool: ToolUse | None, *, unknown: bool) -> bool:
    if tool is None or tool.kind not in ("command", "network", "unknown"):
        return False
    return unknown if tool.command is None else might_run(words, tool.command, tool.argv)


def within(path: str, folder: str) -> bool:
    """Tell whether a path is the folder, or below it. Both are absolute; no link is followed."""
    path, folder = normpath(path), normpath(folder)
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def problem_with(phase: Phase, outcome: object) -> str | None:
    """Say what is wrong with an answer at a phase; ``None`` if it can be taken."""
    if outcome is None or (isinstance(outcome, Allow | Deny) and phase not in AFTER):
        return None
    if not isinstance(outcome, Allow | Ask | Deny | Patch):
        return f"{type(outcome).__name__} is no answer of a hook"
    if isinstance(outcome, Ask):
        return None if phase in GATES else "there is nobody to ask at this phase"
    if isinstance(outcome, Patch):
        return None if phase in BEFORE else "there is nothing to change at this phase"
    return "it is too late for a verdict at this phase" if isinstance(outcome, Deny) else None


def stronger(one: Verdict | None, other: Verdict | None) -> Verdict | None:
    """Return the stricter of two verdicts; of two equal ones the first."""
    return other if _rank(other) > _rank(one) else one


def _rank(verdict: Verdict | None) -> int:
    match verdict:
        case Deny():
            return 3
        case Ask():
            return 2
        case Allow():
            return 1
        case _:
            return 0


def fold(patches: Iterable[Patch]) -> Patch:
    """Make one patch of several: later ones win, attachments add up, metadata is merged key by key."""
    prompt, model = None, None
    attachments: list[object] = []
    metadata: dict[str, JsonValue] = {}
    for patch in patches:
        prompt = prompt if patch.prompt is None else patch.prompt
        model = model if patch.model is None else patch.model
        attachments += patch.add_attachments
        metadata |= patch.metadata
    return Patch(prompt=prompt, model=model, add_attachments=tuple(attachments), metadata=metadata)
