"""Processes are counted however far down they are, and whoever their parent is by now."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid

from codex_runtime.cli._census import MARK, alive

# Starts a child, says its pid, and waits (or leaves it alone).
PARENT = "import subprocess, sys; c = subprocess.Popen(['sleep', '60']); print(c.pid, flush=True); sys.stdin.read()"


def test_children_of_children_are_counted() -> None:
    """Until they have ended; one that nobody waited for is dead all the same."""
    mark = uuid.uuid4().hex
    before = alive(mark)
    with subprocess.Popen([sys.executable, "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert alive(mark) - before == {parent.pid, child}
        os.kill(child, 9)
        parent.kill()
        os.waitid(os.P_PID, parent.pid, os.WEXITED | os.WNOWAIT)
        assert parent.pid not in alive(mark)


def test_the_mark_finds_those_whose_parent_has_died() -> None:
    """They belong to somebody else by now; a process without the mark is not ours to count."""
    mark = uuid.uuid4().hex
    environment = {**os.environ, MARK: mark}
    script = PARENT.replace("; sys.stdin.read()", "").replace(
        "['sleep', '60']", "['sleep', '60'], stdout=-3, stderr=-3"
    )
    told = subprocess.run([sys.executable, "-c", script], env=environment, check=True, capture_output=True)
    orphan = int(told.stdout)
    try:
        assert orphan in alive(mark)
        assert orphan not in alive("another mark")
    finally:
        os.kill(orphan, 9)
