"""Our own client, doing a job under faults."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Any

from codex_runtime import Client, CodexError, RestartPolicy, RunProfile, RuntimeConfig, TextDelta, TurnCompleted
from codex_runtime.runtime import WatchdogPolicy
from verification.faults.history import Decided, Ended, Heard, Missed
from verification.faults.job import ECHO, Job, Log, question_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from codex_runtime import Session, Ticket
    from codex_runtime.runtime import Launcher

__all__ = ["Ours"]

SOON = RestartPolicy(backoff=0.05, max_backoff=0.2, jitter=0.0)


def _watchdog(silence: float) -> WatchdogPolicy:
    return WatchdogPolicy(probe_every=silence / 3, probe_deadline=silence / 3, misses=2)


class Ours:
    """The client. ``launcher`` stands for a command line where the server is in this process."""

    documented: tuple[type[BaseException], ...] = (CodexError,)

    def __init__(self, launcher: Launcher | None = None, *, settings: Mapping[str, object] | None = None) -> None:
        self._launcher = launcher
        self._settings: dict[str, Any] = {"restart": SOON, **(settings or {})}
        self._options: dict[str, Any] = {}
        self._client: Client | None = None
        self._session: Session | None = None

    async def open(self, job: Job, log: Log) -> None:
        """Start the server and greet it."""

        async def say_yes(ticket: Ticket) -> None:  # a handler
            log(Decided(question=question_of(ticket.method, ticket.params), accept=True))
            ticket.accept()

        told: dict[str, Any] = {
            "start_deadline": job.start,
            "request_deadline": job.deadline,
            "watchdog": None if job.silence is None else _watchdog(job.silence),
        }
        config = RuntimeConfig(
            command=None if self._launcher is not None else job.command,
            launcher=self._launcher,
            **{name: value for name, value in told.items() if value is not None},
            **self._settings,
        )
        if job.full_access:
            self._options = {"sandbox": "danger-full-access", "allow_full_access": True}
        self._client = Client(config, profile=RunProfile(approvals=say_yes if job.accepts else "decline"))
        await self._client.open()

    async def call(self, token: str) -> str:
        """Make a request and read the token out of its answer."""
        assert self._client is not None
        answer = await self._client.runtime.request(ECHO, {"token": token})
        return str(answer["token"]) if isinstance(answer, dict) and "token" in answer else str(answer)

    async def turn(self, prompt: str) -> AsyncGenerator[Heard | Missed | Ended, None]:
        """Run a turn in the one session."""
        assert self._client is not None
        if self._session is None:
            self._session = await self._client.start_session(**self._options)
        async with self._session.stream(prompt) as turn:
            async for event in turn:
                match event:
                    case TextDelta(text=text):
                        yield Heard(turn=prompt, text=text)
                    case TurnCompleted(result=result):
                        yield Ended(
                            turn=prompt, how=result.status, text="".join(message.text for message in result.messages)
                        )

    async def close(self) -> None:
        """Close the client, whatever has become of it."""
        if self._client is not None:
            await self._client.aclose()
