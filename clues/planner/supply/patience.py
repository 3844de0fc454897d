"""For how long an idle node is kept, and why: one answer for the rule that lets it go and for who asks."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from clues.model import Claim, Pool
from clues.planner.money.billing import paid_until
from clues.planner.supply.lulls import boot_worth, patience
from clues.planner.view import View
from clues.units import show_duration

#: A paid period is used up to so long before its end: what drains, stops and is ended in time is not paid again.
MARGIN = timedelta(minutes=3)


@dataclass(frozen=True, slots=True)
class Stay:
    """Until when an idle node is kept if nothing happens; with the reason, in words."""

    until: datetime
    why: str


def stay(view: View, pool: Pool, claim: Claim, *, wanted: bool = False) -> Stay | None:
    """Return until when an idle claim is kept; None when it is not idle.

    :param wanted: pending jobs would use it. Then it is kept for longer, but not for ever: a job that Slurm holds back
        for something that is not known here would otherwise keep it, and its bill, without end.
    """
    if claim.idle_since is None:
        return None
    since, long = claim.idle_since, patience(view, pool, claim) if pool.idle_auto else pool.idle
    why = f"idle for less than {show_duration(long)}"
    if wanted:
        since = max(since, claim.opened_at or since)
        long += view.settings.pace.misread_after
        why = "wanted by a pending job"
    elif pool.idle_by_price and (shorter := by_price(view, pool, claim)) < long:
        long = shorter
        why = f"idle for less than {show_duration(long)}, as it costs more than the pool's cheapest offer"
    return _while_paid(claim, Stay(since + long, why), view.now)


def by_price(view: View, pool: Pool, claim: Claim) -> timedelta:
    """Return for how long a node of *pool* with ``idle: by-price`` is kept idle: at a dear offer the same money is gone
    sooner. It is never less than another boot is worth; that may be longer than the pool's idle time."""
    price = claim.offer.price_per_hour or 0.0
    known = [one.price_per_hour for one in pool.offers if one.price_per_hour is not None]
    cheapest = min(known, default=price)  # what nobody has told a price of may be dear
    if price <= cheapest:
        return pool.idle
    return max(pool.idle * (cheapest / price), boot_worth(view, pool, claim))


def _while_paid(claim: Claim, so_far: Stay, now: datetime) -> Stay:
    """Keep a VM whose time is up for as long as that costs nothing."""
    period = claim.offer.billing.period
    if not period:
        return so_far
    at = max(so_far.until, now)
    end = paid_until(claim, at) - min(MARGIN, period / 4)
    return so_far if end <= at else Stay(end, f"paid until {end + min(MARGIN, period / 4):%H:%M} UTC")
