"""The one way out: failed and stopping, until the provider itself says that nothing is left."""

from __future__ import annotations

from clues.model import Claim, ClaimState, InstanceState
from clues.planner.moves import move
from clues.planner.phases.common import missing_for_good
from clues.planner.view import View

#: Failures after which the provider has certainly made nothing.
_NOTHING_MADE = {"no-capacity", "quota", "auth", "invalid", "throttled"}


def step_failed(claim: Claim, view: View) -> Claim:
    """End a failed claim; directly only where certainly no VM was made."""
    certain = not claim.instance_id and claim.launches <= 1 and claim.failure in _NOTHING_MADE
    if certain and claim.key not in view.world.in_flight:
        return move(claim, ClaimState.GONE, claim.reason, view.now)
    return move(claim, ClaimState.STOPPING, claim.reason, view.now)


def step_stopping(claim: Claim, view: View) -> Claim:
    """Close the claim when its VM is gone by the provider's word and Slurm knows the node to be off."""
    if claim.key in view.world.in_flight or view.snapshot is None:
        return claim
    instance = view.instance(claim)
    gone = instance.state is InstanceState.GONE if instance is not None else missing_for_good(claim, view)
    if not gone:
        return claim
    node = view.node(claim.node)
    others = any(one.node == claim.node and one.key != claim.key for one in view.world.claims.values())
    if node is None or others or node.off or node.turning_off:
        return move(claim, ClaimState.GONE, claim.reason, view.now)
    return claim
