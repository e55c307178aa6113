"""Writes what the proofs found last into docs/reliability.md: `python -m verification.report`.

It replaces what stands between the two marks and leaves everything else on that page alone. A proof whose results are not
there is said to be so; nothing is made up.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.report import markdown, replaced
from benchmarks.tables import figure
from verification.faults.__main__ import Row, total
from verification.faults.__main__ import load as load_faults
from verification.faults.catalogue import FAULTS

__all__ = ["generated", "main"]

PAGE = Path(__file__).parents[1] / "docs" / "reliability.md"
RESULTS = Path(__file__).parent / "results"
BEGIN, END = "<!-- found: from here -->", "<!-- found: to here -->"
CLIENTS = {"ours": "codex-runtime", "sdk": "openai-codex", "sdk-async": "openai-codex, async"}


def generated() -> str:
    """Return the part of the page that programs make."""
    parts = [f"### {title}\n\n{text}" for title, text in _parts()]
    return "\n\n".join(parts)


def main() -> None:
    """Write the page."""
    PAGE.write_text(replaced(PAGE.read_text(encoding="utf-8"), generated(), begin=BEGIN, end=END), encoding="utf-8")
    print(f"written to {PAGE}")


def _parts() -> Iterator[tuple[str, str]]:
    makers: tuple[tuple[str, str, Callable[[Any], str]], ...] = (
        ("What we ask in trouble, and what came of it", "targets", _targets),
        ("Soak", "soak", _soak),
        ("Stores: killed, refused, cut off", "crash", _crash),
        ("Models", "models", _models),
        ("Fuzzing", "fuzz", _fuzz),
        ("Mutation of the core", "mutation", _mutation),
    )
    for title, name, make in makers:
        path = RESULTS / f"{name}.json"
        yield title, make(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else "Not run."
    rows = load_faults()
    yield "The fault matrix", _faults(rows) if rows else "Not run."


def _machine(told: dict[str, Any]) -> str:
    return f"{told['cpu']}, {told['cores']} cores, {told['system']}, {told['python']}; load before: {told['load']}."


def _targets(told: dict[str, Any]) -> str:
    rows = [
        [
            row["what"],
            row["asked"],
            row["measured"],
            str(row["rounds"]),
            "met" if row["met"] else "**missed**",
            row["anchor"],
        ]
        for row in told["targets"]
    ]
    return f"{_machine(told['machine'])}\n\n" + markdown(
        ["", "asked", "measured", "rounds", "", "for comparison"], rows
    )


def _soak(told: dict[str, Any]) -> str:
    parts = []
    for name, where in (("soak", "On the stand-in"), ("real", "On the real server")):
        if (soak := told.get(name)) is not None:
            last, wrong = soak["samples"][-1], soak["wrong"] or ["nothing"]
            parts.append(
                f"{where}, {soak['seconds'] / 60:.1f} minutes, {soak['settings']['threads']} threads: "
                f"{figure(last['messages'])} messages, {figure(last['turns'])} turns, {sum(soak['faults'].values())} faults of "
                f"{len(soak['faults'])} kinds, {last['restarts']} restarts. Broken: {'; '.join(wrong)}. {_machine(soak['machine'])}"
            )
            parts.append(_trends(soak["trends"], "a minute"))
    for where, lives in told.get("cycles", {}).items():
        parts.append(f"Started and killed, {lives['rows']['lives'][-1]} times, {where}:")
        parts.append(_trends(lives["trends"], "a life"))
    return "\n\n".join(parts)


def _trends(trends: dict[str, Any], per: str) -> str:
    rows = [
        [name, figure(it["first"]), figure(it["last"]), f"{it['slope']:.4g}", _bound(it["bound"]), it["word"]]
        for name, it in trends.items()
    ]
    return markdown(["second half", "begins", "ends", f"{per}", "may rise by", "verdict"], rows)


def _bound(bound: float | None) -> str:
    return "-" if bound is None else f"{bound:g}"


def _crash(told: dict[str, Any]) -> str:
    killed = [
        [
            row["store"],
            *(str(row[key]) for key in ("rounds", "acknowledged", "recovered", "unacknowledged", "torn")),
            _broken(row),
        ]
        for row in told["killed"]
    ]
    power = [
        [row["store"], str(row["cuts"]), str(row["sure"]), str(row["recovered"]), _broken(row)]
        for row in told.get("power", ())
    ]
    refused = [
        [row["store"], str(row["rounds"]), str(row["acknowledged"]), str(row["refused"]), _broken(row)]
        for row in [*told.get("failed", ()), *told.get("runtime", ())]
    ]
    return "\n\n".join(
        [
            f"Writers killed by SIGKILL at any moment, {told['rounds']} rounds (seed {told['seed']}):",
            markdown(["", "rounds", "acknowledged", "found", "more than that", "torn tails", "broken"], killed),
            "Power cuts, worked out from what was written and what was synced; of the rest nothing, all, or any torn part is there:",
            markdown(["", "cuts", "had to be there", "found", "broken"], power),
            "The n-th call of the system fails, for each n and each kind of failure:",
            markdown(["", "runs", "acknowledged", "refused", "broken"], refused),
        ]
    )


def _broken(row: dict[str, Any]) -> str:
    return str(len(row["violations"]))


def _models(told: list[dict[str, Any]]) -> str:
    rows = [
        [
            row["model"],
            row["variant"],
            row["expected"],
            row["outcome"] if row["outcome"] == row["expected"] else f"**{row['outcome']}**",
            f"{row['states']:,}".replace(",", " "),
        ]
        for row in told
    ]
    return markdown(["model", "variant", "expected", "found", "states"], rows)


def _fuzz(told: list[dict[str, Any]]) -> str:
    rows = [
        [
            row["target"],
            f"{row['executions']:,}".replace(",", " "),
            str(row["rate"]),
            str(row["new"]),
            str(len(row["crashes"])),
        ]
        for row in told
    ]
    return markdown(["target", "inputs", "a second", "that went a new way", "crashes"], rows)


def _mutation(told: dict[str, Any]) -> str:
    rows = [
        [
            name,
            str(it["mutants"]),
            str(it["killed"]),
            str(it["timeout"]),
            str(len(it["survivors"])),
            f"{it['score']:.1%}",
        ]
        for name, it in told.items()
    ]
    return (
        markdown(["module", "mutants", "killed", "timed out", "survived", "score"], rows)
        + "\n\nEach survivor is judged in [testing.md](testing.md#survivors)."
    )


def _faults(rows: list[Row]) -> str:
    clients = [name for name in CLIENTS if any(name in row.outcomes for row in rows)]
    invariants = {fault.id: " ".join(fault.invariants) for fault in FAULTS}
    told = "\n".join(line for client in clients for line in total(rows, client))
    body = [
        [
            row.fault,
            f"{row.point}{' (real server)' if row.real else ''}",
            invariants.get(row.fault, ""),
            *(_cell(row, client) for client in clients),
        ]
        for row in sorted(rows, key=lambda row: ("PMCE".index(row.fault[0]), int(row.fault[1:]), row.real))
    ]
    heads = ["fault", "at which point", "must hold", *(CLIENTS[name] for name in clients)]
    return "\n\n".join([f"```text\n{told}\n```", markdown(heads, body)])


def _cell(row: Row, client: str) -> str:
    """What it broke, if anything, and whether it goes on."""
    if client not in row.outcomes:
        return ""
    broken = row.cell(client)
    goes = row.goes(client)
    return f"{'holds' if broken == '.' else broken}{', goes on' if goes == 'yes' else ', is of no more use' if goes == 'no' else ''}"


if __name__ == "__main__":
    main()
