"""Writes a ``CODEX_HOME`` with which a real ``codex app-server`` needs no network and no login.

Every model request goes to the given address; everything the server would look
up elsewhere at its start is switched off. This file never starts a server. The
one idea: the configuration is one nested table, merged first and written last,
so no setting can land in the wrong section.
"""

from __future__ import annotations

import json
import re
import sys
import tomllib
from collections.abc import Mapping
from datetime import date, time
from pathlib import Path
from typing import Literal, TypeAlias

__all__ = ["mcp_stub", "write_codex_home"]

_BARE_KEY = re.compile("[A-Za-z0-9_-]+")

Sandbox: TypeAlias = Literal["read-only", "workspace-write", "danger-full-access"]
Approvals: TypeAlias = Literal["on-request", "never"]


def write_codex_home(
    path: str | Path,
    base_url: str,
    *,
    model: str = "mock-model",
    approval_policy: Approvals | Mapping[str, object] | None = None,
    sandbox: Sandbox | None = None,
    features: Mapping[str, bool] = {},
    mcp_servers: Mapping[str, Mapping[str, object]] = {},
    request_max_retries: int = 0,
    stream_max_retries: int = 0,
    stream_idle_timeout: float | None = None,
    extra_toml: str = "",
) -> Path:
    """Make ``path`` a ``CODEX_HOME`` whose model is at ``base_url``, and return it as an absolute path.

    The folder is made if need be; a ``config.toml`` that is there is replaced.

    Args:
        path: The folder; give it to the server as the variable ``CODEX_HOME``.
        base_url: Usually ``MockModel.base_url``.
        model: An unknown name such as the default has few tools; ``gpt-5.5`` also has
            ``apply_patch``; ``gpt-5.6`` and later run in code mode.
        approval_policy: ``None`` leaves it to the server, which then asks when the model wants to.
            A mapping is a granular policy. ``untrusted`` can only be given to a thread:
            the server does not start with it as a setting.
        sandbox: ``None`` leaves it to the server, which then only reads.
        features: Feature flags, on top of those that keep the server off the network.
        mcp_servers: MCP servers by name; :func:`mcp_stub` is one.
        request_max_retries: How often the server repeats a request that was refused.
        stream_max_retries: How often it starts again after a stream that broke.
        stream_idle_timeout: After how many silent seconds it gives a stream up;
            ``None`` leaves it to the server (minutes).
        extra_toml: Any other settings, as TOML; they win over all of the above.

    Raises:
        ValueError: ``extra_toml`` is not TOML, or the approval policy is ``untrusted``.
        TypeError: A value has no form in TOML.

    Example::

        home = write_codex_home(tmp_path / "home", model.base_url, sandbox="workspace-write")
    """
    provider: dict[str, object] = {
        "name": "Mock model",
        "base_url": base_url,
        "wire_api": "responses",
        "requires_openai_auth": False,
        "request_max_retries": request_max_retries,
        "stream_max_retries": stream_max_retries,
    }
    if stream_idle_timeout is not None:
        provider["stream_idle_timeout_ms"] = round(stream_idle_timeout * 1000)
    config: dict[str, object] = {
        "model": model,
        "model_provider": "mock",
        "check_for_update_on_startup": False,
        "allow_login_shell": False,  # a login shell reads the profile of whoever runs the test
        "analytics": {"enabled": False},
        "feedback": {"enabled": False},
        # these look things up on the network at start; a snapshot runs a login shell
        "features": {"plugins": False, "remote_plugin": False, "apps": False, "shell_snapshot": False, **features},
        "model_providers": {"mock": provider},
    }
    if mcp_servers:
        config["mcp_servers"] = mcp_servers
    if str(approval_policy) == "untrusted":  # not among the types, but what many would try
        raise ValueError("the server takes approval_policy='untrusted' for a thread, not as a setting")
    if approval_policy is not None:
        config["approval_policy"] = approval_policy
    if sandbox is not None:
        config["sandbox_mode"] = sandbox
    text = "\n".join(_table(_merged(config, tomllib.loads(extra_toml)), ())) + "\n"
    home = Path(path).resolve()
    home.mkdir(parents=True, exist_ok=True)
    (home / "config.toml").write_text(text, encoding="utf-8")
    return home


def mcp_stub() -> dict[str, object]:
    """The settings of a small MCP server to test with; its tools are echo, ask, ask_url, slow and look.

    ``echo`` gives back its ``text``; ``ask`` has the user fill in a form and ``ask_url`` sends
    them to a page; ``slow`` takes ``seconds`` and tells its progress; ``look`` says that it only reads.

    Example: ``write_codex_home(path, model.base_url, mcp_servers={"stub": mcp_stub()})``
    """
    program = Path(__file__).with_name("_mcp_stub.py")
    return {"command": sys.executable, "args": ["-I", "-S", str(program)]}


def _merged(below: Mapping[str, object], above: Mapping[str, object]) -> dict[str, object]:
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        merged[key] = _merged(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return merged


def _table(table: Mapping[str, object], path: tuple[str, ...]) -> list[str]:
    """A table as lines: its own values first, for whatever follows a header belongs to that header."""
    lines = [f"{_key(key)} = {_value(value)}" for key, value in table.items() if not isinstance(value, Mapping)]
    if path and (lines or not table):
        lines = ["", f"[{'.'.join(map(_key, path))}]", *lines]
    for key, value in table.items():
        if isinstance(value, Mapping):
            lines += _table(value, (*path, key))
    return lines


def _key(name: str) -> str:
    return name if _BARE_KEY.fullmatch(name) else _text(name)


def _value(value: object) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case str() | Path():
            return _text(str(value))
        case int() | float():
            return repr(value)  # inf and nan are spelled the same in TOML
        case date() | time():
            return value.isoformat()
        case Mapping():
            return "{" + ", ".join(f"{_key(key)} = {_value(inner)}" for key, inner in value.items()) + "}"
        case list() | tuple():
            return "[" + ", ".join(map(_value, value)) + "]"
        case _:
            raise TypeError(f"no TOML form for {value!r}")


def _text(text: str) -> str:
    # JSON's escapes are TOML's, but for DEL, and for what lies outside the first plane: that is written as it is
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
