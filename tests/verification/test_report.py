"""The page of what the proofs found: written by a program, between two marks, and true to the lists that it speaks of."""

from __future__ import annotations

import re

from benchmarks.report import replaced
from tests.architecture.tree import ROOT
from verification import report
from verification.faults.__main__ import Row
from verification.faults.catalogue import INVARIANTS
from verification.faults.drive import Outcome
from verification.faults.history import Violation
from verification.report import BEGIN, END, PAGE


def test_the_page_is_written_between_its_marks() -> None:
    """The rest of it is written by people."""
    page = PAGE.read_text(encoding="utf-8")
    assert replaced(page, "new", begin=BEGIN, end=END) != page
    assert replaced(replaced(page, "x", begin=BEGIN, end=END), "y", begin=BEGIN, end=END).count("\ny\n") == 1


def test_the_page_tells_every_invariant_as_it_is() -> None:
    """The same words as in the list that the tests are held against."""
    page = PAGE.read_text(encoding="utf-8")
    assert [name for name, sentence in INVARIANTS.items() if f"| {name} | {sentence} |" not in page] == []


def test_the_page_names_every_verb() -> None:
    """A proof that nobody finds is run by nobody."""
    page, makefile = PAGE.read_text(encoding="utf-8"), (ROOT / "Makefile").read_text(encoding="utf-8")
    verbs = ("faults", "crash", "soak", "fuzz", "verify", "mutate", "targets", "proof-report")
    assert [verb for verb in verbs if f"make {verb} " not in page or f"\n{verb}: " not in makefile] == []


def test_what_nobody_promised_is_told_apart() -> None:
    """In brackets, and whether a client goes on afterwards stands beside it."""
    outcome = Outcome(
        fault="P1",
        point="somewhere",
        client="sdk",
        violations=(Violation("I1", "x hung"), Violation("I9", "left behind: a child")),
        goes_on=False,
        first="hung",
        seconds=1.0,
    )
    row = Row(fault="P1", point="somewhere", unpromised={"I9": "it says so"}, outcomes={"sdk": outcome})
    assert report._cell(row, "sdk") == "I1 (I9), is of no more use"
    assert report._cell(row, "ours") == ""


def test_every_test_that_the_page_names_exists() -> None:
    """A defect whose test is gone may come back. A name that ends with dots is the beginning of some."""
    page = PAGE.read_text(encoding="utf-8")
    there = {
        name
        for path in (ROOT / "tests").rglob("test_*.py")
        for name in [path.name, *re.findall(r"def (test_\w+)", path.read_text(encoding="utf-8"))]
    }
    named = re.findall(r"`(?:tests/\w+/)?(test_\w+(?:\.py|…)?)`", page)
    assert len(named) > 30
    lost = [
        name
        for name in named
        if not (
            any(each.startswith(name[:-1]) for each in there)
            if name.endswith("…")
            else name in there or f"{name}.py" in there
        )
    ]
    assert lost == []
