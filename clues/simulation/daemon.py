"""The daemon's own parts around the simulated world: reconciler, planner, ledger and executor as they are.

What is simulated is their surroundings: the thread's loop is the timeline, the lanes are :class:`SimWorkers`, and the
disk is a ledger in memory that may be full.  A crash is an exception that no part of the daemon catches.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from random import Random
from typing import Any, Protocol

from clues.executor import Executor
from clues.model import Action, Claim, LaunchRequest, Settings
from clues.ports import Clock, Connector, Lrms, Overlay
from clues.reconciler import Books, Counter
from clues.simulation.ledger import SimLedger, Witness
from clues.simulation.naps.naps import Naps
from clues.simulation.naps.quiet import QuietObserver, QuietReconciler
from clues.simulation.timeline import Event, Timeline
from clues.simulation.workers import SimWorkers

#: The cluster's UUID, the tag of all its VMs.
CLUSTER = "0b5c4f0e-0000-4000-8000-000000000001"


class Killed(BaseException):
    """The daemon dies here, as by ``kill -9``."""


class Hooks(Witness, Protocol):
    """Who watches the daemon from outside, and may kill it."""

    def before_acts(self, actions: Sequence[Action]) -> None: ...

    def after_acts(self, actions: Sequence[Action]) -> None: ...

    def after_effect(self) -> None: ...

    def ticked(self) -> None: ...

    def failed(self, error: Exception) -> None: ...


class SimExecutor(Executor):
    """The real one; the world sees when it acts."""

    hooks: Hooks
    lanes: SimWorkers

    def carry_out(self, actions: Sequence[Action], claims: Mapping[str, Claim]) -> None:
        self.hooks.before_acts(actions)
        self.lanes.acting = True
        try:
            super().carry_out(actions, claims)
        finally:
            self.lanes.acting = False
        self.hooks.after_acts(actions)


@dataclass
class Surroundings:
    """What a daemon is put into."""

    time: Timeline
    chance: Random
    settings: Settings
    lrms: Lrms
    connectors: Mapping[str, Connector]
    overlay: Overlay
    clock: Callable[[], Clock]
    request: Callable[[Claim], LaunchRequest]
    latency: Callable[[str], float]
    hooks: Hooks
    #: for long traces: a call is one event
    brief: bool = False


class SimDaemon:
    """One daemon after the other, over one ledger."""

    def __init__(self, around: Surroundings, ledger: SimLedger) -> None:
        self._around = around
        self.ledger = ledger
        self.up = False
        self.kills = 0
        self._pump_event: Event | None = None
        #: decides when it looks, should it nap while nothing can happen
        self.naps: Naps | None = None
        self.start()

    def start(self) -> None:
        """A new process: it knows what the ledger holds, and nothing else."""
        around = self._around
        self.clock = around.clock()
        self.workers = SimWorkers(around.time, around.chance, around.latency, self.deliver, brief=around.brief)
        self.workers.after_effect = around.hooks.after_effect
        self.books = Books(self.ledger, self.clock.now(), around.settings.budgets.time_zone)
        self.books.unseen = set(around.settings.sites)
        self.observer = QuietObserver(around.lrms, self.workers, self.clock, around.settings.pace)
        self.reconciler = QuietReconciler(
            CLUSTER, around.settings, self.books, self.observer, around.overlay, self.clock
        )
        self.reconciler.cpu_clock = around.time.monotonic  # to ask for CPU time takes longer than many a tick
        executor = SimExecutor(self.workers, around.lrms, dict(around.connectors), around.request, self.reconciler)
        executor.hooks, executor.lanes = around.hooks, self.workers
        self.executor = executor
        self.reconciler.use(executor)
        self.reconciler.ticked = lambda _: around.hooks.ticked()
        self.counter = Counter(self.reconciler, self.books, self.observer, self.clock)
        self.observer.looked = self._looked
        self.up = True
        self._wake_in(0.0)

    def configure(self, settings: Settings) -> None:
        """SIGHUP: another configuration, of the same sites and nodes."""
        self._around.settings = settings
        if self.up:
            self.reconciler.configure(settings, self._around.overlay, self.executor)
            self._pump()

    def kill(self, back_after: float) -> None:
        """``kill -9``; systemd starts it again."""
        self.kills += 1
        self.up = False
        self.workers.die()
        if self._pump_event is not None:
            self._pump_event.cancel()
        self._around.time.after(back_after, self._start_again)

    def _start_again(self) -> None:
        if not self.up:
            self.start()

    def deliver(self, event: Callable[[], None]) -> None:
        """Have the daemon's own thread take an event, then send off what is due."""
        self._guarded(event)
        self._pump()

    def call(self, deed: Callable[[], object]) -> None:
        """Have somebody's call served by the daemon's thread; its errors are the caller's."""
        deed()
        if self.up:
            self._pump()

    def _pump(self) -> None:
        if not self.up:
            return
        wait = self._guarded(self.observer.pump)
        seconds = wait.total_seconds() if isinstance(wait, timedelta) else 1.0
        self._wake_in(self._nap(seconds))

    def _wake_in(self, seconds: float) -> None:
        at = self._around.time.passed + seconds
        event = self._pump_event
        if event is not None:
            if event.deed is not None and event.at == at:
                return
            event.cancel()
        self._pump_event = self._around.time.at(at, self._pump)

    def _guarded(self, call: Callable[[], Any]) -> Any:
        try:
            return call()
        except Exception as error:  # noqa: BLE001 - the real loop outlives it; here it is a defect to be told
            self._around.hooks.failed(error)
            return None

    def nap(self, naps: Naps) -> None:
        """Look from now on only when something may come of it."""
        self.naps, self.reconciler.naps = naps, True
        self.reconciler.opened = naps.idling.opened

    def _looked(self) -> None:
        """Decide; then sleep, should the daemon nap."""
        self.reconciler.tick()
        published = self.reconciler.published
        if self.naps is not None and published is not None and not self.naps.goes_on(published):
            self._doze()

    # --- naps ---

    def look_now(self) -> None:
        """Wake a daemon that naps: something has happened that it would have noticed by now."""
        if self.up:
            self.observer.hurry()
            self._pump()

    def list_now(self) -> None:
        """Have it ask what is due; an answer that tells something new is followed by a look at Slurm."""
        if self.up:
            self._pump()

    def rest(self) -> None:
        """Go on napping; idle nodes may have been left since the last look."""
        if self.up:
            self._doze()
            self._pump()

    def _doze(self) -> None:
        """Look again only when something may come of time alone."""
        published = self.reconciler.published
        if self.naps is not None and published is not None:
            wait = self.naps.lasts(published) - self._around.time.passed
            self.observer.rest(self.clock.now() + timedelta(seconds=wait))

    def _nap(self, seconds: float) -> float:
        """Return how long to sleep: until the next look is due, whatever else is not urgent."""
        if self.naps is None or self.reconciler.published is None or self.observer.hurried:
            return seconds
        return max(seconds, (self.observer.next_look - self.clock.now()).total_seconds())
