"""Use the runtime from a plain script: no async, no await, and a plain function that answers approvals.

You are asked before the agent runs a command that could change something, and see what it says in the end::

    python examples/without_an_event_loop.py "Create an empty file notes.txt" "Now list the folder"
"""

import sys

from codex_runtime import RunProfile
from codex_runtime.sync import Client, Ticket

CAREFUL = RunProfile(sandbox="workspace-write", approval_policy="untrusted")


def answer(ticket: Ticket) -> None:
    """Ask the person. What this function does not accept is declined, also if it fails."""
    if input(f"{ticket.question}\n[y/N] ").strip().lower() == "y" and not ticket.is_settled:
        ticket.accept()


def main(*prompts: str) -> None:
    """Run the prompts one after the other, in one thread."""
    with Client(profile=CAREFUL) as client, client.start_session(cwd=".", approvals=answer) as session:
        for prompt in prompts:
            print(session.run(prompt).text)


if __name__ == "__main__":
    main(*sys.argv[1:] or ["What is in this folder?"])
