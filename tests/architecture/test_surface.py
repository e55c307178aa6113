"""What users may import is written down, name by name, in `surface.txt`: no name comes or goes unnoticed.

After an intended change, write the list anew with `python -m tests.architecture.test_surface` and review the difference.
`protocol` is left out: its names come from the schema, and the generator's own check watches over them.
"""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import pydoc
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

from codex_runtime.runtime import RuntimeConfig
from tests.architecture.tree import ROOT, SOURCE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

SNAPSHOT = Path(__file__).with_name("surface.txt")
MOST_NAMES_AT_THE_FRONT_DOOR = 40
GENERATED = {"protocol"}


def public_modules() -> Iterator[ModuleType]:
    """Import the front door and each topic below it."""
    yield importlib.import_module("codex_runtime")
    for path in sorted(SOURCE.iterdir()):
        is_module = path.suffix == ".py" or (path / "__init__.py").exists()
        if is_module and not path.stem.startswith("_") and path.stem not in GENERATED:
            yield importlib.import_module(f"codex_runtime.{path.stem}")


def surface() -> list[str]:
    """List every public name as users import it."""
    return [f"{module.__name__}.{name}" for module in public_modules() for name in sorted(module.__all__)]


def undocumented(name: str, thing: object) -> Iterator[str]:
    """Yield what lacks a docstring of its own: the thing, or a public method or property of it."""
    if not (inspect.isclass(thing) or inspect.isroutine(thing)):
        return
    if _own_docstring(thing) is None:
        yield name
    if inspect.isclass(thing) and thing.__module__.startswith("codex_runtime"):
        for member_name, member in vars(thing).items():
            is_described = isinstance(member, property | classmethod | staticmethod) or inspect.isfunction(member)
            if is_described and not member_name.startswith("_") and not _is_explained(thing, member_name, member):
                yield f"{name}.{member_name}"


def _own_docstring(thing: object) -> str | None:
    text = vars(thing).get("__doc__") if inspect.isclass(thing) else thing.__doc__
    # A dataclass without a docstring is given its signature for one.
    if dataclasses.is_dataclass(thing) and inspect.isclass(thing) and text and text.startswith(f"{thing.__name__}("):
        return None
    return text


def _is_explained(owner: type, name: str, member: object) -> bool:
    """Tell whether a member has a docstring, or carries out what a base class already explains."""
    return bool(member.__doc__) or any(getattr(vars(base).get(name), "__doc__", None) for base in owner.__mro__[1:])


def test_the_public_names_are_the_ones_written_down() -> None:
    """A difference here is a change for users: a minor or a major version."""
    assert surface() == SNAPSHOT.read_text().splitlines()


def test_every_public_module_means_its_names() -> None:
    """`__all__` repeats nothing, and every name in it can be had; the linter keeps it sorted."""
    for module in public_modules():
        assert len(module.__all__) == len(set(module.__all__)), module.__name__
        assert [name for name in module.__all__ if not hasattr(module, name)] == [], module.__name__


def test_the_front_door_stays_small() -> None:
    """What does not fit here has a topic of its own to live in."""
    assert len(importlib.import_module("codex_runtime").__all__) <= MOST_NAMES_AT_THE_FRONT_DOOR


def test_the_version_is_the_same_wherever_it_is_said() -> None:
    """The server hears the version that is installed, and the changelog has a word on it."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert RuntimeConfig().client_version == version
    assert f"\n## {version}" in (ROOT / "CHANGELOG.md").read_text()


def test_every_public_name_is_documented() -> None:
    """Modules, classes, functions, methods and properties that users can reach say what they do for them."""
    missing = [module.__name__ for module in public_modules() if not module.__doc__]
    for module in public_modules():
        for name in module.__all__:
            missing += undocumented(f"{module.__name__}.{name}", getattr(module, name))
    assert missing == []


def test_help_shows_every_public_name() -> None:
    """Also what looks up the types of its fields for that: it finds them."""
    for module in public_modules():
        for name in module.__all__:
            thing = getattr(module, name)
            if inspect.isclass(thing) or inspect.isroutine(thing):
                assert thing.__name__ in pydoc.plain(pydoc.render_doc(thing)), name


if __name__ == "__main__":
    SNAPSHOT.write_text("".join(f"{name}\n" for name in surface()))
