"""Values that hide some of what they hold."""

from __future__ import annotations

import msgspec
import pytest

from codex_runtime._sansio.discreet import Discreet, masked, without_secrets


class Key(Discreet, frozen=True, kw_only=True):
    """One secret and one that is none."""

    name: str
    value: str
    none: str | None = None

    def _shown(self) -> dict[str, object]:
        return {"value": "***", "none": None}


def test_what_is_hidden_is_in_no_form_of_it() -> None:
    """Neither for a log nor for a terminal; the rest is shown as always."""
    key = Key(name="n", value="secret", none="secret")
    assert repr(key) == "Key(name='n', value='***', none=None)"
    assert key.__rich_repr__() == [("name", "n"), ("value", "***"), ("none", None)]
    assert "secret" not in f"{key} {key!r} {[key]}"


def test_hiding_changes_no_value() -> None:
    """It is still equal to what it was made of."""
    assert Key(name="n", value="a") != Key(name="n", value="b")
    assert Key(name="n", value="a").value == "a"


def test_names_are_shown_where_values_are_not() -> None:
    """So that one sees what was set."""
    assert masked(["A", "B"]) == {"A": "***", "B": "***"}


@pytest.mark.parametrize(
    "params",
    [
        {"config": {"model_providers": {"x": {"query_params": {"api-key": "canary"}}}}},
        {"config": {"model_providers.x.http-headers": {"X": "canary"}}},
        {"keyPath": 'mcp_servers.x."env".K', "value": "canary"},
        {"keyPath": "mcp_servers.x. env .K", "value": "canary"},
        {"edits": [{"keyPath": "model_providers.x.access-key", "value": "canary"}]},
        {"env": {"K": ["canary"]}},
    ],
)
def test_a_credential_is_known_by_any_spelling_of_its_name(params: dict[str, object]) -> None:
    """The server takes them all."""
    line = msgspec.json.encode({"method": "config/value/write", "id": 1, "params": params})
    assert b"canary" not in without_secrets(line)
