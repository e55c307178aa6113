"""A place for the real server in each test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.real.rig import Place

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def place(codex_binary: Path, codex_home: Path, workspace: Path) -> Place:
    """A binary, an empty home and an empty folder to work in."""
    return Place(codex_binary, codex_home, workspace)
