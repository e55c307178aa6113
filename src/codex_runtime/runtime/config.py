"""Settings of a runtime: frozen, and checked before anything is started."""

from __future__ import annotations

import math
import os
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TypeAlias

from msgspec import Struct, field

from codex_runtime._io.bearer import Token, check_access
from codex_runtime._io.clock import Clock
from codex_runtime._io.fanout import Gap, Overflow
from codex_runtime._io.process import Graces
from codex_runtime._io.transport import Launcher
from codex_runtime._sansio.decisions import Decision
from codex_runtime._sansio.discreet import HIDDEN, Discreet, masked
from codex_runtime._sansio.framing import DEFAULT_LINE_LIMIT
from codex_runtime._sansio.permissions import check_setting
from codex_runtime._sansio.projection import StateLimits
from codex_runtime._sansio.restart import Exit, RestartPolicy
from codex_runtime._sansio.server_requests import DEADLINE_ACTIONS, KNOWN, DeadlineAction
from codex_runtime._sansio.watchdog import WatchdogPolicy
from codex_runtime.errors import ConfigError, RuntimeDeadError
from codex_runtime.runtime._ticket import Ticket
from codex_runtime.runtime.metrics import SinkMetrics, StateStoreMetrics
from codex_runtime.runtime.sinks import EventSink
from codex_runtime.runtime.state_store import StateStore

__all__ = ["DeadlineAction", "Gap", "Overflow", "Restarted", "RuntimeConfig", "ServerRequestHandler"]

ServerRequestHandler: TypeAlias = Callable[[Ticket], Awaitable[None] | None]


class Restarted(Struct, frozen=True):
    """Told to ``on_restart`` when a new app server is ready: its number, and how the one before it ended."""

    generation: int
    exit: Exit


class RuntimeConfig(Discreet, frozen=True, kw_only=True):
    """How a runtime starts, supervises and talks to its app server. Every wait in it is in seconds.

    What is run:

    - ``binary``: the codex binary; ``None`` looks at ``CODEX_BINARY``, the wheel and PATH. ``command`` replaces the whole
      command line, ``launcher`` the whole process (a fake, a replay).
    - ``codex_home``: sets ``CODEX_HOME``; must exist. ``env``: laid over what is inherited, ``None`` removes a name.
      ``cwd``: the server's own folder, not the one that sessions work in. ``settings``: ``-c key=value`` overrides.
    - ``inherit_env``: what the server gets of our own environment beside what every program needs (PATH, HOME, the language,
      TMPDIR, ``CODEX_*``, ...), and with it every command that the agent runs: names, or how they begin, as in ``"AWS_*"``.
      ``("*",)`` is all of it, also its passwords. A proxy and a provider's key have to be named.

    Or what is connected to: ``address`` of a server that listens already, ``ws://HOST:PORT`` or ``unix:///PATH``, in place of
    all of the above; it needs the extra ``ws``. ``token`` is text, a :class:`TokenFile` or a :class:`SignedToken`; away
    from this machine there must be one, or ``allow_unauthenticated``. A connection that breaks is made again by the rule
    in ``restart``; the server and its turns outlive it, and us.

    How it is greeted: ``client_name``, ``client_title``, ``client_version``, ``experimental_api`` (without it the server
    refuses its experimental methods), ``opt_out`` (names of notifications that are not wanted), ``request_attestation`` (the
    server then asks for attestations: see ``Ticket.give_attestation``).

    Bounds: ``start_deadline`` for launch and greeting, and once more for sessions to find their threads again;
    ``request_deadline`` for each request that does not bring its own, ``max_in_flight`` requests at a time (the real
    server loses requests above some 130) and ``max_waiting`` in line behind them, ``overload_retries`` for requests refused as overload, ``line_limit`` bytes
    for one inbound line, ``block_patience`` for how long a blocking subscriber may hold up the pipe.

    Server requests: ``on_server_request`` settles those that no session takes; without it, and with nobody iterating
    ``Runtime.server_requests()``, they are declined at once. It is a coroutine function, which must have answered when it
    returns, or a plain function, called on the loop, which may also keep the ticket for later; or a mapping from method to
    such functions, and then other methods are left to whoever iterates. ``server_request_deadline`` bounds each answer, after
    which ``server_request_deadline_action`` is done: "decline", "cancel" (which also ends the turn) or "refuse" (an error).
    ``server_request_deadlines`` and ``server_request_deadline_actions`` set both by method; ``max_open_server_requests``
    bounds how many may wait. ``on_decision`` is told who settled each request, how and why, as a :class:`Decision`; it is
    called on the loop and must be quick. :class:`AuditLog` is one that keeps them in a file.

    What is asked for: ``allow_full_access`` opens the gate before every request that runs or changes something outside of
    a sandbox. Without, each such request needs that word of its own, at the desk and below it.

    State: ``state=False`` keeps none, which makes events a little cheaper. ``state_limits`` bounds it. ``state_store`` keeps
    it beyond the program: it is saved at most every ``state_store_interval`` seconds, when a turn ends, and, bounded by
    ``sink_grace``, when the runtime is closed; the next runtime begins with it. ``on_state_trouble`` is told when what is
    there cannot be read, when saves begin to fail, and when the last state could not be saved.

    Sinks: ``sinks`` get every message in both directions; ``sink_grace`` bounds how long they may drain when the runtime is
    closed; ``on_sink_trouble`` is told when one is set aside and when one had losses at its end.

    Life: ``restart``, ``graces``; ``watchdog`` finds a server that lives and does not answer, ``None`` is none;
    ``on_restart`` and ``on_dead`` are plain functions, called on the loop.
    """

    binary: str | os.PathLike[str] | None = None
    command: tuple[str, ...] | None = None
    launcher: Launcher | None = None
    codex_home: str | os.PathLike[str] | None = None
    env: Mapping[str, str | None] = field(default_factory=dict)
    inherit_env: tuple[str, ...] = ()
    cwd: str | os.PathLike[str] | None = None
    settings: Mapping[str, str] = field(default_factory=dict)
    address: str | None = None
    token: Token | None = None
    allow_unauthenticated: bool = False

    client_name: str = "codex_runtime"
    client_title: str = "codex-runtime"
    client_version: str = "0.1.0"
    experimental_api: bool = True
    opt_out: tuple[str, ...] = ()
    request_attestation: bool = False

    start_deadline: float = 30.0
    request_deadline: float = 30.0
    max_in_flight: int = 64
    max_waiting: int = 16_384
    overload_retries: int = 5
    line_limit: int = DEFAULT_LINE_LIMIT
    allow_full_access: bool = False
    stderr_tail: int = 16 * 1024
    block_patience: float = 5.0

    on_server_request: ServerRequestHandler | Mapping[str, ServerRequestHandler] | None = None
    server_request_deadline: float = 60.0
    server_request_deadlines: Mapping[str, float] = field(default_factory=dict)
    server_request_deadline_action: DeadlineAction = "decline"
    server_request_deadline_actions: Mapping[str, DeadlineAction] = field(default_factory=dict)
    max_open_server_requests: int = 256
    on_decision: Callable[[Decision], object] | None = None

    state: bool = True
    state_limits: StateLimits = StateLimits()
    state_store: StateStore | None = None
    state_store_interval: float = 1.0
    on_state_trouble: Callable[[StateStoreMetrics], object] | None = None

    sinks: tuple[EventSink, ...] = ()
    sink_grace: float = 5.0
    on_sink_trouble: Callable[[SinkMetrics], object] | None = None

    restart: RestartPolicy = RestartPolicy()
    graces: Graces = Graces()
    watchdog: WatchdogPolicy | None = WatchdogPolicy()
    on_restart: Callable[[Restarted], object] | None = None
    on_dead: Callable[[RuntimeDeadError], object] | None = None
    clock: Clock | None = None

    def __post_init__(self) -> None:
        self._check_command()
        self._check_address()
        self._check_bounds()
        self._check_server_requests()
        for name in ("client_name", "client_version"):
            if not getattr(self, name) or not getattr(self, name).isascii() or not getattr(self, name).isprintable():
                raise ConfigError(name, "must be printable ASCII text; the server puts it into an HTTP header")
        if not _are_texts([text for pair in self.env.items() for text in pair if text is not None]):
            raise ConfigError("env", "must have text as names, and text or None as values")
        if not _are_texts(self.inherit_env):
            raise ConfigError("inherit_env", 'must be a tuple of names, or ("*",) for all of them')
        for key, value in self.env.items():
            if not key or "=" in key or "\0" in key or (value is not None and "\0" in value):
                raise ConfigError("env", f"{key!r} is not a usable environment variable")
        for key, value in {} if self.allow_full_access else self.settings.items():
            check_setting(key, value)
        for name in ("codex_home", "cwd"):
            _folder(name, getattr(self, name))

    def _check_command(self) -> None:
        if sum(value is not None for value in (self.binary, self.command, self.launcher, self.address)) > 1:
            raise ConfigError("binary", "give only one of binary, command, launcher and address")
        if self.command is not None and not (self.command and _are_texts(self.command)):
            raise ConfigError("command", "must be a non-empty tuple of strings")
        if not _are_texts(self.opt_out):
            raise ConfigError("opt_out", "must be a tuple of method names")

    def _check_address(self) -> None:
        if self.address is not None:
            check_access(self.address, self.token, allow_unauthenticated=self.allow_unauthenticated)
            for name in ("codex_home", "env", "inherit_env", "cwd", "settings"):
                if getattr(self, name):
                    raise ConfigError(name, "cannot be set for a server that already runs")
            if self.watchdog is not None and self.watchdog.rss_limit is not None:
                raise ConfigError("watchdog.rss_limit", "cannot be set for a server that we do not start")
        elif self.token is not None:
            raise ConfigError("token", "needs an address")

    def _check_bounds(self) -> None:
        for name in ("start_deadline", "request_deadline", "server_request_deadline", "block_patience", "sink_grace"):
            _seconds(name, getattr(self, name))
        for method, seconds in self.server_request_deadlines.items():
            _seconds(f"server_request_deadlines[{method!r}]", seconds)
        for name in ("max_in_flight", "max_waiting", "line_limit", "stderr_tail", "max_open_server_requests"):
            if getattr(self, name) < 1:
                raise ConfigError(name, "must be 1 or more")
        if self.overload_retries < 0:
            raise ConfigError("overload_retries", "must be 0 or more")
        self._check_state_store()
        for sink in self.sinks:
            if missing := [name for name in ("open", "write", "aclose", "overflow") if not hasattr(sink, name)]:
                raise ConfigError("sinks", f"{type(sink).__name__} has no {missing[0]}; subclass EventSink")

    def _check_server_requests(self) -> None:
        handlers = self.on_server_request
        for method in handlers if isinstance(handlers, Mapping) else ():
            _method(f"on_server_request[{method!r}]", method)
        told = handlers.values() if isinstance(handlers, Mapping) else () if handlers is None else (handlers,)
        if not all(map(callable, told)):
            raise ConfigError("on_server_request", "must be a function, or a mapping from methods to functions")
        if self.on_decision is not None and not callable(self.on_decision):
            raise ConfigError("on_decision", "must be a function")
        _action("server_request_deadline_action", self.server_request_deadline_action)
        for method, action in self.server_request_deadline_actions.items():
            _method(f"server_request_deadline_actions[{method!r}]", method)
            _action(f"server_request_deadline_actions[{method!r}]", action)

    def _check_state_store(self) -> None:
        _seconds("state_store_interval", self.state_store_interval)
        if self.state_store is None:
            return
        if not self.state:
            raise ConfigError("state_store", "has nothing to keep with state=False")
        for name in ("open", "save", "is_there", "set_aside", "close"):
            if not hasattr(self.state_store, name):
                raise ConfigError(
                    "state_store", f"{type(self.state_store).__name__} has no {name}; subclass StateStore"
                )

    def _shown(self) -> dict[str, object]:
        token = HIDDEN if isinstance(self.token, str) else self.token
        return {"token": token, "env": masked(self.env), "settings": masked(self.settings)}

    def environment(self) -> dict[str, str | None]:
        """What is added to our own environment for the child."""
        home = {} if self.codex_home is None else {"CODEX_HOME": str(Path(self.codex_home).absolute())}
        return {**home, **self.env}


def _are_texts(value: object) -> bool:
    # A string is a sequence of strings as well, and never what was meant.
    return isinstance(value, (tuple, list)) and all(isinstance(part, str) for part in value)


def _seconds(name: str, value: float) -> None:
    if not (math.isfinite(value) and value > 0):
        raise ConfigError(name, "must be a finite number of seconds above 0")


def _method(name: str, method: str) -> None:
    if method not in KNOWN:
        raise ConfigError(name, f"is not a method of the server's; they are {', '.join(sorted(KNOWN))}")


def _action(name: str, action: str) -> None:
    if action not in DEADLINE_ACTIONS:
        raise ConfigError(name, f"{action!r} is not one of 'decline', 'cancel', 'refuse'")


def _folder(name: str, path: str | os.PathLike[str] | None) -> None:
    if path is None:
        return
    if not os.path.isdir(path):  # noqa: PTH112  Path raises for a name too long to be looked for
        raise ConfigError(name, f"{os.fspath(path)!r} is not an existing folder")
    if not os.access(path, os.R_OK | os.X_OK):
        raise ConfigError(name, f"{os.fspath(path)!r} cannot be read")
