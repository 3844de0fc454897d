"""What the breakers let through in one decision: nothing, one launch that tries, a few, or all.

A launch counts until it is answered. About capacity and quota the answer is a VM that runs, or a refusal; about boots
it is a node that has passed its checks, or a VM that did not get there. So while the answer to a first try is awaited,
be it for a quarter of an hour, no second VM is asked for.

A task of several nodes has to be had whole. For capacity it is the try itself: that there was room for one VM would not
say that there is for sixteen, and a refusal costs nothing. Boots that fail do cost, each of them a VM; there it waits
while single VMs are tried for it (:attr:`Gates.too_large`), which soon are as many as it needs.

What was asked for and may never have arrived is asked for again. If others found meanwhile that there is no room, that
too is a try, and waits until it may be one.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator
from datetime import datetime

from clues.model import COMING, Breaker, BreakerState, Claim, ClaimState, Memory, Offer
from clues.planner.capacity.breaker import (
    INVALID,
    UNCOUNTED,
    against,
    is_about_vms,
    is_hiccup,
    keys_of,
    owner_of,
    rests,
    told,
)

#: Before a VM runs.
_ASKED = frozenset({ClaimState.PLANNED, ClaimState.LAUNCHING, ClaimState.BOOTING})


class Gates:
    """Counts the launches that are under way against what each breaker allows."""

    def __init__(
        self, memory: Memory, claims: Iterable[Claim], now: datetime, in_flight: Collection[str] = frozenset()
    ) -> None:
        """:param in_flight: launch keys with a call under way."""
        self._memory, self._now = memory, now
        self._waiting: Counter[str] = Counter()
        #: of those the tasks that are out already, and not yet to be asked for again
        self._out: defaultdict[str, set[str]] = defaultdict(set)
        #: by pool and offer, how many VMs could be tried for a task that needs more than that at once
        self.too_large: dict[tuple[str, Offer], int] = {}
        counted = {key for key, one in memory.breakers.items() if one.until <= now and one.code not in UNCOUNTED}
        for claim in claims if counted else ():
            if claim.state not in COMING:
                continue
            for key in counted.intersection(keys_of(owner_of(claim), claim.offer)):
                breaker = memory.breakers[key]
                if _is_unanswered(claim, breaker):
                    self._waiting[key] += 1
                    self._out[key].add(_task_of(claim))
                elif _is_sent_again(claim, breaker, in_flight):
                    self._waiting[key] += 1

    def why_not(self, pool: str, offer: Offer, count: int, *, whole: bool = False, trial: bool = False) -> str:
        """Return in words what keeps *count* VMs of an offer from being asked for now; empty: nothing.

        :param whole: they are one task's, and less is of no use.
        :param trial: an image of its own is tried: what is wrong with the pool's does not matter.
        """
        for breaker in against(self._memory, pool, offer):
            about_vms = is_about_vms(breaker)
            if trial and about_vms:
                continue
            if breaker.state(self._now) is BreakerState.OPEN:
                if not is_hiccup(breaker):
                    return rests(breaker, self._now)
                continue
            waiting = self._waiting[breaker.key]
            if breaker.code in UNCOUNTED or waiting + count <= breaker.allowed:
                continue
            cheap = not about_vms or breaker.code == INVALID
            if whole and cheap and not waiting:
                continue
            room = breaker.allowed - waiting
            if whole and not cheap and room > 0:
                self.too_large[pool, offer] = min(self.too_large.get((pool, offer), room), room)
            return f"{told(breaker)}; {_next(breaker, waiting)}"
        return ""

    def left(self, pool: str, offer: Offer) -> Iterator[tuple[str, int]]:
        """Go through the breakers that let only some VMs of an offer through now: which, and how many."""
        for breaker in against(self._memory, pool, offer):
            few = max(0, breaker.allowed - self._waiting[breaker.key])
            if self.why_not(pool, offer, few + 1):
                yield breaker.key, few

    def take(self, claim: Claim) -> None:
        """Count one more launch."""
        for key in keys_of(owner_of(claim), claim.offer) if self._memory.breakers else ():
            self._waiting[key] += 1
            self._out[key].add(_task_of(claim))

    def may_send_again(self, claim: Claim) -> bool:
        """Whether a launch that came to nothing may be sent once more now; if so, it is out from now on."""
        task, counted = _task_of(claim), []
        for breaker in against(self._memory, owner_of(claim), claim.offer):
            if breaker.code in UNCOUNTED or (claim.probe and is_about_vms(breaker)):
                continue
            if breaker.state(self._now) is BreakerState.OPEN:
                return False
            out = self._out[breaker.key]
            if task not in out and len(out) >= breaker.allowed:
                return False
            counted.append(out)
        for out in counted:
            out.add(task)
        return True


def _next(breaker: Breaker, waiting: int) -> str:
    several = "one VM is" if breaker.allowed == 1 else f"no more than {breaker.allowed} VMs are"
    awaited = "and its answer is awaited" if waiting else "before there can be more"
    return f"{several} tried {awaited} ({breaker.words})"


def _task_of(claim: Claim) -> str:
    return claim.gang or claim.key


def _is_unanswered(claim: Claim, breaker: Breaker) -> bool:
    """Whether a launch was sent, or will be, after the breaker's last failure, and it is not known what came of it."""
    if _is_of_before(claim, breaker):
        return False
    if is_about_vms(breaker) and breaker.code != INVALID:
        return claim.ready_at is None and not claim.probe
    return claim.state in _ASKED and claim.listed_at is None


def _is_sent_again(claim: Claim, breaker: Breaker, in_flight: Collection[str]) -> bool:
    """Whether a call of before the breaker's last failure came to nothing, or its answer was lost: it is to be made
    again, and that is a try like any other."""
    return _is_of_before(claim, breaker) and claim.state is ClaimState.LAUNCHING and claim.key not in in_flight


def _is_of_before(claim: Claim, breaker: Breaker) -> bool:
    return claim.launched_at is not None and breaker.failed_at is not None and claim.launched_at <= breaker.failed_at
