"""The tree of errors: what is caught by what, what each carries, and what must not be in a message."""

from __future__ import annotations

import inspect
import pickle

import pytest

from codex_runtime import errors
from codex_runtime._sansio.restart import Exit
from codex_runtime._sansio.turn_result import TurnResult
from codex_runtime.errors import (
    CodexError,
    ConfigError,
    ConnectionLostError,
    InvalidAnswerError,
    OverloadedError,
    RequestFailedError,
    RequestTimeoutError,
    RuntimeDeadError,
    StartError,
    TurnError,
    TurnTimeoutError,
)

ALL = [thing for thing in vars(errors).values() if inspect.isclass(thing) and issubclass(thing, CodexError)]


def drawn(tree: str) -> dict[str, tuple[str, ...]]:
    """Read the drawing in the module's docstring: each error with its parents, other bases included."""
    found: dict[str, tuple[str, ...]] = {}
    path: list[str] = []
    for line in tree.splitlines():
        before, _, rest = line.partition("── ")
        if not rest and line.strip() != "CodexError":
            continue
        depth = 0 if not rest else (len(before) - 1) // 4
        words = (rest or line).split()
        more = tuple(word.strip("()") for word in words[1:2] if word.startswith("("))
        path = [*path[:depth], words[0]]
        found[words[0]] = (path[-2], *more) if depth else ()
    return found


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    """Whoever reads it there need not read on."""
    assert errors.__doc__ is not None
    real = {error.__name__: tuple(base.__name__ for base in error.__bases__ if base is not Exception) for error in ALL}
    assert drawn(errors.__doc__) == real


def test_every_error_is_public_and_says_what_it_means() -> None:
    """Names end in Error, none hides a builtin."""
    assert sorted(errors.__all__) == sorted(error.__name__ for error in ALL)
    for error in ALL:
        assert error.__name__.endswith("Error")
        assert not hasattr(__builtins__, error.__name__)
        assert error.__doc__


def test_builtin_handlers_catch_what_they_mean() -> None:
    """A wrong value is a ValueError, a deadline a TimeoutError."""
    assert issubclass(ConfigError, ValueError)
    assert issubclass(InvalidAnswerError, ValueError)
    assert issubclass(RequestTimeoutError, TimeoutError)
    assert issubclass(TurnTimeoutError, TimeoutError)


def test_what_they_carry() -> None:
    """Everything a caller tells cases apart by is an attribute."""
    config = ConfigError("restart.budget", "must be 0 or more")
    assert (config.field, config.problem, str(config)) == (
        "restart.budget",
        "must be 0 or more",
        "restart.budget: must be 0 or more",
    )
    failed = RequestFailedError("thread/start", -32600, "no", {"a": 1})
    assert (failed.method, failed.code, failed.message, failed.data) == ("thread/start", -32600, "no", {"a": 1})
    assert str(failed) == "thread/start: no (code -32600)"
    assert isinstance(OverloadedError("a", -32001, "full"), RequestFailedError)
    late = RequestTimeoutError("turn/start", 1.5)
    assert (late.method, late.seconds, str(late)) == ("turn/start", 1.5, "turn/start: no answer within 1.5 s")
    ended = Exit(code=3, stderr_tail="boom")
    lost = ConnectionLostError("gone", generation=2, exit=ended)
    assert (lost.generation, lost.exit) == (2, ended)
    assert StartError("no", exit=ended).exit is ended
    assert isinstance(RuntimeDeadError("dead"), ConnectionLostError)
    result = TurnResult(thread_id="t", turn_id="u", status="lost", text="half")
    assert TurnError("lost", result).result.text == "half"


@pytest.mark.parametrize("error", ALL)
def test_each_can_be_raised_and_caught_as_the_root(error: type[CodexError]) -> None:
    """Whatever its arguments are."""
    by_name = {"result": TurnResult(thread_id="t", turn_id=None, status="failed"), "code": 1, "seconds": 1.0}
    required = ["message"]
    if inspect.isfunction(error.__init__):
        _, *taken = inspect.signature(error.__init__).parameters.values()
        required = [each.name for each in taken if each.kind is not each.KEYWORD_ONLY and each.default is each.empty]
    with pytest.raises(CodexError):
        raise error(*(by_name.get(name, "x") for name in required))


@pytest.mark.parametrize(
    "error",
    [
        ConfigError("a", "b"),
        RequestFailedError("m", 1, "x", {"a": 1}),
        RequestTimeoutError("m", 2.0),
        ConnectionLostError("gone", generation=2, exit=Exit(code=3)),
        TurnError("lost", TurnResult(thread_id="t", turn_id="u", status="lost", text="half")),
    ],
    ids=lambda error: type(error).__name__,
)
def test_each_survives_being_pickled(error: CodexError) -> None:
    """A worker process can hand it to its parent."""
    again = pickle.loads(pickle.dumps(error))  # our own bytes
    assert (type(again), str(again), vars(again)) == (type(error), str(error), vars(error))
