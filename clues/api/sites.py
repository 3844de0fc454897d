"""Sites, and how fresh each observation is: the part of the picture that tells what the clouds say and
allow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from clues.api import wire
from clues.api.lens import Lens, utc
from clues.model import Breaker, ClaimState, Resources, Site
from clues.planner.credentials import credentials_end
from clues.planner.maintenance.announcing import upcoming
from clues.planner.money.prices import with_prices

#: A claim in one of these has, or may have, a VM that is billed.
_BILLED = frozenset(ClaimState) - {ClaimState.PLANNED, ClaimState.GONE}
_STARTING = frozenset({ClaimState.PLANNED, ClaimState.LAUNCHING, ClaimState.BOOTING, ClaimState.JOINING})
_STOPPING = frozenset({ClaimState.STOPPING, ClaimState.FAILED})


def observations(lens: Lens) -> tuple[wire.Observation, ...]:
    """Return Slurm and each site with the age of the last good look."""
    world = lens.published.world
    sources = [("slurm", world.lrms.taken_at, world.lrms.error)]
    for name, site in lens.published.settings.sites.items():
        listing = world.listings.get(name)
        taken_at, error = (listing.taken_at, listing.error) if listing else (None, "")
        sources.append((name, taken_at, error or ("disabled in clues.yaml" if site.disabled else "")))
    return tuple(wire.Observation(source, lens.age(taken_at), error) for source, taken_at, error in sources)


def sites(lens: Lens) -> wire.SiteList:
    """Return all sites in the order of the configuration."""
    settings = lens.published.settings
    unpriced = with_prices(settings, lens.published.world.terms)[1]
    return wire.SiteList(
        sites=tuple(_site(lens, site, unpriced) for site in settings.sites.values()), currency=settings.currency
    )


def _site(lens: Lens, site: Site, unpriced: Mapping[str, str]) -> wire.SiteView:
    listing = lens.published.world.listings.get(site.name)
    claims = [claim for claim in lens.claims if claim.offer.site == site.name]
    billed = [claim for claim in claims if claim.state in _BILLED]
    used = Resources()
    for claim in billed:
        used = used.plus(claim.shape)
    memory = lens.published.plan.memory
    terms = lens.published.world.terms.get(site.name)
    until = terms.credentials.value if terms else None
    return wire.SiteView(
        name=site.name,
        connector=site.connector,
        attach=site.attach.value,
        disabled=site.disabled,
        age_seconds=lens.age(listing.taken_at if listing else None),
        error=listing.error if listing else "",
        vms=len(billed),
        starting=sum(claim.state in _STARTING for claim in claims),
        stopping=sum(claim.state in _STOPPING for claim in claims),
        cpus=used.cpus,
        gpus=used.gpu_count,
        vms_limit=site.limits.vms,
        cpus_limit=site.limits.cpus,
        gpus_limit=site.limits.gpus,
        cost_per_hour=round(sum(claim.offer.price_per_hour or 0.0 for claim in billed), 4),
        cost_limit=site.limits.cost_per_hour,
        resting=tuple(
            _resting(lens, breaker)
            for breaker in memory.breakers.values()
            if breaker.until > lens.now and breaker.site == site.name
        ),
        credentials_seconds=round((until - lens.now).total_seconds(), 1) if until else None,
        warnings=tuple(_warnings(lens, site, unpriced)),
    )


def _warnings(lens: Lens, site: Site, unpriced: Mapping[str, str]) -> Iterator[str]:
    if (window := upcoming(lens.published.world.operator, lens.now).get(site.name)) is not None:
        yield f"{window}" + (": no new jobs, nothing is bought" if window.begin <= lens.now else "")
    if ending := credentials_end(lens.published.world.terms.get(site.name), lens.now):
        yield ending
    yield from (f"{key} {text}" for key, text in unpriced.items() if key.partition("/")[0] == site.name)


def _resting(lens: Lens, breaker: Breaker) -> wire.Resting:
    return wire.Resting(
        offer=breaker.key,
        code=breaker.code,
        until=utc(breaker.until),
        again_seconds=round((breaker.until - lens.now).total_seconds(), 1),
        failures=breaker.failures,
        words=breaker.words,
    )
