"""What is too much: nodes idle for longer than their pool allows go, the dearest first; wanted ones are called back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from clues.model import COMING, Claim, ClaimState
from clues.planner.moves import move
from clues.planner.view import View
from clues.units import show_duration


def let_go(view: View, claims: Mapping[str, Claim], needed: Iterable[str]) -> dict[str, Claim]:
    """Return the claims that change: ready ones that are to drain, draining ones that are wanted again.

    :param needed: nodes that pending jobs would use.
    """
    wanted = frozenset(needed)
    changed = {claim.key: claim for claim in _recalled(view, claims, wanted)}
    if view.world.operator.paused:
        return changed
    brake = view.settings.pace.destroys_per_tick
    leaving = sum(1 for claim in claims.values() if claim.state is ClaimState.DRAINING) - len(changed)
    for pool in view.settings.pools.values():
        mine = [claim for claim in claims.values() if claim.pool == pool.name and claim.serving]
        keep = pool.keep_warm
        warm = sum(1 for claim in mine if _is_warm(claim, view))
        for claim in sorted(mine, key=_dearest_first):
            if claim.state is not ClaimState.READY or claim.idle_since is None:
                continue
            idle = view.now - claim.idle_since
            # a node that pending jobs would use is kept, but not for ever: a job that Slurm holds back for something
            # that is not known here would otherwise keep it, and its bill, without end
            patience = pool.idle
            if claim.node in wanted:
                idle = view.now - max(claim.idle_since, claim.opened_at or claim.idle_since)
                patience += view.settings.pace.misread_after
            is_warm = _is_warm(claim, view)
            if idle < patience or (is_warm and warm <= keep) or leaving >= brake:
                continue
            warm -= is_warm
            leaving += 1
            changed[claim.key] = move(claim, ClaimState.DRAINING, f"idle for {show_duration(idle)}", view.now)
    return changed


def too_few(view: View, claims: Mapping[str, Claim]) -> dict[str, int]:
    """Return how many more nodes each pool needs to keep as many warm as it should."""
    lacking = {}
    for pool in view.settings.pools.values():
        if not pool.keep_warm:
            continue
        warm = sum(1 for claim in claims.values() if claim.pool == pool.name and _is_warm(claim, view))
        if warm < pool.keep_warm:
            lacking[pool.name] = pool.keep_warm - warm
    return lacking


def _is_warm(claim: Claim, view: View) -> bool:
    """Whether a claim's node could take a job at once, or soon will."""
    if claim.state is not ClaimState.READY:
        return claim.state in COMING
    node = view.node(claim.node)
    return claim.idle_since is not None and node is not None and node.usable


def _recalled(view: View, claims: Mapping[str, Claim], wanted: frozenset[str]) -> Iterable[Claim]:
    for claim in claims.values():
        node = view.node(claim.node)
        if claim.state is not ClaimState.DRAINING or claim.by_operator or claim.node not in wanted:
            continue
        if claim.opened_at is None:
            continue  # it never passed its checks
        pool = view.settings.pools.get(claim.pool)
        idle = view.now - (claim.idle_since or view.now)
        if pool is None or idle >= pool.idle + view.settings.pace.misread_after:
            continue  # it was let go although wanted: called back, it would be kept for ever
        if node is not None and node.registered and not node.kept_by_admin and view.pool(claim) is not None:
            yield move(claim, ClaimState.READY, "wanted again", view.now)


def _dearest_first(claim: Claim) -> tuple[float, float, str]:
    idle_since = claim.idle_since.timestamp() if claim.idle_since else 0.0
    return (-(claim.offer.price_per_hour or 0.0), idle_since, claim.node)
