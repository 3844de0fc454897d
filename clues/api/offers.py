"""The offers: what could be had, where, for how much, and what stands against it."""

from __future__ import annotations

from collections.abc import Collection

from clues.api import wire_clouds
from clues.api.lens import Lens, utc
from clues.api.views import gpus_text
from clues.planner.market import Standing, standings


def offers(lens: Lens, names: Collection[str] = ()) -> wire_clouds.OfferList:
    """Return all offers in the order of the configuration, or those of the pools and sites in *names*."""
    found = standings(lens.published, lens.now)
    wanted = [one for one in found if not names or one.pool.name in names or one.offer.site in names]
    return wire_clouds.OfferList(tuple([_offer(lens, one) for one in wanted]), lens.published.settings.currency)


def unknown(lens: Lens, names: Collection[str]) -> list[str]:
    """Return those of *names* that are neither a pool nor a site."""
    return [name for name in names if name not in known(lens)]


def known(lens: Lens) -> set[str]:
    """Return the names of all pools and sites."""
    return {*lens.published.settings.pools, *lens.published.settings.sites}


def _offer(lens: Lens, one: Standing) -> wire_clouds.OfferView:
    limits, used = one.quota if one.quota is not None else (None, None)
    rest, lost = one.breaker, one.interruptions

    def left(most: int | None, now: int) -> int | None:
        return None if most is None else max(0, most - now)

    return wire_clouds.OfferView(
        pool=one.pool.name,
        site=one.offer.site,
        flavor=one.offer.flavor,
        zone=one.offer.zone,
        market=one.offer.market.value,
        image=one.offer.image,
        offer=one.offer.key,
        cpus=one.size.cpus,
        memory_mib=one.size.memory_mib,
        gpus=gpus_text(one.size),
        price_per_hour=None if one.priced.amount is None else round(one.priced.amount, 6),
        price_source=one.priced.source,
        price_age_seconds=lens.age(one.priced.as_of),
        price_trouble=one.priced.trouble,
        vms_left=left(limits.vms, used.vms) if limits and used else None,
        cpus_left=left(limits.cpus, used.resources.cpus) if limits and used else None,
        gpus_left=left(limits.gpus, used.resources.gpu_count) if limits and used else None,
        memory_mib_left=left(limits.memory_mib, used.resources.memory_mib) if limits and used else None,
        breaker=rest.state(lens.now).value if rest else "closed",
        allowed=rest.allowed if rest and rest.until <= lens.now else None,
        rests=rest.code if rest else "",
        rests_until=utc(rest.until) if rest else "",
        again_seconds=round(max(0.0, (rest.until - lens.now).total_seconds()), 1) if rest else None,
        failures=rest.failures if rest else 0,
        words=rest.words if rest else "",
        could_start=one.could_start,
        why_not_more=one.why_not_more,
        interruptions_per_hour=round(lost.per_hour, 5) if lost else None,
        seen_hours=round(lost.hours, 2) if lost else 0.0,
        seen_interruptions=round(lost.interruptions, 2) if lost else 0.0,
    )
