"""What this package has to do, what must not happen to it, and the tests that prove either: the list.

`R001` and on are requirements. `W01` and on are traps: ways in which a runtime for this server goes wrong, each a thing that
must not happen here. An id is for good, whatever becomes of its entry. R119 to R148 are kept free for the doors above the
desk.

The one idea: a claim without a test is not made. `test_coverage.py` holds the list against the tests, in both directions;
what is not there yet is said in :data:`MISSING`, so that it is counted as well.

`python -m tests.behaviour.requirements` prints how things stand.
"""

from __future__ import annotations

import sys
import textwrap
from typing import TYPE_CHECKING

from tests.behaviour.entry import Missing, Requirement
from tests.behaviour.rows_connection import CONNECTION
from tests.behaviour.rows_hooks import HOOKS
from tests.behaviour.rows_stream import STREAM
from tests.behaviour.rows_supervision import SUPERVISION
from tests.behaviour.rows_turns import TURNS
from tests.behaviour.traps_of_endurance import TRAPS_OF_ENDURANCE
from tests.behaviour.traps_of_meaning import TRAPS_OF_MEANING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["IDS", "MISSING", "REQUIREMENTS", "Missing", "Requirement", "summary"]

IDS = frozenset(
    {*(f"R{number:03}" for number in (*range(1, 119), 149, 150)), *(f"W{number:02}" for number in range(1, 66))}
)
"""Every id that was given."""

REQUIREMENTS: tuple[Requirement, ...] = (
    *CONNECTION,
    *STREAM,
    *SUPERVISION,
    *HOOKS,
    *TURNS,
    *TRAPS_OF_MEANING,
    *TRAPS_OF_ENDURANCE,
)

MISSING: tuple[Missing, ...] = (
    Missing(id="R113", sentence="There is no web door yet, whose turns would have to pass the gate as well."),
    Missing(id="W07", sentence="There is no web door yet, so nothing narrows what a tenant's browser may send."),
    Missing(id="W09", sentence="There is no web door yet, so nobody's right to answer is checked there."),
    Missing(id="W11", sentence="There is no web door yet, so no ids are hidden on it."),
    Missing(id="W29", sentence="There are no documents of ours that turns edit yet."),
    Missing(id="W32", sentence="There are no scheduled turns yet, so none can be stopped."),
    Missing(
        id="W36", sentence="There are no scheduled turns yet, whose times would have to stand such a step as well."
    ),
    Missing(id="W57", sentence="An answer is text: it is not yet read into a type of the caller's."),
)


def summary() -> Iterator[str]:
    """Yield the lines that tell how things stand."""
    missing = {entry.id for entry in MISSING}
    partly = missing & {row.id for row in REQUIREMENTS}
    otherwise = [row for row in REQUIREMENTS if row.difference is not None]
    tests = {test for row in REQUIREMENTS for test in row.tests}
    whole = [row for row in REQUIREMENTS if row.difference is None and row.id not in partly]
    yield f"{len(IDS)} requirements and traps, {len(tests)} tests that prove them"
    yield f"  {len(whole):4} proven as they stand"
    yield f"  {len(otherwise):4} proven, but done otherwise"
    yield f"  {len(partly):4} proven in part"
    yield f"  {len(missing - partly):4} missing"
    yield ""
    yield "Done otherwise"
    for row in otherwise:
        yield from _entry(row.id, row.sentence, row.difference or "")
    yield ""
    yield "Missing"
    for entry in MISSING:
        yield from _entry(entry.id, entry.sentence, "The rest of it is proven." if entry.id in partly else "")


def _entry(name: str, *paragraphs: str) -> Iterator[str]:
    first = f"  {name:6}"
    for paragraph in filter(None, paragraphs):
        yield from textwrap.wrap(paragraph, 110, initial_indent=first, subsequent_indent=" " * 8)
        first = " " * 8 + "→ "


if __name__ == "__main__":
    sys.stdout.writelines(f"{line}\n" for line in summary())
