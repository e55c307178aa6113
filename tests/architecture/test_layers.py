"""Arrows point down: the import contracts of pyproject.toml hold, and no module escapes them."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib

import grimp

from tests.architecture.tree import ROOT, SOURCE

MAY_IMPORT_THE_FRONT_DOOR = ("codex_runtime.__main__", "codex_runtime.cli")
"""Who stands above the front door; everybody else names the module that defines what they need."""


def test_every_import_keeps_the_contracts() -> None:
    """No import goes up or sideways, the rules and words do no I/O, and nobody imports the testing kit.

    In a process of its own: the linter configures logging, and would silence every logger that other tests listen to.
    """
    code = "from importlinter.cli import lint_imports; raise SystemExit(lint_imports(no_cache=True, no_logo=True))"
    verdict = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert verdict.returncode == 0, verdict.stdout + verdict.stderr


def test_every_module_belongs_to_a_layer() -> None:
    """A new file or package at the top must be given its place before it can be merged."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    layers = next(contract["layers"] for contract in settings["contracts"] if contract["type"] == "layers")
    placed = set(re.findall(r"\w+", " ".join(layers)))
    present = {path.stem for path in SOURCE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert present - placed == {"__init__"}


def test_nobody_inside_uses_the_front_door() -> None:
    """The root package only collects names; whoever imported it from below would close a circle."""
    graph = grimp.build_graph("codex_runtime", cache_dir=None)
    visitors = graph.find_modules_that_directly_import("codex_runtime")
    assert {name for name in visitors if not name.startswith(MAY_IMPORT_THE_FRONT_DOOR)} == set()


def test_every_package_says_that_it_is_one() -> None:
    """A folder without `__init__.py` would be seen neither by the import contracts nor by type checkers of users."""
    folders = {path.parent for path in SOURCE.rglob("*.py")}
    assert {str(folder.relative_to(SOURCE)) for folder in folders if not (folder / "__init__.py").exists()} == set()
