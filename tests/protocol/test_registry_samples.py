"""Every type and every method, with samples made from the schema: what goes in comes out, and nothing new breaks it.

The samples are grouped by module, so that one test judges all types of a namespace.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import msgspec
import pytest

from codex_runtime.protocol import (
    Json,
    Method,
    Undecodable,
    Unknown,
    UnknownMessage,
    Wire,
    _generated,
    decode_params,
    decode_result,
    encode_params,
    registry,
)
from codex_runtime.protocol._base import OneOf, decoder
from codex_runtime.protocol._registry import load
from tests.protocol.samples import FACTS, NEW, Sampler, arms_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from codex_runtime.protocol import Decoded

MODULES = sorted(_generated.MODULES)


def types_of(module: str) -> Iterator[tuple[str, msgspec.json.Decoder[Json]]]:
    """Each struct and union of a module that the schema names, with its decoder."""
    for name in _generated.MODULES[module]:
        kind = load(name)
        if name in FACTS.types and isinstance(kind, type) and issubclass(kind, (Wire, OneOf)):
            yield name, decoder(kind)


def unknowns(value: object) -> Iterator[Unknown]:
    """Every part of a decoded message that was not recognised."""
    if isinstance(value, Unknown):
        yield value
    elif isinstance(value, Wire):
        for name in value.__struct_fields__:
            yield from unknowns(getattr(value, name))
    elif isinstance(value, (list, dict)):
        for item in value if isinstance(value, list) else value.values():
            yield from unknowns(item)


def read(method: Method, side: str, value: object) -> Decoded:
    """Read one side of a method."""
    raw = json.dumps(value).encode()
    return decode_params(method.name, raw) if side == "params" else decode_result(method.name, raw)


@pytest.mark.parametrize("module", MODULES)
def test_a_full_sample_comes_back_as_it_was(module: str) -> None:
    """Each arm of each union, all fields present or null: no unknown part, and encoded to the same JSON."""
    for name, reader in types_of(module):
        for arm in range(arms_of(name)):
            for nulls in (False, True):
                sample = Sampler(arm=arm, nulls=nulls).of(name)
                value = reader.decode(json.dumps(sample))
                assert list(unknowns(value)) == [], name
                assert json.loads(encode_params(value)) == sample, name


@pytest.mark.parametrize("module", MODULES)
@pytest.mark.parametrize("new", ["new_fields", "new_values", "new_tags"])
def test_what_is_new_never_makes_a_type_unreadable(module: str, new: str) -> None:
    """Fields of a newer server are skipped; its enum values and union arms are kept as they came."""
    for name, reader in types_of(module):
        for arm in range(arms_of(name)):
            sample = Sampler(arm=arm, **{new: True}).of(name)
            value = reader.decode(json.dumps(sample))
            if new == "new_fields":
                assert encode_params(value) == encode_params(reader.decode(json.dumps(Sampler(arm=arm).of(name)))), name
            else:
                assert json.loads(encode_params(value)) == sample, name


@pytest.mark.parametrize("direction", ["client_request", "server_request", "server_notification"])
def test_each_method_reads_its_params_and_its_result(direction: str) -> None:
    """The table leads to the right types; a sample with the required fields only is enough for both sides."""
    for method in registry:
        if method.direction != direction:
            continue
        for side, name in (("params", method.params_name), ("result", method.result_name)):
            if name is None:
                assert side == "result" or read(method, side, None) is None
                continue
            sample = Sampler(full=False).of(name)
            value = read(method, side, sample)
            assert not isinstance(value, (Undecodable, UnknownMessage)), value
            assert isinstance(value, load(name))
            assert read(method, side, json.loads(encode_params(value))) == value
            if (side == "params") == direction.startswith("client"):
                assert json.loads(encode_params(value)) == sample, "an option that was not given is not sent"


def test_an_unknown_arm_encodes_to_what_came_in() -> None:
    """Forwarding a message of a newer server loses nothing inside a union."""
    sample = Sampler(new_tags=True).of("ItemCompletedNotification")
    value = decode_params("item/completed", json.dumps(sample).encode())
    assert [unknown.type for unknown in unknowns(value)] == [NEW]
    assert json.loads(encode_params(value)) == sample
