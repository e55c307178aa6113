"""The models and those who run them. Where Spin is installed, the quickest variants are run as well."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from verification.models.__main__ import main
from verification.models.catalogue import Variant, models, variants
from verification.models.spin import SpinError, look, read

ROOT = Path(__file__).parents[2]
SPIN = shutil.which("spin")

# The quickest, of each model one: proofs of three, and refutations of two.
QUICK = (
    *(("approval", "NO_FENCE"), ("ladder", "UNGUARDED"), ("restart", "ours, 'told'")),
    *(("turn", "ours"), ("turn", "BROKEN_HOPE")),
)


def of(model: Path) -> dict[str, Variant]:
    """The variants of a model by their names."""
    return {variant.name: variant for variant in variants(model)}


@pytest.mark.parametrize("model", models(), ids=lambda path: path.stem)
def test_every_model_has_a_variant_that_holds_and_broken_ones(model: Path) -> None:
    """A model that refutes nothing proves nothing."""
    found = of(model)
    assert found["ours"].expected == "holds"
    assert sum(variant.is_broken for variant in found.values()) >= 3
    assert all(variant.words for variant in found.values())


@pytest.mark.parametrize("model", models(), ids=lambda path: path.stem)
def test_the_table_at_its_head_and_the_model_name_the_same_macros(model: Path) -> None:
    """A variant whose macro nobody reads would be ours under another name."""
    head, _, body = model.read_text(encoding="utf-8").partition("*/")
    named = {macro for variant in variants(model) for macro in variant.defines}
    tested = set(re.findall(r"#(?:ifdef|ifndef) (\w+)|defined\((\w+)\)", body))
    assert named == {one or other for one, other in tested}
    assert head.count("must ") == len(variants(model)), "a row that is not understood is not run"


@pytest.mark.parametrize("model", models(), ids=lambda path: path.stem)
def test_what_a_model_says_that_it_follows_is_there(model: Path) -> None:
    """Who renames a function, or a file, finds the model that stands for it."""
    head = model.read_text(encoding="utf-8").partition("*/")[0]
    told = re.search(r"Followed: (.*?)\.\s", head.replace("\n *", ""), re.DOTALL)
    assert told is not None
    for names, file in re.findall(r"([^()]+)\(([^()]+\.py)\)", head.replace("\n *", "").partition("Followed:")[2]):
        source = (ROOT / "src" / "codex_runtime" / file).read_text(encoding="utf-8")
        for name in re.findall(r"[A-Za-z_][\w.]*", names):
            assert name.rpartition(".")[2] in source, f"{name} is not in {file}"


@pytest.mark.skipif(SPIN is None, reason="spin is not installed")
@pytest.mark.parametrize(("model", "name"), QUICK)
def test_a_variant_comes_to_what_its_model_expects(model: str, name: str) -> None:
    """All of them are run by `python -m verification.models`."""
    (path,) = (path for path in models() if path.stem == model)
    variant = of(path)[name]
    assert look(variant, spin=SPIN or "", compiler="gcc").outcome == variant.expected


def test_a_search_that_was_not_complete_proves_nothing() -> None:
    """Spin says "errors: 0" also where it could not look deeper."""
    told = "State-vector 60 byte, depth reached 99, errors: 0\n   123 states, stored\n"
    assert read(told, 1.0).outcome == "holds"
    assert read("error: max search depth too small\n" + told, 1.0).outcome == "incomplete"
    assert read("Warning: Search not completed\n" + told, 1.0).outcome == "incomplete"


def test_a_refutation_says_what_was_violated() -> None:
    """In Spin's words."""
    found = read("pan:1: assertion violated (alive==1) (at depth 7)\nerrors: 1\n  9 states, stored\n", 1.0)
    assert (found.outcome, found.why, found.states) == ("refuted", "assertion violated (alive==1)", 9)


def test_what_is_no_answer_of_spin_is_an_error() -> None:
    """Else a model that does not even compile would count as one without errors."""
    with pytest.raises(SpinError):
        read("gcc: not today", 1.0)


def test_without_spin_it_says_what_to_install(capsys: pytest.CaptureFixture[str]) -> None:
    """It is a tool of a few, and no requirement of the project."""
    assert main(["--spin", "/nowhere/spin"]) == 3
    assert capsys.readouterr().err.count("\n") == 1
