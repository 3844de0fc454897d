"""What room the cluster has, or will have when the VMs that were asked for have come."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from dataclasses import replace

from clues.model import NOTHING, Claim, ClaimState, ClusterSnapshot, Leaving, Mode, Node, Pool
from clues.planner.queue.bins import Bins, Likes, Origin
from clues.planner.queue.features import pool_features
from clues.planner.view import View


def reservations_by_node(snapshot: ClusterSnapshot) -> dict[str, frozenset[str]]:
    """Return the names of the reservations on each node that has any."""
    found: dict[str, set[str]] = {}
    for reservation in snapshot.reservations:
        for name in reservation.nodes:
            found.setdefault(name, set()).add(reservation.name)
    return {name: frozenset(names) for name, names in found.items()}


def partitions_by_pool(view: View, snapshot: ClusterSnapshot) -> dict[str, frozenset[str]]:
    """Return the partitions of each pool's nodes: what the configuration says, and what Slurm has besides
    (``PartitionName=all Nodes=ALL``)."""
    return {
        pool.name: frozenset(pool.partitions).union(
            *{node.partitions for name in pool.nodes if (node := snapshot.nodes.get(name)) is not None}
        )
        for pool in view.settings.pools.values()
    }


def find_room(view: View, claims: Mapping[str, Claim], reserved: Mapping[str, frozenset[str]]) -> Bins:
    """Return all room: open nodes (ours and the on-premises ones), those that are starting, those that could stay."""
    bins = Bins()
    snapshot = view.snapshot
    if snapshot is None:
        return bins
    by_node = serving_by_node(claims.values())
    running_on = {name for job in view.running for name in job.nodes}
    pending = {job.id for job in view.pending}
    for name in [name for name in snapshot.nodes if name in view.awake or name in by_node]:
        node, claim = snapshot.nodes[name], by_node.get(name)
        if node.used.cpus >= node.capacity.cpus and name in running_on and node.usable:
            continue  # full, as most of a busy cluster's
        pool = view.pool_by_node.get(name)
        if claim is not None and name not in running_on and _just_taken(view, node, claim, pending):
            node = replace(node, used=NOTHING)
        likes = _likes(view, node, claim, pool, reserved.get(name, frozenset()))
        if likes is not None:
            bins.add(likes, name)
    return bins


def serving_by_node(claims: Iterable[Claim]) -> dict[str, Claim]:
    """Return the claims that serve or can be called back, by node."""
    return {claim.node: claim for claim in claims if claim.serving or claim.state is ClaimState.DRAINING}


def _likes(
    view: View, node: Node, claim: Claim | None, pool: Pool | None, reservations: frozenset[str]
) -> Likes | None:
    if not node.understood or (claim is not None and view.closed_for_maintenance(claim)):
        return None
    if node.usable:
        if node.used.cpus >= node.capacity.cpus:
            return None
        features = node.active_features or node.features
        site = claim.offer.site if claim is not None else ""
        return Likes(node.capacity, node.free, features, node.partitions, site, Origin.OPEN, reservations)
    eager = pool is not None and pool.mode is Mode.EAGER
    if claim is None and eager and node.off and not node.closed and not node.busy:
        # Slurm powers it up by itself, for whichever job it gives it to
        return Likes(node.capacity, node.free, node.features, node.partitions, "", Origin.OPEN, reservations)
    if claim is None or pool is None or node.kept_by_admin or claim.probe:
        return None
    features = pool_features(pool, claim.offer)
    if claim.state is ClaimState.DRAINING:
        goes = claim.by_operator or claim.reclaimed_at is not None or claim.leaving in (Leaving.OLD, Leaving.DIFFERS)
        leaves = goes or claim.opened_at is None or node.drained_by_slurm or bool(view.lost(claim))
        if leaves or eager or not node.registered or (node.busy and claim.leaving is not Leaving.SPARE):
            return None
        origin = Origin.LEAVING
    elif claim.state is ClaimState.READY and not node.registered and not _just_opened(view, node, claim, pool):
        return None  # it should serve and does not: nothing to count on
    else:
        origin = Origin.STARTING
    free = node.free if node.busy else pool.shape
    return Likes(pool.shape, free, features, node.partitions, claim.offer.site, origin, reservations)


def _just_opened(view: View, node: Node, claim: Claim, pool: Pool) -> bool:
    """Whether the node will serve in a moment: Slurm 22.05 shows NOT_RESPONDING from its opening to its next answer."""
    return claim.used_at is None and not node.off and view.now - claim.since <= pool.join_deadline


def _just_taken(view: View, node: Node, claim: Claim, pending: Set[str]) -> bool:
    """Whether the job that a node was bought for has started there while Slurm was looked at.

    Jobs are read before nodes, so it still reads as pending, and its node as taken: counted so, another VM would be
    bought for it.
    """
    first_use = claim.used_at is None or claim.used_at == view.now
    return node.busy and first_use and not pending.isdisjoint(claim.jobs)
