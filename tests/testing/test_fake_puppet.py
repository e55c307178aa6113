"""The program behind the fake process: it needs nothing but an interpreter, and decides as little as possible."""

from __future__ import annotations

import ast
import asyncio
import subprocess
import sys
from pathlib import Path

from codex_runtime.testing import _fake_puppet
from codex_runtime.testing._fake_script import Notify, StopReading
from codex_runtime.testing._fake_server import FakeAppServer
from tests.support.line_client import LineClient

PROGRAM = Path(_fake_puppet.__file__)


def test_it_imports_the_standard_library_only() -> None:
    """It runs without site packages, wherever the package is."""
    imported = set()
    for node in ast.walk(ast.parse(PROGRAM.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add(node.module or "")
    assert {name.partition(".")[0] for name in imported} <= set(sys.stdlib_module_names)


def test_it_knows_its_version_without_a_fake() -> None:
    """As the real one does without a server."""
    argv = [sys.executable, "-I", "-S", str(PROGRAM), "127.0.0.1:1", "word", "--version"]
    assert subprocess.check_output(argv, timeout=30) == b"codex-cli 0.163.0\n"


async def test_a_client_that_does_not_read_stops_it() -> None:
    """Its writes block, as those of the real one do: what it was told next is not done until they are through."""
    async with FakeAppServer(process=True) as fake:
        client = await LineClient.launch(fake)
        client.transport.pause_reading()
        for _ in range(64):
            fake.play(Notify("big", {"x": "y" * 65_536}))
        fake.play(StopReading())
        heard = len(client.pieces)
        before = len(fake.received)
        client.ask("thread/list")
        await asyncio.sleep(0)
        assert (len(client.pieces), len(fake.received)) == (heard, before)
        client.transport.resume_reading()
        await client.until(lambda: len(client.named("big")) == 64)
        await client.transport.aclose()
