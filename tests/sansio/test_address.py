"""Addresses: what is taken, what is refused, and what counts as this machine."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codex_runtime._sansio.address import TcpAddress, UnixAddress, parse_address
from codex_runtime.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("ws://127.0.0.1:4500", TcpAddress("127.0.0.1", 4500)),
        ("ws://127.0.0.1:4500/", TcpAddress("127.0.0.1", 4500)),
        ("ws://localhost:1", TcpAddress("localhost", 1)),
        ("ws://[::1]:65535", TcpAddress("::1", 65535)),
        ("ws://build_box.example-7.org:80", TcpAddress("build_box.example-7.org", 80)),
        ("unix:///run/codex.sock", UnixAddress("/run/codex.sock")),
        ("unix:///with a space/ü", UnixAddress("/with a space/ü")),
    ],
)
def test_an_address_is_taken_apart(text: str, address: TcpAddress | UnixAddress) -> None:
    """Both forms, and it can be written down again."""
    assert parse_address(text) == address
    assert parse_address(str(address)) == address


@pytest.mark.parametrize(
    "text",
    [
        "",
        "127.0.0.1:4500",
        "wss://127.0.0.1:4500",
        "http://127.0.0.1:4500",
        "ws://127.0.0.1",
        "ws://:4500",
        "ws://127.0.0.1:",
        "ws://127.0.0.1:0",
        "ws://127.0.0.1:65536",
        "ws://127.0.0.1:123456",
        "ws://127.0.0.1:4500/path",
        "ws://127.0.0.1:4500?token=hunter2",
        "ws://user:hunter2@127.0.0.1:4500",
        "ws://127.0.0.1:4500\n",
        "ws://127.0.0.1:4500\r\nX: y",
        "ws://[127.0.0.1]:4500",
        "ws://[::1",
        "ws://::1:4500",
        "unix://",
        "unix://relative.sock",
        "unix:///nul\0",
    ],
)
def test_anything_else_is_refused_by_the_name_of_the_field(text: str) -> None:
    """And what may be a secret is not repeated."""
    with pytest.raises(ConfigError) as caught:
        parse_address(text)
    assert caught.value.field == "address"
    assert "hunter2" not in str(caught.value)


@given(st.text(alphabet="ws:/[]unix.0123456789abcdef@?#%\\ \n", max_size=40))
def test_no_text_does_worse_than_be_refused(text: str) -> None:
    """What is taken can be written down and taken again."""
    try:
        address = parse_address(text)
    except ConfigError:
        return
    assert parse_address(str(address)) == address


@pytest.mark.parametrize(
    ("text", "local"),
    [
        ("ws://127.0.0.1:1", True),
        ("ws://127.255.0.9:1", True),
        ("ws://[::1]:1", True),
        ("ws://LocalHost:1", True),
        ("unix:///x", True),
        ("ws://0.0.0.0:1", False),
        ("ws://10.0.0.1:1", False),
        ("ws://[fe80::1]:1", False),
        ("ws://localhost.example.org:1", False),
        ("ws://127.0.0.1.example.org:1", False),
    ],
)
def test_only_this_machine_is_local(text: str, local: bool) -> None:  # noqa: FBT001
    """A name is believed only if it is `localhost`."""
    assert parse_address(text).is_local is local
