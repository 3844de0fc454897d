"""What a provider charges for a VM's time: in whole periods where it does, and never for less than its minimum.

Both the books and the planner reckon here, so that what is booked and what an idle VM is kept for are the same.  Time
runs from the launch: who counts from the moment at which the VM runs charges a little later, and a period that is
thought to end too soon costs seconds, one that is thought to end too late a whole one.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from clues.model import Billing, Claim, Offer

_NONE = timedelta(0)


def in_steps(offer: Offer) -> bool:
    """Return whether time is not simply charged by the moment."""
    return bool(offer.billing.period or offer.billing.minimum)


def charged(billing: Billing, elapsed: timedelta) -> timedelta:
    """Return how much time is charged for once so much of it has *elapsed*."""
    if elapsed <= _NONE:
        return _NONE
    elapsed = max(elapsed, billing.minimum)
    if not billing.period:
        return elapsed
    return max(1, -(-elapsed // billing.period)) * billing.period


def charged_pieces(
    claim: Claim, since: datetime, hours: Sequence[tuple[datetime, float]]
) -> list[tuple[datetime, float]]:
    """Return the hours that are charged for of each of these hours that follow on *since*: when it began, and how much
    of it has passed. What is charged ahead falls into the hour in which its period begins."""
    began = claim.launched_at or since
    found, at, before = [], since, charged(claim.offer.billing, since - began)
    for begin, length in hours:
        at += timedelta(hours=length)
        after = charged(claim.offer.billing, at - began)
        found.append((begin, (after - before) / timedelta(hours=1)))
        before = after
    return found


def paid_until(claim: Claim, at: datetime) -> datetime:
    """Return until when a VM is paid for anyhow, if it lives at *at*; that moment itself where time is charged by the
    moment."""
    if claim.launched_at is None or not claim.offer.price_per_hour:
        return at
    return max(at, claim.launched_at + charged(claim.offer.billing, at - claim.launched_at))
