"""What a test told the fake app server to do: which script is next, and what goes wrong when.

Nothing is sent here. The one idea: orders belong to the fake, not to one of its processes, so what was ordered before a
crash still holds after it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, final

from codex_runtime.testing._fake_log import JsonObject
from codex_runtime.testing._fake_script import Die, Script
from codex_runtime.testing._gate import Gate

__all__ = ["Death", "Handler", "Moment", "Orders", "Refusal", "ReplyOrder"]

Moment: TypeAlias = Literal["before", "during", "after"]


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error instead of a result.

    Example: ``Refusal(-32600, "thread not found: x")``
    """

    code: int
    message: str
    data: object = None


Handler: TypeAlias = Callable[[JsonObject], Mapping[str, object] | Refusal]


@dataclass(slots=True)
class Death:
    """At this message, at this moment, the process ends that way; ``times`` is how often yet."""

    method: str
    moment: Moment
    die: Die
    times: int


@dataclass(slots=True)
class ReplyOrder:
    """What happens to the answers to a method (``None``: to any); ``times`` is how often yet, ``None`` for ever."""

    method: str | None
    how: Literal["overload", "swallow", "drop", "hold"]
    times: int | None
    gate: Gate | None = None


@final
@dataclass(slots=True)
class Orders:
    """All standing orders."""

    default: Script
    scripts: deque[Script] = field(default_factory=deque)
    rules: list[tuple[str, deque[Script]]] = field(default_factory=list)
    handlers: dict[str, Handler] = field(default_factory=dict)
    replies: list[ReplyOrder] = field(default_factory=list)
    deaths: list[Death] = field(default_factory=list)

    def script_for(self, text: str) -> Script:
        """The script of the turn that begins with this text of the user. Rules come before the common queue."""
        for match, scripts in self.rules:
            if scripts and match in text:
                return scripts.popleft()
        return self.scripts.popleft() if self.scripts else self.default

    def reply_order(self, method: str) -> ReplyOrder | None:
        """What to do with the answer to this request; counts as one use of the order."""
        for order in self.replies:
            if order.method in (None, method) and order.times != 0:
                if order.times is not None:
                    order.times -= 1
                return order
        return None

    def death(self, method: str, moment: Moment) -> Die | None:
        """How to die here, if here; counts as one use of the order."""
        for death in self.deaths:
            if death.method == method and death.moment == moment and death.times:
                death.times -= 1
                return death.die
        return None
