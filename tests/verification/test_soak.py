"""The soak judges itself: it finds what grows, what hangs and what is lost, and a short one on the fake is good."""

from __future__ import annotations

import asyncio
from itertools import islice, pairwise
from random import Random
from typing import Any

import pytest

from codex_runtime import Client, CodexError, RuntimeConfig
from codex_runtime._sansio.envelope import Envelope, Stamp
from codex_runtime.runtime import Gap
from verification.soak import report
from verification.soak.cycles import in_memory
from verification.soak.faults import SENTENCES, draw
from verification.soak.guests import Chain
from verification.soak.ledger import SLACK, Ledger
from verification.soak.place import Scripted
from verification.soak.program import Report
from verification.soak.run import Settings, soak
from verification.soak.trend import judge, mann_kendall, theil_sen
from verification.soak.work import checked, is_whole

XS = [float(x) for x in range(300)]


def noise(seed: int = 1, size: float = 1000.0) -> list[float]:
    """Figures without a direction."""
    chance = Random(seed)
    return [50_000 + chance.uniform(-size, size) for _ in XS]


def told(seq: int, generation: int = 0) -> Envelope:
    """Make a message with this number."""
    return Envelope(method="a", seq=seq, stamp=Stamp(generation, 0.0, 0.0))


# -- what grows --------------------------------------------------------------------------------------------------------


def test_noise_does_not_grow() -> None:
    """At 5 %, one row in twenty has a direction by chance; hardly any of them is steep."""
    words = [judge(XS, noise(seed), bound=5.0).word for seed in range(40)]
    assert "grows" not in words
    assert words.count("flat") > 30


def test_a_small_leak_is_found_in_noise() -> None:
    """3 bytes a step are far below the noise of any two samples, and not below that of all of them."""
    leak = judge(XS, [y + 3 * x for x, y in zip(XS, noise(), strict=True)], bound=1.0)
    assert leak.word == "grows"
    assert 2.0 < leak.slope < 4.0
    assert not leak.is_good


def test_what_rises_within_its_bound_or_falls_is_good() -> None:
    """A bound says what is not worth a verdict; whoever frees memory is not accused."""
    rising = [y + 3 * x for x, y in zip(XS, noise(), strict=True)]
    assert judge(XS, rising, bound=10.0).word == "within bounds"
    assert judge(XS, rising[::-1], bound=1.0).word == "falls"
    assert judge(XS[:5], rising[:5], bound=1.0).word == "too short"


def test_the_statistics_are_those_of_the_books() -> None:
    """Worked out by hand: S = 10 of five values has variance 50 / 3, ties take away from it, and one wild value bends no slope."""
    assert mann_kendall([1, 2, 3, 4, 5]) == pytest.approx(0.0275, abs=1e-4)
    assert mann_kendall([7, 7, 7, 7]) == 1.0
    assert mann_kendall([1, 1, 2, 2, 3]) == pytest.approx(0.0676, abs=1e-4)
    assert theil_sen([0, 1, 2, 3, 4], [1, 3, 5, 7, 900]) == 2.0


# -- what breaks -------------------------------------------------------------------------------------------------------


def test_a_seed_makes_the_same_faults_again_and_every_kind_comes_first_once() -> None:
    """A soak that failed can be run again; a short one has seen each fault."""
    first, again = (list(islice(draw(7, every=2.0), 40)) for _ in range(2))
    assert first == again != list(islice(draw(8, every=2.0), 40))
    assert {fault.kind for fault in first[: len(SENTENCES)]} == set(SENTENCES)
    assert all(a.at < b.at for a, b in pairwise(first))


def test_faults_that_a_place_cannot_have_are_left_out() -> None:
    """The real server cannot be told to write garbage."""
    assert all(fault.kind != "garbage" for fault in islice(draw(1, every=1.0, without={"garbage"}), 60))


# -- what is noticed ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("items", "invariant"),
    [
        ([told(3), told(4), Gap(5, 9, 5), told(10)], None),
        ([told(3), told(5)], "I4"),
        ([told(3), told(3)], "I4"),
        ([told(3), Gap(5, 9, 5)], "I4"),
        ([told(3), Gap(4, 9, 5)], "I4"),
        ([told(3), Gap(4, 9, 6), told(11)], "I4"),
        ([told(3, 1), told(4, 0)], "I3"),
    ],
)
def test_a_hole_that_was_not_told_is_a_breach(items: list[Any], invariant: str | None) -> None:
    """Whoever follows both directions gets every number, or a gap that names exactly those that are missing."""
    ledger = Ledger()
    Chain(ledger, "reader").take(items)
    assert list(ledger.breaches) == ([] if invariant is None else [invariant])


async def test_what_ends_late_or_oddly_is_a_breach() -> None:
    """Typed errors are outcomes; all else, and whatever is over too late, is held against the runtime."""

    async def ends(error: BaseException | None) -> str:
        if error is not None:
            raise error
        return "done"

    ledger = Ledger()
    assert await ledger.settled("a", 1.0, ends(None)) == "done"
    assert await ledger.settled("a", 1.0, ends(CodexError("no"))) is None
    assert not ledger.breaches
    assert await ledger.settled("a", 1.0, ends(KeyError("odd"))) is None
    assert await ledger.settled("late", -SLACK - 0.1, ends(None)) == "done"
    with pytest.raises(asyncio.CancelledError):
        await ledger.settled("a", 1.0, ends(asyncio.CancelledError()))
    assert ledger.breaches == {"I1": 2}
    assert ledger.begun == ledger.ended == {"a": 4, "late": 1}


def test_a_text_that_lost_a_piece_is_not_whole() -> None:
    """The check travels with the text."""
    text = checked("one two ☃ three")
    assert is_whole(text)
    assert not is_whole(text.replace("two ", ""))
    assert not is_whole("")


async def test_the_record_convicts_a_program_that_says_yes_and_does_not_own_up() -> None:
    """What is written to the server is judged by what the server got, not by what the program believes."""
    async with Scripted(1) as place, Client(RuntimeConfig(**place.settings()), minimum_version=None) as client:
        async with await client.start_session() as session:
            while not client.runtime.metrics.settled.get("accepted"):
                try:
                    await session.run("go", approvals="accept", deadline=5.0)
                except CodexError:
                    continue
        metrics = client.runtime.metrics.as_dict()
        empty: dict[str, Any] = {key: {} for key in ("begun", "ended", "outcomes", "breaches", "latest", "readers")}
        lies = Report(**empty, examples=[], left=[], yes=[], yes_turns=[], metrics=metrics)
        assert [each[:2] for each in place.judge(lies)] == ["I6"]
        metrics["messages"] = 10**9
        assert any(each.startswith("I19") for each in place.judge(lies))


# -- the real thing, for a moment --------------------------------------------------------------------------------------


async def test_lives_that_end_in_a_crash_leave_nothing() -> None:
    """The long row is `python -m verification.soak --cycles 10000`."""
    lives = await in_memory(60)
    assert lives.left == []
    assert lives.rows["lives"][-1] == 60
    for name in ("descriptors", "tasks", "threads", "zombies"):
        assert len(set(lives.rows[name])) == 1, name


@pytest.mark.timeout(120)
async def test_a_short_soak_is_good() -> None:
    """Every kind of fault once, and nothing is lost, doubled, said yes to, left open or left over."""
    story = await soak(Settings(seconds=5.0, every=0.25, threads=2, tells=False))
    assert story.wrong == []
    assert story.report is not None
    assert story.report.begun == story.report.ended
    assert sum(story.faults.values()) >= 10
    assert story.report.readers["journal"][0] > 500
    assert story.samples[-1].restarts >= 2
    assert "<svg" in report.picture(story)
