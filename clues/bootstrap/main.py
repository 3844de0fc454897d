"""``clues-enrol``: the enrolment front as a process of its own. It faces the internet, and holds nothing that lasts."""

from __future__ import annotations

import argparse
import logging
import resource
import signal
import socket
import sys
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import FrameType

from clues import __version__, systemd
from clues.bootstrap import accounts, settings
from clues.bootstrap.board import Board
from clues.bootstrap.enrolment import EnrolmentService
from clues.bootstrap.shown import Shown
from clues.bootstrap.signer_calls import SignerCalls
from clues.bootstrap.trust import TrustStore
from clues.config import DEFAULT_FILE, LRMS, OVERLAYS, Loaded, Plugins, load
from clues.errors import CluesError, ConfigError, Transient
from clues.inventory import Inventory, Member, Reader
from clues.model import Attach, Kind
from clues.registry import find_plugins

log = logging.getLogger(__name__)

_TRY_AGAIN_SECONDS = 1.0


def assemble(loaded: Loaded, plugins: Plugins) -> EnrolmentService:
    """Put the front together from a checked configuration."""
    places = loaded.places
    signer, trust = SignerCalls(places.signer_socket), TrustStore(places.trust)
    shown = Shown(signer, trust, loaded.enrolment_names, partial(datetime.now, UTC))
    lines = own_lines(loaded, plugins, socket.gethostname())
    if loaded.accounts.export:
        read = partial(accounts.read, loaded.accounts.takes, service_users(loaded, plugins))
        board = Board(Reader(places.inventory), trust, lines, read, accounts.stamp)
    else:
        board = Board(Reader(places.inventory), trust, lines, tuple)
    listen = (loaded.enrolment_listen.host, loaded.enrolment_listen.port)
    return EnrolmentService(signer, shown, board, listen)


def service_users(loaded: Loaded, plugins: Plugins) -> frozenset[str]:
    """Return the users as whom the batch system runs: an image has them itself, or has not."""
    name, config = loaded.lrms
    of_lrms = getattr(plugins[LRMS][name], "service_users", None)
    return frozenset(of_lrms(config)) if of_lrms is not None else frozenset()


def own_lines(loaded: Loaded, plugins: Plugins, hostname: str) -> Callable[[Inventory, Member], Sequence[str]]:
    """Return what tells one member its own lines: where it finds the front-end, and its part in the overlay."""
    name, config = loaded.overlay
    of_overlay = getattr(plugins[OVERLAYS][name], "settings_lines", None)
    short = hostname.partition(".")[0]

    def lines(inventory: Inventory, member: Member) -> Sequence[str]:
        site = loaded.settings.sites.get(member.site)
        local = site is not None and site.attach is Attach.LOCAL
        front = loaded.enrolment_at(Kind.WORKER, Attach.LOCAL if local else Attach.ROUTER).host
        host = settings.host_line(front, short)
        told = of_overlay(config, inventory, member.key) if of_overlay is not None else ()
        return [*([host] if host else []), *told]

    return lines


def run(service: EnrolmentService, stopping: threading.Event) -> None:
    """Serve until *stopping*; while there is no signer, say so and try again.

    :raises ConfigError: the address cannot be listened on, or the service has ended by itself.
    """
    told = ""
    while not stopping.is_set():
        try:
            service.start()
            break
        except Transient as error:
            if str(error) != told:
                log.warning("nobody can enrol yet: %s", error)
            told = str(error)
            stopping.wait(_TRY_AGAIN_SECONDS)
    else:
        return
    log.info("enrolment: listening on port %d", service.port)
    systemd.notify("READY=1")
    try:
        while not stopping.wait(1.0):
            if not service.alive:
                raise ConfigError("the service ended by itself; the log says where")
    finally:
        systemd.notify("STOPPING=1")
        service.stop()


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``clues-enrol``; return its exit code: 0 after a stop, 1 when it cannot serve."""
    parser = argparse.ArgumentParser(
        prog="clues-enrol",
        description="Lets VMs of the cluster enrol, over TLS: the one port that the internet reaches.",
        epilog="It needs clues-signer. SIGTERM stops it; VMs that boot meanwhile try again.",
    )
    parser.add_argument("--config", type=Path, default=DEFAULT_FILE, metavar="FILE", help=f"default {DEFAULT_FILE}")
    parser.add_argument("--verbose", action="store_true", help="log more")
    parser.add_argument("--version", action="version", version=f"clues-enrol {__version__}")
    arguments = parser.parse_args(argv)
    level = logging.DEBUG if arguments.verbose else logging.INFO
    logging.basicConfig(level=level, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    stopping = threading.Event()

    def stop(_: int, __: FrameType | None) -> None:
        stopping.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # a member that waits for news is an open connection
    try:
        plugins = find_plugins()
        run(assemble(load(arguments.config, plugins), plugins), stopping)
    except CluesError as error:
        print(f"clues-enrol: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
