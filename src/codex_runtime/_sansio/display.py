"""Makes text from a model, a command or a server fit to be shown to a person.

Such text may hold what a terminal obeys (escape sequences), what turns the reading order around (bidi overrides) or what
nobody can see (zero-width characters, tags). Whoever approves a command must see all of it and nothing else, so these
characters are replaced by ones that can be seen; they are not removed, for what was there is worth knowing.

The one idea: each character is judged alone. No sequence is parsed, so none can be cut, nested or misspelt to slip through.
"""

from __future__ import annotations

import re
from itertools import groupby

__all__ = ["evident", "one_line", "visible", "visible_json"]

# Controls but newline and tab, separators of lines, surrogates, what Unicode calls format characters, and four letters
# that are blank. Two format characters stay, because scripts and emoji need them: the joiners U+200C and U+200D.
_UNFIT = (
    "\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u06dd\u070f\u0890\u0891\u08e2\u0600-\u0605\u180e\u200b\u200e\u200f\u115f\u1160"
    "\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb\ud800-\udfff\U000110bd\U000110cd\U00013430-\U0001343f"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e007f"
)
_UNFIT_IN_TEXT = re.compile(f"\r\n|[{_UNFIT}]")
_UNFIT_IN_JSON = re.compile(f"[{_UNFIT}]")
# Harmless in prose, and a lie in what one has to agree to: what looks like a space and is none, and what is not seen at all.
_DECEPTIVE = re.compile(
    "[\xa0\u1680\u2000-\u200a\u202f\u205f\u2800\u3000\u200c\u200d\u034f\u17b4\u17b5\u180b-\u180d\u180f"
    "\ufe00-\ufe0f\ufff0-\ufff8\U0001d159\U000e0080-\U000e0fff]"
)
# As much emptiness as moves the rest out of sight. The second is looked for where the first has left short ones only.
_WIDE = re.compile(r"[ \t]{41,}")
_TALL = re.compile(r"(?:[ \t]{0,40}\n){10,}")


def visible(text: str) -> str:
    r"""Return ``text`` with everything that a terminal would obey or hide replaced by something to see.

    Newlines and tabs stay, and ``\r\n`` is a newline. Other ASCII controls become their Unicode pictures (ESC: ``␛``),
    the rest is named (``<U+202E>``). Safe to be printed as it is, or in several pieces.
    """
    return _UNFIT_IN_TEXT.sub(_seen, text)


def evident(text: str) -> str:
    """Return ``text`` as :func:`visible` does, for somebody who has to agree to it: nothing in it looks like nothing.

    Joiners, selectors and spaces of all other kinds are named as well, and long stretches of blanks are counted: they would
    move the rest of a command out of sight.
    """
    shown = _WIDE.sub(_counted, _DECEPTIVE.sub(_seen, visible(text)))
    return _TALL.sub(lambda found: f"<{found[0].count(chr(10))} empty lines>\n", shown)


def one_line(text: str) -> str:
    """Return ``text`` as :func:`visible` does, on one line: newlines become ``␤``, those around it are left out."""
    return visible(text.strip("\r\n")).replace("\n", "␤").replace("\t", " ")


def visible_json(text: str) -> str:
    r"""Return JSON with the same characters as ``\u`` escapes: it means the same, and is safe to be printed.

    ``text`` must be on one line, as JSON lines are: outside of strings nothing of the kind may stand.
    """
    return _UNFIT_IN_JSON.sub(_escaped, text)


def _seen(found: re.Match[str]) -> str:
    character = found[0]
    if character == "\r\n":
        return "\n"
    code = ord(character)
    if code < ord(" "):
        return chr(0x2400 + code)
    return "␡" if character == "\x7f" else f"<U+{code:04X}>"


def _counted(found: re.Match[str]) -> str:
    return "".join(f"<U+{ord(kind):04X} x{len(list(same))}>" for kind, same in groupby(found[0]))


def _escaped(found: re.Match[str]) -> str:
    # JSON counts in the units of UTF-16, so a character of the other planes is two escapes.
    units = found[0].encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[start : start + 4]}" for start in range(0, len(units), 4))
