"""One site: what its connector finds, and what only the core can say.

That is whether flavors hold the shapes that they are offered for, whether prices can be reckoned with, and whether the
credentials end soon.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

from clues.errors import CloudError
from clues.model import Finding, Flavor, Observed, Offer, Pool, Settings, Site, SiteTerms, Soundness
from clues.planner.credentials import credentials_end
from clues.planner.money.prices import price_of
from clues.ports import Connector

GOOD, BAD, UNKNOWN = Soundness.GOOD, Soundness.BAD, Soundness.UNKNOWN


def offers_of(settings: Settings, site: str) -> list[Offer]:
    """Return all that is offered of a site, its router's too, each once."""
    offers = [offer for pool in settings.pools.values() for offer in pool.offers if offer.site == site]
    router = settings.sites[site].router
    return list({one.key: one for one in [*offers, *([router.offer] if router else [])]}.values())


def examine_site(connector: Connector, site: Site, settings: Settings) -> Iterator[Finding]:
    """Have a site's connector examine what is offered of it, then look at what it tells."""
    offers = offers_of(settings, site.name)
    yield from connector.examine(offers)
    if not offers:
        yield Finding("offers", UNKNOWN, "no pool has an offer of this site", "add one, or take the site out")
        return
    yield from _credentials(connector)
    flavors: dict[str, Flavor] = {}
    try:
        flavors = {one.name: one for one in connector.flavors()}
    except CloudError as error:
        yield Finding("flavors", UNKNOWN, f"could not be read: {error}")
    yield from _flavors(flavors, site.name, settings)
    yield from _prices(connector, offers, flavors, settings)


def _credentials(connector: Connector) -> Iterator[Finding]:
    try:
        until = connector.credentials_until()
    except CloudError as error:
        yield Finding("credentials' end", UNKNOWN, str(error))
        return
    now = datetime.now(UTC)
    if until is None:
        return
    if ending := credentials_end(SiteTerms(credentials=Observed(until, now)), now):
        yield Finding("credentials' end", BAD, ending, "make new ones; `cluesd` takes them without a restart")
    else:
        yield Finding("credentials' end", GOOD, f"they are good until {until:%Y-%m-%d %H:%M} UTC")


def _flavors(flavors: Mapping[str, Flavor], site: str, settings: Settings) -> Iterator[Finding]:
    """Look whether each flavor holds the shape of each pool that it is offered for."""
    for pool in settings.pools.values():
        for name in dict.fromkeys(offer.flavor for offer in pool.offers if offer.site == site):
            if (flavor := flavors.get(name)) is not None:  # the connector has told what is not there
                yield _held_against(flavor, pool)


def _held_against(flavor: Flavor, pool: Pool) -> Finding:
    topic, has, wants = f"flavor {flavor.name}", flavor.resources, pool.shape
    # the types of GPUs are Slurm's words in a shape, and the provider's in a flavor: only their number can be compared
    short = [
        f"{have} of {wanted} {what}"
        for what, have, wanted in (
            ("CPUs", has.cpus, wants.cpus),
            ("MiB of memory", has.memory_mib, wants.memory_mib),
            ("GPUs", has.gpu_count if has.gpus else wants.gpu_count, wants.gpu_count),
        )
        if have < wanted
    ]
    if short:
        cure = "take a larger flavor, or make the pool's shape smaller"
        return Finding(
            topic, BAD, f"has {', '.join(short)} that pool {pool.name} wants: its VMs would be refused", cure
        )
    if wants.gpu_count and not has.gpus:
        text = f"holds the shape of pool {pool.name}, but for its GPUs, of which the provider does not tell"
        return Finding(topic, UNKNOWN, text, "`clues image check` boots one and counts them")
    return Finding(topic, GOOD, f"holds the shape of pool {pool.name} ({wants})")


def _prices(
    connector: Connector, offers: list[Offer], flavors: Mapping[str, Flavor], settings: Settings
) -> Iterator[Finding]:
    unpriced = [one for one in offers if one.price_per_hour is None]
    if not unpriced:
        return
    now = datetime.now(UTC)
    try:
        told = dict(connector.prices(unpriced))
    except CloudError as error:
        yield Finding("prices", UNKNOWN, f"could not be read: {error}", "write a `price` for each offer")
        return
    terms = SiteTerms(prices=Observed(told, now), flavors=Observed(flavors, now))
    for offer in unpriced:
        found = price_of(offer, terms, settings)
        topic = f"price of {offer.key}"
        if found.trouble:
            yield Finding(topic, BAD, found.trouble, "add the currency to `rates:` in clues.yaml")
        elif found.amount is None:
            text = "nobody tells it: the offer counts as free"
            yield Finding(topic, UNKNOWN, text, "write a `price` for it, where it is not")
        else:
            yield Finding(topic, GOOD, f"{found.amount:.4g} {settings.currency} an hour ({found.source})")
