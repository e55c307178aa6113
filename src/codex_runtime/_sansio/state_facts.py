"""What the state takes of threads and turns as a whole, and the list of what it leaves alone on purpose.

Items and the course of turns are the projection's own; this is all that is told beside them: mostly documents of which
the last is kept as its line.

:data:`FACTS` says which messages are taken here, :data:`NOT_KEPT` which notifications leave no trace in the state, and
why. A test holds both against the list of all notifications, so that a new version of codex asks its questions there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

from codex_runtime._sansio.envelope import Envelope, JsonValue, params_of
from codex_runtime._sansio.state_nodes import ItemNode, ThreadNode
from codex_runtime._sansio.state_text import cut
from codex_runtime._sansio.state_tree import StateTree

__all__ = ["AGENT_KINDS", "FACTS", "NOT_KEPT", "adopt", "describe", "short"]

_Fact: TypeAlias = Callable[[StateTree, Envelope], object]

LONGEST_NAME = 4096  # bytes of a name, model, path, kind or status; only a broken server has more
MOST_FLAGS = 16  # active flags of a thread; the schema knows two
MOST_ENVIRONMENTS = 64

AGENT_KINDS = frozenset({"collabAgentToolCall", "subAgentActivity"})  # items that tell of a thread's sub-agents

NOT_KEPT: Final[Mapping[str, frozenset[str]]] = {
    "shown by who takes server requests, as the request leaves the state": frozenset({"serverRequest/resolved"}),
    "a word to the user: it is said once, and nothing stays so": frozenset(
        {"configWarning", "deprecationNotice", "guardianWarning", "warning", "windows/worldWritableWarning"}
    ),
    "only says that something else is to be asked for again": frozenset({"project/changed", "skills/changed"}),
    "a list that is asked for, of what is not this runtime's": frozenset({"app/list/updated"}),
    "how a request of ours goes on, which only its asker knows of": frozenset(
        {
            "account/gatewayOAuth/changed",
            "account/login/completed",
            "command/exec/outputDelta",
            "externalAgentConfig/import/completed",
            "externalAgentConfig/import/progress",
            "fs/changed",
            "fuzzyFileSearch/sessionCompleted",
            "fuzzyFileSearch/sessionUpdated",
            "mcpServer/event/stream/notification",
            "mcpServer/oauthLogin/completed",
            "process/exited",
            "process/outputDelta",
            "windowsSandbox/setupCompleted",
        }
    ),
    "sound and speech as they pass; the server keeps what was said": frozenset(
        {
            "thread/realtime/error",
            "thread/realtime/item/completed",
            "thread/realtime/item/started",
            "thread/realtime/item/transcript/delta",
            "thread/realtime/itemAdded",
            "thread/realtime/outputAudio/delta",
            "thread/realtime/sdp",
            "thread/realtime/transcript/delta",
            "thread/realtime/transcript/done",
        }
    ),
    "said by an item as well": frozenset({"thread/compacted"}),
}
"""The notifications that carry no state of threads, turns or the server that lasts, by the reason."""

# Documents of a thread of which the last is kept, by what they are kept as; and what takes one out again.
_LINES: Final = {
    "thread/goal/updated": "goal",
    "thread/prediction/updated": "prediction",
    "thread/readState/changed": "read_state",
    "thread/realtime/started": "realtime",
    "thread/settings/updated": "settings",
    "thread/tokenUsage/updated": "usage",
    "turn/plan/updated": "plan",
}
_ENDS: Final = {"thread/goal/cleared": "goal", "thread/realtime/closed": "realtime"}


def short(value: JsonValue) -> str | None:
    """Return a text, as much of it as any real name has; ``None`` if it is none."""
    return cut(value, LONGEST_NAME) if isinstance(value, str) else None


# -- threads -----------------------------------------------------------------------------------------------------------


def describe(tree: StateTree, thread: ThreadNode, told: JsonValue, line: bytes) -> None:
    """Take what is told when a thread is described as a whole. ``line`` is a message that holds it as ``thread``."""
    if not isinstance(told, dict):
        return
    thread.details = line if len(line) <= tree.limits.text_bytes else None
    thread.name = short(told.get("name")) or thread.name
    thread.parent = short(told.get("parentThreadId")) or thread.parent
    thread.forked_from = short(told.get("forkedFromId")) or thread.forked_from
    thread.nickname = short(told.get("agentNickname")) or thread.nickname
    thread.role = short(told.get("agentRole")) or thread.role
    thread.project = short(told.get("projectId"))
    _set_place(thread, told)
    _set_source(thread, told.get("source"))
    _set_status(thread, told.get("status"))


def _set_source(thread: ThreadNode, source: JsonValue) -> None:
    """Take who began a sub-agent from the longer form of the source, which older threads have only."""
    agent = source.get("subAgent") if isinstance(source, dict) else None
    spawn = agent.get("thread_spawn") if isinstance(agent, dict) else None
    if isinstance(spawn, dict):
        thread.parent = thread.parent or short(spawn.get("parent_thread_id"))
        thread.nickname = thread.nickname or short(spawn.get("agent_nickname"))
        thread.role = thread.role or short(spawn.get("agent_role"))
        thread.agent_path = short(spawn.get("agent_path")) or thread.agent_path


def _set_status(thread: ThreadNode, status: JsonValue) -> None:
    if isinstance(status, dict) and (kind := short(status.get("type"))) is not None:
        flags = status.get("activeFlags")
        thread.status = kind
        thread.active_flags = tuple(filter(None, map(short, flags[:MOST_FLAGS]))) if isinstance(flags, list) else ()


def _set_place(thread: ThreadNode, told: JsonValue) -> None:
    if isinstance(told, dict):
        thread.model = short(told.get("model")) or thread.model
        thread.cwd = short(told.get("cwd")) or thread.cwd


def _started(tree: StateTree, envelope: Envelope) -> None:
    ref, told = envelope.shallow.thread, params_of(envelope).get("thread")
    if ref is not None and isinstance(told, dict) and (thread := tree.thread(ref.id, envelope.seq)):
        describe(tree, thread, told, envelope.raw)


def _changed(tree: StateTree, envelope: Envelope) -> None:
    """Take what is short, or wanted in plain form."""
    if (thread := tree.thread(envelope.shallow.thread_id, envelope.seq)) is None:
        return
    params = params_of(envelope)
    match envelope.method:
        case "thread/status/changed":
            _set_status(thread, params.get("status"))
        case "thread/name/updated":
            thread.name = short(params.get("threadName"))
        case "thread/project/updated":
            thread.project = short(params.get("projectId"))
        case "turn/diff/updated":
            diff = params.get("diff")
            thread.diff = cut(diff, tree.limits.text_bytes) if isinstance(diff, str) else None
        case _:
            connected = envelope.method == "thread/environment/connected"
            _set_environment(thread, short(params.get("environmentId")), connected=connected)


def _set_environment(thread: ThreadNode, name: str | None, *, connected: bool) -> None:
    if name is not None:
        others = tuple(other for other in thread.environments if other != name)
        thread.environments = (*others, name)[-MOST_ENVIRONMENTS:] if connected else others


def _document(tree: StateTree, envelope: Envelope) -> None:
    """Take what is told as a document, of which the last is kept."""
    if (thread := tree.thread(envelope.shallow.thread_id, envelope.seq)) is None:
        return
    if envelope.method in _ENDS:
        setattr(thread, _ENDS[envelope.method], None)
        return
    line = envelope.raw if len(envelope.raw) <= tree.limits.text_bytes else None
    setattr(thread, _LINES[envelope.method or ""], line)
    if envelope.method == "thread/settings/updated":
        _set_place(thread, params_of(envelope).get("threadSettings"))


def _queue_changed(tree: StateTree, envelope: Envelope) -> None:
    """Take that other prompts wait than before. Which, is not told; so what was known of them is out of date."""
    if (thread := tree.thread(envelope.shallow.thread_id, envelope.seq)) is not None:
        thread.queue_seq, thread.queue = envelope.seq, None


def _left(tree: StateTree, envelope: Envelope) -> None:
    """Take that a thread was put away, brought back, cut or deleted. One that is not known stays so."""
    known = tree.threads.get(envelope.shallow.thread_id or "")
    if known is None or (thread := tree.thread(known.id, envelope.seq)) is None:
        return
    match envelope.method:
        case "thread/closed":
            tree.unload(thread, "notLoaded")
        case "thread/archived" | "thread/unarchived":
            thread.archived = envelope.method == "thread/archived"
        case "thread/reverted":
            # From which turn on is not told, so none of the ended ones can be vouched for.
            for turn in [turn for turn in thread.turns.values() if not turn.is_open]:
                tree.drop_turn(turn)
        case _:
            tree.drop_thread(thread)


# -- notes -------------------------------------------------------------------------------------------------------------


def _turn_note(tree: StateTree, envelope: Envelope) -> None:
    shallow = envelope.shallow
    if (turn := tree.turn(shallow.thread_id, shallow.turn_id, envelope.seq)) is not None:
        tree.note_of_turn(turn, turn.told, envelope.method, envelope.raw)


def _review(tree: StateTree, envelope: Envelope) -> None:
    shallow = envelope.shallow
    if (turn := tree.turn(shallow.thread_id, shallow.turn_id, envelope.seq)) is not None:
        tree.note_of_turn(turn, turn.reviews, params_of(envelope).get("reviewId"), envelope.raw)


def _hook(tree: StateTree, envelope: Envelope) -> None:
    shallow = envelope.shallow
    run = params_of(envelope).get("run")
    name = run.get("id") if isinstance(run, dict) else None
    if shallow.turn_id is None:
        if (thread := tree.thread(shallow.thread_id, envelope.seq)) is not None:
            tree.note(thread.hooks, name, envelope.raw)
    elif (turn := tree.turn(shallow.thread_id, shallow.turn_id, envelope.seq)) is not None:
        tree.note_of_turn(turn, turn.hooks, name, envelope.raw)


def _attachment(tree: StateTree, envelope: Envelope) -> None:
    if (thread := tree.thread(envelope.shallow.thread_id, envelope.seq)) is not None:
        params = params_of(envelope)
        is_gone = params.get("operation") == "deleted"
        tree.note(thread.attachments, params.get("attachmentId"), None if is_gone else envelope.raw)


# -- items that tell of other threads ----------------------------------------------------------------------------------


def adopt(tree: StateTree, item: ItemNode, envelope: Envelope) -> None:
    """Take from an item who began which sub-agent: nothing else announces the thread that it works in."""
    told = params_of(envelope).get("item")
    if not isinstance(told, dict):
        return
    children: JsonValue
    if item.kind == "subAgentActivity":
        children = [told.get("agentThreadId")] if told.get("kind") == "started" else []
    else:
        children = told.get("receiverThreadIds") if told.get("tool") == "spawnAgent" else []
    parent = item.turn.thread
    for child_id in children[:MOST_ENVIRONMENTS] if isinstance(children, list) else ():
        if not isinstance(child_id, str) or child_id == parent.id:
            continue
        if (child := tree.thread(child_id, envelope.seq)) is not None:
            child.parent = child.parent or parent.id
            child.model = child.model or short(told.get("model")) or None
            child.agent_path = child.agent_path or short(told.get("agentPath"))


FACTS: Final[Mapping[str | None, _Fact]] = {
    **dict.fromkeys((*_LINES, *_ENDS), _document),
    "thread/started": _started,
    **dict.fromkeys(
        (
            "thread/environment/connected",
            "thread/environment/disconnected",
            "thread/name/updated",
            "thread/project/updated",
            "thread/status/changed",
            "turn/diff/updated",
        ),
        _changed,
    ),
    "thread/queue/changed": _queue_changed,
    **dict.fromkeys(
        ("thread/archived", "thread/closed", "thread/deleted", "thread/reverted", "thread/unarchived"), _left
    ),
    **dict.fromkeys(
        (
            "autoApprovalReview/strictReviewRequired",
            "model/rerouted",
            "model/safetyBuffering/updated",
            "model/verification",
            "modelProvider/authRecoveryCompleted",
            "modelProvider/authRecoveryStarted",
            "turn/moderationMetadata",
        ),
        _turn_note,
    ),
    **dict.fromkeys(("item/autoApprovalReview/started", "item/autoApprovalReview/completed"), _review),
    **dict.fromkeys(("hook/started", "hook/completed"), _hook),
    "thread/attachment/updated": _attachment,
}
"""The messages that are taken here, and how."""
