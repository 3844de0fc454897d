"""What naps need of the daemon that takes them."""

from __future__ import annotations

from typing import Protocol

from clues.executor import Executor
from clues.ports import Clock
from clues.reconciler import Books, Observer, Reconciler
from clues.simulation.ledger import SimLedger


class Sleeper(Protocol):
    """A daemon that may nap: :class:`clues.simulation.daemon.SimDaemon`."""

    up: bool
    clock: Clock
    ledger: SimLedger
    books: Books
    observer: Observer
    reconciler: Reconciler

    @property
    def executor(self) -> Executor: ...

    def look_now(self) -> None: ...

    def list_now(self) -> None: ...

    def rest(self) -> None: ...
