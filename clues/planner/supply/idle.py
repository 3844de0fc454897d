"""What is too much: nodes idle for longer than they are kept go, the dearest first; wanted ones are called back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from types import MappingProxyType

from clues.model import Claim, ClaimState, Kind, Leaving, Mode, Outlook, Verdict
from clues.planner.claims.moves import move
from clues.planner.supply.disrupt import disrupted, next_expiry
from clues.planner.supply.patience import stay
from clues.planner.supply.recall import recalled
from clues.planner.supply.warm import is_warm, warm_wanted
from clues.planner.view import View
from clues.units import show_duration

#: Jobs of these want nodes of their pool, now or in a moment.
_WAITING = {Verdict.SERVED, Verdict.STARTING, Verdict.BUYING, Verdict.BLOCKED}


@dataclass(frozen=True)
class Surplus:
    """What becomes of the nodes that there may be too many of."""

    #: by key: ready ones that are to drain, draining ones that are wanted again
    changed: dict[str, Claim]
    #: when time alone makes the next idle node go
    again_at: datetime | None = None


def let_go(
    view: View,
    claims: Mapping[str, Claim],
    needed: Iterable[str],
    outlooks: Mapping[str, Outlook] = MappingProxyType({}),
) -> Surplus:
    """Return the claims that change.

    :param needed: nodes that pending jobs would use.
    :param outlooks: what demand found about each pending job.
    """
    wanted = frozenset(needed)
    changed = {claim.key: claim for claim in recalled(view, claims, wanted)}
    if view.world.operator.paused:
        return Surplus(changed)
    changed |= emptied(view, claims)
    brake = view.settings.pace.destroys_per_tick
    kept_back = {key for key, claim in changed.items() if claim.state is ClaimState.READY}
    leaving = sum(1 for one in claims.values() if one.state is ClaimState.DRAINING and one.key not in kept_back)
    ends: list[datetime] = []
    for pool in view.settings.pools.values():
        if pool.mode is Mode.EAGER:
            continue  # when its nodes are idle for too long Slurm powers them down itself
        mine = [
            claim for claim in claims.values() if claim.pool == pool.name and claim.serving and claim.key not in changed
        ]
        keep = warm_wanted(view, pool)
        warm = sum(1 for claim in mine if is_warm(claim, view)) if keep else 0
        idle_ones = [claim for claim in mine if claim.state is ClaimState.READY and claim.idle_since is not None]
        for claim in sorted(idle_ones, key=_dearest_first):
            if claim.idle_since is None or not view.reachable(claim):
                continue
            kept = stay(view, pool, claim, wanted=claim.node in wanted)
            if kept is None or view.now < kept.until:
                ends += [kept.until] if kept is not None else []
                continue
            counted = keep > 0 and is_warm(claim, view)
            if (counted and warm <= keep) or leaving >= brake:
                continue
            warm -= counted
            leaving += 1
            idle = view.now - claim.idle_since
            gone = move(claim, ClaimState.DRAINING, f"idle for {show_duration(idle)}", view.now)
            changed[claim.key] = replace(gone, leaving=Leaving.IDLE)
    waiting = frozenset(outlook.pool for outlook in outlooks.values() if outlook.verdict in _WAITING)
    waiting |= {view.pool_by_node[name].name for name in wanted if name in view.pool_by_node}
    changed |= disrupted(view, {**claims, **changed}, wanted, waiting, brake - leaving)
    if (again := next_expiry(view, claims)) is not None:
        ends.append(again)
    return Surplus(changed, min(ends, default=None))


def emptied(view: View, claims: Mapping[str, Claim]) -> dict[str, Claim]:
    """Return the serving claims of sites that are to be empty for a maintenance, as draining: all at once, for each of
    them could be given a job that does not end in time. Their jobs go on."""
    found: dict[str, Claim] = {}
    for claim in claims.values() if view.closed_for else ():
        if claim.state is not ClaimState.READY or claim.kind is Kind.ROUTER or not view.reachable(claim):
            continue
        before = view.world.claims.get(claim.key)
        if before is None or before.state is not ClaimState.READY:
            continue  # one move in a decision
        if why := view.closed_for_maintenance(claim):
            found[claim.key] = replace(move(claim, ClaimState.DRAINING, why, view.now), leaving=Leaving.MAINTENANCE)
    return found


def _dearest_first(claim: Claim) -> tuple[float, float, str]:
    idle_since = claim.idle_since.timestamp() if claim.idle_since else 0.0
    return (-(claim.offer.price_per_hour or 0.0), idle_since, claim.node)
