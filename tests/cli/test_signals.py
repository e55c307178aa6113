"""Signals end a command in order: gently first, then at once."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from codex_runtime.cli._exits import ExitCode, Failure
from codex_runtime.cli._signals import Signals, complete


def send(number: signal.Signals) -> None:
    """Send ourselves a signal."""
    os.kill(os.getpid(), number)


async def test_the_first_interrupt_only_asks_when_somebody_listens() -> None:
    """The second one cancels, after the last word was heard."""
    heard: list[str] = []

    async def work() -> None:
        with Signals() as signals:
            signals.on_first = lambda: heard.append("first")
            signals.on_end = lambda: heard.append("end")
            send(signal.SIGINT)
            while not heard:
                await asyncio.sleep(0)
            assert heard == ["first"]
            send(signal.SIGINT)
            await asyncio.get_running_loop().create_future()

    task = asyncio.create_task(work())
    async with asyncio.timeout(5):
        with pytest.raises(asyncio.CancelledError):
            await task
    assert heard == ["first", "end"]


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (signal.SIGINT, ExitCode.INTERRUPTED),
        (signal.SIGTERM, ExitCode.TERMINATED),
        (signal.SIGHUP, ExitCode.TERMINATED),
    ],
)
def test_a_signal_ends_a_command_with_its_code(number: signal.Signals, code: ExitCode) -> None:
    """What the command still has to do on its way out is done."""
    closed: list[bool] = []

    async def work(_: Signals) -> ExitCode:
        try:
            send(number)
            await asyncio.get_running_loop().create_future()
        finally:
            closed.append(True)
        return ExitCode.OK

    before = signal.getsignal(number)
    with pytest.raises(Failure) as failure:
        complete(work)
    assert (failure.value.code, closed) == (code, [True])
    assert signal.getsignal(number) is before


def test_a_signal_that_is_ignored_stays_ignored() -> None:
    """`nohup` means it."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)

    async def work(_: Signals) -> ExitCode:
        send(signal.SIGHUP)
        await asyncio.sleep(0)
        return ExitCode.OK

    try:
        assert complete(work) is ExitCode.OK
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_cancellation_that_no_signal_caused_is_none_of_ours() -> None:
    """It goes on its way."""

    async def work(_: Signals) -> ExitCode:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        complete(work)


def test_a_closed_pipe_is_a_quiet_end() -> None:
    """Nobody is there to be told."""

    async def work(_: Signals) -> ExitCode:
        raise BrokenPipeError

    with pytest.raises(Failure) as failure:
        complete(work)
    assert (failure.value.code, failure.value.message) == (ExitCode.PIPE_CLOSED, "")
