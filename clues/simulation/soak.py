"""``python -m clues.simulation.soak --events 1e8 --seed 1``: world after world, until so many events have happened.

Each world is of another scenario and another seed, every third with a crash at one persisted step.  It says where it is
as it goes; the first world in which something breaks ends it, with the command that plays that world again.
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
from collections import Counter
from collections.abc import Sequence
from random import Random

from clues.simulation.crash import STEPS, Crash, When
from clues.simulation.scarcity import ALL
from clues.simulation.scenarios import play
from clues.simulation.story import InvariantBroken

#: How often progress is told, in seconds.
EVERY = 5.0


def build_parser() -> argparse.ArgumentParser:
    """Return what `./dev soak` understands."""
    parser = argparse.ArgumentParser(
        prog="python -m clues.simulation.soak",
        description="Play world after world, each with other faults, and look at every invariant after every event.",
    )
    parser.add_argument("--events", type=float, default=1e6, help="stop after so many events (1e6)")
    parser.add_argument("--seed", type=int, default=1, help="where the seeds begin (1)")
    parser.add_argument("--scenario", choices=list(ALL), help="only this one")
    parser.add_argument("--go-on", action="store_true", help="go on after a world in which something broke")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Play worlds; exit code 1 when something is broken in one."""
    arguments = build_parser().parse_args(argv)
    logging.disable(logging.CRITICAL)
    names = [arguments.scenario] if arguments.scenario else list(ALL)
    chance, events, worlds, broken = Random(arguments.seed), 0, 0, 0
    began = told = time.monotonic()
    played: Counter[str] = Counter()
    while events < arguments.events:
        name, seed = names[worlds % len(names)], arguments.seed * 1_000_000 + worlds
        crash = (
            Crash(chance.choice(STEPS), chance.choice(list(When)), chance.randint(1, 4)) if worlds % 3 == 2 else None
        )
        worlds += 1
        played[name] += 1
        try:
            events += play(name, seed, crash=crash).time.count
        except InvariantBroken as error:
            broken += 1
            print(f"\n{error}", file=sys.stderr)
            if not arguments.go_on:
                return 1
        now = time.monotonic()
        if now - told >= EVERY:
            told = now
            _tell(events, arguments.events, worlds, broken, now - began)
    _tell(events, arguments.events, worlds, broken, time.monotonic() - began)
    print("\n" + ", ".join(f"{name} {count}" for name, count in played.items()))
    return 1 if broken else 0


def _tell(events: int, wanted: float, worlds: int, broken: int, seconds: float) -> None:
    rate = events / seconds if seconds else 0.0
    left = (wanted - events) / rate if rate and events < wanted else 0.0
    text = f"{events:,} of {wanted:,.0f} events, {worlds} worlds, {broken} broken, {rate:,.0f} events/s, "
    text += f"{left:,.0f} s left"
    print(f"\r{text:<100}" if sys.stdout.isatty() else text, end="" if sys.stdout.isatty() else "\n", flush=True)


if __name__ == "__main__":
    sys.exit(main())
