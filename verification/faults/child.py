"""Scenarios of the server's process: it dies, hangs, lies about its end, or leaves others behind.

The one idea: where a process may end is a list of points, how it may end another one, and each point is met in each way
that makes a difference.
"""

from __future__ import annotations

import signal
from collections.abc import Awaitable, Callable, Iterator
from typing import TYPE_CHECKING

from codex_runtime.testing import (
    CloseStdout,
    Command,
    Die,
    Grandchild,
    IgnoreTerm,
    Refusal,
    Say,
    Script,
    Stall,
    Stderr,
    StopReading,
)
from verification.faults.job import ECHO, Job
from verification.faults.scenario import WORDS, KillsClient, Scenario

if TYPE_CHECKING:
    from codex_runtime.testing import FakeAppServer
    from codex_runtime.testing._fake_orders import Moment

__all__ = ["CHILD"]

NO_RESTARTS = "never promised to start a server again"
NO_DEADLINES = "has no deadlines of its own"
SYSTEMS_OWN = "raises what the system raised, as Python programs may"
NO_GUARD = "never promised to end what a server started, or to end one that does not leave by itself"

DELTA = "item/agentMessage/delta"
APPROVAL = "item/commandExecution/requestApproval"
OUTPUT = "item/commandExecution/outputDelta"

TOOL = Script(Say("I look. "), Command("ls", output="a.txt\n"), Say(WORDS))
ASKING = Script(Say("I ask. "), Command("rm x", output="gone\n", approval=True), Say(WORDS))
ENDLESS = Script(Say(WORDS), Stall())

YES = Job(accepts=True)
WITH_CALLS = Job(calls=5)
THRICE = Job(prompts=("first", "second", "third"))
"""The second prompt may reach a server that is about to die."""
GIVES_UP = Job(cancels_after=1)
"""The reader leaves in the middle; the turn has to be interrupted on the server."""


def _dies(
    method: str, moment: Moment = "after", *, signal: int | None = None, code: int | None = None, times: int = 1
) -> Callable[[FakeAppServer], None]:
    return lambda fake: fake.die_at(method, moment, signal=signal, code=code, times=times)


def _all(*orders: Callable[[FakeAppServer], None]) -> Callable[[FakeAppServer], None]:
    def give(fake: FakeAppServer) -> None:
        for order in orders:
            order(fake)

    return give


def _later(*orders: Callable[[FakeAppServer], None]) -> Callable[[FakeAppServer], Awaitable[None]]:
    """Orders for the servers after the first, which has got its prompt by then."""

    async def give(fake: FakeAppServer) -> None:
        await fake.wait_for("turn/start", timeout=20.0)
        _all(*orders)(fake)

    return give


# -- P1: killed, at each point and in each way -----------------------------------------------------------------------

WAYS: tuple[tuple[str, dict[str, int]], ...] = (
    ("SIGKILL", {"signal": signal.SIGKILL}),
    ("SIGSEGV", {"signal": signal.SIGSEGV}),
    ("SIGABRT", {"signal": signal.SIGABRT}),
    ("exit 1", {"code": 1}),
    ("exit 0", {"code": 0}),
)

# What happens, the message, the scripts of the turns, the job, and how the first turn ends for our reader, if that is always
# the same: before the message, when half of it (or of the answer to it) is written, and after it.
POINTS: tuple[tuple[str, str, tuple[Script, ...], Job, tuple[str | None, ...]], ...] = (
    ("a thread is asked for", "thread/start", (), Job(), ("error", "error", None)),
    ("a turn is asked for", "turn/start", (), Job(), ("lost", "lost", "lost")),
    ("calls are in flight", ECHO, (), WITH_CALLS, (None, None, None)),
    ("a turn begins", "turn/started", (), Job(), ("lost", "lost", "lost")),
    ("an item begins", "item/started", (), Job(), ("lost", "lost", "lost")),
    ("the agent speaks", DELTA, (), Job(), ("lost", "lost", "lost")),
    ("a command prints", OUTPUT, (TOOL,), Job(), ("lost", "lost", "lost")),
    ("an item ends", "item/completed", (TOOL,), Job(), ("lost", "lost", "lost")),
    ("a turn ends", "turn/completed", (), THRICE, ("completed", "completed", "completed")),
    ("an approval is asked for", APPROVAL, (ASKING,), Job(), ("lost", "lost", "lost")),
    ("an approval is asked for, and the owner says yes", APPROVAL, (ASKING,), YES, ("lost", "lost", "lost")),
    ("a yes has come", "serverRequest/resolved", (ASKING,), YES, ("lost", "lost", "lost")),
    ("a turn is interrupted", "turn/interrupt", (ENDLESS,), GIVES_UP, ("interrupted",) * 3),
)
MOMENTS: tuple[tuple[str, Moment], ...] = (("before", "before"), ("half of it", "during"), ("after", "after"))
AT_EACH = ("the agent speaks", "an approval is asked for, and the owner says yes", "calls are in flight", "a turn ends")
"""Where all ways are tried; elsewhere SIGKILL stands for them."""


def _deaths() -> Iterator[Scenario]:
    for what, method, scripts, job, firsts in POINTS:
        for (word, moment), first in zip(MOMENTS, firsts, strict=True):
            for way, how in WAYS:
                if way != "SIGKILL" and (what not in AT_EACH or moment == "before"):
                    continue
                yield Scenario(
                    fault="P1",
                    point=f"{what}: {word}, {way}",
                    scripts=scripts,
                    job=job,
                    arrange=_dies(method, moment, **how),
                    # Who leaves in good order when nobody waits for anything is not started again.
                    goes_on=(what, moment, way) != ("a turn ends", "after", "exit 0"),
                    first=first,
                )


# The first server of all: what cannot be started is told, and not tried again.
_FIRST = (
    ("before it reads anything", "launch", "before", "HandshakeError"),
    ("before the greeting is answered", "initialize", "before", "HandshakeError"),
    ("half of the answer to the greeting", "initialize", "during", "HandshakeError"),
)
_NEXT = (
    ("the next one dies before it reads anything", _dies("launch", "before")),
    ("the next one dies before the greeting is answered", _dies("initialize", "before")),
    ("the next one dies in the answer to the greeting", _dies("initialize", "during")),
    ("the next one dies right after the greeting", _dies("initialized", "before")),
    ("the next one dies as a thread is brought back", _dies("thread/resume", "before")),
    ("the next one dies in the answer with the thread", _dies("thread/resume", "during")),
)

P1 = (
    *(
        Scenario(
            fault="P1",
            point=point,
            arrange=_dies(method, moment),  # type: ignore[arg-type]
            goes_on=False,
            first=first,
        )
        for point, method, moment, first in _FIRST
    ),
    Scenario(fault="P1", point="the greeting is answered", arrange=_dies("initialize", "after"), goes_on=False),
    Scenario(fault="P1", point="greeted", arrange=_dies("initialized", "after")),
    *_deaths(),
    *(
        Scenario(fault="P1", point=point, scripts=(Script(Say(WORDS), Die()),), meanwhile=_later(order), first="lost")
        for point, order in _NEXT
    ),
    Scenario(
        fault="P1",
        point="an approval is asked for, and nobody says anything; then the next server asks for another",
        scripts=(Script(Command("rm x", approval=True), Stall()), ASKING),
        arrange=_dies(APPROVAL),
        first="lost",
    ),
    Scenario(
        fault="P1",
        point="calls wait for answers that will never come",
        arrange=_all(lambda fake: fake.never_answer(ECHO, times=None), _dies(DELTA)),
        job=WITH_CALLS,
        first="lost",
    ),
    Scenario(
        fault="P1",
        point="closed in the middle of a turn",
        scripts=(ENDLESS,),
        job=Job(closes_after=1),
        goes_on=False,
        first="lost",
    ),
    Scenario(
        fault="P1",
        point="killed while it is closed in the middle of a turn",
        scripts=(ENDLESS,),
        job=Job(closes_after=1),
        arrange=_dies("turn/interrupt", "before"),
        goes_on=False,
        first="lost",
    ),
    Scenario(
        fault="P1",
        point="closed while an approval waits for the owner",
        scripts=(Script(Say(WORDS), Command("rm x", approval=True)),),
        job=Job(closes_after=1),
        goes_on=False,
    ),
    *(
        Scenario(
            fault="P1",
            point=f"dies when it should leave, {way}",
            through=lambda argv, end=end: ("sh", "-c", f'"$@"; {end}', "sh", *argv),  # type: ignore[misc]
            in_memory=False,
            first="completed",
        )
        for way, end in (("SIGSEGV", "kill -SEGV $$"), ("exit 1", "exit 1"))
    ),
)


# -- P2 to P5: starts that fail --------------------------------------------------------------------------------------


def _instead(*command: str) -> Callable[[tuple[str, ...]], tuple[str, ...]]:
    return lambda _: command


def _around(shell: str) -> Callable[[tuple[str, ...]], tuple[str, ...]]:
    """The server's own command line is ``$@``."""
    return lambda argv: ("sh", "-c", shell, "sh", *argv)


def _no_start(fault: str, point: str, first: str, *command: str) -> Scenario:
    return Scenario(
        fault=fault,
        point=point,
        through=_instead(*command),
        in_memory=False,
        goes_on=False,
        first=first,
        unpromised={"I1": SYSTEMS_OWN} if fault == "P2" else {},
    )


STARTS = (
    _no_start("P2", "there is no such program", "BinaryNotFoundError", "/nowhere/codex", "app-server"),
    _no_start("P2", "it is no program", "BinaryNotFoundError", "/etc/hostname"),
    _no_start("P2", "it is a folder", "BinaryNotFoundError", "/"),
    _no_start("P2", "it is nowhere on PATH", "BinaryNotFoundError", "no-such-codex"),
    _no_start("P2", "a NUL in the command line", "StartError", "sh", "-c", "a\0b"),
    Scenario(
        fault="P3",
        point="the greeting is never answered",
        arrange=lambda fake: fake.never_answer("initialize", times=None),
        job=Job(start=0.5, bound=3.0),
        goes_on=False,
        first="HandshakeError",
        budget=1,
        unpromised={"I1": NO_DEADLINES},
    ),
    Scenario(
        fault="P3",
        point="the greeting of the next server is never answered",
        scripts=(Script(Say(WORDS), Die()),),
        meanwhile=_later(lambda fake: fake.never_answer("initialize")),
        job=Job(start=1.5),
        first="lost",
    ),
    Scenario(
        fault="P3",
        point="it starts and does nothing at all",
        through=_instead("sleep", "600"),
        in_memory=False,
        job=Job(start=0.5, bound=3.0),
        goes_on=False,
        first="HandshakeError",
        unpromised={"I1": NO_DEADLINES, "I9": NO_GUARD},
    ),
    Scenario(
        fault="P4",
        point="the greeting is refused",
        arrange=lambda fake: fake.on_request("initialize", Refusal(-32600, "no")),
        goes_on=False,
        first="HandshakeError",
        budget=1,
    ),
    Scenario(
        fault="P4",
        point="the greeting is answered in another shape",
        arrange=lambda fake: fake.on_request("initialize", {"userAgent": 7}),
        goes_on=False,
        first="HandshakeError",
        budget=1,
    ),
    _no_start(
        "P5",
        "it says why on stderr and leaves",
        "HandshakeError",
        *("sh", "-c", "echo 'error: approval_policy is not allowed' >&2; exit 1"),
    ),
    _no_start("P5", "it leaves in good order and says nothing", "HandshakeError", "true"),
    Scenario(
        fault="P5",
        point="50 MB of complaints, and an end",
        through=_instead("sh", "-c", "yes 'a complaint of forty characters, and so on' | head -c 50000000 >&2; exit 1"),
        in_memory=False,
        job=Job(growth=64 << 20),
        goes_on=False,
        first="HandshakeError",
    ),
)


# -- P6 to P11: it lives, in a way -----------------------------------------------------------------------------------

WATCHED = Job(silence=0.6)
LEFT = {"I9": NO_GUARD}

ALIVE = (
    Scenario(
        fault="P6",
        point="it ignores SIGTERM and the end of its stdin",
        scripts=(Script(IgnoreTerm(), Say(WORDS)),),
        first="completed",
    ),
    Scenario(
        fault="P6",
        point="closed in the middle of a turn, it ignores SIGTERM and the end of its stdin",
        scripts=(Script(IgnoreTerm(), Say(WORDS), Stall()),),
        job=Job(closes_after=1),
        goes_on=False,
        first="lost",
    ),
    Scenario(
        fault="P6",
        point="stopped in the middle of a turn",
        arrange=_dies(DELTA, signal=signal.SIGSTOP),
        in_memory=False,
        job=WATCHED,
        first="lost",
        unpromised={"I1": NO_DEADLINES, "I5": NO_DEADLINES},
    ),
    Scenario(
        fault="P6",
        point="stopped in the middle of a turn, and closed",
        arrange=_dies(DELTA, signal=signal.SIGSTOP),
        in_memory=False,
        job=Job(closes_after=1),
        goes_on=False,
        first="lost",
    ),
    Scenario(
        fault="P7",
        point="it closes its stdout in the middle of a turn",
        scripts=(Script(Say(WORDS), CloseStdout(), Stall()),),
        goes_on=False,
        first="lost",
    ),
    Scenario(
        fault="P7",
        point="it closes its stdout and will not go",
        scripts=(Script(Say(WORDS), IgnoreTerm(), CloseStdout(), Stall()),),
        in_memory=False,
        first="lost",
        unpromised=LEFT,
    ),
    Scenario(
        fault="P8",
        point="it dies while a child of its own holds its stdout",
        scripts=(Script(Say(WORDS), Grandchild(), Die(code=3)),),
        in_memory=False,
        first="lost",
        unpromised=LEFT,
    ),
    Scenario(
        fault="P8",
        point="it dies while a detached child of its own holds its stdout",
        scripts=(Script(Say(WORDS), Grandchild(detached=True), Die()),),
        in_memory=False,
        first="lost",
        unpromised=LEFT,
    ),
    Scenario(
        fault="P10",
        point="it reads no more, and 16 MB are sent to it",
        scripts=(Script(Say(WORDS), StopReading(), Stall()),),
        in_memory=False,
        job=Job(calls=16, calls_late=True, weight=1 << 20, deadline=1.0, silence=2.0, growth=160 << 20),
        first="lost",
        unpromised={"I1": NO_DEADLINES, "I5": NO_DEADLINES},
    ),
    Scenario(
        fault="P10",
        point="it reads no more, and is closed with 16 MB unsent",
        scripts=(Script(Say(WORDS), StopReading(), Stall()),),
        job=Job(calls=16, calls_late=True, weight=1 << 20, closes_after=1),
        goes_on=False,
        first="lost",
    ),
    *(
        Scenario(
            fault="P11",
            point=f"it leaves {what} behind when it is {how}",
            scripts=(Script(Say(WORDS), Grandchild(detached=detached, holds_stdout=False), *end),),
            in_memory=False,
            first="lost" if end else "completed",
            unpromised=LEFT,
        )
        for what, detached in (("a child", False), ("a detached child", True))
        for how, end in (
            ("closed", ()),
            ("killed", (Die(),)),
            ("ended by its own crash", (Die(signal=signal.SIGSEGV),)),
        )
    ),
    Scenario(
        fault="P11",
        point="it starts daemons, a nohup and a nested interpreter before anything else",
        through=_around(
            "(setsid sleep 600 &) ; nohup sleep 601 >/dev/null 2>&1 & "
            'python3 -c \'import subprocess; subprocess.run(["sleep", "602"])\' >/dev/null 2>&1 & exec "$@"'
        ),
        in_memory=False,
        first="completed",
        unpromised=LEFT,
    ),
)


LONG = [f"{number} {WORDS * 200}" for number in range(200)]

# What was said before the end is delivered, also to who was not looking; and noise of others is not ours.
LAST_WORDS = (
    Scenario(
        fault="P1",
        point="it ends a turn of 2 MB, and dies at once, while the reader looks away",
        scripts=(Script(Say("".join(LONG), chunks=LONG)),),
        arrange=_dies("turn/completed"),
        job=Job(sleeps=0.5, prompts=("first", "second", "third")),
        first="completed",
    ),
    Scenario(
        fault="P8",
        point="children of its own write into its stdout all the while, and it dies",
        scripts=(Script(Say(WORDS), Die()),),
        through=_around('(while :; do echo noise; sleep 0.002; done) & exec "$@"'),
        in_memory=False,
        first="lost",
        unpromised=LEFT,
    ),
    Scenario(
        fault="P8",
        point="a child of its own fills its stdout, and it leaves",
        through=_around('"$@"; (yes "a line of noise" &); exit 0'),
        in_memory=False,
        first="completed",
        unpromised=LEFT,
    ),
)


# -- P12 and P13: restarts without end -------------------------------------------------------------------------------

STORMS = (
    Scenario(
        fault="P12",
        point="every server after the first dies before it reads anything",
        scripts=(Script(Say(WORDS), Die()),),
        meanwhile=_later(_dies("launch", "before", times=100)),
        goes_on=False,
        first="lost",
    ),
    Scenario(
        fault="P12",
        point="every server after the first dies in its greeting",
        scripts=(Script(Say(WORDS), Die()),),
        meanwhile=_later(_dies("initialize", "during", times=100)),
        goes_on=False,
        first="lost",
    ),
    Scenario(
        fault="P13",
        point="every turn kills its server",
        scripts=(Script(Say(WORDS), Die()),) * 9,
        job=Job(prompts=tuple(f"prompt {number}" for number in range(9))),
        goes_on=False,
        first="lost",
    ),
)


# -- P16: our own process --------------------------------------------------------------------------------------------


def _speaks(fake: FakeAppServer) -> bool:
    return bool(fake.requests("turn/start")) and fake.lines_sent > 8


OWN = tuple(
    Scenario(
        fault="P16",
        point=f"our process gets {word} in a turn{with_what}",
        scripts=(Script(*steps, Say(WORDS), Stall()),),
        kills=KillsClient(signal=number, when=_speaks, times=times),
        in_memory=False,
        goes_on=False,
        unpromised=LEFT if steps else {},
    )
    for word, number, times in (
        ("SIGKILL", signal.SIGKILL, 1),
        ("SIGTERM", signal.SIGTERM, 1),
        ("SIGHUP", signal.SIGHUP, 1),
        ("SIGINT", signal.SIGINT, 1),
        ("SIGINT twice", signal.SIGINT, 2),
    )
    for with_what, steps in (
        ("", ()),
        ("; the server has a detached child and will not go", (Grandchild(detached=True), IgnoreTerm())),
    )
)


STARTING = tuple(
    Scenario(
        fault="P16",
        point=f"our process gets {word} while {what}",
        arrange=arrange,
        scripts=(Script(Say(WORDS), Die()),),
        meanwhile=_later(lambda fake: fake.never_answer("initialize", times=None)),
        job=Job(start=20.0),
        kills=KillsClient(signal=number, when=when, times=times),
        in_memory=False,
        goes_on=False,
        unpromised=LEFT,
    )
    for word, number, times in (
        ("SIGKILL", signal.SIGKILL, 1),
        ("SIGINT", signal.SIGINT, 1),
        ("SIGINT three times", signal.SIGINT, 3),
    )
    for what, arrange, when in (
        (
            "the greeting is not answered",
            lambda fake: fake.never_answer("initialize", times=None),
            lambda fake: len(fake.requests("initialize")) == 1,
        ),
        ("the next server is not ready", lambda _: None, lambda fake: len(fake.requests("initialize")) == 2),
    )
)


# -- P19 and P20 -----------------------------------------------------------------------------------------------------

LIMITS = (
    Scenario(
        fault="P19",
        point="it has too little memory to start",
        through=_around('ulimit -v 8000; exec "$@"'),
        in_memory=False,
        goes_on=False,
        first="HandshakeError",
    ),
    Scenario(
        fault="P19",
        point="it complains about memory and is killed",
        scripts=(Script(Say(WORDS), Stderr("memory allocation of 1073741824 bytes failed\n"), Die()),),
        first="lost",
    ),
    Scenario(
        fault="P20",
        point="it takes two seconds to start",
        through=_around('sleep 2; exec "$@"'),
        in_memory=False,
        budget=1,
        first="completed",
    ),
)

CHILD: tuple[Scenario, ...] = (*P1, *STARTS, *ALIVE, *LAST_WORDS, *STORMS, *OWN, *STARTING, *LIMITS)
