"""Which models there are, and what is expected of each of their variants.

The one idea: a model says so itself, in the table at its head, so the table cannot differ from what is run. A row is the
macros of the variant, the claim in quotes if it is one of temporal logic, what it is about, and "must hold" or "must be refuted".
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

__all__ = ["FOLDER", "Expected", "Variant", "models", "variants"]

FOLDER = Path(__file__).parent

Expected: TypeAlias = Literal["holds", "refuted"]

_ROW = re.compile(
    r'^ \*   (?P<name>\(nothing\)|[A-Z_]+(?:\+[A-Z_]+)*)(?:, "(?P<claim>\w+)")? +(?P<words>\S.*?) +'
    r"must (?P<must>hold|be refuted)(?P<limit>: a known limit)?$"
)


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One way to run a model. ``is_limit``: it is ours, and shows how far our promises go."""

    model: Path
    defines: tuple[str, ...]
    claim: str | None
    words: str
    expected: Expected
    is_limit: bool

    @property
    def name(self) -> str:
        """Its row in the table, but for the words."""
        name = "+".join(self.defines) or "ours"
        return name if self.claim is None else f"{name}, {self.claim!r}"

    @property
    def is_broken(self) -> bool:
        """True for a variant that is wrong on purpose."""
        return self.expected == "refuted" and not self.is_limit


def models() -> list[Path]:
    """Return the files of all models."""
    return sorted(FOLDER.glob("*.pml"))


def variants(model: Path) -> list[Variant]:
    """Read the table at the head of a model."""
    head = model.read_text(encoding="utf-8").partition("*/")[0]
    rows = filter(None, map(_ROW.match, head.splitlines()))
    return [_variant(model, row) for row in rows]


def _variant(model: Path, row: re.Match[str]) -> Variant:
    return Variant(
        model=model,
        defines=() if row["name"] == "(nothing)" else tuple(row["name"].split("+")),
        claim=row["claim"],
        words=row["words"],
        expected="holds" if row["must"] == "hold" else "refuted",
        is_limit=row["limit"] is not None,
    )
