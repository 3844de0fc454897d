"""What an offer costs: by the configuration, else by its provider, in the cluster's currency.

A price that is told in a currency without a rate cannot be reckoned with. It is not free either: such an offer is taken
last, and not at all where money is limited. An offer that nobody tells a price for counts as free, as most private
clouds are.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from clues.model import Market, Offer, Pool, Price, Settings, Site, SiteTerms

CONFIGURED = "configuration"


@dataclass(frozen=True, slots=True)
class Priced:
    """What one hour of an offer costs, and who says so."""

    #: in the cluster's currency; None: not known
    amount: float | None = None
    source: str = ""
    as_of: datetime | None = None
    #: why a price that is told cannot be reckoned with
    trouble: str = ""


def price_of(offer: Offer, terms: SiteTerms | None, settings: Settings) -> Priced:
    """Return what an offer costs, with its source; *offer* as the configuration has it."""
    if offer.price_per_hour is not None:
        return Priced(offer.price_per_hour, CONFIGURED)
    told = _told(offer, terms)
    if told is None or not math.isfinite(told.amount) or told.amount < 0:
        return Priced()
    rate = 1.0 if told.currency == settings.currency else settings.rates.get(told.currency)
    if rate is None:
        return Priced(
            None,
            told.source,
            told.as_of,
            f"costs {told.amount:g} {told.currency} an hour, and `rates:` has no {told.currency}",
        )
    return Priced(told.amount * rate, told.source, told.as_of)


def _told(offer: Offer, terms: SiteTerms | None) -> Price | None:
    if terms is None:
        return None
    price = (terms.prices.value or {}).get(offer.key)
    if price is not None:
        return replace(price, as_of=price.as_of or terms.prices.taken_at)
    flavor = (terms.flavors.value or {}).get(offer.flavor)
    if flavor is None or flavor.price_per_hour is None or offer.market is not Market.ON_DEMAND:
        return None
    return Price(flavor.price_per_hour, flavor.currency, "flavors of the provider", terms.flavors.taken_at)


def with_prices(settings: Settings, terms: Mapping[str, SiteTerms]) -> tuple[Settings, dict[str, str]]:
    """Return the settings with a price for every offer that has one, and by its key what is wrong with an offer's."""
    if not terms:
        return settings, {}
    wrong: dict[str, str] = {}

    def priced(offer: Offer) -> Offer:
        if offer.price_per_hour is not None:
            return offer
        found = price_of(offer, terms.get(offer.site), settings)
        if found.trouble:
            wrong[offer.key] = found.trouble
        return offer if found.amount is None else replace(offer, price_per_hour=found.amount)

    if not any(one.price_per_hour is None for one in _all_offers(settings)):
        return settings, wrong  # as the configuration has them all
    pools = {name: _with_offers(pool, tuple(map(priced, pool.offers))) for name, pool in settings.pools.items()}
    sites = {
        name: _with_router(site, priced(site.router.offer)) if site.router else site
        for name, site in settings.sites.items()
    }
    return replace(settings, pools=pools, sites=sites), wrong


def _all_offers(settings: Settings) -> Iterator[Offer]:
    for pool in settings.pools.values():
        yield from pool.offers
    for site in settings.sites.values():
        if site.router is not None:
            yield site.router.offer


def _with_offers(pool: Pool, offers: tuple[Offer, ...]) -> Pool:
    return pool if offers == pool.offers else replace(pool, offers=offers)


def _with_router(site: Site, offer: Offer) -> Site:
    if site.router is None or offer == site.router.offer:
        return site
    return replace(site, router=replace(site.router, offer=offer))
