"""A hook that is a program: it reads the context as JSON on its standard input and answers with its exit status.

=========  =====================================================================================================
status 0   no opinion if it printed nothing; else one JSON object: ``{"decision": "allow" | "ask" | "deny", "reason": ...}``
           or, before something begins, any of ``prompt``, ``model``, ``attachments``, ``metadata``
status 2   a *deny*; what it printed is the reason (as text, or ``{"reason": ...}``)
any other  it failed
=========  =====================================================================================================

Standard error is thrown away. The program is the leader of a process group of its own, and when the call is over, in
whatever way, all of that group is killed: nothing that a hook starts outlives its call.

The one idea: the child is reaped last. Until then its number cannot belong to anybody else, so its group may be signalled.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import IO, TYPE_CHECKING, cast

import msgspec
from msgspec import field

from codex_runtime._io.exit_watch import watch_exit
from codex_runtime._sansio.discreet import Discreet, masked
from codex_runtime._sansio.hooks import TIME_LIMIT, Allow, Ask, Deny, HookContext, HookMatcher, HookOutcome, Patch

if TYPE_CHECKING:
    from codex_runtime._sansio.envelope import JsonValue

__all__ = ["ShellHook"]

CHUNK = 64 * 1024
MAX_OUTPUT = 1024 * 1024
DENIED = 2
# How long a killed process may take to be gone, in seconds.
GRACE = 1.0

_DECISIONS: Mapping[str, Callable[[str | None], Allow | Ask]] = {"allow": Allow, "ask": Ask}
_CHANGES = ("prompt", "model", "attachments", "metadata")


class ShellHook(Discreet, frozen=True):
    """A program to be called at some phases: ``sh -c command``, with the context as JSON on its standard input.

    ``env`` is laid over our environment (``None`` removes a name); ``cwd`` is where it runs, by default the session's folder.
    It has ``timeout`` seconds for everything.
    """

    name: str
    command: str
    when: HookMatcher = HookMatcher()
    timeout: float = TIME_LIMIT
    env: Mapping[str, str | None] = field(default_factory=dict)
    cwd: str | None = None

    def _shown(self) -> dict[str, object]:
        return {"env": masked(self.env)}

    async def call(self, context: HookContext) -> HookOutcome:
        """Run the program. Raises :class:`OSError` or :class:`ValueError` if that, or its answer, makes no sense."""
        run = _Run(self, context)
        try:
            await run.over
        finally:
            status = await run.end()
        return _outcome(self.name, status, bytes(run.output))


class _Run:
    """One call of the program, from its start to the end of its group."""

    def __init__(self, hook: ShellHook, context: HookContext) -> None:
        loop = asyncio.get_running_loop()
        self.output = bytearray()
        self.over: asyncio.Future[None] = loop.create_future()
        self._loop = loop
        self._exited: asyncio.Future[None] = loop.create_future()
        self._input = memoryview(msgspec.json.encode(context))
        environment = {key: value for key, value in {**os.environ, **hook.env}.items() if value is not None}
        self._process = subprocess.Popen(  # noqa: S602  it is the caller's own command line
            hook.command,
            shell=True,
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=hook.cwd or context.cwd,
            env=environment,
            start_new_session=True,
        )
        self._stdin = cast("IO[bytes]", self._process.stdin)
        self._stdout = cast("IO[bytes]", self._process.stdout)
        self._watch = watch_exit(self._process.pid, loop, self._on_exit)
        for pipe in (self._stdin, self._stdout):
            os.set_blocking(pipe.fileno(), False)
        loop.add_writer(self._stdin.fileno(), self._write)
        loop.add_reader(self._stdout.fileno(), self._read)

    async def end(self) -> int | None:
        """Kill whatever is left of the group and return the status of the program: ``None`` if it could not be had."""
        self._close_stdin()
        self._close_stdout()
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        try:
            if not self._exited.done():
                await asyncio.wait([self._exited], timeout=GRACE)
        except asyncio.CancelledError:
            # Nobody waits any more, but its status has to be taken: else it would stay in the table of processes.
            self._exited.add_done_callback(lambda _: self._reap())
            raise
        return self._reap()

    def _reap(self) -> int | None:
        self._watch.close()
        status = self._watch.reap()
        code = None if status is None else os.waitstatus_to_exitcode(status)
        self._process.returncode = -signal.SIGKILL if code is None else code
        return code

    def _write(self) -> None:
        try:
            sent = os.write(self._stdin.fileno(), self._input[:CHUNK])
        except BlockingIOError:  # pragma: no cover  the loop was wrong; it will wake us again
            return
        except OSError:
            self._close_stdin()  # it does not want to know more
            return
        self._input = self._input[sent:]
        if not self._input:
            self._close_stdin()

    def _read(self) -> None:
        try:
            data = os.read(self._stdout.fileno(), CHUNK)
        except BlockingIOError:
            return
        self.output += data
        if not data:
            self._close_stdout()
        elif len(self.output) > MAX_OUTPUT:
            self._close_stdout()
            self._finish(ValueError(f"it printed more than {MAX_OUTPUT} bytes"))

    def _on_exit(self) -> None:
        self._exited.set_result(None)
        # Whatever it wrote is in the pipe by now. Who else holds the pipe open is not waited for.
        while not self._stdout.closed and not self.over.done():
            before = len(self.output)
            self._read()
            if len(self.output) == before:
                break
        self._finish(None)

    def _finish(self, error: ValueError | None) -> None:
        if self.over.done():
            return
        if error is None:
            self.over.set_result(None)
        else:
            self.over.set_exception(error)

    def _close_stdin(self) -> None:
        if not self._stdin.closed:
            self._loop.remove_writer(self._stdin.fileno())
            self._stdin.close()

    def _close_stdout(self) -> None:
        if not self._stdout.closed:
            self._loop.remove_reader(self._stdout.fileno())
            self._stdout.close()


def _outcome(name: str, status: int | None, output: bytes) -> HookOutcome:
    if status == DENIED:
        return Deny(_reason(output) or f"denied by {name}")
    if status != 0:
        raise OSError(f"it ended with status {status}")
    if not output.strip():
        return None
    told = _decoded(output)
    if not isinstance(told, dict):
        raise ValueError("it printed something that is no JSON object")  # noqa: TRY004  the value of a text, not a type
    changes = {key: told[key] for key in _CHANGES if told.get(key) is not None}
    if (decision := told.get("decision")) is None:
        return _patch(changes)
    if changes:
        raise ValueError(f"it gave a decision and changes at once: {', '.join(changes)}")
    reason = told.get("reason")
    if reason is not None and not isinstance(reason, str):
        raise ValueError("'reason' must be text")
    if decision == "deny":
        return Deny(reason or f"denied by {name}")
    if not isinstance(decision, str) or decision not in _DECISIONS:
        raise ValueError("'decision' must be allow, ask or deny")
    return _DECISIONS[decision](reason)


def _patch(changes: dict[str, JsonValue]) -> Patch | None:
    if not changes:
        return None
    for key, kind in (("prompt", str), ("model", str), ("attachments", list), ("metadata", dict)):
        if key in changes and not isinstance(changes[key], kind):
            raise ValueError(f"{key!r} must be of the JSON type for {kind.__name__}")
    return Patch(
        prompt=changes.get("prompt"),
        model=changes.get("model"),
        add_attachments=tuple(changes.get("attachments", ())),
        metadata=changes.get("metadata", {}),
    )


def _reason(output: bytes) -> str:
    told = _decoded(output)
    reason = told.get("reason") if isinstance(told, dict) else None
    return reason if isinstance(reason, str) and reason.strip() else output.decode(errors="replace").strip()


def _decoded(output: bytes) -> JsonValue:
    try:
        return json.loads(output)
    except (ValueError, RecursionError):
        return None
