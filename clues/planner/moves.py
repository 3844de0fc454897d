"""The one way in which a claim changes its state."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from clues.lifecycle import may_move
from clues.model import Claim, ClaimState


def move(claim: Claim, state: ClaimState, reason: str, now: datetime, *, failure: str = "") -> Claim:
    """Return *claim* in *state*, with the reason for it.

    :raises ValueError: when the table of :mod:`clues.lifecycle` has no such move: a defect of ours, never of the world.
    """
    if not may_move(claim.state, state):
        raise ValueError(f"claim {claim.key} may not go from {claim.state} to {state}")
    ended = now if state is ClaimState.GONE else None
    return replace(claim, state=state, since=now, reason=reason, failure=failure or claim.failure, ended_at=ended)


def fail(claim: Claim, failure: str, reason: str, now: datetime) -> Claim:
    """Return *claim* as failed; *failure* is the short code that breakers and counters go by."""
    return move(claim, ClaimState.FAILED, reason, now, failure=failure)
