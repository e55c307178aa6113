"""What the documents say of the code by name and number holds: the rooms of the house, the tasks, the files to read."""

from __future__ import annotations

import ast
import re
from fnmatch import fnmatch
from typing import TYPE_CHECKING

from tests.architecture.tree import ROOT, SOURCE, source_files

if TYPE_CHECKING:
    from collections.abc import Iterator

DESIGN = (ROOT / "docs" / "design.md").read_text(encoding="utf-8")
FLOORS = {"_sansio", "_io", "runtime"}
NOT_OF_A_RUNTIME = {"cli", "sync", "testing"}


def rooms() -> Iterator[str]:
    """Yield the modules that have a row, as `_io/link`; a name without a folder is in that of the one before."""
    for cell in re.findall(r"^\| (`[^|]+?) \|", DESIGN, re.MULTILINE):
        folder = ""
        for name in re.findall(r"`([\w/*]+)`", cell):
            folder, _, module = name.rpartition("/") if "/" in name else (folder, "", name)
            yield f"{folder}/{module}"


def task_names(code: ast.AST) -> Iterator[str]:
    """Yield the names that tasks are given, `…` for what is told only when they begin; an empty one if there is none."""
    for node in ast.walk(code):
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "create_task":
            name = next((word.value for word in node.keywords if word.arg == "name"), None)
            match name:
                case ast.Constant(value=str(text)):
                    yield text
                case ast.JoinedStr(values=[ast.Constant(value=str(text)), *_]):
                    yield f"{text}…"
                case ast.Name():
                    continue  # given by whoever asks for it
                case _:
                    yield ""


def test_every_module_of_the_engine_has_one_row() -> None:
    """With the question that it answers; a pattern stands for what has no row of its own."""
    rows = [row for row in rooms() if row.partition("/")[0] in FLOORS]
    plain = [row for row in rows if "*" not in row]
    patterns = [row for row in rows if "*" in row]
    modules = {
        path.with_suffix("").as_posix()
        for path in source_files()
        if path.parts[0] in FLOORS and path.name != "__init__.py"
    }
    assert sorted(plain) == sorted(set(plain))
    assert set(plain) <= modules
    assert {module for module in modules - set(plain) if not any(fnmatch(module, each) for each in patterns)} == set()


def test_every_task_has_a_name_that_the_design_tells() -> None:
    """Who sees a task in a dump finds out there when it should exist."""
    names = {
        name
        for path in source_files()
        if path.parts[0] not in NOT_OF_A_RUNTIME
        for name in task_names(ast.parse((SOURCE / path).read_text(encoding="utf-8")))
    }
    assert "codex-runtime supervisor" in names
    assert {name for name in names if f"`{name}`" not in DESIGN} == set()


def test_what_there_is_to_read_is_as_long_as_it_says() -> None:
    """To a tenth."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    found = re.search(r"eight files, about ([\d,]+)\nlines", text)
    files = re.findall(r"^\d\. `(src/\S+)`", text, re.MULTILINE)
    assert found is not None
    assert len(files) == 8
    lines = sum(len((ROOT / file).read_text(encoding="utf-8").splitlines()) for file in files)
    assert abs(lines - int(found[1].replace(",", ""))) < lines / 10
