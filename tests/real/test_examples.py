"""Every file in `examples/` is run as a reader would run it: a process of its own, the real server, a scripted model."""

from __future__ import annotations

import ast
import asyncio
import json
import os
import re
import signal
import sys
from asyncio.subprocess import PIPE, Process
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from codex_runtime.testing import Exec, MockModel, Reply, Say, Stall, write_codex_home
from tests.architecture.tree import ROOT
from tests.real.test_attach import at_work

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.real.rig import Place

EXAMPLES = ROOT / "examples"
TOUCH = Reply(Exec("touch notes.txt"))


@asynccontextmanager
async def started(place: Place, name: str, *arguments: str) -> AsyncIterator[Process]:
    """Start an example in the workspace; it is over at the end, whatever happened."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(EXAMPLES / name),
        *arguments,
        cwd=place.workspace,
        env={**os.environ, "CODEX_HOME": str(place.home), "CODEX_BINARY": str(place.binary)},
        stdin=PIPE,
        stdout=PIPE,
        stderr=PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def end_of(process: Process, typed: str = "") -> str:
    """Type something, wait for the end, and return what was printed. Nothing may go to stderr."""
    out, errors = await process.communicate(typed.encode())
    assert (errors.decode(), process.returncode) == ("", 0)
    return out.decode()


@asynccontextmanager
async def model_of(place: Place, *replies: Reply | str, **home: Any) -> AsyncIterator[MockModel]:
    """Have the model say `replies`, all of which have to be asked for."""
    async with MockModel(*replies) as model:
        write_codex_home(place.home, model.base_url, **home)
        yield model
        assert (len(model.requests), model.unscripted) == (len(replies), ())


async def shown(place: Place, name: str, *arguments: str, replies: tuple[Reply | str, ...], typed: str = "") -> str:
    """Run an example to its end and return what it printed."""
    async with model_of(place, *replies), started(place, name, *arguments) as process:
        return await end_of(process, typed)


def names_that_are_run() -> set[str]:
    """The examples that the tests of this file start, read off its own text."""
    calls = [node for node in ast.walk(ast.parse(Path(__file__).read_text())) if isinstance(node, ast.Call)]
    texts = [argument.value for call in calls for argument in call.args if isinstance(argument, ast.Constant)]
    return {text for text in texts if isinstance(text, str) and re.fullmatch(r"\w+\.py", text)}


def test_every_example_is_run_by_a_test() -> None:
    """An example that nobody runs is soon wrong."""
    assert names_that_are_run() == {path.name for path in EXAMPLES.glob("*.py")}


def test_every_example_is_named_in_the_readme() -> None:
    """One that nobody finds teaches nobody."""
    readme = " ".join((ROOT / "README.md").read_text().split())
    assert [path.name for path in EXAMPLES.glob("*.py") if path.stem.replace("_", " ") not in readme] == []


@pytest.mark.parametrize("name", ["approve_from_another_process.py", "attach_to_a_running_server.py"])
async def test_an_example_that_needs_arguments_says_so(place: Place, name: str) -> None:
    """With its own words, and no traceback."""
    async with started(place, name) as process:
        out, errors = await process.communicate()
    assert (out, process.returncode) == (b"", 1)
    assert errors.decode().rstrip("\n") == (
        ast.get_docstring(ast.parse((EXAMPLES / name).read_text()), clean=False) or ""
    ).rstrip("\n")


async def test_ask_once(place: Place) -> None:
    """The answer, and what it cost."""
    out = await shown(place, "ask_once.py", "What is this?", replies=("An empty folder.",))
    assert re.fullmatch(r"An empty folder\.\n\(\d+ tokens\)\n", out)


async def test_chat(place: Place) -> None:
    """Two turns in one thread, with a command in the first one, and the end of the input."""
    replies = (TOUCH, "There you are.", "You are welcome.")
    out = await shown(place, "chat.py", replies=replies, typed="Make a file\nThank you\n")
    assert re.search(r"\$ .*touch notes\.txt.*There you are\..*> You are welcome\.", out, re.DOTALL)
    assert (place.workspace / "notes.txt").exists()


async def test_chat_goes_on_after_ctrl_c(place: Place) -> None:
    """It stops the answer, and only that."""
    replies = Reply(Say("Well, ", chunks=0), Say("it is a long", chunks=1), Stall()), "Short this time."
    async with model_of(place, *replies), started(place, "chat.py") as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"Tell me a long story\n")
        await process.stdout.readuntil(b"it is a long")
        process.send_signal(signal.SIGINT)
        await process.stdout.readuntil(b"(stopped)\n")
        assert "> Short this time.\n" in await end_of(process, "A short one\n")


@pytest.mark.parametrize(("typed", "there"), [("y\n", True), ("yes, do\n", False), ("", False)])
async def test_without_an_event_loop(place: Place, typed: str, there: bool) -> None:  # noqa: FBT001
    """A plain y lets it; another word does not, and neither does the end of the input, which is an error in the handler."""
    out = await shown(place, "without_an_event_loop.py", "go", "on", replies=(TOUCH, "Done.", "Bye."), typed=typed)
    assert re.search(r"touch notes\.txt.*\[y/N\] Done\.\nBye\.\n", out, re.DOTALL)
    assert (place.workspace / "notes.txt").exists() is there


async def test_follow_everything(place: Place) -> None:
    """Two threads, both directions, every number, from the first message after the greeting on."""
    out = await shown(place, "follow_everything.py", "8192", "a", "b", replies=("one", "two"))
    lines = [line.split() for line in out.splitlines()]
    numbers = [int(line[0]) for line in lines]
    assert numbers == [*range(numbers[0], numbers[0] + len(numbers))]
    assert out.count("-> ") >= 4
    assert len({line[2] for line in lines if line[-1] == "turn/completed"}) == 2


async def test_follow_everything_tells_what_it_missed(place: Place) -> None:
    """With a window of a single message: what is shown and what is missed make up the whole."""
    out = await shown(place, "follow_everything.py", "1", "a", replies=(Reply(Say("word " * 200)),))
    gaps = [tuple(map(int, gap)) for gap in re.findall(r"\.\. (\d+) messages missed, (\d+) to (\d+)", out)]
    assert gaps
    assert all(count == last - first + 1 for count, first, last in gaps)


async def test_approve_from_another_process(place: Place) -> None:
    """The person looks, says yes by the ticket's id, and the file is there; a second answer comes too late."""
    name = "approve_from_another_process.py"
    async with model_of(place, TOUCH, "Made it."), started(place, name, "work", "a.sock", "Make a file") as bot:
        assert bot.stdout is not None
        assert "run this command?" in (await bot.stdout.readline()).decode()
        assert "touch notes.txt" in (await bot.stdout.readline()).decode()
        async with started(place, name, "list", "a.sock") as person:
            ticket = json.loads(await end_of(person))[0]
        assert "touch notes.txt" in ticket["asks"]
        async with started(place, name, "yes", "a.sock", "another-id") as person:
            assert "no open server request has the id" in await end_of(person)
        async with started(place, name, "yes", "a.sock", ticket["id"]) as person:
            assert json.loads(await end_of(person)) == "accepted"
        assert (await end_of(bot)).endswith("accepted by the person: -\nMade it.\n")
    assert (place.workspace / "notes.txt").exists()


async def test_approve_from_another_process_is_a_no_when_nobody_answers(place: Place) -> None:
    """In time, that is; and the turn goes on."""
    replies = TOUCH, "So be it."
    out = await shown(place, "approve_from_another_process.py", "work", "a.sock", "Make a file", "0.2", replies=replies)
    assert out.endswith("declined by deadline: nobody answered in time\nSo be it.\n")
    assert not (place.workspace / "notes.txt").exists()


async def test_survive_a_crash(place: Place) -> None:
    """The turn is lost, the server is replaced, and the thread knows what was said."""
    replies = "I know it.", Reply(Say("one, two"), Stall()), "Heron."
    async with MockModel(*replies) as model:
        write_codex_home(place.home, model.base_url)
        async with started(place, "survive_a_crash.py") as process:
            out = await end_of(process)
        assert "The word is heron" in str(model.requests[-1].texts())
    assert out.splitlines()[0] == "I know it."
    assert "the turn was lost" in out
    assert "server 1 is ready; the one before was killed by SIGKILL" in out
    assert out.splitlines()[-1] == "Heron."


async def test_log_and_replay(place: Place) -> None:
    """What was followed live is read back from the file."""
    out = await shown(place, "log_and_replay.py", "codex.journal", "What?", replies=("Nothing.",))
    assert re.search(r"outbound +turn/start\n.*inbound +turn/completed\n.*turn completed: Nothing\.\n$", out, re.DOTALL)
    assert (place.workspace / "codex.journal").exists()


async def test_guard_with_policy(place: Place) -> None:
    """A command that the policy allows, one that it denies, and one that it leaves to the person, who says yes."""
    replies = TOUCH, Reply(Exec("git push")), Reply(Exec("rm notes.txt")), "Done."
    out = await shown(place, "guard_with_policy.py", "go", replies=replies, typed="y\n")
    assert re.search(r"\[accept\w*\] .*\n\[declin\w*\] .*pushing is for people", out)
    assert not (place.workspace / "notes.txt").exists()
    assert out.endswith("Done.\n")


async def test_watch_metrics(place: Place) -> None:
    """A line for each second, and the summary."""
    out = await shown(place, "watch_metrics.py", "What?", replies=(Reply(Say("one two three", pace=0.6)),))
    assert re.search(r"messages/s +\d+ in flight +0 to answer +lagging: nobody +\d+ MiB\n", out)
    assert re.search(r"turn +completed +1 times, p95 +\d+\.\d+ s", out)


async def test_attach_to_a_running_server(place: Place) -> None:
    """Which goes on when the example is over."""
    async with at_work(place, "ws://127.0.0.1:0", "Hello from a server that was here before.") as (server, address, _):
        async with started(place, "attach_to_a_running_server.py", address) as process:
            assert "Hello from a server that was here before." in await end_of(process)
        assert server.pid is not None
        os.kill(server.pid, 0)
