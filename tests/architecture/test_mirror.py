"""The tests are a second source tree: `src/codex_runtime/_sansio/peer.py` is judged by `tests/sansio/test_peer.py`.

A module may have several test files (`test_peer.py`, `test_peer_properties.py`); it has at least one, and no test file of a
mirrored folder stands without its module.
"""

from __future__ import annotations

from pathlib import Path

from tests.architecture.tree import SOURCE, TESTS, source_files

NEEDS_NO_TEST_FILE: dict[str, str] = {}
"""Module → why it has no test file of its own. Package fronts (`__init__.py`) hold names only: test_surface.py."""


def mirror_of(module: Path) -> Path:
    """Return where the test of a module is, underscores left out of every name."""
    *folders, name = (part.strip("_") for part in module.with_suffix("").parts)
    return Path(*folders, f"test_{name}.py")


def test_every_module_has_its_test_file() -> None:
    """Whoever changes a module knows at once which tests speak about it."""
    missing = {
        str(module): f"tests/{mirror_of(module)}"
        for module in source_files()
        if module.name not in {"__init__.py", "__main__.py"}
        and str(module) not in NEEDS_NO_TEST_FILE
        and not any((TESTS / mirror_of(module)).parent.glob(f"{mirror_of(module).stem}*.py"))
    }
    assert missing == {}


def test_every_test_file_has_its_module() -> None:
    """A module that was renamed or removed takes its tests along."""
    mirrors = [mirror_of(module) for module in source_files()]
    folders = {mirror.parent for mirror in mirrors if mirror.parent != Path()}
    lonely = {
        str(test)
        for test in (path.relative_to(TESTS) for path in sorted(TESTS.rglob("test_*.py")))
        if test.parent in folders and not any(test.stem.startswith(m.stem) for m in mirrors if m.parent == test.parent)
    }
    assert lonely == set()


def test_the_exceptions_still_exist() -> None:
    """An exception that no module needs any more is taken off the list."""
    assert {name for name in NEEDS_NO_TEST_FILE if not (SOURCE / name).exists()} == set()
