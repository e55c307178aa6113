"""Watch the figures of a runtime: a line every second while it works, and a summary at the end.

You see how much comes in, what waits for an answer, who lags, and how long things took::

    python examples/watch_metrics.py "What is in this folder?"
"""

import asyncio
import sys

from codex_runtime import Client, Runtime
from codex_runtime.runtime import Metrics


async def watch(runtime: Runtime, every: float) -> None:
    """Print what changed since the line before."""
    before = runtime.metrics
    while True:
        await asyncio.sleep(every)
        now = runtime.metrics
        lag = ", ".join(f"{each.name} {each.dropped}" for each in now.open_subscriptions if each.dropped) or "nobody"
        print(
            f"{now.uptime:7.1f} s  {(now.messages - before.messages) / every:8.0f} messages/s  "
            f"{now.in_flight:3} in flight  {now.open_server_requests:3} to answer  lagging: {lag}  "
            f"{(now.child_rss or 0) >> 20:5} MiB"
        )
        before = now


def summary(metrics: Metrics) -> None:
    """Print what it came to."""
    print(f"{metrics.messages} messages, restarts: {dict(metrics.restarts) or 'none'}")
    for kind, table in (("turn", metrics.turns), ("approval", metrics.approvals), ("request", metrics.request_times)):
        for name, times in table.items():
            print(
                f"{kind:8} {name:20} {times.count:4} times, p95 {times.quantile(0.95):7.3f} s, at most {times.max:7.3f} s"
            )


async def main(prompt: str, every: float = 1.0) -> None:
    """Run a prompt and watch it."""
    async with Client() as client:
        watching = asyncio.create_task(watch(client.runtime, every))
        await client.run(prompt)
        watching.cancel()
        summary(client.runtime.metrics)


if __name__ == "__main__":
    asyncio.run(main(" ".join(sys.argv[1:]) or "What is in this folder?"))
