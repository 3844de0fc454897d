"""From a purchase on paper to a VM that reports: planned, launching, booting."""

from __future__ import annotations

from datetime import timedelta

from clues.model import Claim, ClaimState, InstanceState
from clues.planner.claims.batches import made_in_part, whole
from clues.planner.claims.moves import fail, move
from clues.planner.eager import is_eager, powered_down
from clues.planner.phases.common import (
    behind_router,
    boot_deadline,
    cut_off_for_good,
    ending_wish,
    failed_by_provider,
    held,
    missing_for_good,
    reclaimed,
    unwanted,
    waited,
)
from clues.planner.view import View
from clues.units import show_duration

#: An instance in one of these will not become a worker any more.
_ENDED = {InstanceState.ERROR, InstanceState.GONE, InstanceState.STOPPED, InstanceState.STOPPING}


def step_planned(claim: Claim, view: View) -> Claim:
    """Launch once Slurm is seen to keep the node closed, or has allocated it already and has asked for its machine; and
    once there is a way to its site: a worker behind a router could not even enrol without it."""
    if view.pool(claim) is None:
        return move(claim, ClaimState.GONE, "its pool is no longer in the configuration", view.now)
    if wish := ending_wish(claim, view):
        return move(claim, ClaimState.GONE, f"operator: {wish}", view.now)
    if claim.probe and view.now - claim.since > (boot_deadline(claim, view) or timedelta(0)):
        return move(claim, ClaimState.GONE, "its image could not be tried in all this time", view.now)
    node = view.node(claim.node)
    if node is not None and is_eager(view, claim.node) and node.understood and not (node.powering_up or node.busy):
        return move(claim, ClaimState.GONE, "Slurm waits for it no more", view.now)
    no_way = behind_router(claim, view) and not view.linked(claim.offer.site)
    if node is None or not node.understood or view.world.operator.paused or no_way:
        return claim
    if node.vacant or (node.busy and not node.registered and not node.off) or node.machine_asked_for:
        return move(claim, ClaimState.LAUNCHING, claim.reason, view.now)
    return claim


def step_launching(claim: Claim, view: View) -> Claim:
    """Take up the instance that carries this launch key; give up when the provider had its time."""
    instance = view.instance(claim)
    if instance is not None and instance.state not in _ENDED:
        return move(claim, ClaimState.BOOTING, f"{claim.offer.site} made VM {instance.id}", view.now)
    if instance is not None:
        return failed_by_provider(claim, view.lost(claim), view)
    if claim.batch and not whole(claim, view.world.claims) and missing_for_good(claim, view):
        if made_in_part(claim, view.world.claims):
            return fail(
                claim, "no-capacity", f"{claim.offer.site} made others of the same call, and not this", view.now
            )
        return fail(claim, "unknown-outcome", "the call that it was a part of cannot be repeated as it was", view.now)
    if why := powered_down(claim, view.node(claim.node), view):
        return fail(claim, "unwanted", why, view.now)
    deadline = boot_deadline(claim, view)
    if deadline is None:
        return fail(claim, "unwanted", "its pool is no longer in the configuration", view.now)
    asked_for = view.now - claim.since
    if claim.key not in view.world.in_flight and asked_for > deadline:
        # safe without knowing what became of it: the claim ends only by the provider's word
        return fail(claim, "launch", f"no VM after {show_duration(asked_for)}: {claim.reason}", view.now)
    return claim


def step_booting(claim: Claim, view: View) -> Claim:
    """Wait for the worker's enrolment, but not for ever."""
    if lost := view.lost(claim):
        return failed_by_provider(claim, lost, view)
    node = view.node(claim.node)
    if node is not None and node.kept_by_admin:
        return held(claim, node, view)
    if why := powered_down(claim, node, view):
        return fail(claim, "unwanted", why, view.now)
    if ending_wish(claim, view):
        return unwanted(claim, view)
    if claim.reclaimed_at is not None:
        return reclaimed(claim, view)
    if claim.adopted and node is not None and node.registered:
        # what it told at its enrolment is lost, so it cannot be checked; and as its node is closed, nobody uses it
        return move(claim, ClaimState.DRAINING, "adopted, and cannot be checked any more", view.now)
    pool = view.pool(claim)
    if pool is None:
        return move(claim, ClaimState.DRAINING, "its pool is no longer in the configuration", view.now)
    if cut_off := cut_off_for_good(claim, node, pool.boot_deadline, view):
        return fail(claim, "unreachable", cut_off, view.now)
    if waited(claim, claim.launched_at or claim.since, view) > pool.boot_deadline:
        return fail(claim, "boot", f"did not enrol within {show_duration(pool.boot_deadline)} of its launch", view.now)
    return claim
