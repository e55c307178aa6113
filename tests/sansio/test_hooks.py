"""Which hooks are called, in which order, and what their answers come to together."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codex_runtime._sansio.hooks import (
    AFTER,
    BEFORE,
    GATES,
    PHASES,
    Allow,
    Ask,
    Deny,
    Hook,
    HookContext,
    HookIssue,
    HookMatcher,
    HookReport,
    Patch,
    Phase,
    applies,
    asks,
    fold,
    joined,
    problem_with,
    stronger,
    within,
)
from codex_runtime._sansio.tool_use import ToolUse
from codex_runtime.errors import ConfigError

verdicts = st.sampled_from([None, Allow(), Ask(), Deny()])


def hook(name: str, *phases: Phase) -> Hook:
    """A hook that has no opinion."""
    return Hook(name, no_opinion, when=HookMatcher(phases=phases))


def no_opinion(context: HookContext) -> None:
    """Say nothing."""


def command(text: str, argv: tuple[str, ...] | None = None, cwd: str | None = None) -> HookContext:
    """What a hook is told before a command."""
    tool = ToolUse(kind="command", name="shell", command=text, argv=argv, cwd=cwd)
    return HookContext(phase="pre_tool_use", cwd="/w", method="item/commandExecution/requestApproval", tool=tool)


def test_each_phase_is_of_one_sort() -> None:
    """Before something, after something, or where the server waits."""
    assert sorted([*BEFORE, *AFTER, *GATES]) == sorted(PHASES)
    assert len(PHASES) == 10


# -- order and names ---------------------------------------------------------------------------------------------------


def test_outer_hooks_come_first_and_the_same_hook_only_once() -> None:
    """A hook that is in two scopes stands where the outer one put it."""
    one, two, three = hook("one"), hook("two"), hook("three")
    assert joined([one, two], [three, one]) == (one, two, three)


def test_two_hooks_of_one_name_are_an_error() -> None:
    """Neither can quietly take the place of the other."""
    with pytest.raises(ConfigError, match="two different hooks are called 'one'"):
        joined([hook("one")], [Hook("one", print)])


@pytest.mark.parametrize(
    "wrong", [no_opinion, Hook(" ", no_opinion), Hook("x", no_opinion, timeout=0), Hook("x", no_opinion, timeout=1e999)]
)
def test_what_is_no_hook_is_told_at_once(wrong: Any) -> None:
    """A bare function, no name, no time."""
    with pytest.raises(ConfigError):
        joined([wrong], [])


def test_whether_anybody_wants_a_phase() -> None:
    """A matcher without phases wants all of them."""
    assert asks([hook("all")], ["pre_tool_use"])
    assert asks([hook("x", "pre_turn"), hook("all")], ["post_turn"])
    assert not asks([hook("x", "pre_turn")], ["post_turn", "pre_run"])
    assert not asks([], PHASES)


# -- matchers ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("matcher", "expected"),
    [
        (HookMatcher(), True),
        (HookMatcher(phases=("pre_tool_use",)), True),
        (HookMatcher(phases=("pre_turn", "post_turn")), False),
        (HookMatcher(tool="shell"), True),
        (HookMatcher(tool="apply_patch"), False),
        (HookMatcher(command=("git",)), True),
        (HookMatcher(command=("git", "push")), True),
        (HookMatcher(command=("git", "pull")), False),
        (HookMatcher(command=("push",)), False),
        (HookMatcher(cwd="/w"), True),
        (HookMatcher(cwd="/w/"), True),
        (HookMatcher(cwd="/w/sub"), True),
        (HookMatcher(cwd="/w/su"), False),
        (HookMatcher(cwd="/"), True),
        (HookMatcher(method="item/commandExecution/requestApproval"), True),
        (HookMatcher(method="item/fileChange/requestApproval"), False),
        (HookMatcher(tool="shell", command=("git",), cwd="/other"), False),
    ],
)
def test_all_that_a_matcher_gives_must_hold(matcher: HookMatcher, expected: object) -> None:
    """One constraint that does not hold is enough."""
    assert applies(matcher, command("git push", ("git", "push"), cwd="/w/sub")) is expected


def test_a_command_is_looked_for_wherever_it_may_be_named() -> None:
    """A guard against it is called for a pipe, too."""
    assert applies(HookMatcher(command=("git", "push")), command("make && git push --force"))


@pytest.mark.parametrize(
    "text", ["/usr/bin/git push", "git -C /x push", "bash -c '/usr/bin/git --no-pager push'", "FOO=1 sudo git push"]
)
def test_a_guard_is_not_passed_by_another_spelling(text: str) -> None:
    """What a policy would deny, a hook with the same words is called for."""
    assert applies(HookMatcher(command=("git", "push")), command(text))
    network = ToolUse(kind="network", name="network", command=text, hosts=("example.org",))
    assert applies(HookMatcher(command=("git", "push")), HookContext(phase="pre_tool_use", tool=network))


def test_at_a_gate_what_is_not_known_holds() -> None:
    """A guard is not passed by leaving something out; elsewhere, what is not known does not hold."""
    nothing = HookContext(phase="pre_tool_use", tool=ToolUse(kind="command", name=None))
    for matcher in (HookMatcher(tool="shell"), HookMatcher(command=("rm",)), HookMatcher(cwd="/w")):
        assert applies(matcher, nothing)
    assert not applies(HookMatcher(cwd="/w"), HookContext(phase="pre_turn"))
    assert not applies(HookMatcher(tool="shell"), HookContext(phase="user_input"))
    assert not applies(HookMatcher(command=("rm",)), HookContext(phase="user_input"))


@pytest.mark.parametrize(
    ("path", "folder", "expected"),
    [
        ("/a", "/a", True),
        ("/a/b", "/a", True),
        ("/ab", "/a", False),
        ("/a", "/a/b", False),
        ("/a/../b", "/a", False),
        ("/a/b", "/a/", True),
        ("/a", "/", True),
        ("/a//b/.", "/a/b", True),
    ],
)
def test_a_folder_is_not_a_mere_beginning_of_a_text(path: str, folder: str, expected: object) -> None:
    """Names count as a whole, and dots are followed."""
    assert within(path, folder) is expected


@pytest.mark.parametrize(
    "wrong", [{"phases": ("before",)}, {"phases": "pre_turn"}, {"command": "git push"}, {"cwd": "here"}, {"cwd": "~"}]
)
def test_a_matcher_that_means_nothing_is_told_at_once(wrong: dict[str, Any]) -> None:
    """It would never be called, or always."""
    with pytest.raises(ConfigError, match="when"):
        HookMatcher(**wrong)


# -- answers -----------------------------------------------------------------------------------------------------------


def test_a_stricter_verdict_wins_whoever_says_it() -> None:
    """Deny over ask over allow over no opinion; of equal ones the first counts."""
    assert stronger(Allow(), Ask()) == stronger(Ask(), Allow()) == Ask()
    assert stronger(Allow("first"), Allow("second")) == Allow("first")
    assert stronger(None, Allow()) == Allow()
    assert stronger(None, None) is None


@given(st.lists(verdicts), verdicts)
def test_an_inner_hook_can_only_tighten(outer: list[Any], inner: Any) -> None:
    """No verdict after others ever makes them milder, and one deny among them is a deny."""
    rank = {type(None): 0, Allow: 1, Ask: 2, Deny: 3}
    together = None
    for verdict in outer:
        together = stronger(together, verdict)
    after = stronger(together, inner)
    assert rank[type(after)] >= rank[type(together)]
    assert (after == Deny()) is (Deny() in [*outer, inner])


@pytest.mark.parametrize("phase", sorted(PHASES))
def test_what_may_be_answered_at_which_phase(phase: Phase) -> None:
    """A patch before something, a question at a gate, a denial until it is too late; else it must be told."""
    assert problem_with(phase, None) is None
    assert (problem_with(phase, Allow()) is None) is True
    assert (problem_with(phase, Deny()) is None) is (phase not in AFTER)
    assert (problem_with(phase, Ask()) is None) is (phase in GATES)
    assert (problem_with(phase, Patch()) is None) is (phase in BEFORE)
    for wrong in (True, "allow", {"decision": "allow"}, Allow):
        assert problem_with(phase, wrong) is not None


def test_patches_are_folded_in_order() -> None:
    """Later texts win, attachments add up, metadata is merged key by key."""
    first = Patch(prompt="a", model="m", add_attachments=(1,), metadata={"x": 1, "y": 1})
    second = Patch(prompt="b", add_attachments=(2,), metadata={"y": 2})
    assert fold([first, second]) == Patch(prompt="b", model="m", add_attachments=(1, 2), metadata={"x": 1, "y": 2})
    assert fold([]) == Patch()
    assert fold([Patch(prompt="")]).prompt == ""


# -- what is told ------------------------------------------------------------------------------------------------------


def test_params_are_decoded_anew_for_whoever_looks() -> None:
    """What one hook does to them, no other sees."""
    context = HookContext(phase="user_input", params_json=b'{"a":[1]}')  # type: ignore[arg-type]
    context.params["a"].append(2)
    assert context.params == {"a": [1]}
    assert HookContext(phase="pre_run").params is None


def test_a_report_is_clean_until_something_went_wrong() -> None:
    """Also a call that was left out counts."""
    assert HookReport().is_clean
    assert not HookReport((HookIssue("x", "pre_run", "timeout", "late"),)).is_clean
    assert not HookReport(dropped=1).is_clean
