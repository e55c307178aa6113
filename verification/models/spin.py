"""Has Spin look at one variant: Promela to C, C to a program, and what that program found.

It never decides whether that is good news, and never calls a search complete that was not.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from verification.models.catalogue import Variant

__all__ = ["Found", "Outcome", "SpinError", "look", "read", "tools"]

Outcome: TypeAlias = Literal["holds", "refuted", "incomplete"]

TIME_LIMIT = 600.0
DEPTH = 1_000_000
# Fairness has to know for how many processes: with 3, for more than ten.
_FOR_SAFETY = ("-DSAFETY", "-DNOCLAIM")
_FOR_A_CLAIM = ("-DNFAIR=3",)

_ERRORS = re.compile(r"errors: (\d+)")
_STATES = re.compile(r"^ *(\d+) states, stored", re.MULTILINE)
_WHY = re.compile(r"^pan:\d+: (.*?) \(at depth \d+\)$", re.MULTILINE)


class SpinError(Exception):
    """A model that Spin, or the compiler, does not take."""


@dataclass(frozen=True, kw_only=True)
class Found:
    """What came of a look. ``why`` is what was violated, in Spin's words."""

    outcome: Outcome
    why: str
    states: int
    seconds: float


def tools(spin: str | None) -> tuple[str, str] | None:
    """Return where Spin and a C compiler are; nothing if one of them is missing."""
    found, compiler = shutil.which(spin or "spin"), shutil.which("gcc") or shutil.which("cc")
    return None if found is None or compiler is None else (found, compiler)


def look(variant: Variant, *, spin: str, compiler: str) -> Found:
    """Look at every state that a variant can reach. Raises :class:`SpinError`."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="spin-") as folder:
        model = Path(folder, variant.model.name)
        shutil.copy(variant.model, model)
        told = _run([spin, "-a", *(f"-D{name}" for name in variant.defines), model.name], folder)
        if "Error:" in told:  # it goes on all the same
            raise SpinError(told)
        options = _FOR_SAFETY if variant.claim is None else _FOR_A_CLAIM
        _run([compiler, "-O1", "-w", "-DVECTORSZ=2048", *options, "-o", "pan", "pan.c"], folder)
        claim = [] if variant.claim is None else ["-a", "-f", "-N", variant.claim]
        told = _run([str(Path(folder, "pan")), f"-m{DEPTH}", *claim], folder)
    return read(told, time.monotonic() - began)


def read(told: str, seconds: float) -> Found:
    """Read what the search has printed. Raises :class:`SpinError` if it has not come to anything."""
    errors, states, why = _ERRORS.search(told), _STATES.search(told), _WHY.search(told)
    if errors is None or states is None:
        raise SpinError(told)
    outcome: Outcome = "refuted" if int(errors[1]) else "holds"
    if outcome == "holds" and ("max search depth too small" in told or "Search not completed" in told):
        outcome = "incomplete"
    return Found(outcome=outcome, why=why[1] if why else "", states=int(states[1]), seconds=seconds)


def _run(command: list[str], folder: str) -> str:
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=TIME_LIMIT, check=False)
    except subprocess.TimeoutExpired:
        raise SpinError(f"{command[0]} took more than {TIME_LIMIT:g} s") from None
    told = done.stdout + done.stderr
    if done.returncode:
        raise SpinError(told)
    return told
