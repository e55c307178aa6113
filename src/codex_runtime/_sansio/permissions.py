"""What a run may do: sandbox and approvals, and the gate before the dearest of it.

Pure checks, made before anything is sent. The default of everything is the safe one: read only, and no asking for more.
:func:`check` is for the options of a run, :func:`gate` for any request whatsoever. Both want a second word,
``allow_full_access=True``, from whoever gives up the sandbox. Writing in the workspace is an ordinary thing to ask for, and
writing anywhere else is not: a root that is named is outside of it, or a folder in it that the server protects (``.git``).

The one idea of the gate: of what it judges, it knows what is harmless, and takes all else for giving up the sandbox. It
judges the very bytes that are written, so no two readings of the same parameters can differ.

What it judges is this, as the pinned schema and codex 0.163 have it, and nothing else:

- the methods of :data:`GATED`, and of those the parameters that name a sandbox, roots, capabilities or a reviewer,
  ``config``, or configuration to be written;
- in configuration, at any depth: the settings that choose a sandbox, roots or a reviewer, or trust a folder
  (:data:`SETTINGS`), those that name a
  program, which the server starts outside of any sandbox, or where more settings are (:data:`PROGRAMS`), and MCP servers. An
  MCP server passes if it only talks to a ``url``, and so does whatever switches a feature (``features.*``).

Parameters, settings and methods that a later server adds pass unjudged, as do the folder to work in (``cwd``), which is the
caller's to choose, and other ways to bring a program: a plugin that is installed by ``plugin/install``, what the owner of
codex's home configured, and the app server's own ``command``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from posixpath import isabs
from typing import Annotated, Any, Literal, TypeAlias, get_args

import msgspec
from msgspec import Meta, Raw, Struct

from codex_runtime._sansio.envelope import DECODE_ERRORS, JsonValue, loads
from codex_runtime._sansio.peer import encode
from codex_runtime.errors import ConfigError, PermissionDeniedError

__all__ = ["GATED", "ApprovalPolicy", "SandboxMode", "check", "check_setting", "gate", "sandbox_policy"]

SandboxMode: TypeAlias = Literal["read-only", "workspace-write", "danger-full-access"]
ApprovalPolicy: TypeAlias = Literal["never", "on-request", "untrusted"]

# The ways to name a sandbox on the wire that keep it.
SafeMode: TypeAlias = Literal["read-only", "workspace-write"]
SafeProfile: TypeAlias = Literal[":read-only", ":workspace"]
# No folder but the one to work in. The server takes these for all ways to let an agent write.
NoRoots: TypeAlias = Annotated[list[Any], Meta(max_length=0)] | None
# A person, by way of us. Any other is a model, which would say yes in their place.
Reviewer: TypeAlias = Literal["user"] | None


class SafePolicy(Struct):
    """The form that a turn or a command wants. What else it says only shapes a sandbox that is there."""

    type: Literal["readOnly", "workspaceWrite"]
    writableRoots: NoRoots = None  # noqa: N815  # the server's spelling


class Environment(Struct):
    """A place to work in, of which a turn may have several."""

    runtimeWorkspaceRoots: NoRoots = None  # noqa: N815  # the server's spelling


class Change(Struct):
    """One change of codex's own configuration."""

    keyPath: str  # noqa: N815  # the server's spelling
    value: Raw = Raw(b"null")


# The settings that decide about a sandbox, and their values that keep it.
SETTINGS: Mapping[str, tuple[JsonValue, ...]] = {
    "sandbox_mode": get_args(SafeMode),
    "default_permissions": get_args(SafeProfile),
    "writable_roots": ([],),
    "approvals_reviewer": ("user",),
    # A trusted folder's own configuration may name programs.
    "trust_level": ("untrusted",),
}
# The settings that name a program, say what one may do, or say where more settings are.
PROGRAMS = frozenset(
    {
        "auth",  # of a model provider: a command that prints a token
        "auth_refresh",
        "command",
        "config_file",
        "credential_export",
        "hooks",
        "js_repl_node_path",
        "marketplaces",
        "notify",
        "permissions",
        "plugins",
    }
)
# The parameters that hold configuration.
CONFIGURATION = frozenset({"config", "edits", "keyPath"})
MCP = "mcp_servers"
# What may be said of an MCP server that starts no program.
TALKS = frozenset(
    {
        "bearer_token_env_var",
        "default_tools_approval_mode",
        "disabled_tools",
        "enabled",
        "enabled_tools",
        "env_http_headers",
        "http_headers",
        "oauth",
        "oauth_resource",
        "required",
        "scopes",
        "startup_timeout_ms",
        "startup_timeout_sec",
        "tool_timeout_sec",
        "tools",
        "url",
    }
)
# Says whether a parameter, as it is sent, keeps the sandbox.
Keeps: TypeAlias = Callable[[Raw], bool]
# Returns the name of the parameter by which a request gives up the sandbox: "" if it needs none, None if it keeps it.
Rule: TypeAlias = Callable[[Raw], str | None]


def check(
    *,
    sandbox: str,
    network: bool,
    writable_roots: Sequence[str],
    approval_policy: str | None,
    allow_full_access: bool,
) -> None:
    """Refuse settings that make no sense (:class:`ConfigError`) or need a second word (:class:`PermissionDeniedError`)."""
    if sandbox not in get_args(SandboxMode):
        raise ConfigError("sandbox", f"{sandbox!r} is not one of {', '.join(get_args(SandboxMode))}")
    if approval_policy is not None and approval_policy not in get_args(ApprovalPolicy):
        raise ConfigError("approval_policy", f"{approval_policy!r} is not one of {', '.join(get_args(ApprovalPolicy))}")
    if writable_roots and sandbox != "workspace-write":
        raise ConfigError("writable_roots", "has a meaning only with sandbox='workspace-write'")
    if network and sandbox == "danger-full-access":
        raise ConfigError("network", "is always on with sandbox='danger-full-access'")
    for root in writable_roots:
        if not isabs(root):
            raise ConfigError("writable_roots", f"{root!r} is not an absolute path")
    if sandbox == "danger-full-access" and not allow_full_access:
        raise PermissionDeniedError(
            "sandbox='danger-full-access' lets the agent do anything that you may do; "
            "say so a second time with allow_full_access=True"
        )
    if writable_roots and not allow_full_access:
        raise PermissionDeniedError(
            "writable_roots lets the agent write outside of the folder that it works in; "
            "say so a second time with allow_full_access=True"
        )


def sandbox_policy(sandbox: str, *, network: bool, writable_roots: Sequence[str]) -> dict[str, JsonValue]:
    """Return the sandbox in the form that a turn wants, which is not the form that a thread wants."""
    if sandbox == "danger-full-access":
        return {"type": "dangerFullAccess"}
    if sandbox == "workspace-write":
        return {"type": "workspaceWrite", "networkAccess": network, "writableRoots": list(writable_roots)}
    return {"type": "readOnly", "networkAccess": network}


def check_setting(key: str, value: str) -> None:
    """Refuse a setting of the app server's command line (``key=value``, TOML) that gives up the sandbox.

    Raises :class:`PermissionDeniedError`, or :class:`ConfigError` if it is too deep to be read.
    """
    import tomllib  # for those who have settings

    try:
        meant: JsonValue = tomllib.loads(f"meant = {value}").get("meant")
    except RecursionError:
        raise ConfigError("settings", f"{key!r} is nested too deeply to be judged") from None
    except ValueError:
        meant = value  # to codex, what is no TOML is text
    if not _keep(key.split("."), meant):
        raise PermissionDeniedError(
            f"settings: {key!r} gives up the sandbox, or names a program to run outside of it; "
            "say that this is meant with RuntimeConfig(allow_full_access=True)"
        )


# -- any request whatsoever --------------------------------------------------------------------------------------------


def gate(method: str, params: object) -> Raw:
    """Refuse a request of a :data:`GATED` method that gives up the sandbox; return its parameters as they are to be sent.

    Raises :class:`PermissionDeniedError`, and :class:`LocalProtocolError` for what cannot be sent at all.
    """
    sent = Raw(encode({} if params is None else params)[:-1])
    if (name := GATED[method](sent)) is not None:
        how = f"gives up the sandbox with its {name}" if name else "acts where no sandbox holds it"
        if name in CONFIGURATION:
            how += ", or names a program to run outside of it"
        raise PermissionDeniedError(
            f"{method} {how}; say that this is meant with allow_full_access=True, in the request or in RuntimeConfig"
        )
    return sent


def _never(_: Raw) -> str | None:
    return ""


def _fits(kind: Any) -> Keeps:
    decode = msgspec.json.Decoder(kind).decode

    def keeps(value: Raw) -> bool:
        try:
            decode(value)
        except DECODE_ERRORS:
            return False
        return True

    return keeps


def _by(**parameters: Keeps) -> Rule:
    def rule(params: Raw) -> str | None:
        try:
            said = _object(params)
        except DECODE_ERRORS:
            return "params"  # a list, say: the server takes parameters by their place as well
        return next((name for name, keeps in parameters.items() if name in said and not keeps(said[name])), None)

    return rule


def _edit(params: Raw) -> str | None:
    try:
        edit = _change(params)
        return None if _keep(edit.keyPath.split("."), loads(edit.value)) else "keyPath"
    except DECODE_ERRORS:
        return "params"


def _edits(value: Raw) -> bool:
    try:
        return all(_edit(edit) is None for edit in _list(value))
    except DECODE_ERRORS:
        return False


def _settings(value: Raw) -> bool:
    try:
        settings = loads(value)
    except DECODE_ERRORS:
        return False
    return settings is None or (isinstance(settings, dict) and _keep([], settings))


def _keep(path: Sequence[str], value: JsonValue) -> bool:
    """Tell whether a setting of codex's own configuration, or all in a table of them, keeps the sandbox.

    A path is split at its dots, and so are the keys of a table: the server takes both spellings.
    """
    keys = [part.strip(" \t\"'") for part in path]
    if any("\\" in key for key in keys):
        return False  # a key in disguise
    if not SETTINGS.keys().isdisjoint(keys[:-1]):
        return False  # to codex, a table with one key is another way to write a word
    if keys and keys[-1] in SETTINGS:
        return value is None or value in SETTINGS[keys[-1]]
    # Switches of features are called like what they switch on.
    if keys[:1] != ["features"] and not PROGRAMS.isdisjoint(keys):
        return False
    if MCP in keys and not _talks(path, keys[keys.index(MCP) + 1 :], value):
        return False
    return not isinstance(value, dict) or all(_keep([*keys, *key.split(".")], each) for key, each in value.items())


def _talks(path: Sequence[str], said: Sequence[str], value: JsonValue) -> bool:
    """Tell whether this much about MCP servers starts no program. ``said`` is the path below them: a name, then settings."""
    if any("'" in part or '"' in part for part in path) or (
        isinstance(value, dict) and any("." in key for key in value)
    ):
        return False  # nobody can tell where such a name ends
    match said:
        case [_, setting, *_]:
            return setting in TALKS
        case _:
            return value is None or isinstance(value, dict)


_object = msgspec.json.Decoder(dict[str, Raw]).decode
_list = msgspec.json.Decoder(list[Raw]).decode
_change = msgspec.json.Decoder(Change).decode
_mode, _policy, _profile = _fits(SafeMode | None), _fits(SafePolicy | None), _fits(SafeProfile | None)
_more: Mapping[str, Keeps] = {
    "permissions": _profile,
    "runtimeWorkspaceRoots": _fits(NoRoots),
    "environments": _fits(list[Environment] | None),
    "approvalsReviewer": _fits(Reviewer),
}
_thread = _by(sandbox=_mode, config=_settings, selectedCapabilityRoots=_fits(NoRoots), **_more)
# A thread that begins with leave to write has the server trust the folder for good, and run the programs that the folder's
# own configuration names. Its turns may be given that leave.
_new_thread = _by(
    sandbox=_fits(Literal["read-only"] | None),
    config=_settings,
    selectedCapabilityRoots=_fits(NoRoots),
    **{**_more, "permissions": _fits(Literal[":read-only"] | None)},
)
_turn = _by(sandboxPolicy=_policy, **_more)

GATED: Mapping[str, Rule] = {
    "thread/start": _new_thread,
    "thread/resume": _thread,
    "thread/fork": _new_thread,
    "thread/settings/update": _turn,
    "turn/start": _turn,
    "turn/settings/update": _turn,
    "command/exec": _by(sandboxPolicy=_policy, permissionProfile=_profile),
    "config/value/write": _edit,
    "config/batchWrite": _by(edits=_edits),
    # No sandbox holds these, whatever they say.
    "process/spawn": _never,
    "thread/shellCommand": _never,
    "fs/writeFile": _never,
    "fs/createDirectory": _never,
    "fs/remove": _never,
    "fs/copy": _never,
}
"""The methods that can run or change something outside of a sandbox, and the rule for each."""
