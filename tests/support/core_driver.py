"""Drives the rules of the fake app server by hand: messages in, messages out, nothing in between."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from codex_runtime.testing._fake_core import FakeServerCore, Waiting
from codex_runtime.testing._fake_log import History
from codex_runtime.testing._fake_orders import Orders
from codex_runtime.testing._fake_script import Script
from codex_runtime.testing._fake_threads import FakeDisk

if TYPE_CHECKING:
    from codex_runtime.testing._fake_core import Output

Message = dict[str, Any]
CLIENT = {"clientInfo": {"name": "driver", "version": "1"}}


class CoreDriver:
    """A disk, orders and a record, with one process after another; `core` is the latest."""

    def __init__(self, *scripts: Script | str, greet: bool = True, experimental: bool = True) -> None:
        self.disk = FakeDisk()
        self.orders = Orders(default=Script.of("Hello!"))
        self.orders.scripts.extend(map(Script.of, scripts))
        self.history = History()
        self.wall = 1000.0
        self.outputs: list[Output] = []
        self.core: FakeServerCore
        self._last_id = 0
        self._experimental = experimental
        self.launch(greet=greet)

    def launch(self, *, greet: bool = True) -> None:
        """Start a process, and greet it."""
        self.core = FakeServerCore(
            generation=self.history.born(),
            disk=self.disk,
            orders=self.orders,
            history=self.history,
            wall=lambda: self.wall,
        )
        self.outputs = self.core.start()
        if greet:
            self.ask("initialize", {**CLIENT, "capabilities": {"experimentalApi": self._experimental}})
            self.tell("initialized")

    def restart(self) -> None:
        """End the process and start the next."""
        self.core.end()
        self.launch()

    # -- in ----------------------------------------------------------------------------------------------------------

    def line(self, line: bytes) -> list[Message]:
        """Write a line; returns the messages that it caused."""
        self.outputs = self.core.receive(line)
        return messages(self.outputs)

    def tell(self, method: str, params: Message | None = None) -> list[Message]:
        """Send a notification."""
        return self.line(json.dumps({"method": method} | ({} if params is None else {"params": params})).encode())

    def send(self, method: str, params: object = None) -> list[Message]:
        """Send a request; returns all that it caused."""
        self._last_id += 1
        message = {"id": self._last_id, "method": method, "params": {} if params is None else params}
        return self.line(json.dumps(message).encode())

    def ask(self, method: str, params: object = None) -> Any:
        """Send a request and return its result."""
        [response] = [message for message in self.send(method, params) if message.get("id") == self._last_id]
        return response["result"]

    def refused(self, method: str, params: object = None) -> str:
        """Send a request and return the text of its refusal."""
        [response] = [message for message in self.send(method, params) if message.get("id") == self._last_id]
        return str(response["error"]["message"])

    def answer(self, rpc_id: int, result: object) -> list[Message]:
        """Answer a server request."""
        return self.line(json.dumps({"id": rpc_id, "result": result}).encode())

    def proceed(self) -> list[Message]:
        """Let the wait of the last outputs end; returns what follows."""
        [waiting] = [output for output in self.outputs if isinstance(output, Waiting)]
        self.outputs = self.core.proceed(waiting.key)
        return messages(self.outputs)

    # -- threads and turns -------------------------------------------------------------------------------------------

    def start_thread(self, **params: object) -> str:
        """Start a thread and return its id."""
        return str(self.ask("thread/start", params)["thread"]["id"])

    def start_turn(self, thread_id: str, text: str = "go", **params: object) -> list[Message]:
        """Start a turn; returns all that it caused."""
        content = [{"type": "text", "text": text}]
        return self.send("turn/start", {"threadId": thread_id, "input": content, **params})


def messages(outputs: list[Output]) -> list[Message]:
    """The messages among the outputs; neither half a line nor garbage."""
    *lines, _ = b"".join(output for output in outputs if isinstance(output, bytes)).split(b"\n")
    found = []
    for line in lines:
        with suppress(ValueError):
            found.append(json.loads(line))
    return found


def methods(found: list[Message]) -> list[str]:
    """The methods of messages; a response is called so."""
    return [message.get("method", "response") for message in found]


def params_of(found: list[Message], method: str) -> list[Message]:
    """The parameters of the messages with this method."""
    return [message["params"] for message in found if message.get("method") == method]


def completed_items(found: list[Message], kind: str) -> list[Message]:
    """The finished items of this type."""
    return [params["item"] for params in params_of(found, "item/completed") if params["item"]["type"] == kind]
