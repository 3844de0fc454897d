"""Maintenance of a site: from when on its nodes take no new jobs, and which jobs could not end in time.

Nobody's job is killed, so a site has to be empty by itself when its maintenance begins. Its nodes are put into a
reservation of Slurm's (``reserving.py``), and those that are seen in it stay open until it begins: jobs that end in
time go on being started there. A node that is not in it is open to *every* job of its partitions, whatever it was
bought for: it is closed as soon as one of those that wait could start there and still run then, by its time limit; in
any case an hour ahead, since a job that is submitted next starts at once. A closed node's VM is ended when it is idle.
Until an hour ahead the site is bought from for jobs that end in time. Afterwards all is as before: nothing is
remembered but the announcement.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from datetime import datetime, timedelta

from clues.model import ClusterSnapshot, Job, Maintenance, Pool
from clues.planner.queue.constraint import UnreadableConstraint, parse_constraint, satisfied
from clues.planner.queue.features import pool_features
from clues.planner.queue.layout import lay_out
from clues.planner.queue.reasons import Need, need_of
from clues.units import show_duration

#: No node takes new jobs for so long before a maintenance, whichever jobs wait now.
LEAST_AHEAD = timedelta(hours=1)


def prefix_of(cluster: str) -> str:
    """Return how the names of all of a cluster's reservations begin."""
    return f"clues-{cluster[:8]}-"


def reservation_of(cluster: str, window: Maintenance) -> str:
    """Return the name of a maintenance's reservation. No number is given twice, so neither is a name."""
    return f"{prefix_of(cluster)}{window.number}"


def kept_free(
    windows: Mapping[str, Maintenance], snapshot: ClusterSnapshot | None, cluster: str, now: datetime
) -> dict[str, frozenset[str]]:
    """Return by site the nodes that Slurm is seen to keep free for a maintenance that is ahead, so that they may stay
    open until it begins; sites that were ordered to be closed earlier are left out.

    :param windows: by site, as :func:`upcoming` has them.
    """
    there = {one.name: one for one in snapshot.reservations} if snapshot is not None else {}
    found = {}
    for site, window in windows.items():
        one = there.get(reservation_of(cluster, window))
        in_time = one is not None and one.start <= window.begin and one.end >= window.end
        if one is not None and in_time and now < window.begin and window.ahead is None:
            found[site] = one.nodes
    return found


def closures(
    pools: Iterable[Pool],
    windows: Mapping[str, Maintenance],
    snapshot: ClusterSnapshot | None,
    now: datetime,
    kept: Container[str] = (),
) -> dict[tuple[str, str], str]:
    """Return why a pool's nodes at a site take no new jobs now, by pool and site; of the others nothing. Nodes that
    Slurm keeps free may take them all the same (:func:`kept_free`); nothing is bought for a site that is closed.

    :param windows: by site, as :func:`upcoming` has them.
    :param kept: the sites whose nodes Slurm keeps free: jobs that wait close none of them.
    """
    found: dict[tuple[str, str], str] = {}
    for pool in pools:
        for site in pool.sites:
            if (window := windows.get(site)) is not None and (
                why := _why_closed(pool, site, window, None if site in kept else snapshot, now)
            ):
                found[pool.name, site] = why
    return found


def _why_closed(pool: Pool, site: str, window: Maintenance, snapshot: ClusterSnapshot | None, now: datetime) -> str:
    """:param snapshot: whose pending jobs may close it; None: none does."""
    if window.begin <= now:
        return f"{window}"
    left = window.begin - now
    ahead = window.ahead if window.ahead is not None else LEAST_AHEAD
    if left <= ahead:
        return f"{window}: closed {show_duration(ahead)} ahead"
    if window.ahead is None and snapshot is not None:
        for job in snapshot.jobs:
            if job.pending and not ends_in(job, left) and _could_start(job, pool, site, snapshot):
                limit = "no time limit" if job.time_limit is None else f"a limit of {show_duration(job.time_limit)}"
                return f"{window}: closed, as a pending job with {limit} could start there and not end before"
    return ""


def ends_in(job: Job, time: timedelta) -> bool:
    """Whether a job that starts now has to end within *time*."""
    return job.time_limit is not None and job.time_limit <= time


def _could_start(job: Job, pool: Pool, site: str, snapshot: ClusterSnapshot) -> bool:
    """Whether Slurm would start a pending job on an open node of a pool at a site, if it were idle: what a node looks
    like decides, and not how much of it is free now, which may be more at the next moment."""
    if need_of(job.reason) is not Need.NODES or job.dependency:
        return False
    partitions = job.partitions or ((snapshot.default_partition,) if snapshot.default_partition else ())
    mine = set(pool.partitions)
    if not mine:
        mine = {name for node in pool.nodes if node in snapshot.nodes for name in snapshot.nodes[node].partitions}
    if partitions and mine.isdisjoint(partitions):
        return False
    if lay_out(job.request, pool.shape, snapshot.default_memory_per_cpu_mib) is None:
        return False
    try:
        alternatives = parse_constraint(job.constraint)
    except UnreadableConstraint:
        return True
    return any(satisfied(alternatives, pool_features(pool, one)) for one in pool.offers if one.site == site)


def too_late(job: Job, windows: Mapping[str, Maintenance], now: datetime) -> frozenset[str]:
    """Return the sites where a job that starts now might still run when their maintenance begins."""
    return frozenset(
        site for site, window in windows.items() if window.begin > now and not ends_in(job, window.begin - now)
    )
