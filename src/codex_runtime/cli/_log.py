"""`codex-runtime log`: look into a journal, also while a runtime writes it.

Only reads. What is shown to people passes through the screen, where nothing of it can steer the terminal; what is exported
to a file or a pipe is exact.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from codex_runtime.cli._exits import ExitCode, Failure
from codex_runtime.cli._signals import complete

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from codex_runtime.cli._screen import Screen
    from codex_runtime.cli._signals import Signals
    from codex_runtime.journal import Entry, Journal
    from codex_runtime.runtime import Envelope, Gap

__all__ = ["log_app"]

PAGE = 1000
# How much of a message is shown on its line.
LONGEST = 400

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_MARKS = {"completed": ("✓ ", "green"), "running": ("▸ ", "yellow")}

log_app = typer.Typer(
    name="log",
    help="Look into a journal: list its turns, show one, watch it grow, export it.",
    rich_markup_mode=None,
)

File = Annotated[str, typer.Argument(metavar="FILE", help="The journal.")]
Thread = Annotated[str | None, typer.Option(metavar="THREAD", help="Only this thread.", show_default=False)]

Since = Annotated[
    str | None,
    typer.Option(metavar="WHEN", help='From this time on: "10m" ago, or "2026-11-28 09:00".', show_default=False),
]


@log_app.command("list", help="List the turns, from the oldest to the newest.")
def list_turns(
    file: File,
    *,
    thread: Thread = None,
    limit: Annotated[int, typer.Option("-n", metavar="COUNT", min=1, help="At most so many, the newest.")] = 50,
) -> None:
    """Show one line for each turn."""
    from codex_runtime.cli._screen import Screen

    with _opened(file) as journal:
        turns = _turns(journal, thread, limit)
    screen = Screen(sys.stdout)
    for turn in turns:
        mark, style = _MARKS.get(turn.status, ("✗ ", "red"))
        took = "" if turn.ended_at is None else f"{max(0.0, turn.ended_at - turn.started_at):.1f} s"
        # The id comes first, and whole: it is what `show` wants.
        words = f"{turn.turn_id}  {turn.status:<11} {took:>8}  {_when(turn.started_at)}  {turn.prompt}"
        screen.line(words.rstrip(), mark=mark, mark_style=style, crop=True)


@log_app.command("tail", help="Show the newest entries, one on a line.")
def tail(
    file: File,
    *,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with those that come.")] = False,
    count: Annotated[int, typer.Option("-n", metavar="COUNT", min=0, help="How many to begin with, the newest.")] = 20,
    thread: Thread = None,
    since: Since = None,
) -> None:
    """Show entries, and wait for more."""
    from codex_runtime.cli._screen import Screen

    screen = Screen(sys.stdout)
    with _opened(file) as journal:
        after = journal.position
        entries = journal.last(count, before=after + 1, thread=thread) if count > 0 else []
        oldest = 0 if since is None else _before(journal, "--since", since)
        for entry in [entry for entry in entries if entry.cursor > oldest]:
            _show_entry(screen, entry)
            after = max(after, entry.cursor)
        if follow:
            raise typer.Exit(complete(lambda signals: _follow(journal, screen, after, thread, signals)))


@log_app.command("show", help="Show one turn as it was shown when it ran.")
def show(file: File, turn: Annotated[str, typer.Argument(metavar="TURN", help="The id of the turn.")]) -> None:
    """Replay a turn to the screen."""
    from codex_runtime.cli._screen import Screen
    from codex_runtime.cli._view import TurnView, summary
    from codex_runtime.journal import Replayer

    screen = Screen(sys.stdout)
    view = TurnView(screen, cwd=os.getcwd())  # noqa: PTH109  a name to shorten paths by, not a place to go
    replayer, found = Replayer(), False
    with _opened(file) as journal:
        for entry in _entries(journal, turn=turn):
            for reducer, event in replayer.feed(entry):
                if reducer.turn_id == turn:
                    found = True
                    view.show(event)
    if not found:
        raise Failure(ExitCode.USAGE, f"TURN: there is no turn {turn} in {file}")
    screen.status()
    for result in replayer.outcome().turns:
        if result.turn_id == turn:
            good = result.is_completed
            words = " · ".join(word for word in (result.status.replace("_", " "), summary(result)) if word)
            screen.line(words, "green" if good else "red", mark="✓ " if good else "✗ ")


@log_app.command("export", help="Write the messages as JSON lines, as the sink for JSON lines does.")
def export(
    file: File,
    *,
    thread: Thread = None,
    after: Annotated[int, typer.Option(metavar="CURSOR", help="Only what comes after this place.")] = 0,
    since: Since = None,
    until: Annotated[
        str | None, typer.Option(metavar="WHEN", help="Only what came before this time.", show_default=False)
    ] = None,
) -> None:
    """Write every message to standard output."""
    from codex_runtime._sansio.display import visible_json
    from codex_runtime.runtime._jsonl import jsonl

    is_shown = sys.stdout.isatty()
    with _opened(file) as journal:
        if since is not None:
            after = max(after, _before(journal, "--since", since))
        last = journal.position if until is None else _before(journal, "--until", until)
        for page in _pages(journal, after=after, thread=thread):
            lines = jsonl(_items([entry for entry in page if entry.cursor <= last]))
            if is_shown:
                for line in lines.decode("utf-8", "surrogateescape").split("\n")[:-1]:
                    sys.stdout.write(visible_json(line) + "\n")
            else:
                sys.stdout.buffer.write(lines)
            if page[-1].cursor >= last:
                break
    sys.stdout.flush()


# --- inside -----------------------------------------------------------------------------------------------------------


class _Turn:
    """What the list tells of a turn."""

    def __init__(self, entry: Entry, prompt: str) -> None:
        self.turn_id = entry.turn_id or ""
        self.thread_id = entry.thread_id or ""
        self.place = (entry.run, entry.generation)
        self.started_at = entry.at
        self.ended_at: float | None = None
        self.status = "running"
        self.prompt = prompt


def _opened(file: str) -> Journal:
    from codex_runtime.journal import Journal

    return Journal(file)


def _pages(
    journal: Journal,
    *,
    after: int = 0,
    thread: str | None = None,
    turn: str | None = None,
    methods: Collection[str] | None = None,
) -> Iterator[list[Entry]]:
    while page := journal.read(after=after, limit=PAGE, thread=thread, turn=turn, methods=methods):
        yield page
        after = page[-1].cursor


def _entries(
    journal: Journal,
    *,
    after: int = 0,
    thread: str | None = None,
    turn: str | None = None,
    methods: Collection[str] | None = None,
) -> Iterator[Entry]:
    for page in _pages(journal, after=after, thread=thread, turn=turn, methods=methods):
        yield from page


def _items(page: list[Entry]) -> list[Envelope | Gap]:
    """Return messages and gaps. Those of one read share their stamp again, so that they are written together."""
    items: list[Envelope | Gap] = []
    stamp = None
    for entry in page:
        if (envelope := entry.envelope) is not None:
            if envelope.stamp == stamp:
                envelope.stamp = stamp
            stamp = envelope.stamp
            items.append(envelope)
        elif (gap := entry.gap) is not None:
            items.append(gap)
    return items


def _before(journal: Journal, option: str, when: str) -> int:
    """Return the cursor of the last entry that came before a time, 0 if there is none.

    Entries are in the order of their times, unless somebody set the clock back; then it is some place of that time.
    """
    at = _moment(option, when)
    low, high = journal.oldest, journal.position + 1
    if high == 1:
        return 0
    while low < high:
        middle = (low + high) // 2
        # An entry may have gone meanwhile: then the next one is as good.
        if (found := journal.read(after=middle - 1, limit=1)) and found[0].at < at:
            low = middle + 1
        else:
            high = middle
    return low - 1


def _moment(option: str, when: str) -> float:
    """Return the Unix time that somebody means by "10m" (ago) or "2026-11-28 09:00"."""
    try:
        if when[:-1].isdecimal() and when[-1] in _UNITS:
            return time.time() - int(when[:-1]) * _UNITS[when[-1]]
        return datetime.fromisoformat(when).timestamp()
    except (ValueError, OverflowError):
        raise Failure(
            ExitCode.USAGE, f"{option}: {when!r} is no time; say 30s, 10m, 2h or 3d (ago), or 2026-11-28 09:00"
        ) from None


def _last(journal: Journal, count: int, thread: str | None, method: str, *, before: int | None = None) -> list[Entry]:
    """Return the newest messages with this method."""
    found: list[Entry] = []
    while len(found) < count:
        page = journal.last(count, before=before, thread=thread, methods=(method,))
        if not page:
            break
        found = [*(entry for entry in page if entry.method == method), *found]  # gaps come unasked
        before = page[0].cursor
    return found[-count:]


def _turns(journal: Journal, thread: str | None, limit: int) -> list[_Turn]:
    if limit == 0:
        return []
    after = 0
    starts = _last(journal, limit, thread, "turn/started")
    if len(starts) == limit:  # else the list is everything, also what has no start any more
        asked = _last(journal, 1, thread, "turn/start", before=starts[0].cursor)
        after = (asked or starts)[0].cursor - 1
    turns: dict[tuple[str | None, str | None], _Turn] = {}
    prompts: dict[str | None, str] = {}
    for entry in _entries(
        journal, after=after, thread=thread, methods=("turn/start", "turn/started", "turn/completed")
    ):
        key = (entry.thread_id, entry.turn_id)
        if entry.method == "turn/start":
            prompts[entry.thread_id] = _prompt(entry)
        elif entry.method == "turn/started":
            turns[key] = _Turn(entry, prompts.pop(entry.thread_id, ""))
        elif entry.envelope is not None and (key in turns or not after):
            turn = turns.setdefault(key, _Turn(entry, ""))
            turn.ended_at, turn.status = entry.at, _status(entry)
    newest = journal.last()
    place = (newest[0].run, newest[0].generation) if newest and newest[0].kind != "closed" else None
    for turn in turns.values():
        # What has no end, and cannot get one any more, was lost.
        if turn.ended_at is None and turn.place != place:
            turn.status = "lost"
    return list(turns.values())[-limit:]


def _status(entry: Entry) -> str:
    params = entry.message.get("params") if isinstance(entry.message, dict) else None
    turn = params.get("turn") if isinstance(params, dict) else None
    status = turn.get("status") if isinstance(turn, dict) else None
    return status if isinstance(status, str) else (entry.method or "").removeprefix("turn/")


def _prompt(entry: Entry) -> str:
    from codex_runtime._sansio.display import one_line

    message = entry.message
    params = message.get("params") if isinstance(message, dict) else None
    parts = params.get("input") if isinstance(params, dict) else None
    texts = [part.get("text") for part in parts if isinstance(part, dict)] if isinstance(parts, list) else []
    return one_line(" ".join(text for text in texts if isinstance(text, str)))[:LONGEST]


def _show_entry(screen: Screen, entry: Entry) -> None:
    from codex_runtime._sansio.display import one_line

    envelope, arrow = entry.envelope, "→" if entry.direction == "outbound" else "←"
    if envelope is None:
        gap = entry.gap
        text = entry.kind if gap is None else f"gap: {gap.count} messages, {gap.first_seq} to {gap.last_seq}"
        screen.line(f"{_when(entry.at)}  {entry.cursor:>8}  -- {text}", "yellow", crop=True)
        return
    delta = envelope.shallow.delta
    text = delta if delta is not None else entry.line.decode("utf-8", "replace")
    name = entry.method or entry.kind
    screen.line(f"{_when(entry.at)}  {entry.cursor:>8}  {arrow} {name}  {one_line(text)[:LONGEST]}", crop=True)


def _when(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))


async def _follow(journal: Journal, screen: Screen, after: int, thread: str | None, signals: Signals) -> ExitCode:
    task = asyncio.current_task()
    if task is not None:
        signals.on_first = task.cancel  # looking on can be ended at any time, and then all went well
    try:
        async for entry in journal.follow(after=after, thread=thread):
            _show_entry(screen, entry)
            sys.stdout.flush()
    except asyncio.CancelledError:
        if signals.caught is None:
            raise
    return ExitCode.OK
