"""Money: what may still be bought under every budget at once.

A VM that runs is never ended for want of money, as jobs run there. So buying has to stop in time: before anything is
bought, what all VMs cost in the time to come (``budget.ahead``, an hour unless configured) is set aside, and what is
bought is reckoned in the same way. Of that time only the part counts that lies in the period of the budget. What lies
beyond its end has to be paid out of the next period, which must be able to bear it: else a budget for each hour would
allow in its last minute what the next hour cannot pay.

So a purchase is paid for when, for each budget that it falls under::

    booked in this period + (rate of what is there + rate of what is bought) x hours ahead in this period <= budget
                            (rate of what is there + rate of what is bought) x hours ahead in the next    <= budget

What may still be spent beyond a budget is what its VMs cost while their jobs go on for longer than that time. A longer
``ahead`` makes that less, and stops buying earlier.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from clues.model import Budget, Claim, ClaimState, ClusterSnapshot, Memory, Note, Period, Settings, Spent
from clues.planner.money.payers import Shares, payers
from clues.planner.money.periods import bounds, zone_named

#: Shares of a budget at which a warning is written.
WARN_AT = (80, 100)

_HOUR = timedelta(hours=1)
_WORDS = {
    Period.HOUR: ("this hour's", "hourly"),
    Period.DAY: ("today's", "daily"),
    Period.MONTH: ("this month's", "monthly"),
}
#: What is being ended costs no more than a moment.
_ENDING = {ClaimState.STOPPING, ClaimState.FAILED, ClaimState.GONE}


@dataclass(slots=True)
class Line:
    """One budget for one period, and how it stands."""

    #: "the cluster", "pool gpu", "account physics"
    whose: str
    #: None: of all of them
    pool: str | None
    account: str | None
    period: Period
    limit: float
    #: booked in the present period
    spent: float
    ends: datetime
    #: hours of the time ahead that lie in this period, and in the next
    now_hours: float
    next_hours: float
    #: what its VMs cost in an hour
    rate: float = 0.0

    def concerns(self, pool: str, account: str) -> bool:
        """Whether a VM of this pool, bought for this account, is paid out of it."""
        return self.pool in (None, pool) and self.account in (None, account)

    @property
    def set_aside(self) -> float:
        """What its VMs will cost in this period, as far ahead as is reckoned."""
        return self.rate * self.now_hours

    def allows(self, more: float) -> bool:
        """Whether VMs that cost so much in an hour may be bought besides."""
        small = 1e-9 * max(1.0, self.limit)
        later = (self.rate + more) * self.next_hours
        return self.spent + self.set_aside + more * self.now_hours <= self.limit + small and later <= self.limit + small


@dataclass(slots=True)
class Purse:
    """All budgets during one decision; what is bought is taken out of it."""

    currency: str
    zone: str
    lines: list[Line] = field(default_factory=list)

    def why_not(self, pool: str, account: str, rate: float, router_rate: float = 0.0) -> str:
        """Return in words which budget does not pay for VMs that cost *rate* in an hour, and for a router with them.

        What costs nothing is always paid for.
        """
        for line in self.lines:
            more = (rate if line.concerns(pool, account) else 0.0) + (router_rate if line.concerns("", "") else 0.0)
            if more and not line.allows(more):
                return self._refusal(line, more)
        return ""

    def limits(self, pool: str, account: str) -> bool:
        """Whether any budget stands over such a VM."""
        return any(line.concerns(pool, account) for line in self.lines)

    def left(self, pool: str) -> Iterator[tuple[str, float]]:
        """Go through the budgets of everybody and of a pool: which, and what more VMs there may cost in an hour."""
        for line in self.lines:
            if line.concerns(pool, "") and line.account is None:
                bounds = [line.limit / line.next_hours - line.rate] if line.next_hours else []
                if line.now_hours:
                    bounds.append((line.limit - line.spent - line.set_aside) / line.now_hours)
                if bounds:
                    yield f"{line.whose} {line.period}", min(bounds)

    def take(self, pool: str, account: str, rate: float) -> None:
        """Count what was bought."""
        for line in self.lines:
            if line.concerns(pool, account):
                line.rate += rate

    def _refusal(self, line: Line, more: float) -> str:
        present, each = _WORDS[line.period]
        amount = f"{line.limit:.2f} {self.currency}"
        anew = f"it begins anew at {self._when(line)}"
        if line.spent >= line.limit:
            return f"{present} budget of {line.whose}, {amount}, is spent; {anew}"
        if (line.rate + more) * line.next_hours > line.limit or more * line.now_hours > line.limit:
            running = f" besides {line.rate:.2f} an hour for what is there" if line.rate else ""
            return f"the {each} budget of {line.whose}, {amount}, does not pay for {more:.2f} an hour{running}"
        aside = f", {line.set_aside:.2f} set aside for what is there" if line.set_aside else ""
        return (
            f"{present} budget of {line.whose}, {amount}, does not pay for it: {line.spent:.2f} spent{aside}, "
            f"{more * line.now_hours:.2f} more needed; {anew}"
        )

    def _when(self, line: Line) -> str:
        at = line.ends.astimezone(zone_named(self.zone))
        return f"{at:%H:%M} {self.zone}" if line.period is not Period.MONTH else f"{at:%Y-%m-%d %H:%M} {self.zone}"


def open_purse(
    settings: Settings, spent: Spent, claims: Iterable[Claim], snapshot: ClusterSnapshot | None, now: datetime
) -> Purse:
    """Return how all budgets stand; without a budget nothing is reckoned."""
    purse = Purse(settings.currency, settings.budgets.time_zone, list(budget_lines(settings, spent, now)))
    if purse.lines:
        paid = [one for one in claims if one.offer.price_per_hour and one.state not in _ENDING]
        shares = payers(paid, snapshot)
        for claim in paid:
            _set_aside(purse, claim, shares[claim.key])
    return purse


def _set_aside(purse: Purse, claim: Claim, shares: Shares) -> None:
    for account, share in shares.items():
        purse.take(claim.pool, account, share * (claim.offer.price_per_hour or 0.0))


def budget_lines(settings: Settings, spent: Spent, now: datetime) -> Iterator[Line]:
    """Go through all budgets as far as they are spent, what runs left out."""
    budgets = settings.budgets
    owners: list[tuple[str, str | None, str | None, Budget]] = [("the cluster", None, None, budgets.cluster)]
    owners += [(f"pool {pool.name}", pool.name, None, pool.budget) for pool in settings.pools.values()]
    owners += [(f"account {name}", None, name, budget) for name, budget in budgets.accounts.items()]
    zone = zone_named(budgets.time_zone)
    for whose, pool, account, budget in owners:
        for period in Period:
            limit = budget.limit(period)
            if limit is None:
                continue
            _, ends = bounds(period, now, zone)
            _, next_ends = bounds(period, ends, zone)
            until = now + budgets.ahead
            yield Line(
                whose,
                pool,
                account,
                period,
                limit,
                spent.of(period, pool=pool, account=account),
                ends,
                now_hours=(min(until, ends) - now) / _HOUR,
                next_hours=max(timedelta(0), min(until, next_ends) - ends) / _HOUR,
            )


def budget_anew(
    settings: Settings, spent: Spent, pool: str, account: str, rate: float, now: datetime
) -> datetime | None:
    """Return when the last of the budgets begins anew that are too far spent for a VM of this price; None: none is."""
    ends = [
        line.ends
        for line in budget_lines(settings, spent, now)
        if rate and line.concerns(pool, account) and not line.allows(rate) and line.spent
    ]
    return max(ends, default=None)


def warn_of_budgets(settings: Settings, spent: Spent, memory: Memory, now: datetime) -> tuple[Memory, list[Note]]:
    """Return a note for each budget of which four fifths, or all, are spent: one each in a period."""
    notes: list[Note] = []
    told: dict[str, str] = {}
    for line in budget_lines(settings, spent, now):
        share = 100 * line.spent / line.limit if line.limit else 0.0  # nobody is surprised by a budget of nothing
        level = max((one for one in WARN_AT if share >= one - 1e-9), default=0)
        if not level:
            continue
        name, mark = f"{line.whose} {line.period}", f"{line.ends.isoformat()} {level}"
        before = memory.budgets.get(name, "")
        told[name] = mark
        if before == mark or before == f"{line.ends.isoformat()} {WARN_AT[-1]}":
            told[name] = before
            continue
        present, _ = _WORDS[line.period]
        how = "is spent: nothing more is bought out of it" if level == WARN_AT[-1] else f"is spent to {share:.0f} %"
        amount = f"{line.limit:.2f} {settings.currency}"
        subject = line.pool or line.account or settings.cluster
        notes.append(Note(now, "alarm", subject, f"{present} budget of {line.whose}, {amount}, {how}", ("budget",)))
    return (memory if told == memory.budgets else replace(memory, budgets=told)), notes


def standing_of(settings: Settings, spent: Spent, now: datetime) -> Mapping[str, str]:
    """Return how far each budget is spent, in words, by whose it is."""
    found: dict[str, list[str]] = {}
    for line in budget_lines(settings, spent, now):
        present = _WORDS[line.period][0].removesuffix("'s")
        found.setdefault(line.whose, []).append(f"{present} {line.spent:.2f} of {line.limit:.2f}")
    return {whose: f"{', '.join(told)} {settings.currency}" for whose, told in found.items()}
