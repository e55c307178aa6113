"""Checks that the code shown in a document is true.

`python -m tools.snippets README.md` looks at each fenced block of Python or of a console. A comment right above the fence
says how it is checked; a block without one is a mistake, so nothing is shown unchecked by accident:

    <!-- snippet: run -->          it runs, in an empty folder, with the real app server and a scripted model: no network
    <!-- snippet: types -->        mypy --strict accepts it (for code that would wait for a person, or needs an account)
    <!-- snippet: shown, REASON --> nobody can check it; the reason says why

Python may use `await` outside of a function, as in a notebook. In a console block each line that begins with `$ ` is a
command; lines below it have to turn up in its output, in this order (`...` alone stands for anything).
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import subprocess
import sys
import tempfile
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from codex_runtime.testing import MockModel, write_codex_home

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

TIME_LIMIT = 120.0
"""Seconds for one snippet: starting the app server on a busy machine included."""

ANSWER = "Hello from a scripted model."
"""What the model says to whatever a snippet asks."""

PYTHON = {"python", "py"}
CONSOLE = {"console", "bash", "sh", "shell"}

FENCE = re.compile(r"^```(?P<language>\w*)[^\n]*\n(?P<code>.*?)^```\s*$", re.MULTILINE | re.DOTALL)
MARK = re.compile(r"<!--\s*snippet:\s*(?P<how>run|types|shown,\s*\S.*?)\s*-->\s*\Z")

RUN_PYTHON = """
import ast, asyncio, inspect, sys
path, line = sys.argv[1], int(sys.argv[2])
code = compile("\\n" * (line - 1) + sys.stdin.read(), path, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
result = eval(code, {"__name__": "__main__"})
if inspect.iscoroutine(result):
    asyncio.run(result)
"""
"""Runs code from stdin that may await at its top; line numbers in tracebacks are those of the document."""


@dataclass(frozen=True, kw_only=True)
class Snippet:
    """One fenced block: where its code begins, and what the comment above it asks for."""

    path: Path
    line: int
    language: str
    code: str
    how: str | None

    @property
    def place(self) -> str:
        """Where it stands, as editors understand it."""
        return f"{self.path}:{self.line}"


def find_snippets(path: Path) -> Iterator[Snippet]:
    """Yield the blocks of a document that could be checked, in order."""
    text = path.read_text(encoding="utf-8")
    for fence in FENCE.finditer(text):
        if fence["language"] in PYTHON | CONSOLE:
            mark = MARK.search(text, 0, fence.start())
            yield Snippet(
                path=path,
                line=text.count("\n", 0, fence.start("code")) + 1,
                language=fence["language"],
                code=fence["code"],
                how=mark["how"].partition(",")[0] if mark else None,
            )


def check(snippets: Sequence[Snippet]) -> list[str]:
    """Return one complaint for each snippet that is not true, or not marked."""
    complaints = [f"{one.place}: say how this is checked: <!-- snippet: run -->" for one in snippets if one.how is None]
    complaints += check_types([one for one in snippets if one.how == "types"])
    runnable = [one for one in snippets if one.how == "run"]
    if runnable:
        complaints += asyncio.run(check_by_running(runnable))
    return complaints


def check_types(snippets: Sequence[Snippet]) -> list[str]:
    """Let mypy judge the snippets; its line numbers are those of the document."""
    complaints = [f"{one.place}: only Python has types" for one in snippets if one.language not in PYTHON]
    with tempfile.TemporaryDirectory() as folder:
        files = {}
        for one in snippets:
            # The line of the fence itself has room for the function that makes `await` legal.
            head = "\n" * (one.line - 2) + "async def snippet() -> None:\n"
            file = Path(folder, f"line_{one.line}.py")
            file.write_text(head + textwrap.indent(one.code, "    "), encoding="utf-8")
            files[file.name] = one  # by name alone: mypy repeats what it said before of a file elsewhere
        if not files:
            return complaints
        command = [
            sys.executable,
            "-m",
            "mypy",
            "--strict",
            "--no-error-summary",
            "--config-file=",
            *(str(Path(folder, name)) for name in files),
        ]
        verdict = subprocess.run(command, capture_output=True, text=True, check=False)
    for line in verdict.stdout.splitlines():
        name, _, rest = line.partition(":")
        judged = files.get(Path(name).name)
        complaints.append(line if judged is None else f"{judged.path}:{rest}")
    return complaints + ([verdict.stderr] if verdict.stderr else [])


async def check_by_running(snippets: Sequence[Snippet]) -> list[str]:
    """Run each snippet in a folder of its own, one after the other."""
    async with MockModel(default=ANSWER) as model:
        return [complaint for one in snippets if (complaint := await _complaint_of_run(one, model.base_url))]


async def _complaint_of_run(snippet: Snippet, model_url: str) -> str | None:
    with tempfile.TemporaryDirectory() as home, tempfile.TemporaryDirectory() as workspace:
        write_codex_home(home, model_url)
        environment = os.environ | {
            "CODEX_HOME": home,
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]),
        }
        for argv, stdin, expected in _commands(snippet):
            code, output = await _run(argv, stdin, workspace, environment)
            if code != 0:
                return f"{snippet.place}: ended with {code}\n{textwrap.indent(output, '    ')}"
            if not _appears(expected, output):
                return f"{snippet.place}: the output is another one\n{textwrap.indent(output, '    ')}"
    return None


def _commands(snippet: Snippet) -> Iterator[tuple[list[str], str, list[str]]]:
    """Yield what to start, what it reads, and which lines it is said to print."""
    if snippet.language in PYTHON:
        yield [sys.executable, "-c", RUN_PYTHON, str(snippet.path), str(snippet.line)], snippet.code, []
        return
    for block in re.split(r"^\$ ", snippet.code, flags=re.MULTILINE)[1:]:
        command, *expected = block.rstrip().split("\n")
        yield ["sh", "-c", command], "", [line.strip() for line in expected if line.strip() not in {"", "..."}]


async def _run(argv: list[str], stdin: str, folder: str, environment: dict[str, str]) -> tuple[int | None, str]:
    process = await asyncio.create_subprocess_exec(
        *argv,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        cwd=folder,
        env=environment,
    )
    try:
        async with asyncio.timeout(TIME_LIMIT):
            output, _ = await process.communicate(stdin.encode())
    except TimeoutError:
        process.kill()
        await process.wait()
        return None, f"nothing after {TIME_LIMIT:.0f} seconds"
    return process.returncode, output.decode(errors="replace")


def _appears(expected: list[str], output: str) -> bool:
    lines = iter(line.strip() for line in output.splitlines())
    return all(wanted in lines for wanted in expected)  # `in` moves the iterator on: the order counts


def main(argv: Sequence[str] | None = None) -> int:
    """Check the documents named on the command line."""
    parser = argparse.ArgumentParser(prog="python -m tools.snippets", description="Check the code shown in documents.")
    parser.add_argument("documents", nargs="+", type=Path)
    documents: list[Path] = parser.parse_args(argv).documents
    snippets = [snippet for document in documents for snippet in find_snippets(document)]
    complaints = check(snippets)
    print("\n".join(complaints) if complaints else f"{len(snippets)} snippets are true")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
