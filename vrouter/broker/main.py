"""``clues-broker``: the process. It needs the right to change the kernel's network (CAP_NET_ADMIN) and no other."""

from __future__ import annotations

import argparse
import logging
import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from clues.config import DEFAULT_FILE
from clues.errors import CluesError
from clues.systemd import notify
from vrouter import firewall
from vrouter.broker import commands
from vrouter.broker.broker import Broker
from vrouter.hub.reading import settings_from, settings_when_known
from vrouter.hub.settings import HubSettings


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``clues-broker``; return its exit code: 0 after a stop, 1 when it cannot start."""
    parser = argparse.ArgumentParser(
        prog="clues-broker",
        description="Tells the overlay's central point whom to let in, and cuts off who no longer belongs.",
        epilog="SIGTERM ends it; tunnels, rules and routes stay, and nobody new is let in until it runs again.",
    )
    parser.add_argument("--config", type=Path, default=DEFAULT_FILE, metavar="FILE", help=f"default {DEFAULT_FILE}")
    parser.add_argument("--name", default="", help="which central point, where the configuration has several")
    parser.add_argument("--remove-rules", action="store_true", help="take its nftables table away, and end")
    arguments = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    try:
        if arguments.remove_rules:
            settings = settings_from(arguments.config, arguments.name)
            commands.load(firewall.removal(settings.table))
        else:
            serve(settings_when_known(arguments.config, arguments.name, time.sleep))
    except CluesError as error:
        print(f"clues-broker: {error}", file=sys.stderr)
        return 1
    return 0


def serve(settings: HubSettings) -> None:
    """Be the broker of one central point until SIGTERM or SIGINT."""
    stop = threading.Event()
    for one in (signal.SIGTERM, signal.SIGINT):
        signal.signal(one, lambda *_: stop.set())
    notify("READY=1")
    Broker(settings).run(stop.wait, lambda: notify("WATCHDOG=1"))


if __name__ == "__main__":
    sys.exit(main())
