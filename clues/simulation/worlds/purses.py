"""How much money the small cluster of a scenario has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from clues.model import Budget, Budgets

#: Jobs are charged to these in turn; every third one to nobody.
ACCOUNTS = ("physics", "chemistry", "")


@dataclass(frozen=True)
class Purses:
    """All budgets of a scenario. VMs live for minutes there, so what is set aside is that of minutes."""

    budgets: Budgets = field(default_factory=Budgets)
    #: by pool
    pools: Mapping[str, Budget] = field(default_factory=dict)


ENDLESS = Purses()

#: Spent within the hour; the jobs that come later wait for midnight.
TIGHT_DAY = Purses(Budgets(Budget(per_day=0.35), ahead=timedelta(minutes=5)))

#: One of each kind, where the hour begins at half past by UTC.
MANY = Purses(
    Budgets(
        Budget(per_hour=0.45, per_month=40.0),
        # around midnight that pays for two nodes with GPUs: five minutes out of each day
        accounts={"physics": Budget(per_day=0.25)},
        ahead=timedelta(minutes=10),
        time_zone="Asia/Kolkata",
    ),
    pools={"gpu": Budget(per_day=0.9), "cpu": Budget(per_hour=0.3)},
)


def account_of(number: int) -> str:
    """Return the account that a job with this number is charged to."""
    return ACCOUNTS[number % len(ACCOUNTS)]
