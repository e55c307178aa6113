r"""Scenarios of what is on the wire: lines that are no messages, messages that are no answers, too much, too late, too odd.

They know no client and no judge. What is odd is written between good messages, so that the good ones tell whether anything
was harmed: a turn's text must arrive whole, a call must get its own answer or fail at once, and neither may wait in vain.

The one idea: a server that writes nonsense is still the server that people have; nothing of it is worth losing a turn.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias
from weakref import WeakKeyDictionary

from codex_runtime.testing import Ask, Bytes, Die, Gate, HalfLine, Hold, HugeLine, Notify, Pause, Say, Script, Stderr
from verification.faults.job import ECHO, Job
from verification.faults.scenario import WORDS, Scenario

if TYPE_CHECKING:
    from codex_runtime.testing import FakeAppServer, Step

__all__ = ["BYTES", "between", "says_in_place", "through_the_shell"]

MIB = 2**20
LIMIT = 64 * MIB
"""The longest line that our own client takes unless it is told otherwise."""

COMMAND = "item/commandExecution/requestApproval"

BEGUN = "one two three "
GOES_ON = "four five six "

Answering: TypeAlias = Callable[[object, Mapping[str, object]], bytes]
"""Makes what is written instead of an answer, out of the request's id and its params."""


# -- how a turn and its calls meet what is odd -----------------------------------------------------------------------


def between(*steps: Step) -> Script:
    """A turn in whose middle these things happen."""
    return Script(Say(BEGUN), *steps, Say(GOES_ON))


def says_in_place(make: Answering) -> Callable[[FakeAppServer], None]:
    """Orders that have the answers to calls written by ``make``, byte by byte."""

    def arrange(fake: FakeAppServer) -> None:
        def answer(params: Mapping[str, object]) -> Mapping[str, object]:
            fake.play(Bytes(make(fake.received[-1].rpc_id, params)))
            return {}

        fake.on_request(ECHO, answer)
        fake.never_answer(ECHO, times=None, handled=True)

    return arrange


def beside_answers(junk: bytes) -> Callable[[FakeAppServer], None]:
    """Orders that have this written before and after each answer to a call."""
    return says_in_place(lambda rpc_id, params: junk + _right(rpc_id, params) + junk)


def through_the_shell(script: str) -> Callable[[tuple[str, ...]], tuple[str, ...]]:
    """A command line that does something before, or beside, the server: in ``script``, the server is ``exec "$@"``."""
    return lambda argv: ("/bin/sh", "-c", script, "sh", *argv)


_GATES: WeakKeyDictionary[FakeAppServer, Gate] = WeakKeyDictionary()


def _gate_of(fake: FakeAppServer) -> Gate:
    """The one gate of a fake: its orders are given before anything runs, and it is opened meanwhile."""
    return _GATES.setdefault(fake, Gate())


def _line(message: object) -> bytes:
    return json.dumps(message, separators=(",", ":")).encode() + b"\n"


def _right(rpc_id: object, params: Mapping[str, object]) -> bytes:
    return _line({"id": rpc_id, "result": params})


def _warning(text: str) -> bytes:
    return _line({"method": "warning", "params": {"threadId": None, "message": text}})


def _byte_by_byte(data: bytes) -> Sequence[Step]:
    return [step for byte in data for step in (Bytes(bytes([byte])), Pause(0.001))]


# -- M1: what is no message ------------------------------------------------------------------------------------------

JUNK = {
    "text": b"thread 'main' panicked at src/main.rs:7\n",
    "empty lines": b"\n\n\n",
    "empty lines of Windows": b"\r\n\r\n",
    "blanks": b"   \t \n",
    "a message that ends as on Windows": _warning("x")[:-1] + b"\r\n",
    "a message after a byte order mark": b"\xef\xbb\xbf" + _warning("x"),
    "zero bytes": b"\0\0\0\0\n",
    "zero bytes before a message": b"\0" + _warning("x"),
    "a banner": b"*** codex, a program by many ***\nversion 0.163.0 (c) {all rights}\n[INFO] listening\n",
    "JSON that is no message": b'null\ntrue\n1\n"text"\n[]\n[{"method":"warning"}]\n{}\n',
    "a method that is no text": b'{"method":7,"params":{}}\n{"method":null}\n{"method":["x"],"id":{}}\n',
    "params that are none": b'{"method":"warning","params":7}\n{"method":"warning","params":null}\n{"method":"warning"}\n',
}

M1 = [
    *(
        Scenario(
            fault="M1",
            point=f"{name}, in a turn and beside answers",
            scripts=(between(Bytes(junk)),),
            arrange=beside_answers(junk),
            job=Job(calls=3),
        )
        for name, junk in JUNK.items()
    ),
    Scenario(
        fault="M1",
        point="a banner before the greeting is answered",
        through=through_the_shell('echo "Welcome to {codex}"; echo; exec "$@"'),
        in_memory=False,
    ),
]


# -- M2: how it is cut -----------------------------------------------------------------------------------------------

M2 = [
    Scenario(
        fault="M2",
        point="half a line, a pause, the other half",
        scripts=(between(Bytes(_warning("x")[:20]), Pause(0.05), Bytes(_warning("x")[20:])),),
    ),
    Scenario(
        fault="M2",
        point="half a line, and the end of the server",
        scripts=(Script(Say(BEGUN), HalfLine(), Die()),),
    ),
    Scenario(
        fault="M2",
        point="half an answer, and the end of the server",
        arrange=lambda fake: fake.die_at(ECHO, "during"),
        job=Job(calls=1),
    ),
    Scenario(
        fault="M2",
        point="one byte after the other",
        scripts=(between(*_byte_by_byte(_warning("a text of several bytes: \u00e4 \u20ac \U0001f600"))),),
    ),
    Scenario(
        fault="M2",
        point="an answer cut within a character",
        arrange=says_in_place(
            lambda rpc_id, params: (
                json.dumps({"id": rpc_id, "result": {**params, "x": "\u20ac"}}, ensure_ascii=False).encode() + b"\n"
            )
        ),
        job=Job(calls=3),
    ),
    Scenario(
        fault="M2",
        point="ten thousand messages at once",
        scripts=(between(Bytes(_warning("x") * 10_000)),),
    ),
    Scenario(
        fault="M2",
        point="a turn of five thousand pieces at once",
        scripts=(Script(Say("".join(f"word-{number} " for number in range(5_000)))),),
    ),
]


# -- M3: how long it is ----------------------------------------------------------------------------------------------


def _long_answer(size: int) -> Callable[[FakeAppServer], None]:
    return says_in_place(lambda rpc_id, params: _line({"id": rpc_id, "result": {**params, "filling": "x" * size}}))


def _endless(size: int) -> Sequence[Step]:
    piece = Bytes(b"x" * MIB)
    return [step for _ in range(size // MIB) for step in (piece, Pause(0.001))]


M3 = [
    Scenario(fault="M3", point="a line of 5 MB", scripts=(between(HugeLine(5_000_000)),)),
    Scenario(fault="M3", point="an answer of 5 MB", arrange=_long_answer(5_000_000), job=Job(calls=2)),
    Scenario(
        fault="M3",
        point="a line of 50 MB",
        scripts=(between(HugeLine(50_000_000)),),
        job=Job(growth=160 * MIB, bound=30.0),
        in_memory=False,
    ),
    *(
        Scenario(
            fault="M3",
            point=f"a line of 64 MiB {word}",
            scripts=(between(HugeLine(LIMIT + more)),),
            job=Job(bound=30.0),
            in_memory=False,
        )
        for more, word in ((-1, "less one byte"), (0, "exactly"), (1, "and one byte"))
    ),
    Scenario(
        fault="M3",
        point="an answer longer than the limit",
        arrange=_long_answer(LIMIT),
        job=Job(calls=1, bound=15.0, growth=200 * MIB),
        in_memory=False,
    ),
    Scenario(
        fault="M3",
        point="a line of 192 MiB in pieces",
        scripts=(between(*_endless(192 * MIB), Bytes(b"\n")),),
        job=Job(bound=30.0, growth=200 * MIB),
        in_memory=False,
    ),
]


# -- M4: what the text is made of ------------------------------------------------------------------------------------

CORNERS = "line\u2028paragraph\u2029next\x85form\x0cunit\x1f smile \U0001f600 zero\u200bwidth \ufeffmark \ufffdodd "

M4 = [
    Scenario(
        fault="M4",
        point="bytes that are no UTF-8",
        scripts=(
            between(Bytes(b'{"method":"warning","params":{"message":"\xff\xfe"}}\n'), Bytes(b"\xc0\xaf\xed\xa0\x80\n")),
        ),
        arrange=beside_answers(b'{"method":"warning","params":{"message":"\xc3"}}\n'),
        job=Job(calls=3),
    ),
    Scenario(
        fault="M4",
        point="bytes that are no UTF-8 in a method and in a key",
        scripts=(between(Bytes(b'{"method":"w\xffrning","params":{}}\n{"method":"warning","par\xffams":{}}\n')),),
    ),
    Scenario(
        fault="M4",
        point="lone surrogates",
        scripts=(
            between(
                Bytes(
                    b'{"method":"warning","params":{"message":"\\ud800"}}\n'
                    b'{"method":"warning","params":{"message":"\\udc00\\ud800"}}\n'
                    b'{"meth\\ud800od":1}\n'
                )
            ),
        ),
        arrange=beside_answers(b'{"method":"\\ud800","params":{"message":"\\udfff"}}\n'),
        job=Job(calls=3),
    ),
    Scenario(
        fault="M4",
        point="characters that some take for the end of a line",
        scripts=(Script(Say(CORNERS, chunks=[*CORNERS]), Say(GOES_ON)),),
    ),
]


# -- M5: answers to nobody -------------------------------------------------------------------------------------------


def _no_ids(rpc_id: object) -> Sequence[object]:
    """What is not this id, though some languages take it for the same."""
    if isinstance(rpc_id, int):
        return [float(rpc_id), -rpc_id, rpc_id + 10**6, rpc_id << 64, [rpc_id], {"id": rpc_id}, rpc_id == 1, None]
    return [f" {rpc_id}", f"{rpc_id}\0", str(rpc_id).swapcase() + "x", [rpc_id], {"id": rpc_id}, True, 1.0, None]


def _after_wrong_ids(rpc_id: object, params: Mapping[str, object]) -> bytes:
    wrong = {"token": "of somebody else"}
    lines = [_line({"id": other, "result": wrong}) for other in [*_no_ids(rpc_id), -1, 10**30, "", "1.0", 0.5]]
    return b"".join([*lines, _line({"result": wrong}), b'{"id":1e400,"result":{}}\n', _right(rpc_id, params)])


def _twice(rpc_id: object, params: Mapping[str, object]) -> bytes:
    wrong = _line({"id": rpc_id, "result": {"token": "a second answer"}})
    return _right(rpc_id, params) + wrong + _line({"id": rpc_id, "error": {"code": 1, "message": "a third"}})


def _hold_the_first_answers(fake: FakeAppServer) -> None:
    fake.hold_answer(ECHO, _gate_of(fake), times=2)


async def _let_go_when_the_last_is_answered(fake: FakeAppServer) -> None:
    await fake.wait_for(ECHO, 4, timeout=30.0)
    _gate_of(fake).open()


M5 = [
    Scenario(
        fault="M5",
        point="answers under ids that are nobody's, before the right one",
        arrange=says_in_place(_after_wrong_ids),
        job=Job(calls=3),
    ),
    Scenario(fault="M5", point="each answer three times", arrange=says_in_place(_twice), job=Job(calls=3)),
    Scenario(
        fault="M5",
        point="a number of five thousand digits for an id",
        arrange=beside_answers(
            b'{"id":' + b"7" * 5_000 + b',"result":{}}\n{"id":-' + b"7" * 5_000 + b',"method":"x"}\n'
        ),
        job=Job(calls=3),
    ),
    Scenario(
        fault="M5",
        point="answers in the wrong order",
        arrange=_hold_the_first_answers,
        meanwhile=_let_go_when_the_last_is_answered,
        job=Job(calls=4),
    ),
    Scenario(
        fault="M5",
        point="answers of a thousand calls that were never made",
        arrange=beside_answers(
            b"".join(_line({"id": number + 5_000, "result": {"token": "?"}}) for number in range(1_000))
        ),
        job=Job(calls=3),
    ),
]


# -- M6: answers that are none ---------------------------------------------------------------------------------------

ODD_ANSWERS: Mapping[str, Answering] = {
    "a result and an error": lambda rpc_id, params: _line({"id": rpc_id, "result": params, "error": {"code": 1, "message": "x"}}),
    "neither a result nor an error": lambda rpc_id, _: _line({"id": rpc_id}),
    "an error of null and no result": lambda rpc_id, _: _line({"id": rpc_id, "error": None}),
    "an error that is text": lambda rpc_id, _: _line({"id": rpc_id, "error": "no"}),
    "an error that is a list": lambda rpc_id, _: _line({"id": rpc_id, "error": [1, 2]}),
    "an error of false": lambda rpc_id, _: _line({"id": rpc_id, "error": False}),
    "an error without anything": lambda rpc_id, _: _line({"id": rpc_id, "error": {}}),
    "an error whose code is text": lambda rpc_id, _: _line({"id": rpc_id, "error": {"code": "x", "message": 7}}),
    "an error whose code is huge": lambda rpc_id, _: _line({"id": rpc_id, "error": {"code": 10**30, "message": "x"}}),
    "further members": lambda rpc_id, params: _line({"jsonrpc": "2.0", "x": [], "id": rpc_id, "result": params, "y": {}}),
    "the id at the end": lambda rpc_id, params: _line({"result": params, "id": rpc_id}),
    "members twice": lambda rpc_id, params: (
        b'{"id":"nobody","id":%s,"result":{"token":"first"},"result":%s}\n'
        % (json.dumps(rpc_id).encode(), json.dumps(params).encode())
    ),
    "blanks within": lambda rpc_id, params: b"  " + json.dumps({"id": rpc_id, "result": params}, indent=1).replace("\n", " ").encode() + b" \t\n",
}  # fmt: skip

M6 = [
    Scenario(fault="M6", point=f"answers with {name}", arrange=says_in_place(make), job=Job(calls=2, bound=5.0))
    for name, make in ODD_ANSWERS.items()
]


# -- M7: JSON that some do not survive -------------------------------------------------------------------------------


def _with(value: bytes) -> Answering:
    """An answer that holds the right token, and beside it this."""
    return lambda rpc_id, params: (
        b'{"id":%s,"result":{"token":%s,"odd":%s}}\n'
        % (json.dumps(rpc_id).encode(), json.dumps(params.get("token")).encode(), value)
    )


DEEP = b"[" * 100_000 + b"]" * 100_000

EXTREMES = {
    "numbers that are none": b'{"method":"warning","params":{"message":NaN,"a":Infinity,"b":-Infinity}}\n',
    "nesting of a hundred thousand": b'{"method":"warning","params":' + DEEP + b"}\n" + DEEP + b"\n",
    "nesting that never closes": b'{"method":"warning","params":' + b'{"a":' * 100_000 + b"\n",
    "a number of ten thousand digits": b'{"method":"warning","params":{"message":' + b"9" * 10_000 + b"}}\n",
    "numbers beyond all bounds": b'{"method":"warning","params":{"a":1e999999,"b":-1e-999999,"c":0.'
    + b"1" * 5_000
    + b"}}\n",
    "fifty thousand keys": _line(
        {"method": "warning", "params": {f"key-{number}": number for number in range(50_000)}}
    ),
    "the same key fifty thousand times": b'{"method":"warning","params":{' + b'"a":1,' * 50_000 + b'"a":2}}\n',
}

M7 = [
    *(
        Scenario(
            fault="M7",
            point=f"{name}, in a turn and beside answers",
            scripts=(between(Bytes(junk)),),
            arrange=beside_answers(junk),
            job=Job(calls=2),
        )
        for name, junk in EXTREMES.items()
    ),
    *(
        Scenario(
            fault="M7",
            point=f"answers that hold {name}",
            arrange=says_in_place(_with(value)),
            job=Job(calls=2, bound=5.0),
        )
        for name, value in (
            ("no number", b"NaN"),
            ("a nesting of a hundred thousand", DEEP),
            ("half a value", b'{"a":'),
            ("a number of ten thousand digits", b"9" * 10_000),
            ("what is no UTF-8", b'"\xff"'),
            ("a lone surrogate", b'"\\ud800"'),
        )
    ),
    Scenario(
        fault="M7",
        point="a million keys",
        scripts=(between(Bytes(_line({"method": "warning", "params": dict.fromkeys(map(str, range(1_000_000)), 0)}))),),
        job=Job(bound=30.0),
        in_memory=False,
    ),
]


# -- M8: what this version does not know -----------------------------------------------------------------------------

NEWS = (
    Notify("future/thing", {"threadId": "$thread", "turnId": "$turn", "news": [1, 2]}),
    Notify("thread/status/changed", {"threadId": "$thread", "status": {"type": "dreaming", "about": "sheep"}}),
    Notify("item/started", {"threadId": "$thread", "turnId": "$turn", "item": {"type": "hologram", "id": "item-x"}}),
    Notify("item/completed", {"threadId": "$thread", "turnId": "$turn", "item": {"type": "hologram", "id": "item-x"}}),
    Notify("error", {"threadId": "$thread", "turnId": "$turn", "willRetry": True, "error": {"message": "x", "codexErrorInfo": "newKind"}}),
)  # fmt: skip

HOLES = (
    Notify("item/agentMessage/delta", {"threadId": "$thread", "turnId": "$turn", "itemId": "item-x"}),
    Notify("item/agentMessage/delta", {"threadId": "$thread", "turnId": "$turn", "itemId": "item-x", "delta": 7}),
    Notify("item/agentMessage/delta", {"threadId": "$thread", "turnId": "$turn", "itemId": 7, "delta": None}),
    Notify("item/started", {"threadId": "$thread", "turnId": "$turn"}),
    Notify("item/started", {"threadId": "$thread", "turnId": "$turn", "item": "text"}),
    Notify("item/completed", {"threadId": "$thread", "turnId": "$turn", "item": None}),
    Notify("item/completed", {"threadId": "$thread", "turnId": "$turn", "item": {"type": "agentMessage"}}),
    Notify("item/completed", {"threadId": "$thread", "turnId": "$turn", "item": {"type": "fileChange", "id": "x", "changes": 7}}),
    Notify("turn/plan/updated", {"threadId": "$thread", "turnId": "$turn", "plan": [{"step": 1, "status": {}}]}),
    Notify("turn/diff/updated", {"threadId": "$thread", "turnId": "$turn", "diff": {"a": 1}}),
    Notify("thread/tokenUsage/updated", {"threadId": "$thread", "turnId": "$turn", "tokenUsage": []}),
    Notify("thread/status/changed", {"threadId": "$thread", "status": None}),
    Notify("serverRequest/resolved", {"threadId": "$thread", "requestId": [7]}),
    Notify("turn/started", {"threadId": "$thread"}),
    Notify("turn/completed", {"threadId": "$thread", "turn": None}),
    Notify("turn/completed", {"threadId": "$thread", "turn": {"id": 7}}),
    Notify("error", {"threadId": "$thread", "turnId": "$turn", "error": "text", "willRetry": "perhaps"}),
)  # fmt: skip

M8 = [
    Scenario(fault="M8", point="messages that only a later version knows", scripts=(between(*NEWS),)),
    Scenario(fault="M8", point="messages in which something is missing", scripts=(between(*HOLES),)),
    *(
        Scenario(fault="M8", point=f"{name}", scripts=(between(*steps),), job=Job(accepts=accepts))
        for accepts in (False, True)
        for name, steps in {
            f"a question that only a later version knows, to who says {'yes' if accepts else 'nothing'}": [
                Ask("future/requestApproval", {"threadId": "$thread", "turnId": "$turn", "itemId": "item-f"}),
                Ask("future/thing", {}),
            ],
            f"a question in which all is missing, to who says {'yes' if accepts else 'nothing'}": [
                Ask("item/tool/requestUserInput", {}),
                Ask("item/permissions/requestApproval", {}),
                Ask("mcpServer/elicitation/request", {"threadId": 7}),
                Ask("item/tool/call", {"arguments": {}}),
            ],
        }.items()
    ),
]


# -- M9: what comes out of order, or from others ---------------------------------------------------------------------

STRANGER = {"threadId": "thread-of-a-stranger", "turnId": "turn-of-a-stranger", "itemId": "item-s"}
OTHER_TURN = {"threadId": "$thread", "turnId": "turn-of-a-stranger", "itemId": "item-s"}


def _talk(ids: Mapping[str, str]) -> Sequence[Step]:
    """All of a turn that nobody here began: what it says is not to be heard, and its end ends nothing."""
    item = {"type": "agentMessage", "id": ids["itemId"], "text": "not for you", "phase": None, "memoryCitation": None}
    turn: dict[str, object] = {"id": ids["turnId"], "status": "completed", "items": [], "error": None}
    return (
        Notify("turn/started", {"threadId": ids["threadId"], "turn": {**turn, "status": "inProgress"}}),
        Notify("item/started", {**ids, "item": {**item, "text": ""}}),
        Notify("item/agentMessage/delta", {**ids, "delta": "not for you"}),
        Notify("item/completed", {**ids, "item": item}),
        Notify("turn/completed", {"threadId": ids["threadId"], "turn": turn}),
    )


def _answer_after_the_turn(fake: FakeAppServer) -> None:
    fake.hold_answer("turn/start", _gate_of(fake))


async def _open_after_the_turn(fake: FakeAppServer) -> None:
    before = fake.lines_sent
    await fake.wait_for("turn/start", timeout=30.0)
    await fake.until(lambda: fake.lines_sent > before + 5)
    _gate_of(fake).open()


M9 = [
    Scenario(fault="M9", point="a whole turn of a thread that nobody opened", scripts=(between(*_talk(STRANGER)),)),
    Scenario(fault="M9", point="a whole turn of somebody else in the same thread", scripts=(between(*_talk(OTHER_TURN)),)),
    Scenario(
        fault="M9",
        point="the end of a turn that nobody began",
        scripts=(
            between(
                Notify("turn/completed", {"threadId": "$thread", "turn": {"id": "x", "status": "failed", "items": [], "error": {"message": "x"}}})
            ),
        ),
    ),
    Scenario(
        fault="M9",
        point="a turn whose messages come before the answer that tells its id",
        arrange=_answer_after_the_turn,
        meanwhile=_open_after_the_turn,
    ),
    Scenario(
        fault="M9",
        point="questions of strangers",
        scripts=(
            between(
                Ask(COMMAND, {**STRANGER, "command": "rm -rf /", "cwd": "/", "startedAtMs": 0}),
                Ask(COMMAND, {**OTHER_TURN, "itemId": "item-o", "command": "rm -rf /", "cwd": "/", "startedAtMs": 0}),
            ),
        ),
    ),
]  # fmt: skip


# -- M10: too many questions -----------------------------------------------------------------------------------------


def _two_halves(fake: FakeAppServer) -> None:
    """Orders that have the first turn wait in its middle."""
    half = len(WORDS) // 2
    fake.on_turn(Script(Say(WORDS[:half]), Hold(_gate_of(fake)), Say(WORDS[half:])))


def _ask_between(count: int, **options: str) -> Callable[[FakeAppServer], Awaitable[object]]:
    """Ask so much at once in the middle of the turn, and go on when all is answered."""

    async def meanwhile(fake: FakeAppServer) -> None:
        asked = await fake.wait_for("turn/start", timeout=30.0)
        ids = {"threadId": asked.params.get("threadId"), "turnId": "turn-x", "cwd": "/", "startedAtMs": 0, **options}
        for number in range(count):
            fake.play(Ask(COMMAND, {**ids, "itemId": f"flood-{number}", "command": f"true {number}"}))
        await fake.until(lambda: len(fake.answers) >= count, timeout=60.0)
        _gate_of(fake).open()

    return meanwhile


M10 = [
    *(
        Scenario(
            fault="M10",
            point=f"{count} questions at once, to who says {'yes' if accepts else 'nothing'}",
            arrange=_two_halves,
            meanwhile=_ask_between(count),
            job=Job(accepts=accepts, bound=60.0, growth=64 * MIB),
            in_memory=count < 2_000,
        )
        for count, accepts in ((1_000, False), (10_000, False), (10_000, True))
    ),
]


# -- M11: what is on stderr ------------------------------------------------------------------------------------------

NOISE = "\x1b[31mERROR\x1b[0m \u20ac \x1b]0;a title\x07 \r overwritten \x00 \x9b2J\n"

M11 = [
    Scenario(
        fault="M11",
        point="two megabytes between two words",
        scripts=(between(Stderr(NOISE * (2 * MIB // len(NOISE.encode())))),),
        job=Job(growth=32 * MIB),
    ),
    Scenario(
        fault="M11",
        point="a line without an end",
        scripts=(between(Stderr("x" * MIB), Stderr("x" * MIB)),),
        job=Job(growth=32 * MIB),
    ),
    Scenario(
        fault="M11",
        point="64 MiB of any bytes, beside the server",
        through=through_the_shell('(head -c 67108864 /dev/urandom >&2) & exec "$@"'),
        job=Job(growth=48 * MIB, bound=20.0),
        in_memory=False,
    ),
]

BYTES: tuple[Scenario, ...] = (*M1, *M2, *M3, *M4, *M5, *M6, *M7, *M8, *M9, *M10, *M11)
