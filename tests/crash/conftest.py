"""The disk that fails, built once, and a folder in memory for the many small files of its rounds."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from verification.crash.disk import build, compiler, memory

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library that stands between a program and its files, built by the first test that wants it."""
    if compiler() is None:
        pytest.skip("there is no C compiler")
    return _built(tmp_path_factory.getbasetemp())


@cache
def _built(folder: Path) -> Path:
    return build(folder)


@pytest.fixture
def shelf() -> Iterator[Path]:
    """An empty folder, in memory if there is one."""
    with tempfile.TemporaryDirectory(dir=memory()) as name:
        yield Path(name)
