"""What several phases look at in the same way."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from clues.errors import CLOUD_ERRORS
from clues.model import Attach, Claim, ClaimState, InstanceState, Kind, Node, RouterPlan, Wish
from clues.model.evolve import evolve
from clues.planner.capacity.breaker import FORGIVEN
from clues.planner.claims.moves import fail, move, with_instance
from clues.planner.money.prices import price_of
from clues.planner.view import View
from clues.units import show_duration

#: A worker in one of these may have a VM that has to be reached.
_HAS_VM = {ClaimState.BOOTING, ClaimState.JOINING, ClaimState.READY, ClaimState.DRAINING}


def with_listing(claim: Claim, view: View) -> Claim:
    """Return the claim with what the latest listing says: its id, its addresses, and since when it is missing."""
    instance = view.instance(claim)
    if instance is not None:
        if claim.missing_since is not None or claim.instance_id != instance.id:
            claim = evolve(claim, instance_id=instance.id, missing_since=None)
        claim = with_instance(claim, instance)
        if claim.listed_at is None and instance.state is InstanceState.RUNNING:
            claim = evolve(claim, listed_at=view.listings[instance.site].taken_at)
        return claim
    taken = view.lacks(claim, since=claim.launched_at)
    started_at, since = view.world.started_at, claim.missing_since
    # how far apart two listings are is known within one run only: the wall clock may be set while no daemon runs
    if taken is not None and (since is None or (started_at is not None and since < started_at)):
        return evolve(claim, missing_since=taken)
    return claim


def with_price(claim: Claim, view: View) -> Claim:
    """Return the claim with the price that it was bought at; where none was known then, the first that is."""
    if claim.offer.price_per_hour is not None or claim.offer.site not in view.world.terms:
        return claim
    price = price_of(claim.offer, view.world.terms[claim.offer.site], view.settings).amount
    return claim if price is None else replace(claim, offer=replace(claim.offer, price_per_hour=price))


def with_tunnel(claim: Claim, view: View) -> Claim:
    """Return the claim with what the central points say of its tunnel: since when it is up, or missing."""
    if claim.kind is not Kind.ROUTER and not claim.attached_directly:
        return claim
    up = view.tunnel_is_up(claim)
    if up:
        return replace(claim, tunnel_since=claim.tunnel_since or view.now, tunnel_missing_since=None)
    if up is None:  # no central point works, or nobody could be asked: then it may be up as before
        since = claim.tunnel_since if view.overlay is None else None
        return replace(claim, tunnel_since=since, tunnel_missing_since=None)
    missing_since = claim.tunnel_missing_since or view.world.overlay.taken_at
    return replace(claim, tunnel_since=None, tunnel_missing_since=missing_since)


def sites_cut_off(view: View) -> frozenset[str]:
    """Return the sites behind a router to which there is no way now."""
    routed = (name for name, site in view.settings.sites.items() if site.attach is Attach.ROUTER)
    return frozenset(name for name in routed if not view.linked(name))


def with_way(claim: Claim, view: View, cut_off: frozenset[str]) -> Claim:
    """Return a worker that has a VM with since when there is no way to it.

    :param cut_off: what :func:`sites_cut_off` says.
    """
    if claim.kind is Kind.ROUTER or claim.state not in _HAS_VM:
        return claim
    since = (claim.cut_off_since or view.now) if claim.offer.site in cut_off else None
    return claim if since == claim.cut_off_since else evolve(claim, cut_off_since=since)


def cut_off_for_good(claim: Claim, node: Node | None, deadline: timedelta, view: View) -> str:
    """Return in words for how long a worker that was never opened has waited in vain for a way to its site.

    Empty while it may still come: it has its own *deadline*, and one more router the time that routers have. What an
    adopted VM did before it was found is not known: it may have served.
    """
    if claim.adopted:
        return "" if node is None else lost_to_all(claim, node, view)
    return _cut_off_longer(claim, deadline, view)


def lost_to_all(claim: Claim, node: Node, view: View) -> str:
    """Return in words for how long a worker that has served has been out of reach, where it is of no use any more.

    Empty while its router may come back, which has the time that another one and another worker would take to come. And
    as long as Slurm hears its slurmd, or counts a job there: one that it has written off is ended when it is back.
    """
    pool = view.pool(claim)
    if node.busy or pool is None or (node.registered and "DOWN" not in node.flags):
        return ""
    return _cut_off_longer(claim, pool.boot_deadline + pool.join_deadline, view)


def _cut_off_longer(claim: Claim, deadline: timedelta, view: View) -> str:
    """Return in words for how long there is no way to a worker, if that is longer than *deadline* and than one more
    router may take. What this daemon did not see does not count."""
    if claim.cut_off_since is None:
        return ""
    plan = router_plan(claim, view)
    waited_for = view.now - max(claim.cut_off_since, view.world.started_at or claim.cut_off_since)
    if waited_for <= deadline + plan.boot_deadline + plan.join_deadline:
        return ""
    return f"no way to {claim.offer.site} for {show_duration(waited_for)}"


def behind_router(claim: Claim, view: View) -> bool:
    """Return whether a worker is reached through its site's router."""
    site = view.settings.sites.get(claim.offer.site)
    return site is not None and site.attach is Attach.ROUTER


def silent_for(claim: Claim, view: View) -> timedelta:
    """Return how far apart two looks of this phase are that lack the claim's tunnel, with none between that has it."""
    since, taken = claim.tunnel_missing_since, view.world.overlay.taken_at
    if view.tunnel_is_up(claim) is not False or since is None or taken is None:
        return timedelta(0)
    return max(timedelta(0), taken - max(since, claim.since))


def waited(claim: Claim, since: datetime, view: View) -> timedelta:
    """Return how long a worker has had its chance: since *since*, and with a way to it. Zero while there is none."""
    if not view.reachable(claim):
        return timedelta(0)
    if claim.attached_directly:
        began = claim.tunnel_since or claim.tunnel_missing_since
    else:
        router = view.routers.get(claim.offer.site)
        began = router.tunnel_since if router is not None else None
    return view.now - max(since, began or since)


def router_plan(claim: Claim, view: View) -> RouterPlan:
    """Return how long a router may take; with the usual times once its site is configured without one."""
    site = view.settings.sites.get(claim.offer.site)
    return (site.router if site is not None else None) or RouterPlan(claim.offer)


def boot_deadline(claim: Claim, view: View) -> timedelta | None:
    """Return how long a VM may take to enrol; None when its pool is no longer configured."""
    if claim.kind is Kind.ROUTER:
        return router_plan(claim, view).boot_deadline
    pool = view.pool(claim)
    return None if pool is None else pool.boot_deadline


#: An operator's wishes that end a claim, in whichever phase it is.
ENDING_WISHES = {Wish.OFF, Wish.DRAIN, Wish.DISABLED}


def ending_wish(claim: Claim, view: View) -> Wish | None:
    """Return the operator's standing order that ends this claim, if there is one."""
    wish = view.world.operator.wishes.get(claim.node)
    return wish if wish in ENDING_WISHES else None


def unwanted(claim: Claim, view: View) -> Claim:
    """Return the claim on its way out by an operator's order, which the idle rule does not take back."""
    claim = move(claim, ClaimState.DRAINING, f"operator: {ending_wish(claim, view)}", view.now)
    return replace(claim, by_operator=True)


def failed_by_provider(claim: Claim, lost: str, view: View) -> Claim:
    """Return the claim of a VM that came to nothing at its provider, failed with the code that this amounts to.

    :param lost: what :meth:`View.lost` says of it.
    """
    instance = view.instance(claim)
    code = instance.fault_code if instance is not None else ""  # EC2 tells it of VMs that are terminated already
    # something has to be held against somebody: what is forgiven would be bought again in the same second
    known = code in CLOUD_ERRORS and code not in FORGIVEN
    return fail(claim, code if known else "provider", lost, view.now)


def reclaimed(claim: Claim, view: View) -> Claim:
    """Return the claim of a VM that its provider takes back soon on its way out, if it is not yet."""
    return move(claim, ClaimState.DRAINING, f"{claim.offer.site} takes its VM back", view.now)


def missing_for_good(claim: Claim, view: View) -> bool:
    """Return whether two complete listings, far enough apart, lack the claim's instance."""
    since = claim.missing_since
    taken = view.lacks(claim, since=claim.launched_at)
    return bool(since and taken and taken - since >= view.settings.pace.vanished_after)


def held(claim: Claim, node: Node, view: View) -> Claim:
    """Return the claim on its way out because an admin took its node out of service, with the admin's reason kept."""
    claim = move(claim, ClaimState.DRAINING, f"taken out by an admin: {node.reason}", view.now)
    return replace(claim, held_by=node.reason)
