"""How long something will still take: at best, as a rule, and at worst, in seconds from now; *inf* is not known."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from math import inf

from clues.model import COMING, Claim, ClaimState, Job, Memory, Offer, Pool
from clues.planner.forecasts.boots import boot_time, quantile, router_time
from clues.planner.view import View

Span = tuple[float, float, float]

UNKNOWN: Span = (0.0, inf, inf)
NOW: Span = (0.0, 0.0, 0.0)

#: From its nodes' opening until Slurm starts the job: 0.5 to 1.4 s were measured (22.05). Where they have been open
#: before, its next pass of backfill comes within 30 s.
AFTER_OPENING: Span = (0.0, 1.0, 10.0)
SLURMS_PASS: Span = (0.0, 2.0, 30.0)

#: How often a share of their limits was seen that jobs really run, before it is believed.
_ENOUGH_RUNS = 5


def plus(one: Span, other: Span) -> Span:
    """Return one after the other."""
    return (one[0] + other[0], one[1] + other[1], one[2] + other[2])


def latest(spans: Sequence[Span]) -> Span:
    """Return when all of them are over."""
    return (max(one[0] for one in spans), max(one[1] for one in spans), max(one[2] for one in spans))


def until_ready(claim: Claim, view: View, memory: Memory, routers: Mapping[str, Claim]) -> Span:
    """Return how long until a claim's node can be opened.

    :param routers: by site, the router that carries its network or soon will.
    """
    if claim.state not in COMING or claim.ready_at is not None:
        return NOW
    span = until_booted(claim.offer, view.pool(claim), claim.launched_at, memory, view.now)
    if claim.state is ClaimState.PLANNED and not view.reachable(claim):
        span = plus(span, until_routed(claim.offer.site, view, memory, routers))
    return span


def until_booted(offer: Offer, pool: Pool | None, launched_at: datetime | None, memory: Memory, now: datetime) -> Span:
    """Return how long until a VM that was (or will be) launched is ready, as the boots seen of its offer tell."""
    taken = max(timedelta(0), now - launched_at) if launched_at is not None else timedelta(0)
    told = boot_time(memory, offer, pool, after=taken)
    if not told.known or told.late <= taken:  # slower than all that were seen
        return UNKNOWN
    return tuple_of(told.early - taken, told.likely - taken, told.late - taken)


def until_routed(site: str, view: View, memory: Memory, routers: Mapping[str, Claim]) -> Span:
    """Return how long until a router carries the network of a site that needs one."""
    if view.linked(site):
        return NOW
    router, known = routers.get(site), view.settings.sites.get(site)
    node = router.node if router is not None else known.router_node if known is not None else ""
    began = router.launched_at if router is not None else None
    taken = max(timedelta(0), view.now - began) if began is not None else timedelta(0)
    told = router_time(memory, node, after=taken)
    if told is None or told.late <= taken:
        return UNKNOWN
    return tuple_of(told.early - taken, told.likely - taken, told.late - taken)


def tuple_of(early: timedelta, likely: timedelta, late: timedelta) -> Span:
    """Return a span in seconds."""
    return (early.total_seconds(), likely.total_seconds(), late.total_seconds())


class Runs:
    """How long jobs run: at worst to their limits; else as those that ended lately used of theirs."""

    def __init__(self, memory: Memory, now: datetime) -> None:
        self._shares = sorted(memory.runs) if len(memory.runs) >= _ENOUGH_RUNS else []
        self._now = now
        self._seconds: dict[timedelta, float] = {}
        #: by how many shares a run has outlasted, the early and the likely one of the rest
        self._quantiles: dict[int, tuple[float, float]] = {}

    def of(self, job: Job) -> Span:
        """Return how long a pending job will run once it has started."""
        return self._rest(job.time_limit, 0.0)

    def rest(self, job: Job) -> Span:
        """Return how long a running job will go on."""
        elapsed = max(0.0, (self._now - job.started).total_seconds()) if job.started is not None else 0.0
        return self._rest(job.time_limit, elapsed)

    def _rest(self, limit: timedelta | None, elapsed: float) -> Span:
        if limit is None or limit <= timedelta(0):
            return UNKNOWN
        whole = self._seconds.get(limit)
        if whole is None:
            whole = self._seconds[limit] = limit.total_seconds()
        late = max(0.0, whole - elapsed)
        longer = bisect_right(self._shares, elapsed / whole)
        if longer == len(self._shares):  # nothing was learnt, or it has outlasted all of them
            return (0.0, late, late)
        known = self._quantiles.get(longer)
        if known is None:
            known = quantile(self._shares, 0.1, longer), quantile(self._shares, 0.5, longer)
            self._quantiles[longer] = known
        return (min(known[0] * whole - elapsed, late), min(known[1] * whole - elapsed, late), late)
