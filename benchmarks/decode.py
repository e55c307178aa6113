"""What it costs to turn one line into something useful, by kind of message: `python -m benchmarks.decode ours|sdk`.

No process, no pipe: the lines are recorded from the stand-in first.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable

from benchmarks import firehose
from benchmarks.contenders import available
from benchmarks.tables import figure, table

__all__ = ["measure", "show"]

Costs = dict[str, dict[str, float]]  # method → way of decoding → seconds

MESSAGES = (
    {"id": 1, "method": "thread/start", "params": {}},
    {
        "id": 2,
        "method": "turn/start",
        "params": {
            "threadId": "01b0a7c4-4e90-7a12-8c33-000000000001",
            "input": [{"type": "text", "text": "fire:n=1000;mix=mixed"}],
        },
    },
)


def measure() -> dict[str, Costs]:
    """Time the decoders of both contenders that have any, each in a process of its own, because of what it imports."""
    return {name: _measure(name) for name in ("ours", "sdk") if available(name)}


def _measure(name: str) -> Costs:
    done = subprocess.run([sys.executable, "-m", "benchmarks.decode", name], check=True, capture_output=True, text=True)
    result: Costs = json.loads(done.stdout)
    return result


def show(costs: dict[str, Costs]) -> None:
    """Print the cost of decoding by kind of message."""
    rows = []
    for method, ours in sorted(costs["ours"].items()):
        theirs = costs.get("sdk", {}).get(method, {}).get("sdk")
        times = [figure(ours[way] * 1e6) for way in ("shallow", "typed", "json")]
        ratio = f"{theirs / ours['typed']:.1f}x" if theirs else "-"
        rows.append([method, ratio, figure(ours["bytes"]), *times, figure(theirs * 1e6) if theirs else "-"])
    table(
        "decode: microseconds a line, without process and pipe",
        ["", "ours is", "bytes", "ours shallow", "ours typed", "json.loads", "openai-codex"],
        rows,
        "'ours is' compares typed with openai-codex",
    )


def record() -> dict[str, bytes]:
    """Return the first line of each notification."""
    server = subprocess.Popen(firehose.command(), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert server.stdin is not None
    assert server.stdout is not None
    server.stdin.write(b"".join(json.dumps(message).encode() + b"\n" for message in MESSAGES))
    server.stdin.flush()
    lines: dict[str, bytes] = {}
    for line in server.stdout:
        if (method := json.loads(line).get("method")) is not None:
            lines.setdefault(method, line)
            if method == "turn/completed":
                break
    server.stdin.close()
    server.stdout.close()
    server.wait()
    return lines


def decoders(name: str) -> dict[str, Callable[[bytes], object]]:
    """Return the ways of a contender to decode a line."""
    if name == "sdk":
        from openai_codex.client import CodexClient

        client = CodexClient()

        def coerce(line: bytes) -> object:
            message = json.loads(line)
            return client._coerce_notification(message["method"], message["params"])  # noqa: SLF001

        return {"sdk": coerce}
    from codex_runtime._sansio.envelope import NO_STAMP, decode_lines

    return {
        "json": json.loads,
        "shallow": lambda line: decode_lines([line], 0, NO_STAMP),
        "typed": lambda line: decode_lines([line], 0, NO_STAMP)[0][0].event,
    }


def seconds_of(decode: Callable[[bytes], object], line: bytes) -> float:
    """Return the best time of a call, of several stretches of about 10 ms."""
    clock = time.perf_counter
    before = clock()
    for _ in range(20):
        decode(line)
    count = max(20, int(0.01 / ((clock() - before) / 20)))
    best = 1.0
    for _ in range(5):
        before = clock()
        for _ in range(count):
            decode(line)
        best = min(best, (clock() - before) / count)
    return best


def main() -> None:
    """Print what was measured as JSON."""
    ways = decoders(sys.argv[1])
    lines = record()
    print(
        json.dumps(
            {
                method: {"bytes": len(line), **{way: seconds_of(decode, line) for way, decode in ways.items()}}
                for method, line in lines.items()
            }
        )
    )


if __name__ == "__main__":
    main()
