"""The protocol and the typed calls as users write them. Checked by mypy, never run."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_type

from msgspec import UNSET, UnsetType

from codex_runtime.protocol import (
    AgentMessageDeltaNotification,
    AgentMessageThreadItem,
    CommandExecutionThreadItem,
    FsCopyParams,
    ItemCompletedNotification,
    McpServerElicitationRequestParams,
    Method,
    SandboxMode,
    SandboxPolicy,
    TextUserInput,
    ThreadItem,
    ThreadStartParams,
    ThreadStartResponse,
    TurnCompletedNotification,
    TurnStatus,
    Undecodable,
    Unknown,
    UnknownMessage,
    decode_message,
    decode_result,
    registry,
)

if TYPE_CHECKING:
    from codex_runtime.appserver import AppServer
    from codex_runtime.protocol import LoginAccountResponse, ModelListResponse, RequestId


def follow(line: bytes) -> str:
    """Events are matched by their class, items inside them likewise."""
    match decode_message(line):
        case AgentMessageDeltaNotification(delta=delta, item_id=item):
            assert_type(delta, str)
            return item + delta
        case ItemCompletedNotification(item=AgentMessageThreadItem(text=text)):
            assert_type(text, str)
            return text
        case ItemCompletedNotification(item=CommandExecutionThreadItem(exit_code=code)):
            assert_type(code, int | None)
            return str(code)
        case ItemCompletedNotification(item=Unknown(type=kind)):
            assert_type(kind, str)
            return kind
        case TurnCompletedNotification(turn=turn):
            assert_type(turn.status, TurnStatus | str)
            return turn.error.message if turn.error else turn.status
        case UnknownMessage(method=method) | Undecodable(method=method):
            return method
        case _:
            return ""


def tell(item: ThreadItem) -> str:
    """A union may be narrowed by class, or asked for its tag."""
    if isinstance(item, AgentMessageThreadItem):
        return item.text
    return item.type


def sandbox(policy: SandboxPolicy, mode: SandboxMode) -> ThreadStartParams:
    """Unions and enums are types like any other."""
    assert_type(policy.type, str)
    return ThreadStartParams(sandbox=mode, approval_policy="on-request", cwd=None)


def copy(source: str, target: str) -> list[FsCopyParams]:
    """Fields are named, never counted."""
    return [
        FsCopyParams(source_path=source, destination_path=target),
        FsCopyParams(source, target),  # type: ignore[call-arg]
        FsCopyParams(source_path=source),  # type: ignore[call-arg]
    ]


def what_we_send_is_checked() -> list[ThreadStartParams]:
    """A misspelt value or option is found before anything runs; a value that is left out is UNSET."""
    params = ThreadStartParams(cwd="/src")
    assert_type(params.cwd, str | UnsetType | None)
    return [
        params,
        ThreadStartParams(cwd=UNSET),
        ThreadStartParams(sandbox="readonly"),  # type: ignore[arg-type]
        ThreadStartParams(sandbx="read-only"),  # type: ignore[call-arg]
    ]


async def call(app: AppServer, thread: str) -> LoginAccountResponse | ModelListResponse:
    """Calls are keyword options in and a struct out."""
    started = await app.thread_start(cwd="/src", sandbox="read-only", deadline=30)
    assert_type(started, ThreadStartResponse)
    inputs = [TextUserInput(text="hi")]
    turn = await app.turn_start(thread_id=started.thread.id, input=inputs, effort="low")
    assert_type(turn.turn.status, TurnStatus | str)
    await app.turn_start(thread_id=thread)  # type: ignore[call-arg]
    await app.thread_start(sandbox="readonly")  # type: ignore[arg-type]
    await app.command_exec(command="ls")  # type: ignore[arg-type]
    assert_type(await app.request("anything/else", {"a": 1}), object)
    return await app.model_list()


def table(name: str, number: RequestId) -> object:
    """The registry answers for every method."""
    for method in registry:
        assert_type(method, Method)
    found = registry.get(name)
    assert_type(found, Method | None)
    return decode_result(name, b"{}") if found else number


def elicited(params: McpServerElicitationRequestParams) -> str:
    """Params may be a union, too; what its arms share is there without narrowing."""
    return params.mode if not isinstance(params, Unknown) else params.type
