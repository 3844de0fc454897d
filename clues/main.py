"""The composition root: the one place that knows every part, and puts them together.

``cluesd`` is :mod:`clues.program`.  Tests and the simulation put the same parts together through :func:`assemble`.
"""

from __future__ import annotations

import logging
import os
import queue
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Event

from clues.adapters import Adapters
from clues.api.app import make_app
from clues.api.buckets import Rate
from clues.api.limiter import Limiter
from clues.api.outside import Outside
from clues.api.server import ApiServer
from clues.bootstrap.recipe import with_recipes
from clues.bootstrap.tickets import Tickets
from clues.bootstrap.trust import TrustStore
from clues.clock import SteadyClock
from clues.config import Endpoint, Loaded, Plugins, load, what_if
from clues.daemon import Daemon, Home
from clues.desk import Desk
from clues.errors import CluesError, ConfigError, Transient
from clues.executor import Executor
from clues.history import History
from clues.launches import Launches
from clues.ledger import Ledger, open_ledger
from clues.ledger.forgetting import Forgetting
from clues.metrics import Exposition
from clues.model import Note, Published, Settings
from clues.notify.notifier import Notifier
from clues.planner.explain import explain
from clues.poked import Door
from clues.reconciler import Books, Counter, Observer, Reconciler
from clues.rpc import Server, users_named
from clues.standby.activity import Activity
from clues.standby.waiting import Turn
from clues.state_folder import cluster_id, hold
from clues.vmlogs.reader import LogReader
from clues.workers import Threads

log = logging.getLogger(__name__)


@dataclass
class Service:
    """A whole cluesd, put together and not yet running."""

    daemon: Daemon
    #: for operators, and for everybody
    apis: tuple[ApiServer, ...]
    #: the API for other machines, where the configuration wants it
    outside: Outside
    desk: Server
    metrics: Exposition
    metrics_listen: Endpoint | None
    door: Door
    ledger: Ledger
    lock: int
    #: where this front-end is one of two: the lease, and the copies for the other
    activity: Activity | None = None

    def run(self) -> None:
        """Serve until the daemon is told to stop, then close everything in order. VMs and jobs go on."""
        try:
            if self.activity is not None:
                self.activity.start()
            self.metrics.listen(self.metrics_listen)
            self.desk.start()
            self.door.start()
            for api in self.apis:
                api.start()
            self.outside.begin()
            self.daemon.run()
        finally:
            self.metrics.stop()
            self.desk.stop()
            self.door.stop()
            for api in self.apis:
                api.stop()
            if self.activity is not None:
                self.activity.stop()
            self.outside.stop()
            self.ledger.close()
            os.close(self.lock)


def assemble(
    loaded: Loaded,
    plugins: Plugins,
    *,
    open_books: Callable[[Path], Ledger] = open_ledger,
    clock: SteadyClock | None = None,
    held: int | None = None,
    turn: Turn | None = None,
) -> Service:
    """Put a daemon together from a checked configuration.

    :param open_books: opens the ledger at a path.
    :param held: the lock of the state folder, where it is held already.
    :param turn: the lease, where this front-end is one of two.
    :raises CluesError: another daemon runs on this state folder, or a part cannot be made.
    """
    clock = clock or SteadyClock()
    state = loaded.state
    held = hold(state) if held is None else held
    cluster = cluster_id(state)
    settings = with_recipes(loaded.settings, loaded.workers)
    ledger = open_books(state / "ledger.db")
    books = Books(ledger, clock.now(), loaded.settings.budgets.time_zone)
    metrics = Exposition(lambda: reconciler.published, clock.now)
    adapters = Adapters(plugins, cluster, metrics.meter)
    home: Home = queue.SimpleQueue()
    workers = Threads(home)
    lrms = adapters.lrms(loaded)
    observer = Observer(lrms, workers, clock, loaded.settings.pace)
    reconciler = Reconciler(cluster, settings, books, observer, adapters.overlay(loaded), clock)
    tickets, trust = Tickets.open(state), TrustStore(loaded.places.trust)
    configuration = [loaded]
    launches = Launches(
        plugins,
        cluster,
        tickets,
        trust,
        lambda: configuration[0],
        observer.lrms_in_use,
        lambda: reconciler.overlay,
    )
    activity = Activity(turn, loaded.front_ends, ledger, loaded.places) if turn and loaded.front_ends else None
    permit = activity.permit if activity is not None else _always
    executor = Executor(workers, lrms, adapters.connectors(loaded), launches.request, reconciler, permit)
    reconciler.use(executor)
    counter = Counter(reconciler, books, observer, clock, launches.doubt)

    def publish() -> None:
        books.trouble("signer", _missing_trust(trust))
        reconciler.overlay.publish(books.claims.values(), clock.now(), books.may_have_lost)

    books.unseen = set(loaded.settings.sites)
    books.publish = publish
    if activity is not None and turn is not None:
        books.committed = activity.record
        if turn.taken_from:
            text = f"this front-end has taken over from {turn.taken_from}, which did not renew its lease"
            books.note(Note(clock.now(), "alarm", "front-ends", text))
    books.moved, reconciler.ticked = metrics.meter.moved, metrics.meter.ticked
    books.make_known()

    def reload() -> str:
        try:
            fresh = load(loaded.path, plugins)
            refuse_what_stays(loaded, fresh)
            connectors, batch, overlay = adapters.connectors(fresh), adapters.lrms(fresh), adapters.overlay(fresh)
            metrics.listen(fresh.metrics_listen)
            outside.use(fresh.api)
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
    past, forgetting = History(ledger.record), Forgetting(ledger.forget_notes)
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
        forgetting.look(published.at)
        if activity is not None:
            books.trouble("front-ends", activity.trouble())
        notifier.look()

    daemon.shown = shown
    if activity is not None:
        daemon.settle = activity.settle
    stopping = Event()
    limiter = Limiter(Rate(loaded.api.rate, loaded.api.burst), loaded.api.streams)
    make = partial(make_app, daemon, explain, metrics.text, now=clock.now, limiter=limiter)
    outside = Outside(loaded.api, make, limiter, books.trouble)
    apis = (
        ApiServer(make(stopping=stopping), loaded.socket, stopping=stopping),
        ApiServer(make(open_to_all=True, stopping=stopping), loaded.places.read_socket, mode=0o666, stopping=stopping),
    )
    desk = Desk(daemon, counter, tickets, launches.provide)
    server = Server(loaded.places.desk_socket, desk.handlers, users=users_named("clues-signer"))
    door = Door(loaded.places.hook_socket, loaded.places.requests, lambda: home.put(observer.hurry))
    return Service(daemon, apis, outside, server, metrics, loaded.metrics_listen, door, ledger, held, activity)


def refuse_what_stays(old: Loaded, new: Loaded) -> None:
    """See to it that a new configuration changes nothing that is settled when the daemon starts.

    :raises ConfigError: it does.
    """
    settled = {
        "state": (old.state, new.state),
        "socket": (old.socket, new.socket),
        "front_ends": (old.front_ends, new.front_ends),
    }
    changed = [name for name, (before, now) in settled.items() if before != now]
    if changed:
        raise ConfigError(
            f"{new.path}: only a restart of cluesd changes {', '.join(changed)}: restart it, or undo that"
        )


def _always() -> None:
    """A front-end that is alone may act whenever it wants to."""


def _missing_trust(trust: TrustStore) -> str:
    try:
        trust.bundle()
    except Transient as error:
        return f"no VM can be started: {error}"
    return ""
