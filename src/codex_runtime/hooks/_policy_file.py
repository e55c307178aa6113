"""Reads a policy from a TOML file, and says exactly what is wrong with one.

::

    default = "ask"                       # for what no rule matches: "allow", "ask" or "deny"
    complex_commands = "deny"             # pipes, lists, substitutions, ...
    escalated = "ask"                     # more than the sandbox gives

    [[deny]]
    command = ["git", "push"]
    reason = "pushing is for people"

    [[allow]]
    path = "src/**"

Every key and every rule is checked, unknown ones included: a rule that was misspelt would otherwise be a rule that is not
there. What the rules mean is told in :mod:`codex_runtime._sansio.policy`.
"""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Any, TypeAlias

import msgspec

from codex_runtime._sansio.policy import Policy, Rule
from codex_runtime.errors import ConfigError

__all__ = ["load_policy"]

Toml: TypeAlias = dict[str, Any]  # The edge: a TOML document has no narrower type.

_RULES = ("deny", "ask", "allow")
_SETTINGS = ("default", "complex_commands", "escalated", "name", "timeout")
MAX_SIZE = 1024 * 1024


def load_policy(path: str | os.PathLike[str]) -> Policy:
    """Read the policy in a TOML file. Raises :class:`ConfigError`, whose ``field`` names the file, the rule and the key."""
    file = os.fspath(path)
    try:
        with Path(file).open("rb") as stream:
            data = stream.read(MAX_SIZE + 1)
    except OSError as error:
        raise ConfigError(file, f"cannot be read: {error.strerror}") from None
    if len(data) > MAX_SIZE:
        raise ConfigError(file, f"is longer than {MAX_SIZE} bytes")
    try:
        table = tomllib.loads(data.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(file, f"is not TOML: {error}") from None
    for key in table:
        if key not in (*_RULES, *_SETTINGS):
            raise ConfigError(
                f"{file}: {key}", f"is not a key of a policy; there are {', '.join((*_SETTINGS, *_RULES))}"
            )
    rules = {key: _rules(file, key, table.get(key, [])) for key in _RULES}
    settings = {"name": Path(file).name, **{key: table[key] for key in _SETTINGS if key in table}}
    try:
        return msgspec.convert({**settings, **rules}, Policy)
    except msgspec.ValidationError as error:
        raise _located(f"{file}: ", error) from None


def _rules(file: str, key: str, tables: object) -> list[Rule]:
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise ConfigError(f"{file}: {key}", f"must be a list of tables: [[{key}]]")
    return [_rule(f"{file}: {key}[{at}]", table) for at, table in enumerate(tables)]


def _rule(where: str, table: Toml) -> Rule:
    for key in table:
        if key not in Rule.__struct_fields__:
            raise ConfigError(
                f"{where}.{key}", f"is not a key of a rule; there are {', '.join(Rule.__struct_fields__)}"
            )
    if isinstance(table.get("command"), str):
        raise ConfigError(f"{where}.command", 'must be a list of words, such as ["git", "status"]')
    try:
        return msgspec.convert(table, Rule)
    except msgspec.ValidationError as error:
        raise _located(f"{where}.", error) from None


def _located(where: str, error: msgspec.ValidationError) -> ConfigError:
    """Say where the fault is: a check of ours tells the key itself, one of types tells it at the end of its text."""
    if isinstance(ours := error.__cause__, ConfigError):
        return ConfigError(where.rstrip(". :") if ours.field == "rule" else f"{where}{ours.field}", ours.problem)
    problem, _, place = str(error).partition(" - at `$.")
    return ConfigError(f"{where}{place.rstrip('`')}", problem)
