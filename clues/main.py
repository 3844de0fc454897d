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
from datetime import timedelta
from functools import partial
from pathlib import Path
from threading import Event

from clues import __version__
from clues.api.app import make_app
from clues.api.server import ApiServer
from clues.bootstrap import secret_file
from clues.bootstrap.agent import agent
from clues.bootstrap.boot import boot
from clues.bootstrap.provision import whole
from clues.bootstrap.recipe import with_recipes
from clues.bootstrap.tickets import Tickets
from clues.bootstrap.trust import TrustStore
from clues.bootstrap.user_data import render
from clues.clock import SteadyClock
from clues.config import CONNECTORS, DEFAULT_FILE, LRMS, OVERLAYS, Endpoint, Loaded, Plugins, load, what_if
from clues.daemon import Daemon, Home
from clues.desk import Desk
from clues.errors import CluesError, ConfigError, Transient
from clues.executor import Executor
from clues.history import History
from clues.ledger import Ledger, open_ledger
from clues.metrics import Exposition, Meter, metered
from clues.model import Attach, Claim, Kind, LaunchRequest, Market, Published, Settings
from clues.notify.notifier import Notifier
from clues.planner.explain import explain
from clues.poked import Door
from clues.ports import Connector, Lrms, Overlay, PluginContext, Provision
from clues.reconciler import Books, Counter, Observer, Reconciler
from clues.registry import find_plugins
from clues.rpc import Server, users_named
from clues.vmlogs.reader import LogReader
from clues.workers import Threads

log = logging.getLogger(__name__)

#: how long a VM may take to join whose pool has gone from the configuration meanwhile
_OF_NO_POOL = timedelta(minutes=5)


@dataclass
class Service:
    """A whole cluesd, put together and not yet running."""

    daemon: Daemon
    #: for operators, and for everybody
    apis: tuple[ApiServer, ...]
    desk: Server
    metrics: Exposition
    metrics_listen: Endpoint | None
    door: Door
    ledger: Ledger
    lock: int

    def run(self) -> None:
        """Serve until the daemon is told to stop, then close everything in order. VMs and jobs go on."""
        try:
            self.metrics.listen(self.metrics_listen)
            self.desk.start()
            self.door.start()
            for api in self.apis:
                api.start()
            self.daemon.run()
        finally:
            self.metrics.stop()
            self.desk.stop()
            self.door.stop()
            for api in self.apis:
                api.stop()
            self.ledger.close()
            os.close(self.lock)


class _Adapters:
    """Plugins built from a configuration; those whose part did not change are kept when it is read again."""

    def __init__(self, plugins: Plugins, cluster: str, meter: Meter) -> None:
        self._plugins, self._cluster, self._meter = plugins, cluster, meter
        self._sites: dict[str, tuple[tuple[object, str], Connector]] = {}

    def connectors(self, loaded: Loaded) -> dict[str, Connector]:
        """Return the sites' connectors by name."""
        built: dict[str, tuple[tuple[object, str], Connector]] = {}
        for site, part in loaded.sites.items():
            told = (part, loaded.overlay_network)
            kept = self._sites.get(site)
            if kept is not None and kept[0] == told:
                built[site] = kept
                continue
            context = PluginContext(self._cluster, site, loaded.state, network=loaded.overlay_network)
            connector = self._plugins[CONNECTORS][part[0]].build(part[1], context)
            built[site] = (told, metered(connector, site, self._meter))
        self._sites = built
        return {site: connector for site, (_, connector) in built.items()}

    def lrms(self, loaded: Loaded) -> Lrms:
        """Return the batch system's adapter."""
        name, config = loaded.lrms
        context = PluginContext(self._cluster, loaded.settings.cluster, loaded.state, places=loaded.places)
        built: Lrms = self._plugins[LRMS][name].build(config, context, tuple(loaded.settings.pools.values()))
        return built

    def overlay(self, loaded: Loaded) -> Overlay:
        """Return the overlay's adapter."""
        name, config = loaded.overlay
        context = PluginContext(
            self._cluster,
            loaded.settings.cluster,
            loaded.state,
            places=loaded.places,
            services=tuple((one.protocol, one.first, one.last) for one in loaded.services),
        )
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
    state.mkdir(parents=True, exist_ok=True, mode=0o711)  # others find in it what is theirs, and list nothing
    lock = _lock(state)
    cluster = _cluster_id(state)
    settings = with_recipes(loaded.settings, loaded.workers)
    ledger = open_books(state / "ledger.db")
    books = Books(ledger, clock.now(), loaded.settings.budgets.time_zone)
    metrics = Exposition(lambda: reconciler.published, clock.now)
    adapters = _Adapters(plugins, cluster, metrics.meter)
    home: Home = queue.SimpleQueue()
    workers = Threads(home)
    lrms = adapters.lrms(loaded)
    observer = Observer(lrms, workers, clock, loaded.settings.pace)
    reconciler = Reconciler(cluster, settings, books, observer, adapters.overlay(loaded), clock)
    tickets, trust = Tickets.open(state), TrustStore(loaded.places.trust)
    configuration = [loaded]
    request = partial(
        _launch_request, plugins, cluster, tickets, trust, lambda: configuration[0], lambda: reconciler.overlay
    )
    executor = Executor(workers, lrms, adapters.connectors(loaded), request, reconciler)
    reconciler.use(executor)
    counter = Counter(reconciler, books, observer, clock, partial(_doubt, plugins, lambda: configuration[0]))

    def publish() -> None:
        books.trouble("signer", _missing_trust(trust))
        reconciler.overlay.publish(books.claims.values(), clock.now(), books.may_have_lost)

    books.unseen = set(loaded.settings.sites)
    books.publish = publish
    books.moved, reconciler.ticked = metrics.meter.moved, metrics.meter.ticked
    books.make_known()

    def reload() -> str:
        try:
            fresh = load(loaded.path, plugins)
            connectors, batch, overlay = adapters.connectors(fresh), adapters.lrms(fresh), adapters.overlay(fresh)
            metrics.listen(fresh.metrics_listen)
        except CluesError as error:
            return str(error)
        executor.use(batch, connectors)
        observer.use(batch, fresh.settings.pace)
        reconciler.configure(with_recipes(fresh.settings, fresh.workers), overlay, executor)
        notifier.use(fresh.settings.cluster, fresh.notify)
        configuration[0] = fresh
        books.make_known()
        return ""

    def imagine(changes: Sequence[str]) -> Settings:
        return what_if(configuration[0], plugins, changes)

    logs = LogReader(lambda: books.claims, lambda: executor.connectors, lambda: configuration[0].ssh)
    daemon = Daemon(home, reconciler, counter, books, observer, ledger, clock, loaded.places, reload, logs, imagine)
    past = History(ledger.record)
    notifier = Notifier(
        workers,
        lambda after, most: ledger.notes(after=after, limit=most),
        ledger.told(),
        ledger.remember_told,
        books.trouble,
        clock.now,
    )
    notifier.use(loaded.settings.cluster, loaded.notify)

    def shown(published: Published) -> None:
        past.see(published)
        notifier.look()

    daemon.shown = shown
    stopping = Event()
    make = partial(make_app, daemon, explain, metrics.text, now=clock.now, stopping=stopping)
    apis = (
        ApiServer(make(), loaded.socket, stopping=stopping),
        ApiServer(make(open_to_all=True), loaded.places.read_socket, mode=0o666, stopping=stopping),
    )
    provide = partial(_provide, plugins, lambda: configuration[0], observer.lrms_in_use, lambda: reconciler.overlay)
    desk = Desk(daemon, counter, tickets, provide)
    server = Server(loaded.places.desk_socket, desk.handlers, users=users_named("clues-signer"))
    door = Door(loaded.places.hook_socket, loaded.places.requests, lambda: home.put(observer.hurry))
    return Service(daemon, apis, server, metrics, loaded.metrics_listen, door, ledger, lock)


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


def _launch_request(
    plugins: Plugins,
    cluster: str,
    tickets: Tickets,
    trust: TrustStore,
    configuration: Callable[[], Loaded],
    overlay: Callable[[], Overlay],
    claim: Claim,
) -> LaunchRequest:
    """Everything but the claim is fixed by the configuration, so a repeated launch sends the same bytes.

    :raises Transient: the signer has not published its CA yet.
    """
    return LaunchRequest(
        cluster=cluster,
        launch_key=claim.key,
        kind=claim.kind,
        node=claim.node,
        pool=claim.pool,
        generation=claim.generation,
        offer=replace(claim.offer, price_per_hour=None),
        shape=claim.shape,
        user_data=render(
            ca_pem=trust.bundle_at(claim.created_at),
            ticket=tickets.issue(claim.key),
            mates=[tickets.issue(key) for key in claim.batch],
            urls=[_enrolment_url(configuration(), claim)],
            node=claim.node,
            kind=claim.kind,
            routes=overlay().routes(claim),
            dead_man=configuration().workers.dead_man,
            proof=_proof(configuration(), plugins, claim),
        ),
        address=claim.wanted_address,
        gang=claim.gang,
        batch=claim.batch,
    )


def _provide(
    plugins: Plugins,
    configuration: Callable[[], Loaded],
    lrms: Callable[[], Lrms],
    overlay: Callable[[], Overlay],
    claim: Claim,
) -> Provision:
    """Return what a VM gets that has enrolled."""
    loaded = configuration()
    router = claim.kind is Kind.ROUTER
    routes = overlay().routes(claim)
    helper = agent(
        urls=[_enrolment_url(loaded, claim)],
        node=claim.node,
        kind=claim.kind,
        routes=routes,
        hostname=router,
        dead_man=loaded.workers.dead_man,
        spot=_spot_notices(loaded, plugins, claim),
    )
    front = loaded.enrolment_at(Kind.WORKER, Attach.ROUTER if claim.tunnel else _attach(loaded, claim)).host
    mounts = [share.mount(front) for share in loaded.shares]
    provision = whole(
        claim,
        Provision() if router else lrms().bootstrap(claim.node),
        overlay().bootstrap(claim),
        helper,
        mounts,
        accounts=loaded.accounts.export,
    )
    return provision.plus(boot(claim, loaded.workers, _join_deadline(loaded, claim)))


def _join_deadline(loaded: Loaded, claim: Claim) -> timedelta:
    site, pool = loaded.settings.sites.get(claim.offer.site), loaded.settings.pools.get(claim.pool)
    plan = (site.router if site is not None else None) if claim.kind is Kind.ROUTER else pool
    return plan.join_deadline if plan is not None else _OF_NO_POOL


def _spot_notices(loaded: Loaded, plugins: Plugins, claim: Claim) -> str:
    """Return how the claim's VM hears that its provider takes it back; empty where it does not."""
    connector, _ = loaded.sites.get(claim.offer.site, ("", None))
    if claim.offer.market is not Market.SPOT:
        return ""
    return str(getattr(plugins[CONNECTORS].get(connector), "spot_notices", ""))


def _proof(loaded: Loaded, plugins: Plugins, claim: Claim) -> str:
    """Return what the claim's VM has to bring of its provider's word about it; empty: nothing."""
    connector, config = loaded.sites.get(claim.offer.site, ("", None))
    tell = getattr(plugins[CONNECTORS].get(connector), "proof", None)
    return str(tell(config)) if tell is not None else ""


def _doubt(plugins: Plugins, configuration: Callable[[], Loaded], claim: Claim, proof: str) -> str:
    """Return why what the provider signs about a VM does not show that it is the claim's.

    :raises Transient: the claim's instance is not known yet: a listing will tell it, and the VM comes again.
    """
    loaded = configuration()
    if not _proof(loaded, plugins, claim):
        return ""
    if not claim.instance_id:
        raise Transient("which VM this claim has is not known yet")
    connector, config = loaded.sites[claim.offer.site]
    return str(plugins[CONNECTORS][connector].doubt(config, claim.instance_id, proof))


def _attach(loaded: Loaded, claim: Claim) -> Attach:
    site = loaded.settings.sites.get(claim.offer.site)
    return site.attach if site is not None else Attach.LOCAL


def _enrolment_url(loaded: Loaded, claim: Claim) -> str:
    address = loaded.enrolment_at(claim.kind, _attach(loaded, claim))
    host = f"[{address.host}]" if ":" in address.host else address.host
    return f"https://{host}:{address.port}"


def _missing_trust(trust: TrustStore) -> str:
    try:
        trust.bundle()
    except Transient as error:
        return f"no VM can be started: {error}"
    return ""


def _cluster_id(state: Path) -> str:
    """Return the cluster's UUID, minted at the first start. It is kept apart from the ledger: with the ledger lost, the
    VMs that carry it are still ours."""
    path = state / "cluster-id"
    text = secret_file.read(path, public=True)
    if text is None:
        text = secret_file.create(path, f"{uuid.uuid4()}\n".encode())
        path.chmod(0o644)  # a name, not a secret: the signer asks for it
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
