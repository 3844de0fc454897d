"""Serving and leaving: ready and draining. Only here may a VM have jobs, and nothing here ends one."""

from __future__ import annotations

from datetime import datetime

from clues.model import Claim, ClaimState, Node
from clues.model.evolve import evolve
from clues.planner.claims.moves import fail, move
from clues.planner.eager import done_with, is_eager
from clues.planner.phases.common import ending_wish, held, lost_to_all, reclaimed, unwanted
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
    if claim.reclaimed_at is not None:
        return reclaimed(claim, view)
    if node.kept_by_admin:
        return held(claim, node, view)
    if not view.reachable(claim):  # what Slurm says of it now it says of the way to it
        why = lost_to_all(claim, node, view)
        return move(claim, ClaimState.DRAINING, why, view.now) if why else claim
    if node.drained_by_slurm:
        return move(claim, ClaimState.DRAINING, f"Slurm took it out: {node.reason}", view.now)
    eager = is_eager(view, claim.node)
    if (claim.opened_at is not None or eager) and (node.off or node.turning_off):
        return move(claim, ClaimState.DRAINING, "Slurm has powered it down", view.now)
    if eager and node.powering_up:
        return move(claim, ClaimState.DRAINING, "Slurm has powered it down, and up again", view.now)
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
    if node.understood and is_eager(view, claim.node) and done_with(node):
        return move(claim, ClaimState.STOPPING, claim.reason, view.now)
    # out of reach: its jobs, which Slurm may have written off, may still run there, and could go on for a while yet
    cut_off = not (view.reachable(claim) or node.registered or node.off or claim.by_operator)
    cut_off = cut_off and not lost_to_all(claim, node, view)
    if not node.understood or node.busy or not (node.closed or node.off) or cut_off:
        if claim.held_by and not node.closed:
            claim = evolve(claim, held_by="")  # the admin has released it: nothing of theirs is left to put back
        return _watch_use(claim, node, view)
    return move(claim, ClaimState.STOPPING, claim.reason, view.now)


def _watch_use(claim: Claim, node: Node, view: View) -> Claim:
    opened_at = claim.opened_at or (view.now if node.usable else None)
    used_at, idle_since = claim.used_at, None
    if node.busy:
        used_at = used_at or view.now
    else:
        # Jobs may come and go between two looks. A time yet to come was told by a clock that has been set back since.
        last_busy = node.last_busy if node.last_busy is not None and node.last_busy <= view.now else None
        idle_since = claim.idle_since or _emptied_at(claim, last_busy, view)
        idle_since = max(idle_since, last_busy or idle_since)
    if (opened_at, used_at, idle_since) == (claim.opened_at, claim.used_at, claim.idle_since):
        return claim
    return evolve(claim, opened_at=opened_at, used_at=used_at, idle_since=idle_since)


def _emptied_at(claim: Claim, last_busy: datetime | None, view: View) -> datetime:
    """Return since when a node is idle that was not at the last look: since its last job left it by Slurm's word, or
    since it was opened; but no earlier than that look, whatever clocks say."""
    seen_at = view.world.seen.at
    since = last_busy
    if claim.opened_at is None and claim.state is ClaimState.READY:
        since = max(claim.since, last_busy or claim.since)
    if since is None or seen_at is None:
        return view.now
    return min(view.now, max(since, seen_at, claim.opened_at or since))
