"""The values of a result: what can be told from them."""

from __future__ import annotations

from codex_runtime._sansio.turn_result import AgentMessage, Item, TokenCounts, TurnFault, TurnResult


def test_a_result_reads_as_its_final_answer() -> None:
    """Our promise: print(result) shows the answer."""
    comment = AgentMessage("hm", "commentary", "m1")
    answer = AgentMessage("42", "final_answer", "m2")
    result = TurnResult(
        thread_id="t", turn_id="u", status="completed", text="42", messages=(comment, answer), final_message=answer
    )
    assert str(result) == "42"
    assert result.commentary == (comment,)
    assert result.is_completed
    assert not TurnResult(thread_id="t", turn_id=None, status="lost").is_completed


def test_commentary_is_all_but_the_answer_also_when_they_are_equal() -> None:
    """Our promise: a comment that says the same as the answer is still a comment."""
    comment, answer = AgentMessage("ok", None, "m"), AgentMessage("ok", None, "m")
    result = TurnResult(
        thread_id="t", turn_id="u", status="completed", messages=(comment, answer), final_message=answer
    )
    assert len(result.commentary) == 1


def test_an_item_decodes_its_message_on_use() -> None:
    """Our promise: items cost nothing until somebody looks; without a message there is nothing to see."""
    line = b'{"method":"item/completed","params":{"item":{"type":"sleep","id":"i","durationMs":3}}}'
    assert Item("i", "sleep", "completed", line).data == {"type": "sleep", "id": "i", "durationMs": 3}
    assert Item("i", "sleep", "completed").data == {}
    assert Item("i", "sleep", "completed", b'{"params":[]}').data == {}
    assert Item("i", "sleep", "completed", b'{"params":{"item":7}}').data == {}


def test_an_item_shows_no_payload() -> None:
    """Our promise: what came over the wire does not slip into a log by way of repr()."""
    assert repr(Item("i", "sleep", "completed", b"secret")) == "Item(id='i', kind='sleep', state='completed')"


def test_counts_are_subtracted_kind_by_kind() -> None:
    """Our promise: never below zero."""
    assert TokenCounts(5, 1, 7, 0, 12, 3) - TokenCounts(2, 1, 9, 0, 11, 0) == TokenCounts(3, 0, 0, 0, 1, 3)


def test_a_fault_reads_as_its_message() -> None:
    """Our promise: str() of an error is for people."""
    assert str(TurnFault("no room", "contextWindowExceeded")) == "no room"
