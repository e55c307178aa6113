"""Scenarios of those who use a client: readers who look away or leave, and owners who answer late, twice or never.

What hooks, sinks and handlers may do wrong inside our own client no other client has; that is for its tests. Here is what
every client has: somebody who reads a turn, somebody who is asked, and a program that ends when it likes.

The one idea: a consumer may do whatever it wants with its own time; it costs nobody else theirs, and gives no leave that it
did not give.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from codex_runtime.testing import (
    Ask,
    AskUser,
    CallTool,
    Command,
    Die,
    Elicit,
    FileChange,
    Pause,
    Question,
    RequestPermissions,
    Say,
    Script,
    Stall,
)
from verification.faults.job import Job
from verification.faults.scenario import Scenario

if TYPE_CHECKING:
    from codex_runtime.testing import Step

__all__ = ["CONSUMERS"]

MIB = 2**20

BURST = "".join(f"word-{number} " for number in range(5_000))
FLOOD = "".join(f"word-{number} " for number in range(2_000))

# -- C1: readers -----------------------------------------------------------------------------------------------------

C1 = [
    Scenario(
        fault="C1",
        point="a reader who looks away while five thousand pieces come",
        scripts=(Script(Say("one "), Say(BURST)),),
        job=Job(sleeps=0.3, calls=20),
    ),
    Scenario(
        fault="C1",
        point="a reader who looks away while fifty thousand pieces come",
        scripts=(Script(Say("one "), *[step for _ in range(25) for step in (Say(FLOOD), Pause(0.001))]),),
        job=Job(sleeps=3.0, calls=20, growth=128 * MIB, bound=60.0),
        in_memory=False,
    ),
    Scenario(
        fault="C1",
        point="a reader who leaves in the middle of a burst",
        scripts=(Script(Say(BURST), Stall()),),
        job=Job(cancels_after=3),
    ),
    Scenario(
        fault="C1",
        point="a reader who leaves at the first word, before the turn can be interrupted for long",
        scripts=(Script(Say("one two three "), Pause(0.2), Say("four ")),),
        job=Job(cancels_after=1),
    ),
]

# -- C5: those who are asked -----------------------------------------------------------------------------------------

ASKS: Mapping[str, Step] = {
    "a command": Command("make test", output="ok\n", approval=True),
    "a change of a file": FileChange("notes.txt", "one line\n", approval=True),
    "a question to the user": AskUser(Question("colour", "Which colour?", options=("Red", "Blue"))),
    "a tool of the client's": CallTool("lookup_ticket", {"id": "ABC"}),
    "a form": Elicit("Who are you?", schema={"type": "object", "properties": {"name": {"type": "string"}}}),
    "a page": Elicit("Log in", url="https://example.invalid/login"),
    "more rights": RequestPermissions(network=True, write=["/"], reason="to see"),
    "new tokens": Ask("account/chatgptAuthTokens/refresh", {"reason": "unauthorized"}),
    "an old kind of approval": Ask(
        "execCommandApproval",
        {"conversationId": "$thread", "callId": "call-x", "command": ["rm"], "cwd": "/", "parsedCmd": []},
    ),
    "an old kind of change": Ask(
        "applyPatchApproval", {"conversationId": "$thread", "callId": "call-y", "fileChanges": {}}
    ),
}

C5 = [
    *(
        Scenario(
            fault="C5",
            point=f"{name}, to who says nothing",
            scripts=(Script(Say("one "), step, Say("two ")),),
        )
        for name, step in ASKS.items()
    ),
    Scenario(
        fault="C5",
        point="a command and a change, to who says yes",
        scripts=(Script(Say("one "), ASKS["a command"], ASKS["a change of a file"], Say("two ")),),
        job=Job(accepts=True),
    ),
    Scenario(
        fault="C5",
        point="a reader who leaves while a command waits for leave",
        scripts=(Script(Say("one "), ASKS["a command"], Say("two ")),),
        job=Job(cancels_after=1),
    ),
    Scenario(
        fault="C5",
        point="a client that closes while a command waits for leave",
        scripts=(Script(Say("one "), Pause(0.02), ASKS["a command"], Stall()),),
        job=Job(closes_after=1),
        goes_on=False,
    ),
]

# -- C6: answers across a restart ------------------------------------------------------------------------------------

C6 = [
    Scenario(
        fault="C6",
        point=f"a server that dies when it has asked, and asks something else under the same id, to who says {word}",
        scripts=(
            Script(Say("one "), Command("true", approval=True), Say("two ")),
            Script(Command("rm -rf build", approval=True), Say("three ")),
        ),
        arrange=lambda fake: fake.die_at("item/commandExecution/requestApproval"),
        job=Job(accepts=accepts),
    )
    for accepts, word in ((False, "nothing"), (True, "yes"))
]

# -- C8: programs that end -------------------------------------------------------------------------------------------

C8 = [
    Scenario(
        fault="C8",
        point="a client that closes in the middle of a turn",
        scripts=(Script(Say("one two three "), Stall()),),
        job=Job(closes_after=2),
        goes_on=False,
    ),
    Scenario(
        fault="C8",
        point="a client that closes while its server dies",
        scripts=(Script(Say("one two "), Pause(0.02), Say("three "), Die()),),
        job=Job(closes_after=3),
        goes_on=False,
    ),
]

CONSUMERS: tuple[Scenario, ...] = (*C1, *C5, *C6, *C8)
