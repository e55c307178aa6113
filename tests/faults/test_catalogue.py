"""The catalogue of faults, the scenarios and the tests, held against each other: no claim without a proof."""

from __future__ import annotations

import ast
import re
from collections import Counter
from typing import TYPE_CHECKING

from tests.architecture.tree import ROOT
from verification.faults.bytes import BYTES
from verification.faults.catalogue import FAULTS, INVARIANTS
from verification.faults.child import CHILD
from verification.faults.consumers import CONSUMERS
from verification.faults.environment import ENVIRONMENT
from verification.faults.real import REAL
from verification.faults.worlds import WORLDS

if TYPE_CHECKING:
    from pathlib import Path

ALL = (*CHILD, *BYTES, *CONSUMERS, *ENVIRONMENT)
PLAYED = {scenario.fault for scenario in ALL}


def names_in(path: Path) -> set[str]:
    """Names of the tests in a file, which is read and not run."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    functions = (node for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return {node.name for node in functions if node.name.startswith("test_")}


def test_every_test_that_is_named_exists() -> None:
    """A test that was renamed or removed leaves no claim behind."""
    named = {test for fault in FAULTS for test in fault.tests}
    files = {test.partition("::")[0] for test in named}
    there = {f"{file}::{name}" for file in files if (ROOT / file).exists() for name in names_in(ROOT / file)}
    assert named - there == set()


def test_every_fault_is_done_to_a_client_or_says_why_not() -> None:
    """Scenarios that any client can be taken through, or tests of our own and a reason."""
    assert {fault.id for fault in FAULTS if fault.id not in PLAYED and not fault.tests} == set()
    assert {fault.id for fault in FAULTS if fault.id not in PLAYED and fault.without is None} == set()
    assert {fault.id for fault in FAULTS if fault.id in PLAYED and fault.without is not None} == set()


def test_every_scenario_is_of_a_fault_that_is_known() -> None:
    """And those of the real server are of faults that the stand-in plays as well."""
    known = {fault.id for fault in FAULTS}
    assert known >= PLAYED
    assert {scenario.fault for scenario in REAL} <= PLAYED


def test_every_invariant_is_at_stake_somewhere() -> None:
    """What nothing ever threatens is not proven; and a fault threatens nothing that is not on the list."""
    assert {invariant for fault in FAULTS for invariant in fault.invariants} == INVARIANTS.keys()
    for fault in FAULTS:
        assert list(fault.invariants) == sorted(fault.invariants, key=lambda name: int(name[1:])), fault.id


def test_what_others_never_promised_is_named_and_has_a_reason() -> None:
    """An excuse is of an invariant, and in words."""
    for scenario in (*ALL, *REAL):
        assert scenario.unpromised.keys() <= INVARIANTS.keys(), scenario.name
        assert all(scenario.unpromised.values()), scenario.name


def test_ids_are_whole_rows_and_stand_once() -> None:
    """Four families, numbered without a hole, each entry in its place."""
    ids = [fault.id for fault in FAULTS]
    assert [name for name, count in Counter(ids).items() if count > 1] == []
    last = {"P": 20, "M": 12, "C": 11, "E": 10}
    assert ids == [f"{letter}{number}" for letter, end in last.items() for number in range(1, end + 1)]


def test_sentences_are_sentences() -> None:
    """One each; and no test is named twice for one fault."""
    texts = [*INVARIANTS.values(), *(fault.sentence for fault in FAULTS), *(f.without for f in FAULTS if f.without)]
    assert [text for text in texts if not re.fullmatch(r"[A-Z].*\.", text)] == []
    assert [fault.id for fault in FAULTS if len({*fault.tests}) != len(fault.tests)] == []


def test_every_world_is_visited() -> None:
    """What is odd in a process is tried with a server that dies or with one that lives."""
    assert {scenario.job.world for scenario in ALL} - {None} == WORLDS.keys()


def test_points_are_told_in_a_few_words() -> None:
    """They are the rows of a table; a fault and a point together stand once."""
    for scenarios in (ALL, REAL):
        names = [scenario.name for scenario in scenarios]
        assert [name for name, count in Counter(names).items() if count > 1] == []
        assert [name for name in names if len(name) > 110] == []
