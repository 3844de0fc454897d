"""Which offer: the cheapest that fits, under every limit, passing over what had no room lately.

One :class:`Buyer` lives for one decision. It knows what each site still allows, so that purchases of one tick do not
together pass a limit that each of them keeps.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from clues.model import Claim, ClaimState, Kind, Limits, Node, Offer, Pool, Resources, Wish
from clues.planner.view import View
from clues.units import show_duration


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
    for claim in claims:
        if claim.live:
            used.setdefault(claim.offer.site, Used()).add(claim.shape, claim.offer)
    return used


class Buyer:
    """Says what can be had, and has it."""

    def __init__(self, view: View, claims: Mapping[str, Claim]) -> None:
        self._view = view
        self._used = used_by_site(claims.values())
        taken = {claim.node for claim in claims.values() if claim.live}
        self._vacant = {pool.name: list(_vacant(view, pool, taken)) for pool in view.settings.pools.values()}
        self._left = view.settings.pace.launches_per_tick
        self.bought: list[Claim] = []
        self._generations = dict(view.world.generations)

    def vacant(self, pool: Pool) -> Sequence[Node]:
        """Return the pool's nodes that a VM may be started for, in the order of the configuration."""
        return self._vacant[pool.name]

    def why_not(self, pool: Pool, offer: Offer, count: int) -> str:
        """Return in words why *count* VMs of this offer cannot be had now; empty when they can."""
        world, now = self._view.world, self._view.now
        site = self._view.settings.sites.get(offer.site)
        if site is None or site.disabled:
            return "out of service by the configuration"
        if world.operator.paused:
            return "buying is paused (clues resume)"
        for key in (offer.key, offer.site):
            breaker = world.memory.breakers.get(key)
            if breaker is not None and breaker.until > now:
                wait = show_duration(breaker.until - now)
                return f"{breaker.code} for {key}, {breaker.failures} times; next try in {wait} ({breaker.words})"
        if offer.site not in self._view.listings:
            error = world.listings[offer.site].error if offer.site in world.listings else ""
            return f"its VMs cannot be listed{': ' + error if error else ' yet'}"
        if short := _over_limit(site.limits, self._used.get(offer.site, Used()), pool.shape, offer, count):
            return short
        budget = self._view.settings.budget_per_day
        if budget is not None and offer.price_per_hour and world.spent_today >= budget:
            return f"today's budget of {budget:.2f} {self._view.settings.currency} is spent"
        if count > self._left and self.bought:  # a gang larger than the brake has a tick to itself
            return f"{self._view.settings.pace.launches_per_tick} launches a tick are the most; the next tick goes on"
        return ""

    def buy(
        self, pool: Pool, offer: Offer, node: Node, jobs: Sequence[str], reason: str, gang: str = "", gang_size: int = 0
    ) -> Claim:
        """Take one vacant (or already allocated) node and plan a VM of this offer for it."""
        now = self._view.now
        generation = self._generations.get(node.name, 0) + 1
        self._generations[node.name] = generation
        if node in self._vacant[pool.name]:
            self._vacant[pool.name].remove(node)
        claim = Claim(
            key=launch_key(self._view.world.cluster, node.name, generation, now),
            kind=Kind.WORKER,
            node=node.name,
            pool=pool.name,
            generation=generation,
            offer=offer,
            shape=pool.shape,
            state=ClaimState.PLANNED,
            since=now,
            created_at=now,
            reason=reason,
            jobs=tuple(jobs),
            gang=gang,
            gang_size=gang_size,
        )
        self._used.setdefault(offer.site, Used()).add(pool.shape, offer)
        self._left -= 1
        self.bought.append(claim)
        return claim


def launch_key(cluster: str, node: str, generation: int, now: datetime) -> str:
    """Return the public name of a claim: unique among clusters, fit for a tag.

    The moment of the purchase is in it because generations begin anew when the ledger is lost, and a key that a living
    VM carries must never name another one.
    """
    return f"{cluster[:8]}-{node}-{generation}-{int(now.timestamp()):x}"


def _vacant(view: View, pool: Pool, taken: set[str]) -> Iterable[Node]:
    for name in pool.nodes:
        node = view.node(name)
        if node is None or name in taken or not node.vacant or not node.understood or node.kept_by_admin:
            continue
        if view.world.operator.wishes.get(name) in (None, Wish.ON):
            yield node


def _over_limit(limits: Limits, used: Used, shape: Resources, offer: Offer, count: int) -> str:
    """Return which limit *count* more VMs would pass, in words."""
    price = offer.price_per_hour or 0.0
    checks = (
        ("VMs", limits.vms, used.vms, 1),
        ("CPUs", limits.cpus, used.resources.cpus, shape.cpus),
        ("GPUs", limits.gpus, used.resources.gpu_count, shape.gpu_count),
        ("MiB of memory", limits.memory_mib, used.resources.memory_mib, shape.memory_mib),
        ("per hour", limits.cost_per_hour, used.cost_per_hour, price),
    )
    for what, most, now, each in checks:
        if most is not None and each and now + each * count > most + 1e-9:
            return f"{now:g} of {most:g} {what} in use" + (
                f", {each * count:g} more needed" if each * count > 1 else ""
            )
    return ""
