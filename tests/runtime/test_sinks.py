"""The log of JSON lines as a sink: every line of the wire, once, in order, whatever its size."""

from __future__ import annotations

import asyncio
import json
import resource
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from codex_runtime.errors import ConfigError, StoreError
from codex_runtime.runtime import Envelope, EventSink, Gap, JsonlSink, Runtime, read_jsonl
from codex_runtime.testing import FakeAppServer
from tests.runtime.rig import Wire, config, running, task, until

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from pathlib import Path


def logged(path: Path) -> list[Envelope]:
    """Read a log in which nothing may be missing or damaged."""
    records = list(read_jsonl(path))
    assert all(isinstance(record, Envelope) for record in records)
    return [record for record in records if isinstance(record, Envelope)]


def old_files(folder: Path) -> list[Path]:
    """List what was rotated away, from the oldest."""
    return sorted(folder.glob("log.*"), key=lambda path: -int(path.suffix[1:]))


async def test_every_line_is_in_the_log_as_it_was_sent(tmp_path: Path) -> None:
    """Small ones in the thousands, and one of two megabytes among them."""
    wire = Wire()
    said: list[dict[str, Any]] = []
    async with running(wire, sinks=(JsonlSink(tmp_path / "log"),)):
        for number in range(40):
            params = {"threadId": "t", "turnId": "u", "itemId": f"i{number // 10}"}
            read = [{"method": "d", "params": {**params, "delta": f"é{number} {n} \n"}} for n in range(50)]
            if number == 20:
                read.insert(25, {"method": "big", "params": {"text": "x" * 2 * 1024 * 1024}})
            said += read
            wire.say(*read)
            await asyncio.sleep(0)
    log = logged(tmp_path / "log")
    assert [one.seq for one in log] == list(range(len(said) + 3))
    assert [one.message for one in log if one.direction == "inbound"][1:] == said
    assert [one.message for one in log if one.direction == "outbound"] == wire.sent
    for line in (tmp_path / "log").read_bytes().splitlines():
        assert json.loads(line)["message"]


async def test_a_log_is_added_to(tmp_path: Path) -> None:
    """The same settings may be used for one runtime after the other; numbers that begin anew tell them apart."""
    settings = config(FakeAppServer(), sinks=(JsonlSink(tmp_path / "log"),))
    for _ in range(2):
        async with Runtime(settings):
            pass
    seqs = [one.seq for one in logged(tmp_path / "log")]
    assert seqs == [*range(len(seqs) // 2)] * 2


async def test_a_full_disk_leaves_a_gap_in_the_log(tmp_path: Path) -> None:
    """What came meanwhile is missing, and the log says so; everything else is there."""
    wire = Wire()
    async with running(wire, sinks=(JsonlSink(tmp_path / "log"),)) as runtime:
        await until(lambda: runtime.metrics.sinks[0].written == 3)
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        size = (tmp_path / "log").stat().st_size
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 50, before[1]))
        try:
            wire.say({"method": "lost"}, {"method": "lost too"})
            await until(lambda: runtime.metrics.sinks[0].errors == 1)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        wire.say({"method": "kept"})
    assert [one if isinstance(one, Gap) else one.seq for one in read_jsonl(tmp_path / "log")] == [
        *range(3),
        Gap(3, 4, 2),
        5,
    ]


async def test_no_line_is_lost_between_rotated_files(tmp_path: Path) -> None:
    """One after the other, the files are the whole log."""
    wire = Wire()
    async with running(wire, sinks=(JsonlSink(tmp_path / "log", rotate_bytes=2000, keep=100),)) as runtime:
        for number in range(50):
            wire.say({"method": "note", "params": {"n": number}})
            await until(lambda number=number: runtime.metrics.sinks[0].written > number)
    files = old_files(tmp_path)
    assert len(files) > 3
    assert [one.seq for path in [*files, tmp_path / "log"] for one in logged(path)] == list(range(53))


async def test_a_log_is_safe_on_disk_soon_after_it_falls_silent(tmp_path: Path) -> None:
    """Nobody has to say anything more for that."""
    sink, wire = JsonlSink(tmp_path / "log"), Wire()
    async with running(wire, sinks=(sink,)):
        await until(lambda: sink._log.needs_sync)
        async with asyncio.timeout(5):
            while sink._log.needs_sync:
                await asyncio.sleep(0)


async def test_what_is_written_is_in_the_file_when_write_returns(tmp_path: Path) -> None:
    """So a crash of this program costs nothing that a sink was thanked for."""
    sink: EventSink = JsonlSink(tmp_path / "log", flush="never")
    await sink.open()
    await sink.write([Envelope(method="m", raw=b'{"method":"m"}\n')])
    assert [one.method for one in logged(tmp_path / "log")] == ["m"]
    await sink.aclose()
    await sink.aclose()


async def test_a_log_belongs_to_one_runtime_at_a_time(tmp_path: Path) -> None:
    """A second one is not started at all."""
    async with running(FakeAppServer(), sinks=(JsonlSink(tmp_path / "log"),)):
        second = FakeAppServer()
        with pytest.raises(StoreError, match="somebody else already writes"):
            await Runtime(config(second, sinks=(JsonlSink(tmp_path / "log"),))).open()
        assert second.launches == 0


async def test_one_sink_cannot_be_open_twice(tmp_path: Path) -> None:
    """It has one file and one place in it."""
    sink = JsonlSink(tmp_path / "log")
    async with running(FakeAppServer(), sinks=(sink,)):
        with pytest.raises(StoreError, match="already open"):
            await sink.open()
    with pytest.raises(StoreError, match="not open"):
        await sink.write([])


@pytest.mark.parametrize("turns", [0, 1])
async def test_an_opening_or_a_closing_that_was_cancelled_leaves_the_file_to_the_next(
    tmp_path: Path, turns: int
) -> None:
    """I9, I16: its thread is not waited for, but it lets go of the file; without, that stays open and locked for ever."""

    async def cancel(work: Coroutine[Any, Any, None]) -> None:
        async with task(work) as running:
            for _ in range(turns):
                await asyncio.sleep(0)
            running.cancel()

    log = tmp_path / "log"
    for _ in range(10):
        await cancel(JsonlSink(log).open())
        sink = await _opened(log)
        await cancel(sink.aclose())
    await (await _opened(log)).aclose()


async def _opened(log: Path) -> JsonlSink:
    """Open it as soon as nobody else has it."""
    async with asyncio.timeout(5):
        while True:
            sink = JsonlSink(log)
            with suppress(StoreError):
                await sink.open()
                return sink
            await asyncio.sleep(0)


@pytest.mark.parametrize("wrong", [{"flush": "often"}, {"rotate_bytes": 0}, {"keep": -1}])
def test_wrong_settings_are_refused_at_once(tmp_path: Path, wrong: dict[str, Any]) -> None:
    """Before there is a file."""
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        JsonlSink(tmp_path / "log", **wrong)
    assert list(tmp_path.iterdir()) == []
