"""Nodes that stay up although no job needs them: always, or in windows of the week.

A window is for people who come at 08:00, so its nodes are started ahead of it, by as long as boots of the pool's offers
took lately; where none was seen yet, by what is usual. They are let go like others once it has closed.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from clues.model import COMING, Claim, ClaimState, Pool
from clues.planner.forecasts.boots import boot_time
from clues.planner.view import View

#: No window is met earlier than this, however long boots take: a provider in trouble shall not cost hours.
_EARLIEST = timedelta(minutes=30)


def warm_wanted(view: View, pool: Pool) -> int:
    """Return how many nodes of *pool* are to be kept warm now: the largest number of the windows that hold, or will
    before a VM could be there."""
    if not pool.keep_warm:
        return 0
    moments = [view.now]
    if any(warm.windows for warm in pool.keep_warm):
        moments.append(view.now + lead(view, pool))
    return max((one.nodes for one in pool.keep_warm if any(one.holds(at) for at in moments)), default=0)


def lead(view: View, pool: Pool) -> timedelta:
    """Return how long ahead of a window its nodes are started: so that nine boots in ten are in time."""
    return min(_EARLIEST, max(boot_time(view.world.memory, offer, pool).late for offer in pool.offers))


def is_kept_warm(view: View, pool: Pool) -> bool:
    """Return whether a pool has nodes now that nobody has to want."""
    return warm_wanted(view, pool) > 0


def is_warm(claim: Claim, view: View) -> bool:
    """Whether a claim's node could take a job at once, or soon will."""
    if claim.state is not ClaimState.READY:
        return claim.state in COMING and not claim.probe
    node = view.node(claim.node)
    return claim.idle_since is not None and node is not None and node.usable


def too_few(view: View, claims: Mapping[str, Claim]) -> dict[str, int]:
    """Return how many more nodes each pool needs to keep as many warm as it should."""
    lacking = {}
    for pool in view.settings.pools.values():
        wanted = warm_wanted(view, pool)
        if not wanted:
            continue
        warm = sum(1 for claim in claims.values() if claim.pool == pool.name and is_warm(claim, view))
        if warm < wanted:
            lacking[pool.name] = wanted - warm
    return lacking
