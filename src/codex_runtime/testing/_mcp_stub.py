"""A very small MCP server on stdin and stdout, to try MCP tools against: a program, run by its file name.

It never imports anything of this package, so it starts fast and under any
interpreter. The one idea: it does one thing at a time, so a tool that asks the
user simply reads on until the answer is there.
"""

import json
import sys
import time
from typing import Any

_FORM = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "title": "Your name"},
        "colour": {"type": "string", "enum": ["red", "green"]},
        "sure": {"type": "boolean", "default": False},
    },
    "required": ["name"],
}
_STEPS = 4


def _tool(
    name: str, description: str, *, properties: dict[str, str] | None = None, **more: object
) -> dict[str, object]:
    schema = {"type": "object", "properties": {key: {"type": kind} for key, kind in (properties or {}).items()}}
    return {"name": name, "description": description, "inputSchema": schema, **more}


_TOOLS = [
    _tool("echo", "Gives the text back.", properties={"text": "string"}),
    _tool("ask", "Has the user fill in a form."),
    _tool("ask_url", "Sends the user to a page."),
    _tool("slow", "Takes some seconds and tells its progress.", properties={"seconds": "number"}),
    _tool("look", "Only reads.", annotations={"readOnlyHint": True}),
]


def main() -> None:
    """Serve until the input ends."""
    while (message := _receive()) is not None:
        method, number = message.get("method"), message.get("id")
        if method is not None and number is not None:
            _send({"id": number, **_answer(method, message.get("params") or {})})


def _answer(method: str, params: dict[str, Any]) -> dict[str, object]:
    match method:
        case "initialize":
            return {
                "result": {
                    "protocolVersion": params.get("protocolVersion", "2025-06-18"),
                    "capabilities": {"tools": {}},
                    "serverInfo": {"name": "stub", "version": "1"},
                }
            }
        case "ping":
            return {"result": {}}
        case "tools/list":
            return {"result": {"tools": _TOOLS}}
        case "tools/call":
            try:
                text = _call(params["name"], params.get("arguments") or {}, params.get("_meta") or {})
            except (KeyError, TypeError, ValueError) as error:
                return {"result": {"content": [{"type": "text", "text": repr(error)}], "isError": True}}
            return {"result": {"content": [{"type": "text", "text": text}], "isError": False}}
        case _:
            return {"error": {"code": -32601, "message": f"no such method: {method}"}}


def _call(name: str, arguments: dict[str, Any], meta: dict[str, Any]) -> str:
    match name:
        case "echo":
            return str(arguments.get("text", ""))
        case "look":
            return "nothing was changed"
        case "ask":
            return _ask({"message": "Who are you?", "requestedSchema": _FORM})
        case "ask_url":
            page = "https://example.invalid/login"
            return _ask({"mode": "url", "message": "Please log in.", "url": page, "elicitationId": "stub-login"})
        case "slow":
            return _take_time(float(arguments.get("seconds", 1)), meta.get("progressToken"))
        case _:
            raise ValueError(f"no such tool: {name}")


def _ask(params: dict[str, object]) -> str:
    _send({"id": "stub-question", "method": "elicitation/create", "params": params})
    while (message := _receive()) is not None:
        if message.get("id") == "stub-question" and "method" not in message:
            return json.dumps(message.get("result", message.get("error")))
    raise SystemExit  # nobody is left to answer


def _take_time(seconds: float, token: str | int | None) -> str:
    for step in range(1, _STEPS + 1):
        time.sleep(seconds / _STEPS)
        if token is not None:
            progress = {"progressToken": token, "progress": step, "total": _STEPS, "message": f"step {step}"}
            _send({"method": "notifications/progress", "params": progress})
    return f"took {seconds:g} s"


def _receive() -> dict[str, Any] | None:
    line = sys.stdin.buffer.readline()
    message: dict[str, Any] | None = json.loads(line) if line else None
    return message


def _send(message: dict[str, object]) -> None:
    sys.stdout.buffer.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
