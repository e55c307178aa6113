"""What only a real process can do: signals, orphans, and being started by somebody else."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from codex_runtime._io.process import Graces, ProcessLauncher, ProcessSpec
from codex_runtime.testing._fake_process import PuppetBody
from codex_runtime.testing._fake_script import Grandchild, Notify
from codex_runtime.testing._fake_server import FakeAppServer
from tests.support.line_client import LineClient


async def test_the_process_is_the_one_that_its_transport_names() -> None:
    """And what it tells of itself."""
    async with FakeAppServer(process=True) as fake:
        client = await LineClient.launch(fake)
        assert (await client.call("server/diagnostics"))["process"]["id"] == client.transport.pid
        await client.transport.aclose()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT])
async def test_a_signal_from_outside_ends_it(number: signal.Signals) -> None:
    """As it would end the real one."""
    async with FakeAppServer(process=True) as fake:
        client = await LineClient.launch(fake)
        assert client.transport.pid is not None
        os.kill(client.transport.pid, number)
        assert (await client.lost()).signal == number


async def test_sigterm_is_a_clean_exit() -> None:
    """Status 0, like the real one."""
    async with FakeAppServer(process=True) as fake:
        client = await LineClient.launch(fake)
        assert client.transport.pid is not None
        os.kill(client.transport.pid, signal.SIGTERM)
        assert (await client.lost()).code == 0


@pytest.mark.parametrize("detached", [False, True])
async def test_grandchildren_are_real(detached: bool) -> None:  # noqa: FBT001
    """Their ids are told, and a good launcher leaves none of them."""
    async with FakeAppServer(process=True) as fake:
        client = await LineClient.launch(fake)
        fake.play(Grandchild(detached=detached), Grandchild(detached=detached, holds_stdout=False))
        await fake.until(lambda: len(fake.grandchildren) == 2)
        assert all(_is_alive(pid) for pid in fake.grandchildren)
        assert [os.getsid(pid) == pid for pid in fake.grandchildren] == [detached, detached]
        await client.transport.aclose()
        assert not any(_is_alive(pid) for pid in fake.grandchildren)


async def test_its_command_line_works_for_any_launcher() -> None:
    """Further arguments do not disturb it."""
    async with FakeAppServer(process=True) as fake:
        spec = ProcessSpec(argv=(*fake.argv, "app-server", "--listen", "stdio"), guarded=False)
        client = await LineClient.launch(ProcessLauncher(spec))
        assert (await client.run_turn(await client.start_thread()))["status"] == "completed"
        await client.transport.aclose()
        assert fake.launches == 1


async def test_it_can_stand_in_the_place_of_the_binary(tmp_path: Path) -> None:
    """A file that is run like ``codex``."""
    async with FakeAppServer(process=True) as fake:
        program = fake.install(tmp_path / "codex")
        version = await asyncio.to_thread(_output_of, program, "--version")
        assert version == b"codex-cli 0.163.0\n"
        client = await LineClient.launch(ProcessLauncher(ProcessSpec(argv=(str(program), "app-server"))))
        fake.play(Notify("marker"))
        await client.until(lambda: client.named("marker") == [{}])
        await client.transport.aclose()


async def test_without_its_fake_it_still_leaves_at_the_end_of_stdin() -> None:
    """So a test that broke off leaves no process behind."""
    async with FakeAppServer(process=True) as fake:
        spec = ProcessSpec(argv=fake.argv, graces=Graces(stdin_close=60.0))
        client = await LineClient.launch(ProcessLauncher(spec))
        assert fake._host is not None
        await fake._host.aclose()  # the fake goes away without a word
        async with asyncio.timeout(10):
            assert (await client.transport.aclose()).code == 0


async def test_a_process_that_is_dead_is_not_counted_although_its_connection_stands() -> None:
    """The next one may report before the end of the last is seen."""
    async with FakeAppServer(process=True) as fake:
        one = await LineClient.launch(fake)
        _, body = fake._live[0]
        dead = await asyncio.create_subprocess_exec("true")
        await dead.wait()
        assert isinstance(body, PuppetBody)
        body.pid = dead.pid
        two = await LineClient.launch(fake)
        assert (fake.launches, fake.most_alive) == (2, 1)
        await one.transport.aclose()
        await two.transport.aclose()


async def test_a_stranger_is_not_listened_to() -> None:
    """Only who knows the word is a process of this fake."""
    async with FakeAppServer(process=True) as fake:
        port = int(fake.argv[-2].rpartition(":")[2])
        reader, writer = await asyncio.open_connection("127.0.0.1", port, family=socket.AF_INET)
        hello = b'{"token":"guess","pid":1}'
        writer.write(b"H" + len(hello).to_bytes(4, "big") + hello)
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await reader.readexactly(1)
        writer.close()
        assert fake.launches == 0


async def test_it_must_be_entered_first() -> None:
    """There is no place to report to before."""
    with pytest.raises(RuntimeError, match="async with"):
        await LineClient.launch(FakeAppServer(process=True))


def _output_of(*argv: str | Path) -> bytes:
    return subprocess.check_output(argv, timeout=30)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
