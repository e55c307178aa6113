"""The real app server under faults: a few of the scenarios of ``verification.faults.real``, and what they cannot say.

The rest of them is run by ``python -m verification.faults --real``; deaths in the middle of turns, over approvals and at
rest are in ``tests/real`` as well.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from codex_runtime import Client, RuntimeConfig
from codex_runtime.errors import HandshakeError, RequestFailedError
from codex_runtime.testing import MockModel, write_codex_home
from verification.faults.real import REAL, RealScenario, run_real

if TYPE_CHECKING:
    from pathlib import Path

PLAYED = (
    "P1: killed twice in a row",
    "P11: killed over tools that would outlive it",
)


@pytest.mark.skipif(sys.platform != "linux", reason="processes are found in /proc")
@pytest.mark.parametrize("scenario", [it for it in REAL if it.name in PLAYED], ids=lambda it: it.name)
async def test_nothing_is_broken_with_the_real_server(scenario: RealScenario) -> None:
    """The judge is the same; who was born and who lived is read off the process table."""
    outcome = await run_real(scenario, "ours")
    assert outcome.violations == ()
    assert (outcome.goes_on, outcome.first) == (True, scenario.first)


def test_the_scenarios_that_are_played_here_exist() -> None:
    """A new name would leave nothing to run."""
    assert {*PLAYED} <= {scenario.name for scenario in REAL}


async def test_a_server_that_refuses_its_configuration_says_why(codex_binary: Path, codex_home: Path) -> None:
    """P5: it leaves at once, and its reason stands on stderr only; the error carries it, and is raised after one start."""
    write_codex_home(codex_home, "http://127.0.0.1:9")
    settings = (codex_home / "config.toml").read_text(encoding="utf-8")
    (codex_home / "config.toml").write_text(f'approval_policy = "untrusted"\n{settings}', encoding="utf-8")
    with pytest.raises(HandshakeError) as caught:
        await Client(RuntimeConfig(binary=codex_binary, codex_home=codex_home)).open()
    assert caught.value.exit is not None
    assert caught.value.exit.code == 1
    assert "untrusted" in caught.value.exit.stderr_tail


async def test_two_runtimes_on_one_home_do_not_share_a_thread(
    codex_binary: Path, codex_home: Path, workspace: Path
) -> None:
    """E7: the second one is refused in words while the first lives, and gets the thread as soon as that is closed."""
    async with MockModel("one", "two") as model:
        config = RuntimeConfig(binary=codex_binary, codex_home=write_codex_home(codex_home, model.base_url))
        async with Client(config) as second:
            async with Client(config) as first, await first.start_session(cwd=workspace) as session:
                assert (await session.run("a")).text == "one"
                with pytest.raises(RequestFailedError, match="already has an active writer"):
                    await second.resume_session(session.thread_id)
            async with await second.resume_session(session.thread_id) as taken_over:
                assert (await taken_over.run("b")).text == "two"
                assert taken_over.thread_id == session.thread_id
