"""How soon idle nodes are wanted again: what ``idle: auto`` learns from, and the patience that follows.

Keeping an idle node is renting, letting it go and booting another one later is buying: who rents for as long as a boot
costs never pays more than twice what a prophet would (the ski-rental rule).  With some experience one does better: of
the latest lulls of the pool, each as long as a node stood idle until the pool had use for one, that patience is taken
which would have cost the least.  Nodes that were let go teach as well: when the pool next buys, the one that was let go
last would have served, and its lull ends.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from clues.model import Claim, ClaimState, Kind, Leaving, Lulls, Memory, Pool
from clues.planner.forecasts.boots import boot_time
from clues.planner.view import View

#: So many of a pool's lulls are kept, and so few say nothing yet.
KEPT, ENOUGH = 60, 12
#: No patience is shorter or longer: Slurm may need a moment to use a node, and a bill shall end some day.
SHORTEST, LONGEST = timedelta(minutes=1), timedelta(hours=1)
#: A node that was let go and not missed for so long was let go rightly.
_FORGOTTEN = 2 * LONGEST


def patience(view: View, pool: Pool, claim: Claim) -> timedelta:
    """Return for how long a node of *pool* with ``idle: auto`` is kept idle."""
    worth = boot_worth(view, pool, claim)
    lulls = view.world.memory.lulls.get(pool.name, Lulls()).seconds
    if len(lulls) >= ENOUGH:
        worth = timedelta(seconds=1.1 * cheapest(lulls, worth.total_seconds()))
    return min(max(worth, SHORTEST), LONGEST)


def boot_worth(view: View, pool: Pool, claim: Claim) -> timedelta:
    """Return for how long *claim*'s node may stand idle for what another boot costs: the price of a VM that boots and
    does nothing, and of a job that waits.

    Nobody says what an hour of waiting is worth. Who allows the pool's dearest offer would rather pay that than wait.
    """
    prices = [view.cost(offer) for offer in pool.offers]
    boot = min((boot_time(view.world.memory, offer, pool) for offer in pool.offers), key=lambda one: one.likely).likely
    price = claim.offer.price_per_hour or 0.0
    known = [one for one in prices if one < float("inf")]
    dearest = max([price, *known])
    if price <= 0:
        return LONGEST
    return min(LONGEST, boot * ((min([price, *known]) + dearest) / price))


def cheapest(lulls: Sequence[float], boot: float) -> float:
    """Return the patience that would have cost the least for these lulls: idle time, or idle time and a *boot*."""
    ordered = sorted(lulls)
    best, least, rented = 0.0, boot * len(ordered), 0.0
    for number, lull in enumerate(ordered, start=1):
        rented += lull
        missed = len(ordered) - number
        cost = rented + missed * (lull + boot)
        if cost < least:
            best, least = lull, cost
    return best


def learn_lulls(view: View, memory: Memory, after: Mapping[str, Claim]) -> Memory:
    """Return *memory* with the lulls that ended in this decision."""
    found = dict(memory.lulls)
    pools = {name for name, pool in view.settings.pools.items() if pool.idle_auto}
    for key, claim in after.items() if pools else ():
        before = view.world.claims.get(key)
        if before is claim or claim.pool not in pools or claim.kind is not Kind.WORKER or claim.probe:
            continue
        known = found.get(claim.pool, Lulls())
        if before is None:
            known = _bought(known, claim, view.now)
        elif before.idle_since is not None and before.state is ClaimState.READY:
            known = _went_on(known, before, claim, view.now)
        elif before.idle_since in known.let_go and claim.state is ClaimState.READY:  # called back
            rest = tuple(one for one in known.let_go if one != before.idle_since)
            known = _with(replace(known, let_go=rest), view.now - before.idle_since)
        found[claim.pool] = known
    found = {name: lulls for name, lulls in found.items() if name in pools}
    return memory if found == memory.lulls else replace(memory, lulls=found)


def _bought(known: Lulls, claim: Claim, now: datetime) -> Lulls:
    """A purchase: the node that was let go last would have served."""
    missed = [since for since in known.let_go if now - since < _FORGOTTEN]
    if claim.adopted or not missed:
        return known
    return _with(replace(known, let_go=tuple(missed[:-1])), now - missed[-1])


def _went_on(known: Lulls, before: Claim, claim: Claim, now: datetime) -> Lulls:
    since = before.idle_since
    if since is None:
        return known
    if claim.state is ClaimState.DRAINING:
        if claim.leaving is not Leaving.IDLE:
            return known
        old = [one for one in known.let_go if now - one >= _FORGOTTEN]
        for one in old:
            known = _with(known, now - one)
        fresh = [one for one in known.let_go if now - one < _FORGOTTEN]
        return replace(known, let_go=(*fresh, since)[-KEPT:])
    if claim.idle_since is None and before.used_at is not None:
        return _with(known, now - since)
    return known


def _with(known: Lulls, lull: timedelta) -> Lulls:
    seconds = round(max(0.0, lull.total_seconds()), 1)
    return replace(known, seconds=(*known.seconds, seconds)[-KEPT:])
