"""What a fake app server saw and did, for a test to judge the client by.

Nothing here acts on anything. The one idea: every entry names its generation, so a test can check that no answer crossed
from one app server to the next.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeAlias, final

__all__ = ["Answer", "Asked", "History", "JsonObject", "Received"]

JsonObject: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Received:
    """One line that the client wrote. ``message`` is ``None`` if it was no JSON object, and ``line`` what it was."""

    generation: int
    line: bytes
    message: JsonObject | None

    @property
    def method(self) -> str | None:
        """The method of a request or notification; ``None`` for an answer."""
        return self.message.get("method") if self.message is not None else None

    @property
    def params(self) -> JsonObject:
        """Its parameters; empty if there are none."""
        params = self.message.get("params") if self.message is not None else None
        return params if isinstance(params, dict) else {}

    @property
    def rpc_id(self) -> int | str | None:
        """Its id; ``None`` for a notification."""
        return self.message.get("id") if self.message is not None else None


@dataclass(frozen=True, slots=True)
class Asked:
    """One request that the server made of the client."""

    generation: int
    rpc_id: int
    method: str
    params: JsonObject


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer of the client to a request of the server.

    ``to`` is that request, or ``None`` if this generation never made it. ``counted`` is false for an answer that came
    for nothing: the request was answered or withdrawn before, or never made.
    """

    generation: int
    rpc_id: int | str | None
    to: Asked | None
    result: Any
    error: JsonObject | None
    counted: bool

    @property
    def method(self) -> str | None:
        """What was asked."""
        return self.to.method if self.to is not None else None

    @property
    def decision(self) -> object:
        """The ``decision`` of an approval's answer; ``None`` in any other."""
        return self.result.get("decision") if isinstance(self.result, dict) else None


@final
@dataclass(slots=True)
class History:
    """Everything so far, over all generations, in order."""

    received: list[Received] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    lines_sent: int = 0
    launches: int = 0
    alive: set[int] = field(default_factory=set)
    most_alive: int = 0

    def born(self) -> int:
        """Begin a generation and return its number, from 0."""
        generation = self.launches
        self.launches += 1
        self.alive.add(generation)
        self.most_alive = max(self.most_alive, len(self.alive))
        return generation
