"""The same doors for programs without an event loop.

::

    from codex_runtime import TextDelta
    from codex_runtime.sync import Client

    with Client() as client, client.start_session(cwd=".") as session:
        with session.stream("Explain the tests") as turn:
            for event in turn:
                match event:
                    case TextDelta(text):
                        print(text, end="")

Names, options and errors are those of :mod:`codex_runtime`; only ``await`` is missing, and ``aclose`` is ``close``.
Nothing is decided here: every call runs on a private event loop, on a thread of its own.
"""

from codex_runtime.sync._client import Client, quick_run
from codex_runtime.sync._session import Approvals, Event, Session, Turn
from codex_runtime.sync._ticket import Ticket

__all__ = ["Approvals", "Client", "Event", "Session", "Ticket", "Turn", "quick_run"]
