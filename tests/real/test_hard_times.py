"""Crashes of the server, the death of our own process, and load: what must hold then. Figures are for the benchmarks."""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import suppress
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

import pytest

from codex_runtime import Runtime, RuntimeConfig
from codex_runtime._io.survivors import MARK
from codex_runtime.runtime import Gap
from codex_runtime.testing import Exec, Gate, Hold, MockModel, Reply, Say
from tests.real import flood
from tests.real.crash_rounds import crash_rounds

if TYPE_CHECKING:
    from tests.real.rig import Place

STREAMS = 64
FLOOD = (sys.executable, str(Path(flood.__file__)))
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
    up = place.workspace / "tool-runs"
    tool = f"setsid sleep 600 & setsid nohup sleep 601 >/dev/null 2>&1 & echo up > {up}; sleep 602"
    async with MockModel(Reply(Say("running"), Exec(tool))) as model:
        arguments = (place.binary, place.home, place.workspace, model.base_url)
        process = await asyncio.create_subprocess_exec(
            sys.executable, str(DOOMED), *map(str, arguments), stdout=asyncio.subprocess.PIPE
        )
        assert process.stdout is not None
        try:
            assert (await process.stdout.readline()).startswith(b"running")
            async with asyncio.timeout(20):
                while not up.exists():
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


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
async def test_what_nobody_reads_costs_little_and_is_counted() -> None:
    """200 000 notifications for a subscriber that sleeps: a bounded window is kept, and the gap says what is missing."""
    async with Runtime(RuntimeConfig(command=FLOOD)) as runtime, asyncio.timeout(40):
        with runtime.subscribe(methods=["item/agentMessage/delta"]) as asleep:
            await runtime.request("thread/loaded/list")
            before = memory()
            await runtime.request("flood", deadline=30)
            grown = memory() - before
            gap = await anext(asleep)
            assert isinstance(gap, Gap)
            rest = 0
            while asleep.pending:
                async for _ in asleep:
                    rest += 1
                    if rest + gap.count == flood.COUNT:
                        break
            assert rest + gap.count == flood.COUNT
            assert gap.last_seq - gap.first_seq + 1 == gap.count
            assert (runtime.metrics.dropped, runtime.metrics.gaps) == (gap.count, 1)
        assert grown < 16 << 20


@pytest.mark.parametrize(("limit", "too_long"), [(None, 0), (1 << 20, 1)])
async def test_garbage_and_an_endless_line_are_survived_and_counted(limit: int | None, too_long: int) -> None:
    """The next message is read as if nothing had been. A line of 20 MiB is in order, unless the limit is lower."""
    options = {} if limit is None else {"line_limit": limit}
    async with Runtime(RuntimeConfig(command=FLOOD, **options)) as runtime, asyncio.timeout(20):
        assert await runtime.request("garbage", deadline=15) == {}
        assert await runtime.request("thread/loaded/list") == {}
        assert (runtime.metrics.malformed, runtime.metrics.too_long, runtime.generation) == (1, too_long, 0)


# -- /proc -------------------------------------------------------------------------------------------------------------


def memory() -> int:
    """What this process holds in memory, in bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


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
