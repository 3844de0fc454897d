"""``python -m clues.simulation.replay SCENARIO SEED``: live through one world again, and tell its story."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from clues.simulation.play import Play, parse_crash
from clues.simulation.story import InvariantBroken
from clues.simulation.worlds.scarcity import ALL


def main(argv: Sequence[str] | None = None) -> int:
    """Play it; exit code 1 when something is broken."""
    parser = argparse.ArgumentParser(prog="python -m clues.simulation.replay", description=__doc__)
    parser.add_argument("scenario", choices=list(ALL))
    parser.add_argument("seed", type=int)
    parser.add_argument("--crash", type=parse_crash, metavar="SOURCE:TARGET:WHEN:NTH", help="where the daemon dies")
    parser.add_argument("--quiet", action="store_true", help="only the outcome")
    arguments = parser.parse_args(argv)
    play = Play(arguments.scenario, arguments.seed, crash=arguments.crash)
    broken = ""
    try:
        play.run()
    except InvariantBroken as error:
        broken = error.what
    if not arguments.quiet:
        print(play.world.story.text())
    print(f"{play.world.time.count} events, {play.world.time.passed:.0f} s, digest {play.world.story.digest[:16]}")
    print(f"broken: {broken}" if broken else "at rest, and nothing broke")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
