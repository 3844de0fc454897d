"""The phases of a router: it enrols, its tunnel comes up, it carries its site's network. Slurm does not know it.

A router whose tunnel is missing is judged only by central points that work, and by two looks at them: what cannot be
asked says nothing. When it goes follows from the workers of its site, in :mod:`clues.planner.routers`.
"""

from __future__ import annotations

from dataclasses import replace

from clues.model import Claim, ClaimState
from clues.planner.claims.moves import fail, move
from clues.planner.phases.common import (
    boot_deadline,
    ending_wish,
    failed_by_provider,
    router_plan,
    silent_for,
    unwanted,
)
from clues.planner.view import View
from clues.units import show_duration


def step_planned(claim: Claim, view: View) -> Claim:
    """Launch once its predecessor is gone, whose address it takes over."""
    if wish := ending_wish(claim, view):
        return move(claim, ClaimState.GONE, f"operator: {wish}", view.now)
    before = any(one.key != claim.key for one in view.claims_by_node.get(claim.node, ()))
    if before or view.world.operator.paused:
        return claim
    return move(claim, ClaimState.LAUNCHING, claim.reason, view.now)


def step_booting(claim: Claim, view: View) -> Claim:
    """Wait for the router's enrolment, but not for ever. An adopted one has enrolled long ago."""
    if lost := view.lost(claim):
        return failed_by_provider(claim, lost, view)
    if ending_wish(claim, view):
        return unwanted(claim, view)
    up = view.tunnel_is_up(claim)
    if up:
        return move(claim, ClaimState.JOINING, "its tunnel is seen", view.now)
    deadline = boot_deadline(claim, view)
    if deadline is None or (claim.adopted and up is None):
        return claim
    if view.now - (claim.launched_at or claim.since) > deadline:
        return fail(claim, "boot", f"did not enrol within {show_duration(deadline)} of its launch", view.now)
    return claim


def step_joining(claim: Claim, view: View) -> Claim:
    """Declare the router ready once a central point has its tunnel."""
    if lost := view.lost(claim):
        return failed_by_provider(claim, lost, view)
    if ending_wish(claim, view):
        return unwanted(claim, view)
    if view.tunnel_is_up(claim):
        claim = move(claim, ClaimState.READY, "its tunnel is up", view.now)
        return replace(claim, ready_at=claim.ready_at or view.now)
    if view.tunnel_is_up(claim) is None:
        return _unheard(claim, view)
    deadline = router_plan(claim, view).join_deadline
    if silent_for(claim, view) > deadline:
        text = f"its tunnel did not come up within {show_duration(deadline)} of its enrolment"
        return fail(claim, "join", text, view.now)
    return claim


def _unheard(claim: Claim, view: View) -> Claim:
    """Wait for a central point that can be asked, but not for ever: this VM costs, and carries nothing yet."""
    deadline = router_plan(claim, view).boot_deadline
    waited_for = view.now - max(claim.since, view.world.started_at or claim.since)
    if waited_for <= deadline:
        return claim
    # held against its offer, though not its fault: else the next one would be started into the same silence
    text = f"no central point could be asked for its tunnel in {show_duration(waited_for)} since its enrolment"
    return fail(claim, "join", text, view.now)


def step_ready(claim: Claim, view: View) -> Claim:
    """Watch a router: whether its VM lives, whether its tunnel is up, whether an operator wants it out."""
    watched = step_draining(claim, view)
    if watched is claim and ending_wish(claim, view):
        return unwanted(claim, view)
    return watched


def step_draining(claim: Claim, view: View) -> Claim:
    """Carry the network on for the workers that are left, as long as it can."""
    if lost := view.lost(claim):
        return fail(claim, "vanished", lost, view.now)
    silent = silent_for(claim, view)
    if silent >= router_plan(claim, view).silent_after:
        return fail(claim, "silent", f"its tunnel has been down for {show_duration(silent)}", view.now)
    return claim
