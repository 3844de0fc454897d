"""What may still be bought under every budget at once."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from clues.model import Budget, Budgets, Claim, ClaimState, ClusterSnapshot, Memory, Period, Settings, Spent, Verdict
from clues.planner.explain import explain
from clues.planner.money.budget import open_purse, standing_of, warn_of_budgets
from tests.unit.builders import make_claim, make_job, make_offer, make_pool, make_published, make_settings, spent
from tests.unit.planner.deciding import bought, cluster, job, plan

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
DEAR = make_offer("aws", "c7i", price_per_hour=2.0)


def settings(cluster: Budget = Budget(), *, pool: Budget = Budget(), **more: Any) -> Settings:  # noqa: B008
    pools = [make_pool(count=8, offers=[DEAR], budget=pool), make_pool("gpu", count=4, offers=[DEAR])]
    return make_settings(pools, budgets=Budgets(cluster, **more))


def running(count: int, *, pool: str = "cpu", **more: Any) -> list[Claim]:
    return [make_claim(f"{pool}-{n}", **{"offer": DEAR, **more}) for n in range(1, count + 1)]


def why_not(
    configured: Settings,
    claims: list[Claim] = [],  # noqa: B006
    *,
    now: datetime = NOON,
    so_far: Spent = Spent(),  # noqa: B008
    pool: str = "cpu",
    account: str = "",
    rate: float = 2.0,
    queue: tuple[Any, ...] = (),
) -> str:
    return open_purse(configured, so_far, claims, ClusterSnapshot(now, {}, queue), now).why_not(pool, account, rate)


def test_what_runs_is_set_aside_for_an_hour_so_that_buying_stops_in_time() -> None:
    configured = settings(Budget(per_day=10.0))
    assert why_not(configured, running(4)) == ""
    said = why_not(configured, running(4), so_far=spent(1.0))
    assert said.startswith("today's budget of the cluster, 10.00 EUR, does not pay for it: 1.00 spent, 8.00 set aside")
    assert said.endswith("2.00 more needed; it begins anew at 00:00 UTC")
    assert why_not(configured, running(4, state=ClaimState.STOPPING), so_far=spent(1.0)) == ""


def test_of_the_time_ahead_only_what_lies_in_the_period_counts() -> None:
    configured, late = settings(Budget(per_day=10.0)), NOON.replace(hour=23, minute=45)
    assert why_not(configured, running(4), so_far=spent(7.5), now=late) == ""
    assert "is spent" not in why_not(configured, running(4), so_far=spent(7.6), now=late)
    assert why_not(configured, running(4), so_far=spent(7.6), now=late)


def test_the_next_period_has_to_bear_what_is_bought_at_the_end_of_this_one() -> None:
    configured, late = settings(Budget(per_hour=10.0)), NOON.replace(minute=59)
    assert why_not(configured, running(4), now=late) == ""
    assert "the hourly budget of the cluster, 10.00 EUR, does not pay for 2.00 an hour besides 10.00" in why_not(
        configured, running(5), now=late
    )


def test_a_longer_time_ahead_stops_earlier() -> None:
    day = Budget(per_day=20.0)
    assert why_not(settings(day), running(2)) == ""
    assert why_not(settings(day, ahead=timedelta(hours=5)), running(2)) != ""
    assert why_not(settings(day, ahead=timedelta(hours=5)), []) == ""


def test_what_costs_nothing_is_always_paid_for() -> None:
    assert why_not(settings(Budget(per_day=1.0)), so_far=spent(5.0), rate=0.0) == ""


@pytest.mark.parametrize(
    ("period", "amounts", "when"),
    [
        (Period.HOUR, {"per_hour": 5.0}, "this hour's budget of pool cpu, 5.00 EUR, is spent; it begins anew at 13:00"),
        (Period.DAY, {"per_day": 5.0}, "today's budget of pool cpu, 5.00 EUR, is spent; it begins anew at 00:00"),
        (
            Period.MONTH,
            {"per_month": 5.0},
            "this month's budget of pool cpu, 5.00 EUR, is spent; it begins anew at ",
        ),
    ],
    ids=["hour", "day", "month"],
)
def test_a_pools_budget_is_its_own_and_says_when_it_begins_anew(
    period: Period, amounts: dict[str, float], when: str
) -> None:
    configured, so_far = settings(pool=Budget(**amounts)), Spent({period: {("cpu", "x"): 5.0, ("gpu", ""): 9.0}})
    assert why_not(configured, so_far=so_far).startswith(when)
    assert why_not(configured, so_far=so_far, pool="gpu") == ""


def test_an_account_pays_for_its_jobs_and_for_the_boots_of_what_was_bought_for_it() -> None:
    configured = settings(accounts={"physics": Budget(per_day=5.0)})
    busy = running(2, used_at=NOON)
    assert why_not(configured, busy, account="physics") == ""
    queue = tuple(make_job(one.node, "RUNNING", account="physics", nodes=(one.node,)) for one in busy)
    assert "account physics" in why_not(configured, busy, account="physics", queue=queue)
    assert why_not(configured, busy, account="chemistry", queue=queue) == ""
    assert "account physics" in why_not(configured, running(2, account="physics"), account="physics")


def test_days_begin_in_the_time_zone() -> None:
    configured = settings(Budget(per_day=5.0), time_zone="Europe/Prague")
    assert why_not(configured, so_far=spent(5.0)).endswith("it begins anew at 00:00 Europe/Prague")
    late = NOON.replace(hour=22, minute=30)  # half past eleven there
    assert why_not(configured, so_far=spent(4.5), now=late)  # one euro for the half hour is too much
    assert why_not(configured, so_far=spent(4.0), now=late) == ""


# --- decisions -------------------------------------------------------------------------------------------------------


def test_purchases_of_one_decision_add_up() -> None:
    configured = settings(Budget(per_hour=6.0))
    assert len(bought(plan(cluster([job(n, cpus=8) for n in range(6)], settings=configured), configured))) == 3


def test_one_accounts_empty_purse_keeps_no_other_from_buying() -> None:
    configured = settings(accounts={"physics": Budget(per_day=5.0)})
    jobs = [replace(job(n, cpus=8), account=account) for n, account in enumerate(["physics", "chemistry", "physics"])]
    made = plan(cluster(jobs, settings=configured, spent=spent(5.0, account="physics")), configured)
    (claim,) = [one for one in made.claims if one.state is not ClaimState.READY]
    assert (claim.account, claim.jobs) == ("chemistry", (jobs[1].id,))
    poor = made.outlooks[jobs[0].id]
    assert poor.verdict is Verdict.BLOCKED
    assert "today's budget of account physics, 5.00 EUR, is spent" in poor.sites["aws"]


def test_a_warning_is_written_once_at_four_fifths_and_once_when_all_is_spent() -> None:
    configured, memory, said = settings(Budget(per_day=10.0)), Memory(), []
    for hour, amount in enumerate((7.9, 8.0, 8.5, 10.0, 10.4)):
        memory, notes = warn_of_budgets(configured, spent(amount), memory, NOON + timedelta(hours=hour))
        said += [(hour, note.kind, note.text) for note in notes]
    assert said == [
        (1, "alarm", "today's budget of the cluster, 10.00 EUR, is spent to 80 %"),
        (3, "alarm", "today's budget of the cluster, 10.00 EUR, is spent: nothing more is bought out of it"),
    ]
    _, notes = warn_of_budgets(configured, spent(9.0), memory, NOON + timedelta(days=1))
    assert len(notes) == 1
    assert standing_of(configured, spent(9.0), NOON) == {"the cluster": "today 9.00 of 10.00 EUR"}


def test_a_pool_tells_how_its_budget_stands() -> None:
    configured = settings(pool=Budget(per_day=5.0, per_month=40.0))
    told = explain(make_published(configured, replace(cluster(settings=configured), spent=spent(3.1))), "cpu", [])
    assert "Its budget: today 3.10 of 5.00, this month 3.10 of 40.00 EUR." in told
