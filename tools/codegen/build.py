"""From facts to the model: results, directions and homes.

Pure: facts in, a model out. Two ideas are needed to read it. *Direction*: a type that only ever travels from us to the
server is closed (a wrong literal is a type error), everything the server may send is open. *Home*: each type lives in
one module, the one of the namespace that uses it.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, cast

from tools.codegen.model import Definition, EnumDef, Method, Model, StructDef, UnionDef, pascal, snake, uses
from tools.codegen.shapes import INNER, Shapes

if TYPE_CHECKING:
    from tools.codegen.load import Facts, Node

ENVELOPES = re.compile(r"JSONRPC|Nullable")
"""Types that describe the envelope or upstream's own plumbing; they get no Python class."""

RESULTS = {
    "account/logout": "LogoutAccountResponse",
    "account/rateLimits/read": "GetAccountRateLimitsResponse",
    "account/usage/read": "GetAccountTokenUsageResponse",
    "account/workspaceMessages/read": "GetWorkspaceMessagesResponse",
    "config/batchWrite": "ConfigWriteResponse",
    "config/mcpServer/reload": "McpServerRefreshResponse",
    "config/value/write": "ConfigWriteResponse",
    "externalAgentConfig/import/readHistories": "ExternalAgentConfigImportHistoriesReadResponse",
}
"""The results that :func:`_result` cannot find by rule. The schema itself never links a method to its result."""

NAMESPACES = {
    "applyPatchApproval": "item",
    "attestation": "connection",
    "autoApprovalReview": "item",
    "configRequirements": "config",
    "configWarning": "config",
    "currentTime": "connection",
    "deprecationNotice": "notice",
    "error": "turn",
    "execCommandApproval": "item",
    "guardianWarning": "notice",
    "hook": "hooks",
    "initialize": "connection",
    "initialized": "connection",
    "marketplace": "plugin",
    "mcpServer": "mcp",
    "mcpServerStatus": "mcp",
    "mock": "experimental_feature",
    "modelProvider": "model",
    "server": "connection",
    "serverRequest": "connection",
    "thread/realtime": "realtime",
    "threadSection": "thread",
    "warning": "notice",
    "windowsSandbox": "windows",
}
"""Where the namespace is not simply the first segment of the method. A longer prefix wins."""

HOMES = {
    "ApprovalsReviewer": "permissions",
    "AskForApproval": "permissions",
    "NetworkAccess": "permissions",
    "SandboxMode": "permissions",
    "SandboxPolicy": "permissions",
    "HookEventName": "hooks",
    "SkillInterface": "skills",
}
"""Homes of types that several namespaces use and the rule would put at an odd place."""

SHARED = ("item", "turn", "realtime", "config", "model", "collaboration_mode")
"""A type used by several namespaces lives in the first of these that uses it, else in the module ``shared``."""


def build(facts: Facts) -> Model:
    """Decide everything. Raises ``ValueError`` when two types would share a name or a shape is not understood."""
    builder = Shapes(facts.types)
    for name, node in facts.types.items():
        if not ENVELOPES.match(name):
            builder.define(name, node)
    methods = tuple(_method(entry, facts.types) for entry in facts.methods)
    definitions = dict(builder.definitions)
    for method in methods:
        if method.direction == "client_notification" and method.params is None:
            name = pascal(method.name) + "Notification"
            definitions[name] = StructDef(name, ())
            methods = tuple(replace(m, params=name) if m is method else m for m in methods)
    reach = _Reach(definitions)
    for method in methods:
        reach.follow(method)
    definitions = {name: reach.direct(definition) for name, definition in definitions.items()}
    _name_methods(definitions, methods)
    return Model(facts.version, methods, definitions, _homes(definitions, reach))


def namespace(method: str) -> str:
    """The module a method's own types live in."""
    parts = method.split("/")
    for length in range(len(parts), 0, -1):
        if found := NAMESPACES.get("/".join(parts[:length])):
            return found
    return snake(parts[0])


def _method(entry: Node, types: dict[str, Node]) -> Method:
    name, direction = str(entry["method"]), str(entry["direction"])
    params = cast("str | None", entry["params"])
    result = _result(name, params, types) if direction.endswith("request") else None
    return Method(
        name,
        direction,
        namespace(name),
        params,
        result,
        bool(entry.get("experimental")),
        bool(entry.get("deprecated")),
    )


def _result(method: str, params: str | None, types: dict[str, Node]) -> str:
    """``XParams`` answers with ``XResponse``; else the method's own words do, with or without the first one."""
    words = pascal(method)
    guesses = [RESULTS.get(method), params and params.removesuffix("Params") + "Response", f"{words}Response"]
    guesses.append(f"{pascal(method.partition('/')[2])}Response")
    for guess in guesses:
        if guess and guess in types:
            return guess
    raise ValueError(f"no result type found for {method}; add it to RESULTS")


@dataclass
class _Reach:
    """Who uses what: for each type the namespaces and the directions in which it travels."""

    definitions: dict[str, Definition]
    namespaces: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    inbound: set[str] = field(default_factory=set)
    outbound: set[str] = field(default_factory=set)

    def follow(self, method: Method) -> None:
        ours = method.direction.startswith("client")
        for root, outgoing in ((method.params, ours), (method.result, not ours)):
            if root:
                seen: set[str] = set()
                self._walk(root, seen)
                (self.outbound if outgoing else self.inbound).update(seen)
                for name in seen:
                    self.namespaces[name].add(method.namespace)

    def _walk(self, name: str, seen: set[str]) -> None:
        if name in seen:
            return
        seen.add(name)
        for other in uses(self.definitions[name]):
            self._walk(other, seen)

    def direct(self, definition: Definition) -> Definition:
        """The definition with its direction filled in. What no method uses is read, never sent."""
        outbound = definition.name in self.outbound
        inbound = definition.name in self.inbound or not outbound
        match definition:
            case StructDef():
                return replace(definition, inbound=inbound, outbound=outbound)
            case UnionDef():
                return replace(definition, inbound=inbound)
            case EnumDef():
                return definition


def _name_methods(definitions: dict[str, Definition], methods: tuple[Method, ...]) -> None:
    """Tell each params type (all arms, if it is a union) its method, and each result type what it is."""
    for method in methods:
        for root, role in ((method.params, "params"), (method.result, "result")):
            top = definitions.get(root or "")
            structs = [struct for _, struct in top.arms] if isinstance(top, UnionDef) else [root or ""]
            for name in structs:
                struct = definitions.get(name)
                if isinstance(struct, StructDef):
                    shared = struct.role is not None
                    own = None if shared or role == "result" or _has(struct, "method") else method.name
                    words = {"params": "Params", "result": "Result"}[role] + f" of `{method.name}`"
                    words = f"{struct.role} and `{method.name}`" if shared else words
                    definitions[name] = replace(struct, method=own, role=words)


def _has(struct: StructDef, name: str) -> bool:
    return any(f.name == name for f in struct.fields)


def _homes(definitions: dict[str, Definition], reach: _Reach) -> dict[str, str]:
    homes = {name: _home(name, reach.namespaces) for name in definitions}
    # A union and its arms share a module, so that the union can list them without an import.
    for definition in definitions.values():
        if isinstance(definition, UnionDef):
            for _, struct in definition.arms:
                homes[struct] = homes[definition.name]
                if f"{struct}{INNER}" in homes:
                    homes[f"{struct}{INNER}"] = homes[definition.name]
    for definition in definitions.values():
        if isinstance(definition, UnionDef) and any(homes[s] != homes[definition.name] for _, s in definition.arms):
            raise ValueError(
                f"{definition.name} shares an arm with a union of another module; name their home in HOMES"
            )
    return homes


def _home(name: str, users: dict[str, set[str]]) -> str:
    spaces = users.get(name, set())
    if name in HOMES:
        return HOMES[name]
    if len(spaces) == 1:
        return next(iter(spaces))
    if not spaces:
        known = {space for group in users.values() for space in group}
        named = [space for space in known if name.startswith(pascal(space))]
        return max(named, key=len, default="shared")
    return next((space for space in SHARED if space in spaces), "shared")
