"""Connect, for callers on ordinary threads."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self, Unpack

from codex_runtime import client as desk
from codex_runtime import oneshot
from codex_runtime.client import MINIMUM_VERSION
from codex_runtime.client._prompt import RunOptions
from codex_runtime.sync._portal import Portal
from codex_runtime.sync._session import Approvals, Session, on_the_loop, profile_on_the_loop
from codex_runtime.sync._ticket import Ticket

if TYPE_CHECKING:
    from codex_runtime._sansio.envelope import JsonValue
    from codex_runtime.client import Prompt, RunProfile, TurnResult
    from codex_runtime.client._prompt import PathLike
    from codex_runtime.hooks import AnyHook
    from codex_runtime.runtime import Metrics, RuntimeConfig, RuntimeState

__all__ = ["Client", "quick_run"]


class SyncRunOptions(RunOptions, total=False):
    """As :class:`codex_runtime.client.RunOptions`; a handler of approvals is a plain function."""

    approvals: Approvals  # type: ignore[misc]  # narrower on purpose: see on_the_loop


class Client:
    """As :class:`codex_runtime.Client`, with an event loop of its own. Use it as a ``with`` block."""

    def __init__(
        self,
        config: RuntimeConfig | None = None,
        *,
        profile: RunProfile | None = None,
        minimum_version: str | None = MINIMUM_VERSION,
        hooks: Sequence[AnyHook] = (),
    ) -> None:
        self._portal = Portal()
        profile = profile_on_the_loop(profile, self._portal)
        self._client = desk.Client(config, profile=profile, minimum_version=minimum_version, hooks=hooks)

    def __enter__(self) -> Self:
        """Start the app server and check its version."""
        self.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the app server."""
        self.close()

    def open(self) -> None:
        """Start the app server and check its version."""
        self._portal.start()
        try:
            self._portal.run(self._client.open)
        except BaseException:
            self._portal.stop()
            raise

    def close(self) -> None:
        """End the app server and everything that it started. Idempotent."""
        try:
            if self._portal.is_running:
                self._portal.run(self._client.aclose)
        finally:
            self._portal.stop()

    @property
    def profile(self) -> RunProfile:
        """The options that sessions start from."""
        return self._client.profile

    @property
    def metrics(self) -> Metrics:
        """The counters as they are now."""
        return self._portal.call(lambda: self._client.runtime.metrics)

    @property
    def state(self) -> RuntimeState:
        """An immutable picture of all that the server has said."""
        return self._portal.call(lambda: self._client.runtime.state)

    @property
    def tickets(self) -> tuple[Ticket, ...]:
        """The server requests that wait for an answer, oldest first."""
        return tuple(Ticket(ticket, self._portal) for ticket in self._portal.call(lambda: self._client.runtime.tickets))

    def ticket(self, ticket_id: str) -> Ticket:
        """Find an open server request by its id, to settle it. Raises :class:`ServerRequestNotFoundError`."""
        return Ticket(self._portal.call(self._client.runtime.ticket, ticket_id), self._portal)

    def request(
        self,
        method: str,
        params: object = None,
        *,
        deadline: float | None = None,
        allow_full_access: bool = False,
    ) -> JsonValue:
        """Ask the server for something and return the result as plain JSON values.

        ``allow_full_access`` is the second word for a request that runs or changes something outside of a sandbox.
        """
        ask = self._client.runtime.request
        return self._portal.run(ask, method, params, deadline=deadline, allow_full_access=allow_full_access)

    def start_session(
        self, *, cwd: PathLike | None = None, profile: RunProfile | None = None, **options: Unpack[SyncRunOptions]
    ) -> Session:
        """Start a new thread that works in ``cwd`` (default: our own folder)."""
        start, profile = self._client.start_session, profile_on_the_loop(profile, self._portal)
        session = self._portal.run(start, cwd=cwd, profile=profile, **on_the_loop(options, self._portal))
        return Session(session, self._portal)

    def resume_session(
        self,
        thread_id: str,
        *,
        cwd: PathLike | None = None,
        profile: RunProfile | None = None,
        **options: Unpack[SyncRunOptions],
    ) -> Session:
        """Go on with a thread of before."""
        resume, profile = self._client.resume_session, profile_on_the_loop(profile, self._portal)
        session = self._portal.run(resume, thread_id, cwd=cwd, profile=profile, **on_the_loop(options, self._portal))
        return Session(session, self._portal)

    def run(self, prompt: Prompt, *, cwd: PathLike | None = None, **options: Unpack[SyncRunOptions]) -> TurnResult:
        """Run one turn in a new thread and return its result."""
        return self._portal.run(self._client.run, prompt, cwd=cwd, **on_the_loop(options, self._portal))


def quick_run(
    prompt: Prompt,
    *,
    cwd: PathLike | None = None,
    config: RuntimeConfig | None = None,
    **options: Unpack[SyncRunOptions],
) -> TurnResult:
    """Start an app server, run one turn, end the server, return the result. As :func:`codex_runtime.quick_run`."""
    portal = Portal()
    portal.start()
    try:
        return portal.run(oneshot.quick_run, prompt, cwd=cwd, config=config, **on_the_loop(options, portal))
    finally:
        portal.stop()
