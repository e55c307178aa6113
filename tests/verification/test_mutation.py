"""Mutation testing itself: which errors are made, that they are told apart from noise, and that each survivor was judged."""

from __future__ import annotations

import ast
import json
from functools import cache
from textwrap import dedent
from typing import TYPE_CHECKING

import pytest

from verification.mutation.__main__ import ENOUGH, RESULTS, figures, unsettled
from verification.mutation.judgements import PAGE, judgements, with_figures
from verification.mutation.mutants import Mutant, mutants
from verification.mutation.run import Result, TestsFailError, copied, run
from verification.mutation.targets import CORE, ROOT, Target

if TYPE_CHECKING:
    from pathlib import Path


@cache
def mutants_of(target: Target) -> list[Mutant]:
    """Those of a module of the core, as it stands."""
    return mutants(target.path(ROOT).read_text(encoding="utf-8"))


def errors_in(code: str) -> set[str]:
    """The changes that are made to a piece of code."""
    return {mutant.change for mutant in mutants(dedent(code))}


# --- Which errors are made --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "changes"),
    [
        ("a < b", {"a < b → pass", "a < b → <=", "a < b → >="}),
        ("f(a is not b)", {"f(a is not b) → pass", "a is not b → is"}),
        ("x = a + (b)", {"a + b → -"}),
        ("x = not a", {"not a → a"}),
        ("x = a and b", {"a and b → or", "without a", "without b"}),
        ("x = 7", {"7 → 8", "7 → 6"}),
        ("x = 'word'", {"'word' → \"\""}),
        ("x = ''", {"'' → \"mutant\""}),
        ("x = f'{a} b'", {"f'{a} b' → \"\""}),
        ("x = True", {"True → False"}),
        ("x = f(a, key=b, other=c)", {"without key=b", "without other=c"}),
        ("x = {'': a}", {"without ''", "'' → \"mutant\""}),
        ("x = {a, b}", {"without a", "without b"}),
        ("x = a[:b]", {"a[:b] → a"}),
        ("x = a in (b, c)", {"a in (b, c) → not in", "without b", "without c"}),
        ("x = a if b else c", {"b → not (b)"}),
        ("x = [a for a in b if a]", {"a → not (a)", "a → True"}),
        ("x = lambda a: a", {"a → None"}),
        ("if a: import b", {"a → not (a)"}),
        ("a += b", {"a += b → pass", "+= → -=", "+= → ="}),
        ("raise A(b)", {"raise A(b) → pass", "A → Exception"}),
        ("try: import a\nexcept A: import b", {"A → ()"}),
        ("try: import a\nexcept (A, B): import b", {"without A", "without B"}),
        ("def f():\n return a", {"a → None"}),
        ("def f():\n a.b = c", {"a.b = c → pass", "c → None"}),
        ("def f(a=0): import b", {"0 → 1", "0 → -1"}),
        ("for a in b:\n break", {"break → continue"}),
        ("for a in b:\n continue", {"continue → break", "continue → pass"}),
        ("match a:\n case b.c: import d\n case _: import e", {"case b.c does nothing"}),
    ],
)
def test_each_kind_of_error_is_made(code: str, changes: set[str]) -> None:
    """An error that is never made is a hole in the tests that nobody sees."""
    assert errors_in(code) == changes


@pytest.mark.parametrize(
    "code",
    [
        '"""Text at the top."""',
        "def f(a: 'Type' = None) -> 'Type':\n  '''What it does.'''",
        "import a\nfrom a import b",
        "__all__ = ['a', 'b']",
        "Name: TypeAlias = 'A | B'",
        "T = TypeVar('T', bound='A')",
        "x: Literal['a', 'b']",
        "if TYPE_CHECKING:\n  x = 1",
        "x = cast('A', b)",
    ],
)
def test_what_is_never_run_is_left_alone(code: str) -> None:
    """Nobody could notice an error there."""
    assert errors_in(code) == set()


def test_an_error_in_a_larger_expression_changes_that_alone() -> None:
    """Also where the new operator binds less."""
    told = {mutant.of("x = not (a and b) or c\n") for mutant in mutants("x = not (a and b) or c\n")}
    assert "x = not ((a or b)) or c\n" in told
    assert "x = (not (a and b) and c)\n" in told
    assert "x = (not (a and b))\n" in told


@pytest.mark.parametrize("target", CORE, ids=lambda target: target.name)
def test_every_mutant_of_the_core_is_another_program(target: Target) -> None:
    """One that means the same would live for ever, and one that is no program would always be killed."""
    source, told = target.path(ROOT).read_text(encoding="utf-8"), mutants_of(target)
    assert len({(mutant.text, mutant.change) for mutant in told}) == len(told)
    assert all(mutant.of(source) != source for mutant in told)
    tree = ast.dump(ast.parse(source))
    for mutant in told[::60]:  # each of them is compiled when it runs
        assert ast.dump(ast.parse(mutant.of(source))) != tree


def test_the_same_text_has_the_same_mutants() -> None:
    """Results of two runs can be compared."""
    assert mutants(CODE) == mutants(CODE)


def test_a_mutant_is_found_again_when_lines_have_shifted() -> None:
    """A judgement holds until its line is written anew."""
    code = "def f(a):\n    return a < 1\n"
    before = [(mutant.text, mutant.change) for mutant in mutants(code)]
    assert [(mutant.text, mutant.change) for mutant in mutants("import b\n\n\n" + code)] == before


def test_a_mutant_is_shown_as_a_changed_line() -> None:
    """What a person has to judge."""
    code = "def f(a):\n    return a < 1\n"
    [mutant] = [mutant for mutant in mutants(code) if mutant.change == "a < 1 → <="]
    assert mutant.diff(code) == "@@ -2 +2 @@\n-    return a < 1\n+    return a <= 1"


# --- Running them -----------------------------------------------------------------------------------------------------

CODE = """\
def is_small(number):
    return number < 10


def until_none(numbers):
    while numbers:
        numbers.pop()


def untested():
    return 1
"""
TESTS = """\
from toy.sums import is_small, until_none

def test_small():
    assert is_small(3)
    assert not is_small(30)

def test_until_none():
    until_none([1, 2, 3])
"""
TARGET = Target("toy.sums", ("tests/test_sums.py",))


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    """A project of one module."""
    (tmp_path / "src" / "toy").mkdir(parents=True)
    (tmp_path / "tests").mkdir()
    (tmp_path / "src" / "toy" / "__init__.py").touch()
    (tmp_path / "src" / "toy" / "sums.py").write_text(CODE)
    (tmp_path / "tests" / "test_sums.py").write_text(TESTS)
    (tmp_path / "pyproject.toml").write_text("[tool.pytest.ini_options]\naddopts = ['--import-mode=importlib']\n")
    return tmp_path


def test_a_mutant_lives_if_no_test_that_runs_it_fails(toy: Path) -> None:
    """Killed, hanging, alive, and alive because no test runs it: each is told for what it is."""
    with copied(toy) as folder:
        results = run(folder, TARGET, jobs=1, least=0.5)
    assert [(each.mutant.change, each.outcome, each.tests) for each in results] == [
        ("number < 10 → None", "killed", 1),
        ("number < 10 → <=", "survived", 1),
        ("number < 10 → >=", "killed", 1),
        ("10 → 11", "survived", 1),
        ("10 → 9", "survived", 1),
        ("numbers → not (numbers)", "survived", 1),
        ("numbers.pop() → pass", "timeout", 1),
        ("1 → 0", "survived", 0),
        ("1 → 2", "survived", 0),
        ("1 → None", "survived", 0),
    ]
    assert (toy / "src" / "toy" / "sums.py").read_text() == CODE


def test_tests_that_fail_as_they_are_judge_nothing(toy: Path) -> None:
    """They would kill every mutant."""
    (toy / "tests" / "test_sums.py").write_text("import toy.sums\ndef test_it(): assert False\n")
    with copied(toy) as folder, pytest.raises(TestsFailError, match="fail as they are"):
        run(folder, TARGET, jobs=1)


# --- What is said of them ---------------------------------------------------------------------------------------------

BOTH = "| `if a \\| b < 1:` | `a < 1 → <=`, `1 → 0` | equivalent: for a reason |"


def told_of(*survivors: tuple[str, str], killed: int = 98) -> dict[str, object]:
    """The figures of a run."""
    lived = [Result(Mutant("f", text, change, 0, 0, "", 1, 1), "survived", 1) for text, change in survivors]
    dead = Result(Mutant("f", "line", "change", 0, 0, "", 1, 1), "killed", 1)
    return figures([*lived, *[dead] * killed])


def test_a_judgement_is_a_row_below_the_name_of_its_module() -> None:
    """One row may speak of several changes of a line."""
    page = f"#### `sansio/framing`\n\n| line | change | why |\n| --- | --- | --- |\n{BOTH}\n\n### Else\n\n{BOTH}\n"
    assert judgements(page) == {
        ("sansio/framing", "if a | b < 1:", "a < 1 → <="): "equivalent: for a reason",
        ("sansio/framing", "if a | b < 1:", "1 → 0"): "equivalent: for a reason",
    }


def test_a_survivor_that_nobody_judged_is_wrong_and_so_is_a_judgement_of_nothing() -> None:
    """The list on the page is exactly the list of survivors."""
    told = told_of(("line", "one"), ("line", "two"))
    judged = {("m", "line", "one"): "", ("m", "line", "three"): "", ("other", "line", "two"): ""}
    assert unsettled("m", told, judged) == ["not judged: line   two", "judged, but killed or gone: line   three"]
    assert unsettled("m", told_of(), {}) == []


def test_too_many_survivors_are_wrong_however_they_are_judged() -> None:
    """A judgement is for the exception."""
    told = told_of(("line", "one"), ("line", "two"), killed=8)
    judged = {("m", "line", "one"): "", ("m", "line", "two"): ""}
    assert unsettled("m", told, judged) == ["only 80.0% of the mutants are noticed, and 90% have to be"]


def test_every_judgement_is_about_a_mutant_that_exists() -> None:
    """Whoever rewrites a line that was judged runs `python -m verification.mutation` for its module, and judges anew."""
    there = {(target.name, mutant.text, mutant.change) for target in CORE for mutant in mutants_of(target)}
    judged = judgements(PAGE.read_text(encoding="utf-8"))
    assert [key for key in judged if key not in there] == []
    assert [key for key, why in judged.items() if not why.startswith(("equivalent: ", "accepted: "))] == []


@pytest.mark.skipif(not RESULTS.exists(), reason="nothing was mutated in this checkout")
def test_the_page_shows_the_last_results() -> None:
    """Each module of the core, noticed well enough, and its survivors judged."""
    results = json.loads(RESULTS.read_text())
    page = PAGE.read_text(encoding="utf-8")
    assert list(results) == [target.name for target in CORE]
    assert with_figures(page, results) == page
    judged = judgements(page)
    assert [line for name, told in results.items() for line in unsettled(name, told, judged)] == []
    assert all(told["score"] >= ENOUGH for told in results.values())
