"""Why a node that serves is kept, in words for ``clues explain``."""

from __future__ import annotations

from collections.abc import Mapping

from clues.model import Claim, ClaimState, Kind
from clues.planner.supply.patience import stay
from clues.planner.supply.replace import differs, expires_at
from clues.planner.supply.warm import is_warm, warm_wanted
from clues.planner.view import View
from clues.units import show_duration


def why_kept(view: View, claims: Mapping[str, Claim], claim: Claim) -> list[str]:
    """Return what holds a ready node, and what it is going to leave for; nothing for others."""
    pool = view.pool(claim)
    if pool is None or claim.state is not ClaimState.READY or claim.kind is not Kind.WORKER:
        return []
    lines = []
    keep = warm_wanted(view, pool)
    warm = sum(1 for one in claims.values() if one.pool == pool.name and is_warm(one, view))
    kept = stay(view, pool, claim)
    if kept is not None and keep and warm <= keep:
        open_now = [one for one in pool.keep_warm if one.nodes == keep and one.holds(view.now)]
        closes = max((at for one in open_now if (at := one.until(view.now))), default=None)
        lines.append(f"Kept warm: pool {pool.name} wants {keep}" + (f" until {closes:%H:%M} UTC." if closes else "."))
    elif kept is not None:
        left = show_duration(kept.until - view.now)
        lines.append(f"Kept: {kept.why}; it goes in {left}." if kept.until > view.now else "It goes at the next tick.")
    if (ends := expires_at(pool, claim)) is not None:
        lines.append(f"It takes no further job from {ends:%Y-%m-%d %H:%M} UTC on, as its VM is too old then.")
    if why := differs(pool, claim):
        lines.append(f"It goes when it is idle: {why}.")
    return lines
