"""The features that a node has, by the VM behind it."""

from __future__ import annotations

from clues.model import Offer, Pool


def pool_features(pool: Pool, offer: Offer) -> frozenset[str]:
    """Return the features of a node of *pool* once it is bound to a VM of *offer*."""
    return pool.features | {pool.name, offer.site, offer.market.value}
