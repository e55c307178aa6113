"""Runs the command line as a user does: in a terminal of its own, or with pipes.

The terminal is a real pty, and the command's controlling terminal, so Ctrl-C is what it is. What the command wrote is kept
raw, and can be read as the picture that a person would be looking at.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import pty
import re
import signal
import struct
import sys
import termios
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from types import TracebackType

COMMAND = (sys.executable, "-m", "codex_runtime")
PATIENCE = 20.0
"""Seconds to wait for something that must come."""

_SEQUENCE = re.compile(r"\x1b\[([0-9;?]*)([A-Za-z])")


@dataclass(frozen=True, slots=True)
class Ended:
    """What a command with pipes came to."""

    code: int
    out: str
    err: str


def environment(extra: Mapping[str, str | None] = {}) -> dict[str, str]:
    """Return our environment, without what would change how a terminal is treated, and with `extra`."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("CODEX_", "NO_COLOR", "FORCE_"))}
    ours |= {name: value for name, value in os.environ.items() if name.startswith("CODEX_RUNTIME_TEST")}
    wanted = {**ours, "TERM": "xterm-256color", "COLUMNS": "", "LINES": "", **extra}
    return {name: value for name, value in wanted.items() if value}


async def piped(*arguments: str, stdin: str = "", cwd: Path | None = None, **env: str) -> Ended:
    """Run a command with pipes, and no terminal anywhere, to its end."""
    process = await asyncio.create_subprocess_exec(
        *COMMAND,
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment(env),
        cwd=cwd,
        start_new_session=True,
    )
    async with asyncio.timeout(PATIENCE):
        out, err = await process.communicate(stdin.encode())
    return Ended(process.returncode or 0, out.decode(), err.decode())


class Terminal:
    """A command in a terminal. Use it as `async with Terminal("run", "hello") as terminal`; leaving ends the command."""

    def __init__(
        self,
        *arguments: str,
        columns: int = 80,
        cwd: Path | None = None,
        stdin: int | None = None,
        stdout: int | None = None,
        **env: str,
    ) -> None:
        self._arguments = arguments
        self._columns = columns
        self._cwd = cwd
        self._env = env
        self._stdin = stdin
        self._stdout = stdout
        self._seen = 0
        self._raw = bytearray()
        self._changed = asyncio.Event()
        self._at_end = False

    async def __aenter__(self) -> Self:
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, self._columns, 0, 0))
        self.process = await asyncio.create_subprocess_exec(
            *COMMAND,
            *self._arguments,
            stdin=theirs if self._stdin is None else self._stdin,
            stdout=theirs if self._stdout is None else self._stdout,
            stderr=theirs,
            env=environment(self._env),
            cwd=self._cwd,
            start_new_session=True,
            preexec_fn=_take_terminal,
        )
        os.close(theirs)
        os.set_blocking(self._ours, False)
        asyncio.get_running_loop().add_reader(self._ours, self._read)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.returncode is None:
            self.process.kill()
            await self.process.wait()
        asyncio.get_running_loop().remove_reader(self._ours)
        os.close(self._ours)

    @property
    def raw(self) -> str:
        """All that was written, escape sequences and all."""
        return self._raw.decode(errors="replace")

    @property
    def text(self) -> str:
        """All lines as a person sees them in the end: what was erased is gone, and styles are left out."""
        return picture(self.raw)

    def type(self, text: str) -> None:
        r"""Press these keys; `"\x03"` is Ctrl-C."""
        os.write(self._ours, text.encode())

    def signal(self, number: signal.Signals) -> None:
        """Send the command a signal."""
        self.process.send_signal(number)

    def forget(self) -> None:
        """Look only at what comes from now on, when waiting to see something."""
        self._seen = len(self.raw)

    async def see(self, *wanted: str, patience: float = PATIENCE) -> None:
        """Wait until all of these can be seen, or could be seen before they were erased."""
        try:
            async with asyncio.timeout(patience):
                while not all(text in _SEQUENCE.sub("", self.raw[self._seen :]) for text in wanted):
                    assert not self._at_end, f"ended without {wanted}:\n{self.text}"
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise AssertionError(f"did not come: {wanted}\n{self.text}") from None

    async def end(self) -> int:
        """Wait for the end of the command and return its exit code."""
        async with asyncio.timeout(PATIENCE):
            await self.process.wait()
            while not self._at_end:
                self._changed.clear()
                await self._changed.wait()
        return self.process.returncode or 0

    def _read(self) -> None:
        try:
            data = os.read(self._ours, 65536)
        except OSError:  # how Linux says that nobody holds the other side any more
            data = b""
        self._raw += data
        if not data:
            self._at_end = True
            asyncio.get_running_loop().remove_reader(self._ours)
        self._changed.set()


def _take_terminal() -> None:
    fcntl.ioctl(2, termios.TIOCSCTTY, 0)


def picture(raw: str) -> str:
    """Return what is left on a terminal: knows returns, the erasing of a line, and styles, which it drops."""
    lines, column = [""], 0
    position = 0
    while position < len(raw):
        found = _SEQUENCE.match(raw, position)
        if found is not None:
            if found[2] == "K":
                lines[-1] = "" if found[1] == "2" else lines[-1][:column]
            position = found.end()
            continue
        character = raw[position]
        position += 1
        if character == "\n":
            lines.append("")
            column = 0
        elif character == "\r":
            column = 0
        else:
            lines[-1] = lines[-1][:column].ljust(column) + character + lines[-1][column + 1 :]
            column += 1
    return "\n".join(line.rstrip() for line in lines)
