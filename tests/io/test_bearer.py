"""Tokens: where they come from, when one is needed, and that nobody gets to see them."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import TYPE_CHECKING

import pytest

from codex_runtime._io.bearer import SignedToken, TokenFile, check_access, read_token
from codex_runtime._sansio.address import UnixAddress
from codex_runtime.errors import ConfigError, StartError

if TYPE_CHECKING:
    from pathlib import Path

LOCAL, REMOTE = "ws://127.0.0.1:4500", "ws://build.example.org:4500"
SECRET = b"a secret that is long enough for it"


def claims_of(token: str, secret: bytes = SECRET) -> dict[str, object]:
    """Check a token as the server would, and return what it claims."""
    head, body, signature = token.split(".")
    assert json.loads(plain(head)) == {"alg": "HS256", "typ": "JWT"}
    assert plain(signature) == hmac.new(secret, f"{head}.{body}".encode(), hashlib.sha256).digest()
    claims = json.loads(plain(body))
    assert isinstance(claims, dict)
    return claims


def plain(text: str) -> bytes:
    """Decode the form of base64 that has no padding."""
    assert "=" not in text
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def test_away_from_this_machine_there_must_be_a_token() -> None:
    """Unless that is said in so many words."""
    with pytest.raises(ConfigError) as caught:
        check_access(REMOTE, None)
    assert caught.value.field == "token"
    assert check_access(REMOTE, "a-token") == check_access(REMOTE, None, allow_unauthenticated=True)
    assert check_access("unix:///x", None) == UnixAddress("/x")
    check_access(LOCAL, None)


@pytest.mark.parametrize("token", ["", "two words", "a\nb", "a\r\nX: y", "schlüssel", "a\0b", b"bytes", 7])
def test_what_fits_in_no_header_is_no_token(token: str) -> None:
    """It is refused before anything is sent, and not repeated."""
    with pytest.raises(ConfigError) as caught:
        check_access(LOCAL, token)
    assert caught.value.field == "token"
    assert not str(token) or str(token) not in str(caught.value)


@pytest.mark.parametrize("lifetime", [0.0, 0.5, -1.0, float("inf"), float("nan")])
def test_a_signed_token_lives_for_a_while_but_not_for_ever(lifetime: float) -> None:
    """The server takes none without an end."""
    with pytest.raises(ConfigError) as caught:
        check_access(LOCAL, SignedToken(secret_file="x", lifetime=lifetime))
    assert caught.value.field == "token.lifetime"


def test_a_file_is_read_at_each_connection(tmp_path: Path) -> None:
    """So that the token can be replaced while the runtime lives."""
    path = tmp_path / "token"
    for word in ("first", "second"):
        path.write_text(f" {word}\n")
        assert read_token(TokenFile(path), now=0) == word


@pytest.mark.parametrize("content", [b"", b"  \n", b"two words", b"sch\xc3\xbc", b"\xff"])
def test_a_file_that_holds_no_token_is_a_start_that_failed(tmp_path: Path, content: bytes) -> None:
    """The message names the file, not what is in it."""
    path = tmp_path / "token"
    path.write_bytes(content)
    with pytest.raises(StartError) as caught:
        read_token(TokenFile(path), now=0)
    assert str(path) in str(caught.value)
    assert "two" not in str(caught.value)


def test_a_file_that_is_not_there_is_a_start_that_failed(tmp_path: Path) -> None:
    """The message says which."""
    with pytest.raises(StartError, match=r"cannot read .*missing"):
        read_token(TokenFile(tmp_path / "missing"), now=0)
    with pytest.raises(StartError, match=r"cannot read .*missing"):
        read_token(SignedToken(secret_file=tmp_path / "missing"), now=0)


def test_a_signed_token_says_when_it_ends_and_for_whom_it_is(tmp_path: Path) -> None:
    """White space around the secret does not count, as the server has it."""
    path = tmp_path / "secret"
    path.write_bytes(SECRET + b"\n")
    token = read_token(SignedToken(secret_file=path, lifetime=60), now=1000.9)
    assert claims_of(token) == {"iat": 1000, "exp": 1061}
    token = read_token(SignedToken(secret_file=path, issuer="me", audience="it"), now=0)
    assert claims_of(token) == {"iat": 0, "exp": 300, "iss": "me", "aud": "it"}


def test_a_short_secret_is_refused(tmp_path: Path) -> None:
    """The server would not take it, and it is not repeated."""
    path = tmp_path / "secret"
    path.write_bytes(b"s" * 31 + b"\n")
    with pytest.raises(StartError, match="shorter than 32 bytes") as caught:
        read_token(SignedToken(secret_file=path), now=0)
    assert "sss" not in str(caught.value)
