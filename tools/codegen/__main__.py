"""``python -m tools.codegen``: write the generated files, or with an option check them, pin or compare a binary."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tools.codegen import build, diff, emit, emit_calls, load

ROOT = Path(__file__).resolve().parents[2]
PROTOCOL = Path("src/codex_runtime/protocol/_generated")
APPSERVER = Path("src/codex_runtime/appserver/_generated.py")


def main(argv: list[str] | None = None) -> int:
    """Run the command line; the result is the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tools.codegen", description=__doc__)
    action = parser.add_mutually_exclusive_group()
    action.add_argument("--check", action="store_true", help="fail if a generated file differs from the pinned schema")
    action.add_argument("--pin", type=Path, metavar="BINARY", help="pin what BINARY says, then write")
    action.add_argument("--diff", type=Path, metavar="BINARY", help="print how BINARY differs from what is pinned")
    parser.add_argument("--root", type=Path, default=ROOT, help="the checkout to work on (default: this one)")
    options = parser.parse_args(argv)
    root: Path = options.root
    if options.diff:
        theirs = load.reduce(load.generate(options.diff))
        print("\n".join(diff.compare(load.read_pinned(root / "schema"), theirs)))
        return 0
    if options.check:
        stale = check(root)
        for path in stale:
            print(f"not what the pinned schema gives: {path}", file=sys.stderr)
        return 1 if stale else 0
    if options.pin:
        load.write_pinned(root / "schema", load.generate(options.pin))
    write(root)
    return 0


def render(root: Path) -> dict[Path, str]:
    """Every generated file, by its path below ``root``."""
    model = build.build(load.read_pinned(root / "schema"))
    digest = load.fingerprint(root / "schema")
    files = {PROTOCOL / name: text for name, text in emit.protocol(model, digest).items()}
    files[APPSERVER] = emit_calls.appserver(model, digest)
    return files


def check(root: Path) -> list[Path]:
    """The files that are missing, changed by hand, or left over."""
    files = render(root)
    found = {path.relative_to(root) for path in (root / PROTOCOL).glob("*.py")}
    wrong = {path for path, text in files.items() if not (root / path).is_file() or (root / path).read_text() != text}
    return sorted(wrong | (found - set(files)))


def write(root: Path) -> None:
    """Write every generated file and remove what is left over."""
    files = render(root)
    for path in set((root / PROTOCOL).glob("*.py")) - {root / path for path in files}:
        path.unlink()
    for path, text in files.items():
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.is_file() or target.read_text() != text:
            target.write_text(text)


if __name__ == "__main__":
    sys.exit(main())
