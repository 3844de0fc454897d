"""Nodes that are drained although nobody asked and they are not merely idle: old ones, those that differ, spare ones.

At most a share of a pool's ready nodes is out of service for these reasons at a time, and at least one may be.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from clues.model import DISRUPTED, Claim, ClaimState, Leaving, Pool
from clues.planner.claims.moves import move
from clues.planner.supply.consolidate import ending_by_node, is_settled, redundant
from clues.planner.supply.replace import could_be_replaced, differs, expires_at, is_spoken_for, too_old
from clues.planner.view import View

#: Where nodes may be spared, that is looked at again after so long.
_LOOK_AGAIN = timedelta(minutes=2)


def disrupted(
    view: View, claims: Mapping[str, Claim], wanted: frozenset[str], waiting: frozenset[str], most: int
) -> dict[str, Claim]:
    """Return the claims that are drained for one of these reasons.

    :param wanted: nodes that pending jobs would use.
    :param waiting: pools that jobs wait for: no node of theirs is spare.
    :param most: how many more may leave in this decision.
    """
    changed: dict[str, Claim] = {}
    if view.snapshot is None:
        return changed
    ending: Mapping[str, timedelta | None] | None = None
    for pool in view.settings.pools.values():
        if not (pool.max_age or pool.drift or pool.consolidate):
            continue
        left = min(most - len(changed), at_once(pool, claims.values()))
        if left <= 0:
            continue
        found = list(_replaced(view, pool, claims, wanted))
        if pool.consolidate and not found and pool.name not in waiting and is_settled(view, pool, claims.values()):
            ending = ending_by_node(view) if ending is None else ending
            spare = redundant(view, pool, claims, ending)
            found = [(one, Leaving.SPARE, why) for one, why in spare if one.node not in wanted]
        for claim, leaving, why in found[:left]:
            gone = move(claim, ClaimState.DRAINING, f"{leaving}: {why}", view.now)
            changed[claim.key] = replace(gone, leaving=leaving)
    return changed


def at_once(pool: Pool, claims: Iterable[Claim]) -> int:
    """Return how many more of a pool's nodes may be drained now for these reasons."""
    mine = [one for one in claims if one.pool == pool.name]
    going = sum(1 for one in mine if one.state is ClaimState.DRAINING and one.leaving in DISRUPTED)
    ready = sum(1 for one in mine if one.state is ClaimState.READY)
    return max(1, int(pool.disrupt * (ready + going))) - going


def next_expiry(view: View, claims: Mapping[str, Claim]) -> datetime | None:
    """Return when something of this is to be looked at again although nothing happens."""
    moments: list[datetime] = []
    pools = {name: pool for name, pool in view.settings.pools.items() if pool.max_age or pool.consolidate}
    for claim in claims.values() if pools else ():
        pool = pools.get(claim.pool)
        if pool is None or claim.state is not ClaimState.READY:
            continue
        if (ends := expires_at(pool, claim)) is not None:
            moments.append(ends if ends > view.now else view.now + _LOOK_AGAIN)
        if pool.consolidate and claim.idle_since is None:
            moments.append(view.now + _LOOK_AGAIN)
    return min(moments, default=None)


def _replaced(
    view: View, pool: Pool, claims: Mapping[str, Claim], wanted: frozenset[str]
) -> Iterator[tuple[Claim, Leaving, str]]:
    """Yield old nodes, the oldest first, then those that differ and are idle."""
    mine = [one for one in claims.values() if one.pool == pool.name and one.state is ClaimState.READY]
    if not mine or not could_be_replaced(view, pool):
        return
    found = [(one, too_old(view, pool, one), differs(pool, one)) for one in mine]
    found = [(one, old, other) for one, old, other in found if old or other]  # nearly all are as they should be
    differing = []
    for claim, old, other in sorted(found, key=lambda entry: (entry[0].created_at, entry[0].node)):
        node = view.node(claim.node)
        if node is None or not node.usable or not node.understood or not view.reachable(claim):
            continue
        if is_spoken_for(claim, node) or (claim.node in wanted and not node.busy):
            continue  # a job is about to start there
        if old:
            yield claim, Leaving.OLD, old
        elif not node.busy:
            differing.append((claim, Leaving.DIFFERS, other))
    yield from differing
