"""What several phases look at in the same way."""

from __future__ import annotations

from dataclasses import replace

from clues.model import Claim
from clues.planner.view import View


def with_listing(claim: Claim, view: View) -> Claim:
    """Return the claim with what the latest listing says: its id, its address, and since when it is missing."""
    instance = view.instance(claim)
    if instance is not None:
        listed_at = claim.listed_at or view.listings[instance.site].taken_at
        address = claim.address or next(iter(instance.addresses), "")
        return replace(claim, instance_id=instance.id, address=address, listed_at=listed_at, missing_since=None)
    taken = view.lacks(claim, since=claim.launched_at)
    if taken is not None and claim.missing_since is None:
        return replace(claim, missing_since=taken)
    return claim


def missing_for_good(claim: Claim, view: View) -> bool:
    """Return whether two complete listings, far enough apart, lack the claim's instance."""
    since = claim.missing_since
    taken = view.lacks(claim, since=claim.launched_at)
    return bool(since and taken and taken - since >= view.settings.pace.vanished_after)
