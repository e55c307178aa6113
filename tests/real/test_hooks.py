"""Every phase of hooks in one run on the real `codex app-server`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from codex_runtime import Client, RuntimeConfig, Ticket
from codex_runtime._sansio.hooks import PHASES
from codex_runtime.hooks import Allow, Hook, HookContext
from codex_runtime.testing import Call, Exec, MockModel, Reply, write_codex_home
from tests.real.rig import SOON

if TYPE_CHECKING:
    from tests.real.rig import Place

QUESTION = {
    "id": "color",
    "header": "Colour",
    "question": "Which colour?",
    "options": [{"label": "Red", "description": "warm"}, {"label": "Blue", "description": "cold"}],
}
# A server whose clock is the client asks for the time at the start of each turn.
CLOCK = '[features.current_time_reminder]\nenabled = true\nclock_source = "external"\n'


@pytest.mark.timeout(60)
async def test_a_hook_is_called_at_every_phase(place: Place) -> None:
    """In the order of things: around the run, the session and the turn, at each gate, and after the use of a tool."""
    told: list[HookContext] = []

    def watch(context: HookContext) -> Allow | None:
        told.append(context)
        return Allow() if context.phase == "pre_tool_use" else None

    def answer(ticket: Ticket) -> None:
        if ticket.method == "currentTime/read":
            ticket.give_time(1_000_000_000)
        else:
            ticket.give_answers({"color": ["Blue"]})

    replies = Reply(Exec("touch made")), Reply(Call("request_user_input", {"questions": [QUESTION]})), "done"
    async with MockModel(*replies) as model:
        features = {"default_mode_request_user_input": True}
        write_codex_home(place.home, model.base_url, features=features, extra_toml=CLOCK)
        settings = RuntimeConfig(binary=place.binary, codex_home=place.home, restart=SOON, on_server_request=answer)
        async with Client(settings, hooks=(Hook("watch", watch),)) as client:
            result = await client.run("go", cwd=place.workspace, sandbox="workspace-write")
        assert "Blue" in str(model.requests[-1].outputs())
    assert result.text == "done"
    assert (place.workspace / "made").exists()
    phases = [context.phase for context in told]
    assert set(phases) == PHASES
    once = [phase for phase in phases if phase != "server_request"]  # the time may be asked for more than once
    assert once == [
        *("pre_run", "pre_session_start", "post_session_start", "pre_turn"),
        *("pre_tool_use", "post_tool_use", "user_input"),
        *("post_turn", "post_run"),
    ]
    tool, asked = (
        next(context for context in told if context.phase == phase) for phase in ("pre_tool_use", "user_input")
    )
    assert tool.tool is not None
    assert (tool.tool.command, tool.tool.argv) == ("touch made", ("touch", "made"))
    assert (asked.thread_id, asked.turn_id) == (result.thread_id, result.turn_id)
