"""What an answer from outside makes of a claim: the provider's, and the worker's own word.

These come between ticks, from the workers' threads, and are applied by the thread that owns the ledger.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from clues.errors import CloudError, OutcomeUnknown, Throttled, Transient, error_code
from clues.model import Claim, ClaimState, Facts, Instance, LaunchOutcome
from clues.planner.moves import fail, move

#: The launch stays wanted after these; all other refusals end the claim, and another offer is tried.
_TRY_AGAIN = (OutcomeUnknown, Transient, Throttled)


def after_launch(claim: Claim, outcome: LaunchOutcome, now: datetime) -> Claim:
    """Return the claim after the provider's answer to its launch.

    An answer that comes late, after the claim has moved on, only adds the instance's id, so that it can be ended.
    """
    if outcome.instance is not None:
        claim = _with_instance(claim, outcome.instance)
        if claim.state is not ClaimState.LAUNCHING:
            return claim
        return move(claim, ClaimState.BOOTING, f"{claim.offer.site} made VM {outcome.instance.id}", now)
    error = outcome.error or CloudError("the connector answered with neither an instance nor an error")
    if claim.state is not ClaimState.LAUNCHING:
        return claim
    if isinstance(error, _TRY_AGAIN):
        return replace(claim, reason=f"launch: {error}")
    return fail(claim, error_code(error), str(error), now)


def after_enrolment(claim: Claim, facts: Facts, now: datetime) -> Claim:
    """Return the claim after its worker redeemed the ticket (again, for a retry)."""
    claim = replace(claim, enrolled_at=claim.enrolled_at or now, facts=facts)
    if claim.state in {ClaimState.LAUNCHING, ClaimState.BOOTING}:
        return move(claim, ClaimState.JOINING, "enrolled; slurmd is starting", now)
    return claim


def after_last_word(claim: Claim, text: str, now: datetime) -> Claim:
    """Return the claim after its worker reported that its boot failed."""
    if claim.state in {ClaimState.LAUNCHING, ClaimState.BOOTING, ClaimState.JOINING}:
        return fail(claim, "boot", f"its boot failed: {text}", now)
    return claim


def _with_instance(claim: Claim, instance: Instance) -> Claim:
    address = claim.address or next(iter(instance.addresses), "")
    return replace(claim, instance_id=claim.instance_id or instance.id, address=address)
