"""A wire to an app server that is cut, once, at a line: neither that line nor the server is there any more.

Usage: severed.py FLAG WORDS COMMAND...  Passes on what COMMAND writes up to the first line that contains WORDS, then kills it
with SIGKILL and ends. The file FLAG keeps the next one, which is run in its place, from doing so again.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path


def main(flag: Path, words: str, *command: str) -> int:
    """Run the command."""
    with subprocess.Popen(command, stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        for line in server.stdout:
            if words.encode() in line and not flag.exists():
                flag.touch()
                server.kill()
                return -signal.SIGKILL % 256
            sys.stdout.buffer.write(line)
            sys.stdout.buffer.flush()
    return server.returncode % 256


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), *sys.argv[2:]))
