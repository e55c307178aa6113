"""Where the program of a soak finds its app server: one that follows scripts, or the real one with a scripted model.

Both live outside of the program, so that what they remember does not count as its own. The one idea: the scripted one keeps a
record of everything that it read and wrote, and that judges the program, not the program itself.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, Protocol, Self

from codex_runtime.testing import (
    Ask,
    AskUser,
    CloseStdout,
    Command,
    Die,
    Exec,
    FailTurn,
    FakeAppServer,
    FileChange,
    Garbage,
    HalfLine,
    HugeLine,
    IgnoreTerm,
    MockModel,
    Pause,
    Question,
    Reply,
    RequestPermissions,
    Retrying,
    Say,
    Script,
    Stall,
    Stderr,
    Step,
    StopReading,
    Think,
    Tokens,
    write_codex_home,
)
from verification.soak.faults import OF_THE_SERVER, Fault, Kind
from verification.soak.work import checked

if TYPE_CHECKING:
    from codex_runtime.testing import ModelRequest
    from verification.soak.program import Report

__all__ = ["Place", "Real", "Scripted"]

APPROVAL = "item/commandExecution/requestApproval"
AHEAD = 60  # scripts that are lined up
WORDS = ("the", "quick", "brown", "fox", "jumps", "over", "a", "lazy", "dog", "while", "nobody", "looks", "犬", "naïve")


class Place(Protocol):
    """An app server, or many of them one after the other. ``without`` are the faults that it cannot have."""

    without: frozenset[Kind]

    async def __aenter__(self) -> Self:
        """Make ready."""
        ...

    async def __aexit__(self, *_: object) -> None:
        """Put away."""
        ...

    def settings(self) -> dict[str, Any]:
        """How the program is told of it."""
        ...

    def feed(self, turns: int) -> None:
        """Have something to say when so many turns are over."""
        ...

    def inflict(self, fault: Fault) -> bool:
        """Have a fault that is the server's own. False: there is no server just now."""
        ...

    def judge(self, report: Report) -> list[str]:
        """Name what the record says against the program."""
        ...


class Scripted:
    """The fake app server, as a real process."""

    without: frozenset[Kind] = frozenset()

    def __init__(self, seed: int) -> None:
        self._fake = FakeAppServer(default=checked("nothing to do"), process=True)
        self._chance = Random(f"scripts {seed}")
        self._given = 0

    async def __aenter__(self) -> Self:
        """Wait for processes."""
        await self._fake.__aenter__()
        self.feed(0)
        return self

    async def __aexit__(self, *_: object) -> None:
        """End what is left."""
        await self._fake.aclose()

    def settings(self) -> dict[str, Any]:
        """Its command line."""
        return {"command": self._fake.argv}

    def feed(self, turns: int) -> None:
        """Line up scripts."""
        while self._given < turns + AHEAD:
            self._fake.on_turn(script(self._chance, self._given))
            self._given += 1

    def inflict(self, fault: Fault) -> bool:
        """Play the steps of a fault."""
        try:
            for steps in _steps(fault):
                self._fake.play(*steps)
        except RuntimeError:  # no generation is alive
            return False
        return True

    def judge(self, report: Report) -> list[str]:
        """Compare what was said with what the program says that it said."""
        fake, wrong = self._fake, []
        answered: Counter[tuple[int, object]] = Counter()
        yes, yes_turns = set(report.yes), set(report.yes_turns)
        for answer in fake.answers:
            answered[answer.generation, answer.rpc_id] += 1
            if answer.to is None:
                wrong.append(f"I2: an answer to nothing in generation {answer.generation}: {answer.rpc_id}")
            elif isinstance(answer.decision, dict) or answer.decision in ("accept", "acceptForSession"):
                item, turn = answer.to.params.get("itemId"), answer.to.params.get("turnId")
                if item not in yes and turn not in yes_turns:
                    wrong.append(f"I6: nobody said yes to {item} of {turn}")
        wrong += [f"I7: request {rpc_id} of {g} got {n} answers" for (g, rpc_id), n in answered.items() if n > 1]
        asked = Counter((each.generation, each.rpc_id) for each in fake.received if each.method and each.rpc_id)
        wrong += [f"I1: request {rpc_id} of {g} was written {n} times" for (g, rpc_id), n in asked.items() if n > 1]
        unreadable = sum(each.message is None for each in fake.received)
        if unreadable:
            wrong.append(f"I2: {unreadable} lines that the server could not read")
        if fake.most_alive > 1:
            wrong.append(f"I11: {fake.most_alive} servers lived at the same time")
        told = int(str(report.metrics["messages"]))
        if told > fake.lines_sent + fake.launches:  # half a line at the end of a server counts as well
            wrong.append(f"I19: {told} messages are counted, and {fake.lines_sent} were sent")
        return wrong


class Real:
    """The real app server, and a model that answers what a script says."""

    without = OF_THE_SERVER

    def __init__(self, seed: int, folder: Path) -> None:
        import codex_cli_bin

        self._binary = codex_cli_bin.bundled_codex_path()
        self._home = folder / "codex-home"
        self._chance = Random(f"model {seed}")
        self._model = MockModel(default=self._reply)

    async def __aenter__(self) -> Self:
        """Serve the model."""
        await self._model.__aenter__()
        write_codex_home(self._home, self._model.base_url)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Serve it no more."""
        await self._model.aclose()

    def settings(self) -> dict[str, Any]:
        """The binary and its home."""
        return {"binary": str(self._binary), "home": str(self._home)}

    def feed(self, turns: int) -> None:
        """Nothing is lined up."""

    def inflict(self, fault: Fault) -> bool:  # noqa: ARG002  it cannot be told
        """It has none of its own."""
        return False

    def judge(self, report: Report) -> list[str]:  # noqa: ARG002  it keeps no record
        """It keeps no record."""
        return []

    def _reply(self, _: ModelRequest) -> Reply | str:
        text = checked(_words(self._chance, self._chance.choice((5, 100, 400))))
        if self._chance.random() < 0.2:
            return Reply(Exec(f"echo {self._chance.random()}"))
        return Reply(Say(text, pace=self._chance.choice((0.0, 0.0, 0.002))))


def script(chance: Random, number: int) -> Script:
    """Return what happens in one turn."""
    last = Say(checked(_words(chance, 1500)), chunks=chance.choice((1, 40, 1000, 2000, 4000, 6000)))
    steps: tuple[Step, ...]
    match chance.randrange(16):
        case 0 | 1 | 2 | 3 | 4:
            steps = (last,)
        case 5:
            steps = (Think("It is asked for.", raw=_words(chance, 60)), last, Tokens(input=900, output=20))
        case 6:
            output = "".join(f"line {n}: {_words(chance, 6)}\n" for n in range(1500))
            steps = (Command("make", output=output, chunks=output.splitlines(keepends=True)), last)
        case 7 | 8 | 9:
            steps = (Command(f"echo {number}", output="done\n", approval=True), Pause(chance.uniform(0, 0.2)), last)
        case 10:
            steps = (FileChange(f"notes-{number}.txt", "one line\n", approval=True), last)
        case 11:
            steps = (AskUser(Question("colour", "Which colour?", options=("Red", "Blue"))), last)
        case 12:
            steps = (RequestPermissions(network=True, reason="to fetch it"), last)
        case 13:
            steps = (Retrying(), Pause(0.05), last)
        case 14:
            steps = (Say("half of it"), FailTurn("You have hit your usage limit.", info="usageLimitExceeded"))
        case _:
            steps = (last, Pause(chance.uniform(0.0, 0.5)), last) if chance.random() < 0.7 else (last, Stall())
    return Script(*steps)


def _words(chance: Random, count: int) -> str:
    return " ".join(chance.choices(WORDS, k=count))


def _steps(fault: Fault) -> list[tuple[Step, ...]]:
    """Return what is played for a fault of the server's own."""
    match fault.kind:
        case "exit":
            return [(Die(code=3),)]
        case "close stdout":
            return [(CloseStdout(),)]
        case "garbage":
            return [(Garbage(),)]
        case "huge line":
            return [(HugeLine(2_000_000 if fault.number % 2 else 4_000_000),)]
        case "half a line and death":
            return [(HalfLine(), Die())]
        case "hang":
            return [(StopReading(),)]
        case "flood of approvals":
            ids = [f"flood-{fault.number}-{n}" for n in range(300)]
            told = {"threadId": "no thread", "turnId": "no turn", "startedAtMs": 1, "command": "true", "cwd": "/"}
            return [(Ask(APPROVAL, {**told, "itemId": item}),) for item in ids]
        case "flood of stderr":
            return [(Stderr(f"error: {'x' * 990}\n" * 1000),)]
        case "ignore the end":
            return [(IgnoreTerm(), Pause(0.2), Die())]
        case _:
            raise ValueError(f"{fault.kind} is not the server's own")
