"""The list of controls and the tests, held against each other, and against what SECURITY.md tells."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

from tests.architecture.tree import ROOT
from tests.behaviour.test_coverage import names_in
from tests.security.controls import CONTROLS, IDS, table

HERE = Path(__file__)


def named_tests() -> set[str]:
    """Every test that proves something."""
    return {test for control in CONTROLS for test in control.tests}


def test_every_id_has_its_control_and_no_other_is_there() -> None:
    """Each once, and in the order of their numbers."""
    ids = [control.id for control in CONTROLS]
    assert ids == sorted(IDS, key=lambda each: int(each[1:]))


def test_every_control_is_proven_by_a_test() -> None:
    """And by none that it names twice."""
    assert [control.id for control in CONTROLS if not control.tests] == []
    assert [c.id for c in CONTROLS if [name for name, count in Counter(c.tests).items() if count > 1]] == []


def test_every_test_that_is_named_exists() -> None:
    """A test that was renamed or removed leaves no claim behind."""
    files = {file: names_in(ROOT / file) for file in {test.partition("::")[0] for test in named_tests()}}
    assert {test for test in named_tests() if test.partition("::")[2] not in files[test.partition("::")[0]]} == set()


def test_every_test_in_this_folder_proves_a_control() -> None:
    """Whoever adds one says what it is for."""
    ours = {
        f"{path.relative_to(ROOT)}::{name}"
        for path in sorted(HERE.parent.glob("test_*.py"))
        if path != HERE
        for name in names_in(path)
    }
    assert ours - named_tests() == set()


def test_what_is_said_of_a_control_is_said_in_sentences() -> None:
    """What threatens, what stands against it, and what it does not cover."""
    for control in CONTROLS:
        for words in (control.threat, control.control, control.uncovered or "None."):
            assert words.endswith(".")
            assert words == words.strip()
            assert words[0].isupper() or words[0] == "`"


def test_the_document_names_every_control_and_no_other() -> None:
    """Whoever reads it finds the tests by these ids."""
    told = re.findall(r"^\| (S\d+) \|", (ROOT / "SECURITY.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert told == [control.id for control in CONTROLS]


def test_the_table_tells_all_of_it() -> None:
    """Each control with what is left open, in lines that a terminal holds."""
    lines = list(table())
    told = " ".join(" ".join(lines).split())
    for control in CONTROLS:
        for words in (control.id, control.threat, control.control, control.uncovered or ""):
            assert " ".join(words.split()) in told
    assert max(map(len, lines)) <= 110
