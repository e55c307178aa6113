"""A program that stands in for the app server and says too much, too wrong or too long, when it is asked to.

`flood` writes 200 000 notifications before its answer; `garbage` one line that is no message, and one of 20 MiB.
"""

from __future__ import annotations

import json
import sys

COUNT = 200_000
LINE = json.dumps(
    {
        "method": "item/agentMessage/delta",
        "params": {"threadId": "thread-1", "turnId": "turn-1", "itemId": "msg-1", "delta": "some words of the agent "},
        "emittedAtMs": 1,
    }
)


def main() -> None:
    """Answer whatever is asked."""
    for line in sys.stdin:
        message = json.loads(line)
        match message.get("method"):
            case "flood":
                for _ in range(COUNT // 1000):
                    sys.stdout.write(f"{LINE}\n" * 1000)
            case "garbage":
                sys.stdout.write("thread 'main' panicked\n")
                sys.stdout.write(json.dumps({"method": "warning", "params": {"message": "x" * (20 << 20)}}) + "\n")
        if "id" in message:
            result = {"userAgent": "fake/0.163.0 (x)"} if message["method"] == "initialize" else {}
            sys.stdout.write(json.dumps({"id": message["id"], "result": result}) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
