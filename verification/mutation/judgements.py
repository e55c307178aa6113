"""Reads what people said of the mutants that no test notices, from docs/testing.md; and writes the figures there.

Below a heading with the name of a module stands a table: a line of the module, the changes of it that no test notices, and
why that is right. A judgement holds as long as line and change are the same, wherever the line has moved to.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from benchmarks.report import replaced
from verification.mutation.targets import ROOT

__all__ = ["PAGE", "Key", "judgements", "with_figures"]

PAGE = ROOT / "docs" / "testing.md"
BEGIN, END = "<!-- mutation: from here -->", "<!-- mutation: to here -->"
Key = tuple[str, str, str]
"""The name of a module, a line of it, and what was changed."""

HEADING = re.compile(r"#### `(?P<module>[\w/]+)`")
CODE = re.compile(r"`([^`]+)`")
CELLS = re.compile(r"(?<!\\)\|")


def judgements(page: str) -> dict[Key, str]:
    """Return why each mutant that was judged is right to live."""
    found: dict[Key, str] = {}
    module = ""
    for line in page.splitlines():
        if heading := HEADING.match(line):
            module = heading["module"]
        elif line.startswith("#"):
            module = ""
        elif module and line.startswith("| `"):
            text, changes, why = (cell.replace("\\|", "|").strip() for cell in CELLS.split(line)[1:4])
            for change in CODE.findall(changes):
                found[module, text[1:-1], change] = why
    return found


def with_figures(page: str, modules: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the page with the figures of the last runs in the place for them."""
    lines = ["| module | mutants | killed | timeout | survived | score |", "| --- | --: | --: | --: | --: | --: |"]
    for name, told in modules.items():
        cells = (f"`{name}`", *(str(told[word]) for word in ("mutants", "killed", "timeout")), len(told["survivors"]))
        lines.append(f"| {' | '.join(map(str, cells))} | {told['score']:.1%} |")
    return replaced(page, "\n".join(lines), begin=BEGIN, end=END)
