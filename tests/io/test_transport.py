"""The seam: who claims to be a transport has all of it."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

import pytest

from codex_runtime._io.process import ChildProcess, ProcessLauncher, ProcessSpec
from codex_runtime._io.transport import Launcher, Receiver, Transport
from tests.support.children import Recorder

if TYPE_CHECKING:
    accepts: tuple[Launcher, type[Transport], Receiver] = (
        ProcessLauncher(ProcessSpec(argv=("codex",))),
        ChildProcess,
        Recorder(),
    )


@pytest.mark.parametrize(
    ("seam", "made"),
    [(Transport, ChildProcess), (Launcher, ProcessLauncher), (Receiver, Recorder)],
    ids=lambda it: it.__name__,
)
def test_the_child_process_has_the_shape_of_the_seam(seam: type, made: type) -> None:
    """Each method is there, with the same parameters, and asynchronous where the seam says so."""
    for name, promised in vars(seam).items():
        if name.startswith("_"):
            continue
        kept = inspect.getattr_static(made, name)
        if isinstance(promised, property):
            assert isinstance(kept, property)
            continue
        assert inspect.iscoroutinefunction(kept) == inspect.iscoroutinefunction(promised)
        assert list(inspect.signature(kept).parameters) == list(inspect.signature(promised).parameters)
