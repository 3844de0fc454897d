"""The whole cluster in one screen: pools in numbers, what jobs wait for, and the nodes that are worth a
line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from clues.api import vrouter, wire
from clues.api.lens import Lens, utc
from clues.api.sites import observations, sites
from clues.api.views import node
from clues.model import Period, pool_key
from clues.planner.capacity.breaker import comes_next
from clues.planner.capacity.closed_pools import why_closed
from clues.planner.claims.outcomes import untagged
from clues.planner.money.budget import budget_lines


def status(lens: Lens, *, most_nodes: int = 100, most_groups: int = 20) -> wire.ClusterStatus:
    """Return the cluster in one screen, with at most so many nodes and groups of waiting jobs."""
    published = lens.published
    pool_nodes = [node(lens, name) for name in lens.pool_of]
    waiting = waiting_jobs(lens)
    rows = pools(lens, pool_nodes, waiting)
    every = sites(lens).sites
    shown = sorted((one for one in pool_nodes if one.state != "off"), key=lambda one: _INTEREST.get(one.state, 0))
    return wire.ClusterStatus(
        cluster=published.settings.cluster,
        state=cluster_state(lens),
        at=utc(published.at),
        tick=published.ticks,
        nodes_total=len(pool_nodes),
        nodes_up=sum(row.up for row in rows),
        nodes_starting=sum(row.starting for row in rows),
        cost_per_hour=round(published.plan.cost_per_hour, 4),
        spent_today=round(published.world.spent.of(Period.DAY), 4),
        budget_per_day=published.settings.budgets.cluster.per_day,
        currency=published.settings.currency,
        budgets=tuple(
            wire.BudgetView(one.whose, one.period.value, round(one.spent, 4), one.limit)
            for one in budget_lines(published.settings, published.world.spent, published.at)
        ),
        observations=observations(lens),
        pools=rows,
        sites=every,
        links=vrouter.links(lens),
        nodes=tuple(shown[:most_nodes]),
        nodes_not_off=len(shown),
        jobs_waiting=waiting[:most_groups],
        troubles=(
            *published.troubles,
            *vrouter.troubles(lens),
            *(f"{claim.node}: {untagged(claim)}" for claim in lens.claims if claim.untagged_since),
            *(f"pool {name}: {text}" for name, text in _closed_pools(lens)),
            *(f"site {site.name}: {text}" for site in every for text in site.warnings),
        ),
    )


def _closed_pools(lens: Lens) -> Iterator[tuple[str, str]]:
    for name in lens.published.settings.pools:
        if (closed := lens.published.plan.memory.breakers.get(pool_key(name))) is not None:
            yield name, f"{why_closed(closed)}; {comes_next(closed, lens.now)}"


#: What a sysadmin looks for stands first on a screen that cannot show all; words not named here before these.
_INTEREST = {
    "joining": 1,
    "booting": 1,
    "launching": 1,
    "wanted": 2,
    "draining": 3,
    "stopping": 3,
    "busy": 4,
    "idle": 5,
}


def cluster_state(lens: Lens) -> str:
    """Return ``running``, ``paused`` or ``blind`` (no look at Slurm that is fresh enough to act upon)."""
    world, pace = lens.published.world, lens.published.settings.pace
    if world.lrms.fresh(lens.now, pace.stale_after) is None:
        return "blind"
    return "paused" if world.operator.paused else "running"


def pools(
    lens: Lens, pool_nodes: Iterable[wire.NodeView], waiting: Sequence[wire.WaitingJobs]
) -> tuple[wire.PoolRow, ...]:
    """Return the pools in numbers."""
    counts: dict[str, dict[str, int]] = {name: {} for name in lens.published.settings.pools}
    for one in pool_nodes:
        count = counts[one.pool]
        group = wire.NODE_STATES[one.state].group
        for key in (f"group {group}", one.state):
            count[key] = count.get(key, 0) + 1
    rows = []
    for name, pool in lens.published.settings.pools.items():
        count, groups = counts[name], _waiting_of(name, waiting)
        rows.append(
            wire.PoolRow(
                name=name,
                nodes=len(pool.nodes),
                up=count.get("group up", 0),
                busy=count.get("busy", 0) + count.get("draining", 0),
                idle=count.get("idle", 0),
                starting=count.get("group starting", 0),
                closed=count.get("group closed", 0),
                jobs_waiting=sum(group.jobs for group in groups),
                waiting=groups,
            )
        )
    return tuple(rows)


def waiting_jobs(lens: Lens) -> tuple[wire.WaitingJobs, ...]:
    """Return the pending jobs in groups that wait for the same, those that a sysadmin may have to cure
    first."""
    counts: dict[tuple[str, str, str], tuple[int, str]] = {}
    for job in lens.jobs:
        outlook = lens.published.plan.outlooks.get(job.id) if job.pending else None
        if outlook is not None:
            group = (outlook.verdict.value, outlook.pool, outlook.text)
            count, example = counts.get(group, (0, job.id))
            counts[group] = (count + max(1, job.count_pending), example)
    groups = [
        wire.WaitingJobs(verdict=verdict, jobs=count, example=example, pool=pool, why=why)
        for (verdict, pool, why), (count, example) in counts.items()
    ]
    return tuple(sorted(groups, key=lambda one: (URGENCY[one.verdict], -one.jobs)))


#: What may need a sysadmin stands first.
URGENCY = {
    word: rank
    for rank, word in enumerate(("blocked", "misread", "unknown", "starting", "buying", "served", "waits", "never"))
}


def _waiting_of(pool: str, groups: Sequence[wire.WaitingJobs]) -> tuple[wire.WaitingJobs, ...]:
    """Return the groups of one pool, told apart by verdict alone."""
    merged: dict[str, wire.WaitingJobs] = {}
    for group in groups:
        if group.pool == pool:
            first = merged.get(group.verdict, group)
            jobs_before = first.jobs if first is not group else 0
            merged[group.verdict] = wire.WaitingJobs(group.verdict, jobs_before + group.jobs, first.example, pool)
    return tuple(merged.values())
