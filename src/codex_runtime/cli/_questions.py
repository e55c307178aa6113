"""What the app server asks for, put to a person, and the answer of that person.

A person sees all of what would be done: commands and patches are never shortened here, and everything is made visible.
Silence, end of input and anything that this file cannot ask in a terminal are a no.

The one idea: asking is a race between the keyboard and the ticket, which may be settled by its deadline, or no longer be
wanted by the server; whoever is first ends the question.
"""

from __future__ import annotations

import asyncio
import os
import sys
import termios
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Literal, TypeAlias

from codex_runtime._sansio.server_requests import NOBODY
from codex_runtime.cli._view import INDENT, seconds

if TYPE_CHECKING:
    from collections.abc import Iterator

    from codex_runtime.cli._screen import Screen
    from codex_runtime.client import Ticket
    from codex_runtime.runtime import JsonValue

__all__ = ["Answer", "Answerer", "Keyboard", "keyboard"]

Answer: TypeAlias = Literal["accept", "accept_for_session", "decline", "cancel"]

_USER_INPUT = "item/tool/requestUserInput"

_WORDS: dict[str, Answer] = {
    "y": "accept",
    "yes": "accept",
    "a": "accept_for_session",
    "always": "accept_for_session",
    "": "decline",
    "n": "decline",
    "no": "decline",
    "c": "cancel",
    "cancel": "cancel",
}


class Answerer:
    """Answers the tickets of a turn: always with ``fixed``, or else with what the person at ``keys`` says.

    Without either, the answer is no: at once, or, if ``patient``, when the ticket's deadline comes.
    """

    def __init__(
        self, screen: Screen | None, keys: Keyboard | None, *, fixed: Answer | None = None, patient: bool = False
    ) -> None:
        self._screen = screen
        self._keys = keys
        self._fixed = fixed
        self._patient = patient

    async def answer(self, ticket: Ticket) -> None:
        """See to it that the ticket is settled, and return when it is."""
        if ticket.is_settled:
            return
        if self._screen is not None:
            self._screen.status()
            self._ask_on(self._screen, ticket)
        if self._fixed is not None:
            _settle(ticket, self._fixed if ticket.question.can_accept else "decline", can_last=False)
        elif self._keys is not None and self._screen is not None:
            await self._converse(self._screen, self._keys, ticket)
        elif self._patient:
            await ticket.wait()
        else:
            ticket.decline(NOBODY)

    def _ask_on(self, screen: Screen, ticket: Ticket) -> None:
        question = ticket.question
        screen.line(question.title, "bold yellow", mark="? ", mark_style="bold yellow")
        for part in question.parts:
            screen.line(str(part), mark=INDENT, mark_style="dim")
        if self._fixed is not None:
            screen.line("answered for you, as you wished", "dim", mark="  ")
        elif self._keys is None and self._patient:
            left = ticket.deadline - asyncio.get_running_loop().time()
            screen.line(f"nobody is at a terminal to answer; it is declined in {seconds(left)}", "dim", mark="  ")

    async def _converse(self, screen: Screen, keys: Keyboard, ticket: Ticket) -> None:
        if ticket.question.can_accept:
            talk = _consent(screen, keys, ticket, can_last=ticket.question.can_last)
        else:
            talk = _fill_in(screen, keys, ticket)
        talking = asyncio.create_task(talk, name="ask at the terminal")
        settled = asyncio.create_task(ticket.wait(), name="wait for the ticket")
        try:
            await asyncio.wait((talking, settled), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (talking, settled):
                task.cancel()
            await asyncio.wait((talking, settled))
        if not talking.cancelled():
            talking.result()


async def _consent(screen: Screen, keys: Keyboard, ticket: Ticket, *, can_last: bool) -> None:
    choices = "[y]es, [a]lways in this session, [N]o, [c]ancel the turn" if can_last else "[y]es, [N]o, [c]ancel"
    while True:
        left = ticket.deadline - asyncio.get_running_loop().time()
        line = await _line(screen, keys, f"{choices} (no in {seconds(left)}): ")
        answer = "decline" if line is None else _WORDS.get(line.strip().lower())
        if answer is not None and (can_last or answer != "accept_for_session"):
            _settle(ticket, answer, can_last=can_last)
            return


async def _fill_in(screen: Screen, keys: Keyboard, ticket: Ticket) -> None:
    """Ask the questions that a tool has for its user, one by one."""
    questions = _questions(ticket)
    if questions is None:
        ticket.decline("this cannot be answered in a terminal")
        return
    answers: dict[str, str] = {}
    for asked in questions:
        screen.line(str(asked.get("question") or asked.get("header") or ""), mark="  ")
        options = [option for option in asked.get("options") or [] if isinstance(option, dict)]
        for number, option in enumerate(options, 1):
            screen.line(f"{option.get('label')}  {option.get('description') or ''}", mark=f"  {number} ")
        line = await _line(screen, keys, "number or text: " if options else "text: ")
        if line is None:
            ticket.decline("nothing was typed")
            return
        text = line.strip()
        chosen = options[int(text) - 1].get("label") if text.isdecimal() and 0 < int(text) <= len(options) else text
        answers[str(asked.get("id"))] = str(chosen)
    ticket.give_answers(answers)


async def _line(screen: Screen, keys: Keyboard, prompt: str) -> str | None:
    keys.forget()
    screen.prompt(f"  {prompt}")
    line = await keys.read_line()
    if line is not None:
        screen.was_typed_into()
    return line


def _questions(ticket: Ticket) -> list[dict[str, JsonValue]] | None:
    params = ticket.params
    listed = params.get("questions") if ticket.method == _USER_INPUT and isinstance(params, dict) else None
    if not isinstance(listed, list) or not all(isinstance(asked, dict) for asked in listed):
        return None
    # What is typed here is seen by everybody who looks at the screen.
    return None if any(asked.get("isSecret") for asked in listed) else listed


def _settle(ticket: Ticket, answer: Answer, *, can_last: bool) -> None:
    match answer:
        case "accept" | "accept_for_session":
            ticket.accept(for_session=can_last and answer == "accept_for_session")
        case "decline":
            ticket.decline()
        case "cancel":
            ticket.cancel()


class Keyboard:
    """A terminal to read lines from, without holding up the event loop."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def forget(self) -> None:
        """Drop what was typed so far: before a question was seen, nothing can be meant as the answer to it."""
        with suppress(termios.error):
            termios.tcflush(self._descriptor, termios.TCIFLUSH)

    async def read_line(self) -> str | None:
        """Return the next line, or ``None`` at the end of input."""
        loop = asyncio.get_running_loop()
        ready: asyncio.Future[None] = loop.create_future()
        loop.add_reader(self._descriptor, _wake, ready)
        try:
            await ready
        finally:
            loop.remove_reader(self._descriptor)
        try:
            data = os.read(self._descriptor, 4096)  # a terminal gives whole lines
        except OSError:  # it was closed
            return None
        return data.decode(errors="replace") if data else None


@contextmanager
def keyboard(screen: Screen | None) -> Iterator[Keyboard | None]:
    """Find the keyboard that belongs to a screen: standard input, or else the terminal behind it. ``None``: there is none."""
    if screen is None or not screen.is_terminal:
        yield None
    elif sys.stdin is not None and sys.stdin.isatty():
        yield Keyboard(sys.stdin.fileno())
    else:
        try:
            descriptor = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY)
        except OSError:
            yield None
            return
        try:
            yield Keyboard(descriptor)
        finally:
            os.close(descriptor)


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
