"""Connect, check who is there, and hand out sessions."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self, Unpack

from codex_runtime.client._approvals import StandIn
from codex_runtime.client._guard import Watch
from codex_runtime.client._prompt import PathLike, Prompt, RunOptions, RunProfile, folder
from codex_runtime.client._session import Session, thread_of
from codex_runtime.client._version import MINIMUM_VERSION, check_version, parse_version
from codex_runtime.errors import RemoteProtocolError
from codex_runtime.runtime import Runtime

if TYPE_CHECKING:
    from codex_runtime._sansio.hooks import AnyHook
    from codex_runtime._sansio.turn_result import TurnResult
    from codex_runtime.appserver import AppServer
    from codex_runtime.runtime import RuntimeConfig

__all__ = ["Client"]


class Client:
    """A supervised app server and the sessions on it. Use it as ``async with Client() as client``.

    ``config`` says what is run and how; ``profile`` holds the options that sessions start from. The server must be
    ``minimum_version`` or later (``None``: any). Entering raises :class:`StartError`: the binary is missing, too old, or
    did not start.

    ``hooks`` watch everything that happens here (:mod:`codex_runtime.hooks`); those that judge server requests also come
    before ``config.on_server_request`` and ``runtime.server_requests()``, which get what they leave open.
    """

    def __init__(
        self,
        config: RuntimeConfig | None = None,
        *,
        profile: RunProfile | None = None,
        minimum_version: str | None = MINIMUM_VERSION,
        hooks: Sequence[AnyHook] = (),
    ) -> None:
        if minimum_version is not None:
            parse_version(minimum_version)
        self.runtime = Runtime(config)
        self._watch = Watch(self.runtime, hooks)
        self.profile = (profile or RunProfile()).under(self._watch.hooks)
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
        :class:`ConfigError` or :class:`PermissionDeniedError` before anything is sent, :class:`HookBlockedError` if a hook
        denies it.
        """
        return await self._start(folder(cwd), self._profile(profile, options))

    async def resume_session(
        self,
        thread_id: str,
        *,
        cwd: PathLike | None = None,
        profile: RunProfile | None = None,
        **options: Unpack[RunOptions],
    ) -> Session:
        """Go on with a thread of before. Options as in :meth:`start_session`; they are not remembered by the thread.

        ``cwd`` moves it to another folder; without, it stays where it is.

        If the server still runs a turn in it, what that turn waits for is asked again and answered by ``approvals``.
        """
        where, profile = None if cwd is None else folder(cwd), self._profile(profile, options)
        async with self._watch.start(profile, where, thread_id) as start:
            profile, operation = start.profile, start.operation
            params = {"threadId": thread_id, "excludeTurns": True, **profile.thread_params(where)}
            # The server asks again what it asked before: somebody has to be there when it does.
            stand_in = StandIn(self.runtime, self._watch.guarded(profile.approvals, operation))
            stand_in.follow(thread_id)
            try:
                word = profile.allow_full_access
                reply = await self.runtime.request("thread/resume", params, allow_full_access=word)
                thread = thread_of("thread/resume", reply)
                if thread["id"] != thread_id:
                    raise RemoteProtocolError("thread/resume: the result names another thread")
                where = where or thread.get("cwd")
                if not isinstance(where, str):
                    raise RemoteProtocolError("thread/resume: the result does not say where the thread works")
            except BaseException:
                stand_in.stop()
                raise
            session = Session(
                self.runtime,
                thread,
                cwd=where,
                profile=profile,
                has_run=True,
                stand_in=stand_in,
                watch=self._watch,
                operation=operation,
            )
            start.began(session)
        return session

    async def run(self, prompt: Prompt, *, cwd: PathLike | None = None, **options: Unpack[RunOptions]) -> TurnResult:
        """Run one turn in a new thread and return its result."""
        where, profile = folder(cwd), self._profile(None, options)
        async with self._watch.plan(profile, where, prompt) as plan, await self._start(where, plan.profile) as session:
            plan.profile = session.profile
            return await session.carry_out(plan)

    def _profile(self, profile: RunProfile | None, options: RunOptions) -> RunProfile:
        return (self.profile if profile is None else profile.under(self._watch.hooks)).changed(**options)

    async def _start(self, where: str, profile: RunProfile) -> Session:
        async with self._watch.start(profile, where) as start:
            profile, operation = start.profile, start.operation
            word = profile.allow_full_access
            reply = await self.runtime.request("thread/start", profile.start_params(where), allow_full_access=word)
            thread = thread_of("thread/start", reply)
            # It is here before the hooks after it, so that it outlives a crash in the meantime.
            session = Session(self.runtime, thread, cwd=where, profile=profile, watch=self._watch, operation=operation)
            start.began(session)
        return session
