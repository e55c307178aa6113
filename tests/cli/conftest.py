"""What tests of the command line need: a scripted model, and a CODEX_HOME that leads to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from codex_runtime.testing import MockModel, write_codex_home

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@pytest.fixture
async def model() -> AsyncIterator[MockModel]:
    """A model that says what the test lines up."""
    async with MockModel() as running:
        yield running


@pytest.fixture
def home(codex_home: Path, model: MockModel) -> str:
    """A CODEX_HOME whose model is the scripted one, as text for an option."""
    return str(write_codex_home(codex_home, model.base_url, model="gpt-5.5"))
