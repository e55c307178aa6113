"""As much HTTP/1.1 as one well-known client on loopback needs, and no more.

Reads whole requests, writes heads, bodies and chunks. It never decides what to
answer. The one idea: whatever this file cannot read is refused by a status that
says why, so a stranger on the port learns at once that this is no web server.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["LAST_CHUNK", "MAX_HEAD", "BadRequestError", "HttpRequest", "chunk", "head", "plain", "read_request"]

MAX_HEAD = 64 * 1024
"""The largest head that is read, in bytes."""

_MAX_BODY = 256 * 1024 * 1024  # a conversation at its largest is resent whole with every request; it stays below this

_REQUEST_LINE = re.compile(r"(?P<method>[A-Z]+) (?P<path>[^ ?]+)(\?[^ ]*)? HTTP/1\.1")

LAST_CHUNK = b"0\r\n\r\n"
"""What ends a body that is sent in chunks."""


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """One whole request; header names in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def is_last(self) -> bool:
        """Whether the client wants the connection closed after the answer."""
        return self.headers.get("connection", "").lower() == "close"


class BadRequestError(Exception):
    """What came is not a request this server reads; ``status`` is the answer to it."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


async def read_request(reader: asyncio.StreamReader) -> HttpRequest | None:
    """Wait for the next request; ``None`` when the client has left.

    Raises:
        BadRequestError: It cannot be read.
        IncompleteReadError, ConnectionError: The client left in the middle of it.
    """
    try:
        block = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise
        return None
    except asyncio.LimitOverrunError:
        raise BadRequestError(431, "the head of the request is too large") from None
    first, *lines = block[:-4].decode("latin-1").split("\r\n")
    request_line = _REQUEST_LINE.fullmatch(first)
    if request_line is None:
        raise BadRequestError(400, "this is not an HTTP/1.1 request")
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon:
            raise BadRequestError(400, "a header without a colon")
        headers[name.lower()] = value.strip()
    body = await reader.readexactly(_length(headers))
    return HttpRequest(request_line["method"], request_line["path"], headers, body)


def _length(headers: Mapping[str, str]) -> int:
    if "transfer-encoding" in headers:
        raise BadRequestError(411, "a request body needs a content-length here")
    if "content-encoding" in headers:
        raise BadRequestError(415, "a request body must not be compressed here")
    text = headers.get("content-length", "0")
    if not (text.isascii() and text.isdigit()):
        raise BadRequestError(400, "the content-length is not a number")
    if len(text) > len(str(_MAX_BODY)) or int(text) > _MAX_BODY:
        raise BadRequestError(413, "the body of the request is too large")
    return int(text)


def head(status: int, headers: Mapping[str, str]) -> bytes:
    """The head of an answer."""
    try:
        reason = HTTPStatus(status).phrase
    except ValueError:
        reason = "Status"
    lines = [f"HTTP/1.1 {status} {reason}", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def plain(status: int, headers: Mapping[str, str], body: bytes) -> bytes:
    """A whole answer that is not a stream."""
    return head(status, {**headers, "content-length": str(len(body))}) + body


def chunk(data: bytes) -> bytes:
    """One chunk of a body; the data must not be empty, for that would end it."""
    return b"%x\r\n%b\r\n" % (len(data), data)
