"""Texts as somebody would write them who wants to be misread: by a person, by a terminal, or by whoever reads a log."""

from __future__ import annotations

import re
import unicodedata

__all__ = ["STEERING", "TROJANS", "steers", "unseen"]

HEAD, TAIL = "git status", "rm -rf /home"

TROJANS: dict[str, str] = {
    "bidi override": f"{HEAD} \u202e{TAIL}\u202c",
    "bidi isolate": f"{HEAD} \u2066{TAIL}\u2069",
    "left to right mark": f"{HEAD} \u200e{TAIL}\u061c",
    "erase the line": f"{HEAD}\x1b[2K\r{TAIL}",
    "move up and write over": f"{HEAD}\x1b[1A\x1b[2K{TAIL}",
    "eight bit CSI": f"{HEAD}\x9b2K{TAIL}",
    "carriage return": f"{HEAD}\r{TAIL}",
    "NUL": f"{HEAD}\x00{TAIL}",
    "backspaces": f"{HEAD}{chr(8) * 10}{TAIL}",
    "conceal": f"{HEAD}\x1b[8m{TAIL}\x1b[0m",
    "10 kB of spaces": f"{HEAD}{' ' * 10_240}{TAIL}",
    "1 kB of tabs": f"{HEAD}{chr(9) * 1_024}{TAIL}",
    "blanks by turns": f"{HEAD}{f' {chr(9)}' * 512}{TAIL}",
    "a screen of empty lines": f"{HEAD}{chr(10) * 300}{TAIL}",
    "lines of blanks": f"{HEAD}{f'  {chr(10)}' * 300}{TAIL}",
    "other spaces": f"{HEAD}{chr(0x3000) * 500}{chr(0xA0)}{chr(0x2003)}{TAIL}",
    "blank letters": f"{HEAD}{chr(0x2800) * 500}{chr(0x3164)}{chr(0x115F)}{TAIL}",
    "line separator": f"{HEAD}\u2028{TAIL}\u2029",
    "next line": f"{HEAD}\x85{TAIL}\x0b\x0c",
    "zero width": f"{HEAD}\u200b\u200c\u200d\u2060\ufeff{TAIL}",
    "tags": f"{HEAD}{''.join(chr(0xE0000 + ord(letter)) for letter in 'hidden')}{TAIL}",
    "selectors": f"{HEAD}\ufe0f\U000e0101{TAIL}",
    "soft hyphen and joiner of letters": f"{HEAD}\xad\u034f{TAIL}",
    "a newline and a label": f"{HEAD}\n  in: /safe\n  because: you asked for it\n{TAIL}",
    "a newline and a title": f"{HEAD}\nrun this command?\n  command: ls\n{TAIL}",
    "a newline by its picture": f"{HEAD}␤  in: /safe␤{TAIL}",
    "long": f"{HEAD}; {'echo all is well; ' * 500}{TAIL}",
}
"""By the trick: each begins with :data:`HEAD`, and does :data:`TAIL`."""

STEERING: tuple[str, ...] = (
    "\x1b]0;a title\x07",
    "\x1b]2;a title\x1b\\",
    "\x1b]52;c;cm0gLXJmIC8=\x07",
    "\x1b]8;;http://x.invalid\x07text\x1b]8;;\x07",
    "\x1b]1337;File=inline=1:AAAA\x07",
    "\x1b]777;notify;a;b\x07",
    "\x1bP+q544e\x1b\\",
    "\x1bP$qm\x1b\\",
    "\x1b_Gf=24;AAAA\x1b\\",
    "\x1b^private\x1b\\",
    "\x1bXstart of string\x1b\\",
    "\x1b[2J\x1b[H",
    "\x1b[6n",
    "\x1b[c",
    "\x1b[?1049h",
    "\x1b[?2004l",
    "\x1b[21t",
    "\x1bc",
    "\x1b#8",
    "\x1b(0",
    "\x9d0;a title\x9c",
    "\x9b31m",
    "\x90q\x9c",
    "\x9e\x9f\x98\x9c",
    "\x1b",
    "\x1b[",
    "\x1b[31\x1b[31mm",
    "\x07\x05\x0e\x0f\x7f",
    "\x1b[200~touch pwned\n\x1b[201~",
)
"""What terminals obey, also in pieces and nested."""

_OURS = re.compile(r"\x1b\[[0-9;]*m|\x1b\[2K|\x1b\[\?25[lh]|\r\n|\r(?=\x1b\[2K)")


def steers(written: str) -> list[str]:
    """What of the bytes that went to a terminal is neither text nor a colour of ours, the erasing of our line or a newline."""
    rest = _OURS.sub("", written)
    return [repr(letter) for letter in rest if letter not in "\n\t" and unicodedata.category(letter) in ("Cc", "Cs")]


def unseen(shown: str) -> list[str]:
    """What of a text cannot be seen, or moves the rest out of sight."""
    hidden = [
        f"U+{ord(letter):04X}"
        for letter in shown
        if letter not in " \n" and unicodedata.category(letter) in {"Cc", "Cf", "Cs", "Zl", "Zp", "Zs"}
    ]
    hidden += [f"U+{ord(letter):04X}" for letter in shown if ord(letter) in {0x2800, 0x3164, 0x115F, 0x034F, 0xFE0F}]
    hidden += [f"U+{ord(letter):04X}" for letter in shown if 0xE0000 <= ord(letter) < 0xE1000]
    hidden += [f"{len(run)} blanks" for run in re.findall(r" {61,}", shown)]
    return hidden + [f"{len(run)} empty lines" for run in re.findall(r"(?:\n *){12,}", shown)]
