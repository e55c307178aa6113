"""Watch every message between us and the app server, of all threads, while it happens.

You see a number, a direction, a thread and a method for each message, in the order of the wire. Here two threads work at the
same time. A reader that is too slow for its window is told what it missed, in that place; give a small window to see it::

    python examples/follow_everything.py 8192 "What is in this folder?" "Which day is it?"
"""

import asyncio
import sys

from codex_runtime import Client
from codex_runtime.runtime import Gap, Subscription


async def follow(messages: Subscription) -> None:
    """Print what comes, until the subscription is closed and all of it is read."""
    async for item in messages:
        if isinstance(item, Gap):
            print(f"      .. {item.count} messages missed, {item.first_seq} to {item.last_seq}")
        else:
            arrow = "<-" if item.direction == "inbound" else "->"
            print(f"{item.seq:5} {arrow} {(item.thread_id or '')[-8:]:8} {item.method or item.kind}")


async def main(window: int, *prompts: str) -> None:
    """Run each prompt in a thread of its own, all at once."""
    async with Client() as client:
        with client.runtime.subscribe(name="screen", outbound=True, capacity=window) as messages:
            following = asyncio.create_task(follow(messages))
            await asyncio.gather(*[client.run(prompt) for prompt in prompts])
        await following


if __name__ == "__main__":
    window, *prompts = sys.argv[1:] or ["8192", "What is in this folder?", "Which day is it?"]
    asyncio.run(main(int(window), *prompts))
