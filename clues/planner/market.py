"""Every offer as it stands now: what it costs, by whose word, how many VMs of it could be started, and why not more.

Asked of the same :class:`~clues.planner.buying.placement.Buyer` that buys, so that nothing is told that would not be
done.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from clues.model import Breaker, Limits, Market, Offer, Pool, Published, Resources
from clues.planner.buying.placement import Buyer
from clues.planner.capacity.breaker import UNCOUNTED, against
from clues.planner.capacity.limits import Used
from clues.planner.capacity.quota import Quotas, size_of
from clues.planner.money.prices import Priced, price_of
from clues.planner.money.spot import Interruptions
from clues.planner.routers import find_unroutable
from clues.planner.view import View, make_view


@dataclass(frozen=True, slots=True)
class Standing:
    """One offer of one pool, at one moment."""

    pool: Pool
    offer: Offer
    priced: Priced
    #: what a VM has where the provider tells that, else what it has to have
    size: Resources
    #: the provider's limits, and what it counts by now; None where that is not known
    quota: tuple[Limits, Used] | None
    #: it, its site or its pool failed lately: what is held against it, open or not
    breaker: Breaker | None
    could_start: int
    #: what stands against one more
    why_not_more: str
    #: how often its VMs were taken back; None: it is not a spot offer
    interruptions: Interruptions | None = None


def standings(published: Published, now: datetime) -> Iterator[Standing]:
    """Go through all offers of all pools, in the order of the configuration."""
    world = replace(published.world, memory=published.plan.memory)
    view = make_view(world, published.settings, now)
    quotas = Quotas(view, world.claims)
    buyer = Buyer(view, world.claims, find_unroutable(view, world.claims, quotas), quotas)
    for pool in view.settings.pools.values():
        for offer, plain in zip(pool.offers, published.settings.pools[pool.name].offers, strict=True):
            terms = world.terms.get(offer.site)
            count = _most(buyer, pool, offer)
            yield Standing(
                pool=pool,
                offer=offer,
                priced=price_of(plain, terms, published.settings),
                size=size_of(pool.shape, offer, terms),
                quota=quotas.used(offer.site),
                breaker=_breaker(view, pool, offer),
                could_start=count,
                why_not_more=buyer.why_not(pool, offer, count + 1) or _no_node(pool, count),
                interruptions=_interruptions(view, offer),
            )


def _most(buyer: Buyer, pool: Pool, offer: Offer) -> int:
    """Return how many VMs of an offer could be started at once; a limit that keeps out some keeps out more."""
    low, high = 0, len(buyer.vacant(pool))
    while low < high:
        middle = (low + high + 1) // 2
        if buyer.why_not(pool, offer, middle):
            high = middle - 1
        else:
            low = middle
    return low


def _no_node(pool: Pool, count: int) -> str:
    if count:
        return f"pool {pool.name} has no more than {count} nodes that a VM may be started for"
    return f"pool {pool.name} has no node that a VM may be started for"


def _interruptions(view: View, offer: Offer) -> Interruptions | None:
    if offer.market is not Market.SPOT:
        return None
    return view.interruptions.get(offer.key, Interruptions())


def _breaker(view: View, pool: Pool, offer: Offer) -> Breaker | None:
    """Return what is held against an offer, its site or its pool: what is open, else what lets the fewest through."""
    found = [one for one in against(view.world.memory, pool.name, offer) if not _says_nothing(one, view.now)]
    return min(found, key=lambda one: (one.until <= view.now, one.allowed), default=None)


def _says_nothing(breaker: Breaker, now: datetime) -> bool:
    """Whether a breaker, being no longer open, lets all through."""
    return breaker.code in UNCOUNTED and breaker.until <= now
