"""The stand-in for machines without a C compiler: it renders its lines once and then only writes big chunks.

Started as `python -S -E playback.py`; imports next to nothing. It knows the same directives as `firehose.c`, but one turn at
a time and one mix, deltas: at any other it ends.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
from collections.abc import Iterator
from typing import Any

STAMP = ',"emittedAtMs":1790000000000}\n'
PIECES = (" the", " function", "(self,", " value", "):\\n   ", " return", " parser", ".feed(data)")


def send(text: str | bytes) -> None:
    """Write all of it."""
    data = memoryview(text.encode() if isinstance(text, str) else text)
    while data:
        data = data[os.write(1, data) :]


def lines() -> Iterator[bytes]:
    """Yield what the client writes, line by line."""
    tail = b""
    while chunk := os.read(0, 65536):
        *complete, tail = (tail + chunk).split(b"\n")
        yield from complete


def fire(thread: str, turn: str, directive: str, answers: Iterator[bytes]) -> str:
    """Write the lines of one turn, and ask for its approvals."""
    options = dict(pair.split("=") for pair in directive.removeprefix("fire:").split(";") if "=" in pair)
    if options.get("mix", "delta") != "delta":
        sys.exit("without a C compiler there are deltas only")
    left, per_line, rate = int(options.get("n", 0)), int(options.get("perline", 0)), float(options.get("rate", 0))
    stamped = int(options.get("stamp", 0))
    block = [
        f'{{"method":"item/agentMessage/delta","params":{{"threadId":"{thread}","turnId":"{turn}",'
        f'"itemId":"msg_0c47f1d2a900058b3e6f0917d24ca83b5e6f100000000","delta":"{PIECES[k % 8]}"}}{STAMP}'.encode()
        for k in range(1000)
    ]
    chunk = b"".join(block)
    while left and not per_line and not rate:
        send(chunk if left >= len(block) else b"".join(block[:left]))
        left -= min(left, len(block))
    for k in range(left):
        line = block[k % 1000]
        if stamped:
            now = f'"delta":"{time.clock_gettime_ns(time.CLOCK_MONOTONIC):020}"'
            line = re.sub(rb'"delta":"[^"]*"', now.encode(), line)
        send(line)
        if rate:
            time.sleep(1 / rate)
    refused = ask(thread, turn, int(options.get("reqs", 0)), int(options.get("win", 1)), answers)
    return "failed" if refused else "completed"


def ask(thread: str, turn: str, total: int, window: int, answers: Iterator[bytes]) -> int:
    """Ask for approvals, so many at a time; return how many were refused."""
    asked = answered = refused = 0
    while answered < total:
        while asked < total and asked - answered < window:
            send(
                f'{{"method":"item/commandExecution/requestApproval","id":{asked},"params":{{"kind":"command","threadId":"{thread}",'
                f'"turnId":"{turn}","itemId":"call_{asked:016x}","startedAtMs":1790000000000,"command":"make test",'
                '"cwd":"/home/user/project","commandActions":[],"availableDecisions":["accept","cancel"]}}\n'
            )
            asked += 1
        answer = json.loads(next(answers))
        answered += 1
        refused += answer.get("result", {}).get("decision") != "accept"
        send(
            f'{{"method":"serverRequest/resolved","params":{{"threadId":"{thread}","requestId":{answer["id"]}}}{STAMP}'
        )
    return refused


def turn_json(turn: str, status: str) -> dict[str, Any]:
    """Return a turn as the server tells it."""
    return {
        "id": turn, "rootTurnId": turn, "items": [], "itemsView": "notLoaded", "status": status,
        "error": None, "startedAt": 1790000000, "completedAt": None, "durationMs": None,
    }  # fmt: skip


def thread_json(thread: str) -> dict[str, Any]:
    """Return a thread as the server tells it."""
    return {
        "id": thread, "sessionId": thread, "preview": "", "ephemeral": False, "modelProvider": "bench", "createdAt": 1790000000,
        "updatedAt": 1790000000, "status": {"type": "idle"}, "path": None, "cwd": "/home/user/project", "cliVersion": "0.163.0",
        "originator": "bench", "source": "vscode", "historyMode": "paginated", "name": None, "turns": [], "environments": [],
        "canAcceptDirectInput": True,
    }  # fmt: skip


def main() -> None:
    """Serve until stdin ends."""
    count = 0
    incoming = lines()
    for line in incoming:
        message = json.loads(line)
        method, params = message.get("method"), message.get("params") or {}
        if "id" not in message or method is None:
            continue
        count += 1
        result, after = params, None
        if method == "initialize":
            result = {
                "userAgent": "bench/0.163.0 (Linux; x86_64) unknown (bench; 1)",
                "platformFamily": "unix",
                "platformOs": "linux",
            }
        elif method == "thread/start":
            result = {
                "thread": thread_json(f"01b0a7c4-4e90-7a12-8c33-{count:012x}"), "model": "bench", "modelProvider": "bench",
                "cwd": "/home/user/project", "approvalPolicy": "never", "approvalsReviewer": "user",
                "sandbox": {"type": "readOnly", "networkAccess": False}, "instructionSources": [],
            }  # fmt: skip
        elif method == "turn/start":
            turn = f"01b0a7c4-52d1-7e30-9f48-{count:012x}"
            result, after = {"turn": turn_json(turn, "inProgress")}, turn
        send(json.dumps({"id": message["id"], "result": result}) + "\n")
        if after is not None:
            thread = params["threadId"]
            started = {"threadId": thread, "turn": turn_json(after, "inProgress")}
            send(json.dumps({"method": "turn/started", "params": started}) + "\n")
            status = fire(thread, after, params["input"][0]["text"], incoming)
            ended = {"threadId": thread, "turn": turn_json(after, status)}
            send(json.dumps({"method": "turn/completed", "params": ended}, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
