"""A policy in a TOML file, and what is said of one that is wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from codex_runtime.errors import ConfigError
from codex_runtime.hooks import Policy, Rule, load_policy

if TYPE_CHECKING:
    from pathlib import Path

WHOLE = """
default = "deny"
complex_commands = "ask"
escalated = "allow"
name = "ours"
timeout = 2

[[deny]]
command = ["git", "push"]
reason = "pushing is for people"

[[ask]]
network = "*.example.com"

[[allow]]
path = "src/**"

[[allow]]
mcp = "docs/*"
"""


def test_a_file_is_read_as_it_is_written(tmp_path: Path) -> None:
    """Every setting and every rule, in order."""
    file = tmp_path / "policy.toml"
    file.write_text(WHOLE)
    assert load_policy(file) == Policy(
        default="deny",
        complex_commands="ask",
        escalated="allow",
        name="ours",
        timeout=2.0,
        deny=(Rule(command=("git", "push"), reason="pushing is for people"),),
        ask=(Rule(network="*.example.com"),),
        allow=(Rule(path="src/**"), Rule(mcp="docs/*")),
    )


def test_an_empty_file_asks_about_everything(tmp_path: Path) -> None:
    """It is called like its file."""
    file = tmp_path / "policy.toml"
    file.touch()
    assert load_policy(str(file)) == Policy(name="policy.toml")


@pytest.mark.parametrize(
    ("text", "where", "problem"),
    [
        ("a = [", "", "is not TOML"),
        ("denny = []", ": denny", "is not a key of a policy"),
        ('default = "perhaps"', ": default", "Invalid enum value"),
        ("default = 1", ": default", "Expected `str`"),
        ('name = ""', ": name", "must not be empty"),
        ("timeout = -1", ": timeout", "seconds"),
        ("deny = 3", ": deny", "must be a list of tables"),
        ("deny = [3]", ": deny", "must be a list of tables"),
        ("[deny]\ncommand = ['x']", ": deny", "must be a list of tables"),
        ("[[ask]]\ncommand = ['a']\n[[ask]]\ncmd = ['b']", ": ask[1].cmd", "is not a key of a rule"),
        ("[[deny]]\ncommand = 'git push'", ": deny[0].command", "must be a list of words"),
        ("[[deny]]\ncommand = [1]", ": deny[0].command[0]", "Expected `str`"),
        ("[[deny]]\ncommand = ['']", ": deny[0].command", "must be a tuple of words"),
        ("[[deny]]", ": deny[0]", "needs exactly one of"),
        ("[[deny]]\ncommand = ['x']\npath = 'y'", ": deny[0]", "needs exactly one of"),
        ("[[allow]]\npath = '../x'", ": allow[0].path", "must not contain '..'"),
        ("[[allow]]\nmcp = 'x'", ": allow[0].mcp", "is not 'server/tool'"),
        ("[[allow]]\nreason = 'x'", ": allow[0]", "needs exactly one of"),
    ],
)
def test_a_fault_is_told_with_its_file_rule_and_key(tmp_path: Path, text: str, where: str, problem: str) -> None:
    """A misspelt rule would otherwise be a rule that is not there."""
    file = tmp_path / "policy.toml"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_policy(file)
    assert caught.value.field == f"{file}{where}"
    assert problem in caught.value.problem


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    """It is not there, is no text, or is no policy by its size alone."""
    with pytest.raises(ConfigError, match="cannot be read"):
        load_policy(tmp_path / "nowhere.toml")
    file = tmp_path / "policy.toml"
    file.write_bytes(b"\xff")
    with pytest.raises(ConfigError, match="is not TOML"):
        load_policy(file)
    file.write_bytes(b"#" * (1024 * 1024 + 1))
    with pytest.raises(ConfigError, match="is longer than"):
        load_policy(file)
