"""Joining: the worker has its secrets; its slurmd registers, and what it is gets checked before any job sees it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from clues.model import Attach, Claim, ClaimState, Mode, Node, Pool, Resources
from clues.planner.buying.gangs import mates_of, stands_ready
from clues.planner.claims.checks import check_facts
from clues.planner.claims.moves import fail, move
from clues.planner.eager import powered_down
from clues.planner.phases.common import (
    cut_off_for_good,
    ending_wish,
    failed_by_provider,
    held,
    reclaimed,
    unwanted,
    waited,
)
from clues.planner.view import View
from clues.units import show_duration


def step_joining(claim: Claim, view: View) -> Claim:
    """Declare the worker ready once Slurm sees it and it is what was ordered; its gang decides when it opens."""
    if lost := view.lost(claim):
        return failed_by_provider(claim, lost, view)
    if view.snapshot is None:
        return claim
    pool, node = view.pool(claim), view.node(claim.node)
    if pool is None or node is None:
        return move(claim, ClaimState.DRAINING, "its node or pool is no longer configured", view.now)
    if why := powered_down(claim, node, view):
        return fail(claim, "unwanted", why, view.now)
    if ending_wish(claim, view):
        return unwanted(claim, view)
    if claim.reclaimed_at is not None:
        return reclaimed(claim, view)
    if node.kept_by_admin:
        return held(claim, node, view)
    if pool.mode is Mode.EAGER and (faults := _unfit(claim, view)):
        # Slurm starts its job as soon as slurmd has registered: there is no later moment
        return fail(claim, "check", "; ".join(faults), view.now)
    if not view.reachable(claim):  # what Slurm last heard of it may no longer be so, and its silence is not its own
        cut_off = "" if node.busy else cut_off_for_good(claim, node, pool.join_deadline, view)
        return fail(claim, "unreachable", cut_off, view.now) if cut_off else claim
    if _is_cut_off(claim, view) or not (node.registered or "INVALID_REG" in node.flags):
        if waited(claim, claim.since, view) > pool.join_deadline:
            text = f"slurmd did not register within {show_duration(pool.join_deadline)} of its enrolment"
            return fail(claim, "join", text, view.now)
        return claim
    if faults := _faults(claim, node, view):
        return fail(claim, "check", "; ".join(faults), view.now)
    if claim.ready_at is None:
        claim = replace(claim, ready_at=view.now)
    if pool.mode is Mode.EAGER:
        return move(claim, ClaimState.READY, "slurmd registered, checks passed", view.now)
    if claim.probe:
        return move(claim, ClaimState.DRAINING, f"its image is good: {_what(claim)}", view.now)
    return _open_with_gang(claim, view)


def _what(claim: Claim) -> str:
    """Return what was found of a worker that passed its checks, and how long that took."""
    took = (claim.ready_at or claim.since) - (claim.launched_at or claim.created_at)
    facts = claim.facts
    found = "" if facts is None else f"{Resources(facts.cpus, facts.memory_mib, facts.gpus.gpus)}; "
    return f"{found}slurmd registered, checks passed {show_duration(took)} after the launch"


def _open_with_gang(claim: Claim, view: View) -> Claim:
    """Move to ready alone, or with all mates at once, or give up on mates that do not come."""
    if not claim.gang or not _gang_pending(claim, view):
        return move(claim, ClaimState.READY, "slurmd registered, checks passed", view.now)
    pool = view.pool(claim)
    site = None if pool is not None and pool.span else claim.offer.site
    mates = mates_of(claim.gang, site, view.world.claims.values())
    size = max(one.gang_size for one in mates)
    there = sum(1 for one in mates if one.key == claim.key or _could_open(one, view))
    if there >= size:
        return move(claim, ClaimState.READY, f"all {size} nodes of job {claim.gang} are ready", view.now)
    ready_at = claim.ready_at or view.now
    if pool is not None and view.now - ready_at > _patience(pool, view):
        text = f"the other nodes of job {claim.gang} did not come"
        return move(claim, ClaimState.DRAINING, text, view.now)
    return replace(claim, reason=f"ready; {there} of {size} nodes of job {claim.gang}")


def _patience(pool: Pool, view: View) -> timedelta:
    """Return how long the mates of a gang may take, and where they may lie elsewhere also the routers before them."""
    sites = [view.settings.sites[name] for name in pool.sites if name in view.settings.sites] if pool.span else []
    routers = [site.router for site in sites if site.attach is Attach.ROUTER and site.router is not None]
    first = max((router.boot_deadline + router.join_deadline for router in routers), default=timedelta(0))
    return first + pool.boot_deadline + pool.join_deadline


def _faults(claim: Claim, node: Node, view: View) -> list[str]:
    """Return why a registered worker must never be opened."""
    if "INVALID_REG" in node.flags or node.drained_by_slurm:
        return [f"Slurm refuses it: {node.reason or 'invalid registration'}"]
    return _unfit(claim, view)


def _unfit(claim: Claim, view: View) -> list[str]:
    """Return what a worker told of itself that is not as ordered."""
    if claim.facts is None:
        return []
    return [f"not what was ordered: {fault}" for fault in check_facts(claim.facts, claim.shape, view.settings.pace)]


def _is_cut_off(claim: Claim, view: View) -> bool:
    """Whether the tunnel of a worker that is attached directly is down, whatever Slurm last heard of it."""
    return claim.attached_directly and view.tunnel_is_up(claim) is False


def _could_open(claim: Claim, view: View) -> bool:
    """Whether a mate could be opened now: judged from this same snapshot, so that all mates agree in one tick."""
    if claim.state is ClaimState.READY:
        return stands_ready(claim, view)
    node = view.node(claim.node)
    if claim.state is not ClaimState.JOINING or node is None or not node.registered:
        return False
    if not view.reachable(claim) or _is_cut_off(claim, view):
        return False
    if view.lost(claim) or node.kept_by_admin or ending_wish(claim, view):
        return False
    return not _faults(claim, node, view)


def _gang_pending(claim: Claim, view: View) -> bool:
    snapshot = view.snapshot
    if snapshot is None:
        return False
    return any(job.pending and claim.gang in (job.id, job.het_id, job.array_id) for job in snapshot.jobs)
