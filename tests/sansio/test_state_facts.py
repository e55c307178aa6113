"""What is told of threads and turns beside their items, and that no notification of the server is overlooked."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from codex_runtime._sansio.envelope import NO_STAMP, decode_lines
from codex_runtime._sansio.projection import Projection
from codex_runtime._sansio.state import NO_NOTES, Evicted, RuntimeState, StateLimits, ThreadState
from codex_runtime._sansio.state_facts import FACTS, NOT_KEPT
from codex_runtime.protocol import Thread, registry

THREAD, TURN = "01a20439-970b", "01a20439-972d"
RECORDINGS = sorted((Path(__file__).parents[1] / "protocol" / "recordings").glob("*.jsonl"))


def folded(*messages: tuple[str, dict[str, Any]], limits: StateLimits | None = None) -> RuntimeState:
    """Fold the messages, each as a read of its own."""
    projection = Projection(limits)
    for seq, (method, params) in enumerate(messages):
        line = json.dumps({"method": method, "params": params}).encode() + b"\n"
        projection.fold(decode_lines([line], seq, NO_STAMP)[0])
    return projection.snapshot()


def about(method: str, **params: Any) -> tuple[str, dict[str, Any]]:
    """Name a message about the thread."""
    return method, {"threadId": THREAD, **params}


# -- nothing is overlooked ---------------------------------------------------------------------------------------------


def test_every_notification_is_taken_or_left_alone_on_purpose() -> None:
    """A new version of codex that says something new makes this test ask: does it last?"""
    taken = {method for method in Projection._ROADS if method is not None}
    left = [method for methods in NOT_KEPT.values() for method in methods]
    assert taken | set(left) == {method.name for method in registry.of("server_notification")}
    assert taken & set(left) == set()
    assert [method for method, count in Counter(left).items() if count > 1] == []


def test_what_is_left_alone_changes_nothing() -> None:
    """Those messages do not even cost a new snapshot."""
    projection = Projection()
    before = projection.snapshot()
    params = {"threadId": THREAD, "turnId": TURN, "itemId": "i", "delta": "d", "item": {"id": "i", "type": "x"}}
    lines = [
        json.dumps({"method": method, "params": params}).encode() + b"\n"
        for methods in NOT_KEPT.values()
        for method in sorted(methods)
    ]
    projection.fold(decode_lines(lines, 0, NO_STAMP)[0])
    assert projection.snapshot() is before


def test_every_notification_that_names_a_thread_and_is_taken_makes_it_known() -> None:
    """Whatever comes first about a thread, it is in the state from then on, except that it went away."""
    params = {
        "threadId": THREAD, "turnId": TURN, "itemId": "i", "delta": "d", "item": {"id": "i", "type": "x"},
        "turn": {"id": TURN}, "thread": {"id": THREAD}, "run": {"id": "h"}, "reviewId": "r", "name": "m",
        "attachmentId": "a", "environmentId": "e", "message": "m", "stdin": "s",
    }  # fmt: skip
    server_wide = {"account/rateLimits/updated", "account/updated", "remoteControl/status/changed"}
    leaving = {f"thread/{word}" for word in ("archived", "closed", "deleted", "reverted", "unarchived")}
    unknown = [name for name in Projection._ROADS if name is not None and not folded((name, params)).threads]
    assert set(unknown) == server_wide | leaving


# What the state says of a thread, and what the last message of each sort said.
SAYS: dict[str, Callable[[ThreadState, Any], tuple[object, object]]] = {
    "thread/started": lambda thread, told: (thread.details, told["thread"]),
    "thread/settings/updated": lambda thread, told: (thread.settings, told["threadSettings"]),
    "thread/readState/changed": lambda thread, told: (thread.read_state, told["readState"]),
    "thread/tokenUsage/updated": lambda thread, told: (thread.usage, told["tokenUsage"]),
    "thread/status/changed": lambda thread, told: (thread.status, told["status"]["type"]),
    "turn/diff/updated": lambda thread, told: (thread.diff, told["diff"]),
    "mcpServer/startupStatus/updated": lambda thread, told: (thread.mcp_servers[told["name"]], told),
    "turn/completed": lambda thread, told: (
        [getattr(thread.turns[told["turn"]["id"]], name) for name in ("status", "root", "error", "duration")],
        [told["turn"][name] for name in ("status", "rootTurnId", "error")] + [told["turn"]["durationMs"] / 1000],
    ),
}


def test_what_a_real_server_told_last_is_what_the_state_says() -> None:
    """Against the recordings, with the plainest of models: the last message of each sort about each thread."""
    rows = [json.loads(line) for path in RECORDINGS for line in path.read_text(encoding="utf-8").splitlines()]
    messages = [row["message"] for row in rows if row["dir"] == "<-" and "method" in row["message"]]
    state = folded(*[(message["method"], message["params"]) for message in messages])
    last: dict[tuple[str, str], Any] = {}
    for message in messages:
        params = message["params"]
        thread = params.get("threadId") or (params.get("thread") or {}).get("id")
        if thread is not None and message["method"] in SAYS:
            last[message["method"], thread] = params
    deleted = {message["params"]["threadId"] for message in messages if message["method"] == "thread/deleted"}
    said = [
        SAYS[method](state.threads[thread], told) for (method, thread), told in last.items() if thread not in deleted
    ]
    assert [left for left, _ in said] == [right for _, right in said]
    assert {method for method, _ in last} > {"thread/started", "thread/status/changed", "turn/completed"}


# -- threads -----------------------------------------------------------------------------------------------------------


def test_a_thread_says_where_it_came_from() -> None:
    """Parent, origin, names, project and all details are taken when it is announced."""
    told = {
        "id": THREAD, "parentThreadId": "p", "forkedFromId": "f", "agentNickname": "Ada", "agentRole": "reviewer",
        "projectId": "j", "path": "/rollout.jsonl", "source": {"subAgent": "review"},
    }  # fmt: skip
    thread = folded(("thread/started", {"thread": told})).threads[THREAD]
    assert (thread.parent, thread.forked_from, thread.nickname, thread.role) == ("p", "f", "Ada", "reviewer")
    assert (thread.project, thread.details) == ("j", told)
    assert {"parent_thread_id", "forked_from_id", "agent_nickname", "agent_role"} <= set(Thread.__struct_fields__)


def test_the_longer_form_of_the_source_names_the_parent_too() -> None:
    """Where the short form is missing."""
    spawn = {
        "parent_thread_id": "p",
        "depth": 1,
        "agent_nickname": "Ada",
        "agent_role": "r",
        "agent_path": "agents/ada",
    }
    told = {"id": THREAD, "source": {"subAgent": {"thread_spawn": spawn}}}
    thread = folded(("thread/started", {"thread": told})).threads[THREAD]
    assert (thread.parent, thread.nickname, thread.role, thread.agent_path) == ("p", "Ada", "r", "agents/ada")


def test_documents_of_a_thread_are_kept_as_told() -> None:
    """Settings, what is unread, what may be asked next, and a spoken conversation while it lasts."""
    messages = [
        about("thread/settings/updated", threadSettings={"model": "m", "effort": "high"}),
        about("thread/readState/changed", readState={"revision": "r"}),
        about("thread/prediction/updated", result={"type": "completed", "text": "next?"}, sourceTurnId=TURN),
        about("thread/realtime/started", version="v2", realtimeSessionId="s"),
        about("thread/project/updated", projectId="j"),
    ]
    thread = folded(*messages).threads[THREAD]
    assert (thread.settings, thread.model) == ({"model": "m", "effort": "high"}, "m")
    assert (thread.read_state, thread.prediction) == ({"revision": "r"}, {"type": "completed", "text": "next?"})
    assert (thread.realtime["version"], thread.project) == ("v2", "j")
    thread = folded(
        *messages, about("thread/realtime/closed"), about("thread/project/updated", projectId=None)
    ).threads[THREAD]
    assert (thread.realtime, thread.project) == (None, None)


def test_environments_come_and_go() -> None:
    """Those that are connected now are named once each."""
    steps = [("connected", "a"), ("connected", "b"), ("connected", "a"), ("disconnected", "b"), ("disconnected", "c")]
    messages = [about(f"thread/environment/{step}", environmentId=name) for step, name in steps]
    assert folded(*messages).threads[THREAD].environments == ("a",)


def test_a_changed_queue_is_not_known_any_more() -> None:
    """The message does not say what waits; when it came is what can be said."""
    thread = folded(about("warning"), about("thread/queue/changed")).threads[THREAD]
    assert (thread.queue_seq, thread.queue) == (1, None)


def test_attachments_are_kept_until_they_are_deleted() -> None:
    """By their id."""
    added = [about("thread/attachment/updated", attachmentId=name, operation="created") for name in "ab"]
    gone = about("thread/attachment/updated", attachmentId="a", operation="deleted")
    assert list(folded(*added, gone).threads[THREAD].attachments) == ["b"]


# -- notes -------------------------------------------------------------------------------------------------------------


def test_rarer_messages_about_a_turn_are_kept_by_their_method() -> None:
    """That another model took over stays known, the last word counts."""
    messages = [about("model/rerouted", turnId=TURN, toModel=model) for model in ("m1", "m2")]
    told = folded(*messages, about("turn/moderationMetadata", turnId=TURN, metadata=1)).threads[THREAD].turns[TURN].told
    assert list(told) == ["model/rerouted", "turn/moderationMetadata"]
    assert told["model/rerouted"]["toModel"] == "m2"


def test_hooks_and_reviews_show_how_they_ended() -> None:
    """The start is replaced by the end; a hook of no turn is its thread's."""
    state = folded(
        about("hook/started", turnId=TURN, run={"id": "h", "status": "running"}),
        about("hook/completed", turnId=TURN, run={"id": "h", "status": "blocked"}),
        about("hook/started", turnId=None, run={"id": "h", "status": "running"}),
        about("item/autoApprovalReview/started", turnId=TURN, reviewId="r", review={"status": "inProgress"}),
        about("item/autoApprovalReview/completed", turnId=TURN, reviewId="r", review={"status": "approved"}),
    )
    thread = state.threads[THREAD]
    turn = thread.turns[TURN]
    assert turn.hooks["h"]["run"]["status"] == "blocked"
    assert thread.hooks["h"]["run"]["status"] == "running"
    assert turn.reviews["r"]["review"] == {"status": "approved"}


def test_notes_keep_to_their_limit_and_what_goes_is_counted() -> None:
    """The oldest goes; an absurdly long one or one without a name is not taken."""
    messages = [about("hook/started", turnId=TURN, run={"id": name}) for name in "abc"]
    messages += [
        about("hook/started", turnId=TURN, run=run) for run in ({"id": 7}, {}, 7, {"id": "x", "t": "y" * 99_999})
    ]
    state = folded(*messages, limits=StateLimits(notes=2))
    assert list(state.threads[THREAD].turns[TURN].hooks) == ["b", "c"]
    assert state.evicted == Evicted(notes=1)


def test_notes_of_turns_weigh_as_items_do() -> None:
    """The bound on all that is kept holds for them too: the older turn goes."""
    messages = [about("model/rerouted", turnId=turn, pad="x" * 400) for turn in ("1", "2", "3")]
    state = folded(*messages, limits=StateLimits(total_bytes=1200))
    assert list(state.threads[THREAD].turns) == ["2", "3"]


def test_what_only_lived_in_the_server_goes_with_it() -> None:
    """After its death no thread is loaded, no MCP server runs, no environment is connected."""
    projection = Projection()
    messages = [
        about("thread/status/changed", status={"type": "active", "activeFlags": ["waitingOnApproval"]}),
        about("mcpServer/startupStatus/updated", name="stub", status="ready"),
        ("mcpServer/startupStatus/updated", {"name": "all", "status": "ready", "threadId": None}),
        about("thread/environment/connected", environmentId="local"),
        about("thread/settings/updated", threadSettings={"model": "m"}),
    ]
    lines = [json.dumps({"method": method, "params": params}).encode() + b"\n" for method, params in messages]
    projection.fold(decode_lines(lines, 0, NO_STAMP)[0])
    before = projection.snapshot()
    assert before.mcp_servers["all"]["status"] == before.threads[THREAD].mcp_servers["stub"]["status"] == "ready"
    projection.end_generation()
    after = projection.snapshot()
    thread = after.threads[THREAD]
    assert (thread.status, thread.active_flags, thread.environments) == (None, (), ())
    assert (thread.mcp_servers, after.mcp_servers) == (NO_NOTES, NO_NOTES)
    assert thread.settings == {"model": "m"}
    projection.end_generation()
    assert projection.snapshot() is after


def test_who_is_signed_in_is_told_of_the_server() -> None:
    """So is whether it can be controlled from afar; neither touches the threads."""
    projection = Projection()
    threads = projection.snapshot().threads
    line = b'{"method":"account/updated","params":{"authMode":"apikey","planType":null}}\n'
    projection.fold(decode_lines([line], 0, NO_STAMP)[0])
    state = projection.snapshot()
    assert state.told["account/updated"] == {"authMode": "apikey", "planType": None}
    assert state.threads is threads


# -- sub-agents --------------------------------------------------------------------------------------------------------


def spawn(*receivers: Any, tool: str = "spawnAgent", **fields: Any) -> tuple[str, dict[str, Any]]:
    """Name the end of a call that deals with sub-agents."""
    item = {"type": "collabAgentToolCall", "id": "c", "tool": tool, "receiverThreadIds": list(receivers), **fields}
    return about("item/completed", turnId=TURN, item=item)


def test_a_sub_agents_thread_knows_its_parent() -> None:
    """The server announces no thread for it; the item of the parent that began it does."""
    state = folded(
        spawn("child", model="m"), ("turn/started", {"threadId": "child", "turn": {"id": "u", "rootTurnId": TURN}})
    )
    child = state.threads["child"]
    assert (child.parent, child.model, child.turns["u"].root) == (THREAD, "m", TURN)
    assert state.children(THREAD) == (child,)
    assert state.children("child") == ()


def test_an_activity_that_starts_names_the_child_and_its_path() -> None:
    """The newer kind of item."""
    item = {
        "type": "subAgentActivity",
        "id": "a",
        "kind": "started",
        "agentThreadId": "child",
        "agentPath": "agents/ada",
    }
    state = folded(about("item/started", turnId=TURN, item=item))
    assert (state.threads["child"].parent, state.threads["child"].agent_path) == (THREAD, "agents/ada")


def test_only_who_begins_an_agent_is_its_parent() -> None:
    """Waiting for one, or writing to one, makes nobody a parent; nor is anybody its own, and the first word stays."""
    assert list(folded(spawn("child", tool="wait")).threads) == [THREAD]
    assert folded(spawn(THREAD, 7, None)).threads[THREAD].parent is None
    state = folded(("thread/started", {"thread": {"id": "child", "parentThreadId": "p"}}), spawn("child"))
    assert state.threads["child"].parent == "p"


# -- items that grow ---------------------------------------------------------------------------------------------------


def test_what_is_typed_into_a_command_is_kept() -> None:
    """In its order, until the command is over."""
    typed = [about("item/commandExecution/terminalInteraction", turnId=TURN, itemId="i", stdin=text) for text in "ab"]
    end = about("item/completed", turnId=TURN, item={"id": "i", "type": "commandExecution"})
    state = folded(*typed, end, *typed)
    assert state.threads[THREAD].turns[TURN].items["i"].stdin == "ab"
    cut = folded(*typed, limits=StateLimits(text_bytes=1)).threads[THREAD].turns[TURN].items["i"]
    assert (cut.stdin, cut.truncated) == ("a", True)


def test_a_growing_patch_shows_until_it_is_done() -> None:
    """At its end the item itself tells the changes."""
    grows = about("item/fileChange/patchUpdated", turnId=TURN, itemId="i", changes=[{"path": "p"}])
    item = folded(grows).threads[THREAD].turns[TURN].items["i"]
    assert item.patch == [{"path": "p"}]
    end = about("item/completed", turnId=TURN, item={"id": "i", "type": "fileChange"}, completedAtMs=1500)
    item = folded(grows, end, grows).threads[THREAD].turns[TURN].items["i"]
    assert (item.patch, item.completed_at, item.started_at) == (None, 1.5, None)


anything = st.recursive(
    st.none() | st.integers() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["id", "type", "subAgent", "thread_spawn", "tool", "kind"]), inner, max_size=3
        )
    ),
    max_leaves=6,
)
NAMES = ["thread", "item", "run", "reviewId", "name", "attachmentId", "operation", "environmentId", "stdin", "changes"]


@given(
    st.sampled_from(sorted(str(name) for name in Projection._ROADS)), st.dictionaries(st.sampled_from(NAMES), anything)
)
def test_no_parameters_make_it_raise(method: str, params: dict[str, Any]) -> None:
    """Also of agents, hooks and sources that look like none."""
    kinds = [{"type": "collabAgentToolCall"}, {"type": "subAgentActivity"}]
    item = params.get("item")
    items = [{"id": "i", **item, **kind} for kind in kinds] if isinstance(item, dict) else [item]
    for each in items:
        state = folded((method, {"threadId": THREAD, "turnId": TURN, "itemId": "i", **params, "item": each}))
        assert isinstance(msgspec.to_builtins(state.evicted), dict)


def test_every_fact_is_a_road_of_the_projection() -> None:
    """The table is joined to the projection as a whole."""
    assert set(FACTS) <= set(Projection._ROADS)
