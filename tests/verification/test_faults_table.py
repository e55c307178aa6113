"""The table of the fault runs: what counts, what is only shown, and when the verb fails."""

from __future__ import annotations

from typing import Any

import pytest

from verification.faults.__main__ import REAL, SCENARIOS, Row, failed, main, total
from verification.faults.drive import Outcome
from verification.faults.history import Violation
from verification.faults.storm import storm

HANGS = Violation("I1", "turn first had not ended after 10 s")
UNDOCUMENTED = Violation("I13", "close ended with OSError, which is not documented")
COLLECTED = Violation("I9", "said at its end: x.py:1: ResourceWarning: unclosed file")


def row(*violations: Violation, client: str = "sdk", goes_on: bool | None = True, **options: Any) -> Row:
    """One row with one outcome."""
    outcome = Outcome(
        fault="P1", point="x", client=client, violations=violations, goes_on=goes_on, first="lost", seconds=1.0
    )
    return Row(fault="P1", point="x", outcomes={client: outcome}, **options)


def test_what_was_broken_is_named_in_the_cell() -> None:
    """By its invariants, each once, in their order."""
    assert row(UNDOCUMENTED, HANGS, HANGS).cell("sdk") == "I1 I13"
    assert row().cell("sdk") == "."
    assert row().cell("ours") == "?"


def test_what_others_never_promised_stands_in_brackets() -> None:
    """It is shown and not counted; what we promise is counted whatever a row says of others."""
    excuse = {"I1": "has no deadlines"}
    assert row(HANGS, UNDOCUMENTED, unpromised=excuse).cell("sdk") == "I13 (I1)"
    assert row(HANGS, unpromised=excuse, client="ours").cell("ours") == "I1"
    assert row(COLLECTED).cell("sdk") == "(I9)"
    assert row(COLLECTED, client="ours").cell("ours") == "I9"


def test_only_our_own_client_can_fail_the_verb() -> None:
    """It fails by what it breaks, by an end other than the expected one, and by not going on."""
    assert not failed(row(HANGS))
    assert not failed(row(client="ours", first="lost"))
    assert failed(row(HANGS, client="ours"))
    assert failed(row(client="ours", first="completed"))
    assert failed(row(client="ours", goes_on=False))


def test_thetotal_tells_a_wait_without_end_from_an_odd_error() -> None:
    """The one is worse than the other."""
    lines = list(total([row(HANGS), row(UNDOCUMENTED, goes_on=False), row(COLLECTED, goes_on=None)], "sdk"))
    assert lines == [
        "sdk: 3 scenarios, 2 with something broken, 1 with something never promised",
        "    goes on after 1 of 2 in which that can be asked",
        "    broken: I1 in 1, I13 in 1",
        "    of these, a wait without end: in 1",
        "    of these, an error of no documented type: in 1",
    ]


def test_a_fault_that_is_not_known_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is run for a slip of the pen."""
    with pytest.raises(SystemExit, match="2"):
        main(["--fault", "P99"])
    assert "P99" in capsys.readouterr().err


def test_a_storm_is_its_number() -> None:
    """The same seed is the same storm, or a failure could not be brought back."""
    one, again, other = storm(7), storm(7), storm(8)
    assert (one.job, one.scripts) == (again.job, again.scripts)
    assert (one.job, one.scripts) != (other.job, other.scripts)


def test_the_two_servers_have_rows_of_their_own() -> None:
    """A scenario of the real one is told apart from that of the stand-in."""
    assert row(real=True).name != row().name
    assert not {scenario.name for scenario in SCENARIOS} & {f"{it.name} (real server)" for it in REAL}
