"""An error that nobody raises would be a promise that nobody keeps."""

from __future__ import annotations

import ast

from codex_runtime import errors
from tests.architecture.tree import SOURCE, source_files


def test_every_error_is_raised_somewhere() -> None:
    """But for those that only gather others under one name."""
    leaves = {
        name
        for name in errors.__all__
        if not any(base is getattr(errors, name) for base in bases_of_all(errors.__all__))
    }
    assert leaves - made_in_the_package() == set()


def bases_of_all(names: list[str]) -> set[type]:
    """Every class that another error is made from."""
    return {base for name in names for base in getattr(errors, name).__mro__[1:]}


def made_in_the_package() -> set[str]:
    """Names of all that is made anywhere but where the errors are defined."""
    trees = [
        ast.parse((SOURCE / path).read_text(encoding="utf-8")) for path in source_files() if path.name != "errors.py"
    ]
    made = [part for tree in trees for node in ast.walk(tree) for part in makers(node)]
    return {name.id for part in made for name in ast.walk(part) if isinstance(name, ast.Name)}


def makers(node: ast.AST) -> list[ast.expr]:
    """What is called, raised or chosen between at one place of the code; what is only caught or asked about is not."""
    match node:
        case ast.Call(func=function):
            return [function]
        case ast.Raise(exc=error) if error is not None:
            return [error]
        case ast.IfExp(body=one, orelse=other):
            return [one, other]
    return []
