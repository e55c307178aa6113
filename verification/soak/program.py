"""The program that soaks: one process, one client, everything that the package offers at work at once.

``python -m verification.soak.program`` reads its orders on stdin, the first of which says how it is made, and writes its
figures to stdout, a line of JSON each. It ends in good order when stdin does. Whoever measures it stays outside, so what
measuring costs is not measured.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, Final, TypeVarTuple

import msgspec
from msgspec import Struct, field

from codex_runtime import Client, RestartPolicy, RuntimeConfig
from codex_runtime._io.clock import LoopClock
from codex_runtime.journal import Journal, JournalSink
from codex_runtime.runtime import JsonlSink, JsonStateStore, StateLimits, WatchdogPolicy, read_jsonl
from verification.soak.faults import Fault
from verification.soak.figures import allocated, children, descriptors, in_use, parent_of, rss
from verification.soak.guests import Answerers, Chain, FailingSink, block, comes_and_goes, follow, slow
from verification.soak.ledger import Ledger
from verification.soak.work import Thread

if TYPE_CHECKING:
    from codex_runtime._io.clock import Cancellable

__all__ = ["MARK", "Order", "Plan", "Report", "Sample", "Word"]

Ts = TypeVarTuple("Ts")

MARK: Final = "CODEX_RUNTIME_SOAK"
"""Every process below the program has this in its environment."""
LIMITS: Final = StateLimits(threads=12, turns_per_thread=6)
LINE_LIMIT: Final = 3_000_000
ROTATE: Final = 2_000_000
KEEP: Final = 8_000_000
DAY: Final = 86_400.0
TRIES, PAUSE = 30, 0.1  # of a fault that finds nothing to do it to


class Plan(Struct, kw_only=True):
    """How the program is made. ``small`` is a folder on a disk that is soon full."""

    seed: int
    threads: int
    folder: str
    mark: str
    pace: float
    command: tuple[str, ...] | None = None
    binary: str | None = None
    home: str | None = None
    small: str | None = None


class Order(Struct, kw_only=True):
    """What the program is told: how it is made, then a fault at a time."""

    plan: Plan | None = None
    fault: Fault | None = None


class Sample(Struct, kw_only=True):
    """The figures of one moment; sizes in bytes, ``lag`` in seconds: how late the event loop was at most since the last one."""

    at: float
    rss: int
    blocks: int
    in_use: int
    descriptors: int
    tasks: int
    threads: int
    children: int
    lag: float
    messages: int
    restarts: int
    in_flight: int
    queued: int
    tickets: int
    subscriptions: int
    kept_threads: int
    kept_turns: int
    pending: int
    turns: int
    guest_errors: int


class Report(Struct, kw_only=True):
    """What the program has to say at its end."""

    begun: dict[str, int]
    ended: dict[str, int]
    outcomes: dict[str, int]
    breaches: dict[str, int]
    examples: list[str]
    latest: dict[str, float]
    yes: list[str]
    yes_turns: list[str]
    metrics: dict[str, Any]
    readers: dict[str, tuple[int, int]]
    left: list[str]
    skipped: dict[str, int] = field(default_factory=dict)


class Word(Struct, kw_only=True):
    """One line on stdout."""

    ready: bool = False
    sample: Sample | None = None
    report: Report | None = None


class SteppedClock:
    """The loop's clock, whose wall time can be put forward or back."""

    def __init__(self) -> None:
        self._clock = LoopClock()
        self.offset = 0.0

    def monotonic(self) -> float:
        """As the loop has it."""
        return self._clock.monotonic()

    def wall(self) -> float:
        """Unix time, more or less."""
        return self._clock.wall() + self.offset

    def call_at(self, when: float, callback: Callable[[*Ts], object], *args: *Ts) -> Cancellable:
        """As the loop does."""
        return self._clock.call_at(when, callback, *args)

    async def sleep_until(self, when: float) -> None:
        """As the loop does."""
        await self._clock.sleep_until(when)


class Program:
    """Everything at work."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._chance = Random(f"program {plan.seed}")
        self.ledger = ledger = Ledger()
        self._clock = SteppedClock()
        folder = Path(plan.folder)
        self._journal = Journal(folder / "journal.sqlite", keep_bytes=KEEP)
        self._log = folder / "log.jsonl"
        names = ("slow", "block", "journal", "failing sink")
        self._chains = {name: Chain(ledger, name) for name in names}
        self._failing = FailingSink(self._chains["failing sink"])
        self._answerers = Answerers(ledger, self._chance)
        sinks = [JsonlSink(self._log, rotate_bytes=ROTATE, keep=2), JournalSink(self._journal), self._failing]
        if plan.small is not None:
            sinks.append(JsonlSink(Path(plan.small) / "log.jsonl", rotate_bytes=100_000, keep=1, overflow="drop"))
        self._client = Client(
            RuntimeConfig(
                command=plan.command,
                binary=plan.binary,
                codex_home=plan.home,
                env={MARK: plan.mark},
                clock=self._clock,
                line_limit=LINE_LIMIT,
                start_deadline=10.0,
                request_deadline=8.0,
                block_patience=2.0,
                server_request_deadline=1.5,
                max_open_server_requests=64,
                restart=RestartPolicy(when="always", backoff=0.05, max_backoff=0.5, budget=100_000, window=60.0),
                watchdog=WatchdogPolicy(probe_every=1.0, probe_deadline=1.0, misses=2),
                state_limits=LIMITS,
                state_store=JsonStateStore(folder / "state.json"),
                sinks=tuple(sinks),
            ),
            minimum_version=None,
        )
        self._leave = asyncio.Event()
        self._threads = [self._thread(k) for k in range(plan.threads)]
        self._lag = 0.0
        self._skipped: dict[str, int] = {}
        self._befalling: set[asyncio.Task[None]] = set()
        self._held: int | None = None  # the server that is stopped

    def _thread(self, number: int) -> Thread:
        return Thread(
            self._client,
            self.ledger,
            self._answerers,
            Random(f"thread {number} of {self._plan.seed}"),
            cwd=self._plan.folder,
            pace=self._plan.pace / self._plan.threads,
            real=self._plan.command is None,
        )

    # -- its life ----------------------------------------------------------------------------------------------------

    async def run(self, orders: asyncio.StreamReader) -> Report:
        """Work until the orders end, then put everything in order and tell what became of it."""
        before = _possessions()
        async with self._client:
            say(Word(ready=True))
            runtime, chance = self._client.runtime, self._chance
            guests = [
                asyncio.create_task(work, name=name)
                for name, work in (
                    ("slow", slow(runtime, self.ledger, self._chains["slow"])),
                    ("block", block(runtime, self._chains["block"], chance)),
                    ("comes and goes", comes_and_goes(runtime, self.ledger, self._leave, chance)),
                    ("follow the journal", follow(self._journal, self._chains["journal"])),
                    ("answer", self._answerers.read(runtime)),
                    ("lag", self._feel()),
                    ("sample", self._watch()),
                )
            ]
            workers = [asyncio.create_task(work) for each in self._threads for work in (each.run(), each.call())]
            ending = asyncio.create_task(self._obey(orders))
            done, _ = await asyncio.wait([ending, *guests, *workers], return_when=asyncio.FIRST_COMPLETED)
            for task in done - {ending}:
                self.ledger.breach("I15", f"{task.get_name()} ended by itself: {task.exception()!r}")
            for thread in self._threads:
                thread.is_over = True
                _cancel(thread.turn)
            _, stuck = await asyncio.wait(workers, timeout=40.0)
            for task in stuck:
                self.ledger.breach("I1", f"{task.get_name()} did not end: {task.get_stack()}")
            metrics = runtime.metrics
            tasks = [ending, *guests, *stuck, *self._befalling]
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            self._let_go()
            began = time.monotonic()
        self.ledger.require(time.monotonic() - began < 6.0, "I13", f"closing took {time.monotonic() - began:.1f} s")
        self._check_books(metrics.as_dict())
        return self._report(runtime.metrics.as_dict(), await _left(before))

    async def _obey(self, orders: asyncio.StreamReader) -> None:
        while line := await orders.readline():
            if (fault := msgspec.json.decode(line, type=Order).fault) is not None:
                task = asyncio.create_task(self._befall(fault), name=fault.kind)
                self._befalling.add(task)
                task.add_done_callback(self._befalling.discard)

    async def _befall(self, fault: Fault) -> None:
        """Do what a fault says, as soon as there is something to do it to: a server, or a turn."""
        for _ in range(TRIES):
            if self._inflict(fault):
                return
            await asyncio.sleep(PAUSE)
        self._skipped[fault.kind] = self._skipped.get(fault.kind, 0) + 1

    async def _feel(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + 0.05
            await asyncio.sleep(0.05)
            late = loop.time() - due
            self._lag = max(self._lag, late)
            self.ledger.stood_still = max(self.ledger.stood_still, late)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(1.0)
            say(Word(sample=self._sample()))

    def _sample(self) -> Sample:
        runtime = self._client.runtime
        metrics, state = runtime.metrics, runtime.state
        lag, self._lag = self._lag, 0.0
        kept = sum(len(thread.turns) for thread in state.threads.values())
        self.ledger.require(kept <= LIMITS.threads * LIMITS.turns_per_thread, "I8", f"{kept} turns are kept")
        return Sample(
            at=time.monotonic(),
            rss=rss(),
            blocks=allocated(),
            in_use=in_use(),
            descriptors=descriptors(),
            tasks=len(asyncio.all_tasks()),
            threads=threading.active_count(),
            children=len(children()),
            lag=lag,
            messages=metrics.messages,
            restarts=sum(metrics.restarts.values()),
            in_flight=metrics.in_flight,
            queued=metrics.queued,
            tickets=metrics.open_server_requests,
            subscriptions=metrics.subscriptions,
            kept_threads=len(state.threads),
            kept_turns=kept,
            pending=sum(each.pending for each in metrics.open_subscriptions),
            turns=sum(each.count for each in metrics.turns.values()),
            guest_errors=metrics.guest_errors,
        )

    # -- what is done to it ------------------------------------------------------------------------------------------

    def _inflict(self, fault: Fault) -> bool:  # noqa: C901  one arm for each kind
        """Do what a fault says. False: there was nothing to do it to."""
        chance = Random(fault.number)
        match fault.kind:
            case "kill the server":
                return _signal(self._client.runtime.pid, signal.SIGKILL)
            case "kill the guardian":
                return _signal(_guardian_of(self._client.runtime.pid), signal.SIGKILL)
            case "stop the server":
                return self._stop(chance.uniform(0.1, 0.9))
            case "freeze the server":
                return self._stop(30.0)
            case "a subscriber leaves":
                self._leave.set()
                self._client.runtime.subscribe(name="never read", capacity=16).close()
            case "cancel calls":
                return sum(_cancel(thread.waiting) for thread in self._threads) > 0
            case "cancel a turn":
                return _cancel(chance.choice(self._threads).turn)
            case "failing sink":
                self._failing.fails = chance.randint(1, 8)
            case "full disk":
                return self._fill(chance.uniform(0.5, 2.0))
            case "clock step":
                self._clock.offset = chance.choice((-DAY, 0.0, DAY))
            case _:
                return False
        return True

    def _stop(self, seconds: float) -> bool:
        pid = self._client.runtime.pid
        if not _signal(pid, signal.SIGSTOP):
            return False
        self._let_go()
        held = self._held = os.pidfd_open(pid or 0)

        def go_on() -> None:
            if self._held == held:
                with suppress(OSError):
                    signal.pidfd_send_signal(held, signal.SIGCONT)
                self._let_go()

        asyncio.get_running_loop().call_later(seconds, go_on)
        return True

    def _let_go(self) -> None:
        held, self._held = self._held, None
        if held is not None:
            os.close(held)

    def _fill(self, seconds: float) -> bool:
        if self._plan.small is None:
            return False
        stone = Path(self._plan.small) / "stone"
        with suppress(OSError), stone.open("wb", buffering=0) as file:
            while file.write(b"x" * 4096):
                pass
        asyncio.get_running_loop().call_later(seconds, lambda: stone.unlink(missing_ok=True))
        return True

    # -- the end -----------------------------------------------------------------------------------------------------

    def _check_books(self, metrics: dict[str, Any]) -> None:
        ledger = self.ledger
        for kind, count in ledger.begun.items():
            ledger.require(ledger.ended[kind] == count, "I1", f"{count} {kind} begun, {ledger.ended[kind]} ended")
        for name in ("in_flight", "queued"):
            ledger.require(metrics[name] == 0, "I8", f"{name} is {metrics[name]} after the last call")
        for path in (self._log, *sorted(self._log.parent.glob("log.jsonl.*"))):
            chain = Chain(ledger, path.name)
            for record in read_jsonl(path):
                if not hasattr(record, "offset"):
                    chain.take([record])
                else:
                    ledger.breach("I14", f"{path.name} has a damage at {record.offset}")
        chain = Chain(ledger, "the journal as it was left")
        after = 0
        while entries := self._journal.read(after=after):
            after = entries[-1].cursor
            for entry in entries:
                chain.entry(entry)
        self._journal.close()

    def _report(self, metrics: dict[str, Any], left: list[str]) -> Report:
        ledger = self.ledger
        for each in metrics["sinks"]:
            if "JournalSink" in each["name"] or each["name"] == repr(JsonlSink(self._log)):
                ledger.require(each["lost"] == 0, "I4", f"{each['name']} lost {each['lost']}")
            ledger.require(each["pending"] == 0, "I4", f"{each['name']} still has {each['pending']} to write")
        return Report(
            begun=dict(ledger.begun),
            ended=dict(ledger.ended),
            outcomes=dict(ledger.outcomes),
            breaches=dict(ledger.breaches),
            examples=ledger.examples,
            latest=ledger.latest,
            yes=sorted(ledger.yes),
            yes_turns=sorted(ledger.yes_turns),
            metrics=metrics,
            readers={name: (chain.received, chain.missed) for name, chain in self._chains.items()},
            left=left,
            skipped=self._skipped,
        )


# -- the process and what is below it -----------------------------------------------------------------------------------


def say(word: Word) -> None:
    """Write a line."""
    sys.stdout.buffer.write(msgspec.json.encode(word) + b"\n")
    sys.stdout.buffer.flush()


def _guardian_of(pid: int | None) -> int | None:
    """Return the process between us and a server."""
    parent = None if pid is None else parent_of(pid)
    return parent if parent in children() else None


def _signal(pid: int | None, number: signal.Signals) -> bool:
    if pid is None:
        return False
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


def _cancel(task: asyncio.Task[None] | None) -> bool:
    return task is not None and task.cancel()


def _possessions() -> dict[str, set[str]]:
    """Return what can be left over, by sort."""
    opened = set()
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208
        with suppress(OSError):
            opened.add(f"{name}: {os.readlink(f'/proc/self/fd/{name}')}")  # noqa: PTH115
    return {
        "descriptor": opened,
        "thread": {each.name for each in threading.enumerate()},
        "task": {each.get_name() for each in asyncio.all_tasks()},
        "child": {str(pid) for pid in children()},
    }


async def _left(before: dict[str, set[str]]) -> list[str]:
    """Name what is left that was not there before, after a moment to end in."""
    left: list[str] = []
    for _ in range(20):
        left = [f"{sort} {each}" for sort, all_of in _possessions().items() for each in sorted(all_of - before[sort])]
        if not left:
            break
        await asyncio.sleep(0.1)
    return left


async def main() -> None:
    """Take the plan, then work."""
    loop = asyncio.get_running_loop()
    orders = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    plan = msgspec.json.decode(await orders.readline(), type=Order).plan
    assert plan is not None
    say(Word(report=await Program(plan).run(orders)))


if __name__ == "__main__":
    asyncio.run(main())
