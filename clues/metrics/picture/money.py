"""What it costs, and how much of it is allowed."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import Metric

from clues.api.lens import Lens
from clues.metrics.picture.gauges import gauge, single
from clues.model import ClaimState, Period
from clues.planner.money.budget import budget_lines


def families(lens: Lens) -> Iterator[Metric]:
    """Go through the families of money, all in the cluster's currency."""
    settings, world = lens.published.settings, lens.published.world
    rates = {(site, pool): 0.0 for pool, one in settings.pools.items() for site in {o.site for o in one.offers}}
    for claim in lens.claims:
        if claim.state is not ClaimState.PLANNED:
            where = (claim.offer.site, claim.pool)
            rates[where] = rates.get(where, 0.0) + (claim.offer.price_per_hour or 0.0)
    yield gauge(
        "clues_cost_per_hour",
        "What the VMs that run or start cost in an hour, in the cluster's currency; a router has no pool.",
        ("site", "pool"),
        rates.items(),
    )
    today = world.spent.of(Period.DAY)
    yield single("clues_spent_today", "Spent since midnight in `budget.time_zone`, in the cluster's currency.", today)
    lines = list(budget_lines(settings, world.spent, lens.published.at))
    names = ("period", "pool", "account")
    whose = [(line.period.value, line.pool or "", line.account or "") for line in lines]
    yield gauge(
        "clues_budget",
        "What may be spent in a period, in the cluster's currency, by a pool, an account, or (neither) the cluster.",
        names,
        zip(whose, (line.limit for line in lines), strict=True),
    )
    yield gauge(
        "clues_budget_spent",
        "What is spent of a budget in the present period, in the cluster's currency.",
        names,
        zip(whose, (line.spent for line in lines), strict=True),
    )
