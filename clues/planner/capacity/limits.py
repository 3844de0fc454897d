"""What lives at a site, and which limit more of it would pass: the configuration's limits, or the provider's quota."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from clues.model import Claim, Gpu, Limits, Offer, Resources, make_gpus


@dataclass
class Used:
    """What lives at one site."""

    vms: int = 0
    resources: Resources = field(default_factory=Resources)
    cost_per_hour: float = 0.0

    def add(self, shape: Resources, offer: Offer) -> None:
        """Count one more VM."""
        self.vms += 1
        self.resources = self.resources.plus(shape)
        self.cost_per_hour += offer.price_per_hour or 0.0


def used_by_site(claims: Iterable[Claim]) -> dict[str, Used]:
    """Return what all live claims use; a claim counts from its purchase until the provider says its VM is gone."""
    used: dict[str, Used] = {}
    sums: dict[str, list[int]] = {}
    gpus: dict[str, list[Gpu]] = {}
    for claim in claims:
        if claim.live:
            site, shape = claim.offer.site, claim.shape
            if site not in used:
                used[site], sums[site], gpus[site] = Used(), [0, 0], []
            used[site].vms += 1
            used[site].cost_per_hour += claim.offer.price_per_hour or 0.0
            sums[site][0] += shape.cpus
            sums[site][1] += shape.memory_mib
            gpus[site] += shape.gpus
    for site, one in used.items():
        one.resources = Resources(sums[site][0], sums[site][1], make_gpus(gpus[site]))
    return used


def over_limit(
    limits: Limits,
    used: Used,
    shape: Resources,
    offer: Offer,
    count: int,
    router: tuple[Resources, Offer] | None = None,
) -> str:
    """Return which limit *count* more VMs, and a *router* with them, would pass, in words; empty: none."""
    for what, most, now, besides, each in _checks(limits, used, shape, offer, router):
        needed = each * count + besides
        if most is not None and needed and now + needed > most + 1e-9:
            text = f"{now:g} of {most:g} {what} in use" + (f", {needed:g} more needed" if needed > 1 else "")
            return text + (" (its router counted)" if besides else "")
    return ""


def left_of(
    limits: Limits, used: Used, shape: Resources, offer: Offer, router: tuple[Resources, Offer] | None = None
) -> Iterator[tuple[str, float, float]]:
    """Go through the limits that one more VM counts for: what is limited, how much is left of it beside a *router*, and
    how much one VM takes."""
    for what, most, now, besides, each in _checks(limits, used, shape, offer, router):
        if most is not None and each:
            yield what, most - now - besides, each


def _checks(
    limits: Limits, used: Used, shape: Resources, offer: Offer, router: tuple[Resources, Offer] | None
) -> Iterator[tuple[str, float | None, float, float, float]]:
    more = Used()
    if router is not None:
        more.add(*router)
    yield "VMs", limits.vms, used.vms, more.vms, 1
    yield "CPUs", limits.cpus, used.resources.cpus, more.resources.cpus, shape.cpus
    yield "GPUs", limits.gpus, used.resources.gpu_count, more.resources.gpu_count, shape.gpu_count
    yield "MiB of memory", limits.memory_mib, used.resources.memory_mib, more.resources.memory_mib, shape.memory_mib
    yield "per hour", limits.cost_per_hour, used.cost_per_hour, more.cost_per_hour, offer.price_per_hour or 0.0
