"""``python -m clues.simulation.soak --events 1e8 --seed 1``: world after world, until so many events have happened.

Each world is of another scenario and another seed, every third with a crash at one persisted step.  Worlds know nothing
of each other, so each processor plays its own.  It says where it is as it goes; the first world in which something
breaks ends it, with the command that plays that world again.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, field
from itertools import count
from random import Random

from clues.simulation.crash import STEPS, Crash, When
from clues.simulation.play import play, replay_command
from clues.simulation.story import InvariantBroken
from clues.simulation.worlds.scarcity import ALL

#: How often progress is told, in seconds.
EVERY = 5.0


@dataclass(frozen=True)
class Draw:
    """A world to play: what is to be known to play it again."""

    scenario: str
    seed: int
    crash: Crash | None = None


@dataclass
class Tally:
    """How far it is."""

    wanted: float
    events: int = 0
    played: Counter[str] = field(default_factory=Counter)
    broken: int = 0
    began: float = field(default_factory=time.monotonic)

    def __str__(self) -> str:
        seconds = time.monotonic() - self.began
        rate = self.events / seconds if seconds else 0.0
        left = (self.wanted - self.events) / rate if rate and self.events < self.wanted else 0.0
        text = f"{self.events:,} of {self.wanted:,.0f} events, {self.played.total()} worlds, {self.broken} broken"
        return f"{text}, {rate:,.0f} events/s, {left:,.0f} s left"


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
    parser.add_argument(
        "--processes", type=int, default=os.cpu_count() or 1, help="how many worlds are played at once (all processors)"
    )
    return parser


def draws(names: Sequence[str], seed: int) -> Iterator[Draw]:
    """Yield worlds without an end, the same ones for the same seed."""
    chance = Random(seed)
    for number in count():
        crash = None
        if number % 3 == 2:
            crash = Crash(chance.choice(STEPS), chance.choice(list(When)), chance.randint(1, 4))
        yield Draw(names[number % len(names)], seed * 1_000_000 + number, crash)


def play_one(draw: Draw) -> tuple[int, str]:
    """Play one world; return how many events it had, and what broke in it, if anything."""
    logging.disable(logging.CRITICAL)
    try:
        return play(draw.scenario, draw.seed, crash=draw.crash).time.count, ""
    except InvariantBroken as error:
        return 0, str(error)
    except Exception:  # noqa: BLE001 - whatever it is, it is what this looks for
        return 0, f"{traceback.format_exc()}play it again: {replay_command(draw.scenario, draw.seed, draw.crash)}"


def soak(
    worlds: Iterator[Draw],
    tally: Tally,
    processes: int,
    *,
    go_on: bool,
    tell: Callable[[Tally], None],
    play_one: Callable[[Draw], tuple[int, str]] = play_one,
) -> Sequence[str]:
    """Play worlds until there were enough events; return what broke: more than what was going on only if *go_on*.

    :param tell: is called now and then with how far it is.
    """
    found: list[str] = []
    told = time.monotonic()
    with ProcessPoolExecutor(processes) as pool:
        going: dict[Future[tuple[int, str]], Draw] = {}
        while tally.events < tally.wanted and (go_on or not found):
            while len(going) < 2 * processes:  # so that none has to wait for the next
                draw = next(worlds)
                going[pool.submit(play_one, draw)] = draw
            done, _ = wait(going, timeout=EVERY, return_when=FIRST_COMPLETED)
            for one in done:
                tally.played[going.pop(one).scenario] += 1
                events, broken = one.result()
                tally.events += events
                if broken:
                    found.append(broken)
                    tally.broken += 1
                    print(f"\n{broken}", file=sys.stderr)
            if time.monotonic() - told >= EVERY:
                told = time.monotonic()
                tell(tally)
        for one in going:
            one.cancel()
    return found


def main(argv: Sequence[str] | None = None) -> int:
    """Play worlds; exit code 1 when something is broken in one."""
    arguments = build_parser().parse_args(argv)
    names = [arguments.scenario] if arguments.scenario else list(ALL)
    tally = Tally(arguments.events)
    found = soak(draws(names, arguments.seed), tally, max(1, arguments.processes), go_on=arguments.go_on, tell=_tell)
    _tell(tally)
    print("\n" + ", ".join(f"{name} {played}" for name, played in sorted(tally.played.items())))
    return 1 if found else 0


def _tell(tally: Tally) -> None:
    terminal = sys.stdout.isatty()
    print(f"\r{tally!s:<100}" if terminal else tally, end="" if terminal else "\n", flush=True)


if __name__ == "__main__":
    sys.exit(main())
