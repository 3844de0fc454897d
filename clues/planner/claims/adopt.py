"""VMs that carry our tag and that the ledger does not know: taken in, never simply destroyed.

They turn up when the ledger was lost or rolled back, or when a provider made a VM after it had said that it did not.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from clues.model import (
    NOTHING,
    Claim,
    ClaimState,
    Instance,
    InstanceState,
    Kind,
    Market,
    Node,
    Offer,
    Pool,
    Site,
)
from clues.planner.claims.moves import move
from clues.planner.view import View


def adopt(view: View, claims: Mapping[str, Claim]) -> tuple[dict[str, Claim], tuple[str, ...]]:
    """Return claims for instances that have none, and the names of those that we cannot place and leave alone."""
    found: dict[str, Claim] = {}
    strangers: list[str] = []
    for instance in sorted(_unknown(view, claims), key=lambda one: _likeliest_first(one, view)):
        old = view.world.ended.get(instance.launch_key)
        if old is not None and old.offer.site == instance.site:
            found[old.key] = _late(old, instance, view)
            continue
        claim = _taken_in(instance, view, {**claims, **found})
        if claim is None:
            strangers.append(f"{instance.site}/{instance.id}")
        else:
            found[claim.key] = claim
    return found, tuple(strangers)


def _unknown(view: View, claims: Mapping[str, Claim]) -> Iterable[Instance]:
    ours = [
        instance
        for listing in view.listings.values()
        for instance in listing.instances
        if instance.cluster == view.world.cluster
        and instance.state is not InstanceState.GONE
        and not _is_of(claims.get(instance.launch_key), instance)
    ]
    # what is left carries no launch key of ours, or one that another instance carries too: then it is a second VM
    ids = {(claim.offer.site, claim.instance_id) for claim in claims.values()} if ours else set()
    return [instance for instance in ours if (instance.site, instance.id) not in ids]


def _is_of(claim: Claim | None, instance: Instance) -> bool:
    return claim is not None and claim.offer.site == instance.site and claim.instance_id in ("", instance.id)


def _likeliest_first(instance: Instance, view: View) -> tuple[bool, int, str]:
    """Of two VMs with the tag of one node the real one is where Slurm has the node, or whose tunnel is up; else the
    younger."""
    node = view.node(instance.node)
    elsewhere = node is None or node.address not in instance.addresses
    return (elsewhere and not _tunnel_of(instance, view), -instance.generation, instance.id)


def _tunnel_of(instance: Instance, view: View) -> str:
    """Return the address of the VM's end of its tunnel; empty when no central point has one."""
    tunnel = view.overlay.tunnels.get(instance.launch_key) if view.overlay is not None else None
    return tunnel.address if tunnel is not None else ""


def _late(old: Claim, instance: Instance, view: View) -> Claim:
    claim = move(old, ClaimState.STOPPING, f"VM {instance.id} turned up after its claim had ended", view.now)
    return replace(claim, instance_id=instance.id, missing_since=None, terminated_at=None, confirmed_at=None)


def _taken_in(instance: Instance, view: View, claims: Mapping[str, Claim]) -> Claim | None:
    site = view.settings.sites.get(instance.site)
    if instance.kind == Kind.ROUTER and site is not None and instance.node == site.router_node and instance.launch_key:
        return _router(instance, site, view, claims)
    pool = view.pool_by_node.get(instance.node)
    node = view.node(instance.node)
    if view.snapshot is None:
        return None  # whether it serves cannot be told now
    rival = next((one for one in claims.values() if one.node == instance.node and one.live), None)
    if pool is None:
        if node is not None or not instance.launch_key:
            return None  # a node outside the pools is never touched
        state, reason = ClaimState.STOPPING, "found by its tags; its node is in no pool and not in Slurm"
    elif rival is not None:
        state, reason = ClaimState.STOPPING, f"a second VM for its node, which claim {rival.key} backs"
    else:
        state, reason = _state_of(node)
    return _claim(instance, pool, (state, reason), view, claims)


def _router(instance: Instance, site: Site, view: View, claims: Mapping[str, Claim]) -> Claim:
    rivals = [one for one in claims.values() if one.kind is Kind.ROUTER and one.offer.site == site.name and one.live]
    if rivals:
        state, reason = ClaimState.STOPPING, f"a second router for its site, which has {rivals[0].key}"
    elif _tunnel_of(instance, view):
        state, reason = ClaimState.READY, "found by its tags, its tunnel is up"
    else:
        state, reason = ClaimState.BOOTING, "found by its tags"
    claim = _claim(instance, None, (state, reason), view, claims)
    up_since = view.now if state is ClaimState.READY else None
    claim = replace(claim, node=site.router_node, pool="", ready_at=up_since, tunnel_since=up_since)
    plan = site.router
    return claim if plan is None else replace(claim, offer=plan.offer, shape=plan.shape)


def _state_of(node: Node | None) -> tuple[ClaimState, str]:
    if node is not None and node.registered and (node.busy or not node.closed):
        return ClaimState.READY, "found by its tags, serving"
    return ClaimState.BOOTING, "found by its tags"


def _claim(
    instance: Instance, pool: Pool | None, finding: tuple[ClaimState, str], view: View, claims: Mapping[str, Claim]
) -> Claim:
    state, reason = finding
    offers = pool.offers if pool is not None else ()
    offer = next((one for one in offers if one.key == instance.offer), None)
    offer = offer or next((one for one in offers if one.site == instance.site), None)
    offer = offer or Offer(instance.site, flavor="", image="", market=Market.ON_DEMAND)
    kind = Kind.ROUTER if instance.kind == Kind.ROUTER and pool is None else Kind.WORKER
    tunnel = _tunnel_of(instance, view)
    key = instance.launch_key
    if not key or key in claims or key in view.world.ended:
        key = f"{instance.site}-{instance.id}"  # a key that is taken already: this VM is a second one
    return Claim(
        key=key,
        kind=kind,
        node=instance.node,
        pool=pool.name if pool is not None else instance.pool,
        generation=instance.generation,
        offer=offer,
        shape=pool.shape if pool is not None else NOTHING,
        state=state,
        since=view.now,
        created_at=instance.created_at or view.now,
        reason=reason,
        address=(tunnel if kind is Kind.WORKER else "") or next(iter(instance.addresses), ""),
        tunnel=tunnel,
        mac=next(iter(instance.macs), ""),
        listed_addresses=instance.addresses,
        instance_id=instance.id,
        launches=1,
        launched_at=view.now,
        listed_at=view.now,
        adopted=True,
    )
