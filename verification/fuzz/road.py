"""From bytes to the state and to the result of a turn: what a server may say, in any order and with any value in any place.

The bytes choose messages from a list and values for their blanks, so that nearly all of them get as far as the folds.
"""

from __future__ import annotations

import json

from codex_runtime._sansio import snapshot
from codex_runtime._sansio.envelope import Envelope, Stamp
from codex_runtime._sansio.peer import Peer
from codex_runtime._sansio.projection import Projection
from codex_runtime._sansio.state import StateLimits
from codex_runtime._sansio.turn import TurnReducer
from codex_runtime._sansio.turn_events import Reconnected, TurnCompleted, TurnEvent, TurnStarted
from codex_runtime._sansio.turn_record import judge
from codex_runtime._sansio.turn_result import TurnFault
from codex_runtime.cli._jsonl import event_record, result_record
from verification.fuzz.pieces import Choices

__all__ = ["one"]

LOST = TurnFault("the server is gone", kind="connectionLost")
LIMITS = StateLimits(threads=3, turns_per_thread=3, items_per_turn=4, text_bytes=200, line_bytes=300)
VALUES = (
    *('"t"', '"u"', '"i"', '"j"', '"v"', "null", "true", "0", "-1", "1.5", "1e999", "NaN", "9" * 30, "9" * 400, "9" * 5000),
    *('""', '" t"', r'"\ud800"', '"\u202e"', "[]", "{}", '[{"id":"i","type":"agentMessage","text":"x"}]', '"completed"'),
    *('"failed"', '"interrupted"', '"inProgress"', '{"type":"active","activeFlags":[]}', '"agentMessage"', '"x" ', "1700000000"),
    *('{"id":"i","type":"commandExecution","command":"ls","cwd":"/"}', '{"message":"m","codexErrorInfo":"other"}', "[" * 60 + "]" * 60),
)  # fmt: skip
KINDS = ("agentMessage", "reasoning", "commandExecution", "fileChange", "mcpToolCall", "plan", "userMessage", "new")
TURN = '"threadId":"t","turnId":"u"'
MESSAGES = (
    '{"method":"turn/started","params":{"threadId":"t","turn":{"id":"u","status":"inProgress","startedAt":%s}}}',
    '{"method":"turn/completed","params":{"threadId":"t","turn":{"id":"u","status":%s,"error":%s,"durationMs":%s,"items":%s}}}',
    '{"method":"item/started","params":{' + TURN + ',"item":{"id":"i","type":"%k","text":%s,"command":%s,"status":%s}}}',
    '{"method":"item/completed","params":{' + TURN + ',"item":{"id":"i","type":"%k","text":%s,"exitCode":%s,"durationMs":%s}}}',
    '{"method":"item/completed","params":{' + TURN + ',"item":{"id":"j","type":"%k","changes":%s,"aggregatedOutput":%s}}}',
    '{"method":"item/started","params":{"threadId":%s,"turnId":%s,"item":{"id":%s,"type":%s}}}',
    '{"method":"item/agentMessage/delta","params":{' + TURN + ',"itemId":"i","delta":"one "}}',
    '{"method":"item/agentMessage/delta","params":{' + TURN + ',"itemId":%s,"delta":%s}}',
    '{"method":"item/commandExecution/outputDelta","params":{' + TURN + ',"itemId":"j","delta":"out \\u00e9"}}',
    '{"method":"item/reasoning/summaryTextDelta","params":{' + TURN + ',"itemId":"r","delta":"why"}}',
    '{"method":"item/reasoning/summaryPartAdded","params":{' + TURN + ',"itemId":"r"}}',
    '{"method":"item/mcpToolCall/progress","params":{' + TURN + ',"itemId":"m","message":%s}}',
    '{"method":"item/fileChange/patchUpdated","params":{' + TURN + ',"itemId":"f","changes":%s}}',
    '{"method":"item/commandExecution/terminalInteraction","params":{' + TURN + ',"itemId":"j","stdin":%s}}',
    '{"method":"turn/diff/updated","params":{' + TURN + ',"diff":%s}}',
    '{"method":"turn/plan/updated","params":{' + TURN + ',"explanation":%s,"plan":[{"step":%s,"status":%s},%s]}}',
    '{"method":"thread/tokenUsage/updated","params":{' + TURN + ',"tokenUsage":{"total":{"totalTokens":%s},"last":%s}}}',
    '{"method":"error","params":{' + TURN + ',"willRetry":%s,"error":%s}}',
    '{"method":"warning","params":{"threadId":%s,"message":%s}}',
    '{"method":"serverRequest/resolved","params":{"threadId":"t","requestId":%s}}',
    '{"method":"thread/started","params":{"thread":{"id":%s,"status":%s,"cwd":%s,"createdAt":%s,"turns":%s}}}',
    '{"method":"thread/status/changed","params":{"threadId":"t","status":%s}}',
    '{"method":"thread/name/updated","params":{"threadId":%s,"threadName":%s}}',
    '{"method":"thread/closed","params":{"threadId":%s}}',
    '{"method":"account/rateLimits/updated","params":{"rateLimits":%s}}',
    '{"method":"mcpServer/startupStatus/updated","params":{"name":%s,"status":%s}}',
    '{"method":"thread/goal/updated","params":{"threadId":"t","goal":%s}}',
    '{"id":%s,"method":"item/commandExecution/requestApproval","params":{' + TURN + ',"command":%s}}',
    '{"id":1,"result":{"thread":{"id":"t","status":%s,"turns":[{"id":"u","status":%s,"completedAt":%s,"items":%s,"durationMs":%s}]}}}',
    '{"method":%s,"params":%s}',
    '{"method":"turn/started","params":{"threadId":"t","turn":{"id":"v","rootTurnId":%s}}}',
    '{"method":"item/completed","params":{' + TURN + ',"item":%s}}',
)  # fmt: skip


def one(data: bytes) -> None:
    """Fold a conversation in one go and message by message, and follow a turn through it."""
    choices = Choices(data)
    away_at, stops_at = choices.below(32), choices.below(32)
    lines = _lines(choices)
    stamp = Stamp(0, 1000.5, 5.0)
    peer: Peer[int] = Peer()
    envelopes = peer.receive("".join(lines).encode("utf-8", "surrogatepass"), 0, stamp).envelopes
    _fold(envelopes)
    _follow(envelopes, away_at, stops_at)
    for envelope in envelopes:
        assert (envelope.event is None) is (envelope.method is None or envelope.fault is not None)


def _lines(choices: Choices) -> list[str]:
    lines: list[str] = []
    while not choices.is_over and len(lines) < 64:
        before, *rest = MESSAGES[choices.below(len(MESSAGES))].split("%")
        parts = [before]
        for each in rest:
            parts.append(KINDS[choices.below(len(KINDS))] if each[0] == "k" else VALUES[choices.below(len(VALUES))])
            parts.append(each[1:])
        lines.append("".join(parts) + "\n")
    return lines


def _fold(envelopes: list[Envelope]) -> None:
    """I18: the state is the fold, however the reads fall, and whoever looks in between changes nothing."""
    whole, singly = Projection(LIMITS), Projection(LIMITS)
    whole.fold(envelopes)
    for envelope in envelopes:
        singly.fold([envelope])
        if envelope.seq % 3 == 0:
            singly.snapshot()
    state = whole.snapshot()
    assert state is whole.snapshot()
    kept = snapshot.encode(state)
    assert kept == snapshot.encode(singly.snapshot())
    assert len(state.threads) <= LIMITS.threads
    for thread in state.threads.values():
        assert len(thread.turns) <= LIMITS.turns_per_thread
        assert all(len(turn.items) <= LIMITS.items_per_turn for turn in thread.turns.values())
        _ = (thread.usage, thread.goal, thread.queue, thread.read_state, thread.prediction, thread.realtime)
    back = snapshot.decode(kept)
    assert not isinstance(back, snapshot.Unreadable)
    again = Projection(LIMITS)
    again.restore(back)
    once = snapshot.encode(again.snapshot())
    again.end_generation()
    assert snapshot.encode(again.snapshot()) == once, "of the server before, nothing is left"
    whole.end_generation()
    assert not any(thread.active_turn for thread in whole.snapshot().threads.values())


def _follow(envelopes: list[Envelope], away_at: int, stops_at: int) -> None:
    """I5: one end and nothing after it, and a beginning before everything else."""
    reducer = TurnReducer("t")
    events: list[TurnEvent] = []
    for place, envelope in enumerate(envelopes):
        if place == 2:
            events += reducer.begin("u")
        if place == away_at and place > 2:
            message = envelope.message
            finding = judge("u", message.get("result") if isinstance(message, dict) else None)
            events += reducer.recover(finding, Stamp(1, 1001.0, 6.0), lost=LOST)
        if place == stops_at and place > 16:
            events += reducer.end("interrupted")
        events += reducer.apply(envelope)
        partial = reducer.partial()
        assert (partial.status == "running") is (not reducer.is_over)
    events += reducer.end("lost", LOST)
    assert reducer.end("lost") == []
    ends = [event for event in events if isinstance(event, TurnCompleted)]
    assert len(ends) == 1
    assert events[-1] is ends[0]
    assert ends[0].result is reducer.result
    assert sum(isinstance(event, TurnStarted) for event in events) <= 1
    if len(events) > 1 and reducer.turn_id is not None:
        firsts = [event for event in events if not _is_of_thread(event)]
        assert isinstance(firsts[0], TurnStarted | TurnCompleted | Reconnected)
    result = ends[0].result
    for item in result.items:
        assert item.state in ("completed", "closed")
        assert isinstance(item.data, dict)
    for record in (*map(event_record, events), result_record(result, exit_code=1)):
        json.dumps(record)


def _is_of_thread(event: TurnEvent) -> bool:
    return type(event).__name__ in (
        "TurnWarning",
        "RequestResolved",
        "ErrorReported",
        "RetryNotice",
        "OtherNotification",
    )
