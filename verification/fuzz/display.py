"""What a terminal or a log is given: nothing that it would obey, nothing that cannot be seen, and nothing left out."""

from __future__ import annotations

import json
import unicodedata

from codex_runtime._io.stderr_tail import StderrTail
from codex_runtime._sansio import server_requests as rules
from codex_runtime._sansio.display import evident, one_line, visible, visible_json
from codex_runtime._sansio.envelope import Stamp
from codex_runtime._sansio.peer import Peer
from codex_runtime._sansio.wording import question_of
from verification.fuzz.peer import spelt
from verification.fuzz.pieces import Choices

__all__ = ["one"]

METHODS = (*sorted(rules.KNOWN), "something/new")
# Told to be shown as nothing, by Unicode: Default_Ignorable_Code_Point, written down here a second time.
IGNORABLE = (
    *(
        (0xAD, 0xAD),
        (0x34F, 0x34F),
        (0x61C, 0x61C),
        (0x115F, 0x1160),
        (0x17B4, 0x17B5),
        (0x180B, 0x180F),
        (0x200B, 0x200F),
    ),
    *((0x202A, 0x202E), (0x2060, 0x206F), (0x3164, 0x3164), (0xFE00, 0xFE0F), (0xFEFF, 0xFEFF), (0xFFA0, 0xFFA0)),
    *((0xFFF0, 0xFFF8), (0x1BCA0, 0x1BCA3), (0x1D173, 0x1D17A), (0xE0000, 0xE0FFF)),
)
JOINERS = "\u200c\u200d"


def one(data: bytes) -> None:
    """Show text in all ways, and a request with it."""
    choices = Choices(data)
    how = choices.below(3)
    if how == 2:
        _request(METHODS[choices.below(len(METHODS))], choices.rest())
        return
    rest = choices.rest()
    text = (
        rest.decode("utf-8", "surrogateescape")
        if how
        else rest.decode("utf-16-le", "surrogatepass" if len(rest) % 2 == 0 else "replace")
    )
    shown = visible(text)
    assert _is_safe(shown)
    assert visible(shown) == shown
    assert "\n" not in one_line(text)
    plain = text.replace("\r\n", "\n")
    assert shown == "".join(map(visible, plain)), "each character is judged alone"
    assert _is_evident(evident(text))
    for at in range(0, len(plain), 1 + len(plain) // 8):
        assert visible(plain[:at]) + visible(plain[at:]) == shown
    line = visible_json(json.dumps(text, ensure_ascii=False))
    assert json.loads(line) == text
    assert _is_safe(line)
    assert "\n" not in line
    _stderr(rest)


def _request(method: str, rest: bytes) -> None:
    """A question about anything can be asked, is safe to be printed, and is the same each time."""
    line = b'{"id":1,"method":"x","params":{%b}}\n' % spelt(rest).replace(b"\n", b"")
    peer: Peer[int] = Peer()
    for envelope in peer.receive(line, 0, Stamp(0, 0.0, 0.0)).envelopes:
        question = question_of(method, envelope.params, [envelope.params])
        assert _is_evident(str(question))
        assert question.digest == question_of(method, envelope.params, [envelope.params]).digest


def _stderr(data: bytes) -> None:
    tail = StderrTail(64)
    for at in range(0, len(data), 7):
        tail.feed(data[at : at + 7])
    text = tail.text()
    assert len(text) <= 64
    assert not [each for each in text if unicodedata.category(each) == "Cc" and each not in "\n\t"]
    whole = StderrTail(64)
    whole.feed(data)
    assert whole.text() == text


def _is_safe(text: str) -> bool:
    return all(
        unicodedata.category(each) not in ("Cc", "Cf", "Cs", "Zl", "Zp") or each in "\n\t" + JOINERS for each in text
    )


def _is_evident(text: str) -> bool:
    """Nothing is there that cannot be seen."""
    return _is_safe(text) and not [
        each for each in text if any(first <= ord(each) <= last for first, last in IGNORABLE)
    ]
