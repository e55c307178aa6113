"""The jobs of the workers, run as `make bench` runs them, with little to do."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from itertools import takewhile
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks import firehose
from benchmarks.duel import Duel
from benchmarks.workloads import WORKLOADS, Workload

if TYPE_CHECKING:
    from collections.abc import Iterator

STAND_INS = {
    "compiled": firehose.command(),
    "playback": (sys.executable, "-S", "-E", str(firehose.HERE / "playback.py")),
}
TURN = b"""\
{"id":1,"method":"turn/start","params":{"threadId":"01b0a7c4","input":[{"type":"text","text":"fire:n=20;rate=2000;stamp=1"}]}}
"""


@pytest.fixture
def duel() -> Iterator[Duel]:
    """One round, as short as can be."""
    with Duel(rounds=1, seconds=0.01, pinned=False) as duel:
        yield duel


def run(duel: Duel, name: str, contender: str, **changed: Any) -> dict[str, Any]:
    """Run a workload with one contender."""
    workload = next(workload for workload in WORKLOADS if workload.name == name)
    little = Workload(
        name=name, title="", job={**workload.job, **changed}, contenders=(contender,), fresh=workload.fresh
    )
    return duel.run(little)[contender][0]


@pytest.mark.parametrize("stand_in", STAND_INS)
def test_every_delta_says_when_it_was_written(stand_in: str) -> None:
    """On a clock that both processes share: none is from before the turn, none from the time to come."""
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
    with subprocess.Popen(STAND_INS[stand_in], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        server.stdin.write(TURN)
        server.stdin.flush()
        messages = map(json.loads, takewhile(lambda line: b'"turn/completed"' not in line, server.stdout))
        stamps = [int(message["params"]["delta"]) for message in messages if "delta" in message.get("params", {})]
        server.stdin.close()
    assert len(stamps) == 20
    assert before < stamps[0] <= stamps[-1] < time.clock_gettime_ns(time.CLOCK_MONOTONIC)
    assert stamps == sorted(stamps)


@pytest.mark.parametrize("contender", ["ours", "naive"])
def test_a_delta_has_an_age_when_it_is_read(duel: Duel, contender: str) -> None:
    """A job that missed any would be an error instead."""
    spread = run(duel, "latency-1k", contender, size=20)
    assert 0 < spread["p50"] <= spread["p99"] < 10


@pytest.mark.parametrize("contender", ["ours-jsonl", "ours-journal", "ours-4"])
def test_a_turn_with_more_to_do_loses_nothing(duel: Duel, contender: str) -> None:
    """Sinks are waited for: what is lost would be told by then."""
    result = run(duel, "more", contender)
    assert result["lost"] == 0
    assert result["rate"] > 0


def test_a_reader_that_sleeps_is_told_of_every_loss(duel: Duel) -> None:
    """What it gets and what it is told of are all that there were."""
    result = run(duel, "stalled", "ours", size=10_000, seconds=0)
    assert result["delivered"] > 0
    assert result["missing"] == 0


def test_clients_are_counted_together(duel: Duel) -> None:
    """The rate of all, and what they need of memory and threads."""
    result = run(duel, "runtimes", "ours", counts=[1, 2])
    assert result["share"] == result["rate-2"] / result["rate-1"]
    assert result["threads"] == 1


def test_a_contender_that_cannot_do_it_says_so_and_goes_on(duel: Duel) -> None:
    """What somebody cannot do is a result too."""
    assert run(duel, "delta", "loop")["error"].startswith("NotImplementedError")
    assert run(duel, "calls-100", "loop")["rate"] > 0
