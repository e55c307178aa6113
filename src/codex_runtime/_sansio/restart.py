"""When to start the app server again.

The rule is a function: an exit and the history of this runtime in, :class:`Restart` or :class:`GiveUp` out. Time and
chance are arguments, so a table can test it.

Two counters bound the starts. A *budget* limits how many restarts fall into one sliding *window*; a generation that
stayed up for *stable* seconds resets the back-off, but not the window, so that flapping just above the stable time
still ends.
"""

from __future__ import annotations

import math
import signal as signals
from typing import Literal

from msgspec import Struct

from codex_runtime._sansio.discreet import Discreet
from codex_runtime.errors import ConfigError

__all__ = ["Exit", "GiveUp", "Restart", "RestartHistory", "RestartPolicy", "decide"]


class Exit(Discreet, frozen=True):
    """How an app server ended.

    ``code`` is its exit status, ``signal`` the number of the signal that ended it; both are ``None`` when nobody could
    tell (another part of the program reaped the child, or the link was a socket). ``stderr_tail`` holds the last bytes
    that it wrote to stderr. ``reason`` is a phrase of ours: for an end that has neither, or that the watchdog brought about.
    """

    code: int | None = None
    signal: int | None = None
    stderr_tail: str = ""
    reason: str = ""

    def _shown(self) -> dict[str, object]:
        return {"stderr_tail": f"<{len(self.stderr_tail)} characters>"}  # anything may stand in its last words

    @property
    def clean(self) -> bool:
        """True for exit status 0."""
        return self.code == 0

    def describe(self) -> str:
        """One phrase for a person: ``exit status 3``, ``killed by SIGKILL``, ``the connection broke``."""
        if self.reason:
            return self.reason
        if self.signal is not None:
            try:
                name = signals.Signals(self.signal).name
            except ValueError:
                name = f"signal {self.signal}"
            return f"killed by {name}"
        if self.code is not None:
            return f"exit status {self.code}"
        return "exit status unknown"


class RestartPolicy(Struct, frozen=True, kw_only=True):
    """When and how often a runtime starts its app server again.

    ``when``: ``"never"``, ``"on_failure"`` or ``"always"``. A failure is any end but exit status 0 while nobody waited for
    anything: the real server leaves with 0 also in the middle of a turn, if somebody sends it SIGTERM. At most ``budget``
    restarts within ``window`` seconds. The n-th delay in a row is ``backoff * 2**n``, at most ``max_backoff`` seconds,
    changed by up to ``jitter`` (a share, 0.2 = ±20 %) either way. ``stable`` seconds of life reset the delay.
    """

    when: Literal["never", "on_failure", "always"] = "on_failure"
    budget: int = 5
    window: float = 180.0
    backoff: float = 0.25
    max_backoff: float = 30.0
    jitter: float = 0.2
    stable: float = 10.0

    def __post_init__(self) -> None:
        if self.when not in ("never", "on_failure", "always"):
            raise ConfigError("restart.when", f"{self.when!r} is not one of 'never', 'on_failure', 'always'")
        if self.budget < 0:
            raise ConfigError("restart.budget", "must be 0 or more")
        for name in ("window", "backoff", "max_backoff", "stable"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise ConfigError(f"restart.{name}", "must be a finite number of seconds, 0 or more")
        if self.window <= 0:
            raise ConfigError("restart.window", "must be more than 0 seconds")
        if self.max_backoff < self.backoff:
            raise ConfigError("restart.max_backoff", "must not be smaller than restart.backoff")
        if not 0 <= self.jitter < 1:
            raise ConfigError("restart.jitter", "must be at least 0 and below 1")


class RestartHistory(Struct, frozen=True):
    """What the rule has to remember: when the restarts in the window are or were, and failures in a row."""

    restarts: tuple[float, ...] = ()
    streak: int = 0


class Restart(Struct, frozen=True):
    """Start again after ``delay`` seconds, and remember ``history``."""

    delay: float
    history: RestartHistory


class GiveUp(Struct, frozen=True):
    """Do not start again; ``reason`` is a phrase for the error that every waiter gets."""

    reason: str


def decide(
    policy: RestartPolicy,
    history: RestartHistory,
    *,
    clean: bool,
    uptime: float,
    now: float,
    chance: float,
) -> Restart | GiveUp:
    """Say whether the app server that just ended is started again.

    ``clean``: it ended with status 0, and nobody waited for anything. ``uptime``: seconds that it was ready, 0 if the
    greeting failed. ``now`` is a monotonic time, ``chance`` a number in [0, 1) that places the delay within the jitter.
    """
    if policy.when == "never":
        return GiveUp("restarts are off")
    if policy.when == "on_failure" and clean:
        return GiveUp("it ended by itself with status 0")
    recent = tuple(at for at in history.restarts if now - at < policy.window)
    if len(recent) >= policy.budget:
        return GiveUp(f"{len(recent)} restarts within {policy.window:g} s are used up")
    streak = 0 if uptime >= policy.stable else history.streak
    # 2.0 ** 1024 overflows; no sane delay needs more than 2 ** 62.
    base = min(policy.backoff * 2.0 ** min(streak, 62), policy.max_backoff)
    delay = base * (1 + policy.jitter * (2 * chance - 1))
    # A long pause followed by a short one brings two starts together: what counts is when they are, not when it is decided.
    return Restart(delay, RestartHistory((*recent, now + delay), streak + 1))
