"""One target under atheris, in a process of its own: `python -m verification.fuzz.under_atheris TARGET [LIBFUZZER OPTION...]`.

Only what turns bytes into something else is instrumented: what the fuzzer learns is about that, and the start does not take long.
"""

from __future__ import annotations

import sys
from importlib import import_module

__all__: list[str] = []

INSTRUMENTED = [
    "codex_runtime._sansio",
    "codex_runtime.journal._segment",
    "codex_runtime.runtime._jsonl",
    "verification",
]


def main() -> None:
    """Fuzz until the options say that it is enough. Does not return."""
    atheris = import_module("atheris")  # not one of the project's own requirements
    name, *options = sys.argv[1:]
    with atheris.instrument_imports(include=INSTRUMENTED):
        from verification.fuzz.catalogue import target

        one = target(name)
    atheris.Setup([f"fuzz {name}", *options], one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
