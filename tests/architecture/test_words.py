"""What must not stand anywhere in the project: traces of one machine, unfinished work, addresses in pins, sleeps, mocks."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.architecture.tree import ROOT, TESTS, is_generated, project_files

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HERE = Path(__file__)
UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")
MACHINE = re.compile(rf"(?<![\w.~*])/(root|work|Users)/|{re.escape(str(ROOT))}|{re.escape(str(Path.home()))}(?!\w)")
PIN_FILES = ("constraints.txt", "pyproject.toml", ".pre-commit-config.yaml", "Makefile", ".ci/run")
ADDRESS = re.compile(r"://|--(extra-)?index-url|--find-links| @ ")


def lines_with(pattern: re.Pattern[str], files: Iterator[Path]) -> list[str]:
    """Name every line of the files that holds the pattern; this file, which spells the patterns out, is left out."""
    return [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:120]}"
        for path in files
        if path != HERE
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1)
        if pattern.search(line)
    ]


def calls_in_tests(judge: Callable[[ast.AST], bool]) -> list[str]:
    """Name every place in the tests where the syntax tree holds something that `judge` dislikes."""
    return [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in sorted(TESTS.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if judge(node)
    ]


def is_sleep(node: ast.AST) -> bool:
    """Tell a call of any `sleep`, other than `sleep(0)`, which only lets others run."""
    if not isinstance(node, ast.Call):
        return False
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", None)
    yields_only = [ast.unparse(argument) for argument in node.args] == ["0"] and not node.keywords
    return name == "sleep" and not yields_only


def is_mock(node: ast.AST) -> bool:
    """Tell an import of a mock library, or a replaced attribute."""
    match node:
        case ast.Import(names=names):
            return any(name.name.split(".")[0] == "mock" or name.name == "unittest.mock" for name in names)
        case ast.ImportFrom(module=module, names=names):
            return module in {"mock", "unittest.mock"} or (
                module == "unittest" and any(name.name == "mock" for name in names)
            )
        case ast.Attribute(value=ast.Name(id="monkeypatch"), attr="setattr"):
            return True
    return False


def test_nothing_names_the_machine_it_was_written_on() -> None:
    """Paths in examples and recordings are made up."""
    assert lines_with(MACHINE, project_files()) == []


def test_nothing_is_left_for_later() -> None:
    """What is not done is not in."""
    assert lines_with(UNFINISHED, (path for path in project_files() if not is_generated(path))) == []


def test_pins_say_what_but_not_where_from() -> None:
    """Any index, mirror or folder of wheels may serve an installation."""
    assert lines_with(ADDRESS, (path for name in PIN_FILES if (path := ROOT / name).exists())) == []


def test_every_pin_is_exact() -> None:
    """A constraint names one version; it may be bound to a Python version."""
    pins = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if line and not line.startswith("#")]
    assert pins == sorted(pins, key=str.lower)
    assert [pin for pin in pins if not re.fullmatch(r"[\w.-]+==[\w.]+( ; .+)?", pin)] == []


def test_no_test_sleeps() -> None:
    """A test waits for what it wants to see; time passes only where a clock is turned by hand."""
    assert calls_in_tests(is_sleep) == []


def test_no_test_mocks() -> None:
    """Stand-ins are real implementations of a seam, and they ship in `codex_runtime.testing`."""
    assert calls_in_tests(is_mock) == []


@pytest.mark.parametrize("code", ["time.sleep(1)", "await asyncio.sleep(0.1)", "sleep(x)", "asyncio.sleep(delay=0)"])
def test_a_sleep_is_recognised(code: str) -> None:
    """The judge of sleeps sees each spelling."""
    assert any(is_sleep(node) for node in ast.walk(ast.parse(code)))


@pytest.mark.parametrize(
    "code",
    [
        "import unittest.mock",
        "from unittest import mock",
        "from unittest.mock import patch",
        "monkeypatch.setattr(a, 'b', c)",
    ],
)
def test_a_mock_is_recognised(code: str) -> None:
    """The judge of mocks sees each spelling."""
    assert any(is_mock(node) for node in ast.walk(ast.parse(code)))


def test_letting_others_run_is_no_sleep() -> None:
    """`sleep(0)` waits for nothing."""
    assert not any(is_sleep(node) for node in ast.walk(ast.parse("await asyncio.sleep(0)")))
