"""One world, indexed for one decision.

What is too old to act upon is not in here at all: a decision that has no fresh snapshot simply finds ``None`` and
leaves Slurm alone; a site without a fresh, complete listing has no instances *and no absences*; and while no central
point can be asked no tunnel is up *or down*.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from math import inf

from clues.model import (
    COMING,
    Attach,
    Claim,
    ClaimState,
    ClusterSnapshot,
    Instance,
    InstanceState,
    Job,
    Kind,
    Listing,
    Maintenance,
    Market,
    Node,
    Offer,
    OverlayStatus,
    Pool,
    Settings,
    World,
)
from clues.planner.forecasts.boots import boot_time
from clues.planner.maintenance.announcing import upcoming
from clues.planner.maintenance.closing import closures, kept_free
from clues.planner.money.prices import with_prices
from clues.planner.money.spot import Interruptions, expected_price, spot_seen, work_at_stake

#: After a start, purchases wait so long for the first word on prices: an offer without one would count as free.
_PRICES_COME = timedelta(seconds=30)

#: States of a VM in which it serves no more, in words.
_LOST = {
    InstanceState.GONE: "is terminated",
    InstanceState.STOPPED: "is stopped",
    InstanceState.ERROR: "is in error",
    InstanceState.STOPPING: "is being stopped by somebody else",
}

#: A router in one of these carries its site's network, or soon will.
CARRYING = COMING | {ClaimState.READY, ClaimState.DRAINING}


@dataclass(frozen=True)
class View:
    """A world that is fresh enough to decide from, at one moment."""

    world: World
    settings: Settings
    now: datetime
    snapshot: ClusterSnapshot | None
    listings: Mapping[str, Listing]
    pool_by_node: Mapping[str, Pool]
    #: all nodes but those that rest: of most clusters at most times a small part
    awake: Mapping[str, Node]
    #: what the central points say of their tunnels
    overlay: OverlayStatus | None
    #: by site, the router that carries its network or soon will
    routers: Mapping[str, Claim]
    #: by the keys of offers, why their price is told and cannot be reckoned with
    unpriced: Mapping[str, str]
    #: by the keys of spot offers, how often their VMs were taken back, and by pool, what that loses
    interruptions: Mapping[str, Interruptions]
    at_stake: Mapping[str, timedelta]
    #: by site, the maintenance that is on or comes next; and by pool and site, why its nodes take no new jobs for it
    maintenance: Mapping[str, Maintenance]
    closed_for: Mapping[tuple[str, str], str]
    #: by site, the nodes that Slurm keeps free for its maintenance until it begins
    kept_free: Mapping[str, frozenset[str]]
    _by_key: Mapping[tuple[str, str], Instance] = field(repr=False)
    _by_id: Mapping[tuple[str, str], Instance] = field(repr=False)
    _ready_in: dict[tuple[str, str], int] = field(default_factory=dict, repr=False, compare=False)

    def node(self, name: str) -> Node | None:
        """Return a node as Slurm has it now; None when Slurm does not know it or could not be read."""
        return None if self.snapshot is None else self.snapshot.nodes.get(name)

    @cached_property
    def pending(self) -> Sequence[Job]:
        """Slurm's jobs that wait."""
        return [job for job in self.snapshot.jobs if job.pending] if self.snapshot is not None else []

    @cached_property
    def running(self) -> Sequence[Job]:
        """Slurm's jobs that hold their nodes, or are just leaving them."""
        return [job for job in self.snapshot.jobs if job.running] if self.snapshot is not None else []

    @cached_property
    def claims_by_node(self) -> Mapping[str, Sequence[Claim]]:
        """The world's claims, as the decision began."""
        found: dict[str, list[Claim]] = {}
        for claim in self.world.claims.values():
            found.setdefault(claim.node, []).append(claim)
        return found

    @cached_property
    def outside(self) -> Sequence[Node]:
        """Slurm's nodes that are in no pool."""
        nodes = self.snapshot.nodes if self.snapshot is not None else {}
        return [node for name, node in nodes.items() if name not in self.pool_by_node]

    def pool(self, claim: Claim) -> Pool | None:
        """Return the claim's pool as configured now; None when it was removed from the configuration."""
        pool = self.settings.pools.get(claim.pool)
        return pool if pool is not None and self.pool_by_node.get(claim.node) is pool else None

    def cost(self, offer: Offer) -> float:
        """Return what an offer counts for when the cheapest is looked for. *offer* is one of :attr:`settings`."""
        return inf if offer.key in self.unpriced else offer.price_per_hour or 0.0

    def expected_cost(self, pool: Pool, offer: Offer, nodes: int = 1) -> float:
        """Return what an hour of one VM of an offer counts for, with what its interruptions lose.

        :param nodes: how many nodes a job takes of it: an interruption of one loses the work of all.
        """
        if offer.market is not Market.SPOT:
            return self.cost(offer)
        lost = self.at_stake[pool.name] + boot_time(self.world.memory, offer, pool).likely
        return expected_price(self.cost(offer), self.interruptions.get(offer.key, Interruptions()), lost, nodes)

    def ready_in(self, pool: Pool, offer: Offer) -> int:
        """Return how long a VM of an offer takes until it is ready, in half minutes: less is no difference."""
        key = pool.name, offer.key
        if key not in self._ready_in:
            likely = boot_time(self.world.memory, offer, pool).likely
            self._ready_in[key] = round(likely.total_seconds() / 30)
        return self._ready_in[key]

    def asks_prices(self, offer: Offer) -> bool:
        """Return whether the provider's first word on this offer's price is still to come."""
        terms, started_at = self.world.terms.get(offer.site), self.world.started_at
        if offer.price_per_hour is not None or terms is None or started_at is None:
            return False
        unasked = terms.prices.taken_at is None and not terms.prices.error
        return unasked and self.now - started_at < _PRICES_COME

    def tunnel_is_up(self, claim: Claim) -> bool | None:
        """Return whether a central point has the claim's tunnel; None when that cannot be told now."""
        if self.overlay is None or not self.overlay.known:
            return None
        return claim.key in self.overlay.tunnels

    def linked(self, site: str) -> bool:
        """Return whether a router carries the network of a site now."""
        router = self.routers.get(site)
        if router is None or router.state in COMING or router.tunnel_since is None or self.lost(router):
            return False
        return self.tunnel_is_up(router) is True

    def reachable(self, claim: Claim) -> bool:
        """Return whether there is a way to a worker's site, so that its silence says something about itself."""
        site = self.settings.sites.get(claim.offer.site)
        if site is None or site.attach is Attach.LOCAL:
            return True
        if site.attach is Attach.ROUTER:
            return self.linked(site.name)
        looked = self.world.overlay
        without = looked.taken_at is not None and looked.value is None and not looked.error
        return without or (self.overlay is not None and self.overlay.known)

    def closed_for_maintenance(self, claim: Claim) -> str:
        """Return in words why a claim's node is to take no new jobs; empty: it may."""
        if claim.node in self.kept_free.get(claim.offer.site, ()):
            return ""
        return self.closed_for.get((claim.pool, claim.offer.site), "")

    def instance(self, claim: Claim) -> Instance | None:
        """Return the listed instance of a claim, found by its id or its tag."""
        found = self._by_id.get((claim.offer.site, claim.instance_id)) if claim.instance_id else None
        return found or self._by_key.get((claim.offer.site, claim.key))

    def lacks(self, claim: Claim, *, since: datetime | None) -> datetime | None:
        """Return when a complete listing, begun after *since*, was taken that lacks this claim's instance."""
        listing = self.listings.get(claim.offer.site)
        if listing is None or self.instance(claim) is not None:
            return None
        if since is not None and listing.taken_at <= since:
            return None
        return listing.taken_at

    def lost(self, claim: Claim) -> str:
        """Return in words why this claim's VM no longer serves, by the provider's own saying; empty while it does."""
        instance = self.instance(claim)
        site = claim.offer.site
        if instance is not None:
            words = _LOST.get(instance.state)
            if words is None:
                return ""
            return f"{site} says that VM {instance.id} {words}" + (f": {instance.fault}" if instance.fault else "")
        since = claim.missing_since
        taken = self.lacks(claim, since=claim.launched_at)
        if claim.instance_id and since and taken and taken - since >= self.settings.pace.vanished_after:
            return f"{site} has not listed VM {claim.instance_id} since {since:%H:%M:%S}"
        return ""


def make_view(world: World, settings: Settings, now: datetime) -> View:
    """Index *world*, leaving out every observation that is older than ``pace.stale_after``; give the offers of
    *settings* the prices that their providers tell."""
    settings, unpriced = with_prices(settings, world.terms)
    limit = settings.pace.stale_after
    listings = {
        site: listing
        for site, observed in world.listings.items()
        if (listing := observed.fresh(now, limit)) is not None
    }
    spot = [pool for pool in settings.pools.values() if Market.SPOT in pool.markets]
    instances = [instance for listing in listings.values() for instance in listing.instances]
    ours = [instance for instance in instances if instance.cluster == world.cluster]
    # a snapshot that could not be renewed is not acted upon at all: it may not show our own last commands
    snapshot = None if world.lrms.error else world.lrms.fresh(now, limit)
    nodes = snapshot.nodes if snapshot is not None else {}
    windows = upcoming(world.operator, now)
    kept = kept_free(windows, snapshot, world.cluster, now) if windows else {}
    return View(
        world=world,
        settings=settings,
        now=now,
        snapshot=snapshot,
        awake={name: node for name, node in nodes.items() if not node.resting},
        listings=listings,
        pool_by_node=_pool_by_node(settings),
        overlay=world.overlay.fresh(now, limit),
        routers=routers_by_site(world.claims),
        unpriced=unpriced,
        interruptions=spot_seen(world.memory, world.claims.values(), now) if spot else {},
        at_stake={pool.name: work_at_stake(pool, world.lrms.value, now) for pool in spot},
        maintenance=windows,
        closed_for=closures(settings.pools.values(), windows, snapshot, now, kept) if windows else {},
        kept_free=kept,
        _by_key={(instance.site, instance.launch_key): instance for instance in ours if instance.launch_key},
        _by_id={(instance.site, instance.id): instance for instance in ours},
    )


def _pool_by_node(settings: Settings) -> dict[str, Pool]:
    found: dict[str, Pool] = {}
    for pool in settings.pools.values():
        found.update(dict.fromkeys(pool.nodes, pool))
    return found


def routers_by_site(claims: Mapping[str, Claim]) -> dict[str, Claim]:
    """Return the router that carries each site's network or soon will; sites that have none are left out."""
    carrying = [claim for claim in claims.values() if claim.kind is Kind.ROUTER and claim.state in CARRYING]
    # where there are two, the one that has come farthest
    return {claim.offer.site: claim for claim in sorted(carrying, key=lambda one: (one.ready_at is not None, one.key))}
