"""Watched besides: what failed is tried with one launch, not with many, and what works again is let through.

Reckoned here anew from the commits, and not with the daemon's own parts.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from clues.ledger import Commit
from clues.model import COMING, Claim, ClaimState, Memory

#: VMs of one pool that may be made within an hour while none of them comes up.
DEAD_VMS = 25
#: After so many VMs that run since its last failure nothing is held against an offer's capacity any more.
WORKED = 6

_UNANSWERED = {ClaimState.PLANNED, ClaimState.LAUNCHING, ClaimState.BOOTING}


@dataclass
class Tried:
    """One offer that had no room, since it was last refused."""

    failed_at: datetime | None
    claims: dict[str, Claim] = field(default_factory=dict)
    worked: set[str] = field(default_factory=set)


class TryWatch:
    """Sees what is bought of that which failed."""

    def __init__(self, tell: Callable[..., None]) -> None:
        self._tell = tell
        self._tried: dict[str, Tried] = {}
        self._known: set[str] = set()
        self._made: dict[str, deque[float]] = {}

    def forget(self) -> None:
        """The ledger was lost, and what had been learnt with it."""
        self._tried.clear()

    def committed(self, change: Commit) -> None:
        """A change is on the disk."""
        if change.memory is not None:
            self._learn(change.memory)
        for claim in change.claims:
            if claim.ready_at is not None:
                self._made.pop(claim.pool, None)
            tried = self._tried.get(claim.offer.key)
            new, self._known = claim.key not in self._known, self._known | {claim.key}
            if tried is None or claim.adopted or claim.probe:
                continue
            if new or claim.key in tried.claims or _is_sent_again(claim, tried):
                self._look(claim.offer.key, tried, claim)

    def _learn(self, memory: Memory) -> None:
        capacity = {key: one for key, one in memory.breakers.items() if one.code in ("no-capacity", "reclaimed")}
        self._tried = {key: one for key, one in self._tried.items() if key in capacity}
        for key, breaker in capacity.items():
            known, failed = self._tried.get(key), breaker.failed_at
            if known is not None and known.failed_at is not None and failed is not None and failed < known.failed_at:
                # The clock was set back, and what was remembered with it: no new failure. Of the launches it can no
                # longer be told which were sent after the last one.
                known.failed_at = failed
                known.claims = {key: claim for key, claim in known.claims.items() if key in known.worked}
            elif known is None or known.failed_at != failed:
                self._tried[key] = Tried(failed)

    def _look(self, key: str, tried: Tried, claim: Claim) -> None:
        before, tried.claims[claim.key] = tried.claims.get(claim.key, claim), claim
        if (claim.listed_at or claim.ready_at) and before.state in {*COMING, ClaimState.READY}:
            tried.worked.add(claim.key)  # also where the look that shows it running is the one that lets it go
        if len(tried.worked) >= WORKED:
            self._tell(f"{key} is held back although {len(tried.worked)} VMs of it have come", key, claim.key)
        waiting = [one for one in tried.claims.values() if one.state in _UNANSWERED and one.listed_at is None]
        tasks = {one.gang or one.key for one in waiting}
        if not tried.worked and len(tasks) > 1:
            self._tell(f"{key} had no room, and {len(waiting)} launches try it at once", key, claim.key)

    def made(self, pool: str, now: float) -> None:
        """A VM of a pool exists."""
        recent = self._made.setdefault(pool, deque())
        recent.append(now)
        while recent[0] < now - 3600:
            recent.popleft()
        if len(recent) > DEAD_VMS:
            self._tell(f"{len(recent)} VMs of pool {pool} were made within an hour, and none came up", pool)


def _is_sent_again(claim: Claim, tried: Tried) -> bool:
    """Whether a launch whose answer was lost was sent once more after the offer had no room: that tells as well."""
    sent, failed = claim.launched_at, tried.failed_at
    return claim.launches > 1 and sent is not None and failed is not None and sent > failed
