"""Which modules are mutated, and which tests have to notice."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

__all__ = ["CORE", "ROOT", "Target"]

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Target:
    """A module, by the name that is imported, and the files of its tests."""

    module: str
    tests: tuple[str, ...]

    @property
    def name(self) -> str:
        """How it is called on the command line and in tables: without the package, and without underscores in front."""
        return "/".join(part.lstrip("_") for part in self.module.split(".")[1:])

    def path(self, root: Path) -> Path:
        """Return where its text is, in the project or in a copy."""
        return root.joinpath("src", *self.module.split(".")).with_suffix(".py")


def _of_rules(name: str, *others: str) -> Target:
    return Target(f"codex_runtime._sansio.{name}", tuple(f"tests/sansio/test_{each}.py" for each in (name, *others)))


CORE = (
    _of_rules("framing"),
    _of_rules("peer"),
    _of_rules("restart"),
    _of_rules("server_requests"),
    Target("codex_runtime.runtime._server_requests", ("tests/runtime/test_server_requests.py",)),
    _of_rules("turn", "turn_fold", "turn_fill"),
    _of_rules("turn_fold", "turn", "turn_fill", "turn_items"),
)
"""The core: what a message means, whether a server is started again, who may say yes, and what a turn comes to."""
