"""Which server is this, and do we speak its language?"""

from __future__ import annotations

import re

from codex_runtime.errors import ConfigError, IncompatibleServerError

__all__ = ["MINIMUM_VERSION", "check_version", "parse_version", "server_version"]

# The version whose schema this package is generated from; older servers lack methods and fields that we use.
MINIMUM_VERSION = "0.163.0"

# The server puts the client's own name first: "<client>/<server version> (<os>) <terminal> (<client>; <its version>)".
_USER_AGENT = re.compile(r"^[^/]+/(\d{1,9})\.(\d{1,9})\.(\d{1,9})")
_VERSION = re.compile(r"^(\d{1,9})\.(\d{1,9})\.(\d{1,9})$")


def server_version(user_agent: str) -> tuple[int, int, int] | None:
    """Return the server's version from its user agent, or ``None`` if there is none in it."""
    found = _USER_AGENT.match(user_agent)
    return (int(found[1]), int(found[2]), int(found[3])) if found else None


def parse_version(version: str) -> tuple[int, int, int]:
    """Return the three numbers of a version. Raises :class:`ConfigError` if it is none."""
    found = _VERSION.match(version)
    if found is None:
        raise ConfigError("minimum_version", f"{version!r} is not a version like 1.2.3")
    return int(found[1]), int(found[2]), int(found[3])


def check_version(user_agent: str, minimum: str | None) -> None:
    """Raise :class:`IncompatibleServerError` if the server is older than ``minimum``, or does not say what it is."""
    if minimum is None:
        return
    wanted = parse_version(minimum)
    found = server_version(user_agent)
    if found is None:
        raise IncompatibleServerError("the app server does not say which version it is")
    if found < wanted:
        version = ".".join(map(str, found))
        raise IncompatibleServerError(
            f"the codex binary is version {version}, but {minimum} or later is needed; "
            'install it with: pip install --upgrade "codex-runtime[codex]"'
        )
