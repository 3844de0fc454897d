"""The program `cluesd`: its arguments, its wait for its turn where there are two front-ends, and then the daemon."""

from __future__ import annotations

import argparse
import logging
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

from clues import __version__, garbage, systemd
from clues.config import DEFAULT_FILE, Loaded, Plugins, load
from clues.errors import CluesError, ConfigError
from clues.main import assemble
from clues.registry import find_plugins
from clues.standby.waiting import begin
from clues.state_folder import cluster_id, hold

log = logging.getLogger(__name__)

#: EX_CONFIG: systemd does not start it again, as it would find the same file.
BROKEN_CONFIGURATION = 78


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``cluesd``; return its exit code: 0 after a stop, 1 when it cannot start, 78 when its file has mistakes."""
    parser = argparse.ArgumentParser(
        prog="cluesd",
        description="Makes a Slurm cluster elastic: starts worker VMs when jobs need nodes, stops idle ones.",
        epilog="See it work with `clues status`. SIGHUP reads the configuration again; SIGTERM leaves all VMs alone.",
    )
    parser.add_argument("--config", type=Path, default=DEFAULT_FILE, metavar="FILE", help=f"default {DEFAULT_FILE}")
    parser.add_argument("--verbose", action="store_true", help="log more")
    parser.add_argument("--version", action="version", version=f"cluesd {__version__}")
    arguments = parser.parse_args(argv)
    level = logging.DEBUG if arguments.verbose else logging.INFO
    logging.basicConfig(level=level, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # the file is about to be read anyhow
    plugins = find_plugins()
    try:
        loaded = load(arguments.config, plugins)
    except ConfigError as error:
        systemd.notify(f"STATUS={systemd.summary('not started', [str(error)])}")
        print(f"cluesd: {error}", file=sys.stderr)
        return BROKEN_CONFIGURATION
    log.info("cluesd %s starts", __version__)
    try:
        run(loaded, plugins)
    except CluesError as error:
        systemd.notify(f"STATUS={systemd.summary('not started', [str(error)])}")
        print(f"cluesd: {error}", file=sys.stderr)
        return 1
    return 0


def run(loaded: Loaded, plugins: Plugins) -> None:
    """Be the daemon until told to stop: at once, or where there are two front-ends, when it is this one's turn.

    :raises CluesError: it cannot start.
    """
    held = hold(loaded.state)
    standby = begin(loaded, cluster_id, lambda: load(loaded.path, plugins), socket.gethostname())
    if standby is not None:
        garbage.search_seldom()
    turn = standby.run() if standby is not None else None
    if turn is not None:
        loaded = turn.loaded
    elif standby is not None:
        return
    service = assemble(loaded, plugins, held=held, turn=turn)
    service.daemon.watch_signals()
    if standby is not None and standby.told_to_reload:
        service.daemon.reload()
    garbage.search_seldom()
    service.run()
