"""One run, or the start of a session, on its way to the server: what the caller wants, and what hooks make of it.

The one idea: each is a block. The hooks before it are called on the way in and may change or deny it, those after it on the
way out, whatever came of it. Without hooks, both cost nothing.
"""

from __future__ import annotations

import os
from types import TracebackType
from typing import TYPE_CHECKING, Self

from msgspec.structs import replace

from codex_runtime.client._prompt import Attachment, File, Image, LocalImage, Prompt, RunProfile, Skill, inputs
from codex_runtime.errors import CodexError, ConfigError, HookBlockedError, TurnError

if TYPE_CHECKING:
    from codex_runtime._sansio.envelope import JsonValue
    from codex_runtime._sansio.hooks import Patch, Phase
    from codex_runtime._sansio.turn_result import TurnResult
    from codex_runtime.client._session import Session
    from codex_runtime.hooks._run import Operation

__all__ = ["Plan", "Start"]


class Plan:
    """One run on its way to the server: what the caller wants, and what hooks made of it, if there are any.

    As a block, it is the whole run: ``pre_run`` before it, ``post_run`` after it.
    """

    def __init__(self, operation: Operation | None, profile: RunProfile, cwd: str, prompt: Prompt) -> None:
        self.operation = operation
        self.profile = profile
        self.cwd = cwd
        self.prompt = prompt
        self.inputs = inputs(prompt, cwd)
        self.result: TurnResult | None = None

    async def __aenter__(self) -> Self:
        """Call the hooks before a run. Raises :class:`HookBlockedError`."""
        await self.before("pre_run")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Call the hooks after a run."""
        await self.after("post_run", error)

    async def before(self, phase: Phase) -> None:
        """Call the hooks of a phase, and take their changes. Raises :class:`HookBlockedError` or :class:`ConfigError`."""
        if (operation := self.operation) is None:
            return
        patch = await operation.before(phase, prompt=_text_of(self.prompt), model=self.profile.model)
        if patch.model is not None:
            self.profile = self.profile.changed(model=patch.model)
        if patch.prompt is not None or patch.add_attachments:
            self.prompt = self._patched(patch, phase, operation)
            self.inputs = inputs(self.prompt, self.cwd)
        operation.base = replace(operation.base, prompt=_text_of(self.prompt), model=self.profile.model)

    async def after(self, phase: Phase, error: BaseException | None) -> None:
        """Call the hooks of a phase after the end."""
        if self.operation is None:
            return
        result = self.result
        if isinstance(error, CodexError) and not isinstance(error, TurnError):
            status = "blocked" if isinstance(error, HookBlockedError) else "error"
        else:
            status = "error" if result is None else result.status
        known = (
            {} if result is None else {"thread_id": result.thread_id, "turn_id": result.turn_id, "text": result.text}
        )
        await self.operation.after(phase, status=status, **known)

    def params(self, thread_id: str) -> dict[str, JsonValue]:
        """The parameters of ``turn/start``, as hooks changed them."""
        return self.profile.turn_params(thread_id, self.inputs)

    def _patched(self, patch: Patch, phase: Phase, operation: Operation) -> Prompt:
        parts: list[str | Attachment] = [self.prompt] if isinstance(self.prompt, str) else list(self.prompt)
        if patch.prompt is not None:
            parts = [patch.prompt, *(part for part in parts if not isinstance(part, str))]
        for each in patch.add_attachments:
            try:
                attachment = _attachment(each)
                inputs([attachment], self.cwd)
            except ConfigError as error:
                operation.issue("", phase, "validation", f"an attachment was left out: {error.problem}")
            else:
                parts.append(attachment)
        return parts


class Start:
    """The start of a session, as a block: the hooks before it, and those after it."""

    def __init__(self, operation: Operation | None, profile: RunProfile) -> None:
        self.operation = operation
        self.profile = profile
        self._session: Session | None = None

    def began(self, session: Session) -> None:
        """Learn what became of it."""
        self._session = session
        if (operation := self.operation) is not None:
            where = os.path.realpath(session.cwd)
            operation.base = replace(operation.base, thread_id=session.thread_id, cwd=where)

    async def __aenter__(self) -> Self:
        """Call the hooks before a session starts, and take their changes. Raises :class:`HookBlockedError`."""
        if (operation := self.operation) is not None:
            patch = await operation.before("pre_session_start")
            for name, value in (("prompt", patch.prompt), ("add_attachments", patch.add_attachments)):
                if value:
                    problem = f"{name} means nothing before a session starts"
                    operation.issue("", "pre_session_start", "validation", problem)
            if patch.model is not None:
                self.profile = self.profile.changed(model=patch.model)
                operation.base = replace(operation.base, model=patch.model)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Call the hooks after it."""
        if (operation := self.operation) is None:
            return
        try:
            await operation.after("post_session_start", status="completed" if error is None else "error")
        except BaseException:
            # Nobody will get to see the session.
            if self._session is not None:
                await self._session.aclose()
            raise


def _text_of(prompt: Prompt) -> str:
    return prompt if isinstance(prompt, str) else "\n".join(part for part in prompt if isinstance(part, str))


def _attachment(each: object) -> Attachment:
    """Read an attachment that a hook adds, or its JSON form. Raises :class:`ConfigError`."""
    match each:
        case File() | Image() | LocalImage() | Skill():
            return each
        case {"type": "file", "path": str(path)}:
            return File(path)
        case {"type": "image", "url": str(url)}:
            return Image(url)
        case {"type": "local_image", "path": str(path)}:
            return LocalImage(path)
        case {"type": "skill", "name": str(name), "path": str(path)}:
            return Skill(name, path)
        case _:
            raise ConfigError("add_attachments", f"{type(each).__name__} is no attachment")
