"""The scripted model of the demo plays its part from what it is told, and from nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from codex_runtime.cli._stage import BUILD, COPY, EDIT, LOOK, RECALL, Stage
from codex_runtime.testing import Exec, ModelRequest, Patch, Reply, Say, Think

if TYPE_CHECKING:
    from pathlib import Path


def request(*prompts: str, outputs: tuple[str, ...] = ()) -> ModelRequest:
    """A request whose conversation has these prompts, and outputs of these calls."""
    items: list[dict[str, object]] = [{"type": "message", "role": "user", "content": text} for text in prompts]
    items += [{"type": "function_call_output", "call_id": call, "output": "done"} for call in outputs]
    return ModelRequest({"input": items}, {}, "t")


def parts(stage: Stage, asked: ModelRequest) -> dict[type, object]:
    """What the model answers, part by part."""
    reply = stage.reply(asked)
    assert isinstance(reply, Reply)
    return {type(part): part for part in reply.parts}


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    """A stage that is set."""
    ready = Stage.below(str(tmp_path), pace=0)
    ready.prepare("http://127.0.0.1:1/v1")
    return ready


def test_the_stage_is_set(stage: Stage) -> None:
    """Two files, neither copied nor edited yet; and a CODEX_HOME beside them."""
    assert {path.name for path in stage.workspace.iterdir()} - {".git"} == {"README.md", "greet.py"}
    assert not stage.copied
    assert not stage.edited
    assert (stage.folder / "codex-home" / "config.toml").exists()


def test_it_thinks_before_it_speaks(stage: Stage) -> None:
    """The first chapter."""
    assert {Think, Say} <= parts(stage, request(LOOK)).keys()


def test_it_tries_then_asks_then_tells_what_came_of_it(stage: Stage) -> None:
    """The second chapter: what it says in the end is true, whatever the answer was."""
    first = parts(stage, request(COPY))[Exec]
    second = parts(stage, request(COPY, outputs=("try",)))[Exec]
    assert isinstance(first, Exec)
    assert isinstance(second, Exec)
    assert (first.escalate, second.escalate, first.cmd == second.cmd) == (False, True, True)
    assert "no copy" in str(parts(stage, request(COPY, outputs=("try", "ask")))[Say])
    (stage.workspace / "copy.py").touch()
    assert "The copy is there" in str(parts(stage, request(COPY, outputs=("try", "ask")))[Say])


def test_it_edits_once(stage: Stage) -> None:
    """The third chapter."""
    assert Patch in parts(stage, request(EDIT))
    assert Patch not in parts(stage, request(EDIT, outputs=("edit",)))


def test_it_remembers_what_it_is_told_and_nothing_else(stage: Stage) -> None:
    """The last chapter would show at once if the memory of the thread were lost."""
    assert "4 things" in str(parts(stage, request(LOOK, COPY, EDIT, BUILD, RECALL))[Say])
    assert "0 things" in str(parts(stage, request(RECALL))[Say])


def test_it_says_so_when_it_has_nothing_to_say(stage: Stage) -> None:
    """No request goes without a reply."""
    assert "not in my script" in str(parts(stage, request("something else"))[Say])
