"""What a server request asks, in words for a person: a title, and the parts that one must see to decide.

These are values only; ``wording`` makes them.
"""

from __future__ import annotations

from msgspec import Struct

__all__ = ["Part", "Question"]


class Part(Struct, frozen=True):
    """One thing to be seen: ``label`` says what it is ("command", "in", "diff", ...), ``text`` is safe to be printed."""

    label: str
    text: str

    def __str__(self) -> str:
        """Return the label and the text; a text of several lines stands below its label, indented."""
        separator = "\n" if "\n" in self.text else " "
        return f"{self.label}:{separator}{self.text}".replace("\n", "\n    ")


class Question(Struct, frozen=True):
    """What a server request asks, for people. ``str(question)`` is all of it as text, safe to be printed.

    ``can_accept``: a plain yes is an answer to it. ``can_last``: it can also be a yes for the session.
    """

    title: str
    parts: tuple[Part, ...] = ()
    can_accept: bool = True
    can_last: bool = False

    @property
    def digest(self) -> str:
        """SHA-256, in hex, of exactly this text: equal digests, equal questions."""
        from hashlib import sha256  # it brings OpenSSL along, for those who keep a record

        return sha256(str(self).encode()).hexdigest()

    def __str__(self) -> str:
        """Return the title and the parts, one below the other."""
        return "\n".join([self.title, *(f"  {part}".replace("\n", "\n  ") for part in self.parts)])
