"""The record of a fake app server."""

from __future__ import annotations

from codex_runtime.testing._fake_log import Answer, Asked, History, Received


def test_what_could_not_be_read_has_no_parts() -> None:
    """But it is on record."""
    entry = Received(0, b"garbage", None)
    assert (entry.method, entry.params, entry.rpc_id) == (None, {}, None)


def test_odd_parameters_are_none() -> None:
    """A test may look without fear."""
    assert Received(0, b"", {"method": "m", "params": [1], "id": "x"}).params == {}


def test_an_answer_knows_what_it_is_for() -> None:
    """The method of the request, and the decision if it is one."""
    asked = Asked(0, 3, "item/fileChange/requestApproval", {})
    answer = Answer(0, 3, asked, {"decision": "decline"}, None, counted=True)
    assert (answer.method, answer.decision) == ("item/fileChange/requestApproval", "decline")
    stray = Answer(0, 9, None, "text", None, counted=False)
    assert (stray.method, stray.decision) == (None, None)


def test_generations_are_numbered_and_counted_while_they_live() -> None:
    """The most that lived at once is kept."""
    history = History()
    assert [history.born(), history.born()] == [0, 1]
    history.alive.clear()
    assert (history.born(), history.launches, history.most_alive) == (2, 3, 2)
