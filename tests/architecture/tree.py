"""Where things are: the folders and files that the tests of the architecture judge."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "codex_runtime"
TESTS = ROOT / "tests"

NOT_OURS = re.compile(
    r"^(__pycache__|build|dist|htmlcov|results|.+\.egg-info|\.(?!ci$|gitignore$|pre-commit-config\.yaml$).+)$"
)
"""Names of files and folders that no commit holds: environments, caches, results."""


def project_files(folder: Path = ROOT) -> Iterator[Path]:
    """Yield every file of the project, sorted, without what tools leave behind."""
    for entry in sorted(folder.iterdir()):
        if NOT_OURS.match(entry.name):
            continue
        if entry.is_dir():
            yield from project_files(entry)
        else:
            yield entry


def is_generated(path: Path) -> bool:
    """Tell whether a machine wrote the file."""
    return any(part in {"_generated", "_generated.py"} for part in path.parts)


def source_files() -> Iterator[Path]:
    """Yield the hand-written modules, relative to the package."""
    for path in sorted(SOURCE.rglob("*.py")):
        relative = path.relative_to(SOURCE)
        if not is_generated(relative):
            yield relative
