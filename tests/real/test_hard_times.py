"""Crashes of the server, the death of our own process, and load: what must hold then. Figures are for the benchmarks."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

import pytest

from codex_runtime._io.survivors import MARK
from codex_runtime.testing import Exec, Gate, Hold, MockModel, Reply, Say
from tests.real.crash_rounds import crash_rounds

if TYPE_CHECKING:
    from tests.real.rig import Place

STREAMS = 64
DOOMED = Path(__file__).with_name("doomed.py")


async def test_a_session_outlives_one_crash_after_the_other(place: Place) -> None:
    """Each waiter fails at once, each server is followed by the next, and the thread forgets nothing."""
    figures = await crash_rounds(3, binary=place.binary, home=place.home, workspace=place.workspace)
    assert (len(figures.failed), figures.generations, figures.remembered) == (3, 3, True)
    assert max(figures.failed) < 2.0
    assert max(figures.ready) < 10.0


@pytest.mark.skipif(sys.platform != "linux", reason="processes are found in /proc")
async def test_nothing_outlives_our_own_process(place: Place) -> None:
    """Killed with SIGKILL while a tool, its detached child and an MCP server run: none of them is left a second later."""
    (fifo := place.workspace / "tool-runs").parent.mkdir(exist_ok=True)
    tool = f"setsid sleep 600 & setsid nohup sleep 601 >/dev/null 2>&1 & echo up > {fifo}; sleep 602"
    async with MockModel(Reply(Say("running"), Exec(tool))) as model:
        arguments = (place.binary, place.home, place.workspace, model.base_url)
        process = await asyncio.create_subprocess_exec(
            sys.executable, str(DOOMED), *map(str, arguments), stdout=asyncio.subprocess.PIPE
        )
        assert process.stdout is not None
        try:
            assert (await process.stdout.readline()).startswith(b"running")
            async with asyncio.timeout(20):
                while not fifo.exists():
                    await asyncio.sleep(0)
            family = descendants(process.pid)
            names = " ".join(map(command_line, family))
            for expected in ("app-server", "sleep 600", "sleep 601", "sleep 602", "_mcp_stub.py", "guardian"):
                assert expected in names
        finally:
            process.kill()
            killed = perf_counter()
            await process.wait()
        async with asyncio.timeout(10):
            while any(map(is_alive, family)):
                await asyncio.sleep(0)
        assert perf_counter() - killed < 1.0
        assert [pid for pid in all_pids() if is_marked(pid, str(place.home))] == []
        process._transport.close()  # type: ignore[attr-defined]  # its pipe is read to the end by nobody


async def test_a_call_is_answered_while_many_turns_run(place: Place) -> None:
    """64 streams are open; the next question does not wait for them."""
    gate = Gate()
    async with place.client() as (client, model):
        model.on("hold", *[Reply(Say("one "), Hold(gate), Say("two"))] * STREAMS)
        sessions = [await client.start_session(cwd=place.workspace) for _ in range(STREAMS)]
        running = [asyncio.create_task(session.run("hold")) for session in sessions]
        await gate.reached(STREAMS, timeout=40)
        times = []
        for _ in range(20):
            began = perf_counter()
            await client.runtime.request("thread/loaded/list", {})
            times.append(perf_counter() - began)
        gate.open()
        results = await asyncio.gather(*running)
        assert sorted(times)[len(times) // 2] < 0.5
        assert {len(result.messages) for result in results} == {2}
        assert len({result.thread_id for result in results}) == STREAMS
        print("median", sorted(times)[len(times) // 2] * 1000, "worst", max(times) * 1000)  # noqa: T201


# -- /proc -------------------------------------------------------------------------------------------------------------


def all_pids() -> list[int]:
    """Every process of the machine."""
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]


def parent_of(pid: int) -> int:
    """The parent's id; 0 for a process that is gone."""
    with suppress(OSError):
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return 0


def descendants(pid: int) -> list[int]:
    """All below a process, however far."""
    children = [other for other in all_pids() if parent_of(other) == pid]
    return [*children, *(grandchild for child in children for grandchild in descendants(child))]


def command_line(pid: int) -> str:
    """What was started."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    return ""


def is_alive(pid: int) -> bool:
    """Whether it still runs; one that only waits to be buried does not."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    return False


def is_marked(pid: int, home: str) -> bool:
    """Whether it was started, directly or not, by an app server of this home."""
    with suppress(OSError):
        environment = Path(f"/proc/{pid}/environ").read_bytes()
        return f"{MARK}=".encode() in environment and f"CODEX_HOME={home}".encode() in environment and is_alive(pid)
    return False
