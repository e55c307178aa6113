"""Writes the results of `make bench` and of the curves into docs/performance.md: `python -m benchmarks.report`.

It replaces what stands between the two marks and leaves everything else on that page alone.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks import __main__ as bench
from benchmarks import curves, gates, instructions
from benchmarks.contenders import CONTENDERS
from benchmarks.tables import figure, grouped
from benchmarks.workloads import WORKLOADS, Workload

__all__ = ["generated", "replaced"]

PAGE = Path(__file__).parent.parent / "docs" / "performance.md"
BEGIN, END = "<!-- measured: from here -->", "<!-- measured: to here -->"
Results = dict[str, Any]

BY_NAME = {workload.name: workload for workload in WORKLOADS}
THEY = ("naive", "sdk", "sdk-async", "cas")
# Workloads that go into one table each: how fast, and how soon.
RATES = ("delta", "mixed", "perline", "64k", "2m", "calls-100", "approvals-1", "approvals-100")
WAITS = ("latency-1k", "latency-20k", "calls-1", "calls-1-apart", "streams", "spawn", "spawn-codex")
FAST = "In brackets: how many times as much codex-runtime does in the same second."
SOON = """\
Half of all are done within the first figure, 99 of 100 within the second; of starts, the first is the least and the second
the median of five. In brackets: how many times as long as with codex-runtime."""
CURVES = f"""\
Flat: a straight line through the points rises by no more than {curves.TOLERANCE["memory"]:.0%} of the least (memory) or
{curves.TOLERANCE["cost"]:.0%} (cost). Levels off: that is true of their second half. Linear: the line explains 95 % of what varies."""
WHOLE = ("more", "more-mixed", "runtimes", "stalled")  # and those with a table of their own


def markdown(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table whose figures stand to the right."""
    lines = [headings, ["---", *("--:" for _ in headings[1:])], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def generated(results: Results, drawn: Results | None) -> str:
    """Return the part of the page that is made of figures."""
    parts = [
        _where(results),
        "### What we ask, and what came of it",
        _gates(results),
        "### How fast",
        FAST,
        _compared(results, RATES, _rate),
        "### How soon",
        SOON,
        _compared(results, WAITS, _wait),
    ]
    for name in WHOLE:
        if name in results["workloads"]:
            parts += [f"### {_sentence(BY_NAME[name].title)}", _whole(BY_NAME[name], results["workloads"][name])]
    parts += ["### Import", _imports(results), "### Instructions", _instructions(results)]
    if drawn is not None:
        parts += ["### What grows with what", _curves(drawn)]
    return "\n\n".join(parts)


def replaced(page: str, text: str, *, begin: str = BEGIN, end: str = END) -> str:
    """Return the page with the text between the marks. Raises ``ValueError`` if they are not there."""
    before, found, rest = page.partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise ValueError(f"{begin} and {end} must stand on the page")
    return f"{before}{begin}\n\n{text}\n\n{end}{after}"


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _where(results: Results) -> str:
    where = results["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in where["versions"].items())
    day = time.strftime("%Y-%m-%d", time.gmtime(results["at"]))
    pinned = ", everything on one core" if results["pinned"] else ""
    return (
        f"{day}: {where['cpu']}, {where['cores']} cores, {where['system']}, {where['python']}; load before: {where['load']}{pinned}.\n"
        f"{versions}. Medians of {results['rounds']} rounds."
    )


def _gates(results: Results) -> str:
    rows = []
    for gate in gates.TIMED:
        value = gate.measured(results)
        verdict = "not measured" if value is None else "met" if gate.met(value) else "**missed**"
        rows.append([gate.name, gate.asked, "-" if value is None else gate.shown(value), verdict])
    for count in gates.COUNTED:
        value = count.measured(results.get("instructions", {}))
        verdict = "not measured" if value is None else "met" if value <= count.limit else "**missed**"
        measured = "-" if value is None else grouped(value)
        rows.append([f"instructions: {count.name}", f"≤ {grouped(count.limit)}", measured, verdict])
    return markdown(["", "asked", "measured", ""], rows)


def _compared(results: Results, names: Sequence[str], shown: Callable[[Workload, Results], str]) -> str:
    """Return a table with a row for each workload and a column for each contender."""
    rows = []
    for name in names:
        if name not in results["workloads"]:
            continue
        outcomes, workload = results["workloads"][name], BY_NAME[name]
        cells = [_cell(workload, outcomes[who], shown, who) if who in outcomes else "" for who in ("ours", *THEY)]
        rows.append([workload.title, *cells])
    return markdown(["", *(CONTENDERS[who].label for who in ("ours", *THEY))], rows)


def _cell(workload: Workload, outcome: Results, shown: Callable[[Workload, Results], str], who: str) -> str:
    if "error" in outcome:
        return "fails"
    text = shown(workload, outcome["median"])
    return text if who == "ours" or outcome["ratio"] is None else f"{text} ({figure(outcome['ratio'])}x)"


def _rate(workload: Workload, medians: Results) -> str:
    return f"{figure(medians[workload.key] / 1e3)} k/s"


def _wait(workload: Workload, medians: Results) -> str:
    return " / ".join(_duration(medians[column.key]) for column in workload.columns[:2])


def _duration(seconds: float) -> str:
    return f"{figure(seconds * 1e6)} us" if seconds < 1e-3 else f"{figure(seconds * 1e3)} ms"


def _whole(workload: Workload, outcomes: Results) -> str:
    rows = []
    for name, outcome in outcomes.items():
        label = CONTENDERS[name].label
        if "error" in outcome:
            rows.append([label, "fails", *("" for _ in workload.columns[1:])])
            continue
        figures = [figure(outcome["median"][column.key] / column.unit) for column in workload.columns]
        rows.append([label, *figures, *([f"{100 / outcome['ratio']:.0f} %"] if workload.share else [])])
    headings = [column.heading for column in workload.columns]
    return markdown(["", *headings, *(["share of the plain rate"] if workload.share else [])], rows)


def _imports(results: Results) -> str:
    rows = [
        [f"`{row['name']}`", figure(row["over_bare"] * 1e3), "-" if row["rss"] is None else figure(row["rss"] / 2**20)]
        for row in results.get("import", ())
    ]
    return markdown(["", "least ms over a bare interpreter", "RSS after it, MiB"], rows)


def _instructions(results: Results) -> str:
    rows = [
        [f"{instructions.TITLES[workload]}: {CONTENDERS[name].label}", "failed" if value is None else grouped(value)]
        for workload, counted in results.get("instructions", {}).items()
        for name, value in counted.items()
    ]
    return markdown(["", "instructions each"], rows)


def _curves(drawn: Results) -> str:
    rows = [[row["figure"], row["unit"], row["from"], row["to"], row["slope"], row["verdict"]] for row in drawn["rows"]]
    picture = f"![Curves of memory and cost]({curves.PICTURE.name})"
    return "\n\n".join([picture, CURVES, markdown(["", "unit", "from", "to", "slope", "verdict"], rows)])


def main() -> None:
    """Write the page anew."""
    path = bench.RESULTS / "latest.json"
    if not path.exists():
        sys.exit(f"there is no {path}: run `make bench` first")
    results = json.loads(path.read_text(encoding="utf-8"))
    drawn = json.loads(curves.RESULTS.read_text(encoding="utf-8")) if curves.RESULTS.exists() else None
    PAGE.write_text(replaced(PAGE.read_text(encoding="utf-8"), generated(results, drawn)), encoding="utf-8")
    print(f"written to {PAGE}")


if __name__ == "__main__":
    main()
