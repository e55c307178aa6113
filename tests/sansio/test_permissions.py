"""The gate before anything is sent."""

from __future__ import annotations

from typing import Any

import pytest

from codex_runtime._sansio import permissions
from codex_runtime.errors import ConfigError, PermissionDeniedError

SAFE: dict[str, Any] = {
    "sandbox": "read-only",
    "network": False,
    "writable_roots": (),
    "approval_policy": None,
    "allow_full_access": False,
}


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"sandbox": "workspace-write", "network": True, "writable_roots": ("/a",)},
        {"sandbox": "danger-full-access", "allow_full_access": True},
        {"approval_policy": "untrusted", "network": True},
    ],
)
def test_sensible_settings_pass(options: dict[str, Any]) -> None:
    """The default is the safest of them."""
    permissions.check(**SAFE | options)


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"sandbox": "workspaceWrite"}, "sandbox"),
        ({"approval_policy": "on-failure"}, "approval_policy"),
        ({"writable_roots": ("/a",)}, "writable_roots"),
        ({"sandbox": "workspace-write", "writable_roots": ("a",)}, "writable_roots"),
        ({"sandbox": "danger-full-access", "network": True}, "network"),
    ],
)
def test_settings_without_a_meaning_are_refused(options: dict[str, Any], field: str) -> None:
    """The server would ignore them in silence."""
    with pytest.raises(ConfigError) as caught:
        permissions.check(**SAFE | options)
    assert caught.value.field == field


def test_full_access_must_be_said_twice() -> None:
    """It lets the agent do anything."""
    with pytest.raises(PermissionDeniedError, match="allow_full_access=True"):
        permissions.check(**SAFE | {"sandbox": "danger-full-access"})


@pytest.mark.parametrize(
    ("sandbox", "policy"),
    [
        ("read-only", {"type": "readOnly", "networkAccess": True}),
        ("workspace-write", {"type": "workspaceWrite", "networkAccess": True, "writableRoots": ["/a"]}),
        ("danger-full-access", {"type": "dangerFullAccess"}),
    ],
)
def test_a_turn_wants_the_sandbox_in_another_form(sandbox: str, policy: dict[str, Any]) -> None:
    """app-server.md section 3: kebab-case for threads, an object for turns."""
    assert permissions.sandbox_policy(sandbox, network=True, writable_roots=("/a",)) == policy
