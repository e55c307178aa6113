"""Takes clients through all that may go wrong, and prints side by side what each of them broke.

    python -m verification.faults                               our own client, everything but the real server
    python -m verification.faults --client ours --client sdk    side by side
    python -m verification.faults --fault P1 --fault M3         some faults only
    python -m verification.faults --real                        the real app server as well

Each client runs in a process of its own, against a server that is one too. What is found goes into
``verification/results/faults.json``, where the results of clients that did not run this time are kept. It ends with status 1
if our own client broke anything.

The one idea: what a client never promised is shown, in brackets, and not counted against it; each row says why. Whether it
goes on afterwards is a column of its own: no other client promises to start a server again.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from pathlib import Path

import msgspec

from verification.faults.bytes import BYTES
from verification.faults.catalogue import FAULTS
from verification.faults.child import CHILD
from verification.faults.consumers import CONSUMERS
from verification.faults.drive import Outcome, run_apart
from verification.faults.environment import ENVIRONMENT
from verification.faults.history import Violation
from verification.faults.real import REAL, run_real
from verification.faults.scenario import Scenario
from verification.faults.worker import CLIENTS

__all__ = ["SCENARIOS", "Row", "failed", "load", "main", "total"]

SCENARIOS: tuple[Scenario, ...] = (*CHILD, *BYTES, *CONSUMERS, *ENVIRONMENT)
RESULTS = Path(__file__).parents[1] / "results" / "faults.json"
OURS = "ours"
HANGS, UNDOCUMENTED = "had not ended after", "which is not documented"
COLLECTED = "ResourceWarning: unclosed"
"""What is closed by the garbage collector only; said of others, it is shown and not counted."""


class Row(msgspec.Struct, kw_only=True):
    """One scenario: what is expected of everybody, and what came of each client."""

    fault: str
    point: str
    real: bool = False
    goes_on: bool = True
    first: str | None = None
    unpromised: dict[str, str] = msgspec.field(default_factory=dict)
    outcomes: dict[str, Outcome] = msgspec.field(default_factory=dict)

    @property
    def name(self) -> str:
        """Faults and points, and on which server."""
        return f"{self.fault}: {self.point}{' (real server)' if self.real else ''}"

    def counted(self, client: str) -> list[str]:
        """The invariants that the client broke."""
        found = {it.invariant for it in self.outcomes[client].violations if not self._is_excused(client, it)}
        return sorted(found, key=lambda name: int(name[1:]))

    def excused(self, client: str) -> list[str]:
        """Those that it never promised to keep, or broke in a way that mends itself."""
        found = {it.invariant for it in self.outcomes[client].violations}
        return sorted(found - {*self.counted(client)}, key=lambda name: int(name[1:]))

    def shows(self, client: str, sign: str) -> bool:
        """Whether something that counts was told in these words."""
        violations = self.outcomes[client].violations
        return any(sign in it.how and not self._is_excused(client, it) for it in violations)

    def _is_excused(self, client: str, violation: Violation) -> bool:
        return client != OURS and (violation.invariant in self.unpromised or COLLECTED in violation.how)

    def cell(self, client: str) -> str:
        """What the table says."""
        if client not in self.outcomes:
            return "?"
        words = [*self.counted(client), *(f"({name})" for name in self.excused(client))]
        return " ".join(words) or "."

    def goes(self, client: str) -> str:
        """Whether it could be used afterwards."""
        if client not in self.outcomes or self.outcomes[client].goes_on is None:
            return "-"
        return "yes" if self.outcomes[client].goes_on else "no"


def main(argv: Sequence[str] | None = None) -> int:
    """Run what was asked for, and return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m verification.faults", description=(__doc__ or "").split("\n", 1)[0]
    )
    parser.add_argument(
        "--client", action="append", choices=sorted(CLIENTS), help=f"more than one may be named; {OURS}"
    )
    parser.add_argument("--fault", action="append", choices=[fault.id for fault in FAULTS], help="only these")
    parser.add_argument("--point", default="", help="only those whose point contains this")
    parser.add_argument("--real", action="store_true", help="the real app server as well")
    parser.add_argument("--only-real", action="store_true", help="the real app server alone")
    parser.add_argument("--jobs", type=int, default=2, help="how many at a time")
    parser.add_argument("--show", action="store_true", help="run nothing, print what was found last")
    options = parser.parse_args(argv)
    clients = options.client or [OURS]

    rows = {(row.name): row for row in load()}
    if options.show:
        now = [_row(it, rows, real=False) for it in SCENARIOS] + [_row(it, rows, real=True) for it in REAL]
        shown = [row for row in now if row.outcomes]
        _print(shown, sorted({client for row in shown for client in row.outcomes}))
        return 0

    def chosen(scenario: Scenario) -> bool:
        return scenario.fault in (options.fault or [scenario.fault]) and options.point in scenario.point

    wanted: list[tuple[Row, Callable[[str], Awaitable[Outcome]]]] = []
    stood_in = () if options.only_real else filter(chosen, SCENARIOS)
    wanted += [(_row(it, rows, real=False), partial(run_apart, it)) for it in stood_in]
    real = filter(chosen, REAL) if options.real or options.only_real else ()
    wanted += [(_row(it, rows, real=True), partial(run_real, it)) for it in real]
    try:
        asyncio.run(_run_all(wanted, clients, options.jobs))
    finally:
        _save(rows.values())  # also what was found before somebody lost patience
    played = [row for row, _ in wanted]
    _print(played, clients)
    return int(any(failed(row) for row in played))


def _row(scenario: Scenario, rows: dict[str, Row], *, real: bool) -> Row:
    """The row of a scenario as it is now, with what was found before."""
    row = Row(
        fault=scenario.fault,
        point=scenario.point,
        real=real,
        goes_on=scenario.goes_on,
        first=scenario.first,
        unpromised=dict(scenario.unpromised),
    )
    if (before := rows.get(row.name)) is not None:
        row.outcomes = before.outcomes
    rows[row.name] = row
    return row


async def _run_all(
    wanted: Sequence[tuple[Row, Callable[[str], Awaitable[Outcome]]]], clients: Sequence[str], jobs: int
) -> None:
    room, done = asyncio.Semaphore(jobs), 0

    async def run(row: Row, work: Callable[[str], Awaitable[Outcome]], client: str) -> None:
        nonlocal done
        async with room:
            row.outcomes[client] = await work(client)
        done += 1
        word = row.cell(client)
        if word != "." or sys.stderr.isatty():
            print(f"{done}/{len(wanted) * len(clients)} {client:10} {row.name}: {word}", file=sys.stderr, flush=True)

    async with asyncio.TaskGroup() as group:
        for client in clients:
            for row, work in wanted:
                group.create_task(run(row, work, client))


def failed(row: Row) -> bool:
    """Whether our own client did not do as it should."""
    outcome = row.outcomes.get(OURS)
    if outcome is None:
        return False
    odd = row.first is not None and outcome.first != row.first
    return bool(outcome.violations) or odd or outcome.goes_on is False


# -- on paper --------------------------------------------------------------------------------------------------------


def load() -> list[Row]:
    """What was found last, of all clients."""
    return msgspec.json.decode(RESULTS.read_bytes(), type=list[Row]) if RESULTS.exists() else []


def _save(rows: Iterable[Row]) -> None:
    RESULTS.parent.mkdir(exist_ok=True)
    known = {scenario.name for scenario in (*SCENARIOS, *REAL)}
    kept = [row for row in rows if f"{row.fault}: {row.point}" in known]
    RESULTS.write_bytes(msgspec.json.format(msgspec.json.encode(kept), indent=1) + b"\n")


def _print(rows: Sequence[Row], clients: Sequence[str]) -> None:
    wide = max([len(row.name) for row in rows], default=0)
    columns = (
        {client: max(len(client), *(len(row.cell(client)) for row in rows), 1) for client in clients} if rows else {}
    )
    print("scenario".ljust(wide), *(client.ljust(columns[client] + 9) for client in columns), sep="  ")
    for row in rows:
        cells = (f"{row.cell(client):{columns[client]}}  {row.goes(client):7}" for client in columns)
        print(row.name.ljust(wide), *cells, sep="  ")
    print()
    for client in columns:
        print(*total(rows, client), sep="\n")
    for row in (row for row in rows if failed(row)):
        outcome = row.outcomes[OURS]
        print(f"FAILED {row.name}: the first turn {outcome.first}, expected {row.first}; goes on: {outcome.goes_on}")
        print(*(f"    {violation.invariant}: {violation.how}" for violation in outcome.violations), sep="\n")


def total(rows: Sequence[Row], client: str) -> Iterable[str]:
    """What it all comes to for one client, in a few lines."""
    ran = [row for row in rows if client in row.outcomes]
    broken = [row for row in ran if row.counted(client)]
    excused = sum(bool(row.excused(client)) for row in ran)
    asked = [row for row in ran if row.outcomes[client].goes_on is not None]
    went = sum(row.outcomes[client].goes_on is True for row in asked)
    each = Counter(name for row in broken for name in row.counted(client))
    yield f"{client}: {len(ran)} scenarios, {len(broken)} with something broken, {excused} with something never promised"
    yield f"    goes on after {went} of {len(asked)} in which that can be asked"
    if each:
        yield "    broken: " + ", ".join(f"{name} in {count}" for name, count in sorted(each.items(), key=_by_number))
        for word, sign in (("a wait without end", HANGS), ("an error of no documented type", UNDOCUMENTED)):
            yield f"    of these, {word}: in {sum(row.shows(client, sign) for row in broken)}"


def _by_number(item: tuple[str, int]) -> int:
    return int(item[0][1:])


if __name__ == "__main__":
    sys.exit(main())
