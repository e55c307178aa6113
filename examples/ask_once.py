"""Ask one thing, get one answer. The agent may read the folder, and nothing else.

You see the answer, then what it cost. Run it in a folder of yours::

    python examples/ask_once.py "What is this project about?"
"""

import asyncio
import sys

from codex_runtime import quick_run


async def main(prompt: str) -> None:
    """Start an app server, ask, end the server."""
    result = await quick_run(prompt, cwd=".", deadline=120)
    print(result.text)
    if result.usage is not None:
        print(f"({result.usage.total.total} tokens)")


if __name__ == "__main__":
    asyncio.run(main(" ".join(sys.argv[1:]) or "What is in this folder?"))
