"""Which targets there are, and where their corpora lie."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path

__all__ = ["CORPUS", "TARGETS", "kept", "target"]

CORPUS = Path(__file__).parent / "corpus"
TARGETS = ("framing", "peer", "road", "display", "journal", "words")


def target(name: str) -> Callable[[bytes], None]:
    """Return the function that a target is."""
    one: Callable[[bytes], None] = import_module(f"verification.fuzz.{name}").one
    return one


def kept(name: str) -> list[Path]:
    """Return the inputs that are kept for a target."""
    return sorted(path for path in (CORPUS / name).iterdir() if path.is_file())
