"""One world, indexed for one decision.

What is too old to act upon is not in here at all: a decision that has no fresh snapshot simply finds ``None`` and
leaves Slurm alone; a site without a fresh, complete listing has no instances *and no absences*.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from clues.model import (
    Claim,
    ClusterSnapshot,
    Instance,
    InstanceState,
    Listing,
    Node,
    Pool,
    Settings,
    World,
)


@dataclass(frozen=True)
class View:
    """A world that is fresh enough to decide from, at one moment."""

    world: World
    settings: Settings
    now: datetime
    snapshot: ClusterSnapshot | None
    listings: Mapping[str, Listing]
    pool_by_node: Mapping[str, Pool]
    _by_key: Mapping[tuple[str, str], Instance] = field(repr=False)
    _by_id: Mapping[tuple[str, str], Instance] = field(repr=False)

    def node(self, name: str) -> Node | None:
        """Return a node as Slurm has it now; None when Slurm does not know it or could not be read."""
        return None if self.snapshot is None else self.snapshot.nodes.get(name)

    def pool(self, claim: Claim) -> Pool | None:
        """Return the claim's pool as configured now; None when it was removed from the configuration."""
        pool = self.settings.pools.get(claim.pool)
        return pool if pool is not None and self.pool_by_node.get(claim.node) is pool else None

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
            words = {
                InstanceState.GONE: "is terminated",
                InstanceState.STOPPED: "is stopped",
                InstanceState.ERROR: "is in error",
                InstanceState.STOPPING: "is being stopped by somebody else",
            }.get(instance.state)
            if words is None:
                return ""
            return f"{site} says that VM {instance.id} {words}" + (f": {instance.fault}" if instance.fault else "")
        since = claim.missing_since
        taken = self.lacks(claim, since=claim.launched_at)
        if claim.instance_id and since and taken and taken - since >= self.settings.pace.vanished_after:
            return f"{site} has not listed VM {claim.instance_id} since {since:%H:%M:%S}"
        return ""


def make_view(world: World, settings: Settings, now: datetime) -> View:
    """Index *world*, leaving out every observation that is older than ``pace.stale_after``."""
    limit = settings.pace.stale_after
    listings = {
        site: listing
        for site, observed in world.listings.items()
        if (listing := observed.fresh(now, limit)) is not None
    }
    instances = [instance for listing in listings.values() for instance in listing.instances]
    ours = [instance for instance in instances if instance.cluster == world.cluster]
    return View(
        world=world,
        settings=settings,
        now=now,
        # a snapshot that could not be renewed is not acted upon at all: it may not show our own last commands
        snapshot=None if world.lrms.error else world.lrms.fresh(now, limit),
        listings=listings,
        pool_by_node={name: pool for pool in settings.pools.values() for name in pool.nodes},
        _by_key={(instance.site, instance.launch_key): instance for instance in ours if instance.launch_key},
        _by_id={(instance.site, instance.id): instance for instance in ours},
    )
