"""Values that say who they are without telling what they hide: no log and no traceback shall hold a secret by way of ``repr``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec import Struct

__all__ = ["HIDDEN", "Discreet", "masked"]

HIDDEN = "***"


def masked(names: Iterable[str]) -> dict[str, str]:
    """Return the names with nothing of their values."""
    return dict.fromkeys(names, HIDDEN)


class Discreet(Struct, frozen=True):
    """The base of such values: ``repr`` and rich show :meth:`_shown` in the place of the fields that it names."""

    def _shown(self) -> Mapping[str, object]:
        """Fields that are not shown as they are, and what is shown instead."""
        return {}

    def __rich_repr__(self) -> list[tuple[str, object]]:
        """Name every field."""
        shown = self._shown()
        return [(name, shown[name] if name in shown else getattr(self, name)) for name in self.__struct_fields__]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self.__rich_repr__())})"
