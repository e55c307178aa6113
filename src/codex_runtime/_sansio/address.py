"""Where an app server listens: the text of an address, taken apart and judged.

Two forms, those that the server itself knows: ``ws://HOST:PORT`` and ``unix:///PATH``. Nothing here resolves a name or
looks at a file.
"""

from __future__ import annotations

import re
from typing import TypeAlias

from msgspec import Struct

from codex_runtime.errors import ConfigError

__all__ = ["Address", "TcpAddress", "UnixAddress", "parse_address"]

_TCP = re.compile(r"ws://(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<name>[A-Za-z0-9._-]+)):(?P<port>[0-9]{1,5})/?")
_HIGHEST_PORT = 65535


class TcpAddress(Struct, frozen=True):
    """A host, which may be a name, and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        """Return the address as a server would take it."""
        return f"ws://[{self.host}]:{self.port}" if ":" in self.host else f"ws://{self.host}:{self.port}"

    @property
    def is_local(self) -> bool:
        """True if it can only be this machine."""
        import ipaddress  # for those who connect; the others shall not wait for it

        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host.lower() == "localhost"


class UnixAddress(Struct, frozen=True):
    """The path of a socket."""

    path: str

    def __str__(self) -> str:
        """Return the address as a server would take it."""
        return f"unix://{self.path}"

    @property
    def is_local(self) -> bool:
        """True: a socket of the file system is never anywhere else."""
        return True


Address: TypeAlias = TcpAddress | UnixAddress


def parse_address(text: str) -> Address:
    """Take an address apart. Raises :class:`ConfigError` for the field ``address``."""
    if text.startswith("unix://"):
        path = text.removeprefix("unix://")
        if not path.startswith("/") or "\0" in path:
            raise ConfigError("address", "after unix:// comes an absolute path, as in unix:///run/codex.sock")
        return UnixAddress(path)
    # The text may hold a password, or a token in its query: it is not repeated.
    if (match := _TCP.fullmatch(text)) is None:
        raise ConfigError("address", "must be ws://HOST:PORT or unix:///PATH, with nothing else in it")
    host, port = match["v6"] or match["name"], int(match["port"])
    if match["v6"] is not None and not _is_v6(host):
        raise ConfigError("address", f"[{host}] is not an IPv6 address")
    if not 0 < port <= _HIGHEST_PORT:
        raise ConfigError("address", f"{port} is not a port")
    return TcpAddress(host, port)


def _is_v6(host: str) -> bool:
    import ipaddress

    try:
        ipaddress.IPv6Address(host)
    except ValueError:
        return False
    return True
