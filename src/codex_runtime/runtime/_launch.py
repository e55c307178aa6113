"""From settings to the app server that they mean: one to start, one that listens already, or the caller's own.

Finding and naming only; nothing is started or connected to here.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from codex_runtime._io.binary import find_binary
from codex_runtime._io.process import ProcessLauncher, ProcessSpec
from codex_runtime.errors import ConfigError

if TYPE_CHECKING:
    from codex_runtime._io.transport import Launcher
    from codex_runtime.runtime.config import RuntimeConfig

__all__ = ["launcher_of"]


def launcher_of(config: RuntimeConfig) -> Launcher:
    """Return what brings up the app server. Raises :class:`BinaryNotFoundError` or :class:`ConfigError`."""
    if config.launcher is not None:
        return config.launcher
    if config.address is not None:
        return _connector(config, config.address)
    if config.command is not None:
        argv = config.command
    else:
        overrides = [part for key, value in config.settings.items() for part in ("-c", f"{key}={value}")]
        argv = (str(find_binary(config.binary)), *overrides, "app-server")
    return ProcessLauncher(
        ProcessSpec(
            argv=argv,
            env=config.environment(),
            inherit=tuple(config.inherit_env),
            cwd=None if config.cwd is None else os.fspath(config.cwd),
            stderr_tail_bytes=config.stderr_tail,
            graces=config.graces,
        )
    )


def _connector(config: RuntimeConfig, address: str) -> Launcher:
    try:
        from codex_runtime._io.websocket import WebSocketLauncher
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != "websockets":
            raise
        raise ConfigError("address", 'needs an extra: pip install "codex-runtime[ws]"') from None
    return WebSocketLauncher(
        address,
        token=config.token,
        allow_unauthenticated=config.allow_unauthenticated,
        message_limit=config.line_limit,
        grace=config.graces.stdin_close,
    )
