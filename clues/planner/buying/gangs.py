"""Gangs: nodes of one job that are opened together, at one site unless their pool may span sites."""

from __future__ import annotations

from collections.abc import Iterable

from clues.model import COMING, Claim, ClaimState
from clues.planner.view import View


def mates_of(gang: str, site: str | None, claims: Iterable[Claim]) -> list[Claim]:
    """Return the claims that serve a gang at *site* (None: at any): those elsewhere do not make it whole."""
    if not gang:
        return []
    return [one for one in claims if one.gang == gang and one.serving and site in (None, one.offer.site)]


def stands_ready(claim: Claim, view: View) -> bool:
    """Whether a mate's node is open and free: another task of the same array may have taken it, or an admin."""
    node = view.node(claim.node)
    there = node is not None and not (node.busy or node.off or node.kept_by_admin)
    return claim.state is ClaimState.READY and there


def could_open_soon(claim: Claim, view: View) -> bool:
    """Whether a mate is on its way, or stands ready."""
    return claim.state in COMING or stands_ready(claim, view)
