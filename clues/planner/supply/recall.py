"""Nodes that were let go and are wanted again, before Slurm has them off: called back, which is faster than a boot. So
are those that a maintenance had closed, once it is over or cancelled."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import timedelta

from clues.model import Claim, ClaimState, Leaving, Mode, Pool
from clues.planner.claims.moves import move
from clues.planner.supply.lulls import LONGEST
from clues.planner.supply.patience import stay
from clues.planner.view import View


def recalled(view: View, claims: Mapping[str, Claim], wanted: frozenset[str]) -> Iterable[Claim]:
    """Yield the draining claims that pending jobs would use, or that were closed for a maintenance, as ready."""
    for claim in claims.values():
        if claim.state is not ClaimState.DRAINING:
            continue
        node = view.node(claim.node)
        before = view.world.claims.get(claim.key)
        over = claim.leaving is Leaving.MAINTENANCE
        if claim.by_operator or not (over or claim.node in wanted):
            continue
        if view.closed_for_maintenance(claim):
            continue
        if before is None or before.state is not ClaimState.DRAINING:
            continue  # one move in a decision
        if claim.opened_at is None or claim.reclaimed_at is not None or claim.leaving in (Leaving.OLD, Leaving.DIFFERS):
            continue  # it never passed its checks, or goes anyhow
        pool = view.settings.pools.get(claim.pool)
        idle = view.now - (claim.idle_since or view.now)
        if pool is None or pool.mode is Mode.EAGER or idle >= _longest(pool, claim) + view.settings.pace.misread_after:
            continue  # it was let go although wanted: called back, it would be kept for ever
        kept = stay(view, pool, claim, wanted=True)
        if kept is not None and view.now >= kept.until:
            continue  # called back, it would be let go in the same breath, again and again
        if node is None or node.kept_by_admin or node.drained_by_slurm:
            continue  # called back, it would be taken out again at the next look
        if node.registered and view.pool(claim) is not None:
            why = "no maintenance is ahead any more" if over else "wanted again"
            yield replace(move(claim, ClaimState.READY, why, view.now), leaving=None)


def _longest(pool: Pool, claim: Claim) -> timedelta:
    """Return for how long a node may have been idle that nobody has wanted yet."""
    return (LONGEST if pool.idle_auto else pool.idle) + claim.offer.billing.period
