"""Check the models: `python -m verification.models [MODEL...] [--spin PATH]`.

Exit status: 0 if every variant came to what its model expects, 1 if one did not, 3 if Spin or a C compiler is missing.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from verification.models.catalogue import FOLDER, Variant, models, variants
from verification.models.spin import Found, SpinError, look, tools

__all__ = ["main"]

RESULTS = FOLDER.parent / "results" / "models.json"
CANNOT = 3
HEADINGS = ("model", "variant", "expected", "found", "states", "seconds")
_WIDTHS = (9, 31, 8, 10, 9, 7)


def main(argv: Sequence[str] | None = None) -> int:
    """Check what was asked for, print it, and write it down."""
    options = _options(argv)
    if (found := tools(options.spin)) is None:
        print("spin and a C compiler are needed: apt-get install spin gcc, or --spin PATH", file=sys.stderr)
        return CANNOT
    spin, compiler = found
    print(_row(HEADINGS), flush=True)
    results: list[tuple[Variant, Found]] = []
    for model in models():
        for variant in variants(model) if not options.models or model.stem in options.models else ():
            try:
                seen = look(variant, spin=spin, compiler=compiler)
            except SpinError as error:
                print(f"{model.name}, {variant.name}: {error}", file=sys.stderr)
                return 1
            results.append((variant, seen))
            figures = (variant.expected, seen.outcome, f"{seen.states:,}", f"{seen.seconds:.1f}")
            remark = "" if seen.outcome == variant.expected else "   NOT AS EXPECTED"
            print(_row((model.stem, variant.name, *figures)) + remark, flush=True)
    _write(results)
    return int(any(seen.outcome != variant.expected for variant, seen in results))


def _write(results: Sequence[tuple[Variant, Found]]) -> None:
    """Keep what was found, and of the other models what was found before."""
    told = [
        {"model": variant.model.stem, "variant": variant.name, "expected": variant.expected, **asdict(seen)}
        for variant, seen in results
    ]
    anew = {each["model"] for each in told}
    before = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else []
    told += [each for each in before if each["model"] not in anew]
    RESULTS.parent.mkdir(exist_ok=True)
    text = json.dumps(sorted(told, key=lambda each: str(each["model"])), indent=1)
    RESULTS.write_text(text + "\n", encoding="utf-8")


def _row(cells: Sequence[str]) -> str:
    left, right = cells[:4], cells[4:]
    texts = [f"{cell:<{width}}" for cell, width in zip(left, _WIDTHS[:4], strict=True)]
    texts += [f"{cell:>{width}}" for cell, width in zip(right, _WIDTHS[4:], strict=True)]
    return "  ".join(texts).rstrip()


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m verification.models", description=__doc__)
    names = [path.stem for path in models()]
    parser.add_argument("models", nargs="*", metavar="MODEL", help=f"only these: {', '.join(names)}")
    parser.add_argument("--spin", type=Path, help="where spin is, if it is not on PATH")
    options = parser.parse_args(argv)
    if unknown := [name for name in options.models if name not in names]:
        parser.error(f"there is no model {unknown[0]!r}")
    return options


if __name__ == "__main__":
    sys.exit(main())
