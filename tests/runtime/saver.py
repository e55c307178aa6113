"""A program that saves state after state until it is killed. Usage: saver.py PATH. It prints the number of each saved one."""

from __future__ import annotations

import json
import sys
from itertools import count

from codex_runtime._sansio.envelope import NO_STAMP, decode_lines
from codex_runtime._sansio.projection import Projection
from codex_runtime._sansio.snapshot import Encoder
from codex_runtime.runtime import JsonStateStore, RuntimeState

PAD = "x" * 2_000


def main(path: str) -> None:
    """Save the states 0, 1, 2, …, each of which adds to the one before."""
    store, encoder, projection = JsonStateStore(path), Encoder(), Projection()
    store.open()
    print("ready", flush=True)  # noqa: T201
    for number in count():
        params = {
            "threadId": "t",
            "turnId": f"u{number % 50}",
            "itemId": "i",
            "delta": f"{number} {PAD}",
            "threadName": str(number),
        }
        messages = [
            {"method": method, "params": params} for method in ("item/agentMessage/delta", "thread/name/updated")
        ]
        projection.fold(decode_lines([json.dumps(message).encode() for message in messages], number, NO_STAMP)[0])
        store.save(encoder.encode(projection.snapshot()))
        print(number, flush=True)  # noqa: T201


def number_of(state: RuntimeState) -> int:
    """Return which of the states it is, if it is a whole one."""
    thread = state.threads["t"]
    number = int(thread.name or "")
    for turn in range(min(number + 1, 50)):
        latest = number - (number - turn) % 50
        assert f"{latest} {PAD}" in thread.turns[f"u{turn}"].items["i"].text
    return number


if __name__ == "__main__":
    main(sys.argv[1])
