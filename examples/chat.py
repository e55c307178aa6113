"""Talk with the agent: many turns in one thread, each shown while it grows.

You see the answer as it is written, and each command that is run. Ctrl-C stops the answer, not the chat; an empty line ends
it. No event loop is needed for any of this::

    python examples/chat.py
"""

from collections.abc import Iterator

from codex_runtime import CodexError, CommandStarted, TextDelta
from codex_runtime.sync import Client, Session


def prompts() -> Iterator[str]:
    """Yield what the person types, up to an empty line or the end of the input."""
    try:
        while prompt := input("\n> ").strip():
            yield prompt
    except (EOFError, KeyboardInterrupt):
        print()


def say(session: Session, prompt: str) -> None:
    """Run one turn and print what it says and does."""
    with session.stream(prompt) as turn:
        for event in turn:
            match event:
                case TextDelta(text):
                    print(text, end="", flush=True)
                case CommandStarted(command):
                    print(f"\n$ {command}")
        turn.finish()


def main() -> None:
    """Chat until the person has had enough."""
    with Client() as client, client.start_session(cwd=".", sandbox="workspace-write") as session:
        for prompt in prompts():
            try:
                say(session, prompt)
            except KeyboardInterrupt:
                print("\n(stopped)")
            except CodexError as error:
                print(f"\n({error})")


if __name__ == "__main__":
    main()
