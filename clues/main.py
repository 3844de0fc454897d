"""The composition root: the one place that knows every part, and puts them together.

``cluesd`` is :func:`main`.  Tests and the simulation put the same parts together through :func:`assemble`.
"""

from __future__ import annotations

import argparse
import fcntl
import logging
import os
import queue
import sys
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from threading import Event

from clues import __version__
from clues.api.app import make_app
from clues.api.server import ApiServer
from clues.bootstrap import secret_file
from clues.bootstrap.ca import CaFiles
from clues.bootstrap.enrolment import EnrolmentService
from clues.bootstrap.tickets import Tickets
from clues.bootstrap.user_data import render
from clues.clock import SteadyClock
from clues.config import CONNECTORS, DEFAULT_FILE, LRMS, OVERLAYS, Loaded, Plugins, load
from clues.daemon import Daemon, EnrolmentDesk, Home
from clues.errors import CluesError, ConfigError
from clues.executor import Executor
from clues.ledger import Ledger, open_ledger
from clues.model import Claim, LaunchRequest
from clues.planner.explain import explain
from clues.ports import Connector, Lrms, Overlay, PluginContext
from clues.reconciler import Books, Counter, Observer, Reconciler
from clues.registry import find_plugins
from clues.workers import Threads

log = logging.getLogger(__name__)


@dataclass
class Service:
    """A whole cluesd, put together and not yet running."""

    daemon: Daemon
    api: ApiServer
    enrolment: EnrolmentService
    ledger: Ledger
    lock: int

    def run(self) -> None:
        """Serve until the daemon is told to stop, then close everything in order. VMs and jobs go on."""
        try:
            self.enrolment.start()
            self.api.start()
            self.daemon.run()
        finally:
            self.enrolment.stop()
            self.api.stop()
            self.ledger.close()
            os.close(self.lock)


class _Adapters:
    """Plugins built from a configuration; those whose part did not change are kept when it is read again."""

    def __init__(self, plugins: Plugins, cluster: str) -> None:
        self._plugins, self._cluster = plugins, cluster
        self._sites: dict[str, tuple[tuple[str, object], Connector]] = {}

    def connectors(self, loaded: Loaded) -> dict[str, Connector]:
        """Return the sites' connectors by name."""
        built: dict[str, tuple[tuple[str, object], Connector]] = {}
        for site, part in loaded.sites.items():
            kept = self._sites.get(site)
            if kept is not None and kept[0] == part:
                built[site] = kept
                continue
            context = PluginContext(self._cluster, site, loaded.state)
            built[site] = (part, self._plugins[CONNECTORS][part[0]].build(part[1], context))
        self._sites = built
        return {site: connector for site, (_, connector) in built.items()}

    def lrms(self, loaded: Loaded) -> Lrms:
        """Return the batch system's adapter."""
        name, config = loaded.lrms
        context = PluginContext(self._cluster, loaded.settings.cluster, loaded.state)
        built: Lrms = self._plugins[LRMS][name].build(config, context, tuple(loaded.settings.pools.values()))
        return built

    def overlay(self, loaded: Loaded) -> Overlay:
        """Return the overlay's adapter."""
        name, config = loaded.overlay
        context = PluginContext(self._cluster, loaded.settings.cluster, loaded.state)
        built: Overlay = self._plugins[OVERLAYS][name].build(config, context, loaded.settings)
        return built


def assemble(
    loaded: Loaded,
    plugins: Plugins,
    *,
    open_books: Callable[[Path], Ledger] = open_ledger,
    clock: SteadyClock | None = None,
) -> Service:
    """Put a daemon together from a checked configuration.

    :param open_books: opens the ledger at a path.
    :raises CluesError: another daemon runs on this state folder, or a part cannot be made.
    """
    clock = clock or SteadyClock()
    state = loaded.state
    state.mkdir(parents=True, exist_ok=True, mode=0o750)
    lock = _lock(state)
    cluster = _cluster_id(state)
    ledger = open_books(state / "ledger.db")
    books = Books(ledger, clock.now())
    adapters = _Adapters(plugins, cluster)
    home: Home = queue.SimpleQueue()
    workers = Threads(home)
    lrms = adapters.lrms(loaded)
    observer = Observer(lrms, workers, clock, loaded.settings.pace)
    reconciler = Reconciler(cluster, loaded.settings, books, observer, adapters.overlay(loaded), clock)
    tickets, ca = Tickets.open(state), CaFiles.open(state, cluster, clock.now())
    request = partial(_launch_request, cluster, tickets, ca.ca_pem, _enrolment_url(loaded))
    executor = Executor(workers, lrms, adapters.connectors(loaded), request, reconciler)
    reconciler.use(executor)
    counter = Counter(reconciler, books, observer, clock)

    def reload() -> str:
        try:
            fresh = load(loaded.path, plugins)
            connectors, batch, overlay = adapters.connectors(fresh), adapters.lrms(fresh), adapters.overlay(fresh)
        except CluesError as error:
            return str(error)
        executor.use(batch, connectors)
        observer.use(batch, fresh.settings.pace)
        reconciler.configure(fresh.settings, overlay, executor)
        return ""

    daemon = Daemon(home, reconciler, counter, books, observer, ledger, clock, reload)
    stopping = Event()
    api = ApiServer(make_app(daemon, explain, now=clock.now, stopping=stopping), loaded.socket, stopping=stopping)
    desk = EnrolmentDesk(daemon, books, counter, tickets, observer.lrms_in_use)
    listen = (loaded.enrolment_listen.host, loaded.enrolment_listen.port)
    enrolment = EnrolmentService(desk, ca, [loaded.enrolment_address.host], listen)
    return Service(daemon, api, enrolment, ledger, lock)


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``cluesd``; return its exit code: 0 after a stop, 1 when it cannot start."""
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
    try:
        plugins = find_plugins()
        service = assemble(load(arguments.config, plugins), plugins)
        service.daemon.watch_signals()
        log.info("cluesd %s starts", __version__)
        service.run()
    except CluesError as error:
        print(f"cluesd: {error}", file=sys.stderr)
        return 1
    return 0


def _launch_request(cluster: str, tickets: Tickets, ca_pem: str, url: str, claim: Claim) -> LaunchRequest:
    """Everything but the claim is fixed for the cluster's life, so a repeated launch sends the same bytes."""
    return LaunchRequest(
        cluster=cluster,
        launch_key=claim.key,
        kind=claim.kind,
        node=claim.node,
        pool=claim.pool,
        generation=claim.generation,
        offer=replace(claim.offer, price_per_hour=None),
        shape=claim.shape,
        user_data=render(ca_pem=ca_pem, ticket=tickets.issue(claim.key), urls=[url], node=claim.node),
        address=claim.address,
    )


def _enrolment_url(loaded: Loaded) -> str:
    address = loaded.enrolment_address
    host = f"[{address.host}]" if ":" in address.host else address.host
    return f"https://{host}:{address.port}"


def _cluster_id(state: Path) -> str:
    """Return the cluster's UUID, minted at the first start. It is kept apart from the ledger: with the ledger lost, the
    VMs that carry it are still ours."""
    path = state / "cluster-id"
    text = secret_file.read(path, public=True)
    if text is None:
        text = secret_file.create(path, f"{uuid.uuid4()}\n".encode())
    try:
        return str(uuid.UUID(text.decode().strip()))
    except ValueError:
        raise ConfigError(
            f"{path}: is not a UUID: restore it from a backup; without it no VM is known as ours"
        ) from None


def _lock(state: Path) -> int:
    """Keep a second daemon away from this state folder for as long as the returned descriptor is open."""
    descriptor = os.open(state / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise ConfigError(f"another cluesd runs on {state} (it holds {state / 'lock'})") from None
    return descriptor


if __name__ == "__main__":
    sys.exit(main())
