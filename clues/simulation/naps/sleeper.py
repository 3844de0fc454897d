"""What naps need of the daemon that takes them."""

from __future__ import annotations

from typing import Protocol

from clues.ports import Clock
from clues.reconciler import Books
from clues.simulation.ledger import SimLedger
from clues.simulation.naps.quiet import QuietObserver, QuietReconciler


class Sleeper(Protocol):
    """A daemon that may nap: :class:`clues.simulation.daemon.SimDaemon`."""

    up: bool
    clock: Clock
    ledger: SimLedger
    books: Books
    observer: QuietObserver
    reconciler: QuietReconciler

    def look_now(self) -> None: ...

    def list_now(self) -> None: ...

    def rest(self) -> None: ...
