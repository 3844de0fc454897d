"""What has to be asked of the providers: follows from the claims' states alone, whoever set them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from clues.model import Action, Claim, ClaimState, InstanceState, Kind, Launch, Terminate
from clues.model.evolve import evolve
from clues.planner.capacity.gates import Gates
from clues.planner.capacity.spread import spread
from clues.planner.claims.batches import whole
from clues.planner.eager import done_with, is_eager
from clues.planner.view import View

#: An instance that still lives so long after it was told to end is told again; a site that has asked for time, or whose
#: calls fail, has it for no longer than this, since every VM costs.
REPEAT_TERMINATE = timedelta(seconds=20)
_LONGEST_REST = timedelta(minutes=2)

#: Claims in one of these may have to be asked for, or ended.
_ASKED = {ClaimState.LAUNCHING, ClaimState.STOPPING}


def provider_actions(view: View, claims: Mapping[str, Claim], gates: Gates) -> tuple[dict[str, Claim], list[Action]]:
    """Return the claims with their calls counted (to be committed before the calls are made), and the calls.

    :param gates: what the breakers let through, with all that is bought in this decision.
    """
    changed: dict[str, Claim] = {}
    actions: list[Action] = []
    brake = view.settings.pace.destroys_per_tick
    concerned = {one.node for one in claims.values() if one.state in _ASKED}
    of_node: dict[str, list[Claim]] = {name: [] for name in concerned}
    for claim in claims.values() if concerned else ():
        if claim.node in concerned:
            of_node[claim.node].append(claim)
    idle = [one for one in claims.values() if one.state in _ASKED and one.key not in view.world.in_flight]
    due = {claim.key for claim in idle if claim.state is ClaimState.LAUNCHING and _launch_is_due(claim, view, gates)}
    for claim in idle:
        if claim.key in due and (not claim.batch or (due.issuperset(claim.batch) and whole(claim, claims))):
            changed[claim.key] = evolve(claim, launches=claim.launches + 1, launched_at=view.now, missing_since=None)
            actions.append(Launch(claim.key))
        elif claim.state is ClaimState.STOPPING and brake > 0 and _terminate_is_due(claim, view, of_node[claim.node]):
            brake -= 1
            changed[claim.key] = evolve(claim, terminated_at=view.now)
            actions.append(Terminate(claim.key, claim.offer.site, claim.instance_id))
    return changed, actions


def _launch_is_due(claim: Claim, view: View, gates: Gates) -> bool:
    """The first time at once; again only when a complete listing taken since then shows that nothing came of it, and
    nothing that others have found since stands against it."""
    if claim.launches == 0:
        return True
    if view.world.operator.paused or view.lacks(claim, since=claim.launched_at) is None:
        return False
    if _rests(claim, claim.launched_at, view):
        return False
    wait = spread(timedelta(seconds=min(2.0 ** min(claim.launches, 8), 300.0)), claim.key, claim.launches)
    waited = claim.launched_at is None or view.now - claim.launched_at >= wait
    return (waited or _sent_before_start(claim.launched_at, view)) and gates.may_send_again(claim)


def _rests(claim: Claim, asked_at: datetime | None, view: View) -> bool:
    """Whether the claim's site is left alone now: it has asked for time, or its calls fail. Of many claims that were
    told so together each comes back at a moment of its own."""
    breaker = view.world.memory.breakers.get(claim.offer.site)
    if breaker is None:
        return False
    asked_at = asked_at or breaker.since
    return view.now - asked_at < spread(breaker.until - asked_at, claim.key)


def _may_repeat_terminate(claim: Claim, at: datetime, view: View) -> bool:
    """Whether it is time to tell the provider again that a VM shall end, as it was told *at*."""
    if _sent_before_start(at, view):
        return True
    passed = view.now - at
    wait = REPEAT_TERMINATE if claim.untagged_since is None else _LONGEST_REST
    return passed >= spread(wait, claim.key) and (passed >= _LONGEST_REST or not _rests(claim, at, view))


def _sent_before_start(at: datetime | None, view: View) -> bool:
    """Whether a call was committed by an earlier process, which may have died before it was made."""
    started_at = view.world.started_at
    return at is not None and started_at is not None and at < started_at


def _terminate_is_due(claim: Claim, view: View, of_node: Iterable[Claim]) -> bool:
    """Only when Slurm can start nothing on the node any more, and the VM is still there. Slurm knows no router."""
    in_slurm = claim.kind is not Kind.ROUTER
    if not claim.instance_id or (in_slurm and view.snapshot is None):
        return False
    instance = view.instance(claim)
    if instance is not None and instance.state is InstanceState.GONE:
        return False
    if claim.terminated_at is not None:
        if not _may_repeat_terminate(claim, claim.terminated_at, view):
            return False
        if instance is not None and view.listings[instance.site].taken_at <= claim.terminated_at:
            return False
        if instance is None and claim.confirmed_at is not None:
            return False  # whether it is gone is now for the listings to say
    if not in_slurm:
        return True
    served_by_other = any(one.key != claim.key and one.state is not ClaimState.STOPPING for one in of_node)
    node = view.node(claim.node)
    if node is None:
        return claim.node not in view.pool_by_node
    if served_by_other:
        return True
    if is_eager(view, claim.node) and node.understood and done_with(node):
        return True
    # closed as well: a slurmctld that lost its state shows the node off and open, and may start a job there any moment
    return node.understood and node.closed and not node.busy and (node.off or node.turning_off)
