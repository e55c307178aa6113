"""Everything a real server said in the recordings is read typed, down to the last item."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from codex_runtime.protocol import Undecodable, UnknownMessage, decode_message, decode_result, encode_params
from tests.protocol.test_registry_samples import unknowns

if TYPE_CHECKING:
    from collections.abc import Iterator

    from codex_runtime.protocol import Decoded

RECORDINGS = sorted(Path(__file__).with_name("recordings").glob("*.jsonl"))


def spoken(path: Path) -> Iterator[tuple[dict[str, Any], str, Decoded]]:
    """Each line that carries content the server made or accepted: the message, which part of it, and what it reads as."""
    asked: dict[tuple[str, object], str] = {}
    for row in map(json.loads, path.read_text().splitlines()):
        message = row["message"]
        other = "->" if row["dir"] == "<-" else "<-"
        if "id" in message and "method" in message:
            asked[row["dir"], message["id"]] = message["method"]
        if "method" in message and row["dir"] == "<-":
            yield message, "params", decode_message(json.dumps(message).encode())
        elif "result" in message:
            method = asked[other, message["id"]]
            yield message, "result", decode_result(method, json.dumps(message["result"]).encode())


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: path.stem)
def test_every_recorded_line_is_read_typed(path: Path) -> None:
    """Notifications, server requests and results: no unknown message, no mismatch, no unknown arm."""
    lines = list(spoken(path))
    assert lines
    for _, _, value in lines:
        assert not isinstance(value, (Undecodable, UnknownMessage)), value
        assert list(unknowns(value)) == []


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: path.stem)
def test_no_recorded_field_is_lost(path: Path) -> None:
    """Encoding what was read gives every field back, but for the open objects of the configuration."""
    lost = {place for message, part, value in spoken(path) for place in missing(message.get(part), encoded(value), "")}
    assert {place for place in lost if not place.startswith(OPEN)} == set()


OPEN = (".config.",)
"""The struct of a configuration has the keys the schema lists; the server sends others, too."""


def encoded(value: Decoded) -> object:
    """The JSON of what was read."""
    return json.loads(encode_params(value))


def missing(sent: object, kept: object, place: str) -> Iterator[str]:
    """The places of fields that were sent and did not survive."""
    match sent, kept:
        case dict(), dict():
            for key, value in sent.items():
                if key in kept:
                    yield from missing(value, kept[key], f"{place}.{key}")
                else:
                    yield f"{place}.{key}"
        case list(), list():
            for one, other in zip(sent, kept, strict=True):
                yield from missing(one, other, f"{place}[]")
        case _:
            if sent != kept:
                yield f"{place} = {sent!r}"
