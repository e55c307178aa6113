"""Options and prompts: how they are merged, what is refused, and their form on the wire."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from codex_runtime import ConfigError, File, Image, LocalImage, RunProfile, Skill
from codex_runtime.client._prompt import MAX_INPUT, RunOptions, TurnOptions, folder, inputs
from codex_runtime.errors import PermissionDeniedError

if TYPE_CHECKING:
    from pathlib import Path

EVERYTHING: dict[str, Any] = {
    "model": "m",
    "effort": "high",
    "summary": "concise",
    "sandbox": "workspace-write",
    "network": True,
    "writable_roots": ("/srv/data",),
    "allow_full_access": True,
    "approvals": "accept",
    "approval_policy": "untrusted",
    "deadline": 5.0,
    "idle_deadline": 3.0,
    "first_event_deadline": 2.0,
    "output_schema": {"type": "object"},
    "base_instructions": "base",
    "developer_instructions": "dev",
    "settings": {"features.x": True},
    "ephemeral": True,
}


# -- options -----------------------------------------------------------------------------------------------------------


def test_the_two_lists_of_options_are_those_of_the_profile() -> None:
    """`RunProfile` and the typed keyword arguments cannot drift apart."""
    fields = set(RunProfile.__struct_fields__)
    assert set(RunOptions.__annotations__) | set(TurnOptions.__annotations__) == fields
    assert fields - {"hooks", "on_crash"} == set(EVERYTHING)  # which are our own business, and are not sent


def test_every_option_reaches_the_wire() -> None:
    """Nothing that may be said is lost; each has one place in each form."""
    profile = RunProfile(**EVERYTHING)
    assert profile.thread_params("/ws") == {
        "cwd": "/ws",
        "sandbox": "workspace-write",
        "approvalPolicy": "untrusted",
        "model": "m",
        "baseInstructions": "base",
        "developerInstructions": "dev",
        "config": {
            "features.x": True,
            "sandbox_workspace_write.network_access": True,
            "sandbox_workspace_write.writable_roots": ["/srv/data"],
        },
    }
    assert profile.turn_params("t", [{"type": "text", "text": "go"}]) == {
        "threadId": "t",
        "input": [{"type": "text", "text": "go"}],
        "sandboxPolicy": {"type": "workspaceWrite", "networkAccess": True, "writableRoots": ["/srv/data"]},
        "approvalPolicy": "untrusted",
        "model": "m",
        "effort": "high",
        "summary": "concise",
        "outputSchema": {"type": "object"},
    }


def test_the_defaults_are_the_safe_ones_and_are_said() -> None:
    """Whatever the server's own configuration allows, a plain session may only read, and asks for nothing."""
    profile = RunProfile()
    assert profile.thread_params("/ws") == {"cwd": "/ws", "sandbox": "read-only", "approvalPolicy": "never"}
    params = profile.turn_params("t", [])
    assert params["sandboxPolicy"] == {"type": "readOnly", "networkAccess": False}
    assert params["approvalPolicy"] == "never"


@pytest.mark.parametrize("approvals", ["accept", "stream", print])
def test_the_agent_asks_when_somebody_answers(approvals: Any) -> None:
    """Unless another policy is wished."""
    assert RunProfile(approvals=approvals).effective_approval_policy == "on-request"
    assert RunProfile(approvals=approvals, approval_policy="never").effective_approval_policy == "never"


def test_options_change_a_profile_one_by_one() -> None:
    """The old one stays as it is; nothing to change gives the same."""
    profile = RunProfile(model="a", deadline=3.0)
    assert profile.changed(model="b") == RunProfile(model="b", deadline=3.0)
    assert profile.changed(model=None) == RunProfile(deadline=3.0)
    assert profile.model == "a"
    assert profile.changed() is profile


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"sandbox": "none"}, "sandbox"),
        ({"approval_policy": "sometimes"}, "approval_policy"),
        ({"approvals": "maybe"}, "approvals"),
        ({"network": True, "sandbox": "danger-full-access", "allow_full_access": True}, "network"),
        ({"writable_roots": ("/a",)}, "writable_roots"),
        ({"writable_roots": ("a",), "sandbox": "workspace-write"}, "writable_roots"),
        ({"deadline": 0}, "deadline"),
        ({"deadline": -1.0}, "deadline"),
        ({"deadline": float("inf")}, "deadline"),
        ({"deadline": float("nan")}, "deadline"),
        ({"idle_deadline": 0}, "idle_deadline"),
        ({"first_event_deadline": float("nan")}, "first_event_deadline"),
        ({"model": ""}, "model"),
        ({"effort": ""}, "effort"),
        ({"summary": ""}, "summary"),
        ({"modell": "m"}, "modell"),
        ({"approvals": None}, "approvals"),
        ({"approvals": 5}, "approvals"),
        ({"model": 5}, "model"),
        ({"effort": b"high"}, "effort"),
        ({"model": "\ud800"}, "model"),
        ({"base_instructions": ["a"]}, "base_instructions"),
        ({"deadline": "5"}, "deadline"),
        ({"network": "yes"}, "network"),
        ({"output_schema": "x"}, "output_schema"),
        ({"settings": [("a", 1)]}, "settings"),
        ({"settings": None}, "settings"),
        ({"writable_roots": "/a", "sandbox": "workspace-write"}, "writable_roots"),
        ({"writable_roots": (7,), "sandbox": "workspace-write"}, "writable_roots"),
        ({"writable_roots": None}, "writable_roots"),
        ({"hooks": print}, "hooks"),
        ({"hooks": (print,)}, "hooks"),
    ],
)
def test_a_wrong_option_is_named(options: dict[str, Any], field: str) -> None:
    """Before anything is sent, and the same whether it stands in a profile or in a call."""
    with pytest.raises(ConfigError) as caught:
        RunProfile().changed(**options)
    assert caught.value.field == field


def test_a_thread_starts_with_leave_to_read_only() -> None:
    """Whatever its turns may do: more would make the server trust what the folder's own configuration says."""
    for options in (EVERYTHING, EVERYTHING | {"sandbox": "danger-full-access", "network": False, "writable_roots": ()}):
        profile = RunProfile(**options)
        params = profile.start_params("/ws")
        assert (params.pop("sandbox"), params.pop("ephemeral")) == ("read-only", True)
        assert params.pop("config") == {"features.x": True}
        assert params == {key: profile.thread_params("/ws")[key] for key in params}
        assert set(profile.thread_params("/ws")) == {*params, "sandbox", "config"}
    assert "ephemeral" not in RunProfile().start_params("/ws")


def test_writable_roots_may_be_paths(tmp_path: Path) -> None:
    """And a list, as the hooks may."""
    word = RunProfile(sandbox="workspace-write", allow_full_access=True)
    profile = word.changed(writable_roots=[tmp_path, "/b"], hooks=[])
    assert (profile.writable_roots, profile.hooks) == ((str(tmp_path), "/b"), ())


def test_full_access_wants_a_second_word() -> None:
    """Whoever means it says it twice."""
    with pytest.raises(PermissionDeniedError, match="allow_full_access"):
        RunProfile(sandbox="danger-full-access")
    profile = RunProfile(sandbox="danger-full-access", allow_full_access=True)
    assert profile.turn_params("t", [])["sandboxPolicy"] == {"type": "dangerFullAccess"}


# -- prompts -----------------------------------------------------------------------------------------------------------


def test_plain_text_is_one_input(workspace: Path) -> None:
    """As it is."""
    assert inputs("Grüße\n", str(workspace)) == [{"type": "text", "text": "Grüße\n"}]


def test_a_file_is_mentioned_where_it_stands(workspace: Path) -> None:
    """The server finds the mention by its place in the UTF-8 text."""
    (workspace / "ä.txt").touch()
    (workspace / "b c").mkdir()
    (item,) = inputs(["Ünser", File("ä.txt"), "und\n", File(workspace / "b c"), "ende"], str(workspace))
    assert isinstance(item, dict)
    text = str(item["text"])
    assert text == f"Ünser\n@ä.txt\nund\n@{workspace / 'b c'}\nende"
    spans = [element["byteRange"] for element in item["text_elements"]]
    mentioned = [text.encode()[span["start"] : span["end"]].decode() for span in spans]
    assert mentioned == ["@ä.txt", f"@{workspace / 'b c'}"]


def test_images_and_skills_follow_the_text(workspace: Path) -> None:
    """Local ones with their absolute path."""
    (workspace / "i.png").touch()
    (workspace / "SKILL.md").touch()
    prompt = [Image("https://example.com/a.png"), "look", LocalImage("i.png"), Skill("s", workspace / "SKILL.md")]
    assert inputs(prompt, str(workspace)) == [
        {"type": "text", "text": "look"},
        {"type": "image", "url": "https://example.com/a.png"},
        {"type": "localImage", "path": str(workspace / "i.png")},
        {"type": "skill", "name": "s", "path": str(workspace / "SKILL.md")},
    ]
    assert inputs([Image("https://example.com/a.png")], str(workspace)) == [
        {"type": "image", "url": "https://example.com/a.png"}
    ]


@pytest.mark.parametrize(
    ("prompt", "problem"),
    [
        ("", "must not be empty"),
        (" \n", "must not be empty"),
        ([], "must not be empty"),
        ([File("missing")], "does not exist"),
        ([LocalImage("missing.png")], "does not exist"),
        (["x", Skill("s", "missing")], "does not exist"),
        ([7], "neither text nor an attachment"),
        (3, "must be a list or tuple, not int"),
        (None, "must be a list or tuple, not NoneType"),
        ("half a pair: \ud83d", "cannot be sent"),
        (["x", File("\udcff")], "cannot be sent"),
        ([Image("\udcff")], "cannot be sent"),
        ([Image(7)], "has int where text belongs"),  # type: ignore[arg-type]
        ([LocalImage(7)], "has int where text belongs"),  # type: ignore[arg-type]
        ([Skill(7, "missing")], "has int where text belongs"),  # type: ignore[arg-type]
        ([File("a\0b")], "does not exist"),
        ("x" * (MAX_INPUT + 1), f"has {MAX_INPUT + 1} characters"),
    ],
)
def test_a_prompt_that_cannot_be_sent_is_refused(prompt: Any, problem: str, workspace: Path) -> None:
    """With a word on what is wrong, and without repeating it."""
    with pytest.raises(ConfigError, match=problem) as caught:
        inputs(prompt, str(workspace))
    assert caught.value.field == "prompt"
    assert len(str(caught.value)) < 100


def test_the_longest_prompt_that_the_server_takes_passes(workspace: Path) -> None:
    """The bound is in characters, as the server counts."""
    assert len(inputs("ä" * MAX_INPUT, str(workspace))) == 1


def test_the_folder_is_absolute_and_exists(workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server would take any."""
    monkeypatch.chdir(tmp_path)
    assert folder(None) == str(tmp_path)
    assert folder("workspace") == str(workspace)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert folder("~/workspace") == str(workspace)
    (tmp_path / "file").touch()
    for wrong in ("missing", "file"):
        with pytest.raises(ConfigError, match="is not an existing folder"):
            folder(wrong)
    wrong_kinds: tuple[Any, ...] = (7, b"workspace", "\udcff")
    for wrong in wrong_kinds:
        with pytest.raises(ConfigError, match=r"^cwd"):
            folder(wrong)
    with pytest.raises(ConfigError, match="is not an existing folder"):
        folder("a\0b")


@pytest.mark.parametrize("name", ["x" * 5000, "~nobody-of-this-name/x"], ids=["too long", "nobody's home"])
def test_a_name_that_cannot_even_be_looked_for_is_a_wrong_setting(name: str, workspace: Path) -> None:
    """The system's own error would say less, and nobody is told to expect it."""
    with pytest.raises(ConfigError, match="is not an existing folder"):
        folder(name)
    for part in (File(name), LocalImage(name), Skill("a", name)):
        with pytest.raises(ConfigError, match="does not exist"):
            inputs(["look", part], str(workspace))


def test_a_folder_of_our_own_that_is_gone_is_a_wrong_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program may outlive the folder that it was started in; nothing can work there."""
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(ConfigError, match=r"'\.' is not an existing folder"):
        folder(None)
    assert folder(tmp_path) == str(tmp_path)
