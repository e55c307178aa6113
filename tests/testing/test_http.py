"""The little HTTP: what is read, and what is refused with which status."""

from __future__ import annotations

import asyncio

import pytest

from codex_runtime.testing._http import MAX_HEAD, BadRequestError, HttpRequest, chunk, head, plain, read_request


def reading(data: bytes) -> asyncio.StreamReader:
    """A reader that holds these bytes, and then the end."""
    reader = asyncio.StreamReader(limit=MAX_HEAD)
    reader.feed_data(data)
    reader.feed_eof()
    return reader


async def test_requests_are_read_one_after_the_other() -> None:
    """Header names are folded, the query is dropped, and the end is told as such."""
    reader = reading(
        b"POST /v1/responses?x=1 HTTP/1.1\r\nThread-Id:  t1 \r\nContent-Length: 2\r\n\r\n{}"
        b"GET / HTTP/1.1\r\nConnection: CLOSE\r\n\r\n"
    )
    assert await read_request(reader) == HttpRequest(
        "POST", "/v1/responses", {"thread-id": "t1", "content-length": "2"}, b"{}"
    )
    last = await read_request(reader)
    assert last is not None
    assert last.is_last
    assert await read_request(reader) is None


@pytest.mark.parametrize("data", [b"POST / HTTP", b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\n{}"])
async def test_half_a_request_is_not_taken_for_one(data: bytes) -> None:
    """A client that leaves in the middle is told apart from one that leaves in between."""
    with pytest.raises(asyncio.IncompleteReadError):
        await read_request(reading(data))


@pytest.mark.parametrize(
    ("status", "lines"),
    [
        (400, b"hello"),
        (400, b"GET / HTTP/1.0"),
        (400, b"GET  / HTTP/1.1"),
        (400, b"GET / HTTP/1.1\r\nno colon"),
        (400, b"POST / HTTP/1.1\r\nContent-Length: -1"),
        (400, "POST / HTTP/1.1\r\nContent-Length: \xb2".encode("latin-1")),
        (411, b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked"),
        (413, b"POST / HTTP/1.1\r\nContent-Length: 268435457"),
        (413, b"POST / HTTP/1.1\r\nContent-Length: " + b"9" * 5000),
        (415, b"POST / HTTP/1.1\r\nContent-Encoding: zstd\r\nContent-Length: 1"),
        (431, b"GET / HTTP/1.1\r\nx: " + b"y" * MAX_HEAD),
    ],
    ids=lambda value: None if isinstance(value, int) else value[:40].decode("latin-1"),
)
async def test_what_cannot_be_read_is_refused_with_a_reason(status: int, lines: bytes) -> None:
    """Each refusal has the status that fits it."""
    with pytest.raises(BadRequestError) as refused:
        await read_request(reading(lines + b"\r\n\r\n"))
    assert refused.value.status == status


def test_answers_have_the_shape_of_http() -> None:
    """Known and unknown statuses, a whole answer, and a chunk."""
    assert head(200, {"a": "b"}) == b"HTTP/1.1 200 OK\r\na: b\r\n\r\n"
    assert head(499, {}) == b"HTTP/1.1 499 Status\r\n\r\n"
    assert plain(404, {}, b"no") == b"HTTP/1.1 404 Not Found\r\ncontent-length: 2\r\n\r\nno"
    assert chunk(b"x" * 17) == b"11\r\n" + b"x" * 17 + b"\r\n"
