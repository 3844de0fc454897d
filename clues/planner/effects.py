"""What has to be asked of the providers: follows from the claims' states alone, whoever set them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from clues.model import Action, Claim, ClaimState, InstanceState, Launch, Terminate
from clues.planner.view import View

#: An instance that still lives so long after it was told to end is told again.
REPEAT_TERMINATE = timedelta(seconds=20)


def provider_actions(view: View, claims: Mapping[str, Claim]) -> tuple[dict[str, Claim], list[Action]]:
    """Return the claims with their calls counted (to be committed before the calls are made), and the calls."""
    changed: dict[str, Claim] = {}
    actions: list[Action] = []
    brake = view.settings.pace.destroys_per_tick
    for claim in claims.values():
        if claim.key in view.world.in_flight:
            continue
        if claim.state is ClaimState.LAUNCHING and _launch_is_due(claim, view):
            changed[claim.key] = replace(claim, launches=claim.launches + 1, launched_at=view.now, missing_since=None)
            actions.append(Launch(claim.key))
        elif claim.state is ClaimState.STOPPING and brake > 0 and _terminate_is_due(claim, view, claims):
            brake -= 1
            changed[claim.key] = replace(claim, terminated_at=view.now)
            actions.append(Terminate(claim.key, claim.offer.site, claim.instance_id))
    return changed, actions


def _launch_is_due(claim: Claim, view: View) -> bool:
    """The first time at once; again only when a complete listing taken since then shows that nothing came of it."""
    if claim.launches == 0:
        return True
    if view.world.operator.paused or view.lacks(claim, since=claim.launched_at) is None:
        return False
    breaker = view.world.memory.breakers.get(claim.offer.site)
    if breaker is not None and breaker.until > view.now:
        return False  # the site has asked for time
    if _sent_before_start(claim.launched_at, view):
        return True
    wait = min(2.0 ** min(claim.launches, 8), 300.0)
    return claim.launched_at is None or view.now - claim.launched_at >= timedelta(seconds=wait)


def _sent_before_start(at: datetime | None, view: View) -> bool:
    """Whether a call was committed by an earlier process, which may have died before it was made."""
    started_at = view.world.started_at
    return at is not None and started_at is not None and at < started_at


def _terminate_is_due(claim: Claim, view: View, claims: Mapping[str, Claim]) -> bool:
    """Only when Slurm can start nothing on the node any more, and the VM is still there."""
    if not claim.instance_id or view.snapshot is None:
        return False
    instance = view.instance(claim)
    if instance is not None and instance.state is InstanceState.GONE:
        return False
    if claim.terminated_at is not None:
        again = _sent_before_start(claim.terminated_at, view) or view.now - claim.terminated_at >= REPEAT_TERMINATE
        if not again or instance is None or view.listings[instance.site].taken_at <= claim.terminated_at:
            return False
    served_by_other = any(
        one.node == claim.node and one.key != claim.key and one.state is not ClaimState.STOPPING
        for one in claims.values()
    )
    node = view.node(claim.node)
    if node is None:
        return claim.node not in view.pool_by_node
    if served_by_other:
        return True
    # closed as well: a slurmctld that lost its state shows the node off and open, and may start a job there any moment
    return node.understood and node.closed and not node.busy and (node.off or node.turning_off)
