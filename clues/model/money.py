"""Money: how much may be spent in which period, and how much was."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum


class Period(StrEnum):
    """A stretch of the calendar at whose beginning a budget is whole again."""

    HOUR = "hour"
    DAY = "day"
    MONTH = "month"


@dataclass(frozen=True, slots=True)
class Budget:
    """What may be spent in each period, in the cluster's currency. None means no limit."""

    per_hour: float | None = None
    per_day: float | None = None
    per_month: float | None = None

    def limit(self, period: Period) -> float | None:
        """Return what may be spent in one such period."""
        return {Period.HOUR: self.per_hour, Period.DAY: self.per_day, Period.MONTH: self.per_month}[period]


@dataclass(frozen=True, slots=True)
class Budgets:
    """All budgets but those of the pools, which stand in the pools."""

    #: of everything, routers included
    cluster: Budget = field(default_factory=Budget)
    #: by Slurm account
    accounts: Mapping[str, Budget] = field(default_factory=dict)
    #: what VMs cost in so long a time from now is set aside before anything more is bought
    ahead: timedelta = timedelta(hours=1)
    #: where the day begins at midnight
    time_zone: str = "UTC"


@dataclass(frozen=True, slots=True)
class SpentRow:
    """What was spent in one hour on one thing, in the cluster's currency."""

    #: when it began
    hour: datetime
    #: empty: routers
    pool: str
    site: str
    #: empty: nobody's job
    account: str
    amount: float


@dataclass(frozen=True, slots=True)
class Spent:
    """What was booked in the present hour, day and month, by pool (empty: routers) and Slurm account (empty: none)."""

    by_period: Mapping[Period, Mapping[tuple[str, str], float]] = field(default_factory=dict)

    def of(self, period: Period, *, pool: str | None = None, account: str | None = None) -> float:
        """Return the amount, in the cluster's currency, of one pool or account, or of all of them."""
        return sum(
            amount
            for (its_pool, its_account), amount in self.by_period.get(period, {}).items()
            if pool in (None, its_pool) and account in (None, its_account)
        )
