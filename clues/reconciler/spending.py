"""What was spent in the present hour, day and month: read from the ledger once, then carried on."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from clues.ledger import Ledger, SpendKey
from clues.model import Period, Spent
from clues.planner.money.periods import bounds, zone_named

#: A clock that was set forward by years makes no bill of years.
_LONGEST = timedelta(days=31)


class SpendSoFar:
    """The mirror of the ledger's spend, as far as budgets look at it."""

    def __init__(self, ledger: Ledger, now: datetime, time_zone: str) -> None:
        self._ledger, self._now = ledger, now
        self._began: dict[Period, datetime] = {}
        self._amounts: dict[Period, dict[tuple[str, str], float]] = {}
        self.use(time_zone)

    @property
    def spent(self) -> Spent:
        """As far as it is booked."""
        return Spent({period: dict(amounts) for period, amounts in self._amounts.items()})

    def use(self, time_zone: str) -> None:
        """Reckon by this time zone; what was booked in another one counts where its hour began."""
        self._zone = zone_named(time_zone)
        for period in Period:
            self._read(period)

    def hours(self, since: datetime, until: datetime) -> list[tuple[datetime, float]]:
        """Return the hours between two moments: when each began, and how much of it lies between them (at most 1)."""
        found = []
        since = max(since, until - _LONGEST)
        while since < until:
            begin, end = bounds(Period.HOUR, since, self._zone)
            found.append((begin, (min(end, until) - since) / timedelta(hours=1)))
            since = end
        return found

    def add(self, spend: Mapping[SpendKey, float], now: datetime) -> None:
        """Count what was committed."""
        self._now = now
        for period in Period:
            if bounds(period, now, self._zone)[0] != self._began[period]:
                self._read(period)  # a new one has begun; what was committed is in the ledger
                continue
            amounts = self._amounts[period]
            for (hour, pool, _, account), amount in spend.items():
                if hour >= self._began[period]:
                    amounts[pool, account] = amounts.get((pool, account), 0.0) + amount

    def _read(self, period: Period) -> None:
        begin, end = bounds(period, self._now, self._zone)
        amounts: dict[tuple[str, str], float] = {}
        for (pool, _, account), amount in self._ledger.spent(begin, end).items():
            amounts[pool, account] = amounts.get((pool, account), 0.0) + amount
        self._began[period], self._amounts[period] = begin, amounts
