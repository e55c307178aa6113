"""The disk of a fake app server."""

from __future__ import annotations

from codex_runtime.testing._fake_threads import SANDBOXES, FakeDisk, FakeThread, FakeTurn

MESSAGES = [{"type": "userMessage"}, {"type": "agentMessage", "text": "a"}, {"type": "agentMessage", "text": "b"}]


def make(disk: FakeDisk, *turns: FakeTurn, writer: int | None = 0, ephemeral: bool = False) -> FakeThread:
    """A thread on the disk."""
    thread = FakeThread(
        id=disk.new_id("thread"),
        cwd="/w",
        model="m",
        model_provider="p",
        approval_policy="never",
        sandbox=SANDBOXES["read-only"],
        turns=list(turns),
        writer=writer,
        ephemeral=ephemeral,
    )
    disk.threads[thread.id] = thread
    return thread


def test_ids_are_never_used_twice() -> None:
    """Each kind counts for itself."""
    disk = FakeDisk()
    assert [disk.new_id("a"), disk.new_id("b"), disk.new_id("a")] == ["a-1", "b-1", "a-2"]


def test_a_turn_has_three_views() -> None:
    """Nothing, the last message, everything."""
    turn = FakeTurn(id="t", status="completed", items=MESSAGES, started_at=10.0, completed_at=11.5)
    assert turn.wire(view="notLoaded")["items"] == []
    assert turn.wire(view="summary")["items"] == MESSAGES[-1:]
    assert turn.wire(view="full")["items"] == MESSAGES
    assert turn.wire(view="full")["durationMs"] == 1500


def test_what_is_not_loaded_tells_less() -> None:
    """No environments, and nobody to talk to."""
    thread = make(FakeDisk())
    assert thread.wire({"type": "notLoaded"}, with_turns=False)["environments"] is None
    assert thread.wire({"type": "idle"}, with_turns=False)["canAcceptDirectInput"] is True


def test_the_death_of_a_process_frees_what_it_wrote() -> None:
    """Turns are broken off, threads without a rollout are lost, and those of another process are left alone."""
    disk = FakeDisk()
    kept = make(disk, FakeTurn(id="t1", status="completed"), FakeTurn(id="t2"))
    make(disk)
    make(disk, FakeTurn(id="t3"), ephemeral=True)
    other = make(disk, FakeTurn(id="t4"), writer=1)
    disk.release(0, 50.0)
    assert list(disk.threads.values()) == [kept, other]
    assert [turn.status for turn in kept.turns] == ["completed", "interrupted"]
    assert (kept.writer, kept.updated_at) == (None, 50.0)
    assert other.turns[0].status == "inProgress"
