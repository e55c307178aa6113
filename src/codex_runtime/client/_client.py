"""Connect, check who is there, and hand out sessions."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Self, Unpack

from codex_runtime.client._prompt import PathLike, Prompt, RunOptions, RunProfile, folder
from codex_runtime.client._session import Session, thread_of
from codex_runtime.client._version import MINIMUM_VERSION, check_version, parse_version
from codex_runtime.errors import RemoteProtocolError
from codex_runtime.runtime import Runtime, RuntimeConfig

if TYPE_CHECKING:
    from codex_runtime._sansio.turn_result import TurnResult
    from codex_runtime.appserver import AppServer

__all__ = ["Client"]


class Client:
    """A supervised app server and the sessions on it. Use it as ``async with Client() as client``.

    ``config`` says what is run and how; ``profile`` holds the options that sessions start from. The server must be
    ``minimum_version`` or later (``None``: any). Entering raises :class:`StartError`: the binary is missing, too old, or
    did not start.
    """

    def __init__(
        self,
        config: RuntimeConfig | None = None,
        *,
        profile: RunProfile | None = None,
        minimum_version: str | None = MINIMUM_VERSION,
    ) -> None:
        if minimum_version is not None:
            parse_version(minimum_version)
        self.runtime = Runtime(config)
        self.profile = profile or RunProfile()
        self._minimum_version = minimum_version

    async def __aenter__(self) -> Self:
        """Start the app server and check its version."""
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the app server."""
        await self.aclose()

    async def open(self) -> None:
        """Start the app server and check its version."""
        await self.runtime.open()
        try:
            check_version(self.runtime.server_info.user_agent, self._minimum_version)
        except BaseException:
            await self.runtime.aclose()
            raise

    async def aclose(self) -> None:
        """End the app server and everything that it started. Idempotent; running turns are lost."""
        await self.runtime.aclose()

    @property
    def app_server(self) -> AppServer:
        """Every method of the app server as a typed coroutine."""
        from codex_runtime.appserver import AppServer  # 172 methods, for those who want them

        return AppServer(self.runtime)

    async def start_session(
        self, *, cwd: PathLike | None = None, profile: RunProfile | None = None, **options: Unpack[RunOptions]
    ) -> Session:
        """Start a new thread that works in ``cwd`` (default: our own folder).

        ``profile`` replaces the client's; ``options`` are those of :class:`RunProfile` and change single ones. Raises
        :class:`ConfigError` or :class:`PermissionDeniedError` before anything is sent.
        """
        where, profile = folder(cwd), (profile or self.profile).changed(**options)
        params = profile.thread_params(where)
        if profile.ephemeral:
            params["ephemeral"] = True
        thread = thread_of("thread/start", await self.runtime.request("thread/start", params))
        return Session(self.runtime, thread, cwd=where, profile=profile)

    async def resume_session(
        self,
        thread_id: str,
        *,
        cwd: PathLike | None = None,
        profile: RunProfile | None = None,
        **options: Unpack[RunOptions],
    ) -> Session:
        """Go on with a thread of before. Options as in :meth:`start_session`; they are not remembered by the thread."""
        where, profile = folder(cwd), (profile or self.profile).changed(**options)
        params = {"threadId": thread_id, "excludeTurns": True, **profile.thread_params(where)}
        thread = thread_of("thread/resume", await self.runtime.request("thread/resume", params))
        if thread["id"] != thread_id:
            raise RemoteProtocolError("thread/resume: the result names another thread")
        return Session(self.runtime, thread, cwd=where, profile=profile, has_run=True)

    async def run(self, prompt: Prompt, *, cwd: PathLike | None = None, **options: Unpack[RunOptions]) -> TurnResult:
        """Run one turn in a new thread and return its result."""
        async with await self.start_session(cwd=cwd, **options) as session:
            return await session.run(prompt)
