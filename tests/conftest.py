"""What every test gets: an event loop when it is `async def`, a check for leftovers, and the real binary.

The work is done in `tests/support`; this file only plugs it into pytest.

- `async def` tests and async generator fixtures (function scope) just work: `tests/support/event_loop.py`.
- After each test no task, process, thread or descriptor may be left: `tests/support/leaks.py`. A fixture of wider scope may
  keep what it opened until its own end. A test that failed is not judged: its traceback keeps things alive.
- Every test has a time limit: `timeout` in pyproject.toml, or its own `@pytest.mark.timeout(seconds)`.
"""

from __future__ import annotations

import gc
import inspect
import signal
from typing import TYPE_CHECKING, Any

import codex_cli_bin
import pytest

from tests.support.event_loop import LeftBehindError, LoopOfOneTest
from tests.support.leaks import Footprint, left_since, mark_this_run, processes_of_run

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Coroutine, Generator, Iterator
    from pathlib import Path

MARGIN = 2.0
"""An async test is stopped this many seconds before pytest-timeout would: its traceback then shows the wait that hung."""

loop_key = pytest.StashKey[LoopOfOneTest]()
failed_key = pytest.StashKey[bool]()
baseline_key = pytest.StashKey[Footprint]()
token_key = pytest.StashKey[str]()
orphans_key = pytest.StashKey[list[str]]()


# --- fixtures ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def codex_binary() -> Path:
    """Path of the real `codex`, out of the wheel that the `codex` extra installs. Never skipped: without it tests fail."""
    return codex_cli_bin.bundled_codex_path()


@pytest.fixture
def codex_home(tmp_path: Path) -> Path:
    """An empty folder to be CODEX_HOME, so that no test sees or changes the user's own."""
    home = tmp_path / "codex-home"
    home.mkdir()
    return home


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """An empty folder to be the working directory of a session."""
    folder = tmp_path / "workspace"
    folder.mkdir()
    return folder


# --- async tests and fixtures -----------------------------------------------------------------------------------------


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    """Let pytest, or hypothesis once per example, call an `async def` test like any other."""
    property_test = getattr(pyfuncitem.obj, "hypothesis", None)
    holder, name = (pyfuncitem, "obj") if property_test is None else (property_test, "inner_test")
    test = getattr(holder, name)
    if not inspect.iscoroutinefunction(test):
        return (yield)
    setattr(holder, name, _as_plain_test(test, pyfuncitem))
    try:
        return (yield)
    finally:
        setattr(holder, name, test)


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(
    fixturedef: pytest.FixtureDef[Any],
    request: pytest.FixtureRequest,
) -> Generator[None, object, object]:
    """Let pytest call an async generator fixture like any other, and let wide fixtures keep what they open."""
    if fixturedef.scope != "function":
        return (yield from _allow_to_keep(request.config))
    fixture = fixturedef.func
    if not inspect.isasyncgenfunction(fixture):
        return (yield)
    fixturedef.func = _as_plain_fixture(fixture, request.node)
    try:
        return (yield)
    finally:
        fixturedef.func = fixture


def _as_plain_test(test: Callable[..., Coroutine[Any, Any, object]], item: pytest.Item) -> Callable[..., None]:
    def plain_test(*args: object, **kwargs: object) -> None:
        _loop_of(item).run(test(*args, **kwargs), limit=_limit_of(item))

    return plain_test


def _as_plain_fixture(
    fixture: Callable[..., AsyncGenerator[Any, None]], item: pytest.Item
) -> Callable[..., Generator[Any, None, None]]:
    def plain_fixture(**kwargs: object) -> Generator[Any, None, None]:
        loop = _loop_of(item)
        value, hosted = loop.enter(fixture(**kwargs), limit=_limit_of(item))
        yield value
        loop.exit(hosted, limit=_limit_of(item))

    return plain_fixture


def _loop_of(item: pytest.Item) -> LoopOfOneTest:
    if loop_key not in item.stash:
        item.stash[loop_key] = LoopOfOneTest()
    return item.stash[loop_key]


def _limit_of(item: pytest.Item) -> float:
    mark = item.get_closest_marker("timeout")
    limit = mark.args[0] if mark is not None and mark.args else item.config.getini("timeout")
    return float(limit) - MARGIN


# --- leftovers --------------------------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def nothing_left_behind(request: pytest.FixtureRequest) -> Iterator[None]:
    """Close the loop and fail a test that left something.

    Being automatic, this fixture is the first one set up and the last one torn down; and pytest looks for exceptions that
    could not be raised right after it, so that what the check brings to light is put down to this test.
    """
    stash = request.config.stash
    stash[baseline_key] = Footprint.now()
    yield
    if loop_key in request.node.stash:
        request.node.stash[loop_key].close()
    if request.node.stash.get(failed_key, False):
        return
    left = left_since(stash[baseline_key])
    gc.freeze()  # what is still there is pytest's own and stays; to look at it after each test would take ever longer
    if left:
        raise LeftBehindError("left behind:\n" + "\n".join(f"  {line}" for line in left.describe()))


def pytest_configure(config: pytest.Config) -> None:
    """Mark this run, so that its processes are known wherever they end up, and let Ctrl-C mean something.

    A shell that starts something in the background has it ignore SIGINT, and everything below inherits that.
    """
    config.stash[token_key] = mark_this_run()
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish() -> None:
    """Take what is imported by now out of the collector's sight: a collection after each test then costs next to nothing."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Remember which tests failed."""
    report = yield
    item.stash[failed_key] = item.stash.get(failed_key, False) or report.failed
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Name the processes that outlived even the session."""
    for process in config.stash.get(orphans_key, []):
        terminalreporter.write_line(f"outlived the test session: {process}", red=True)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail the run when any process that it started, however far down, is still alive."""
    session.config.stash[orphans_key] = processes_of_run(session.config.stash[token_key])
    if session.config.stash[orphans_key]:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def _allow_to_keep(config: pytest.Config) -> Generator[None, object, object]:
    """Run a fixture's set-up and count what it opens as having been there before."""
    before = Footprint.now()
    try:
        return (yield)
    finally:
        config.stash[baseline_key] |= Footprint.now() - before
