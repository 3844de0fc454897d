"""A cluesd that stops itself (SIGSTOP) right before one of its effects: the worst moment for a machine to sleep.

It is the daemon of :mod:`tests.lab.crashing_daemon` with another end, run as `cluesd` is, standing by included.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
from pathlib import Path

from clues.config import load
from clues.program import run
from clues.registry import find_plugins
from tests.lab.crashing_daemon import Trap, arm, armed, wrapped

COMMAND = ("-m", "tests.lab.freezing_daemon")


class Freezing(Trap):
    """Stands still at a point until it is woken; once."""

    def reach(self, point: str) -> None:
        if point not in armed(self._folder):
            return
        arm(self._folder, [one for one in armed(self._folder) if one != point])
        print(f"freezing daemon: at {point}", file=sys.stderr, flush=True)
        os.kill(os.getpid(), signal.SIGSTOP)


def main() -> int:
    """Run it as ``cluesd --config FILE`` is run."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--config", type=Path, required=True)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    plugins = wrapped(find_plugins(), Freezing(options.config.parent))
    run(load(options.config, plugins), plugins)
    return 0


if __name__ == "__main__":
    sys.exit(main())
