"""Looks that show nothing new: a daemon that naps leaves out the decision that follows, which would be the last one.

So it is only where the last decision was to do nothing, where everything that it was made from is as it was, and until
time alone may change what follows. A listing that shows what the last one did may still bring something on: that a VM
is missing is believed only after some time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from clues.model import COMING, ClaimState, ClusterSnapshot
from clues.simulation.sleeper import Sleeper

#: Claims of which something may come although nothing new is seen.
ON_THEIR_WAY = COMING | {ClaimState.DRAINING, ClaimState.STOPPING, ClaimState.FAILED}


@dataclass(frozen=True, slots=True)
class _Decided:
    """What a decision to do nothing was made from, and until when it holds, in the world's seconds."""

    slurm: ClusterSnapshot
    others: tuple[Any, ...]
    until: float


class Sameness:
    """Between a daemon's looks and its decisions."""

    def __init__(self, daemon: Sleeper) -> None:
        self._daemon = daemon
        self._decided: _Decided | None = None
        #: decisions that were left out
        self.left_out = 0

    def holds(self, now: float) -> bool:
        """Whether the last decision would be made again from what is known now."""
        decided, slurm = self._decided, self._daemon.observer.snapshot
        if decided is None or now >= decided.until or slurm.value is None or slurm.error:
            return False
        # both are the same objects for as long as nothing in them has changed
        if slurm.value.nodes is not decided.slurm.nodes or slurm.value.jobs is not decided.slurm.jobs:
            return False
        if slurm.value.reservations != decided.slurm.reservations or self._others() != decided.others:
            return False
        self.left_out += 1
        return True

    def decided(self, until: float) -> None:
        """Remember what the decision that was just made came from, if it was to do nothing.

        :param until: when something may come of time alone, in the world's seconds.
        """
        daemon, published = self._daemon, self._daemon.reconciler.published
        plan, slurm = None if published is None else published.plan, daemon.observer.snapshot
        self._decided = None
        if plan is None or plan.claims or plan.actions or plan.notes or slurm.value is None or slurm.error:
            return
        if not daemon.executor.in_flight:
            self._decided = _Decided(slurm.value, self._others(), until)

    def _others(self) -> tuple[Any, ...]:
        """Return all else that a decision is made from."""
        daemon, observer = self._daemon, self._daemon.observer
        on_its_way = any(claim.state in ON_THEIR_WAY for claim in daemon.books.claims.values())
        listings = {
            site: (one.value.instances if one.value else None, one.error, one.taken_at if on_its_way else None)
            for site, one in observer.listings.items()
        }
        terms = daemon.reconciler._terms.terms
        return (daemon.ledger.changes, listings, observer.tunnels, terms, daemon.executor.in_flight)


__all__ = ["ON_THEIR_WAY", "Sameness"]
