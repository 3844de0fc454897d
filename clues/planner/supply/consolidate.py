"""Half-used nodes that others could do without: their work fits onto nodes that cost no more.

Nothing is moved and nothing is killed. A node is *drained*: it takes no further job, and goes with the last one that it
has. That pays if it is over soon enough, by the jobs' time limits, and it is undone as soon as demand comes back, which
is why what may flap is left alone for a while: pools that grow, nodes that came or were called back lately.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta

from clues.model import COMING, Claim, ClaimState, Mode, Node, Pool, Resources
from clues.planner.forecasts.boots import boot_time
from clues.planner.supply.lulls import boot_worth
from clues.planner.supply.replace import is_spoken_for
from clues.planner.view import View
from clues.units import show_duration

#: Demand is taken to stay as it is for so long: what is saved by then has to be more than another boot costs.
HORIZON = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A half-used node."""

    claim: Claim
    node: Node
    #: until its last job has ended at the latest
    remaining: timedelta


def ending_by_node(view: View) -> dict[str, timedelta | None]:
    """Return for each node with jobs how long these go on at most; None: nobody knows, as one has no limit."""
    found: dict[str, timedelta | None] = {}
    for job in view.snapshot.jobs if view.snapshot is not None else ():
        if not job.running:
            continue
        left = None
        if job.started is not None and job.time_limit is not None:
            left = max(timedelta(0), job.started + job.time_limit - view.now)
        for name in job.nodes:
            before = found.get(name, timedelta(0))
            found[name] = None if left is None or before is None else max(before, left)
    return found


def quiet_time(view: View, pool: Pool) -> timedelta:
    """Return for how long a pool that has bought, and a node that came or was called back, are left alone."""
    return max(pool.idle, 2 * max(boot_time(view.world.memory, offer, pool).likely for offer in pool.offers))


def is_settled(view: View, pool: Pool, claims: Iterable[Claim]) -> bool:
    """Return whether a pool neither grows nor did lately: what it has just bought would be drained for it."""
    if pool.mode is not Mode.PLANNED or view.snapshot is None:
        return False
    settled = quiet_time(view, pool)
    mine = [one for one in claims if one.pool == pool.name]
    return all(one.state not in COMING and view.now - one.created_at >= settled for one in mine)


def redundant(
    view: View, pool: Pool, claims: Mapping[str, Claim], ending: Mapping[str, timedelta | None]
) -> Iterator[tuple[Claim, str]]:
    """Yield the nodes that may be drained, the dearest and emptiest first, with the reason for each.

    Each is held against the nodes that are left then: two never stand in for one another.
    """
    serving = [one for one in claims.values() if one.pool == pool.name and one.state is ClaimState.READY]
    room: dict[str, Resources] = {}
    candidates = []
    for claim in serving:
        node = view.node(claim.node)
        if node is None or not node.usable or not node.understood or not view.reachable(claim):
            continue
        room[claim.node] = node.free
        left = ending.get(claim.node)
        if left is not None and _is_half_used(node) and not is_spoken_for(claim, node):
            candidates.append(Candidate(claim, node, left))
    kept: set[str] = set()
    settled = quiet_time(view, pool)
    prices = {one.node: one.offer.price_per_hour or 0.0 for one in serving}
    for one in sorted(candidates, key=_dearest_and_emptiest):
        claim, used = one.claim, one.node.used
        if claim.node in kept or view.now - claim.since < settled or not _pays(view, pool, one):
            continue
        others = [
            name
            for name, free in room.items()
            if name != claim.node and prices[name] <= prices[claim.node] and used.fits_in(free)
        ]
        if not others:
            continue
        # the cheapest, and of these the fullest that holds it: what is dearer or emptier may be drained next
        target = min(others, key=lambda name: (prices[name], room[name].gpu_count, room[name].cpus, name))
        del room[claim.node]
        room[target] = room[target].minus(used)
        kept.add(target)
        yield claim, f"{target} has room for its work; its jobs end within {show_duration(one.remaining)}"


def _is_half_used(node: Node) -> bool:
    half = 2 * node.used.cpus <= node.capacity.cpus and 2 * node.used.gpu_count <= node.capacity.gpu_count
    return node.busy and half and "COMPLETING" not in node.flags


def _pays(view: View, pool: Pool, one: Candidate) -> bool:
    price = one.claim.offer.price_per_hour or 0.0
    return price > 0 and one.remaining + boot_worth(view, pool, one.claim) <= HORIZON


def _dearest_and_emptiest(one: Candidate) -> tuple[float, int, timedelta, str]:
    return (-(one.claim.offer.price_per_hour or 0.0), one.node.used.cpus, one.remaining, one.claim.node)
