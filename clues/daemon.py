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
from datetime import datetime, timedelta
from functools import partial
from types import FrameType
from typing import TypeVar

from clues import rpc, systemd
from clues.clock import JUMP, SteadyClock
from clues.errors import ConfigError, InvalidRequest, Transient
from clues.ledger import Ledger
from clues.model import (
    CaStatus,
    CaStep,
    Changed,
    Claim,
    Deed,
    JobUse,
    LoggedDeed,
    LoggedNote,
    Maintenance,
    Moment,
    Note,
    Order,
    Published,
    Rehearsal,
    Settings,
    SpentRow,
    SshWay,
    VmLog,
    Wish,
)
from clues.places import Places
from clues.planner.rehearse import rehearse
from clues.ports import Accounting
from clues.reconciler import Books, Clerk, Counter, Observer, Reconciler
from clues.vmlogs.reader import LogReader

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
        places: Places,
        reload: Callable[[], str],
        logs: LogReader,
        what_if: Callable[[Sequence[str]], Settings],
    ) -> None:
        """
        :param reload: reads the configuration again and puts it to use; returns what is wrong with it, or "".
        :param what_if: makes settings of the configuration in use with some keys changed, and has no effect.
        """
        self._home, self._reconciler, self._counter = home, reconciler, counter
        self._books, self._observer, self._ledger, self._clock = books, observer, ledger, clock
        self._places, self._reload, self._logs = places, reload, logs
        self._clerk = Clerk(books, ledger, clock)
        self._owner = -1
        self._what_if, self._rehearsing = what_if, threading.Lock()
        self._accounting = threading.Lock()
        self._running = False
        self._changed = threading.Condition()
        self._shown: Published | None = None
        #: told of every new picture, on the owner's thread
        self.shown: Callable[[Published], None] = lambda _: None
        #: called when an order is carried out and not answered yet: has the other front-end know of it
        self.settle: Callable[[], None] = lambda: None

    # --- the owner's thread ---

    def run(self) -> None:
        """Work until :meth:`stop`. What goes wrong with one event does not end the loop; it is told."""
        self._running, self._owner = True, threading.get_ident()
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
        mistakes = self._guarded(self._reload)
        if mistakes is None:
            mistakes = "cluesd failed at reading it, which is a defect of its own; see its log"
        self._books.trouble("configuration", mistakes and f"the new configuration is not in use: {mistakes}")
        log.info("configuration: %s", mistakes or "read again and in use")
        if self._shown is not None:  # before the first tick nothing is ready
            systemd.notify("READY=1")
        self._tell_systemd()
        self._observer.hurry()

    def _tell_systemd(self, more: str = "") -> None:
        """Have `systemctl status` show how things are."""
        claims, troubles = self._books.claims.values(), tuple(self._books.troubles.values())
        up = sum(1 for claim in claims if claim.opened_at)
        systemd.notify(f"{more}STATUS={systemd.summary(f'{up} nodes up, {len(claims)} claims', troubles)}")

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
        self._tell_systemd("WATCHDOG=1\n")
        with self._changed:
            self._shown = published
            self._changed.notify_all()
        self.shown(published)

    # --- any thread ---

    def ask(self, call: Callable[[], T]) -> T:
        """Have *call* made by the owner's thread and return its result, or raise its error.

        :raises Transient: the owner did not come to it in time.
        """
        if threading.get_ident() == self._owner:  # a part of what the owner was asked for
            return call()
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

    def notes(self, *, after: int = 0, before: int = 0, about: str = "", limit: int = 100) -> list[LoggedNote]:
        """Return entries of the event log."""
        return self._ledger.notes(after=after, before=before, about=about, limit=limit)

    def history(self, since: datetime, limit: int) -> list[Moment]:
        """Return what the cluster was like."""
        return self._ledger.moments(since, limit)

    def spending(self, since: datetime, until: datetime) -> list[SpentRow]:
        """Return what was spent in each hour."""
        return self._ledger.spending(since, until)

    def claims_between(self, begin: datetime, end: datetime) -> list[Claim]:
        """Return the claims of a time."""
        return self._ledger.claims_between(begin, end)

    def job_uses(self, begin: datetime, end: datetime) -> Sequence[JobUse]:
        """Ask the batch system's accounting, on the caller's own thread, for one caller at a time."""
        lrms = self._observer.lrms_in_use()
        if not isinstance(lrms, Accounting):
            raise InvalidRequest("this batch system tells no accounting: users, QOSs and single jobs are not known")
        with self._accounting:
            return lrms.job_uses(begin, end)

    def past_claims(self, node: str, limit: int, before: int = 0) -> list[Claim]:
        """Return the latest claims of a node."""
        return self._ledger.claims_of(node, limit, before)

    def answered(self, order: Order) -> bytes | None:
        """Return what an order was answered before."""
        return self._clerk.answered(order)

    def act(self, order: Order, do: Callable[[], object], told: Callable[[Changed], bytes]) -> bytes:
        """Carry an order out once."""
        answer = self.ask(lambda: self._clerk.carry_out(order, do, told))
        self.settle()
        return answer

    def act_outside(self, order: Order, do: Callable[[], bytes]) -> bytes:
        """Carry an order out once that somebody else fulfils: on the caller's own thread."""
        if (before := self.ask(lambda: self._clerk.begin(order))) is not None:
            return before
        try:
            body = do()
        except InvalidRequest as refusal:
            raise self.ask(partial(self._clerk.never, order, refusal)) from None
        self.ask(lambda: self._clerk.end(order, body))
        self.settle()
        return body

    def record(self, deed: Deed) -> None:
        """Have a deed that was refused written down, when the owner comes to it."""
        self._home.put(lambda: self._clerk.record(deed))

    def deeds(self, since: datetime, before: int, limit: int) -> list[LoggedDeed]:
        """Return entries of the audit log."""
        return self._ledger.deeds(since=since, before=before, limit=limit)

    def wish(self, nodes: Sequence[str], wish: Wish | None, who: str) -> None:
        """Commit a standing order."""
        self.ask(lambda: self._counter.wish(nodes, wish, who))

    def announce_maintenance(
        self, site: str, begin: datetime, end: datetime, ahead: timedelta | None, who: str
    ) -> Maintenance:
        """Announce that a site is to be empty for a time."""
        return self.ask(lambda: self._counter.announce_maintenance(site, begin, end, ahead, who))

    def cancel_maintenance(self, number: int, who: str) -> Maintenance:
        """Take that back."""
        return self.ask(lambda: self._counter.cancel_maintenance(number, who))

    def pause(self, paused: bool, who: str) -> None:
        """Pause or resume buying and stopping."""
        self.ask(lambda: self._counter.pause(paused, who))

    def evict(self, key: str, who: str) -> None:
        """Put a VM out of the cluster."""
        self.ask(lambda: self._counter.evict(key, who))

    def logs(self, node: str, *, ssh: bool) -> VmLog:
        """Read a VM's log: found by the owner, read on the caller's own thread."""
        claim = self.ask(lambda: self._logs.find(node))
        return self._logs.read(claim, ssh=ssh)

    def ssh_way(self, node: str) -> SshWay:
        """Return how a VM is reached by SSH."""
        return self.ask(lambda: self._logs.way(node))

    def try_image(self, site: str, image: str, flavor: str, who: str) -> Claim:
        """Start a VM that tries an image."""
        return self.ask(lambda: self._counter.try_image(site, image, flavor, who))

    def trial(self, key: str) -> Claim:
        """Return an image's trial."""
        return self.ask(lambda: self._counter.trial(key))

    def stop_trial(self, key: str) -> None:
        """End an image's trial."""
        self.ask(lambda: self._counter.stop_trial(key))

    def rehearse(self, changes: Sequence[str]) -> Rehearsal:
        """Decide about the picture of the last tick, on the caller's own thread, and tell instead of do."""
        shown = self._shown
        if shown is None:
            raise Transient("there was no tick yet; try again in a moment")
        try:
            settings = self._what_if(changes) if changes else shown.settings
        except ConfigError as error:
            raise InvalidRequest(str(error)) from None
        with self._rehearsing:  # one at a time: the owner's thread shares the processor with it
            return rehearse(shown, settings, self._clock.now())

    def ca_status(self) -> CaStatus:
        """Ask the signer for its CA."""
        return CaStatus.from_answer(rpc.call(self._places.signer_socket, "status"))

    def rotate_ca(self, who: str) -> CaStep:
        """Have the signer take the next step to a new CA, and note it."""
        step = CaStep.from_answer(rpc.call(self._places.signer_socket, "rotate", timeout=30.0, step="next"))
        note = Note(self._clock.now(), "operator", "ca", f"{who}: {step.done}")
        self.ask(lambda: self._books.note(note))
        return step
