"""From a purchase on paper to a worker that reports: planned, launching, booting."""

from __future__ import annotations

from clues.model import Claim, ClaimState, InstanceState
from clues.planner.moves import fail, move
from clues.planner.phases.common import ending_wish, held, unwanted
from clues.planner.view import View
from clues.units import show_duration

#: An instance in one of these will not become a worker any more.
_ENDED = {InstanceState.ERROR, InstanceState.GONE, InstanceState.STOPPED, InstanceState.STOPPING}


def step_planned(claim: Claim, view: View) -> Claim:
    """Launch once Slurm is seen to keep the node closed, or has allocated it already and waits for it."""
    if view.pool(claim) is None:
        return move(claim, ClaimState.GONE, "its pool is no longer in the configuration", view.now)
    if wish := ending_wish(claim, view):
        return move(claim, ClaimState.GONE, f"operator: {wish}", view.now)
    node = view.node(claim.node)
    if node is None or not node.understood:
        return claim
    if node.vacant or (node.busy and not node.registered) or "POWERING_UP" in node.flags:
        return move(claim, ClaimState.LAUNCHING, claim.reason, view.now)
    return claim


def step_launching(claim: Claim, view: View) -> Claim:
    """Take up the instance that carries this launch key; give up when the provider had its time."""
    instance = view.instance(claim)
    if instance is not None and instance.state not in _ENDED:
        return move(claim, ClaimState.BOOTING, f"{claim.offer.site} made VM {instance.id}", view.now)
    if instance is not None:
        return fail(claim, "provider", view.lost(claim), view.now)
    pool = view.pool(claim)
    if pool is None:
        return fail(claim, "unwanted", "its pool is no longer in the configuration", view.now)
    waited = view.now - claim.since
    if claim.key not in view.world.in_flight and waited > pool.boot_deadline:
        # safe without knowing what became of it: the claim ends only by the provider's word
        return fail(claim, "launch", f"no VM after {show_duration(waited)}: {claim.reason}", view.now)
    return claim


def step_booting(claim: Claim, view: View) -> Claim:
    """Wait for the worker's enrolment, but not for ever."""
    if lost := view.lost(claim):
        return fail(claim, "provider", lost, view.now)
    node = view.node(claim.node)
    if node is not None and node.kept_by_admin:
        return held(claim, node, view)
    if ending_wish(claim, view):
        return unwanted(claim, view)
    if claim.adopted and node is not None and node.registered:
        # what it told at its enrolment is lost, so it cannot be checked; and as its node is closed, nobody uses it
        return move(claim, ClaimState.DRAINING, "adopted, and cannot be checked any more", view.now)
    pool = view.pool(claim)
    if pool is None:
        return move(claim, ClaimState.DRAINING, "its pool is no longer in the configuration", view.now)
    waited = view.now - (claim.launched_at or claim.since)
    if waited > pool.boot_deadline:
        return fail(claim, "boot", f"did not enrol within {show_duration(pool.boot_deadline)} of its launch", view.now)
    return claim
