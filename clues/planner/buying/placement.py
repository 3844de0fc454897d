"""Which offer: the cheapest that fits, under every limit, passing over what had no room lately.

One :class:`Buyer` lives for one decision. It knows what each site still allows, so that purchases of one tick do not
together pass a limit that each of them keeps.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import cached_property
from hashlib import sha256
from typing import Any

from clues.model import Attach, Claim, ClaimState, Kind, Mode, Node, Offer, Pool, Resources, Site, Wish
from clues.model.evolve import evolve
from clues.planner.capacity.gates import Gates
from clues.planner.capacity.limits import Used, left_of, over_limit, used_by_site
from clues.planner.capacity.quota import Quotas
from clues.planner.money.budget import Purse, open_purse
from clues.planner.view import View

#: X.509 takes 64 characters in a common name: beside the node these are the cluster's eight, a generation of up to ten
#: digits, the time's eight, and three hyphens.
_LONGEST_NODE = 64 - 8 - 10 - 8 - 3


class Buyer:
    """Says what can be had, and has it."""

    def __init__(
        self,
        view: View,
        claims: Mapping[str, Claim],
        unroutable: Mapping[str, str] | None = None,
        quotas: Quotas | None = None,
    ) -> None:
        """:param unroutable: sites whose router cannot be started now, with the reason.
        :param quotas: what the providers allow; without it, reckoned here.
        """
        self._view = view
        self._unroutable = unroutable or {}
        self._routed = {claim.offer.site for claim in claims.values() if claim.kind is Kind.ROUTER and claim.live}
        self._claims = claims
        self.quotas = Quotas(view, claims) if quotas is None else quotas
        self._taken = {claim.node for claim in claims.values() if claim.live}
        #: by pool; found when first asked for, since most ticks buy nothing
        self._vacant: dict[str, dict[str, Node]] = {}
        self._left = view.settings.pace.launches_per_tick
        self.gates = Gates(view.world.memory, claims.values(), view.now, view.world.in_flight)
        self.bought: list[Claim] = []
        #: what all that are bought are made from: a copy takes a third of the time
        self._blank: Claim | None = None
        self._generations = dict(view.world.generations)

    @cached_property
    def _purse(self) -> Purse:
        view = self._view
        return open_purse(view.settings, view.world.spent, self._claims.values(), view.world.lrms.value, view.now)

    @cached_property
    def _used(self) -> dict[str, Used]:
        return used_by_site(self._claims.values())

    def vacant(self, pool: Pool) -> Collection[Node]:
        """Return the pool's nodes that a VM may be started for, in the order of the configuration."""
        return self._vacant_in(pool).values()

    def is_vacant(self, pool: Pool, node: Node) -> bool:
        """Whether a VM may (still) be started for a node."""
        return node.name in self._vacant_in(pool)

    def _vacant_in(self, pool: Pool) -> dict[str, Node]:
        found = self._vacant.get(pool.name)
        if found is None:
            found = {node.name: node for node in _vacant(self._view, pool, self._taken)}
            self._vacant[pool.name] = found
        return found

    def left(self, pool: Pool, offer: Offer) -> Iterator[tuple[tuple[str, str], float, float]]:
        """Go through everything that limits how many VMs of an offer can be had: its name (limits with the same name
        are one), how much of it is left, and how much one VM takes. The brake on launches is none: it only slows
        down."""
        site = self._view.settings.sites[offer.site]
        router = self._router_besides(site)
        used = self._used.get(offer.site, Used())
        for what, left, each in left_of(site.limits, used, pool.shape, offer, router):
            yield (offer.site, what), left, each
        for what, left, each in self.quotas.left(pool.shape, offer, router):
            yield (offer.site, f"quota of {what}"), left, each
        for what, few in self.gates.left(pool.name, offer):
            yield ("breaker", what), few, 1.0
        if price := offer.price_per_hour:
            for what, left in self._purse.left(pool.name):
                yield ("budget", what), left, price

    def why_not(
        self, pool: Pool, offer: Offer, count: int, account: str = "", *, whole: bool = False, trial: bool = False
    ) -> str:
        """Return in words why *count* VMs of this offer cannot be had in this tick; empty when they can.

        :param account: the Slurm account of the job that they are for.
        :param whole: they are one task's nodes, and fewer are of no use.
        :param trial: an image of its own is tried, not the pool's.
        """
        if why := self.refusal(pool, offer, count, account, whole=whole, trial=trial):
            return why
        return self.brakes(count)

    def brakes(self, count: int) -> str:
        """Return in words why so many launches have to wait for the next tick; empty when they need not."""
        if count > self._left and self.bought:  # a gang larger than the brake has a tick to itself
            return f"{self._view.settings.pace.launches_per_tick} launches a tick are the most; the next tick goes on"
        return ""

    def refusal(
        self, pool: Pool, offer: Offer, count: int, account: str = "", *, whole: bool = False, trial: bool = False
    ) -> str:
        """The same, however many ticks it may take."""
        world = self._view.world
        site = self._view.settings.sites.get(offer.site)
        if site is None or site.disabled:
            return "out of service by the configuration"
        if world.operator.paused:
            return "buying is paused (clues resume)"
        if closed := self._view.closed_for.get((pool.name, offer.site)):
            return closed
        if held := self.gates.why_not(pool.name, offer, count, whole=whole, trial=trial):
            return held
        if cut_off := self._unroutable.get(offer.site):
            return f"its router cannot be started: {cut_off}"
        if offer.site not in self._view.listings:
            error = world.listings[offer.site].error if offer.site in world.listings else ""
            return f"its VMs cannot be listed{': ' + error if error else ' yet'}"
        router = self._router_besides(site)
        if short := over_limit(site.limits, self._used.get(offer.site, Used()), pool.shape, offer, count, router):
            return short
        if short := self.quotas.short(pool.shape, offer, count, router):
            return short
        return self._why_not_pay(pool, site, offer, count, account)

    def _why_not_pay(self, pool: Pool, site: Site, offer: Offer, count: int, account: str) -> str:
        view, router = self._view, self._router_besides(site)
        if view.asks_prices(offer):
            return "its price is being asked for"
        limited = site.limits.cost_per_hour is not None or self._purse.limits(pool.name, account)
        if limited and (wrong := view.unpriced.get(offer.key)):
            return f"{wrong}: what it adds to a limited spend cannot be told"
        besides = router[1].price_per_hour if router is not None else None
        return self._purse.why_not(pool.name, account, count * (offer.price_per_hour or 0.0), besides or 0.0)

    def buy(
        self,
        pool: Pool,
        offer: Offer,
        node: Node,
        jobs: Sequence[str],
        reason: str,
        gang: str = "",
        gang_size: int = 0,
        account: str = "",
        tasks: Sequence[int] = (),
    ) -> Claim:
        """Take one vacant (or already allocated) node and plan a VM of this offer for it.

        :param account: the Slurm account of the job that it is for.
        :param tasks: how many tasks of each of the *jobs* it is for; empty: one.
        """
        self._taken.add(node.name)
        self._vacant.get(pool.name, {}).pop(node.name, None)
        self._purse.take(pool.name, account, offer.price_per_hour or 0.0)
        claim = self._plan(
            Kind.WORKER,
            node.name,
            offer,
            pool.shape,
            reason,
            pool=pool.name,
            recipe=pool.recipes.get(offer.site, ""),
            jobs=tuple(jobs),
            tasks=tuple(tasks),
            gang=gang,
            gang_size=gang_size,
            account=account,
        )
        self.gates.take(claim)
        self.bought.append(claim)
        return claim

    def also_for(self, node: str, job: str) -> None:
        """Write down that a task of a further job shall run on a node that was bought in this decision."""
        for place, claim in enumerate(self.bought):
            if claim.node != node:
                continue
            tasks = list(claim.tasks or [1] * len(claim.jobs))
            if job in claim.jobs:
                tasks[claim.jobs.index(job)] += 1
                self.bought[place] = replace(claim, tasks=tuple(tasks))
            else:
                self.bought[place] = replace(claim, jobs=(*claim.jobs, job), tasks=(*tasks, 1))
            return

    def buy_router(self, site: Site, reason: str) -> Claim | None:
        """Plan the router of a site; None where none is configured."""
        if site.router is None:
            return None
        self._routed.add(site.name)
        claim = self._plan(Kind.ROUTER, site.router_node, site.router.offer, site.router.shape, reason)
        self._purse.take("", "", site.router.offer.price_per_hour or 0.0)
        self.gates.take(claim)
        self.bought.append(claim)
        return claim

    def _plan(self, kind: Kind, node: str, offer: Offer, shape: Resources, reason: str, **more: Any) -> Claim:
        now = self._view.now
        generation = self._generations.get(node, 0) + 1
        self._generations[node] = generation
        if offer.site not in self._used:
            self._used[offer.site] = Used()
        self._used[offer.site].add(shape, offer)
        self.quotas.take(shape, offer)
        self._left -= 1
        if self._blank is None:
            self._blank = Claim("", kind, "", "", 0, offer, shape, ClaimState.PLANNED, now, now)
        return evolve(
            self._blank,
            key=launch_key(self._view.world.cluster, node, generation, now),
            kind=kind,
            node=node,
            generation=generation,
            offer=offer,
            shape=shape,
            reason=reason,
            **more,
        )

    def _router_besides(self, site: Site) -> tuple[Resources, Offer] | None:
        """The router that a worker at this site would bring with it; None where none is needed, or one is counted."""
        if site.attach is not Attach.ROUTER or site.router is None or site.name in self._routed:
            return None
        return site.router.shape, site.router.offer


def launch_key(cluster: str, node: str, generation: int, now: datetime) -> str:
    """Return the public name of a claim: unique among clusters, fit for a tag and for the name in a certificate.

    The moment of the purchase is in it because generations begin anew when the ledger is lost, and a key that a living
    VM carries must never name another one.
    """
    if len(node) > _LONGEST_NODE:
        node = f"{node[: _LONGEST_NODE - 9]}-{sha256(node.encode()).hexdigest()[:8]}"
    return f"{cluster[:8]}-{node}-{generation}-{int(now.timestamp()):x}"


def _vacant(view: View, pool: Pool, taken: set[str]) -> Iterable[Node]:
    if pool.mode is Mode.EAGER:
        return  # Slurm says for which of its nodes a VM is wanted
    nodes, wishes = view.snapshot.nodes if view.snapshot is not None else {}, view.world.operator.wishes
    for name in pool.nodes:
        node = nodes.get(name)
        if node is None or name in taken or not node.vacant or not node.understood or node.kept_by_admin:
            continue
        if not wishes or wishes.get(name) in (None, Wish.ON):
            yield node
