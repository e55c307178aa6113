"""Let a policy answer approvals: it allows, denies, or leaves the question to a person.

Run it in a folder of yours::

    python examples/guard_with_policy.py "Create a file notes.txt, then push the repository"
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from codex_runtime import Client, RuntimeConfig, Ticket
from codex_runtime.hooks import load_policy
from codex_runtime.runtime import Decision

POLICY = Path(__file__).with_name("policy.toml")


async def ask_a_person(ticket: Ticket) -> None:
    """Answer what the policy leaves open. Anything but a plain yes is a no."""
    answer = await asyncio.to_thread(input, f"{ticket.question}\n[y/N] ")
    if ticket.is_settled:
        print("(too late)")
    elif answer.strip().lower() == "y":
        ticket.accept()
    else:
        ticket.decline("the person said no")


def keep_record(decision: Decision) -> None:
    """Print who decided what, and why."""
    print(f"[{decision.outcome}] by {decision.by or decision.decider}: {decision.reason or '-'}")


async def main(prompt: str) -> None:
    """Run one prompt under the policy."""
    config = RuntimeConfig(on_decision=keep_record)
    async with Client(config, hooks=(load_policy(POLICY),)) as client:
        result = await client.run(prompt, sandbox="workspace-write", approvals=ask_a_person)
    print(result.text)


if __name__ == "__main__":
    asyncio.run(main(" ".join(sys.argv[1:]) or "Create a file notes.txt with one line in it."))
