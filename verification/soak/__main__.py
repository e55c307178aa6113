"""Soak: `python -m verification.soak [--seconds 600] [--threads 4] [--seed N] [--real] [--cycles N]`.

One program works without a pause while something breaks every few seconds; at the end nothing may have been lost, doubled,
said yes to or left open, and nothing may have grown. `--real` does it with the real app server and a scripted model.
`--cycles N` instead starts and kills N app servers in a row, in memory and then as processes. Exit status 1: something grew,
or a promise was broken. Ctrl-C ends it in order, with what there is by then.
"""

from __future__ import annotations

import argparse
import asyncio
import sys

from verification.soak import report
from verification.soak.cycles import in_memory, with_processes
from verification.soak.run import Settings, soak

SECONDS_OF_PROCESSES = 180.0


def main() -> int:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m verification.soak", description=__doc__)
    parser.add_argument("--seconds", type=float, help="how long (600; with --real 240; of processes with --cycles 180)")
    parser.add_argument("--threads", type=int, default=4, help="how many sessions run turns at the same time")
    parser.add_argument("--seed", type=int, default=1, help="which list of faults")
    parser.add_argument("--every", type=float, default=3.0, help="seconds between two faults")
    parser.add_argument("--real", action="store_true", help="with the real app server")
    parser.add_argument("--cycles", type=int, metavar="N", help="only start and kill N app servers")
    parser.add_argument("--no-write", action="store_true", help="leave the files of results as they are")
    args = parser.parse_args()
    if args.cycles is not None:
        return _cycles(args.cycles, args.seconds or SECONDS_OF_PROCESSES, writes=not args.no_write)
    settings = Settings(
        seconds=args.seconds or (240.0 if args.real else 600.0),
        threads=args.threads,
        seed=args.seed,
        every=args.every,
        real=args.real,
    )
    story = asyncio.run(soak(settings))
    told, is_good = report.of_story(story)
    if not args.no_write:
        report.write("real" if args.real else "soak", told)
        if not args.real and story.samples:
            report.PICTURE.write_text(report.picture(story), encoding="utf-8")
            print(f"drawn in {report.PICTURE}")
    return 0 if is_good else 1


def _cycles(count: int, seconds: float, *, writes: bool) -> int:
    parts = {}
    for lives in (asyncio.run(in_memory(count)), asyncio.run(with_processes(count, seconds=seconds))):
        told, _ = report.of_lives(lives)
        parts[lives.name] = told
    if writes:
        report.write("cycles", parts)
    return 0 if all(part["is_good"] for part in parts.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
