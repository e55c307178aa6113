"""Fixtures for pytest: a fake app server, a mock model, a clock and a place to work, ready to use.

Put one line into ``conftest.py``::

    pytest_plugins = ["codex_runtime.testing.pytest_plugin"]

Every fixture is an ordinary function that returns an object, so they work with any way of running async tests, or with
none. Nothing is started by a fixture: what has to be started or closed is an async context manager, to be entered by
the test on the loop that it runs on.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from codex_runtime.errors import BinaryNotFoundError
from codex_runtime.testing._clock import ManualClock
from codex_runtime.testing._fake_server import FakeAppServer
from codex_runtime.testing._mock_model import MockModel

__all__ = ["codex_binary", "codex_home", "fake_app_server", "manual_clock", "mock_model"]


@pytest.fixture
def fake_app_server() -> FakeAppServer:
    """A fake app server in memory: ``Runtime(RuntimeConfig(launcher=fake_app_server))``."""
    return FakeAppServer()


@pytest.fixture
def manual_clock() -> ManualClock:
    """A clock that stands still: ``await manual_clock.advance(5)``."""
    return ManualClock()


@pytest.fixture
def mock_model() -> MockModel:
    """A model without replies: ``async with mock_model: mock_model.enqueue("Hello!")``."""
    return MockModel()


@pytest.fixture
def codex_home(tmp_path: Path) -> Path:
    """An empty folder to be ``CODEX_HOME``, for :func:`~codex_runtime.testing.write_codex_home` to fill."""
    home = tmp_path / "codex-home"
    home.mkdir()
    return home


@pytest.fixture(scope="session")
def codex_binary() -> Path:
    """The real ``codex``, wherever the runtime would find it; a test that wants it is skipped where there is none."""
    from codex_runtime._io.binary import find_binary

    try:
        return Path(find_binary())
    except BinaryNotFoundError as error:
        pytest.skip(str(error))
