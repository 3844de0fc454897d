"""The one way out: failed and stopping, until the provider itself says that nothing is left."""

from __future__ import annotations

from clues.model import Claim, ClaimState, InstanceState, Kind
from clues.planner.claims.moves import move
from clues.planner.eager import is_eager
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
    in_slurm = claim.kind is not Kind.ROUTER
    if claim.key in view.world.in_flight or (in_slurm and view.snapshot is None):
        return claim
    if not _is_gone(claim, view):
        return claim
    node = view.node(claim.node)
    others = any(one.key != claim.key for one in view.claims_by_node.get(claim.node, ()))
    waited_for = node is not None and node.powering_up and is_eager(view, claim.node)  # it gets its next VM
    if not in_slurm or node is None or others or node.off or node.turning_off or waited_for:
        return move(claim, ClaimState.GONE, claim.reason, view.now)
    return claim


def _is_gone(claim: Claim, view: View) -> bool:
    """Whether the provider says that the claim's VM is gone. That it is not listed any more says so only together with
    its answer to the termination: a VM that has lost its tags is not listed either."""
    instance = view.instance(claim)
    if instance is not None:
        return instance.state is InstanceState.GONE
    return missing_for_good(claim, view) and (not claim.instance_id or claim.confirmed_at is not None)
