"""The token with which we show a listening app server that we may come in, and when one is needed.

It is at hand, or in a file, or made anew for each connection from a secret that we share with the server (a JSON web
token, HS256). Files are read each time, so a token may be replaced while a runtime lives. No message and no ``repr`` of this
file holds a token or a secret.
"""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import TypeAlias

from msgspec import Struct

from codex_runtime._sansio.address import Address, parse_address
from codex_runtime.errors import ConfigError, StartError

__all__ = ["SignedToken", "Token", "TokenFile", "check_access", "read_token"]

# The server takes no shorter secret; nor would one be safe.
SHORTEST_SECRET = 32


class TokenFile(Struct, frozen=True):
    """A file that holds the token, and nothing else but white space around it."""

    path: str | os.PathLike[str]


class SignedToken(Struct, frozen=True, kw_only=True):
    """A token that is signed with a shared secret when it is needed, and good for ``lifetime`` seconds.

    ``secret_file`` holds the secret, at least 32 bytes without the white space around it. ``issuer`` and ``audience`` are
    needed if the server checks them.
    """

    secret_file: str | os.PathLike[str]
    issuer: str | None = None
    audience: str | None = None
    lifetime: float = 300.0


Token: TypeAlias = str | TokenFile | SignedToken


def check_access(address: str, token: Token | None, *, allow_unauthenticated: bool = False) -> Address:
    """Take an address apart and see that it does not lead to strangers. Looks at no file. Raises :class:`ConfigError`."""
    where = parse_address(address)
    if token is not None:
        _check_token(token)
    elif not (where.is_local or allow_unauthenticated):
        raise ConfigError("token", f"{where} is not on this machine: give a token, or allow_unauthenticated=True")
    return where


def read_token(token: Token, *, now: float) -> str:
    """Return the token to send. ``now`` is the time of day, in seconds since 1970.

    Raises :class:`StartError` if its file cannot be read, or does not hold what it should.
    """
    if isinstance(token, str):
        return token
    if isinstance(token, SignedToken):
        secret = _contents(token.secret_file)
        if len(secret) < SHORTEST_SECRET:
            raise StartError(f"the secret in {os.fspath(token.secret_file)!r} is shorter than 32 bytes")
        return _signed(token, secret, now)
    text = _contents(token.path).decode("ascii", errors="replace")
    if not _fits(text):
        raise StartError(f"{os.fspath(token.path)!r} does not hold a token: one word, in ASCII")
    return text


def _check_token(token: object) -> None:
    match token:
        case str():
            if not _fits(token):
                raise ConfigError("token", "must be ASCII without white space; it is sent in an HTTP header")
        case SignedToken():
            if not (math.isfinite(token.lifetime) and token.lifetime >= 1):
                raise ConfigError("token.lifetime", "must be a finite number of seconds, 1 or more")
        case TokenFile():
            pass
        case _:
            raise ConfigError("token", "must be text, a TokenFile or a SignedToken")


def _signed(token: SignedToken, secret: bytes, now: float) -> str:
    import hashlib  # for those who sign; the others shall not wait for it
    import hmac
    import json

    claims: dict[str, str | int] = {"iat": int(now), "exp": math.ceil(now + token.lifetime)}
    if token.issuer is not None:
        claims["iss"] = token.issuer
    if token.audience is not None:
        claims["aud"] = token.audience
    text = b".".join(_base64(json.dumps(part).encode()) for part in ({"alg": "HS256", "typ": "JWT"}, claims))
    signature = hmac.new(secret, text, hashlib.sha256).digest()
    return b".".join((text, _base64(signature))).decode()


def _base64(data: bytes) -> bytes:
    import base64

    return base64.urlsafe_b64encode(data).rstrip(b"=")


def _contents(path: str | os.PathLike[str]) -> bytes:
    try:
        return Path(path).read_bytes().strip()
    except OSError as error:
        raise StartError(f"cannot read {os.fspath(path)!r}: {error.strerror}") from error


def _fits(token: str) -> bool:
    return bool(token) and token.isascii() and token.isprintable() and " " not in token
