"""Let a bot work in one process, and have a person in another one answer what it asks.

In the first terminal the bot works; in the second one the person looks at what is open and answers by its id::

    python examples/approve_from_another_process.py work ./approvals.sock "Create a file notes.txt"

    python examples/approve_from_another_process.py list ./approvals.sock
    python examples/approve_from_another_process.py yes ./approvals.sock TICKET

Whoever can open the socket may answer, so put it where nobody else can. A ticket that nobody answers within a minute (or the
seconds after the prompt) is declined, and the turn goes on. In a web worker, two routes would take the place of the socket.
"""

import asyncio
import json
import sys

from codex_runtime import Client, CodexError, RunProfile, Runtime, RuntimeConfig, Ticket
from codex_runtime.runtime import Decision


def leave_open(ticket: Ticket) -> None:
    """Keep a ticket: somebody settles it later, or its time is over."""
    print(f"waiting for an answer: {ticket.question}", flush=True)


def tell(decision: Decision) -> None:
    """Print what became of a ticket."""
    print(f"{decision.outcome} by {decision.by or decision.decider}: {decision.reason or '-'}", flush=True)


CAREFUL = RunProfile(sandbox="workspace-write", approval_policy="untrusted", approvals=leave_open)


def answer(runtime: Runtime, word: str, ticket_id: str) -> object:
    """Do what the person wants. Anything but a plain yes is a no."""
    if word == "list":
        return [{"id": ticket.id, "asks": str(ticket.question)} for ticket in runtime.tickets]
    ticket = runtime.ticket(ticket_id)
    if word == "yes":
        ticket.accept(by="the person")
    else:
        ticket.decline("no", by="the person")
    return ticket.outcome


async def work(path: str, prompt: str, patience: float = 60.0) -> None:
    """Run a prompt, and take answers at the socket meanwhile."""
    config = RuntimeConfig(server_request_deadline=patience, on_decision=tell)
    async with Client(config, profile=CAREFUL) as client:

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                line = await asyncio.wait_for(reader.readline(), 5.0)
                word, _, ticket_id = line.decode(errors="replace").strip().partition(" ")
                reply = answer(client.runtime, word, ticket_id)
            except (CodexError, TimeoutError) as error:
                reply = f"error: {error}"
            writer.write(json.dumps(reply).encode())
            writer.close()

        async with await asyncio.start_unix_server(serve, path):
            print((await client.run(prompt)).text)


async def person(path: str, *words: str) -> None:
    """Send one line, and print the reply."""
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(f"{' '.join(words)}\n".encode())
    print(json.dumps(json.loads(await reader.read()), indent=2))
    writer.close()


if __name__ == "__main__":
    role, path, *rest = sys.argv[1:] if sys.argv[2:] else sys.exit(__doc__)
    asyncio.run(work(path, rest[0], *map(float, rest[1:])) if role == "work" else person(path, role, *rest))
