"""Scripts are values, and a wrong one is refused when it is made."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from codex_runtime.testing._fake_script import (
    AskUser,
    Command,
    Die,
    FailTurn,
    HalfLine,
    HugeLine,
    Question,
    Script,
)
from codex_runtime.testing._gate import Gate
from codex_runtime.testing._reply import Cut, Exec, Say, Stall


def test_a_string_stands_for_saying_it() -> None:
    """Wherever a script is wanted."""
    assert Script.of("Hello!") == Script(Say("Hello!"))
    assert Script.of(Script.of("x")) == Script(Say("x"))


def test_equal_scripts_are_equal() -> None:
    """But a gate is only itself."""
    assert Script(Command("ls", output="x")) == Script(Command("ls", output="x"))
    assert Script(starts=Gate()) != Script(starts=Gate())


@pytest.mark.parametrize("step", [Exec("ls"), Cut(), "text", None])
def test_what_is_no_step_is_refused(step: object) -> None:
    """Parts of a model's reply, too."""
    with pytest.raises(TypeError, match="not a step"):
        Script(step)  # type: ignore[arg-type]


@pytest.mark.parametrize("last", [FailTurn(), Stall(), Die()])
def test_nothing_follows_an_end(last: FailTurn | Stall | Die) -> None:
    """It would never be played."""
    Script(Say("x"), last)
    with pytest.raises(ValueError, match="nothing can follow"):
        Script(last, Say("x"))


def test_it_dies_of_sigkill_unless_told_otherwise() -> None:
    """Of one thing."""
    assert Die() == Die(signal=9)
    assert (Die(code=0).signal, Die(signal=11).code) == (None, None)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Die(signal=9, code=1),
        AskUser,
        lambda: HalfLine(b"a\n"),
        lambda: HugeLine(10),
    ],
)
def test_what_makes_no_sense_is_refused(make: Callable[[], object]) -> None:
    """When it is written, not when it is played."""
    with pytest.raises(ValueError, match=r".+"):
        make()


def test_questions_keep_their_order() -> None:
    """One or more."""
    one, two = Question("a", "A?"), Question("b", "B?")
    assert AskUser(one, two).questions == (one, two)
