"""Runs tests on mutants, one after the other, each in a fork of this process: `python -m verification.mutation.worker`.

It runs in a private copy of the project and is told what to do on its standard input, one JSON object a line. Whatever does
not import the mutated module is imported once, before the first fork; that is what makes a mutant cheap.

It never decides what a result means, and it never writes into the copy.
"""

from __future__ import annotations

import gc
import importlib
import importlib.abc
import importlib.util
import json
import os
import resource
import select
import signal
import sys
import threading
import time
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import CodeType, FrameType, ModuleType
from typing import Any, TextIO

import hypothesis
import hypothesis.strategies
import pytest

from verification.mutation.mutants import mutants

__all__ = ["AS_LONG", "BASELINE", "HUNG", "main"]

BASELINE = -1
"""The number of the run without an error, which finds out what each test runs."""

HUNG = 99
"""The exit status of a run in which a test waited in vain."""

AS_LONG = 10  # times as long as without the error, and it counts as hanging
MEMORY = 2 * 1024**3
OPTIONS = (
    "-x",
    "-q",
    "-s",
    "-p",
    "pytest_timeout",
    "-p",
    "no:cacheprovider",
    "-W",
    "ignore::pytest.PytestAssertRewriteWarning",
)


@dataclass(frozen=True, slots=True)
class Job:
    """Run these tests (all, if there are none) on this mutant, for at most so many seconds each and all."""

    number: int
    tests: list[str]
    each: float
    all: float


class Mutated(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Lets one module be imported from other code than that of its file."""

    def __init__(self, module: str, path: Path, code: CodeType) -> None:
        self._module = module
        self._path = path
        self._code = code

    def find_spec(
        self, fullname: str, _path: Sequence[str] | None, _target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Answer for the one module."""
        if fullname != self._module:
            return None
        return importlib.util.spec_from_file_location(fullname, self._path, loader=self)

    def exec_module(self, module: ModuleType) -> None:
        """Run the other code."""
        exec(self._code, module.__dict__)  # noqa: S102  # that is what importing means


class Observer:
    """A plugin for pytest: notes how long each test takes and which lines of one file it runs."""

    def __init__(self, path: Path, seen: Path) -> None:
        self._file = str(path)
        self._seen = seen
        self._lines: set[int] = set()
        self._tests: dict[str, dict[str, Any]] = {}
        self._at_import: set[int] = self._lines

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """Begin a new list for each test; what ran before the first was run by importing."""
        self._lines = set()
        began = time.perf_counter()
        try:
            return (yield)
        finally:
            seconds = time.perf_counter() - began
            self._tests[item.nodeid] = {"seconds": seconds, "lines": sorted(self._lines)}

    def pytest_sessionfinish(self) -> None:
        """Write down what was seen."""
        sys.settrace(None)
        self._seen.write_text(json.dumps({"at_import": sorted(self._at_import), "tests": self._tests}))

    def begin(self) -> None:
        """Look at each call from now on."""
        threading.settrace(self._call)
        sys.settrace(self._call)

    def _call(self, frame: FrameType, _event: str, _value: object) -> Any:
        if frame.f_code.co_filename != self._file:
            return None
        self._lines.add(frame.f_lineno)
        return self._line

    def _line(self, frame: FrameType, _event: str, _value: object) -> Any:
        self._lines.add(frame.f_lineno)
        return self._line


class Worker:
    """A plugin for pytest: goes on in a fork for each job, and never itself.

    One module, and the tests that judge it. By the time of :meth:`pytest_collection` pytest is ready and has seen no test.
    """

    def __init__(self, *, module: str, path: Path, folder: Path, orders: TextIO, answers: TextIO) -> None:
        self._module = module
        self._path = path
        self._orders = orders
        self._answers = answers
        self._source = path.read_text(encoding="utf-8")
        self._mutants = mutants(self._source)
        self._log = folder / f"log-{os.getpid()}"
        self._seen = folder / f"seen-{os.getpid()}"
        self._job = Job(BASELINE, [], 0.0, 0.0)

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection(self, session: pytest.Session) -> None:
        """Do one job after the other. Returns in forks only, with which pytest then goes on."""
        for line in self._orders:
            job = Job(**json.loads(line))
            text = self._source if job.number == BASELINE else self._mutants[job.number].of(self._source)
            code = compile(text, str(self._path), "exec", dont_inherit=True)
            began = time.perf_counter()
            child = os.fork()
            if not child:
                self._begin(session, job, code)
                return
            answer: dict[str, object] = {
                "number": job.number,
                "status": _ended(child, job.all),
                "seconds": time.perf_counter() - began,
            }
            if job.number == BASELINE:
                answer["log"] = self._log.read_text(encoding="utf-8", errors="replace")
                answer["seen"] = json.loads(self._seen.read_text()) if answer["status"] == 0 else None
            print(json.dumps(answer), file=self._answers, flush=True)
        os._exit(0)

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Keep the tests of the job, in its order, and give each its time."""
        if self._job.tests:
            order = {test: place for place, test in enumerate(self._job.tests)}
            items[:] = sorted((item for item in items if item.nodeid in order), key=lambda item: order[item.nodeid])
        for item in items:
            item.add_marker(pytest.mark.timeout(self._job.each), append=False)

    def pytest_exception_interact(self, call: pytest.CallInfo[object]) -> None:
        """Tell a test that waited in vain from one that saw something wrong."""
        error = call.excinfo.value if call.excinfo is not None else None
        waited = isinstance(error, TimeoutError) or (
            isinstance(error, pytest.fail.Exception) and str(error).startswith("Timeout")
        )
        if waited and self._job.number != BASELINE:
            os._exit(HUNG)

    def _begin(self, session: pytest.Session, job: Job, code: CodeType) -> None:
        self._job = job
        log = os.open(self._log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.close(log)
        seconds = int(job.all) + 1
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 5))
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if job.number == BASELINE:
            observer = Observer(self._path, self._seen)
            session.config.pluginmanager.register(observer)
            observer.begin()
        sys.meta_path.insert(0, Mutated(self._module, self._path, code))


def _ended(child: int, seconds: float) -> int | None:
    """Wait for the end of a fork and return its exit status; end it when its time is over, and return nothing."""
    watch = os.pidfd_open(child)
    try:
        poll = select.poll()
        poll.register(watch, select.POLLIN)
        in_time = bool(poll.poll(seconds * 1000))
        if not in_time:
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        return os.waitstatus_to_exitcode(status) if in_time else None
    finally:
        os.close(watch)


def prepare(beforehand: Iterable[str], module: str) -> None:
    """Import what no mutant changes, and make chance the same in each run."""
    hypothesis.settings.register_profile(
        "mutation",
        database=None,
        deadline=None,
        derandomize=True,
        max_examples=40,  # of each property: what needs more luck to be noticed counts as not noticed
        stateful_step_count=20,
        phases=(hypothesis.Phase.explicit, hypothesis.Phase.generate),
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    hypothesis.settings.load_profile("mutation")
    for name in beforehand:
        importlib.import_module(name)
    assert module not in sys.modules, f"{module} was imported before it could be changed"
    hypothesis.given(hypothesis.strategies.text())(lambda _: None)()  # reads the modules once, not once in each fork
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    gc.collect()
    gc.freeze()


def main(orders: TextIO, answers: TextIO) -> None:
    """Prepare as the first line says, and then do one job for each further line."""
    first = json.loads(orders.readline())
    prepare(first["beforehand"], first["module"])
    worker = Worker(
        module=first["module"],
        path=Path(first["path"]),
        folder=Path(first["folder"]),
        orders=orders,
        answers=answers,
    )
    os._exit(pytest.main([*OPTIONS, *first["files"]], plugins=[worker]))


if __name__ == "__main__":
    main(sys.stdin, os.fdopen(os.dup(1), "w"))
