"""Trying an image: one VM, backed by an ordinary claim that is never opened to jobs and ends as soon as it is known.

So whatever happens to who asked, or to the daemon, it ends as every claim does: by its deadlines, and by the provider's
own word that nothing is left.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from clues.errors import InvalidRequest
from clues.model import Claim, ClaimState, Offer, Pool
from clues.planner.buying.placement import Buyer
from clues.planner.claims.moves import fail, move
from clues.planner.routers import find_unroutable
from clues.planner.view import View


def plan_probe(view: View, claims: Mapping[str, Claim], site: str, image: str, flavor: str = "") -> Claim:
    """Return a claim that tries an image at a site, on a node that nobody uses now.

    :param flavor: which one; empty: that of the first offer of the site whose pool has a node left.
    :raises InvalidRequest: it cannot be tried now; the text says why.
    """
    if site not in view.settings.sites:
        raise InvalidRequest(f"no site is called {site}: there are {', '.join(view.settings.sites)}")
    candidates = list(_candidates(view, site, flavor))
    if not candidates:
        raise InvalidRequest(f"no pool has an offer of site {site}: which shape should its VM have?")
    buyer = Buyer(view, claims, find_unroutable(view, claims))
    refusals: dict[str, None] = {}
    for pool, offer in candidates:
        nodes = buyer.vacant(pool)
        why = (
            buyer.why_not(pool, offer, 1, trial=True)
            if nodes
            else f"pool {pool.name} has no node that a VM may be started for"
        )
        if why:
            refusals[f"{offer.key}: {why}"] = None
            continue
        claim = buyer.buy(pool, replace(offer, image=image), next(iter(nodes)), (), f"tries image {image}")
        return replace(claim, probe=True, by_operator=True)
    raise InvalidRequest(f"it cannot be tried now: {'; '.join(refusals)}")


def stop_probe(claim: Claim, view: View) -> Claim:
    """Return the claim of a probe that nobody waits for any more, on its way out."""
    reason = "nobody waits for the trial of its image any more"
    if claim.state is ClaimState.PLANNED:
        return move(claim, ClaimState.GONE, reason, view.now)
    if claim.state in {ClaimState.LAUNCHING, ClaimState.BOOTING, ClaimState.JOINING}:
        return fail(claim, "unwanted", reason, view.now)
    return claim


def _candidates(view: View, site: str, flavor: str) -> list[tuple[Pool, Offer]]:
    """Return pools with the offers to try; an offer of just this flavor first, else one made of another."""
    offers = [(pool, offer) for pool in view.settings.pools.values() for offer in pool.offers if offer.site == site]
    if not flavor:
        return offers
    same = [(pool, offer) for pool, offer in offers if offer.flavor == flavor]
    return same or [(pool, replace(offer, flavor=flavor, price_per_hour=None)) for pool, offer in offers]
