"""Serving and leaving: ready and draining. Only here may a VM have jobs, and nothing here ends one."""

from __future__ import annotations

from dataclasses import replace

from clues.model import Claim, ClaimState, Node
from clues.planner.moves import fail, move
from clues.planner.phases.common import ending_wish, held, unwanted
from clues.planner.view import View


def step_ready(claim: Claim, view: View) -> Claim:
    """Watch a serving node: whether it lives, whether somebody wants it out, since when it is idle."""
    if lost := view.lost(claim):
        return fail(claim, "vanished", lost, view.now)
    if view.snapshot is None:
        return claim
    node = view.node(claim.node)
    if node is None or view.pool(claim) is None:
        return move(claim, ClaimState.DRAINING, "its node or pool is no longer configured", view.now)
    if not node.understood:
        return claim
    if ending_wish(claim, view):
        return unwanted(claim, view)
    if node.kept_by_admin:
        return held(claim, node, view)
    if node.drained_by_slurm:
        return move(claim, ClaimState.DRAINING, f"Slurm took it out: {node.reason}", view.now)
    if claim.opened_at is not None and (node.off or node.turning_off):
        return move(claim, ClaimState.DRAINING, "Slurm has powered it down", view.now)
    return _watch_use(claim, node, view)


def step_draining(claim: Claim, view: View) -> Claim:
    """Stop once a fresh look shows the node drained and idle: from then on no job can start there."""
    if lost := view.lost(claim):
        return fail(claim, "vanished", lost, view.now)
    if view.snapshot is None or view.snapshot.taken_at <= claim.since:
        return claim
    node = view.node(claim.node)
    if node is None:
        if claim.node in view.pool_by_node:
            return claim  # Slurm does not show it now; what cannot be seen is not stopped
        return move(claim, ClaimState.STOPPING, "its node is no longer in Slurm", view.now)
    if not node.understood or node.busy or not (node.closed or node.off):
        if claim.held_by and not node.closed:
            claim = replace(claim, held_by="")  # the admin has released it: nothing of theirs is left to put back
        return _watch_use(claim, node, view)
    return move(claim, ClaimState.STOPPING, claim.reason, view.now)


def _watch_use(claim: Claim, node: Node, view: View) -> Claim:
    opened_at = claim.opened_at or (view.now if node.usable else None)
    if node.busy:
        return replace(claim, opened_at=opened_at, used_at=claim.used_at or view.now, idle_since=None)
    idle_since = claim.idle_since or view.now
    if node.last_busy is not None:  # jobs may come and go between two looks
        idle_since = max(idle_since, min(node.last_busy, view.now))
    return replace(claim, opened_at=opened_at, idle_since=idle_since)
