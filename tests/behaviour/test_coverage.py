"""The list of requirements and the tests, held against each other: no claim without a test, no test here without a claim."""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

from tests.architecture.tree import ROOT
from tests.behaviour.requirements import IDS, MISSING, REQUIREMENTS, summary

HERE = Path(__file__)


def names_in(path: Path) -> set[str]:
    """Names of the tests in a file, which is read and not run."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {
        node.name
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    }


def named_tests() -> set[str]:
    """Every test that proves something."""
    return {test for row in REQUIREMENTS for test in row.tests}


def test_every_test_that_is_named_exists() -> None:
    """A test that was renamed or removed leaves no claim behind."""
    files = {file: names_in(ROOT / file) for file in {test.partition("::")[0] for test in named_tests()}}
    lost = {test for test in named_tests() if test.partition("::")[2] not in files[test.partition("::")[0]]}
    assert lost == set()


def test_every_requirement_is_proven_by_a_test() -> None:
    """Also one that is met in another way than one might expect: something proves that way."""
    assert [row.id for row in REQUIREMENTS if not row.tests] == []


def test_every_id_has_its_entry_and_no_other_is_there() -> None:
    """What was required once is proven, or said to be missing; it does not fall off the list."""
    assert {row.id for row in REQUIREMENTS} | {entry.id for entry in MISSING} == IDS


def test_every_entry_stands_once_and_in_its_place() -> None:
    """Nothing is claimed twice, neither under one id nor in one sentence, nor by one test named twice."""
    ids = [row.id for row in REQUIREMENTS]
    assert ids == sorted(ids)
    for names in (
        ids,
        [entry.id for entry in MISSING],
        [row.sentence for row in REQUIREMENTS],
        *([*row.tests] for row in REQUIREMENTS),
    ):
        assert [name for name, count in Counter(names).items() if count > 1] == []


def test_every_sentence_is_one() -> None:
    """It begins large and ends with a full stop."""
    sentences = [
        *(row.sentence for row in REQUIREMENTS),
        *(row.difference for row in REQUIREMENTS if row.difference is not None),
        *(entry.sentence for entry in MISSING),
    ]
    assert [text for text in sentences if not text.endswith(".") or text[0].islower() or text != text.strip()] == []


def test_every_test_in_this_folder_proves_a_requirement() -> None:
    """Whoever adds a test of behaviour says what it is for."""
    ours = {
        f"{path.relative_to(ROOT)}::{name}"
        for path in sorted(HERE.parent.glob("test_*.py"))
        if path != HERE
        for name in names_in(path)
    }
    assert ours - named_tests() == set()


def test_the_summary_tells_of_every_gap_and_every_difference() -> None:
    """Nothing that is not as one might expect is left out of it."""
    lines = list(summary())
    told = {line.split()[0] for line in lines if line.startswith("  ") and line.strip()}
    assert {entry.id for entry in MISSING} <= told
    assert {row.id for row in REQUIREMENTS if row.difference is not None} <= told
    assert max(map(len, lines)) <= 110
