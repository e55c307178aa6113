"""`codex-runtime run` with the real app server: on a terminal, in a pipe, as JSON, interrupted, and gone wrong."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from codex_runtime.testing import Exec, Gate, Hold, Patch, Reply, Say, Stall, Think
from tests.cli.command_line import Terminal, piped

if TYPE_CHECKING:
    from codex_runtime.testing import MockModel

pytestmark = pytest.mark.timeout(90)

ASK = Exec("echo asked > asked.txt", escalate=True, justification="May I write a file?", call_id="ask")
ADD = Patch("*** Begin Patch\n*** Add File: new.txt\n+hello\n*** End Patch\n", call_id="add")


async def test_on_a_terminal_the_turn_is_shown_as_it_runs(model: MockModel, home: str, workspace: Path) -> None:
    """Reasoning, text, commands and patches, and at the end what it came to and how to go on."""
    gate = Gate()
    model.enqueue(
        Reply(Think("I look."), Say("Looking.", phase="commentary"), Exec("sleep 0.4; echo one; exit 3", call_id="x")),
        Reply(ADD),
        Reply(Say("All \x1b[31mis [bold]well[/bold]."), Hold(gate)),
    )
    arguments = ("run", "look around", "--codex-home", home, "--cwd", str(workspace), "--sandbox", "workspace-write")
    async with Terminal(*arguments) as terminal:
        await terminal.see("well[/bold].")  # while the turn still runs
        gate.open()
        assert await terminal.end() == 0
        lines = terminal.text.splitlines()
    assert lines[0].startswith("codex 0.")
    assert lines[1:12] == [
        "· I look.",
        "Looking.",
        "",
        "$ sleep 0.4; echo one; exit 3",
        "  │ one",
        lines[6],
        "± new file new.txt  +1 -0",
        "  │ +hello",
        "  ✓ applied",
        "",
        "All ␛[31mis [bold]well[/bold].",
    ]
    assert lines[6].startswith("  ✗ exit 3 · 0.")
    assert lines[12].startswith("✓ completed · ")
    assert lines[12].endswith(" · 1 command · 1 file")
    assert lines[13].startswith("  go on with: --resume ")
    assert (workspace / "new.txt").read_text() == "hello\n"


async def test_the_head_is_one_line_whatever_the_folder_is_called(model: MockModel, home: str, tmp_path: Path) -> None:
    """A name may hold a newline, and must not pass for a line of ours."""
    folder = tmp_path / "a\n✓ completed"
    folder.mkdir()
    model.enqueue("Hello.")
    ended = await piped("run", "hello", "--codex-home", home, "--cwd", str(folder))
    assert (ended.code, ended.out) == (0, "Hello.\n")
    assert ended.err.splitlines()[0].endswith("/a␤✓ completed")


async def test_the_status_follows_the_start(model: MockModel, home: str, workspace: Path) -> None:
    """Once the head is there, the app server is no longer said to start."""
    gate = Gate()
    model.enqueue(Reply(Hold(gate), Say("Hello.")))
    async with Terminal("run", "hello", "--codex-home", home, "--cwd", str(workspace)) as terminal:
        await terminal.see("codex 0.")
        terminal.forget()
        await terminal.see("thinking")
        late = terminal.raw[terminal.raw.index("codex 0.") :]
        gate.open()
        assert await terminal.end() == 0
    assert "starting the app server" not in late


async def test_a_pipe_gets_the_answer_alone(model: MockModel, home: str, workspace: Path) -> None:
    """Progress goes to standard error, without escape sequences; the prompt may come from standard input."""
    model.enqueue(
        Reply(Say("On it.", phase="commentary"), Exec("true")), Reply(Say("Done\x1b[2J.", phase="final_answer"))
    )
    ended = await piped("run", "-", "--codex-home", home, "--cwd", str(workspace), stdin="do it\n")
    assert (ended.code, ended.out) == (0, "Done␛[2J.\n")
    assert "✓ completed" in ended.err
    assert "\x1b" not in ended.err
    assert "On it." not in ended.err
    assert model.requests[0].prompt == "do it\n"


async def test_quiet_is_quiet(model: MockModel, home: str, workspace: Path) -> None:
    """Nothing but the answer, on either stream."""
    model.enqueue("Done.")
    ended = await piped("run", "do it", "-q", "--codex-home", home, cwd=workspace)
    assert (ended.code, ended.out, ended.err) == (0, "Done.\n", "")


async def test_json_tells_every_event_and_the_result(model: MockModel, home: str, workspace: Path) -> None:
    """From the session to the result; what is asked is declined, as nobody is there, and that is told too."""
    model.enqueue(Reply(ASK), Reply(Say("So be it.")))
    arguments = ("--codex-home", home, "--cwd", str(workspace), "--policy", "on-request")
    ended = await piped("run", "do it", "--json", *arguments)
    assert (ended.code, ended.err) == (0, "")
    records = [json.loads(line) for line in ended.out.splitlines()]
    kinds = [record["type"] for record in records]
    assert (kinds[0], kinds[1], kinds[-2], kinds[-1]) == ("session", "turn_started", "turn_completed", "result")
    asked = records[kinds.index("approval_requested")]
    settled = records[kinds.index("approval_requested") + 1]
    assert asked["method"] == "item/commandExecution/requestApproval"
    assert asked["params"]["reason"] == "May I write a file?"
    assert settled["type"] == "approval_settled"
    assert (settled["ticket_id"], settled["outcome"]) == (asked["ticket_id"], "declined")
    assert "".join(record["text"] for record in records if record["type"] == "text_delta") == "So be it."
    result = records[-1]
    assert (result["status"], result["text"], result["exit_code"]) == ("completed", "So be it.", 0)
    assert result["thread_id"] == records[0]["thread_id"]
    assert records[0]["cwd"] == str(workspace)


async def test_a_thread_can_be_gone_on_with(model: MockModel, home: str, workspace: Path) -> None:
    """The second run has the memory of the first."""
    model.enqueue("One.", "Two.")
    first = await piped("run", "remember me", "--json", "--codex-home", home, cwd=workspace)
    thread = json.loads(first.out.splitlines()[0])["thread_id"]
    second = await piped("run", "who am I?", "-q", "--codex-home", home, "--resume", thread, cwd=workspace)
    assert second.out == "Two.\n"
    assert "remember me" in model.requests[1].texts("user")


@pytest.mark.parametrize(
    ("option", "keys", "outcome", "written"),
    [
        ("ask", "y\n", "accepted", True),
        ("ask", "maybe\nYES\n", "accepted", True),
        ("ask", "\n", "declined", False),
        ("ask", "n\n", "declined", False),
        ("ask", "\x04", "declined", False),
        ("all", "", "accepted", True),
    ],
)
async def test_what_needs_leave_is_asked(
    model: MockModel, home: str, workspace: Path, *, option: str, keys: str, outcome: str, written: bool
) -> None:
    """A plain yes is a yes; anything else that ends the question is a no."""
    model.enqueue(Reply(ASK), Reply(Say("I see.")))
    arguments = ("run", "do it", "--codex-home", home, "--cwd", str(workspace), "--approve", option)
    async with Terminal(*arguments) as terminal:
        await terminal.see("command: echo asked > asked.txt", "because: May I write a file?")
        for answer in keys.splitlines(keepends=True):
            await terminal.see("[c]ancel the turn")
            terminal.forget()
            terminal.type(answer)
        await terminal.see(f" {outcome}", "I see.")
        assert await terminal.end() == 0
    assert (workspace / "asked.txt").exists() is written


async def test_a_yes_can_last(model: MockModel, home: str, workspace: Path) -> None:
    """The same command is not asked about again."""
    model.enqueue(Reply(ASK), Reply(Exec(ASK.cmd, escalate=True, justification="Again?")), Reply(Say("Twice.")))
    async with Terminal("run", "do it", "--codex-home", home, "--cwd", str(workspace)) as terminal:
        await terminal.see("[a]lways")
        terminal.type("a\n")
        await terminal.see("Twice.")
        assert await terminal.end() == 0
        assert terminal.text.count("? run this command?") == 1


async def test_cancel_ends_the_turn(model: MockModel, home: str, workspace: Path) -> None:
    """It is an interruption, by the person who was asked."""
    model.enqueue(Reply(ASK))
    async with Terminal("run", "do it", "--codex-home", home, "--cwd", str(workspace)) as terminal:
        await terminal.see("[c]ancel the turn")
        terminal.type("c\n")
        assert await terminal.end() == 130
        assert "error: the turn was interrupted" in terminal.text


async def test_with_the_prompt_from_a_pipe_the_terminal_is_still_asked(
    model: MockModel, home: str, workspace: Path
) -> None:
    """The keyboard is the terminal behind the command, not its standard input."""
    model.enqueue(Reply(ASK), Reply(Say("I see.")))
    reading, writing = os.pipe()
    os.write(writing, b"do it")
    os.close(writing)
    async with Terminal("run", "-", "--codex-home", home, "--cwd", str(workspace), stdin=reading) as terminal:
        os.close(reading)
        await terminal.see("[c]ancel the turn")
        terminal.type("y\n")
        assert await terminal.end() == 0
    assert (workspace / "asked.txt").exists()


async def test_never_means_that_nobody_is_asked(model: MockModel, home: str, workspace: Path) -> None:
    """The model is told no by the server itself."""
    model.enqueue(Reply(ASK), Reply(Say("I see.")))
    async with Terminal(
        "run", "do it", "--approve", "never", "--codex-home", home, "--cwd", str(workspace)
    ) as terminal:
        assert await terminal.end() == 0
        assert "? run this command?" not in terminal.text
    assert not (workspace / "asked.txt").exists()


async def test_the_first_interrupt_waits_for_the_end_of_the_turn(model: MockModel, home: str, workspace: Path) -> None:
    """The server is asked to stop; the turn ends as interrupted and can be gone on with."""
    model.enqueue(Reply(Say("I am about to"), Stall()))
    async with Terminal("run", "do it", "--codex-home", home, "--cwd", str(workspace)) as terminal:
        await terminal.see("about")
        terminal.type("\x03")
        assert await terminal.end() == 130
        text = terminal.text
    assert "interrupting the turn" in text
    assert "✗ interrupted" in text
    assert "--resume" in text
    assert text.rstrip().endswith("error: the turn was interrupted")
    assert "Traceback" not in text


async def test_the_second_interrupt_ends_at_once(model: MockModel, home: str, workspace: Path) -> None:
    """Even if the app server does not react at all any more."""
    model.enqueue(Reply(Exec("sleep 60; echo $PPID", call_id="x")))
    async with Terminal("run", "do it", "--codex-home", home, "--cwd", str(workspace)) as terminal:
        await terminal.see("$ sleep 60")
        for pid in app_servers_below(terminal.process.pid):
            os.kill(pid, signal.SIGSTOP)
        terminal.type("\x03")
        await terminal.see("interrupting the turn")
        loop = asyncio.get_running_loop()
        began = loop.time()
        terminal.type("\x03")
        assert await terminal.end() == 130
        assert loop.time() - began < 4
        assert "everything that was started has ended" in terminal.text
        assert "Traceback" not in terminal.text


async def test_an_interrupt_ends_an_open_question(model: MockModel, home: str, workspace: Path) -> None:
    """The question is no longer wanted, and nothing is run."""
    model.enqueue(Reply(ASK))
    async with Terminal("run", "do it", "--codex-home", home, "--cwd", str(workspace)) as terminal:
        await terminal.see("[c]ancel the turn")
        terminal.type("\x03")
        assert await terminal.end() == 130
        assert "withdrawn" in terminal.text
    assert not (workspace / "asked.txt").exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
async def test_a_polite_signal_ends_everything(
    model: MockModel, home: str, workspace: Path, number: signal.Signals
) -> None:
    """The exit code says that it was a signal."""
    model.enqueue(Reply(Say("I am about to"), Stall()))
    async with Terminal("run", "do it", "--codex-home", home, "--cwd", str(workspace)) as terminal:
        await terminal.see("about")
        terminal.signal(number)
        assert await terminal.end() == 143
        assert "error: terminated" in terminal.text


async def test_a_turn_has_a_time_limit(model: MockModel, home: str, workspace: Path) -> None:
    """With an exit code of its own; JSON has the partial result."""
    model.enqueue(Reply(Say("I am about to"), Stall()))
    ended = await piped("run", "do it", "--json", "--timeout", "1.5", "--codex-home", home, "--cwd", str(workspace))
    assert (ended.code, ended.err) == (4, "error: the turn did not end within 1.5 s\n")
    result = json.loads(ended.out.splitlines()[-1])
    assert (result["type"], result["status"], result["exit_code"]) == ("result", "timed_out", 4)


async def test_a_turn_that_fails_says_why(model: MockModel, home: str, workspace: Path) -> None:
    """In one line, and nothing goes into the pipe."""
    model.enqueue(Reply.http_error(401, "bad key"))
    ended = await piped("run", "do it", "-q", "--codex-home", home, "--cwd", str(workspace))
    assert (ended.code, ended.out) == (1, "")
    assert ended.err.startswith("error: unexpected status 401")
    assert ended.err.count("\n") == 1


async def test_a_lost_turn_has_a_code_of_its_own(model: MockModel, home: str, workspace: Path) -> None:
    """The app server was killed in mid-turn."""
    model.enqueue(Reply(Say("I am about to"), Stall()))
    async with Terminal("run", "do it", "--codex-home", home, "--cwd", str(workspace)) as terminal:
        await terminal.see("about")
        for pid in app_servers_below(terminal.process.pid):
            os.kill(pid, signal.SIGKILL)
        assert await terminal.end() == 5
        assert "✗ lost" in terminal.text
        assert "killed by SIGKILL" in terminal.text


async def test_a_reader_that_leaves_ends_the_run_quietly(model: MockModel, home: str, workspace: Path) -> None:
    """As with any program in a pipe."""
    model.enqueue(Reply(Say("x " * 200)))
    reading, writing = os.pipe()
    os.close(reading)
    async with Terminal(
        "run", "do it", "--json", "--codex-home", home, "--cwd", str(workspace), stdout=writing
    ) as terminal:
        os.close(writing)
        assert await terminal.end() == 141
        assert terminal.text == ""


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (("",), 2, "PROMPT: must not be empty"),
        (("-",), 2, "PROMPT: must not be empty"),
        (("x", "--cwd", "/no/such/folder"), 2, "--cwd: '/no/such/folder' is not an existing folder"),
        (("x", "--binary", "/no/such/file"), 3, "the configured binary is '/no/such/file', but there is no such file"),
        (("x", "--codex-home", "/no/such/folder"), 3, "CODEX_HOME: '/no/such/folder' is not an existing folder"),
        (("x", "-c", "nonsense"), 2, "-c: 'nonsense' is not KEY=VALUE"),
        (("x", "--timeout", "-1"), 2, "--timeout: must be a number of seconds, 0 or more"),
        (("x", "--model", ""), 2, "--model: must not be empty"),
        (("x", "--sandbox", "none"), 2, "Invalid value for '--sandbox'"),
        (("x", "--nonsense"), 2, "No such option: --nonsense"),
        (("x", "--sandbox", "danger-full-access", "--network"), 2, "--network: is always on"),
        ((), 2, "Missing argument 'PROMPT'"),
    ],
)
async def test_wrong_input_is_one_clear_line(arguments: tuple[str, ...], code: int, text: str) -> None:
    """And nothing is started."""
    ended = await piped("run", *arguments)
    assert (ended.code, ended.out) == (code, "")
    assert ended.err.startswith(f"error: {text}")
    assert ended.err.count("\n") == 1


@pytest.mark.parametrize(
    ("config", "options", "code", "text"),
    [
        ("", (), 3, "nobody is logged in: `codex-runtime doctor` names the command"),
        ("model = [", (), 2, "the session cannot start: failed to load configuration"),
        ("", ("--resume", "01a2066b-df1f-7443-961e-05d1aeb87a18"), 2, "the session cannot start: no rollout found"),
        ("", ("-c", "model_provider=nobody"), 3, "Model provider `nobody` not found"),
    ],
)
async def test_what_the_server_cannot_use_is_one_clear_line(
    codex_home: Path, config: str, options: tuple[str, ...], code: int, text: str
) -> None:
    """Login, configuration and threads are the server's to judge; with --json, a program is told as well."""
    (codex_home / "config.toml").write_text(config)
    ended = await piped("run", "x", "--json", "--codex-home", str(codex_home), *options)
    assert ended.code == code
    assert ended.err.startswith("error: ")
    assert text in ended.err
    assert ended.err.count("\n") == 1
    record = json.loads(ended.out)
    assert (record["type"], record["exit_code"]) == ("error", code)
    assert text in record["message"]


def app_servers_below(pid: int) -> list[int]:
    """Find the codex processes among the descendants of a process."""
    known = {int(path.name): stat_of(path) for path in Path("/proc").iterdir() if path.name.isdigit()}
    below = {pid}
    for _ in range(4):
        below |= {child for child, (_, parent) in known.items() if parent in below}
    return [child for child in below if known[child][0] == "codex"]


def stat_of(process: Path) -> tuple[str, int]:
    """Return the name and the parent of a process; nothing in particular if it is gone."""
    try:
        head, _, tail = (process / "stat").read_text().rpartition(")")
    except OSError:
        return "", 0
    return head.partition("(")[2], int(tail.split()[1])
