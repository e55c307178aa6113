"""The fixtures work for people who have nothing but pytest and this package."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

TEST = '''
import asyncio

pytest_plugins = ["codex_runtime.testing.pytest_plugin"]


def test_everything_is_there(fake_app_server, manual_clock, mock_model, codex_home, codex_binary):
    """Sync fixtures; the test brings its own loop."""
    assert codex_home.is_dir() and not list(codex_home.iterdir())
    assert codex_binary.name == "codex"

    async def main():
        await manual_clock.advance(5)
        async with mock_model:
            assert mock_model.base_url.startswith("http://127.0.0.1:")
        async with fake_app_server:
            assert fake_app_server.launches == 0

    asyncio.run(main())


def test_each_test_gets_its_own(fake_app_server):
    """Nothing is shared."""
    assert fake_app_server.received == []
'''


def run_pytest(folder: Path, text: str, **env: str) -> str:
    """Run a test file as a user would, and return what pytest says."""
    (folder / "test_users.py").write_text(text, encoding="utf-8")
    argv = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error", "-rs", "test_users.py"]
    done = subprocess.run(
        argv, cwd=folder, env={**os.environ, **env}, capture_output=True, text=True, timeout=50, check=False
    )
    return done.stdout + done.stderr


def test_the_fixtures_need_no_other_plugin(tmp_path: Path) -> None:
    """One line in a test file is enough."""
    assert "2 passed" in run_pytest(tmp_path, TEST)


def test_a_test_that_wants_the_binary_is_skipped_without_it(tmp_path: Path) -> None:
    """With the reason that the runtime would give."""
    text = 'pytest_plugins = ["codex_runtime.testing.pytest_plugin"]\n\n\ndef test_it(codex_binary):\n    raise AssertionError\n'
    said = run_pytest(tmp_path, text, CODEX_BINARY="/no/such/codex")
    assert "1 skipped" in said
    assert "CODEX_BINARY" in said
