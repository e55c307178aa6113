"""One fault at one point, as a value: what the server does, and what the client has to do meanwhile.

It starts nothing. The tables of scenarios are made of these.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from codex_runtime.testing import Say, Script
from verification.faults.job import Job

if TYPE_CHECKING:
    from codex_runtime.testing import FakeAppServer

__all__ = ["WORDS", "KillsClient", "Scenario", "say", "texts_of"]

WORDS = "one two three four five six seven eight nine ten "
"""What the agent says where it does not matter: ten pieces."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KillsClient:
    """The client's own process gets this signal when ``when`` says so of the server's record (``times`` signals in a row)."""

    signal: int
    when: Callable[[FakeAppServer], bool]
    times: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """``fault`` is an id of the catalogue, ``point`` says in a few words what happens when; the two together are unique.

    ``scripts`` are played by the turns of the job, one each; then the server says :data:`WORDS`. ``arrange`` gives the fake its
    further orders, before anything runs; ``meanwhile`` gives it those that depend on what has happened. ``through`` makes the
    server's command line into another: something around it, or something else. ``goes_on``: after it the client can run
    another turn; false where nobody could. ``first``: how the first turn ends for our own reader, or how the start fails.
    ``unpromised``: which invariants other clients may break here, since they never promised what it takes, and why.
    """

    fault: str
    point: str
    scripts: tuple[Script | str, ...] = ()
    arrange: Callable[[FakeAppServer], object] = field(default=lambda _: None)
    job: Job = field(default_factory=Job)
    meanwhile: Callable[[FakeAppServer], Awaitable[object]] | None = None
    through: Callable[[tuple[str, ...]], tuple[str, ...]] | None = None
    kills: KillsClient | None = None
    budget: int | None = 6
    goes_on: bool = True
    first: str | None = None
    unpromised: Mapping[str, str] = field(default_factory=dict)
    in_memory: bool = True
    """Whether a server without a process can play it."""

    @property
    def name(self) -> str:
        """How it is called in tables and tests."""
        return f"{self.fault}: {self.point}"

    @property
    def texts(self) -> Mapping[str, str]:
        """Prompt → all that the server says in its turn, if it comes to that."""
        scripts = [*self.scripts, *[say()] * len(self.job.prompts)]
        return {prompt: texts_of(script) for prompt, script in zip(self.job.prompts, scripts, strict=False)}


def say(*after: object, text: str = WORDS) -> Script:
    """A turn that says ten words, and then whatever else."""
    return Script(Say(text), *after)  # type: ignore[arg-type]


def texts_of(script: Script | str) -> str:
    """All that the agent says in a script."""
    return "".join(step.text for step in Script.of(script).steps if isinstance(step, Say))
