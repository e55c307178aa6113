r"""The arguments of the command line: what may be typed, what it means, and what is said when it is wrong.

This file checks and hands over; the work is in one file per command. The one idea: every way to fail passes through
:func:`run_app`, which says one line, ``error: ...``, and returns the code for the shell. There are no tracebacks.
"""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Sequence
from enum import Enum
from io import TextIOWrapper
from typing import Annotated, Any, cast

import typer

from codex_runtime import __version__
from codex_runtime.cli._exits import ExitCode, Failure, failure_of
from codex_runtime.cli._log import log_app
from codex_runtime.cli._replay import REPLAY_HELP, replay
from codex_runtime.cli._signals import complete
from codex_runtime.errors import CodexError

__all__ = ["app", "run_app"]

# What typer raises for wrong arguments. Where that class lives differs from version to version; its children do not.
_ArgumentError: type[Any] = typer.BadParameter.__mro__[2]

# \b keeps the lines of a paragraph as they are.
_CODES = "\b\nExit codes:\n" + "\n".join(f"  {code.value:>3}  {code.meaning}" for code in ExitCode)
_RUN_HELP = """\
Run one turn and show it.

PROMPT is what the agent is told; - reads it from standard input. On a terminal the turn is shown as it runs. Into a pipe
goes the answer alone, and progress to standard error.

Unless told otherwise, the agent may only read. What goes beyond the sandbox is asked here, and declined if nobody is at a
terminal to answer.
"""
_RUN_MORE = f"""\
Ctrl-C interrupts the turn and waits for its end; a second one ends everything at once.

\b
With --json, each line is an object with a "type":
  session           first: thread_id, cwd, model, sandbox, codex
  text_delta, ...   the events: text_completed, reasoning_delta, command_started,
                    command_output, command_completed, file_change_completed, ...
  approval_requested, approval_settled
  result            last: status, text, commands, file_changes, usage, error,
                    thread_id, exit_code, ... (or error, if no turn was begun)

{_CODES}
"""
_DEMO_HELP = """\
See the runtime at work, without a login and without a network.

The codex binary, its protocol, its sandbox, the processes and the crash are real; the model is a script on this machine.
Everything happens in a temporary folder.
"""
_DOCTOR_HELP = """\
Check what is needed: binary, version, protocol, CODEX_HOME, login, sandbox.

Says for each what was found and, where something is wrong, the way out. No model is called.
"""


# Seconds for a word, which is about as fast as one reads.
DEFAULT_PACE = 0.03


class Sandbox(str, Enum):  # noqa: UP042  as old versions of typer know it
    """What commands of the agent may touch."""

    READ_ONLY = "read-only"
    WORKSPACE_WRITE = "workspace-write"
    FULL_ACCESS = "danger-full-access"


class Approve(str, Enum):  # noqa: UP042
    """Who answers when the agent asks for leave."""

    ASK = "ask"
    NEVER = "never"
    ALL = "all"


class Policy(str, Enum):  # noqa: UP042
    """When the agent asks."""

    NEVER = "never"
    ON_REQUEST = "on-request"
    UNTRUSTED = "untrusted"


app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 96},
)

Binary = Annotated[
    str | None,
    typer.Option(
        metavar="PATH",
        help="The codex binary. Else $CODEX_BINARY, the wheel of the extra `codex`, or codex on PATH.",
        show_default=False,
    ),
]
CodexHome = Annotated[
    str | None,
    typer.Option(
        metavar="DIR", help="Configuration and login of codex. Else $CODEX_HOME or ~/.codex.", show_default=False
    ),
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "-c", "--config", metavar="KEY=VALUE", help="A setting of codex, such as model_provider=ollama. Repeatable."
    ),
]


@app.callback(invoke_without_command=True, help="Start, supervise and drive the local Codex app server.", epilog=_CODES)
def top(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Say which version this is.")] = False,  # noqa: FBT002
) -> None:
    """Answer what needs no command."""
    if version:
        typer.echo(f"codex-runtime {__version__}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit(ExitCode.USAGE)


@app.command(help=_RUN_HELP, epilog=_RUN_MORE)
def run(
    prompt: Annotated[str, typer.Argument(metavar="PROMPT", help="What to do; - reads it from standard input.")],
    *,
    cwd: Annotated[
        str | None, typer.Option(metavar="DIR", help="Where the agent works. Else this folder.", show_default=False)
    ] = None,
    model: Annotated[str | None, typer.Option(metavar="NAME", help="The model.", show_default=False)] = None,
    effort: Annotated[
        str | None, typer.Option(metavar="WORD", help="How hard it thinks: low, medium, high, ...", show_default=False)
    ] = None,
    sandbox: Annotated[Sandbox, typer.Option(help="What commands may touch.")] = Sandbox.READ_ONLY,
    network: Annotated[bool, typer.Option("--network", help="Let commands use the network.")] = False,
    approve: Annotated[
        Approve, typer.Option(help="Who answers when the agent asks for leave: you, no, or yes.")
    ] = Approve.ASK,
    policy: Annotated[
        Policy | None, typer.Option(help="When it asks. By default on request, or never if nobody would answer.")
    ] = None,
    timeout: Annotated[float, typer.Option(metavar="SECONDS", help="Time limit of the turn; 0 is none.")] = 600.0,
    resume: Annotated[
        str | None, typer.Option(metavar="THREAD", help="Go on with this thread.", show_default=False)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Write events and result as JSON lines.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Write the answer alone.")] = False,
    codex_home: CodexHome = None,
    binary: Binary = None,
    config: Settings = None,
) -> None:
    """Check the arguments of ``run``, and run it."""
    from codex_runtime.cli._run import RunRequest, run_turn

    if not (math.isfinite(timeout) and timeout >= 0):
        raise Failure(ExitCode.USAGE, "--timeout: must be a number of seconds, 0 or more")
    request = RunRequest(
        prompt=_prompt(prompt),
        cwd=cwd,
        model=model,
        effort=effort,
        sandbox=sandbox.value,
        network=network,
        approve=approve.value,
        policy=policy.value if policy is not None else None,
        timeout=timeout or None,
        codex_home=codex_home,
        binary=binary,
        settings=_settings(config),
        resume=resume,
        json=as_json,
        quiet=quiet,
    )
    raise typer.Exit(complete(lambda signals: run_turn(request, signals)))


@app.command(help=_DEMO_HELP, epilog=_CODES)
def demo(
    *,
    yes: Annotated[
        bool | None, typer.Option("--yes/--no", help="Answer the question of the demo for you.", show_default=False)
    ] = None,
    pace: Annotated[
        float, typer.Option(metavar="SECONDS", help="How long the model takes for a word; 0 is at once.")
    ] = DEFAULT_PACE,
    binary: Binary = None,
) -> None:
    """Check the arguments of ``demo``, and play it."""
    from codex_runtime.cli._demo import run_demo

    if not 0 <= pace <= 1:
        raise Failure(ExitCode.USAGE, "--pace: must be a number of seconds from 0 to 1")
    raise typer.Exit(complete(lambda signals: run_demo(signals, yes=yes, pace=pace, binary=binary)))


@app.command(help=_DOCTOR_HELP, epilog="Exit codes: 0 all is well, 1 something is wrong.")
def doctor(
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Write the findings as JSON.")] = False,
    codex_home: CodexHome = None,
    binary: Binary = None,
) -> None:
    """Check everything."""
    from codex_runtime.cli._doctor import run_doctor

    raise typer.Exit(complete(lambda _: run_doctor(binary=binary, codex_home=codex_home, as_json=as_json)))


app.add_typer(log_app)
app.command("replay", help=REPLAY_HELP)(replay)


def run_app(arguments: Sequence[str]) -> int:
    """Run the command line with these arguments and return the exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # an old locale must not end a command
    code = _invoke(arguments)
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        # What is still buffered has nowhere to go, and the interpreter must not complain about that at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.PIPE_CLOSED
    return code


def _invoke(arguments: Sequence[str]) -> int:
    try:
        code: object = typer.main.get_command(app).main(
            list(arguments), prog_name="codex-runtime", standalone_mode=False
        )
    except Failure as failure:
        return _say(failure)
    except CodexError as error:
        return _say(failure_of(error))
    except (KeyboardInterrupt, typer.Abort):
        return _say(Failure(ExitCode.INTERRUPTED, "interrupted"))
    except SystemExit:  # typer's way to say that nobody reads the help any more
        return ExitCode.PIPE_CLOSED
    except Exception as error:  # noqa: BLE001  a person at a terminal gets a sentence, whatever happened
        if isinstance(error, _ArgumentError):
            return _say(Failure(ExitCode.USAGE, f"{_plain(error)}; {_command(error)} --help tells more"))
        return _say(Failure(ExitCode.FAILED, f"something unexpected happened: {type(error).__name__}: {error}"))
    return code if isinstance(code, int) else ExitCode.OK


def _say(failure: Failure) -> int:
    if failure.message:
        typer.echo(f"error: {failure.message}", err=True)
    return failure.code


def _command(error: object) -> str:
    """The command whose arguments were wrong, with all its words."""
    return getattr(getattr(error, "ctx", None), "command_path", None) or "codex-runtime"


def _plain(error: object) -> str:
    # Some versions of typer let the class of the error behind it show.
    return cast("str", cast("Any", error).format_message()).rstrip(".").replace(": Value error, ", ": ")


def _prompt(text: str) -> str:
    try:
        # The bytes of an argument that are not UTF-8 come as surrogates, which cannot be encoded.
        data = sys.stdin.buffer.read() if text == "-" else text.encode()
        text = data.decode()
    except UnicodeError as error:
        raise Failure(ExitCode.USAGE, "PROMPT: is not UTF-8 text") from error
    if not text.strip():
        raise Failure(ExitCode.USAGE, "PROMPT: must not be empty")
    return text


def _settings(pairs: Sequence[str] | None) -> dict[str, str]:
    settings: dict[str, str] = {}
    for pair in pairs or ():
        key, equals, value = pair.partition("=")
        if not equals or not key.strip():
            raise Failure(ExitCode.USAGE, f"-c: {pair!r} is not KEY=VALUE")
        settings[key.strip()] = value
    return settings
