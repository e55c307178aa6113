"""Rules that answer approvals, as plain data: what is denied, what a person must see, what may go on by itself.

A policy never waits and touches no file: it is given a :class:`~codex_runtime._sansio.tool_use.ToolUse` whose paths are
already resolved. ``codex_runtime.hooks.load_policy`` reads one from a TOML file.

The one idea: *deny* and *ask* rules match loosely and *allow* rules exactly. A rule that restricts matches when it might
concern what is asked; a rule that permits matches when nothing else can be meant, and all of it is covered.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from posixpath import isabs, join, normpath, relpath
from typing import Literal, TypeAlias, TypeVar, get_args

from msgspec import Struct

from codex_runtime._sansio.hooks import TIME_LIMIT, Allow, Ask, Deny, HookContext, HookMatcher, Verdict, within
from codex_runtime._sansio.shell_words import might_run
from codex_runtime._sansio.tool_use import ANY_HOST, ToolUse
from codex_runtime.errors import ConfigError

__all__ = ["Judgement", "Policy", "Rule"]

Judgement: TypeAlias = Literal["allow", "ask", "deny"]
T = TypeVar("T")

# A longer command is not looked into. Nobody types one.
MAX_COMMAND = 64 * 1024
_SUBJECTS = ("command", "path", "mcp", "tool", "network")


class Rule(Struct, frozen=True, kw_only=True):
    """One rule. It has exactly one subject.

    - ``command``: the first words of a command, such as ``("git", "status")``. To allow, the command must be one program with
      literal words that begin with exactly these, and run inside of the workspace. To deny or ask, the first word is looked
      for wherever a program may be named (lists, pipes, substitutions, ``sudo``, ``sh -c``; ``/bin/rm`` is ``rm``), and the
      others anywhere behind it, in order.
    - ``path``: a file to be written: ``*`` and ``?`` stay within a name, ``**`` is any folders. Relative to the workspace, or
      absolute; ``"**"`` is all of the workspace. To allow, all paths must be covered; to deny or ask, one is enough.
    - ``mcp``: a tool of an MCP server as ``"server/tool"``; ``tool``: one of our own. Both take ``*`` and ``?``.
    - ``network``: a host; takes ``*`` and ``?``. Access to every host is only allowed by ``"*"``.

    ``reason`` goes to the record.
    """

    command: tuple[str, ...] = ()
    path: str | None = None
    mcp: str | None = None
    tool: str | None = None
    network: str | None = None
    reason: str | None = None

    def __post_init__(self) -> None:
        given = [name for name in _SUBJECTS if getattr(self, name) not in ((), None)]
        if len(given) != 1:
            raise ConfigError("rule", f"needs exactly one of {', '.join(_SUBJECTS)}")
        name, value = given[0], getattr(self, given[0])
        words = value if isinstance(value, tuple) else (value,)
        if (name == "command") != isinstance(value, tuple) or not all(isinstance(word, str) and word for word in words):
            raise ConfigError(
                name, "must be a tuple of words" if name == "command" else "must be a text that is not empty"
            )
        if name == "path" and (".." in value.split("/") or value.startswith("~")):
            raise ConfigError("path", f"{value!r} must not contain '..' or begin with '~'")
        if name == "mcp" and value.count("/") != 1:
            raise ConfigError("mcp", f"{value!r} is not 'server/tool'")

    @property
    def subject(self) -> str:
        """What it is about, in one line."""
        name = next(name for name in _SUBJECTS if getattr(self, name) not in ((), None))
        value = getattr(self, name)
        return f"{name} {' '.join(value) if isinstance(value, tuple) else value}"


class Policy(Struct, frozen=True, kw_only=True):
    """Rules for what tools may do. It is a hook: give it to ``Client(hooks=[policy])``, to a session or to a run.

    A *deny* rule that matches wins, then an *ask* rule, then an *allow* rule; ``default`` is for what no rule matches. What
    an *allow* covers is still asked about if it is not a simple command (then ``complex_commands`` decides, unless the
    default is stricter), if it wants more than the sandbox gives (``escalated``), or if something about it is not known.

    A policy sees what the server asks about, and with it in place the server asks before all but known harmless commands. It
    is no sandbox: what an allowed program does then is beyond it, and as the server does not always say that a command will
    run outside of the sandbox, allow only what may.
    """

    deny: tuple[Rule, ...] = ()
    ask: tuple[Rule, ...] = ()
    allow: tuple[Rule, ...] = ()
    default: Judgement = "ask"
    complex_commands: Judgement = "ask"
    escalated: Judgement = "ask"
    name: str = "policy"
    timeout: float = TIME_LIMIT

    def __post_init__(self) -> None:
        for field in ("default", "complex_commands", "escalated"):
            if getattr(self, field) not in get_args(Judgement):
                raise ConfigError(field, f"{getattr(self, field)!r} is not one of {', '.join(get_args(Judgement))}")
        for field in ("deny", "ask", "allow"):
            if not isinstance(getattr(self, field), tuple):
                raise ConfigError(field, "must be a tuple of rules")
        if not self.name.strip():
            raise ConfigError("name", "must not be empty")
        if not 0 < self.timeout < float("inf"):
            raise ConfigError("timeout", "must be a finite number of seconds above 0")

    @property
    def when(self) -> HookMatcher:
        """Called before a tool is used."""
        return HookMatcher(phases=("pre_tool_use",))

    def call(self, context: HookContext) -> Verdict | None:
        """Judge the tool use in a context; no opinion where there is none."""
        return None if context.tool is None else self.judge(context.tool, workspace=context.cwd, roots=context.roots)

    def judge(self, use: ToolUse, *, workspace: str | None, roots: Sequence[str] = ()) -> Verdict:
        """Judge a tool use. ``workspace`` is the folder that relative patterns start from, ``roots`` further ones to work in.

        The paths of ``use`` must be absolute, with links resolved; those that are not are not known. Never raises.
        """
        if use.command is not None and len(use.command) > MAX_COMMAND:
            return Deny("the command is too long to be judged")
        for rule in self.deny:
            if _concerns(rule, use, workspace):
                return Deny(rule.reason or f"the policy denies {rule.subject}")
        for rule in self.ask:
            if _concerns(rule, use, workspace):
                return Ask(rule.reason or f"the policy asks about {rule.subject}")
        allowed = self._allowing(use, workspace)
        judgement: Judgement = self.default if allowed is None else "allow"
        why = allowed or "no rule of the policy matches"
        for doubt, limit in self._doubts(use, workspace, roots):
            if _STRICTNESS[limit] > _STRICTNESS[judgement]:
                judgement, why = limit, doubt
        return _VERDICTS[judgement](why)

    def _allowing(self, use: ToolUse, workspace: str | None) -> str | None:
        """Say what allows all of it, or ``None``."""
        found = [next((rule for rule in self.allow if covers(rule)), None) for covers in _parts(use, workspace)]
        named = [rule.reason or f"the policy allows {rule.subject}" for rule in found if rule is not None]
        return named[0] if named and len(named) == len(found) else None

    def _doubts(self, use: ToolUse, workspace: str | None, roots: Sequence[str]) -> Iterable[tuple[str, Judgement]]:
        if use.is_escalated and use.kind in ("command", "file_change"):
            yield "it wants more than the sandbox gives", self.escalated
        if use.kind == "command":
            if use.argv is None:
                yield "it is not a simple command", self.complex_commands
            if use.cwd is None or not any(within(use.cwd, root) for root in (workspace, *roots) if root):
                yield "it runs outside of the workspace", "ask"
        if use.kind in ("file_change", "permissions") and not _are_known(use.paths):
            yield "its paths are not known", "ask"
        if use.name is None or use.kind == "unknown":
            yield "the tool is not known", "ask"


_STRICTNESS: dict[str, int] = {"allow": 0, "ask": 1, "deny": 2}
_VERDICTS: dict[str, Callable[[str], Verdict]] = {"allow": Allow, "ask": Ask, "deny": Deny}


# -- loosely: might the rule concern it? -------------------------------------------------------------------------------


def _concerns(rule: Rule, use: ToolUse, workspace: str | None) -> bool:
    if rule.command:
        if use.kind not in ("command", "network"):
            return False
        return use.command is None or might_run(rule.command, use.command, use.argv)
    if rule.path is not None:
        # On some systems two spellings are one file; and without a workspace, a relative pattern may begin anywhere.
        base = None if workspace is None else workspace.casefold()
        pattern = rule.path.casefold() if base or isabs(rule.path) else f"/**/{rule.path.casefold()}"
        paths = (normpath(join(base or "/", path.casefold())) for path in use.paths or ())
        return any(_path_fits(pattern, path, base) for path in paths)
    if rule.network is not None:
        return any(host == ANY_HOST or _fits(rule.network.casefold(), host.casefold()) for host in use.hosts)
    if rule.mcp is not None:
        server, _, tool = rule.mcp.partition("/")
        if use.kind != "mcp" or (use.server is not None and not _fits(server, use.server)):
            return False
        return use.tool is None or _fits(tool, use.tool)
    return use.kind == "dynamic" and (use.tool is None or _fits(rule.tool or "", use.tool))


# -- exactly: does a rule cover it? ------------------------------------------------------------------------------------

Covers: TypeAlias = Callable[[Rule], bool]


def _parts(use: ToolUse, workspace: str | None) -> list[Covers]:
    """Everything about a tool use that a rule must cover, as tests that a rule passes or not."""
    needs: list[Covers] = []
    match use.kind:
        case "command":
            needs.append(lambda rule: bool(rule.command) and (use.argv or ())[: len(rule.command)] == rule.command)
        case "mcp":
            needs.append(lambda rule: rule.mcp is not None and _is_mcp(rule.mcp, use))
        case "dynamic":
            needs.append(lambda rule: rule.tool is not None and use.tool is not None and _fits(rule.tool, use.tool))
        case "unknown":
            needs.append(lambda _: False)
        case _:
            pass
    needs += [_path_covered(path, workspace) for path in use.paths or ()]
    needs += [_host_covered(host) for host in use.hosts]
    return needs


def _is_mcp(rule: str, use: ToolUse) -> bool:
    server, _, tool = rule.partition("/")
    return use.server is not None and use.tool is not None and _fits(server, use.server) and _fits(tool, use.tool)


def _path_covered(path: str, workspace: str | None) -> Covers:
    def covers(rule: Rule) -> bool:
        return rule.path is not None and _are_known((path,)) and _path_fits(rule.path, path, workspace)

    return covers


def _host_covered(host: str) -> Covers:
    def covers(rule: Rule) -> bool:
        if rule.network is None:
            return False
        return rule.network == ANY_HOST if host == ANY_HOST else _fits(rule.network.casefold(), host.casefold())

    return covers


# -- paths and patterns ------------------------------------------------------------------------------------------------


def _are_known(paths: Sequence[str] | None) -> bool:
    return paths is not None and all(isabs(path) and normpath(path) == path for path in paths)


def _path_fits(pattern: str, path: str, workspace: str | None) -> bool:
    """Tell whether an absolute path fits a pattern, which may be relative to the workspace."""
    if not isabs(pattern):
        if workspace is None or not within(path, workspace):
            return False
        # Cut off, not put in front of the pattern: a folder may have a star in its name.
        path = relpath(path, workspace)
    return _wild(_names(pattern), _names(path), "**", _fits)


def _names(path: str) -> list[str]:
    return [name for name in path.split("/") if name not in ("", ".")]


def _fits(pattern: str, text: str) -> bool:
    """Tell whether a text fits a pattern with ``*`` and ``?``."""
    return _wild(pattern, text, "*", lambda one, other: one in ("?", other))


def _wild(pattern: Sequence[T], items: Sequence[T], star: T, fits: Callable[[T, T], bool]) -> bool:
    """Match with a star that stands for any number of items. Only the last star is ever tried again: no blow-up."""
    at = here = 0
    retry: tuple[int, int] | None = None
    while here < len(items):
        if at < len(pattern) and pattern[at] == star:
            retry = (at + 1, here)
            at += 1
        elif at < len(pattern) and fits(pattern[at], items[here]):
            at, here = at + 1, here + 1
        elif retry is not None:
            at, here = retry[0], retry[1] + 1
            retry = (at, here)
        else:
            return False
    return all(rest == star for rest in pattern[at:])
