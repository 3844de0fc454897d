"""The provider's own quota, as one more limit: what it counted when it was asked, and what has changed since.

It is asked rarely, so its answer is carried on with what we know ourselves. Of our claims, those that had a VM when it
was asked are in its number already; those that came since are added, and those of them that have ended since are taken
off. Where that cannot be told (an ending that was under way when it was asked) the number is left as it is: too high
for some minutes, never too low. A quota that is not known, or told too long ago, limits nothing: the provider itself
refuses then.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta

from clues.model import ANY_GPU, Claim, Flavor, Gpu, Limits, Offer, Resources, SiteTerms, make_gpus
from clues.planner.capacity.limits import Used, left_of, over_limit
from clues.planner.view import View

#: An answer that is older says nothing any more.
QUOTA_HOLDS = timedelta(minutes=15)


class Quotas:
    """What each provider will count once everything that we have asked for is there; grows with each purchase."""

    def __init__(self, view: View, claims: Mapping[str, Claim]) -> None:
        self._limits: dict[str, Limits] = {}
        self._used: dict[str, Used] = {}
        self._terms = view.world.terms
        #: sites where it stood against a VM that was wanted
        self.short_at: set[str] = set()
        for site, terms in self._terms.items():
            quota = terms.quota.fresh(view.now, QUOTA_HOLDS)
            if quota is not None and quota.limits != Limits():
                self._limits[site] = quota.limits
                self._used[site] = _carried_on(quota.vms_used, quota.used, terms, site, claims)

    def used(self, site: str) -> tuple[Limits, Used] | None:
        """Return the limits that a provider sets and what it counts, or will count; None where that is not known."""
        limits = self._limits.get(site)
        return None if limits is None else (limits, self._used[site])

    def short(self, shape: Resources, offer: Offer, count: int, router: tuple[Resources, Offer] | None = None) -> str:
        """Return in words which quota *count* more VMs, and a *router* with them, would pass; empty: none."""
        text = self.peek(shape, offer, count, router)
        if not text:
            return ""
        self.short_at.add(offer.site)
        return f"quota at the provider: {text}"

    def peek(
        self, shape: Resources, offer: Offer, count: int = 1, router: tuple[Resources, Offer] | None = None
    ) -> str:
        """Return the same where nobody wants a VM now."""
        known = self.used(offer.site)
        if known is None:
            return ""
        besides = None if router is None else (self._size(*router), router[1])
        return over_limit(*known, self._size(shape, offer), offer, count, besides)

    def left(
        self, shape: Resources, offer: Offer, router: tuple[Resources, Offer] | None = None
    ) -> Iterator[tuple[str, float, float]]:
        """Go through the quotas that one more VM counts for, as :func:`~clues.planner.capacity.limits.left_of` does."""
        if (known := self.used(offer.site)) is not None:
            besides = None if router is None else (self._size(*router), router[1])
            yield from left_of(*known, self._size(shape, offer), offer, besides)

    def take(self, shape: Resources, offer: Offer) -> None:
        """Count one more VM."""
        if (used := self._used.get(offer.site)) is not None:
            used.add(self._size(shape, offer), offer)

    def _size(self, shape: Resources, offer: Offer) -> Resources:
        return size_of(shape, offer, self._terms.get(offer.site))


def size_of(shape: Resources, offer: Offer, terms: SiteTerms | None) -> Resources:
    """Return what a VM of this offer has, and so counts for, where its provider tells; else the *shape* it is for."""
    flavors = terms.flavors.value if terms is not None else None
    flavor: Flavor | None = (flavors or {}).get(offer.flavor)
    if flavor is None:
        return shape
    told = flavor.resources
    # what a provider does not tell of a flavor (its GPUs, mostly) is 0 there
    return Resources(told.cpus or shape.cpus, told.memory_mib or shape.memory_mib, told.gpus or shape.gpus)


def _carried_on(vms: int, used: Resources, terms: SiteTerms, site: str, claims: Mapping[str, Claim]) -> Used:
    """Return what is in use now. GPUs are counted without their types, by which providers do not name them alike."""
    since = [one for one in claims.values() if one.live and one.offer.site == site and one.key not in terms.counted]
    gone = [
        one
        for key, one in terms.counted.items()
        # one that was being ended when the quota was asked for may have been off the provider's books by then
        if one.terminated_at is None and (key not in claims or not claims[key].live)
    ]
    more, less = _sum(since, terms), _sum(gone, terms)
    gpus = max(0, used.gpu_count + more.gpu_count - less.gpu_count)
    return Used(
        max(0, vms + len(since) - len(gone)),
        Resources(
            max(0, used.cpus + more.cpus - less.cpus),
            max(0, used.memory_mib + more.memory_mib - less.memory_mib),
            make_gpus([Gpu(ANY_GPU, gpus)]),
        ),
    )


def _sum(claims: Iterable[Claim], terms: SiteTerms) -> Resources:
    total = Resources()
    for claim in claims:
        total = total.plus(size_of(claim.shape, claim.offer, terms))
    return total
