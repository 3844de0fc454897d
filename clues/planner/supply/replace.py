"""Nodes that have to go although jobs run there: VMs that are too old, and those that are not what is ordered today.

None is ended under a job. An old one takes no further job and goes with its last one; one that differs goes when it
happens to be idle. Neither is called back, and nothing is bought in its place before something wants it.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from clues.model import Claim, Node, Pool
from clues.planner.capacity.breaker import against
from clues.planner.capacity.spread import MOST, spread
from clues.planner.view import View
from clues.units import show_duration


def too_old(view: View, pool: Pool, claim: Claim) -> str:
    """Return in words that a VM is older than its pool allows; empty: it is not."""
    ends = expires_at(pool, claim)
    if pool.max_age is None or ends is None or view.now < ends:
        return ""
    return f"its VM runs since {show_duration(view.now - (claim.launched_at or claim.created_at))}"


def expires_at(pool: Pool, claim: Claim) -> datetime | None:
    """Return when a VM has become too old. VMs that were launched together do not all expire together: each at a moment
    of its own, from four fifths of the age up to all of it."""
    if pool.max_age is None or pool.max_age <= timedelta(0):
        return None
    return (claim.launched_at or claim.created_at) + spread(pool.max_age / (1 + MOST), claim.key)


def differs(pool: Pool, claim: Claim) -> str:
    """Return in words what would be ordered otherwise today; empty: nothing."""
    if not pool.drift or claim.adopted:
        return ""  # what an adopted VM was ordered as is not known
    was = claim.offer
    now = next((one for one in pool.offers if one is was or (one.site == was.site and one.key == was.key)), None)
    if now is None:
        return f"{claim.offer.key} is not offered any more"
    if now.image != claim.offer.image:
        return f"its image is {claim.offer.image}, now it would be {now.image}"
    recipe = pool.recipes.get(claim.offer.site, "")
    if claim.recipe and recipe and recipe != claim.recipe:
        return "what VMs are told at their boot has changed since its launch"
    return ""


def could_be_replaced(view: View, pool: Pool) -> bool:
    """Return whether nothing is held against one of the pool's offers: while none boots, what serves is kept."""
    return any(next(against(view.world.memory, pool.name, offer), None) is None for offer in pool.offers)


def is_spoken_for(claim: Claim, node: Node) -> bool:
    """Return whether a node waits for the job that it was bought for: a gang's mates wait for it."""
    return claim.used_at is None and bool(claim.jobs) and not node.busy
