"""A question as text and as a digest: the same text for the same request, and no content that looks like another part."""

from __future__ import annotations

import hashlib

from codex_runtime._sansio import server_requests as rules
from codex_runtime._sansio.questions import Part, Question
from codex_runtime._sansio.wording import question_of


def test_as_text_it_is_one_line_for_each_part() -> None:
    """What has several lines stands below its label: no content can look like another part."""
    params = {"command": "cat <<X\n  in: /safe\nX", "cwd": "/etc\n  because: harmless"}
    assert str(question_of(rules.COMMAND, params)) == (
        "run this command?\n  command:\n      cat <<X\n        in: /safe\n      X\n  in: /etc␤  because: harmless"
    )
    assert str(Part("in", "/ws")) == "in: /ws"


def test_the_digest_is_of_exactly_what_is_shown() -> None:
    """One more space, and it is another one; the ids, which nobody sees, change nothing."""
    one = question_of(rules.COMMAND, {"command": "ls", "itemId": "a"})
    same = question_of(rules.COMMAND, {"command": "ls", "itemId": "b"})
    other = question_of(rules.COMMAND, {"command": "ls "})
    assert one.digest == same.digest == hashlib.sha256(str(one).encode()).hexdigest()
    assert other.digest != one.digest
    assert Question("a?").digest == hashlib.sha256(b"a?").hexdigest()
