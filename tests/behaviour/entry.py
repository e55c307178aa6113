"""The two kinds of entries that the list of requirements is made of."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Missing", "Requirement"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirement:
    """One thing that this package has to do, and the tests that fail when it does not.

    ``tests`` are named as pytest names them. ``difference`` says what we do otherwise than one might expect, and why.
    """

    id: str
    sentence: str
    tests: tuple[str, ...]
    difference: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """What is not there yet. If there also is a requirement of this id, the rest of it is."""

    id: str
    sentence: str
