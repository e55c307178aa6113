"""Runs the program of a soak, breaks something every few seconds, and writes down its figures.

The program is in a process and a session of its own: Ctrl-C reaches only us, and we end it in order.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import msgspec
from msgspec import Struct, field

from verification.faults.drive import marked
from verification.soak.faults import OF_THE_SERVER, Fault, Kind, draw
from verification.soak.figures import GIVES_BACK
from verification.soak.place import Place, Real, Scripted
from verification.soak.program import MARK, PAUSE, TRIES, Order, Plan, Report, Sample, Word

__all__ = ["Settings", "Story", "soak"]

ROOT: Final = Path(__file__).parents[2]
PATIENCE: Final = 120.0  # that the program gets to put everything in order
LONGEST: Final = 64 * 1024 * 1024  # of a line that it writes


class Settings(Struct, frozen=True, kw_only=True):
    """How long, how wide, and how often something breaks. ``pace`` is how many messages a second all threads aim at."""

    seconds: float = 600.0
    threads: int = 4
    seed: int = 1
    every: float = 3.0
    pace: float = 6000.0
    real: bool = False
    tells: bool = True


class Story(Struct, kw_only=True):
    """What happened: the figures, the faults, what the program told at its end, and what is held against it."""

    settings: Settings
    samples: list[Sample] = field(default_factory=list)
    faults: dict[str, int] = field(default_factory=dict)
    skipped: dict[str, int] = field(default_factory=dict)
    report: Report | None = None
    wrong: list[str] = field(default_factory=list)
    seconds: float = 0.0
    cut_short: bool = False


async def soak(settings: Settings) -> Story:
    """Soak, until the time is over or somebody presses Ctrl-C."""
    story = Story(settings=settings)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGINT, stop.set)
    try:
        with TemporaryDirectory(prefix="codex-runtime-soak-") as name, _small_disk(Path(name) / "small") as small:
            place = Real(settings.seed, Path(name)) if settings.real else Scripted(settings.seed)
            mark = f"soak-{os.getpid()}-{time.monotonic_ns()}"
            async with place:
                plan = Plan(
                    seed=settings.seed,
                    threads=settings.threads,
                    folder=name,
                    mark=mark,
                    pace=settings.pace,
                    small=None if small is None else str(small),
                    **place.settings(),
                )
                complaints = Path(name) / "stderr"
                await _soak(settings, story, place, plan, stop, complaints)
            await _look_around(story, mark)
            if said := complaints.read_text(encoding="utf-8", errors="replace").strip():
                story.wrong.append(f"I9: the program complained: {said[:4000]}")
    finally:
        loop.remove_signal_handler(signal.SIGINT)
    return story


async def _soak(
    settings: Settings, story: Story, place: Place, plan: Plan, stop: asyncio.Event, complaints: Path
) -> None:
    async with _program(plan, complaints) as program:
        assert program.stdin is not None
        ready: asyncio.Event = asyncio.Event()
        listening = asyncio.create_task(_listen(program, story, place, ready))
        waiting = [listening, asyncio.create_task(ready.wait())]
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED, timeout=60.0)
        waiting[1].cancel()
        began = time.monotonic()
        if not listening.done():
            has_small_disk = plan.small is not None
            await _break_things(settings, story, place, program.stdin, stop, listening, has_small_disk=has_small_disk)
        story.seconds, story.cut_short = time.monotonic() - began, stop.is_set()
        program.stdin.close()
        if not (await asyncio.wait([listening], timeout=PATIENCE))[0]:
            story.wrong.append(f"I13: the program did not end within {PATIENCE:g} s")
            program.kill()
        with suppress(ConnectionError):
            await listening
        if await program.wait():
            story.wrong.append(f"the program ended with {program.returncode}")
    if story.report is None:
        story.wrong.append("the program did not report")
        return
    for each, count in story.report.breaches.items():
        story.wrong.append(f"{each} was broken {count} times")
    story.wrong += [*story.report.examples, *place.judge(story.report)]
    story.wrong += [f"I9: left over: {each}" for each in story.report.left]
    for kind, count in story.report.skipped.items():
        story.skipped[kind] = story.skipped.get(kind, 0) + count
    for kind, count in story.skipped.items():
        story.faults[kind] = story.faults.get(kind, 0) - count


async def _break_things(
    settings: Settings,
    story: Story,
    place: Place,
    stdin: asyncio.StreamWriter,
    stop: asyncio.Event,
    listening: asyncio.Task[None],
    *,
    has_small_disk: bool,
) -> None:
    """Do what the list says, until the time is over."""
    began, faults, skipped = time.monotonic(), Counter[str](), Counter[str]()
    stopped = asyncio.create_task(stop.wait())
    needs_small_disk: frozenset[Kind] = frozenset() if has_small_disk else frozenset({"full disk"})
    without = place.without | needs_small_disk
    for fault in draw(settings.seed, every=settings.every, without=without):
        over = max(fault.at, time.monotonic() - began) >= settings.seconds
        until = began + min(fault.at, settings.seconds)
        await asyncio.wait(
            [stopped, listening], timeout=max(0.0, until - time.monotonic()), return_when=asyncio.FIRST_COMPLETED
        )
        if over or stopped.done() or listening.done():
            break
        faults[fault.kind] += 1
        if fault.kind in OF_THE_SERVER:
            skipped[fault.kind] += not await _inflicted(place, fault)
        else:
            stdin.write(_line(Order(fault=fault)))
        if settings.tells:
            _progress(story, fault, time.monotonic() - began)
    stopped.cancel()
    story.faults, story.skipped = dict(faults), {kind: count for kind, count in skipped.items() if count}


async def _inflicted(place: Place, fault: Fault) -> bool:
    """Have the server do something to itself. There may be none just now, but soon."""
    for _ in range(TRIES):
        if place.inflict(fault):
            return True
        await asyncio.sleep(PAUSE)
    return False


def _progress(story: Story, fault: Fault, at: float) -> None:
    if story.samples:
        last = story.samples[-1]
        figures = f"{last.messages} messages, {last.turns} turns, {last.restarts} restarts, {last.rss / 2**20:.1f} MiB"
        print(f"{at:6.1f} s  {figures:64} {fault.kind}", flush=True)


@asynccontextmanager
async def _program(plan: Plan, complaints: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """Start the program."""
    command = (sys.executable, "-W", "default::ResourceWarning", "-m", "verification.soak.program")
    with complaints.open("wb") as stderr:
        program = await asyncio.create_subprocess_exec(
            *command,
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            start_new_session=True,
            env={**os.environ, **GIVES_BACK},
            limit=LONGEST,
        )
    try:
        assert program.stdin is not None
        program.stdin.write(_line(Order(plan=plan)))
        yield program
    finally:
        if program.returncode is None:
            program.kill()
        await program.wait()


async def _listen(program: asyncio.subprocess.Process, story: Story, place: Place, ready: asyncio.Event) -> None:
    """Take what the program tells."""
    assert program.stdout is not None
    while line := await program.stdout.readline():
        word = msgspec.json.decode(line, type=Word)
        if word.ready:
            ready.set()
        if word.sample is not None:
            story.samples.append(word.sample)
            place.feed(word.sample.turns + len(story.samples) // 10)
        if word.report is not None:
            story.report = word.report


async def _look_around(story: Story, mark: str) -> None:
    """Look for processes that are left, by their mark."""
    left: list[int] = []
    for _ in range(20):
        if not (left := marked(mark, MARK)):
            return
        await asyncio.sleep(0.1)
    story.wrong += [f"I9: process {pid} is left" for pid in left]


@contextmanager
def _small_disk(folder: Path) -> Iterator[Path | None]:
    """Make a disk of 1 MB, if we may."""
    folder.mkdir()
    mounted = (
        os.geteuid() == 0
        and subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], check=False, capture_output=True
        ).returncode
        == 0
    )
    try:
        yield folder if mounted else None
    finally:
        if mounted:
            subprocess.run(["umount", str(folder)], check=False)


def _line(order: Order) -> bytes:
    return msgspec.json.encode(order) + b"\n"
