"""When an app server that lives is ended all the same: it no longer answers, or it holds too much memory.

The rule is a function: what was seen and what is remembered go in, what to do and what to remember come out. The hands
look at regular times, a :func:`pace` apart.

The one idea: only time in which we could have heard something counts. From one look to the next that is a pace at most;
whatever more the clock says, it was our loop that stood still, or the machine that slept. So no suspension, no debugger
and no busy program makes a healthy server look dead.
"""

from __future__ import annotations

import math
from typing import TypeAlias

from msgspec import Struct

from codex_runtime.errors import ConfigError

__all__ = ["Action", "Kill", "Memory", "Nothing", "Probe", "Recycle", "Sight", "WatchdogPolicy", "consider", "pace"]

SILENT = "killed: it stopped answering"
TOO_BIG = "recycled: its memory was above the limit"
# A probe's time is made of this many looks, so that one that comes late costs little of it.
LOOKS = 5


class WatchdogPolicy(Struct, frozen=True, kw_only=True):
    """When an app server is taken for dead, and when for too big.

    While turns run, a server that said nothing for ``probe_every`` seconds is asked for a sign of life. If it says nothing
    for ``probe_deadline`` seconds more, ``misses`` times in a row, it is killed, and the restart rule decides what
    follows. Anything that it says counts, a refusal too; time in which our own event loop stood still does not.

    ``rss_limit``: bytes of resident memory; a server above it is ended in good order and followed by the next as soon as
    no turn runs and no request is in flight. Sessions find their threads again, and no restart budget is used; what the
    agent left running in the background ends. ``None`` is no limit. The real server begins with some 140 MB.
    """

    probe_every: float = 10.0
    probe_deadline: float = 5.0
    misses: int = 3
    rss_limit: int | None = None

    def __post_init__(self) -> None:
        for name in ("probe_every", "probe_deadline"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise ConfigError(f"watchdog.{name}", "must be a finite number of seconds above 0")
        if self.misses < 1:
            raise ConfigError("watchdog.misses", "must be 1 or more")
        if self.rss_limit is not None and self.rss_limit < 1:
            raise ConfigError("watchdog.rss_limit", "must be 1 byte or more, or None")


class Sight(Struct, frozen=True, kw_only=True):
    """What the hands see of one app server at one look.

    ``heard``: bytes that it wrote so far. ``unsent``: bytes that wait for it to read them. ``is_held``: we do not listen
    just now. ``has_turns``: somebody follows a turn. ``is_idle``: no turn, no request, no server request: nobody would
    miss it. ``resident``: its memory in bytes, as last told.
    """

    heard: int
    unsent: int = 0
    is_held: bool = False
    has_turns: bool = True
    is_idle: bool = False
    resident: int | None = None


class Memory(Struct, frozen=True, kw_only=True):
    """What the rule has to remember of one app server from one look to the next.

    ``at``: when the last look was. ``silence``: seconds that count since it was last heard. ``asked``: probes since then;
    ``waited``: seconds that count since the last of them. ``probed_at``: when there last was a probe, for whatever reason.
    """

    at: float
    heard: int = 0
    unsent: int = 0
    silence: float = 0.0
    asked: int = 0
    waited: float = 0.0
    probed_at: float = -math.inf


class Nothing(Struct, frozen=True):
    """All is well, or not yet to be judged."""


class Probe(Struct, frozen=True):
    """Ask it for a sign of life, and for its memory. A probe that is still open is given up."""


class Recycle(Struct, frozen=True):
    """End it in good order and start the next one; ``reason`` is a phrase for a person."""

    reason: str


class Kill(Struct, frozen=True):
    """End it by force; ``reason`` is a phrase for a person."""

    reason: str


Action: TypeAlias = Nothing | Probe | Recycle | Kill


def pace(policy: WatchdogPolicy) -> float:
    """Seconds from one look to the next, and the most that one look may count for."""
    return min(policy.probe_every, policy.probe_deadline) / LOOKS


def consider(policy: WatchdogPolicy, memory: Memory, sight: Sight, *, now: float) -> tuple[Action, Memory]:
    """Say what to do about an app server, and what to remember of it. ``now`` is a monotonic time."""
    is_alive = sight.heard != memory.heard or sight.unsent < memory.unsent
    if is_alive or not sight.has_turns:
        silence, asked, waited = 0.0, 0, 0.0
    else:
        step = 0.0 if sight.is_held else min(max(0.0, now - memory.at), pace(policy))
        silence, asked, waited = memory.silence + step, memory.asked, memory.waited + step
    action = _verdict(policy, sight, silence, asked, waited, since_probe=now - memory.probed_at)
    probed_at = memory.probed_at
    if isinstance(action, Probe):
        probed_at = now
        if _is_due(silence, policy.probe_every):
            asked, waited = asked + 1, 0.0
    return action, Memory(
        at=now,
        heard=sight.heard,
        unsent=sight.unsent,
        silence=silence,
        asked=asked,
        waited=waited,
        probed_at=probed_at,
    )


def _verdict(
    policy: WatchdogPolicy, sight: Sight, silence: float, asked: int, waited: float, *, since_probe: float
) -> Action:
    if asked and _is_due(waited, policy.probe_deadline):
        return Kill(SILENT) if asked >= policy.misses else Probe()
    if not asked and _is_due(silence, policy.probe_every):
        return Probe()
    if policy.rss_limit is None or asked:
        return Nothing()
    if sight.is_idle and sight.resident is not None and sight.resident > policy.rss_limit:
        return Recycle(TOO_BIG)
    return Probe() if _is_due(since_probe, policy.probe_every) else Nothing()


def _is_due(seconds: float, bound: float) -> bool:
    # Steps of a fifth do not add up to the whole exactly; a look later would be a pace too late.
    return seconds >= bound * (1 - 1e-9)
