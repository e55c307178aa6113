"""The journal in use: what a runtime did is there, in order, once, also after the worst end and for those who follow."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from codex_runtime.errors import ConfigError, StoreError
from codex_runtime.journal import Entry, Journal, JournalSink
from codex_runtime.runtime import Envelope, Gap, Runtime, RuntimeConfig, Ticket
from codex_runtime.testing import Ask, FakeAppServer, ManualClock, MockModel, Script, write_codex_home
from tests.runtime.rig import config, restart, running, task, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

WRITER = """
import asyncio, os, sys
from codex_runtime.journal import Journal, JournalSink
from codex_runtime.runtime import Envelope

async def main():
    sink = JournalSink(Journal(sys.argv[1]))
    await sink.open()
    print(sink.run, flush=True)
    seq = 0
    while True:
        batch = [Envelope(method="m", raw=b'{"method":"m","x":"%d"}\\n' % n, seq=seq + n) for n in range(1 + seq % 7)]
        if seq % 3 == 0:
            batch.append(Envelope(method="turn/completed", raw=b"{}\\n", seq=seq + len(batch)))
        if seq % 5 == 0:
            batch[0].raw = b'{"x":"%b"}\\n' % os.urandom(3000).hex().encode()
        await sink.write(batch)
        seq += len(batch)
        print(seq - 1, flush=True)

asyncio.run(main())
"""


def message(seq: int, *, method: str = "m", thread: str = "t", size: int = 0) -> Envelope:
    """Make a message."""
    from codex_runtime._sansio.envelope import Params

    raw = b'{"method":"%b","params":{"threadId":"%b"}}' % (method.encode(), thread.encode()) + b" " * size + b"\n"
    return Envelope(method=method, raw=raw, seq=seq, shallow=Params(thread_id=thread))


@asynccontextmanager
async def written(journal: Journal) -> AsyncIterator[JournalSink]:
    """Open a sink that is closed at the end."""
    sink = JournalSink(journal)
    await sink.open()
    try:
        yield sink
    finally:
        await sink.aclose()


def kinds(entries: list[Entry]) -> list[str]:
    """Say what entries are, marks by their kind and messages by their number."""
    return [str(entry.seq) if entry.envelope is not None else entry.kind for entry in entries]


async def test_a_journal_has_everything_that_was_said_and_heard(tmp_path: Path) -> None:
    """Between the marks of the run, as it was on the wire, with the answer that we gave."""

    async def accept(ticket: Ticket) -> None:
        ticket.accept()

    fake = FakeAppServer(Script(Ask("item/commandExecution/requestApproval", {"command": "ls"})))
    with Journal(tmp_path / "j") as journal:
        async with running(fake, sinks=(JournalSink(journal),), on_server_request=accept) as runtime:
            thread = (await runtime.request("thread/start", {}))["thread"]["id"]
            await runtime.request("turn/start", {"threadId": thread, "input": [{"type": "text", "text": "go"}]})
            await fake.until(lambda: bool(fake.answers))
            await until(lambda: journal.read(methods=["turn/completed"]))
        entries = journal.read()
        assert kinds(entries) == ["opened", *map(str, range(len(entries) - 2)), "closed"]
        assert [entry.cursor for entry in entries] == [*range(1, len(entries) + 1)]
        assert {entry.run for entry in entries} == {1}
        assert [entry.message for entry in entries if entry.direction == "outbound"] == [
            received.message for received in fake.received
        ]
        messages = [entry for entry in entries if entry.envelope is not None]
        assert len([entry for entry in messages if entry.direction == "inbound"]) == fake.lines_sent
        [answer] = [entry for entry in entries if entry.kind == "answer"]
        assert answer.message["result"] == {"decision": "accept"}
        assert {entry.thread_id for entry in journal.read(thread=thread)} == {thread}
        assert journal.position == len(entries)
        assert journal.read(after=journal.position) == []


async def test_each_opening_is_a_run_of_its_own(tmp_path: Path) -> None:
    """So that the numbers of messages mean something; two may go on at a time."""
    with Journal(tmp_path / "j") as journal:
        async with written(journal) as first, written(journal) as second:
            await first.write([message(0)])
            await second.write([message(0)])
            assert (first.run, second.run) == (1, 2)
        async with written(journal) as third:
            await third.write([message(0)])
        found = [(entry.run, entry.kind) for entry in journal.read()]
    assert found == [
        (1, "opened"),
        (2, "opened"),
        (1, "notification"),
        (2, "notification"),
        (2, "closed"),
        (1, "closed"),
        (7, "opened"),
        (7, "notification"),
        (7, "closed"),
    ]


async def test_a_gap_is_an_entry(tmp_path: Path) -> None:
    """Whoever reads the journal knows what is missing, and where."""
    with Journal(tmp_path / "j") as journal:
        async with written(journal) as sink:
            await sink.write([message(0), Gap(1, 4, 4), message(5)])
        entries = journal.read()
        assert kinds(entries) == ["opened", "0", "gap", "5", "closed"]
        assert entries[2].gap == Gap(1, 4, 4)


async def test_a_journal_that_could_not_be_written_for_a_while_says_so(tmp_path: Path) -> None:
    """The messages of that time are one gap; all else is there."""
    with Journal(tmp_path / "j") as journal:
        async with running(FakeAppServer(), sinks=(JournalSink(journal),)) as runtime:
            await runtime.request("thread/start", {})
            await until(lambda: not runtime.metrics.sinks[0].pending)
            before = journal.position
            connection = journal._writing._writer._connection
            assert connection is not None
            # A journal without room for another page.
            connection.execute("PRAGMA max_page_count = 1")
            big = {"x": random.Random(7).randbytes(100_000).hex()}
            await runtime.notify("initialized", big)
            await until(lambda: runtime.metrics.sinks[0].errors == 1)
            assert journal.position == before
            await runtime.notify("initialized")
            await until(lambda: journal.position > before)
        gap, after = journal.read(after=before)[:2]
        assert gap.gap is not None
        assert (gap.gap.count, after.seq) == (1, gap.gap.last_seq + 1)


async def test_a_journal_has_one_writing_process(tmp_path: Path) -> None:
    """Another one does not even start its server, and is told who writes."""
    with Journal(tmp_path / "j") as journal:
        async with running(FakeAppServer(), sinks=(JournalSink(journal),)):
            other = FakeAppServer()
            with pytest.raises(StoreError, match=r"somebody else already writes to .* \(process"):
                await Runtime(config(other, sinks=(JournalSink(Journal(tmp_path / "j")),))).open()
            assert other.launches == 0
            with pytest.raises(StoreError, match="somebody else"):
                Journal(tmp_path / "j").prune()


async def test_following_goes_on_where_reading_ends(tmp_path: Path) -> None:
    """Without hole or repetition, across a restart of the server and across runs, and wherever one begins."""
    fake, clock, seen = FakeAppServer(), ManualClock(), list[Entry]()
    with Journal(tmp_path / "j") as journal:
        async with written(journal):
            pass

        async def follow() -> None:
            async for entry in journal.follow(after=1):
                seen.append(entry)

        async with task(follow()):
            for _ in range(2):
                async with running(fake, clock, sinks=(JournalSink(journal),)) as runtime:
                    await runtime.request("thread/start", {})
                    await restart(fake, runtime, clock)
                    await runtime.request("thread/start", {})
            await until(lambda: seen and seen[-1].cursor == journal.position)
        assert [entry.cursor for entry in seen] == [*range(2, journal.position + 1)]
        assert [repr(entry) for entry in seen] == [repr(entry) for entry in journal.read(after=1)]
        assert [entry.kind for entry in seen if entry.envelope is None] == ["closed", *["opened", "closed"] * 2]
        for run in {entry.run for entry in seen if entry.run > 1}:
            mine = [entry for entry in seen if entry.run == run and entry.envelope is not None]
            assert [entry.seq for entry in mine] == [*range(len(mine))]
            assert {entry.generation for entry in mine} >= {mine[0].generation, mine[-1].generation}
            assert mine[-1].generation == mine[0].generation + 1


async def test_following_works_from_another_journal_object(tmp_path: Path) -> None:
    """As another process has it: nobody wakes it, it looks."""
    with Journal(tmp_path / "j") as journal:
        async with written(journal) as sink, aclosing(Journal(tmp_path / "j").follow(poll=0.001)) as entries:
            await sink.write([message(0)])
            assert kinds([await anext(entries), await anext(entries)]) == ["opened", "0"]
            coming = asyncio.ensure_future(anext(entries))
            await sink.write([message(1, thread="other")])
            assert kinds([await coming]) == ["1"]


async def test_a_narrow_follower_gets_what_it_asked_for_and_the_gaps(tmp_path: Path) -> None:
    """Beyond a page of other things."""
    with Journal(tmp_path / "j") as journal:
        async with written(journal) as sink:
            await sink.write([message(seq, thread="other") for seq in range(1200)])
            await sink.write([message(1200), Gap(1201, 1201, 1), message(1202, method="n"), message(1203)])
            async with aclosing(journal.follow(thread="t", methods=["m"])) as entries:
                assert kinds([await anext(entries) for _ in range(3)]) == ["1200", "gap", "1203"]


async def test_whoever_is_overtaken_by_the_retention_is_told(tmp_path: Path) -> None:
    """There is nothing else left to tell of what is gone."""
    with Journal(tmp_path / "j", keep_seconds=1000) as journal:
        async with written(journal) as sink:
            await sink.write([message(seq) for seq in range(10)])  # dated 1970
            async with aclosing(journal.follow(after=3)) as entries:
                assert journal.prune() == 0  # behind the mark of the run, which is young
        assert journal.oldest == 1
    other = Journal(tmp_path / "k", keep_seconds=1e-9)
    with other:
        async with written(other) as sink:
            await sink.write([message(seq, size=9000) for seq in range(10)])
        assert other.prune() == 11
        assert (other.oldest, other.stats().pruned) == (12, 11)
        async with aclosing(other.follow(after=3)) as entries:
            assert [(one.cursor, one.kind) for one in [await anext(entries), await anext(entries)]] == [
                (11, "pruned"),
                (12, "closed"),
            ]
        async with aclosing(other.follow()) as entries:
            assert (await anext(entries)).kind == "closed"  # who asks for what there is, misses nothing


async def test_a_follower_of_nothing_is_told(tmp_path: Path) -> None:
    """A typing error is not waited for."""
    with pytest.raises(StoreError, match="there is no journal"):
        async with aclosing(Journal(tmp_path / "j").follow()) as entries:
            await anext(entries)


@pytest.mark.timeout(120)
def test_what_was_acknowledged_survives_being_killed(tmp_path: Path) -> None:
    """Five programs are killed in the act (and two hundred in `tests/crash`); of each, all that was acknowledged is there, in order, without holes."""
    chance = random.Random(7)
    acknowledged: dict[int, int] = {}
    for _ in range(5):
        argv = [sys.executable, "-c", WRITER, str(tmp_path / "j")]
        with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None
            run = int(writer.stdout.readline())
            for _ in range(chance.randrange(1, 60)):
                acknowledged[run] = int(writer.stdout.readline())
            writer.kill()
            # What it said on its way is acknowledged too; half a line is not.
            rest = [line for line in writer.stdout if line.endswith("\n")]
            acknowledged[run] = int(rest[-1]) if rest else acknowledged[run]
    with Journal(tmp_path / "j") as journal:
        entries = journal.read(limit=1_000_000)
    assert [entry.cursor for entry in entries] == [*range(1, len(entries) + 1)]
    assert len(acknowledged) == 5
    for run, last in acknowledged.items():
        mine = [entry for entry in entries if entry.run == run]
        assert mine[0].kind == "opened"
        assert [entry.seq for entry in mine[1:]] == [*range(len(mine) - 1)]
        assert last <= mine[-1].seq <= last + 9, "at most the one batch that was on its way"


@pytest.mark.timeout(90)
async def test_a_real_server_is_journaled_across_its_death(
    tmp_path: Path, codex_binary: Path, codex_home: Path, workspace: Path
) -> None:
    """The real binary, killed in between: one run, two generations, followed while it happens."""
    from codex_runtime.client import Client, RunProfile

    seen: list[Entry] = []
    with Journal(tmp_path / "j") as journal:
        async with MockModel() as model:
            model.enqueue("One.", "Two.")
            home = write_codex_home(codex_home, model.base_url, model="gpt-5.5")
            settings = RuntimeConfig(binary=codex_binary, codex_home=home, sinks=(JournalSink(journal),))
            async with Client(settings) as client:

                async def follow() -> None:
                    async for entry in journal.follow():
                        seen.append(entry)  # noqa: PERF401  it is looked at while it grows

                async with task(follow()), await client.start_session(cwd=workspace, profile=RunProfile()) as session:
                    first = await session.run("first")
                    link = client.runtime._life.link
                    assert link is not None
                    link.transport.kill()
                    async with asyncio.timeout(60):
                        while client.runtime.generation == 0:
                            await asyncio.sleep(0)
                        await client.runtime.wait_ready()
                    second = await session.run("second")
                    wanted = [("turn/completed", 0), ("turn/completed", 1)]
                    async with asyncio.timeout(20):
                        while [(e.method, e.generation) for e in seen if e.method == "turn/completed"] != wanted:
                            await asyncio.sleep(0)
        assert (first.text, second.text) == ("One.", "Two.")
        entries = journal.read(limit=100_000)
    messages = [entry for entry in entries if entry.envelope is not None]
    assert kinds(entries) == ["opened", *map(str, range(len(messages))), "closed"]
    assert [entry.cursor for entry in seen] == [*range(1, len(seen) + 1)]


PROGRAM = """
import asyncio, sys
from codex_runtime.client import Client
from codex_runtime.journal import Journal, JournalSink
from codex_runtime.runtime import RuntimeConfig

async def main(path, binary, home, folder):
    settings = RuntimeConfig(binary=binary, codex_home=home, sinks=(JournalSink(Journal(path)),))
    async with Client(settings) as client, await client.start_session(cwd=folder) as session:
        print((await session.run("third")).text)

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.mark.timeout(120)
async def test_a_follower_goes_on_over_the_end_of_the_program(
    tmp_path: Path, codex_binary: Path, codex_home: Path, workspace: Path
) -> None:
    """On the real binary: by cursor, while the server is killed, and again when another program writes. Nothing twice."""
    from codex_runtime.client import Client, RunProfile

    path, seen = tmp_path / "j", list[Entry]()

    async def follow(after: int) -> None:
        async for entry in Journal(path).follow(after=after, poll=0.01):
            seen.append(entry)

    def ends() -> list[int]:
        return [entry.generation for entry in seen if entry.method == "turn/completed"]

    async with MockModel() as model:
        model.enqueue("One.", "Two.", "Three.")
        home = write_codex_home(codex_home, model.base_url, model="gpt-5.5")
        settings = RuntimeConfig(binary=codex_binary, codex_home=home, sinks=(JournalSink(Journal(path)),))
        async with (
            Client(settings) as client,
            task(follow(0)),
            await client.start_session(cwd=workspace, profile=RunProfile()) as session,
        ):
            await session.run("first")
            link = client.runtime._life.link
            assert link is not None
            link.transport.kill()
            async with asyncio.timeout(60):
                while client.runtime.generation == 0:
                    await asyncio.sleep(0)
                await client.runtime.wait_ready()
            await session.run("second")
            async with asyncio.timeout(20):
                while ends() != [0, 1]:
                    await asyncio.sleep(0)
        left_at = seen[-1].cursor
        async with task(follow(left_at)):
            other = await asyncio.create_subprocess_exec(
                *(sys.executable, "-c", PROGRAM, str(path), str(codex_binary), str(home), str(workspace)),
                stdout=asyncio.subprocess.PIPE,
            )
            async with asyncio.timeout(60):
                assert (await other.communicate())[0] == b"Three.\n"
                while [entry.kind for entry in seen if entry.kind in ("opened", "closed")] != ["opened", "closed"] * 2:
                    await asyncio.sleep(0)
    assert ends() == [0, 1, 0]
    assert [entry.cursor for entry in seen] == [*range(1, len(seen) + 1)]
    with Journal(path) as journal:
        assert [repr(entry) for entry in journal.read(limit=100_000)] == [repr(entry) for entry in seen]
    for run in {entry.run for entry in seen}:
        mine = [entry.seq for entry in seen if entry.run == run and entry.envelope is not None]
        assert mine == [*range(len(mine))]


async def test_the_newest_entries_can_be_had_at_once(tmp_path: Path) -> None:
    """In order, from the end or from a place, of all or of one thread."""
    with Journal(tmp_path / "j") as journal:
        async with written(journal) as sink:
            await sink.write([message(seq, thread="t" if seq % 10 == 0 else "other") for seq in range(2000)])
        assert kinds(journal.last()) == ["closed"]
        assert kinds(journal.last(3)) == ["1998", "1999", "closed"]
        assert kinds(journal.last(2, thread="t")) == ["1980", "1990"]
        assert kinds(journal.last(2, before=20, thread="t")) == ["0", "10"]
        assert len(journal.last(1000, thread="t", methods=["m"])) == 200
        with pytest.raises(ConfigError, match="limit"):
            journal.last(0)


async def test_a_journal_tells_how_it_stands(tmp_path: Path) -> None:
    """To whoever writes it, and what is in the file to anybody."""
    with Journal(tmp_path / "j") as journal, Journal(tmp_path / "j") as other:
        with pytest.raises(StoreError, match="there is no journal"):
            journal.stats()
        async with written(journal) as sink:
            await sink.write([message(0), message(1)])
            await sink.write([message(2, method="turn/completed")])
            stats = journal.stats()
            assert (stats.oldest, stats.newest, stats.pruned, stats.commits, stats.syncs) == (1, 4, 0, 3, 2)
            assert 0 < stats.average <= stats.slowest
            assert stats.size == sum((tmp_path / name).stat().st_size for name in ("j", "j-wal"))
        there = other.stats()
        assert (there.oldest, there.newest, there.commits, there.average) == (1, 5, 0, 0.0)


async def test_one_bare_word_in_place_of_methods_is_refused(tmp_path: Path) -> None:
    """It would select by parts of words."""
    with Journal(tmp_path / "j") as journal:
        async with written(journal):
            for read in (journal.read, journal.last):
                with pytest.raises(ConfigError, match="methods"):
                    read(methods="turn/completed")
            with pytest.raises(ConfigError, match="methods"):
                await anext(journal.follow(methods="turn/completed"))


@pytest.mark.parametrize("wrong", ["keep_seconds", "keep_bytes"])
def test_wrong_settings_are_refused_at_once(tmp_path: Path, wrong: str) -> None:
    """By name."""
    with pytest.raises(ConfigError, match=wrong):
        Journal(tmp_path / "j", **{wrong: 0})


async def test_a_sink_that_is_not_open_takes_nothing(tmp_path: Path) -> None:
    """And one that is open cannot be opened again."""
    sink = JournalSink(Journal(tmp_path / "j"))
    with pytest.raises(StoreError, match="not open"):
        await sink.write([message(0)])
    async with written(sink.journal) as other:
        with pytest.raises(StoreError, match="already open"):
            await other.open()
    with Journal(tmp_path / "j") as journal, pytest.raises(ConfigError, match="limit"):
        journal.read(limit=0)
