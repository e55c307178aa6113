"""Which server is this, and do we speak its language?"""

from __future__ import annotations

import pytest

from codex_runtime.client._version import MINIMUM_VERSION, check_version, parse_version, server_version
from codex_runtime.errors import ConfigError, IncompatibleServerError

REAL = "codex_runtime/0.163.0 (Debian 12.0.0; x86_64) unknown (codex_runtime; 0.1.0)"


@pytest.mark.parametrize(
    ("user_agent", "version"),
    [
        (REAL, (0, 163, 0)),
        ("my app/10.2.33-alpha.4 (x)", (10, 2, 33)),
        ("a/1.2.3/9.9.9", (1, 2, 3)),
        ("", None),
        ("0.163.0", None),
        ("/0.163.0", None),
        ("app/0.163", None),
        ("app/one.two.three", None),
        ("app/9999999999.0.0", None),
    ],
)
def test_the_version_is_read_out_of_the_user_agent(user_agent: str, version: tuple[int, int, int] | None) -> None:
    """The server puts the client's own name before it; what is no version is none."""
    assert server_version(user_agent) == version


@pytest.mark.parametrize("minimum", [None, "0.162.9", "0.163.0", "0.99.1000"])
def test_a_server_that_is_new_enough_passes(minimum: str | None) -> None:
    """Numbers are compared as numbers, and `None` takes any server."""
    check_version(REAL, minimum)


@pytest.mark.parametrize("minimum", ["0.163.1", "0.164.0", "1.0.0", "0.1000.0"])
def test_an_older_server_is_refused_with_both_versions_and_the_way_out(minimum: str) -> None:
    """Whoever reads the message knows what to do."""
    with pytest.raises(IncompatibleServerError, match=rf"is version 0\.163\.0, but {minimum} .*pip install --upgrade"):
        check_version(REAL, minimum)


def test_a_server_that_does_not_say_what_it_is_is_refused() -> None:
    """Unless any will do."""
    with pytest.raises(IncompatibleServerError, match="does not say"):
        check_version("who knows", MINIMUM_VERSION)
    check_version("who knows", None)


@pytest.mark.parametrize("version", ["", "1", "1.2", "v1.2.3", "1.2.3-beta", "1.2.3.4", "1.2.3\n x"])
def test_a_minimum_that_is_no_version_is_a_mistake_of_the_caller(version: str) -> None:
    """It is named as the option that it is."""
    with pytest.raises(ConfigError, match="minimum_version"):
        parse_version(version)
