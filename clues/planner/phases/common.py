"""What several phases look at in the same way."""

from __future__ import annotations

from dataclasses import replace

from clues.model import Claim, ClaimState, Node, Wish
from clues.planner.moves import move
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


#: An operator's wishes that end a claim, in whichever phase it is.
_ENDING_WISHES = {Wish.OFF, Wish.DRAIN, Wish.DISABLED}


def ending_wish(claim: Claim, view: View) -> Wish | None:
    """Return the operator's standing order that ends this claim, if there is one."""
    wish = view.world.operator.wishes.get(claim.node)
    return wish if wish in _ENDING_WISHES else None


def unwanted(claim: Claim, view: View) -> Claim:
    """Return the claim on its way out by an operator's order, which the idle rule does not take back."""
    claim = move(claim, ClaimState.DRAINING, f"operator: {ending_wish(claim, view)}", view.now)
    return replace(claim, by_operator=True)


def missing_for_good(claim: Claim, view: View) -> bool:
    """Return whether two complete listings, far enough apart, lack the claim's instance."""
    since = claim.missing_since
    taken = view.lacks(claim, since=claim.launched_at)
    return bool(since and taken and taken - since >= view.settings.pace.vanished_after)


def held(claim: Claim, node: Node, view: View) -> Claim:
    """Return the claim on its way out because an admin took its node out of service, with the admin's reason kept."""
    claim = move(claim, ClaimState.DRAINING, f"taken out by an admin: {node.reason}", view.now)
    return replace(claim, held_by=node.reason)
