"""What a tool is about to do, or did: read from a server request and from the item that it belongs to.

A request alone does not say enough (that of a file change has no paths), and its words are not what they seem (a command is
a shell with a script). :class:`ToolUse` says it in the terms that rules are written in. What cannot be known is ``None``,
never an empty value, so that nobody takes "unknown" for "nothing".

Paths and folders are given as the server told them. Resolving links and ``..`` needs a file system, so somebody else does
that, with :func:`with_paths`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Literal, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from codex_runtime._sansio import server_requests as rules
from codex_runtime._sansio.envelope import JsonValue
from codex_runtime._sansio.shell_words import simple_words
from codex_runtime._sansio.turn_events import CommandCompleted, FileChangeCompleted, ToolCompleted
from codex_runtime._sansio.turn_items import file_changes, mapping, text, text_or_none, typed_command
from codex_runtime._sansio.turn_result import FileChange

__all__ = ["ToolKind", "ToolUse", "ended_tool", "is_tool_approval", "requested_tool", "with_paths"]

ToolKind: TypeAlias = Literal["command", "file_change", "permissions", "network", "mcp", "dynamic", "unknown"]

ANY_HOST = "*"
# A shell by a name or a place that no project can bring along. Any other shell is a program like any other.
_TRUSTED_SHELL = re.compile(
    r"\s*(?:/bin/|/usr/bin/|/usr/local/bin/|/opt/homebrew/bin/)?(?:ba|z|da|k|a)?sh\s+-l?c\s",
)


class ToolUse(Struct, frozen=True, kw_only=True):
    """One use of a tool.

    - ``kind``: "command", "file_change", "permissions" (more rights for the rest of the turn), "network" (one host),
      "mcp" (a tool of an MCP ``server``), "dynamic" (a tool of ours) or "unknown".
    - ``name``: "shell", "apply_patch", "permissions", "network", ``server/tool`` or ``tool``.
    - ``command`` is what a person would type, ``raw_command`` what is started; ``argv`` are the words of the command if it
      is one program with literal words, else ``None``. ``cwd`` is where it runs.
    - ``paths``: the files that are written, or to which rights are asked for; ``None`` if they are not known.
      ``changes``: the same with the diffs.
    - ``hosts``: to which the network is asked for; ``"*"`` is all of it.
    - ``is_escalated``: more than the sandbox gives is asked for. The server does not always say so: an accepted command
      may run outside of the sandbox even if this is false.
    - ``arguments`` of an MCP or dynamic tool, as JSON values.
    - ``status``, ``exit_code``, ``output``: how it ended; ``None`` before.
    """

    kind: ToolKind
    name: str | None
    command: str | None = None
    raw_command: str | None = None
    argv: tuple[str, ...] | None = None
    cwd: str | None = None
    paths: tuple[str, ...] | None = None
    changes: tuple[FileChange, ...] = ()
    hosts: tuple[str, ...] = ()
    server: str | None = None
    tool: str | None = None
    arguments: JsonValue = None
    reason: str | None = None
    is_escalated: bool = False
    status: str | None = None
    exit_code: int | None = None
    output: str | None = None


def is_tool_approval(method: str, params: JsonValue) -> bool:
    """Tell whether a request is about the use of a tool. Some elicitations are: the server asks before an MCP call."""
    if method != rules.ELICITATION:
        return method in rules.APPROVALS or method == rules.TOOL_CALL
    asked = mapping(params)
    about = mapping(asked.get("_meta")).get("codex_approval_kind")
    # One that wants content is a question to a person, whatever it says of itself.
    wants = mapping(mapping(asked.get("requestedSchema")).get("properties"))
    return about == "mcp_tool_call" and asked.get("mode") == "form" and not wants


def requested_tool(method: str, params: JsonValue, items: Sequence[JsonValue], cwd: str | None = None) -> ToolUse:
    """Read a request for which :func:`is_tool_approval` holds.

    ``items`` are those of its turn that it may belong to, as the server told them; ``cwd`` is the folder of the session.
    """
    asked = mapping(params)
    match method:
        case rules.COMMAND:
            return _command(asked, _item(items, "commandExecution", asked.get("itemId")), cwd)
        case rules.FILE_CHANGE:
            item = _item(items, "fileChange", asked.get("itemId"))
            return _file_change(asked, file_changes(item.get("changes")), cwd)
        case rules.PERMISSIONS:
            return _permissions(asked, asked.get("permissions"), text_or_none(asked.get("cwd")) or cwd)
        case rules.ELICITATION:
            return _mcp(asked, items, cwd)
        case rules.TOOL_CALL:
            return _dynamic(asked, cwd)
        case rules.OLD_COMMAND:
            return _old_command(asked, cwd)
        case rules.OLD_PATCH:
            return _old_patch(asked, cwd)
        case _:
            return ToolUse(kind="unknown", name=None, cwd=cwd)


def ended_tool(event: object, cwd: str | None = None) -> ToolUse | None:
    """Read the event of a tool use that ended; ``None`` for other events. ``cwd`` is the folder of the session."""
    match event:
        case CommandCompleted():
            use = _command({}, {"command": event.raw_command, "cwd": event.cwd}, cwd)
            return replace(use, status=event.status, exit_code=event.exit_code, output=event.output)
        case FileChangeCompleted():
            return replace(_file_change({}, event.changes, cwd), status=event.status)
        case ToolCompleted():
            told = {"server": event.server, "tool": event.tool, "arguments": event.arguments}
            use = _dynamic(told, cwd) if event.server is None else _mcp_use(event.server, [told], cwd)
            return replace(use, status=event.status)
        case _:
            return None


def with_paths(use: ToolUse, resolve: Callable[[str], str]) -> ToolUse:
    """Return the same use with every path and folder put through ``resolve``."""
    return replace(
        use,
        cwd=None if use.cwd is None else resolve(use.cwd),
        paths=None if use.paths is None else tuple(map(resolve, use.paths)),
    )


def _item(items: Sequence[JsonValue], kind: str, item_id: JsonValue) -> dict[str, JsonValue]:
    found = (mapping(item) for item in items)
    return next((item for item in found if item.get("type") == kind and item.get("id") == item_id), {})


def _command(asked: dict[str, JsonValue], item: dict[str, JsonValue], cwd: str | None) -> ToolUse:
    raw = text_or_none(asked.get("command")) or text_or_none(item.get("command"))
    wants_more = asked.get("additionalPermissions")
    host = text_or_none(mapping(asked.get("networkApprovalContext")).get("host"))
    more = _permissions(asked, wants_more, cwd)
    typed = None if raw is None else typed_command(raw) if _TRUSTED_SHELL.match(raw) else raw
    return ToolUse(
        kind="command" if host is None else "network",
        name="shell" if host is None else "network",
        command=typed,
        raw_command=raw,
        argv=None if typed is None else simple_words(typed),
        cwd=text_or_none(asked.get("cwd")) or text_or_none(item.get("cwd")) or cwd,
        paths=more.paths if wants_more else (),
        hosts=more.hosts if host is None else (host, *more.hosts),
        reason=text_or_none(asked.get("reason")),
        is_escalated=bool(wants_more or asked.get("reason")),
    )


def _file_change(asked: dict[str, JsonValue], changes: tuple[FileChange, ...], cwd: str | None) -> ToolUse:
    root = text_or_none(asked.get("grantRoot"))
    return ToolUse(
        kind="file_change",
        name="apply_patch",
        cwd=cwd,
        paths=_written(changes, root),
        changes=changes,
        reason=text_or_none(asked.get("reason")),
        is_escalated=root is not None,
    )


def _written(changes: Sequence[FileChange], root: str | None) -> tuple[str, ...] | None:
    if not changes or not all(change.path for change in changes):
        return None
    moved = [change.move_path for change in changes if change.move_path]
    return (*(change.path for change in changes), *moved, *([root] if root else ()))


def _permissions(asked: dict[str, JsonValue], wanted: JsonValue, cwd: str | None) -> ToolUse:
    files = mapping(mapping(wanted).get("fileSystem"))
    network = mapping(mapping(wanted).get("network")).get("enabled")
    return ToolUse(
        kind="permissions",
        name="permissions",
        cwd=cwd,
        paths=_granted(files),
        hosts=(ANY_HOST,) if network else (),
        reason=text_or_none(asked.get("reason")),
        is_escalated=True,
    )


def _granted(files: dict[str, JsonValue]) -> tuple[str, ...] | None:
    """The paths that rights are asked for, or ``None`` if some of them are not plain paths."""
    paths: list[str] = []
    for key in files.keys() - {"globScanMaxDepth"}:
        listed = files[key]
        if listed is None:
            continue
        if key not in ("read", "write", "entries") or not isinstance(listed, list):
            return None
        for each in listed:
            place = mapping(mapping(each).get("path")) if key == "entries" else {"type": "path", "path": each}
            path = place.get("path")
            if place.get("type") != "path" or not isinstance(path, str) or not path:
                return None
            paths.append(path)
    return tuple(sorted(set(paths)))


def _dynamic(told: dict[str, JsonValue], cwd: str | None) -> ToolUse:
    tool = text_or_none(told.get("tool"))
    return ToolUse(kind="dynamic", name=tool, tool=tool, arguments=told.get("arguments"), cwd=cwd)


def _mcp(asked: dict[str, JsonValue], items: Sequence[JsonValue], cwd: str | None) -> ToolUse:
    server = text_or_none(asked.get("serverName"))
    calls = [
        item
        for item in map(mapping, items)
        if item.get("type") == "mcpToolCall" and item.get("server") == server and item.get("status") == "inProgress"
    ]
    use = _mcp_use(server, calls, cwd)
    arguments = mapping(asked.get("_meta")).get("tool_params", use.arguments)
    return replace(use, arguments=arguments, reason=text_or_none(asked.get("message")))


def _mcp_use(server: str | None, calls: Sequence[dict[str, JsonValue]], cwd: str | None) -> ToolUse:
    # The request names no item. With calls of several tools under way, which one is asked for is not known.
    tools = {text(call.get("tool")) for call in calls}
    tool = next(iter(tools)) if len(tools) == 1 else ""
    arguments = calls[0].get("arguments") if len(calls) == 1 else None
    name = f"{server}/{tool}" if server and tool else None
    return ToolUse(kind="mcp", name=name, server=server, tool=tool or None, arguments=arguments, cwd=cwd)


def _old_command(asked: dict[str, JsonValue], cwd: str | None) -> ToolUse:
    told = asked.get("command")
    words = tuple(told) if isinstance(told, list) and all(isinstance(word, str) for word in told) else None
    shown = None if words is None else " ".join(words)
    is_script = words is not None and len(words) == 3 and bool(_TRUSTED_SHELL.match(f"{words[0]} {words[1]} x"))  # noqa: PLR2004
    return ToolUse(
        kind="command",
        name="shell",
        command=words[2] if words is not None and is_script else shown,
        raw_command=shown,
        argv=simple_words(words[2]) if words is not None and is_script else words or None,
        cwd=text_or_none(asked.get("cwd")) or cwd,
        paths=(),
        reason=text_or_none(asked.get("reason")),
        is_escalated=bool(asked.get("reason")),
    )


def _old_patch(asked: dict[str, JsonValue], cwd: str | None) -> ToolUse:
    files = mapping(asked.get("fileChanges"))
    root = text_or_none(asked.get("grantRoot"))
    moved = [text_or_none(mapping(change).get("move_path")) for change in files.values()]
    paths = (*files, *(path for path in moved if path), *([root] if root else ()))
    return ToolUse(
        kind="file_change",
        name="apply_patch",
        cwd=cwd,
        paths=paths if files else None,
        reason=text_or_none(asked.get("reason")),
        is_escalated=root is not None,
    )
