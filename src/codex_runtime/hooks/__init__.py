"""Guests: functions, programs and rules that look at what is about to happen, and may forbid it.

::

    def no_pushing(context: HookContext) -> HookOutcome:
        return Deny("pushing is for people")

    guard = Hook("no pushing", no_pushing, when=HookMatcher(phases=("pre_tool_use",), command=("git", "push")))
    async with Client(hooks=(guard, load_policy("policy.toml"))) as client: ...

Hooks are given to a client, to a session (``start_session(hooks=...)``) or to a run (``session.run(hooks=...)``), and add
up: outer ones first, and an inner one can only be stricter. A hook that fails where the server waits for an answer is a no.
"""

from codex_runtime._sansio.hooks import (
    Allow,
    AnyHook,
    Ask,
    Deny,
    Hook,
    HookContext,
    HookIssue,
    HookMatcher,
    HookOutcome,
    HookReport,
    IssueKind,
    Patch,
    Phase,
    Verdict,
)
from codex_runtime._sansio.policy import Judgement, Policy, Rule
from codex_runtime._sansio.tool_use import ToolKind, ToolUse
from codex_runtime.hooks._policy_file import load_policy
from codex_runtime.hooks._shell import ShellHook

__all__ = [
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
    "Judgement",
    "Patch",
    "Phase",
    "Policy",
    "Rule",
    "ShellHook",
    "ToolKind",
    "ToolUse",
    "Verdict",
    "load_policy",
]
