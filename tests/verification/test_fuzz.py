"""The targets of the fuzzer, without it: over the corpus that is kept, and over bytes of chance."""

from __future__ import annotations

from importlib.util import find_spec

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codex_runtime._sansio.envelope import Fault
from codex_runtime._sansio.framing import LineFramer
from verification.fuzz import framing
from verification.fuzz.__main__ import main, read
from verification.fuzz.catalogue import CORPUS, TARGETS, kept, target
from verification.fuzz.peer import WORDS, spelt
from verification.fuzz.pieces import Choices, cut

SPEECH = st.lists(st.integers(0, 127) | st.integers(128, 127 + len(WORDS)), max_size=80).map(bytes)
BYTES = st.binary(max_size=80) | SPEECH


@pytest.mark.parametrize("name", TARGETS)
def test_everything_that_is_kept_passes(name: str) -> None:
    """What once broke a target is kept, and so is what led the fuzzer furthest."""
    one = target(name)
    for path in kept(name):
        one(path.read_bytes())


@pytest.mark.parametrize("name", TARGETS)
@settings(max_examples=20, deadline=None)
@given(data=BYTES)
def test_bytes_of_chance_pass(name: str, data: bytes) -> None:
    """A target runs wherever the tests do, so it does not rot while nobody fuzzes."""
    target(name)(data)


@pytest.mark.parametrize("name", TARGETS)
def test_a_corpus_is_small_and_not_empty(name: str) -> None:
    """It is part of the project, and read by each run of the tests."""
    sizes = [path.stat().st_size for path in kept(name)]
    assert 0 < len(sizes) <= 60
    assert max(sizes) <= 4096


def test_no_corpus_is_left_without_its_target() -> None:
    """A target that was renamed takes its corpus along."""
    assert {path.name for path in CORPUS.iterdir()} == set(TARGETS)


def test_an_oracle_that_hears_of_a_fault_says_so() -> None:
    """Otherwise all of this would prove nothing: of a framer that forgets a byte, and of one that forgets its limit."""

    class Forgetful(LineFramer):
        def feed(self, data: bytes) -> list[bytes | Fault]:
            return super().feed(data.replace(b"x", b""))

    framing.judge(LineFramer(64), 64, [b"ax", b"b\n"])
    with pytest.raises(AssertionError):
        framing.judge(Forgetful(64), 64, [b"ax", b"b\n"])
    with pytest.raises(AssertionError):
        framing.judge(LineFramer(99_999), 64, [b"a" * 5000])


@given(st.binary(max_size=100), st.binary(max_size=20))
def test_a_stream_is_cut_but_not_changed(stream: bytes, choices: bytes) -> None:
    """Or the comparison of two ways to cut it would be one of two streams."""
    assert b"".join(cut(stream, Choices(choices))) == stream


def test_choices_that_are_used_up_are_the_first_ones() -> None:
    """Any input is a whole one, so no input is thrown away."""
    choices = Choices(b"\x05ab")
    assert choices.below(3) == 2
    assert choices.take(5) == b"ab"
    assert choices.is_over
    assert (choices.below(9), choices.rest()) == (0, b"")


def test_a_byte_that_ascii_has_not_stands_for_a_word() -> None:
    """A fuzzer finds a whole JSON object in a handful of bytes."""
    assert spelt(b"a\x80\x82") == b'a{"id":1'


def test_the_figures_are_read_from_what_the_fuzzer_says() -> None:
    """They are what is reported."""
    assert read("stat::number_of_executed_units: 4711\nstat::average_exec_per_sec:     78\n") == (4711, 78)
    assert read("it did not start") == (0, 0)


@pytest.mark.skipif(find_spec("atheris") is not None, reason="atheris is installed here")
def test_without_atheris_it_says_what_to_install(capsys: pytest.CaptureFixture[str]) -> None:
    """It is a tool of a few, and no requirement of the project."""
    assert main(["--seconds", "1"]) == 3
    assert "pip install atheris" in capsys.readouterr().err
