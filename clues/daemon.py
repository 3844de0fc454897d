"""The daemon's one thread: a loop that takes events from its queue, one after the other, and sends off what is due.

Everybody else (workers' threads, the API, the enrolment service, signals) puts a call into the queue, and waits for its
answer if it needs one.  So all state has one owner and needs no lock.
"""

from __future__ import annotations

import logging
import queue
import signal
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from types import FrameType
from typing import TypeVar

from clues import systemd
from clues.bootstrap.tickets import Tickets
from clues.clock import JUMP, SteadyClock
from clues.errors import AuthFailed, CluesError, Transient
from clues.ledger import Ledger
from clues.model import Facts, LoggedNote, Published, Wish
from clues.ports import Lrms, WorkerSecrets
from clues.reconciler import Books, Counter, Observer, Reconciler

log = logging.getLogger(__name__)

T = TypeVar("T")

#: How long another thread waits for the owner before it tells its caller to come again.
PATIENCE_SECONDS = 10.0

Home = queue.SimpleQueue[Callable[[], None]]


class Daemon:
    """The loop, and the door through which other threads reach the state: it is a :class:`clues.ports.Control`."""

    def __init__(
        self,
        home: Home,
        reconciler: Reconciler,
        counter: Counter,
        books: Books,
        observer: Observer,
        ledger: Ledger,
        clock: SteadyClock,
        reload: Callable[[], str],
    ) -> None:
        """:param reload: reads the configuration again and puts it to use; returns what is wrong with it, or ""."""
        self._home, self._reconciler, self._counter = home, reconciler, counter
        self._books, self._observer, self._ledger, self._clock = books, observer, ledger, clock
        self._reload = reload
        self._running = False
        self._changed = threading.Condition()
        self._shown: Published | None = None

    # --- the owner's thread ---

    def run(self) -> None:
        """Work until :meth:`stop`. What goes wrong with one event does not end the loop; it is told."""
        self._running = True
        while self._running:
            wait = self._guarded(self._observer.pump)
            try:
                event = self._home.get(timeout=wait.total_seconds() if wait is not None else 1.0)
            except queue.Empty:
                continue
            self._guarded(event)
            self._show()
        systemd.notify("STOPPING=1")

    def watch_signals(self) -> None:
        """Stop on SIGTERM and SIGINT, read the configuration again on SIGHUP. Call it from the main thread."""

        def on_signal(number: int, _: FrameType | None) -> None:
            self._home.put(self.reload if number == signal.SIGHUP else self.stop)

        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, on_signal)

    def stop(self) -> None:
        """End the loop after the present event. VMs and jobs go on; the next start finds them."""
        self._running = False

    def reload(self) -> None:
        """Read the configuration again; a broken one changes nothing and is told."""
        systemd.notify("RELOADING=1")
        mistakes = self._reload()
        self._books.trouble("configuration", mistakes and f"the new configuration is not in use: {mistakes}")
        log.info("configuration: %s", mistakes or "read again and in use")
        systemd.notify("READY=1")
        self._observer.hurry()

    def _guarded(self, call: Callable[[], T]) -> T | None:
        try:
            return call()
        except Exception as error:  # the loop must outlive a defect; it is shown, and the state is as committed
            log.exception("a step of the daemon failed")
            self._books.trouble("defect", f"a step of the daemon failed ({type(error).__name__}: {error}); see its log")
            return None

    def _show(self) -> None:
        published = self._reconciler.published
        if published is None or published is self._shown:
            return
        jumped = self._clock.off_by()
        text = f"the machine's clock was set: it is {jumped.total_seconds():+.0f} s from ours; deadlines are kept"
        self._books.trouble("clock", text if abs(jumped) > JUMP else "")
        if self._shown is None:
            systemd.notify("READY=1")
        up = sum(1 for claim in published.world.claims.values() if claim.opened_at)
        systemd.notify(f"WATCHDOG=1\nSTATUS={up} nodes up, {len(published.world.claims)} claims")
        with self._changed:
            self._shown = published
            self._changed.notify_all()

    # --- any thread ---

    def ask(self, call: Callable[[], T]) -> T:
        """Have *call* made by the owner's thread and return its result, or raise its error.

        :raises Transient: the owner did not come to it in time.
        """
        answer: Future[T] = Future()

        def serve() -> None:
            if not answer.set_running_or_notify_cancel():
                return  # the asker has gone: it must not be told later that nothing happened
            try:
                answer.set_result(call())
            except BaseException as error:  # noqa: BLE001 - it belongs to the asker
                answer.set_exception(error)

        self._home.put(serve)
        try:
            return answer.result(PATIENCE_SECONDS)
        except TimeoutError:
            if answer.cancel():
                raise Transient("the daemon is busy; try again in a moment") from None
            return answer.result(PATIENCE_SECONDS)

    def published(self) -> Published | None:
        """Return the picture of the last tick."""
        return self._shown

    def wait(self, after_tick: int, timeout: float) -> Published | None:
        """Return a picture newer than *after_tick* as soon as there is one, else the present one after *timeout* s."""
        with self._changed:
            self._changed.wait_for(lambda: self._shown is not None and self._shown.ticks > after_tick, timeout)
        return self._shown

    def notes(self, *, after: int = 0, about: str = "", limit: int = 100) -> list[LoggedNote]:
        """Return entries of the event log."""
        return self._ledger.notes(after=after, about=about, limit=limit)

    def wish(self, nodes: Sequence[str], wish: Wish | None, who: str) -> None:
        """Commit a standing order."""
        self.ask(lambda: self._counter.wish(nodes, wish, who))

    def pause(self, paused: bool, who: str) -> None:
        """Pause or resume buying and stopping."""
        self.ask(lambda: self._counter.pause(paused, who))


class EnrolmentDesk:
    """Behind the enrolment service: a :class:`clues.ports.Desk` that knows tickets and asks the owner."""

    def __init__(
        self, daemon: Daemon, books: Books, counter: Counter, tickets: Tickets, lrms: Callable[[], Lrms]
    ) -> None:
        self._daemon, self._books, self._counter, self._tickets, self._lrms = daemon, books, counter, tickets, lrms

    def redeem(self, ticket: str, nonce: str, address: str, facts: Facts) -> WorkerSecrets:
        """Commit that the ticket was redeemed, then hand out what the worker needs."""

        def commit() -> str:
            return self._counter.redeem(self._key(ticket), nonce, address, facts)

        node = self._daemon.ask(commit)
        try:
            return self._lrms().bootstrap(node)
        except CluesError as error:  # an unreadable munge key is ours to mend; the worker comes again
            raise Transient(str(error)) from error

    def report(self, ticket: str, kind: str, text: str) -> None:
        """Note a VM's word."""
        self._daemon.ask(lambda: self._counter.report(self._key(ticket), kind, text))

    def _key(self, ticket: str) -> str:
        key = self._tickets.find(ticket, self._books.claims)
        if key is None:
            raise AuthFailed("no VM with this ticket is booting now")
        return key
