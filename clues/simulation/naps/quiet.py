"""What a daemon that naps is not woken by: answers that say what was expected.

A launch that the provider has taken, a VM that has enrolled, a termination that was accepted, a node that was bound or
opened: of none of these anything follows at once. What does follow comes with the next thing that happens, which wakes
the daemon: the VM enrols, its slurmd registers, the provider calls it gone. Errors hurry a look as ever.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime

from clues.errors import CloudError
from clues.ledger import SpendKey
from clues.model import COMING, Action, Annotate, Bind, Claim, Drain, Forget, LaunchOutcome, Open, Pin, Settings, Spent
from clues.planner.money.budget import budget_lines
from clues.reconciler import Observer, Reconciler
from clues.reconciler.observer import BREATH


class QuietObserver(Observer):
    """The real one; when it looks next may be put off."""

    @property
    def hurried(self) -> bool:
        """Whether the next look is due sooner than its rhythm says."""
        return self._next_look <= self._last_look + BREATH

    @property
    def next_look(self) -> datetime:
        """When the next look is due."""
        return self._next_look

    def rest(self, until: datetime) -> None:
        """Look at *until*, unless something hurries it."""
        self._next_look = until

    def poll_tunnels(self) -> None:
        """Ask for the tunnels at once."""
        self._next_tunnels = self._clock.now()

    @contextmanager
    def unhurried(self, quiet: bool = True) -> Iterator[None]:
        """Have nothing in the block hurry a look or a listing, if *quiet*."""
        look, listings = self._next_look, dict(self._next_listing)
        yield
        if quiet:
            self._next_look, self._next_listing = look, listings


class QuietReconciler(Reconciler):
    """The real one; a daemon that naps hears answers that were expected without a look."""

    #: the daemon naps
    naps = False
    #: told when nodes were opened: one that no job takes is idle from now on
    opened: Callable[[], None] = staticmethod(lambda: None)
    _budgeted: tuple[Settings, bool] | None = None

    def launched(self, outcome: LaunchOutcome) -> None:
        with self._unhurried(outcome.error is None):
            super().launched(outcome)

    def terminated(self, key: str, error: CloudError | None) -> None:
        with self._unhurried(error is None):
            super().terminated(key, error)

    def ordered(self, action: Action, error: BaseException | None) -> None:
        if isinstance(action, Open):
            self.opened()
        with self._unhurried(error is None and not self._is_followed(action)):
            super().ordered(action, error)

    def _charges(self, now: datetime) -> dict[SpendKey, float]:
        """What nobody limits nobody asks for after a trial, which counts its bill itself."""
        if self._budgeted is None or self._budgeted[0] is not self.settings:
            self._budgeted = self.settings, any(True for _ in budget_lines(self.settings, Spent(), now))
        return super()._charges(now) if self._budgeted[1] or not self.naps else {}

    @contextmanager
    def _unhurried(self, quiet: bool) -> Iterator[None]:
        observer = self._observer
        if not self.naps or not quiet or not isinstance(observer, QuietObserver):
            yield
            return
        with observer.unhurried():
            yield

    def _is_followed(self, action: Action) -> bool:
        """Whether something may come of an order's having been carried out."""
        if isinstance(action, Bind | Pin | Annotate | Forget | Open):
            return False
        if not isinstance(action, Drain):
            return True
        if self.published is not None and self.published.plan.outlooks:
            return True  # a node that is closed can be bought for
        return any(self._is_leaving(claim) for claim in self._books.claims.values() if claim.node in action.nodes)

    def _is_leaving(self, claim: Claim) -> bool:
        return claim.live and claim.state not in COMING


__all__ = ["QuietObserver", "QuietReconciler"]
