"""Let a policy answer approvals: it allows, denies, or leaves the question to a person.

Run it in a folder of yours::

    python examples/guard_with_policy.py "Create a file notes.txt, then push the repository"
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from codex_runtime import Client, Ticket
from codex_runtime.hooks import Decision, load_policy

POLICY = Path(__file__).with_name("policy.toml")


async def ask_a_person(ticket: Ticket) -> None:
    """Answer what the policy leaves open. Anything but a plain yes is a no."""
    command = ticket.params.get("command") or ticket.method
    answer = await asyncio.to_thread(input, f"May it do this?  {command!a}  [y/N] ")
    if answer.strip().lower() == "y":
        ticket.accept()
    else:
        ticket.decline("the person said no")


def keep_record(decision: Decision) -> None:
    """Print who decided what, and why."""
    print(f"[{decision.verdict}] by {decision.name or decision.by}: {decision.reason or '-'}")


async def main(prompt: str) -> None:
    """Run one prompt under the policy."""
    async with Client(hooks=(load_policy(POLICY),), on_decision=keep_record) as client:
        result = await client.run(prompt, sandbox="workspace-write", approvals=ask_a_person)
    print(result.text)


if __name__ == "__main__":
    asyncio.run(main(" ".join(sys.argv[1:]) or "Create a file notes.txt with one line in it."))
