"""What an answer from outside makes of a claim: the provider's, and the worker's own word.

These come between ticks, from the workers' threads, and are applied by the thread that owns the ledger.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from clues.errors import CloudError, NotFound, OutcomeUnknown, Throttled, Transient, error_code
from clues.model import Claim, ClaimState, Facts, Kind, LaunchOutcome, Note
from clues.planner.claims.batches import halved
from clues.planner.claims.moves import fail, move, with_instance

#: The launch stays wanted after these; all other refusals end the claim, and another offer is tried.
_TRY_AGAIN = (OutcomeUnknown, Transient, Throttled)


def after_launch(claim: Claim, outcome: LaunchOutcome, now: datetime) -> Claim:
    """Return the claim after the provider's answer to its launch.

    An answer that comes late, after the claim has moved on, only adds the instance's id, so that it can be ended.
    """
    if outcome.instance is not None:
        claim = with_instance(claim, outcome.instance)
        if claim.state is not ClaimState.LAUNCHING:
            return claim
        claim = replace(claim, missing_since=None)  # no listing of the time before could show it
        return move(claim, ClaimState.BOOTING, f"{claim.offer.site} made VM {outcome.instance.id}", now)
    error = outcome.error or CloudError("the connector answered with neither an instance nor an error")
    if claim.state is not ClaimState.LAUNCHING:
        return claim
    if (smaller := halved(claim, error)) is not None:
        return smaller
    if isinstance(error, _TRY_AGAIN):
        return replace(claim, reason=f"launch: {error}")
    return fail(claim, error_code(error), str(error), now)


def after_notice(claim: Claim, text: str, now: datetime) -> Claim:
    """Return the claim after its VM reported that the provider takes it back: drained at once, while its jobs go on.

    A router only has it noted: its successor needs its address, and its workers need it to the end.
    """
    if claim.reclaimed_at is not None:
        return claim
    claim = replace(claim, reclaimed_at=now)
    draining_helps = claim.state in {ClaimState.BOOTING, ClaimState.JOINING, ClaimState.READY}
    if claim.kind is Kind.ROUTER or not draining_helps:
        return claim
    return move(claim, ClaimState.DRAINING, f"{claim.offer.site} takes its VM back: {text or 'no reason told'}", now)


def after_termination(claim: Claim, error: CloudError | None, now: datetime) -> tuple[Claim, list[Note]]:
    """Return the claim after the provider's answer to its termination, and what has to be told at once.

    A VM that is gone is a success; ``NotFound`` says that the VM is there and is not known to be ours: somebody has
    taken its tags. Then it is not ended, whatever the ledger says, since nothing foreign ever is. But its claim does
    not end either, so that somebody is told as long as it costs.
    """
    if error is None:
        return replace(claim, confirmed_at=now, untagged_since=None), []
    if not isinstance(error, NotFound):
        return replace(claim, reason=f"terminate: {error}"), []
    notes = []
    text = untagged(claim)
    if claim.untagged_since is None:
        notes.append(Note(now, "alarm", claim.node, text, (claim.key, claim.instance_id, claim.offer.site)))
    since = claim.untagged_since or now
    return replace(claim, confirmed_at=None, untagged_since=since, reason=text), notes


def untagged(claim: Claim) -> str:
    """Return what a sysadmin has to know and do about a claim's VM that has lost its tags."""
    return (
        f"VM {claim.instance_id} at {claim.offer.site} runs on without this cluster's tags, so it is not ended here: "
        "end it at the provider, or give it its tags back; it may cost until then"
    )


def after_enrolment(claim: Claim, facts: Facts, now: datetime) -> Claim:
    """Return the claim after its VM redeemed the ticket (again, for a retry)."""
    claim = replace(claim, enrolled_at=claim.enrolled_at or now, facts=facts)
    if claim.state in {ClaimState.LAUNCHING, ClaimState.BOOTING}:
        coming = "its tunnel is coming up" if claim.kind is Kind.ROUTER else "slurmd is starting"
        return move(claim, ClaimState.JOINING, f"enrolled; {coming}", now)
    return claim


def after_last_word(claim: Claim, text: str, now: datetime) -> Claim:
    """Return the claim after its worker reported that its boot failed."""
    if claim.state in {ClaimState.LAUNCHING, ClaimState.BOOTING, ClaimState.JOINING}:
        return fail(claim, "boot", f"its boot failed: {text}", now)
    return claim
