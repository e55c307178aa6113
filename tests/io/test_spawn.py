"""Spawning: what is left when the system refuses, and how that is put into words."""

from __future__ import annotations

import errno
import os
import resource
from contextlib import ExitStack
from pathlib import Path

import pytest

from codex_runtime._io.spawn import ProcessSpec, refusal, spawn
from codex_runtime.errors import BinaryNotFoundError, StartError


@pytest.mark.parametrize("guarded", [True, False])
def test_running_out_of_descriptors_is_a_start_error_and_leaves_none(*, guarded: bool) -> None:
    """Wherever in the middle it happens; the leak check counts them afterwards."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    with ExitStack() as fillers:
        top = max(int(entry.name) for entry in Path("/dev/fd").iterdir())
        while fillers.enter_context(Path(os.devnull).open()).fileno() < top:
            pass  # no gap is left below the limit
        try:
            for more in range(1, 8):  # the last of them is enough for all but the pipe over which exec is reported
                resource.setrlimit(resource.RLIMIT_NOFILE, (top + more, before[1]))
                with pytest.raises(StartError, match="Too many open files"):
                    spawn(ProcessSpec(argv=("true",), guarded=guarded))
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.mark.parametrize("guarded", [True, False])
def test_a_nul_character_is_a_start_error(*, guarded: bool) -> None:
    """The system cannot be told such a word."""
    with pytest.raises(StartError, match="cannot start 'true': embedded null byte"):
        spawn(ProcessSpec(argv=("true", "a\0b"), guarded=guarded))


@pytest.mark.parametrize("guarded", [True, False])
def test_a_command_line_that_is_too_long_is_a_start_error(*, guarded: bool) -> None:
    """It is the program's command line that is blamed, not its guardian."""
    with pytest.raises(StartError) as caught:
        spawn(ProcessSpec(argv=("true", "x" * 4_000_000), guarded=guarded))
    assert str(caught.value) == "cannot start 'true': Argument list too long"


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.ENOENT, BinaryNotFoundError),
        (errno.EACCES, BinaryNotFoundError),
        (errno.ENOEXEC, BinaryNotFoundError),
        (errno.EAGAIN, StartError),
        (errno.ENOMEM, StartError),
    ],
)
def test_only_a_bad_file_is_blamed_on_the_binary(number: int, kind: type[StartError]) -> None:
    """A system that is short of something may do better next time."""
    error = refusal(ProcessSpec(argv=("/no/such/codex",)), number)
    assert type(error) is kind
    assert str(error) == f"cannot start '/no/such/codex': {os.strerror(number)}"
