"""A thread for work that blocks: in order, told where it was asked for, and never waited for."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading

import pytest

from codex_runtime._io.worker import Worker


async def test_jobs_are_done_in_order_in_a_thread_of_their_own() -> None:
    """Each with its result, or its error."""
    worker = Worker("test worker")
    seen: list[int] = []
    jobs = [worker.submit(lambda n=n: seen.append(n) or (n, threading.current_thread().name)) for n in range(5)]  # type: ignore[func-returns-value, misc]
    assert await asyncio.gather(*jobs) == [(n, "test worker") for n in range(5)]
    assert seen == [0, 1, 2, 3, 4]
    with pytest.raises(ZeroDivisionError):
        await worker.submit(lambda: 1 // 0)
    with pytest.raises(RuntimeError, match="StopIteration"):
        await worker.submit(lambda: next(iter(())))
    worker.close(wait=True)


async def test_what_was_called_off_before_it_began_is_not_done() -> None:
    """What has begun goes on; the rest is skipped."""
    worker, may_go, done = Worker("test worker"), threading.Event(), list[str]()
    first = worker.submit(may_go.wait)
    second = worker.submit(lambda: done.append("second"))
    third = worker.submit(lambda: done.append("third"))
    second.cancel()
    may_go.set()
    await asyncio.gather(first, third)
    assert done == ["third"]
    worker.close(wait=True)


async def test_closing_ends_the_thread_after_its_jobs() -> None:
    """And one that never had a job has no thread."""
    Worker("idle").close(wait=True)
    worker, done = Worker("test worker"), list[int]()
    job = worker.submit(lambda: done.append(1))
    worker.close(wait=True)
    assert done == [1]
    await job


def test_a_job_that_hangs_does_not_keep_the_program_from_ending() -> None:
    """Nor is it told, when the loop is gone."""
    program = (
        "import asyncio, threading\n"
        "from codex_runtime._io.worker import Worker\n"
        "async def main():\n"
        "    worker = Worker('stuck')\n"
        "    worker.submit(threading.Event().wait)\n"
        "    worker.close()\n"
        "asyncio.run(main())\n"
        "print('over')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=True)
    assert (done.stdout, done.stderr) == ("over\n", "")
