"""When each pending job is expected to start, and what it waits for.

What the demand has found is taken from there: a job whose nodes are open starts in a moment, one whose nodes boot when
the last of them is ready, by the boot times seen of their offers.  A job for which nothing can be had waits for room:
the queue is played ahead three times over the nodes there are (:mod:`clues.planner.forecasts.room_ahead`), with all
jobs as short as they may be, as they mostly are, and as long as their time limits let them be.  Or it waits for a
purchase that becomes possible again: an offer's next try, a budget that begins anew.

Nothing is made up: where a boot was never seen, or a job that is in the way has no time limit, that end of the forecast
is left open.  What nobody knows is not in it either: jobs yet to be submitted, priorities yet to change.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import inf

from clues.model import (
    Attach,
    Claim,
    ClaimState,
    ClusterSnapshot,
    Forecast,
    Job,
    Memory,
    Offer,
    Outlook,
    Verdict,
)
from clues.planner.buying.laying import Demand
from clues.planner.forecasts.boots import boot_time
from clues.planner.forecasts.horizon import Ask
from clues.planner.forecasts.openings import Opening, openings
from clues.planner.forecasts.room_ahead import RoomAhead
from clues.planner.forecasts.spans import (
    AFTER_OPENING,
    NOW,
    SLURMS_PASS,
    Runs,
    Span,
    latest,
    plus,
    until_booted,
    until_ready,
    until_routed,
)
from clues.planner.queue.jobclass import JobClass
from clues.planner.queue.policy import is_backfills
from clues.planner.view import View, routers_by_site

#: So many tasks are played ahead in one decision: what stands behind them in the queue is not looked at.
MOST_TASKS = 600

#: A start that Slurm expects later than this hangs on a job that has no limit.
_LONGEST_BELIEVED = timedelta(days=60)

_READY_WITH = {Verdict.SERVED, Verdict.STARTING, Verdict.BUYING}


def forecast(view: View, claims: Mapping[str, Claim], demand: Demand) -> dict[str, Forecast]:
    """Return for each pending job what is expected of it, as far as that can be told.

    :param claims: as they are after this decision.
    :param demand: what it found about the queue.
    """
    if view.snapshot is None:
        return {}
    return _Oracle(view, claims, demand, view.snapshot).run()


@dataclass
class _Group:
    """What is known of all jobs of one class."""

    asks: list[Ask]
    openings: list[Opening]
    #: where its nodes come free, in words
    where: str
    #: the ways to go on in which it finds none
    hopeless: list[bool] = field(default_factory=lambda: [False, False, False])


class _Oracle:
    def __init__(self, view: View, claims: Mapping[str, Claim], demand: Demand, snapshot: ClusterSnapshot) -> None:
        self.view, self.demand, self.snapshot = view, demand, snapshot
        self.memory: Memory = view.world.memory
        self.runs = Runs(self.memory, view.now)
        self.claims = {one.node: one for one in claims.values() if one.serving or one.state is ClaimState.DRAINING}
        self.routers = routers_by_site(claims)
        self.ready: dict[str, Span] = {}
        self.alike: dict[tuple[int, str, ClaimState], Span] = {}
        #: by offer, its name
        self.keys: dict[int, str] = {}
        #: what was found of the jobs that have the same nodes
        self.served: dict[tuple[str, ...], tuple[Span, Forecast]] = {}
        #: by offer and pool, whether a boot was seen
        self.booted: dict[tuple[int, str], bool] = {}
        self.groups: dict[int, _Group] = {}
        #: many are expected to start together
        self.told: dict[tuple[Span | None, str], Forecast] = {}
        self.played = 0
        #: none while no job waits for room
        self.ahead: RoomAhead | None = None

    def run(self) -> dict[str, Forecast]:
        outlooks = self.demand.outlooks
        if any(one.verdict is Verdict.BLOCKED for one in outlooks.values()):
            self.ahead = RoomAhead(self.view, self.snapshot, self.claims, self.runs, self._ready)
        jobs = {job.id: job for job in self.view.pending}
        return {name: self._forecast(jobs[name], outlook) for name, outlook in outlooks.items()}

    def _forecast(self, job: Job, outlook: Outlook) -> Forecast:
        if outlook.verdict in _READY_WITH:
            return self._served(job)
        if outlook.verdict is Verdict.BLOCKED:
            told = self._queued(job, outlook)
            return told if told.known else self._as_slurm_says(job, told)
        if outlook.verdict is Verdict.WAITS:
            return self._waiting(job)
        return self._untold(_ELSEWHERE.get(outlook.verdict) or job.reason)

    def _as_slurm_says(self, job: Job, told: Forecast) -> Forecast:
        """Return Slurm's own word where there is no other: its backfill sees what is not played here.

        It has one only while it could place the job on nodes that are open, takes a job without a limit for one of a
        year, and tells the begin time of a job that has one.
        """
        expected, now = job.expected, self.view.now
        if expected is None or not now < expected < now + _LONGEST_BELIEVED or not is_backfills(job):
            return told
        early = now if told.early is None else min(told.early, expected)
        return Forecast(early, expected, expected + timedelta(seconds=SLURMS_PASS[2]), told.waits_for)

    def _waiting(self, job: Job) -> Forecast:
        now = self.view.now
        if (hold := self.demand.holds.get(job.id)) is not None:
            wait = (hold.until - now).total_seconds()
            booted = plus((wait, wait, wait), until_booted(hold.offer, hold.pool, None, self.memory, now))
            site = self.view.settings.sites.get(hold.offer.site)
            if site is not None and site.attach is Attach.ROUTER:
                booted = plus(booted, until_routed(site.name, self.view, self.memory, self.routers))
            return self._told(plus(booted, AFTER_OPENING), f"more jobs, until {hold.until:%H:%M:%S} UTC")
        for one in self.snapshot.reservations:
            if one.name == job.reservation and one.start > now:
                return Forecast(early=one.start, waits_for=f"reservation {one.name}")
        if job.eligible is not None and job.eligible > now:
            return Forecast(early=job.eligible, waits_for="its begin time")
        if job.dependency:
            return self._untold("other jobs")
        return self._untold(_REASONS.get(job.reason, job.reason))

    # --- nodes that are there, or on their way ---

    def _served(self, job: Job) -> Forecast:
        names = self.demand.first_nodes.get(job.id, ())
        known = self.served.get(names)
        if known is None:
            known = self.served[names] = self._on_nodes(names)
        start, told = known
        if self.ahead is not None and (group := self.demand.classes.get(job.id)) is not None:
            self.ahead.occupy(job, group, names, start)
        return told

    def _on_nodes(self, names: tuple[str, ...]) -> tuple[Span, Forecast]:
        """Return when a job starts that has these nodes."""
        coming = [name for name in names if not self._is_open(name)]
        if not coming:
            return SLURMS_PASS, self._told(SLURMS_PASS, "Slurm's next pass")
        ready = latest([self._ready(name) for name in coming]) if len(coming) > 1 else self._ready(coming[0])
        start = plus(ready, AFTER_OPENING)
        return start, self._told(start, self._in_words(coming, ready))

    def _is_open(self, name: str) -> bool:
        node = self.snapshot.nodes.get(name)
        return node is not None and node.usable

    def _ready(self, name: str) -> Span:
        span = self.ready.get(name)
        if span is None:
            claim = self.claims.get(name)
            span = NOW if claim is None else self._until_ready(claim)
            self.ready[name] = span
        return span

    def _until_ready(self, claim: Claim) -> Span:
        if claim.created_at != self.view.now:
            return until_ready(claim, self.view, self.memory, self.routers)
        # hundreds may be bought of one offer in one decision, and they are all alike
        alike = (id(claim.offer), claim.pool, claim.state)
        span = self.alike.get(alike)
        if span is None:
            span = self.alike[alike] = until_ready(claim, self.view, self.memory, self.routers)
        return span

    def _in_words(self, names: list[str], ready: Span) -> str:
        if len(names) > 1:
            text = f"{len(names)} nodes that start"
        else:
            claim = self.claims.get(names[0])
            text = f"{names[0]} ({self._key_of(claim.offer)})" if claim is not None else names[0]
        if ready[2] == inf:
            seen = [one for one in names if (claim := self.claims.get(one)) is not None and self._has_booted(claim)]
            text += ": slower than all boots seen" if len(seen) == len(names) else ": no such boot was seen yet"
        return text

    def _key_of(self, offer: Offer) -> str:
        if id(offer) not in self.keys:
            self.keys[id(offer)] = offer.key
        return self.keys[id(offer)]

    def _has_booted(self, claim: Claim) -> bool:
        key = id(claim.offer), claim.pool
        if key not in self.booted:
            self.booted[key] = boot_time(self.memory, claim.offer, self.view.pool(claim)).known
        return self.booted[key]

    # --- jobs that wait for room ---

    def _queued(self, job: Job, outlook: Outlook) -> Forecast:
        if self.played >= MOST_TASKS:
            return _FAR_BACK
        classed = self.demand.classes.get(job.id)
        if classed is None or self.ahead is None or not classed.options:
            return Forecast(waits_for=outlook.text)
        if classed.key.wanted_nodes:
            return Forecast(waits_for="the nodes that it names")
        group = self._group(classed)
        start = self._play(group, self.runs.of(job))
        for _ in range(min(job.count, MOST_TASKS - self.played) - 1):
            if all(group.hopeless):
                break
            self._play(group, self.runs.of(job))
        waits_for = [group.where] if group.asks and start[2] != inf else []
        for opening in group.openings:
            span = opening.span
            if span[0] < start[2]:
                waits_for.append(opening.text)
            start = (min(start[0], span[0]), min(start[1], span[1]), min(start[2], span[2]))
        if not waits_for:
            return self._unknowable(group, classed, outlook)
        return self._told(plus(start, AFTER_OPENING), " or ".join(waits_for[:2]))

    def _play(self, group: _Group, run: Span) -> Span:
        """Have one task of a class take its nodes, in each of the three ways to go on."""
        self.played += not all(group.hopeless)
        found = [inf, inf, inf]
        for at, world in enumerate(self.ahead.ways if self.ahead is not None else ()):
            if not group.hopeless[at]:
                found[at] = world.take(group.asks, run[at])
                group.hopeless[at] = found[at] == inf
        return (found[0], found[1], found[2])

    def _unknowable(self, group: _Group, classed: JobClass, outlook: Outlook) -> Forecast:
        if group.asks and not group.hopeless[0]:
            return Forecast(waits_for=f"{group.where}, some without a time limit")
        if not group.asks and classed.key.crossed:
            ends = [(one.end, one.name) for one in self.snapshot.reservations if one.name in classed.key.crossed]
            return Forecast(early=min(ends)[0], waits_for=f"the end of reservation {min(ends)[1]}")
        told = next((f"{site}: {why}" if site else why for site, why in outlook.sites.items()), outlook.text)
        return Forecast(waits_for=told)

    def _group(self, classed: JobClass) -> _Group:
        group = self.groups.get(id(classed))
        if group is None:
            pools = sorted({option.pool.name for option in classed.options})
            group = self.groups[id(classed)] = _Group(
                self.ahead.asks(classed) if self.ahead is not None else [],
                openings(classed, self.view, self.memory, self.routers),
                f"running jobs of {' or '.join(pools)}",
            )
        return group

    # --- what is told ---

    def _told(self, start: Span, waits_for: str) -> Forecast:
        told = self.told.get((start, waits_for))
        if told is None:
            early, likely, late = (self._moment(seconds) for seconds in start)
            told = self.told[start, waits_for] = Forecast(early, likely, late, waits_for)
        return told

    def _untold(self, waits_for: str) -> Forecast:
        """Return that nobody can say when, and what is waited for."""
        told = self.told.get((None, waits_for))
        if told is None:
            told = self.told[None, waits_for] = Forecast(waits_for=waits_for)
        return told

    def _moment(self, seconds: float) -> datetime | None:
        return None if seconds == inf else self.view.now + timedelta(seconds=seconds)


_FAR_BACK = Forecast(waits_for=f"{MOST_TASKS} tasks and more before it")

_ELSEWHERE = {
    Verdict.NEVER: "somebody to change it",
    Verdict.MISREAD: "somebody to look at it",
}

_REASONS = {
    "JobArrayTaskLimit": "other tasks of its array",
    "Licenses": "licenses",
    "Reservation": "its reservation",
}
