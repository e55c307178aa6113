"""The second net: processes are found by their mark, and only by it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from codex_runtime._io.survivors import MARK, kill_marked

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def sleeper(**env: str) -> subprocess.Popen[bytes]:
    """Start a process with an environment of its own."""
    return subprocess.Popen(["sleep", "600"], env={"PATH": os.environ["PATH"], **env})


def test_who_carries_the_mark_is_killed_and_nobody_else() -> None:
    """Neither another app server's processes nor those whose mark merely begins alike."""
    value = os.urandom(8).hex()
    ours = [sleeper(**{MARK: value}) for _ in range(3)]
    others = [
        sleeper(**{MARK: value + "0"}),
        sleeper(**{MARK: "0"}),
        sleeper(**{"X" + MARK: value}),
        sleeper(NOTE=value),
    ]
    try:
        assert kill_marked(value) == 3
        assert [process.wait(5) for process in ours] == [-signal.SIGKILL] * 3
        assert kill_marked(value) == 0
        assert [process.poll() for process in others] == [None] * 4
    finally:
        for process in others:
            process.kill()
            process.wait()


def test_the_asking_process_spares_itself(tmp_path: object) -> None:
    """Even if it was given the mark that it looks for."""
    code = f"from codex_runtime._io.survivors import kill_marked; print(kill_marked({'me'!r}))"
    result = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, MARK: "me"}, capture_output=True, check=True, text=True
    )
    assert result.stdout == "0\n"
