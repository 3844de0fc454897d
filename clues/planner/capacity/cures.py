"""What closes a breaker before anything is bought again: each kind of failure has a cure that can be seen.

A quota that was used up, and is told with room later. Credentials with which nothing could be listed, and now it can.
A configuration in which the image or the offer is another. Where the cause was never seen by these means (a quota that
the provider does not tell; credentials that may list and not launch) nothing can be concluded from them either, or the
same launch would be sent, and refused, at every look: there only one launch after the breaker's time can tell.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from clues.model import Breaker, Memory, Offer, Resources
from clues.planner.capacity.breaker import holds, is_about_vms, without
from clues.planner.capacity.quota import QUOTA_HOLDS, Quotas
from clues.planner.view import View

#: What was tried by nobody for so long after its time had passed says nothing any more.
FORGOTTEN_AFTER = timedelta(hours=12)


def cure(view: View, memory: Memory, quotas: Quotas) -> Memory:
    """Return *memory* without the breakers whose cause is seen to be gone."""
    for breaker in list(memory.breakers.values()):
        if _is_cured(breaker, view, quotas):
            memory = without(memory, [breaker.key])
        elif not breaker.seen and _is_seen(breaker, view, quotas):
            memory = replace(memory, breakers={**memory.breakers, breaker.key: replace(breaker, seen=True)})
    return memory


def _is_cured(breaker: Breaker, view: View, quotas: Quotas) -> bool:
    if view.now - breaker.until > FORGOTTEN_AFTER:
        return True
    if is_about_vms(breaker) and breaker.offer:
        return not any(holds(breaker, offer) for _, offer in _offers_of(breaker, view))
    if not breaker.seen or breaker.failed_at is None:
        return False
    if breaker.code == "quota":
        return _quota_is_short(breaker, view, quotas) is False
    if breaker.code == "auth":
        listed = view.world.listings.get(breaker.site)
        return listed is not None and not listed.error and bool(listed.taken_at and listed.taken_at > breaker.failed_at)
    return False


def _is_seen(breaker: Breaker, view: View, quotas: Quotas) -> bool:
    if breaker.code == "quota":
        return _quota_is_short(breaker, view, quotas) is True
    if breaker.code == "auth":
        listed = view.world.listings.get(breaker.site)
        return listed is not None and bool(listed.error)
    return False


def _quota_is_short(breaker: Breaker, view: View, quotas: Quotas) -> bool | None:
    """Return whether the quota, as told since the failure, has no room for what was refused; None: it was not told."""
    terms = view.world.terms.get(breaker.site)
    if terms is None or terms.quota.fresh(view.now, QUOTA_HOLDS) is None or breaker.failed_at is None:
        return None
    if terms.quota.taken_at is None or terms.quota.taken_at <= breaker.failed_at:
        return None
    for shape, offer in _offers_of(breaker, view):
        return bool(quotas.peek(shape, offer))
    return None


def _offers_of(breaker: Breaker, view: View) -> list[tuple[Resources, Offer]]:
    """Return what the failed VM was, as it is configured now: all offers of its key, for its pool or router."""
    pool = view.settings.pools.get(breaker.owner)
    if pool is not None:
        return [(pool.shape, offer) for offer in pool.offers if offer.key == breaker.offer]
    sites = [one for one in view.settings.sites.values() if one.router_node == breaker.owner and one.router is not None]
    return [
        (one.router.shape, one.router.offer) for one in sites if one.router and one.router.offer.key == breaker.offer
    ]
