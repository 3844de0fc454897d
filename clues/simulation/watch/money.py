"""Nothing is bought that a budget does not pay for: reckoned anew from the ledger's rows and the committed claims.

It knows nothing of the planner's own reckoning. Of an account it counts what is booked, and the VMs that were bought
for it and have run nothing yet; who pays for a busy VM is Slurm's to say, and is left out.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from clues.ledger import Ledger
from clues.model import Budget, Claim, ClaimState, Kind, Period, Settings

_SMALL = 1e-6
_HOUR = timedelta(hours=1)
_OVER = {ClaimState.STOPPING, ClaimState.FAILED, ClaimState.GONE}


def unpaid(
    settings: Settings, ledger: Ledger, claims: Collection[Claim], new: Collection[Claim], now: datetime
) -> Iterator[str]:
    """Go through the budgets that new claims break, in words.

    :param claims: all as they will be once the new ones are committed.
    """
    budgets = settings.budgets
    zone = ZoneInfo(budgets.time_zone)
    # a router that is bought again was paid for with the first of its workers
    bought = [one for one in new if one.offer.price_per_hour and one.kind is Kind.WORKER]
    if not bought:
        return
    costing = [one for one in claims if one.offer.price_per_hour and one.state not in _OVER]
    whose: list[tuple[str, Budget, str | None, str | None]] = [("the cluster", budgets.cluster, None, None)]
    whose += [(f"pool {name}", pool.budget, name, None) for name, pool in settings.pools.items()]
    whose += [(f"account {name}", budget, None, name) for name, budget in budgets.accounts.items()]
    for name, budget, pool, account in whose:
        if not any(pool in (None, one.pool) and account in (None, one.account) for one in bought):
            continue
        mine = [one for one in costing if pool in (None, one.pool)]
        if account is not None:
            mine = [one for one in mine if one.account == account and one.used_at is None]
        rate = sum(one.offer.price_per_hour or 0.0 for one in mine)
        for period in Period:
            limit = budget.limit(period)
            if limit is None:
                continue
            begin = _begin(now.astimezone(zone), period).astimezone(UTC)
            end = _begin(begin.astimezone(zone) + timedelta(days=32 if period is Period.MONTH else 1), period)
            end = begin + _HOUR if period is Period.HOUR else end.astimezone(UTC)
            spent = sum(
                amount
                for (its_pool, _, its_account), amount in ledger.spent(begin, end).items()
                if pool in (None, its_pool) and account in (None, its_account)
            )
            inside = max(timedelta(0), min(now + budgets.ahead, end) - now) / _HOUR
            if spent + rate * inside > limit + _SMALL:
                yield f"{name} has {limit:.4f} for the {period}, {spent:.4f} spent and {rate * inside:.4f} to come"
            beyond = min(budgets.ahead - (end - now), _HOUR if period is Period.HOUR else timedelta(days=1)) / _HOUR
            if rate * beyond > limit + _SMALL:
                yield f"{name} has {limit:.4f} for the next {period}, and {rate * beyond:.4f} to pay then"


def _begin(there: datetime, period: Period) -> datetime:
    begin = there.replace(minute=0, second=0, microsecond=0)
    if period is Period.HOUR:
        return begin
    return begin.replace(hour=0, day=1 if period is Period.MONTH else begin.day)
