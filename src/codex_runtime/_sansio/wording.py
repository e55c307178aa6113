"""Puts a server request into words for a person: all that one must see to decide, and nothing that pretends to be it.

Nothing is shortened, and everything is made visible (``display``): a command that hides its end in a control character, or a
path that turns the reading order around, is shown as what it is. Lines that belong together are indented below their label,
so no content can look like another label. A field that this version does not know is shown as JSON, for it may be a right
that would be given along.

The request alone is not enough: that of a file change names an item, and only the item has the paths and the diffs. Whoever
asks brings the items; without, the question says that the changes are not known.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from codex_runtime._sansio import server_requests as rules
from codex_runtime._sansio.display import evident, visible_json
from codex_runtime._sansio.envelope import JsonValue
from codex_runtime._sansio.questions import Part, Question
from codex_runtime._sansio.tool_use import is_tool_approval, requested_tool
from codex_runtime._sansio.turn_items import mapping, text, text_or_none
from codex_runtime._sansio.turn_result import FileChange

__all__ = ["question_of"]

# Ids and times, which are for programs, and what only repeats something else that is shown.
_NOT_FOR_PEOPLE = frozenset(
    {
        *("threadId", "turnId", "itemId", "callId", "conversationId", "approvalId", "elicitationId", "startedAtMs"),
        *("commandActions", "parsedCmd", "availableDecisions", "isBlocking", "autoResolutionMs"),
        *("proposedExecpolicyAmendment", "proposedNetworkPolicyAmendments"),
    }
)
# From how many characters on a command is said to be long.
_LONG = 500
_NOT_FOR_PEOPLE_IN_META = frozenset(
    {"codex_approval_kind", "persist", "tool_description", "tool_params", "tool_params_display"}
)


def question_of(method: str, params: JsonValue, items: Sequence[JsonValue] = ()) -> Question:
    """Put a request into words. ``items`` are those of its turn that it may belong to, as the server told them."""
    asked = mapping(params)
    match method:
        case rules.COMMAND | rules.OLD_COMMAND:
            return _command(method, asked, items)
        case rules.FILE_CHANGE | rules.OLD_PATCH:
            return _file_change(method, asked, items)
        case rules.PERMISSIONS:
            rights = tuple(_rights(asked.get("permissions")))
            return _question("grant these permissions?", asked, rights, {"permissions"}, can_last=True)
        case rules.ELICITATION:
            return _elicitation(method, asked, items)
        case rules.USER_INPUT:
            parts = tuple(_questions(asked.get("questions")))
            return _question("answer these questions?", asked, parts, {"questions"}, can_accept=False)
        case rules.TOOL_CALL:
            return _tool_call(asked)
        case _:
            title = _TITLES.get(method) or f"{_flat(method)} wants an answer"
            told = params if isinstance(params, dict) else {"params": params}
            return _question(title, told, (), set(), can_accept=False)


_TITLES: Mapping[str, str] = {
    rules.TOKENS: "give new tokens for the account?",
    rules.ATTESTATION: "give an attestation?",
    rules.CURRENT_TIME: "tell the time?",
}


def _question(
    title: str,
    asked: dict[str, JsonValue],
    parts: Sequence[Part],
    shown: set[str],
    *,
    can_accept: bool = True,
    can_last: bool = False,
) -> Question:
    """Add what all kinds may have (place, reason) and what nobody has shown yet."""
    where = [Part("in", _flat(asked["cwd"]))] if isinstance(asked.get("cwd"), str) else []
    reason = [Part("because", evident(asked["reason"]))] if isinstance(asked.get("reason"), str) else []
    known = shown | _NOT_FOR_PEOPLE | ({"cwd"} if where else set()) | ({"reason"} if reason else set())
    known |= {"environmentId"} if asked.get("environmentId") == "local" else set()
    return Question(title, (*parts, *where, *reason, *_rest(asked, known)), can_accept=can_accept, can_last=can_last)


def _command(method: str, asked: dict[str, JsonValue], items: Sequence[JsonValue]) -> Question:
    use = requested_tool(method, asked, items)
    told, shown = asked.get("command"), {"additionalPermissions", "kind", "networkApprovalContext"}
    command = use.command
    if isinstance(told, list) and command is not None and command == use.raw_command:
        command = shlex.join(map(str, told))
    parts = [] if command is None else [Part("command", evident(command))]
    if command is not None and len(command) > _LONG:  # its beginning may have left the screen
        parts.append(Part("length", f"{len(command)} characters, {command.count(chr(10)) + 1} lines"))
    if command is not None and isinstance(told, str if method == rules.COMMAND else list):
        shown.add("command")
    if not isinstance(asked.get("cwd"), str) and use.cwd is not None:
        parts.append(Part("in", _flat(use.cwd)))
    parts += _rights(asked.get("additionalPermissions"))
    title = "run this command?"
    if asked.get("kind", "command") != "command":
        title = f"{_value(asked['kind'])}: let this command go on?"
    if (network := asked.get("networkApprovalContext")) is not None:
        title = "let this command reach the network?"
        parts.append(Part("network", _network(network)))
    return _question(title, asked, parts, shown, can_last=True)


def _network(wanted: JsonValue) -> str:
    match wanted:
        case {"host": str(host), "protocol": str(protocol), **rest} if not rest:
            return f"{_flat(host)} ({_flat(protocol)})"
        case _:
            return _json(wanted)


def _file_change(method: str, asked: dict[str, JsonValue], items: Sequence[JsonValue]) -> Question:
    changes = requested_tool(method, asked, items).changes if method == rules.FILE_CHANGE else _old_changes(asked)
    parts: list[Part] = []
    for change in changes:
        moved = f", moved to {change.move_path}" if change.move_path else ""
        parts += [Part("change", _flat(f"{change.kind} {change.path}{moved}")), Part("diff", evident(change.diff))]
    if not parts:
        parts.append(Part("change", "not known: the server told no files and no diffs"))
    if asked.get("grantRoot") is not None:
        parts.append(Part("write", f"everything below {_value(asked['grantRoot'])}, from now on"))
    files = asked.get("fileChanges")
    are_known = isinstance(files, dict) and all(isinstance(told, dict) for told in files.values())
    shown = {"grantRoot"} | ({"fileChanges"} if are_known else set())
    return _question("apply this patch?", asked, parts, shown, can_last=True)


def _old_changes(asked: dict[str, JsonValue]) -> tuple[FileChange, ...]:
    files = {path: mapping(told) for path, told in mapping(asked.get("fileChanges")).items()}
    return tuple(
        FileChange(
            path=path,
            kind=text(told.get("type")),
            diff=text(told.get("unified_diff")) or text(told.get("content")),
            move_path=text_or_none(told.get("move_path")),
        )
        for path, told in files.items()
    )


def _rights(wanted: JsonValue) -> Iterator[Part]:
    """Show each right that is asked for; what is not of the form that we know, as it came."""
    if wanted is None:
        return
    if not isinstance(wanted, dict):
        yield Part("permissions", _json(wanted))
        return
    network = wanted.get("network")
    if network is not None:
        yield Part("network", "all of it" if network == {"enabled": True} else _json(network))
    files = mapping(wanted.get("fileSystem"))
    seen: set[tuple[str, str]] = set()
    for access, path in _paths(files):
        if (access, path) not in seen:
            seen.add((access, path))
            yield Part(access, path)
    yield from _rest(files, {"read", "write", "entries"})
    yield from _rest(wanted, {"network", "fileSystem"} if isinstance(wanted.get("fileSystem"), dict) else {"network"})


def _paths(files: dict[str, JsonValue]) -> Iterator[tuple[str, str]]:
    for access in ("read", "write"):
        for path in _listed(files.get(access)):
            yield access, _value(path)
    for entry in _listed(files.get("entries")):
        match entry:
            case {
                "access": "read" | "write" as access,
                "path": {"type": "path", "path": str(path), **more},
                **rest,
            } if not more and not rest:
                yield str(access), _flat(path)
            case _:
                yield "files", _json(entry)


def _listed(value: JsonValue) -> list[JsonValue]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _elicitation(method: str, asked: dict[str, JsonValue], items: Sequence[JsonValue]) -> Question:
    meta, server, message = mapping(asked.get("_meta")), _value(asked.get("serverName")), asked.get("message")
    parts = [Part("message", evident(message) if isinstance(message, str) else _json(message))]
    schema = asked.get("requestedSchema")
    fields = mapping(mapping(schema).get("properties"))
    shown = {"serverName", "message", "mode", "url", "requestedSchema"} | ({"_meta"} if meta else set())
    title = f"the MCP server {server} asks:"
    if is_tool_approval(method, asked):
        use = requested_tool(method, asked, items)
        title = f"let a tool of the MCP server {server} run?"
        parts += [Part("tool", _flat(use.name))] if use.name else []
        parts += [] if use.arguments is None else [Part("arguments", _json(use.arguments))]
    elif meta.get("tool_params") is not None:
        parts.append(Part("arguments", _json(meta["tool_params"])))
    if meta.get("tool_description") is not None:
        parts.append(Part("description", _value(meta["tool_description"])))
    parts += [Part("url", _value(asked["url"]))] if asked.get("url") is not None else []
    required = rules.required_fields(asked)
    parts += [
        Part("field", f"{_flat(name)}{' (required)' if name in required else ''}: {_json(field)}")
        for name, field in fields.items()
    ]
    is_known = isinstance(mapping(schema).get("properties"), dict)
    parts += _rest(mapping(schema), {"type", "required", *(["properties"] if is_known else [])})
    if schema is not None and not isinstance(schema, dict):
        parts.append(Part("form", _json(schema)))
    parts += _rest(meta, _NOT_FOR_PEOPLE_IN_META)
    can_last = rules.offers(asked, "session")
    return _question(title, asked, parts, shown, can_accept=not (fields or required), can_last=can_last)


def _questions(asked: JsonValue) -> Iterator[Part]:
    for question in _listed(asked):
        words = mapping(question).get("question")
        if not isinstance(words, str):
            yield Part("question", _json(question))
            continue
        header, secret = text(question.get("header")), " (the answer is a secret)" if question.get("isSecret") else ""
        yield Part("question", evident(f"{header}: {words}{secret}" if header else f"{words}{secret}"))
        for option in _listed(question.get("options")):
            label, description = mapping(option).get("label"), text(mapping(option).get("description"))
            told = label if isinstance(label, str) else _json(option)
            yield Part("option", evident(f"{told}: {description}" if description else told))


def _tool_call(asked: dict[str, JsonValue]) -> Question:
    space = f"{_value(asked['namespace'])}." if asked.get("namespace") is not None else ""
    parts = [Part("tool", f"{space}{_value(asked.get('tool'))}"), Part("arguments", _json(asked.get("arguments")))]
    return _question("run this tool?", asked, parts, {"tool", "arguments", "namespace"}, can_accept=False)


def _rest(told: dict[str, JsonValue], known: set[str] | frozenset[str]) -> list[Part]:
    return [
        Part("also", f"{_flat(key)}: {_json(told[key])}") for key in told if key not in known and told[key] is not None
    ]


def _value(value: JsonValue) -> str:
    return _flat(value) if isinstance(value, str) else _json(value)


def _flat(words: str) -> str:
    """Make a text visible on one line."""
    return evident(words).replace("\n", "␤").replace("\t", "␉")


def _json(value: JsonValue) -> str:
    try:
        told = msgspec.json.encode(value).decode()
    except UnicodeEncodeError:  # half of a surrogate pair, or bytes that are no UTF-8: shown as what they are
        import json  # for lines that no server of today writes

        told = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    except RecursionError:
        return "nested too deeply to be shown"
    return evident(visible_json(told))
