"""What a run may do: sandbox and approvals, and the gate before the dearest of it.

Pure checks, made before anything is sent. The default of everything is the safe one: read only, and no asking for more.
"""

from __future__ import annotations

from collections.abc import Sequence
from posixpath import isabs
from typing import Literal, TypeAlias, get_args

from codex_runtime._sansio.envelope import JsonValue
from codex_runtime.errors import ConfigError, PermissionDeniedError

__all__ = ["ApprovalPolicy", "SandboxMode", "check", "sandbox_policy"]

SandboxMode: TypeAlias = Literal["read-only", "workspace-write", "danger-full-access"]
ApprovalPolicy: TypeAlias = Literal["never", "on-request", "untrusted"]


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


def sandbox_policy(sandbox: str, *, network: bool, writable_roots: Sequence[str]) -> dict[str, JsonValue]:
    """Return the sandbox in the form that a turn wants, which is not the form that a thread wants."""
    if sandbox == "danger-full-access":
        return {"type": "dangerFullAccess"}
    if sandbox == "workspace-write":
        return {"type": "workspaceWrite", "networkAccess": network, "writableRoots": list(writable_roots)}
    return {"type": "readOnly", "networkAccess": network}
