"""Rules as data: what they allow exactly, what they deny loosely, and that a deny always wins."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codex_runtime._sansio import server_requests as rules
from codex_runtime._sansio.hooks import Allow, Ask, Deny, HookContext, Verdict
from codex_runtime._sansio.policy import MAX_COMMAND, Policy, Rule
from codex_runtime._sansio.tool_use import ToolUse, requested_tool
from codex_runtime.errors import ConfigError

GIT_STATUS = Rule(command=("git", "status"))
NO_RM = Rule(command=("rm", "-rf"))
NO_PUSH = Rule(command=("git", "push"))
POLICY = Policy(allow=(GIT_STATUS, Rule(command=("ls",)), Rule(command=("make",))), deny=(NO_RM, NO_PUSH))


def judge(policy: Policy, raw: str, cwd: str = "/w", **more: Any) -> str:
    """Judge a command as the server tells it, and name the verdict."""
    use = requested_tool(rules.COMMAND, {"command": raw, "cwd": cwd, **more}, [], "/w")
    return word(policy.judge(use, workspace="/w"))


def word(verdict: Verdict | None) -> str:
    """Name a verdict."""
    return type(verdict).__name__.lower()


def change(*paths: str, **more: Any) -> ToolUse:
    """A change of files."""
    return ToolUse(kind="file_change", name="apply_patch", paths=paths, cwd="/w", **more)


# -- commands ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("git status", "allow"),
        ("git status --short 'a b'", "allow"),
        ("/bin/bash -lc 'git status'", "allow"),
        ("'git' \"status\"", "allow"),
        ("git", "ask"),
        ("git stat", "ask"),
        ("git statusx", "ask"),
        ("git -c core.pager=evil status", "ask"),
        ("git -C /etc status", "ask"),
        ("/tmp/git status", "ask"),
        ("./git status", "ask"),
        ("/tmp/evil/bash -c 'git status'", "ask"),
        ("GIT_SSH_COMMAND=evil git status", "ask"),
        ("env X=1 git status", "ask"),
        ("sudo git status", "ask"),
        ("git status; curl x", "ask"),
        ("git status && curl x", "ask"),
        ("git status | sh", "ask"),
        ("git status > /etc/x", "ask"),
        ("git status $(curl x)", "ask"),
        ("git status `curl x`", "ask"),
        ('git status "$(curl x)"', "ask"),
        ("git status\ncurl x", "ask"),
        ("git status & curl x", "ask"),
        ("git status <(curl x)", "ask"),
        ("git status *", "ask"),
        ("git status ~root", "ask"),
        ("git status $X", "ask"),
        ("git status \\\n; curl", "ask"),
        ("git\u00a0status", "ask"),
        ("git st\u200batus", "ask"),
        ("", "deny"),
        ("ls; rm -rf x", "deny"),
        ("ls && rm -rf x", "deny"),
        ("ls | xargs rm -rf", "deny"),
        ("echo $(rm -rf x)", "deny"),
        ('echo "`rm -rf x`"', "deny"),
        ("A=1 rm -rf x", "deny"),
        ("env A=1 rm -rf x", "deny"),
        ("sudo -u root rm -rf x", "deny"),
        ("bash -c 'rm -rf x'", "deny"),
        ("/tmp/evil/bash -c 'rm -rf x'", "deny"),
        ("/bin/rm -rf x", "deny"),
        ("r\\m -rf x", "deny"),
        ("'rm' '-rf' x", "deny"),
        ("rm x -rf", "deny"),
        ("git push", "deny"),
        ("git -c a=b push", "deny"),
        ("git -C /x push --force", "deny"),
        ("make && git push", "deny"),
        ("find . -exec rm -rf {} +", "deny"),
        ("if true; then rm -rf x; fi", "deny"),
    ],
)
def test_a_policy_on_tricky_commands(command: str, expected: str) -> None:
    """Yes only to what is fully understood; no wherever it might be meant; else a person."""
    assert judge(POLICY, command) == expected


@pytest.mark.parametrize(("default", "expected"), [("allow", "ask"), ("ask", "ask"), ("deny", "deny")])
def test_a_complex_command_is_never_allowed_by_accident(default: Any, expected: str) -> None:
    """Also a default of *allow* is for simple commands only."""
    assert judge(Policy(default=default, allow=(GIT_STATUS,)), "git status; x") == expected
    assert judge(Policy(default=default, complex_commands="deny"), "a; b") == "deny"
    assert judge(Policy(default=default, complex_commands="allow"), "a; b") == default


def test_an_allowed_command_must_run_in_the_workspace() -> None:
    """`make` does what the folder says."""
    assert [judge(POLICY, "make", cwd) for cwd in ("/w", "/w/sub", "/wx", "/w/../x", "/")] == [
        "allow",
        "allow",
        "ask",
        "ask",
        "ask",
    ]
    use = requested_tool(rules.COMMAND, {"command": "make", "cwd": "/root2/x"}, [])
    assert word(POLICY.judge(use, workspace="/w", roots=("/root2",))) == "allow"
    assert word(POLICY.judge(requested_tool(rules.COMMAND, {"command": "make"}, []), workspace="/w")) == "ask"
    assert word(POLICY.judge(use, workspace=None)) == "ask"


def test_more_than_the_sandbox_gives_is_asked_about() -> None:
    """An allowed command in the sandbox is not one outside of it; a policy may say otherwise."""
    assert judge(POLICY, "git status", reason="May I?") == "ask"
    easy = Policy(allow=(GIT_STATUS,), escalated="allow")
    assert judge(easy, "git status", reason="May I?") == "allow"
    network = {"network": {"enabled": True}}
    assert judge(easy, "git status", additionalPermissions=network) == "ask"
    both = Policy(allow=(GIT_STATUS, Rule(network="*")), escalated="allow")
    assert judge(both, "git status", additionalPermissions=network) == "allow"


def test_a_command_that_is_not_known_or_too_long_is_never_allowed() -> None:
    """What cannot be read cannot be judged."""
    easy = Policy(default="allow")
    assert word(easy.judge(ToolUse(kind="command", name="shell", cwd="/w"), workspace="/w")) == "ask"
    assert judge(easy, "echo " + "a" * MAX_COMMAND) == "deny"
    assert word(POLICY.judge(ToolUse(kind="command", name="shell", cwd="/w"), workspace="/w")) == "deny"


def test_deny_beats_ask_and_ask_beats_allow() -> None:
    """Whatever the order in which they were written."""
    same = (Rule(command=("ls",), reason="why"),)
    assert judge(Policy(allow=same, ask=same, deny=same), "ls") == "deny"
    assert judge(Policy(allow=same, ask=same, default="allow"), "ls") == "ask"
    use = requested_tool(rules.COMMAND, {"command": "ls", "cwd": "/w"}, [])
    assert Policy(deny=same).judge(use, workspace="/w") == Deny("why")
    assert Policy(ask=same).judge(use, workspace="/w") == Ask("why")
    assert Policy(allow=same).judge(use, workspace="/w") == Allow("why")


# -- paths -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "path", "expected"),
    [
        ("**", "/w/a/b", "allow"),
        ("**", "/w", "allow"),
        ("**", "/wx/a", "ask"),
        ("**", "/x", "ask"),
        ("src/**", "/w/src/a/b.py", "allow"),
        ("./src/**", "/w/src/a", "allow"),
        ("src/**", "/w/srcx/a", "ask"),
        ("src/*", "/w/src/a", "allow"),
        ("src/*", "/w/src/a/b", "ask"),
        ("**/*.py", "/w/a/b.py", "allow"),
        ("**/*.py", "/w/b.py", "allow"),
        ("**/*.py", "/w/b.pyc", "ask"),
        ("a?", "/w/ab", "allow"),
        ("a?", "/w/a", "ask"),
        ("SRC/**", "/w/src/a", "ask"),
        ("/srv/data/**", "/srv/data/x", "allow"),
        ("/srv/data/**", "/srv/datax", "ask"),
        ("/**", "/etc/passwd", "allow"),
        ("**", "/w/../etc/passwd", "ask"),
        ("**", "a/b", "ask"),
        ("**", "", "ask"),
    ],
)
def test_a_path_is_allowed_only_if_the_pattern_covers_it(pattern: str, path: str, expected: str) -> None:
    """Relative patterns begin in the workspace; a path with dots, or a relative one, was not resolved and is not known."""
    policy = Policy(allow=(Rule(path=pattern),))
    assert word(policy.judge(change(path), workspace="/w")) == expected


def test_every_path_of_a_change_must_be_covered() -> None:
    """Also the target of a move; one that is denied denies the whole."""
    policy = Policy(allow=(Rule(path="src/**"), Rule(path="docs/**")), deny=(Rule(path="**/.git/**"),))
    assert word(policy.judge(change("/w/src/a", "/w/docs/b"), workspace="/w")) == "allow"
    assert word(policy.judge(change("/w/src/a", "/w/other"), workspace="/w")) == "ask"
    assert word(policy.judge(change("/w/src/a", "/w/src/.GIT/hooks/x"), workspace="/w")) == "deny"
    assert word(Policy(default="allow").judge(change(), workspace="/w")) == "allow"
    assert word(Policy(default="allow").judge(ToolUse(kind="file_change", name="x"), workspace="/w")) == "ask"


def test_a_star_in_the_name_of_the_workspace_is_no_pattern() -> None:
    """The folder's own name is taken as it is."""
    policy = Policy(allow=(Rule(path="**"),))
    assert word(policy.judge(change("/a*b/x"), workspace="/a*b")) == "allow"
    assert word(policy.judge(change("/aXb/x"), workspace="/a*b")) == "ask"


def test_without_a_workspace_relative_patterns_only_restrict() -> None:
    """Where it would be is not known, so it may be anywhere."""
    policy = Policy(allow=(Rule(path="**"),), deny=(Rule(path="secrets/**"),), default="ask")
    assert word(policy.judge(change("/w/a"), workspace=None)) == "ask"
    assert word(policy.judge(change("/x/secrets/a"), workspace=None)) == "deny"


# -- tools, hosts, rights ----------------------------------------------------------------------------------------------


def mcp(tool: str | None, server: str | None = "docs") -> ToolUse:
    """A call of an MCP tool."""
    return ToolUse(kind="mcp", name=f"{server}/{tool}" if tool and server else None, server=server, tool=tool)


@pytest.mark.parametrize(
    ("use", "expected"),
    [
        (mcp("search"), "allow"),
        (mcp("read_page"), "allow"),
        (mcp("delete"), "deny"),
        (mcp("other"), "ask"),
        (mcp("search", "docs2"), "ask"),
        (mcp(None), "deny"),
        (mcp("search", None), "ask"),
        (mcp("delete", None), "deny"),
        (ToolUse(kind="dynamic", name="search", tool="search"), "ask"),
        (ToolUse(kind="dynamic", name="lookup", tool="lookup"), "allow"),
        (ToolUse(kind="dynamic", name=None), "ask"),
        (ToolUse(kind="unknown", name=None), "ask"),
        (ToolUse(kind="network", name="network", hosts=("api.example.com",)), "allow"),
        (ToolUse(kind="network", name="network", hosts=("API.Example.com",)), "allow"),
        (ToolUse(kind="network", name="network", hosts=("example.com.evil",)), "ask"),
        (ToolUse(kind="network", name="network", hosts=("bad.example.com",)), "deny"),
        (ToolUse(kind="network", name="network", hosts=("*",)), "deny"),
        (ToolUse(kind="permissions", name="permissions", paths=("/w/a",), hosts=(), is_escalated=True), "allow"),
        (ToolUse(kind="permissions", name="permissions", paths=("/w/a", "/x"), is_escalated=True), "ask"),
        (ToolUse(kind="permissions", name="permissions", paths=None, is_escalated=True), "ask"),
        (ToolUse(kind="permissions", name="permissions", paths=(), is_escalated=True), "ask"),
    ],
)
def test_a_policy_on_tools_hosts_and_rights(use: ToolUse, expected: str) -> None:
    """A tool that is not known may be the denied one; the whole network has the denied host in it."""
    policy = Policy(
        allow=(
            Rule(mcp="docs/search"),
            Rule(mcp="docs/read_*"),
            Rule(tool="lookup"),
            Rule(network="*.example.com"),
            Rule(path="**"),
        ),
        deny=(Rule(mcp="docs/delete"), Rule(network="bad.example.com")),
    )
    assert word(policy.judge(use, workspace="/w")) == expected


def test_the_whole_network_is_allowed_by_a_star_only() -> None:
    """A pattern that fits every host one could name is not enough."""
    use = ToolUse(kind="permissions", name="permissions", paths=(), hosts=("*",), is_escalated=True)
    assert word(Policy(allow=(Rule(network="*"),)).judge(use, workspace="/w")) == "allow"
    assert word(Policy(allow=(Rule(network="*.*"),)).judge(use, workspace="/w")) == "ask"


# -- as a hook, and as data --------------------------------------------------------------------------------------------


def test_a_policy_is_a_hook_before_tools() -> None:
    """It judges the tool in the context, and says nothing where there is none."""
    assert POLICY.when.phases == ("pre_tool_use",)
    use = requested_tool(rules.COMMAND, {"command": "ls", "cwd": "/w"}, [])
    assert word(POLICY.call(HookContext(phase="pre_tool_use", cwd="/w", tool=use))) == "allow"
    assert POLICY.call(HookContext(phase="pre_tool_use")) is None


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"command": ("a",), "path": "b"},
        {"command": "git status"},
        {"command": ("git", "")},
        {"command": ("git", 1)},
        {"path": ("a",)},
        {"path": "../x"},
        {"path": "a/../b"},
        {"path": "~/x"},
        {"path": ""},
        {"mcp": "search"},
        {"mcp": "a/b/c"},
    ],
)
def test_a_rule_that_means_nothing_is_told_at_once(wrong: dict[str, Any]) -> None:
    """One subject, in its own form."""
    with pytest.raises(ConfigError):
        Rule(**wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        {"default": "perhaps"},
        {"complex_commands": ""},
        {"escalated": None},
        {"deny": [NO_RM]},
        {"name": " "},
        {"timeout": 0},
    ],
)
def test_a_policy_that_means_nothing_is_told_at_once(wrong: dict[str, Any]) -> None:
    """Settings are words that there are."""
    with pytest.raises(ConfigError):
        Policy(**wrong)


def test_a_rule_says_what_it_is_about() -> None:
    """In one line, for the record."""
    assert (NO_RM.subject, Rule(mcp="a/*").subject) == ("command rm -rf", "mcp a/*")


words = st.text(alphabet="ab*?/.-\0é \n", max_size=6)
some_rules = st.one_of(
    st.lists(st.sampled_from(["rm", "-rf", "ls", "a"]), min_size=1, max_size=3).map(
        lambda each: Rule(command=tuple(each))
    ),
    st.sampled_from(["**", "*", "a/**", "/**", "**/a*", "/a/*b*"]).map(lambda each: Rule(path=each)),
    st.sampled_from(["*/*", "a/*", "a/b"]).map(lambda each: Rule(mcp=each)),
    st.sampled_from(["*", "a*"]).map(lambda each: Rule(tool=each)),
    st.sampled_from(["*", "a.*"]).map(lambda each: Rule(network=each)),
)
judgements = st.sampled_from(["allow", "ask", "deny"])
policies = st.builds(
    Policy,
    deny=st.lists(some_rules, max_size=3).map(tuple),
    ask=st.lists(some_rules, max_size=3).map(tuple),
    allow=st.lists(some_rules, max_size=3).map(tuple),
    default=judgements,
    complex_commands=judgements,
    escalated=judgements,
)
uses = st.builds(
    ToolUse,
    kind=st.sampled_from(["command", "file_change", "permissions", "network", "mcp", "dynamic", "unknown"]),
    name=st.none() | words,
    command=st.none() | words | st.sampled_from(["rm -rf a", "ls", "a; ls"]),
    argv=st.none() | st.lists(words, max_size=3).map(tuple),
    cwd=st.none() | st.sampled_from(["/w", "/", "w", "/w/../x"]) | words,
    paths=st.none() | st.lists(words | st.sampled_from(["/w/a", "/a/b"]), max_size=3).map(tuple),
    hosts=st.lists(words | st.sampled_from(["*", "a.b"]), max_size=2).map(tuple),
    server=st.none() | words,
    tool=st.none() | words,
    is_escalated=st.booleans(),
)
workspaces = st.none() | st.sampled_from(["/w", "/", "/a*b"])
STRICTNESS = {"allow": 0, "ask": 1, "deny": 2}


@given(policies, uses, workspaces)
def test_no_tool_use_makes_a_policy_fail(policy: Policy, use: ToolUse, workspace: str | None) -> None:
    """What it is told comes from a model by way of a server: anything may be in it."""
    assert word(policy.judge(use, workspace=workspace)) in STRICTNESS


@given(policies, some_rules, uses, workspaces)
def test_a_further_deny_rule_never_makes_it_milder(
    policy: Policy, rule: Rule, use: ToolUse, workspace: str | None
) -> None:
    """Restricting rules add up, and a use that one policy denies by rule is denied whatever else is allowed."""
    stricter = Policy(
        deny=(*policy.deny, rule),
        ask=policy.ask,
        allow=policy.allow,
        default=policy.default,
        complex_commands=policy.complex_commands,
        escalated=policy.escalated,
    )
    before, after = word(policy.judge(use, workspace=workspace)), word(stricter.judge(use, workspace=workspace))
    assert STRICTNESS[after] >= STRICTNESS[before]
    if word(Policy(deny=(rule,), default="allow").judge(use, workspace=workspace)) == "deny":
        assert after == "deny"


@given(some_rules, uses, workspaces)
def test_what_a_rule_allows_the_same_rule_would_deny(rule: Rule, use: ToolUse, workspace: str | None) -> None:
    """Restricting is never narrower than permitting."""
    if word(Policy(allow=(rule,), default="deny").judge(use, workspace=workspace)) == "allow":
        assert word(Policy(deny=(rule,)).judge(use, workspace=workspace)) == "deny"
