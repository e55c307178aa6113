"""Scripts written as JSON: what they mean, and how a wrong one is refused."""

from __future__ import annotations

import json
import re

import pytest

from codex_runtime.testing._reply import (
    Call,
    Custom,
    Cut,
    Exec,
    Fail,
    Incomplete,
    Patch,
    Pause,
    RateLimits,
    Raw,
    Reply,
    Say,
    Stall,
    Think,
    Tokens,
)
from codex_runtime.testing._reply_json import replies_from_json


@pytest.mark.parametrize(
    ("entry", "reply"),
    [
        ("hi", Reply(Say("hi"))),
        ({"say": "hi", "pace": 0.5, "phase": "commentary"}, Reply(Say("hi", pace=0.5, phase="commentary"))),
        ({"say": "ab", "chunks": ["a", "b"]}, Reply(Say("ab", chunks=["a", "b"]))),
        ([], Reply()),
        (
            [{"think": "a", "raw": "b"}, {"exec": "ls", "escalate": True}],
            Reply(Think("a", raw="b"), Exec("ls", escalate=True)),
        ),
        ({"patch": "x", "call_id": "c"}, Reply(Patch("x", call_id="c"))),
        ({"call": "f", "arguments": {"a": [1]}, "namespace": "n"}, Reply(Call("f", {"a": [1]}, namespace="n"))),
        ({"call": "f", "arguments": "{bad"}, Reply(Call("f", "{bad"))),
        ({"custom": "exec", "input": "1"}, Reply(Custom("exec", "1"))),
        ([{"pause": 1}, {"stall": {}}], Reply(Pause(1), Stall())),
        ({"cut": {"clean": True}}, Reply(Cut(clean=True))),
        ({"fail": "c", "message": "m"}, Reply(Fail("c", "m"))),
        ({"incomplete": "why"}, Reply(Incomplete("why"))),
        (
            [{"tokens": {"input": 3}}, {"rate_limits": {"primary_used": 5}}],
            Reply(Tokens(input=3), RateLimits(primary_used=5)),
        ),
        ([{"raw": {"type": "x"}}, {"raw": "y"}], Reply(Raw({"type": "x"}), Raw("y"))),
        ({"http_error": 503}, Reply.http_error(503)),
        (
            {"http_error": 503, "body": {"a": 1}, "headers": {"retry-after": "2"}},
            Reply.http_error(503, {"a": 1}, headers={"retry-after": "2"}),
        ),
        ({"usage_limit": {"resets_in": 60}}, Reply.usage_limit(resets_in=60)),
    ],
    ids=lambda value: None if isinstance(value, Reply) else json.dumps(value),
)
def test_an_entry_means_the_reply_it_looks_like(entry: object, reply: Reply) -> None:
    """Every word there is, alone or in a list."""
    assert replies_from_json(["before", entry]) == [Reply(Say("before")), reply]


@pytest.mark.parametrize(
    ("entry", "complaint"),
    [
        (3, "3 is not a part of a reply"),
        ([3], "3 is not a part of a reply"),
        ([{}], "{} is not a part of a reply"),
        ({"sing": "la"}, "no part is called 'sing'"),
        ({"say": 3}, "Expected `str`, got `int`"),
        ({"say": "x", "loud": True}, "'say' has no option 'loud'"),
        ({"say": "ab", "chunks": ["a"]}, "chunks must be"),
        ({"raw": {"no": "type"}}, 'needs a "type"'),
        ({"raw": "x", "more": 1}, "'raw' has no option 'more'"),
        ({"custom": "exec"}, "missing required field `input`"),
        ({"stall": True}, "mapping"),
        ([{"cut": {}}, {"say": "x"}], "nothing can follow"),
        ({"http_error": 200}, "from 400 to 599"),
        ({"http_error": 500, "text": "x"}, "unknown field `text`"),
    ],
)
def test_a_wrong_entry_is_refused_by_its_number(entry: object, complaint: str) -> None:
    """The error names the reply and what is wrong with it."""
    with pytest.raises(ValueError, match=r"^reply 2: .*" + re.escape(complaint)):
        replies_from_json(["fine", entry])


def test_a_script_is_a_list() -> None:
    """A single reply is not one."""
    with pytest.raises(ValueError, match="a script is a list"):
        replies_from_json("hi")
