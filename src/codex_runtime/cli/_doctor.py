"""``codex-runtime doctor``: is everything there that a turn needs, and if not, what is the way out?

Each check returns a :class:`Finding`. A later check is left out when one that it stands on has failed, so the first bad
line is the one to act on. Nothing is changed but what codex itself writes when it starts, and no model is called.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import platform
import shlex
import shutil
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from codex_runtime import __version__
from codex_runtime._io.binary import find_binary
from codex_runtime._sansio.display import visible_json
from codex_runtime.cli._exits import ExitCode, failure_of
from codex_runtime.cli._screen import Screen
from codex_runtime.client._version import MINIMUM_VERSION, check_version, server_version
from codex_runtime.errors import CodexError, IncompatibleServerError, RequestFailedError
from codex_runtime.protocol._registry import Direction, registry
from codex_runtime.runtime import Gap, RestartPolicy, Runtime, RuntimeConfig

if TYPE_CHECKING:
    from collections.abc import Mapping

    from codex_runtime.runtime import JsonValue, Subscription

__all__ = ["Finding", "run_doctor"]

State: TypeAlias = Literal["ok", "warning", "wrong"]

_MARKS: dict[State, tuple[str, str]] = {"ok": ("✓ ", "green"), "warning": ("! ", "yellow"), "wrong": ("✗ ", "red")}
_IS_LINUX = sys.platform == "linux"
_NAME_WIDTH = 10
# Seconds for the program that lists its own methods, and for a command in the sandbox.
_SCHEMA_LIMIT, _SANDBOX_LIMIT = 20.0, 20.0
_FILES: dict[str, Direction] = {
    "ClientRequest.json": "client_request",
    "ServerRequest.json": "server_request",
    "ServerNotification.json": "server_notification",
    "ClientNotification.json": "client_notification",
}
_INSTALL = 'pip install --upgrade "codex-runtime[codex]"'


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found, and the way out if it is not well."""

    name: str
    state: State
    text: str
    way_out: str | None = None


async def run_doctor(*, binary: str | None, codex_home: str | None, as_json: bool) -> ExitCode:
    """Check everything, and say what was found."""
    screen = Screen(sys.stdout)
    doctor = _Doctor(binary=binary, codex_home=codex_home)
    if as_json:
        await doctor.examine()
        _write_json(doctor.findings)
    else:
        async with screen.animated():
            screen.status("checking")
            await doctor.examine(screen)
        _conclude(screen, doctor.findings)
    return ExitCode.FAILED if any(finding.state == "wrong" for finding in doctor.findings) else ExitCode.OK


class _Doctor:
    def __init__(self, *, binary: str | None, codex_home: str | None) -> None:
        self.findings: list[Finding] = []
        self._binary = binary
        self._codex_home = codex_home
        self._screen: Screen | None = None

    async def examine(self, screen: Screen | None = None) -> None:
        """Run the checks, and show each finding on ``screen`` as it comes."""
        self._screen = screen
        system = f"{platform.system()} {platform.machine()}"
        self._note(
            Finding("package", "ok", f"codex-runtime {__version__}, Python {platform.python_version()}, {system}")
        )
        try:
            found = find_binary(self._binary)
        except CodexError as error:
            self._note(Finding("binary", "wrong", failure_of(error).message, f"{_INSTALL}, or --binary PATH"))
            return
        self._note(Finding("binary", "ok", f"{found} ({_origin(found, self._binary)})"))
        self._note(home := _home(self._codex_home))
        if home.state == "wrong":
            return
        self._note(await _protocol(found))
        await self._server(found)

    def _note(self, finding: Finding) -> None:
        self.findings.append(finding)
        if self._screen is not None:
            _show(self._screen, finding)
            self._screen.status("checking")

    async def _server(self, binary: Path) -> None:
        try:
            config = RuntimeConfig(
                binary=binary,
                codex_home=self._codex_home,
                inherit_env=("*",),  # as `codex-runtime run` does
                settings={"features.plugins": "false"},  # which would be looked up on the network
                restart=RestartPolicy(when="never"),
            )
            runtime = Runtime(config)
            with runtime.subscribe(methods=["configWarning"]) as warnings:
                began = time.monotonic()
                async with runtime:
                    took = time.monotonic() - began
                    self._note(_version(runtime, took))
                    account = await _login(runtime, shlex.join([str(binary), "login"]))
                    sandbox = await _sandbox(runtime)
                    self._note(await _configuration(runtime, warnings))
                    self._note(account)
                    self._note(sandbox)
        except CodexError as error:
            self._note(
                Finding(
                    "app server",
                    "wrong",
                    failure_of(error).message,
                    "see what it says; --codex-home may name another folder",
                )
            )


def _origin(binary: Path, explicit: str | None) -> str:
    """Say which of the four places it comes from."""
    if explicit is not None:
        return "from --binary"
    if os.environ.get("CODEX_BINARY"):
        return "from $CODEX_BINARY"
    spec = importlib.util.find_spec("codex_cli_bin")
    folders = spec.submodule_search_locations or () if spec is not None else ()
    return (
        "from the wheel openai-codex-cli-bin" if any(binary.is_relative_to(folder) for folder in folders) else "on PATH"
    )


def _home(explicit: str | None) -> Finding:
    name, named = "CODEX_HOME", explicit or os.environ.get("CODEX_HOME")
    folder = Path(named).expanduser() if named else Path.home() / ".codex"
    try:
        if not folder.exists():
            if named:
                return Finding(name, "wrong", f"{folder} does not exist", f"mkdir -p {folder}")
            return Finding(name, "ok", f"{folder} does not exist yet; codex makes it")
        if not folder.is_dir():
            return Finding(name, "wrong", f"{folder} is not a folder", "name a folder with --codex-home")
        if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
            return Finding(name, "wrong", f"{folder} cannot be read and written", f"chmod u+rwx {folder}")
        has_config = (folder / "config.toml").exists()
    except OSError as error:
        return Finding(
            name, "wrong", f"{folder} cannot be looked at: {error.strerror}", "name another with --codex-home"
        )
    return Finding(name, "ok", f"{folder}, {'with' if has_config else 'without'} a config.toml")


async def _protocol(binary: Path) -> Finding:
    """Compare the methods that the binary lists with those that we know. Names only."""
    with tempfile.TemporaryDirectory(prefix="codex-runtime-doctor-") as folder:
        try:
            await _list_methods(binary, folder)
            theirs = {direction: _methods(Path(folder) / file) for file, direction in _FILES.items()}
        except (TimeoutError, OSError, ValueError, LookupError, TypeError):
            return Finding("protocol", "warning", "the binary does not list its methods, so they cannot be compared")
    ours = {direction: {method.name for method in registry.of(direction)} for direction in theirs}
    added = sorted(name for direction, names in theirs.items() for name in names - ours[direction])
    removed = sorted(name for direction, names in ours.items() for name in names - theirs[direction])
    counts = f"{len(theirs['client_request'])} requests, {len(theirs['server_notification'])} notifications"
    if not added and not removed:
        return Finding(
            "protocol", "ok", f"{counts}, {len(theirs['server_request'])} server requests: all known, none missing"
        )
    drift = [f"{len(added)} new to us ({_some(added)})"] if added else []
    drift += [f"{len(removed)} that we know are gone ({_some(removed)})"] if removed else []
    text = f"{counts}; the binary is not codex {registry.version}: {'; '.join(drift)}"
    return Finding(
        "protocol", "warning", text, f"what is new passes through undecoded; for a matching pair: {_INSTALL}"
    )


async def _list_methods(binary: Path, folder: str) -> None:
    process = await asyncio.create_subprocess_exec(
        str(binary),
        *("app-server", "generate-json-schema", "--experimental", "--out", folder),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(_SCHEMA_LIMIT):
            await process.wait()
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def _methods(file: Path) -> set[str]:
    return {form["properties"]["method"]["enum"][0] for form in json.loads(file.read_text())["oneOf"]}


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")  # noqa: PLR2004


def _version(runtime: Runtime, took: float) -> Finding:
    agent = runtime.server_info.user_agent
    version = ".".join(map(str, server_version(agent) or ("?",)))
    try:
        check_version(agent, MINIMUM_VERSION)
    except IncompatibleServerError as error:
        return Finding("app server", "wrong", str(error), _INSTALL)
    return Finding("app server", "ok", f"codex {version} started and greeted in {took * 1000:.0f} ms")


async def _login(runtime: Runtime, way_in: str) -> Finding:
    try:
        told = await runtime.request("account/read", {})
    except RequestFailedError as error:
        return Finding("login", "wrong", error.message, way_in)
    state = told if isinstance(told, dict) else {}
    account = state.get("account")
    if isinstance(account, dict):
        plan = f", plan {account['planType']}" if account.get("planType") else ""
        return Finding("login", "ok", f"logged in with {account.get('type', 'an account')}{plan}")
    if state.get("requiresOpenaiAuth"):
        return Finding("login", "wrong", "nobody is logged in", f"{way_in}, or configure a model provider of your own")
    return Finding("login", "ok", "the configured model provider needs none")


async def _sandbox(runtime: Runtime) -> Finding:
    """Run a command that must succeed, and one that must not."""
    with tempfile.TemporaryDirectory(prefix="codex-runtime-doctor-") as folder:
        file = Path(folder) / "written"
        try:
            fine = await _execute(runtime, ["true"], folder)
            await _execute(runtime, ["touch", str(file)], folder)
        except RequestFailedError as error:
            return Finding("sandbox", "wrong", f"no command can be run: {error.message}", _sandbox_way_out())
        if fine.get("exitCode") != 0:
            words = str(fine.get("stderr") or "").strip().splitlines()
            text = f"a command that does nothing fails in it: {words[-1] if words else fine.get('exitCode')}"
            return Finding("sandbox", "wrong", text, _sandbox_way_out())
        if file.exists():
            return Finding("sandbox", "wrong", "a command could write although it may only read", _sandbox_way_out())
    whose = f" ({shutil.which('bwrap') or 'with the bubblewrap that codex brings along'})" if _IS_LINUX else ""
    return Finding("sandbox", "ok", f"a command ran read-only, and one that tried to write was refused{whose}")


async def _execute(runtime: Runtime, command: list[str], folder: str) -> Mapping[str, JsonValue]:
    params = {"command": command, "cwd": folder, "sandboxPolicy": {"type": "readOnly"}, "timeoutMs": 10_000}
    told = await runtime.request("command/exec", params, deadline=_SANDBOX_LIMIT)
    return told if isinstance(told, dict) else {}


def _sandbox_way_out() -> str:
    if _IS_LINUX:
        return "install bubblewrap, and allow unprivileged user namespaces; in a container, let that be the sandbox"
    return "see the codex documentation on sandboxing"


async def _configuration(runtime: Runtime, warnings: Subscription) -> Finding:
    """Ask for the configuration, and read what the app server had to say about it by now."""
    name, way_out = "config", "edit config.toml in CODEX_HOME"
    try:
        await runtime.request("config/read", {})
    except RequestFailedError as error:
        return Finding(name, "wrong", " ".join(error.message.split()), way_out)
    warnings.close()
    texts = []
    async for envelope in warnings:
        if not isinstance(envelope, Gap) and isinstance(envelope.params, dict):
            told = [str(envelope.params[key]) for key in ("summary", "details", "path") if envelope.params.get(key)]
            texts.append(" ".join(" ".join(told).split()))
    texts = [text for text in texts if "bubblewrap" not in text]  # the sandbox has a finding of its own
    return (
        Finding(name, "warning", "; ".join(texts), way_out)
        if texts
        else Finding(name, "ok", "read without a complaint")
    )


def _show(screen: Screen, finding: Finding) -> None:
    mark, style = _MARKS[finding.state]
    screen.paragraph(finding.text, mark=f"{mark}{finding.name:<{_NAME_WIDTH}}  ", mark_style=style)
    if finding.way_out is not None and finding.state != "ok":
        screen.paragraph(finding.way_out, "bold", mark=f"{'':<{_NAME_WIDTH + 2}}→ ", mark_style="dim")


def _conclude(screen: Screen, findings: list[Finding]) -> None:
    wrong = sum(finding.state == "wrong" for finding in findings)
    screen.line()
    if wrong:
        screen.line(f"{wrong} thing{'s are' if wrong > 1 else ' is'} wrong; → shows the way out", "red")
    else:
        screen.line("everything is there", "green")


def _write_json(findings: list[Finding]) -> None:
    checks = [
        {"name": finding.name, "state": finding.state, "text": finding.text, "way_out": finding.way_out}
        for finding in findings
    ]
    report = {"ok": all(finding.state != "wrong" for finding in findings), "checks": checks}
    sys.stdout.write(f"{visible_json(json.dumps(report, ensure_ascii=False, indent=2))}\n")
