"""Where the ``codex`` binary is: named by the caller, by the environment, in the wheel, or on PATH.

The one idea: the folder that somebody happens to work in names no program. It may be a repository of strangers.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from codex_runtime.errors import BinaryNotFoundError

__all__ = ["find_binary", "on_path"]

HINT = 'install it with: pip install "codex-runtime[codex]"'


def find_binary(explicit: str | os.PathLike[str] | None = None, *, env: Mapping[str, str] | None = None) -> Path:
    """Return the binary to run, looking in four places in this order.

    1. ``explicit``; 2. the variable ``CODEX_BINARY``; 3. the ``openai-codex-cli-bin`` wheel; 4. ``codex`` on PATH.
    A place that names a file which cannot be run is an error, not a reason to look further. Raises
    :class:`BinaryNotFoundError`, naming the places.
    """
    env = os.environ if env is None else env
    if explicit is not None:
        return _runnable(explicit, "the configured binary", env)
    if named := env.get("CODEX_BINARY"):
        return _runnable(named, "CODEX_BINARY", env)
    if wheel := _in_wheel():
        return wheel
    if found := on_path("codex", env):
        return Path(found)
    raise BinaryNotFoundError(
        "no codex binary found: none configured, CODEX_BINARY is not set, the openai-codex-cli-bin wheel is not "
        f"installed, and there is no codex on PATH; {HINT}"
    )


def _runnable(path: str | os.PathLike[str], origin: str, env: Mapping[str, str]) -> Path:
    # A bare name is looked up on PATH, as a shell would.
    text = os.fspath(path)
    if os.sep not in text:
        if found := on_path(text, env):
            return Path(found)
        raise BinaryNotFoundError(f"{origin} is {text!r}, which is not on PATH; {HINT}")
    with suppress(OSError, RuntimeError):  # a name too long to be looked for, nobody's home, our own folder is gone
        candidate = Path(text).expanduser().absolute()
        if candidate.is_file():
            if os.access(candidate, os.X_OK):
                return candidate
            raise BinaryNotFoundError(f"{origin} is {text!r}, which is not executable")
    raise BinaryNotFoundError(f"{origin} is {text!r}, but there is no such file; {HINT}")


def on_path(name: str, env: Mapping[str, str]) -> str | None:
    """Look up a bare name. Of PATH only whole paths count: "", "." and the like mean wherever one happens to be."""
    import shutil  # brings three compressors along; where the wheel is installed, nobody needs it

    folders = env.get("PATH", os.defpath).split(os.pathsep)
    return shutil.which(name, path=os.pathsep.join(filter(os.path.isabs, folders)))


def _in_wheel() -> Path | None:
    spec = importlib.util.find_spec("codex_cli_bin")
    for root in (spec.submodule_search_locations or ()) if spec else ():
        candidate = Path(root) / "bin" / ("codex.exe" if os.name == "nt" else "codex")
        if candidate.is_file():
            return candidate
    return None
