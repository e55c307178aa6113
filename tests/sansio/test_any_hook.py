"""What a hook must have: all three kinds of ours have it, and to hold hooks costs nothing."""

from __future__ import annotations

import subprocess
import sys
from inspect import getmembers

import pytest

from codex_runtime.hooks import AnyHook, Hook, Policy, ShellHook


@pytest.mark.parametrize(
    "hook",
    [Hook("mine", lambda _: None), Policy(), ShellHook("theirs", "true")],
    ids=["function", "policy", "program"],
)
def test_every_kind_of_ours_is_a_hook(hook: AnyHook) -> None:
    """With all that the caller of hooks asks of one."""
    asked = [name for name, _ in getmembers(AnyHook, lambda member: isinstance(member, property))]
    assert asked == ["call", "name", "timeout", "when"]
    assert all(getattr(hook, name) is not None for name in asked)


def test_who_has_no_hooks_loads_no_rules_for_them() -> None:
    """Although a profile says what hooks it takes."""
    code = "import sys; from codex_runtime import RunProfile; print('codex_runtime._sansio.hooks' in sys.modules)"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert ended.stdout == "False\n"
