"""A pool may have its purchases wait for more jobs: only where that could save money, and never for too long."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from clues.model import Boots, Job, Memory, Plan, Resources, Settings, Verdict
from tests.unit.builders import NOW, ago, make_offer, make_pool, make_settings, make_site
from tests.unit.planner.deciding import bought, cluster, job, plan

GiB = 1024
HOLD, MOST = timedelta(minutes=2), timedelta(minutes=5)


def sized(**more: Any) -> Settings:
    """Two pools of one site: two cores for 0.12, eight for 0.40; both wait for more jobs."""
    settings: dict[str, Any] = {"hold": HOLD, "max_wait": MOST, "partitions": ("cpu",)} | more
    small = make_pool("small", 20, shape=Resources(2, 8 * GiB), offers=[make_offer(price_per_hour=0.12)])
    large = make_pool("large", 20, shape=Resources(8, 32 * GiB), offers=[make_offer(price_per_hour=0.40)])
    return make_settings([replace(pool, **settings) for pool in (small, large)], [make_site()])


def new(number: int, seconds: int, cpus: int = 1, **more: Any) -> Job:
    return job(number, cpus, submitted=ago(seconds=seconds), **more)


def decided_for(settings: Settings, *jobs: Job, **more: Any) -> Plan:
    return plan(cluster(jobs, settings=settings, **more), settings)


def test_a_lonely_job_waits_for_others_to_share_a_node_with() -> None:
    decided = decided_for(sized(), new(1, 30))
    assert bought(decided) == []
    assert decided.outlooks["1"].verdict is Verdict.WAITS
    until = NOW + timedelta(seconds=90)
    assert decided.outlooks["1"].text == f"waits for more jobs until {until:%H:%M:%S} UTC"
    assert decided.again_at == until


def test_nothing_waits_where_no_pool_says_so() -> None:
    assert bought(decided_for(sized(hold=timedelta(0)), new(1, 30))) == ["small-01"]


def test_a_further_job_lets_the_first_wait_on_but_not_for_longer_than_it_may() -> None:
    """The first came 4 minutes ago: one minute of its five is left, although the second is new."""
    decided = decided_for(sized(), new(1, 240), new(2, 0))
    assert decided.again_at == NOW + timedelta(minutes=1)
    assert bought(decided_for(sized(), new(1, 300), new(2, 0))) == ["small-01"]


def test_a_newcomer_is_waited_for_by_all_that_could_share_a_node_with_it() -> None:
    """Two jobs of two cores get a small node each; four would share a large one. So both wait for more."""
    decided = decided_for(sized(), new(1, 110, 2), new(2, 0, 2))
    assert bought(decided) == []
    assert {one.text for one in decided.outlooks.values()} == {f"waits for more jobs until {NOW + HOLD:%H:%M:%S} UTC"}
    assert bought(decided_for(sized(), *(new(n, 130 - n, 2) for n in range(4)))) == ["large-01"]


def test_without_a_max_wait_the_first_job_waits_as_long_as_hold_says() -> None:
    settings = sized(max_wait=None)
    assert decided_for(settings, new(1, 119), new(2, 0)).again_at == NOW + timedelta(seconds=1)
    assert bought(decided_for(settings, new(1, 120), new(2, 0))) == ["small-01"]


def test_jobs_that_fill_the_cheapest_node_there_is_wait_for_nobody() -> None:
    eight = [new(n, 0) for n in range(8)]
    assert bought(decided_for(sized(), *eight)) == ["large-01"]
    nine = decided_for(sized(), *eight, new(9, 0))
    assert bought(nine) == ["large-01"]
    assert [one.verdict for one in nine.outlooks.values()].count(Verdict.WAITS) == 1


def test_what_costs_nothing_is_not_waited_for() -> None:
    free = sized()
    pools = {name: replace(pool, offers=(make_offer(),)) for name, pool in free.pools.items()}
    assert len(bought(decided_for(replace(free, pools=pools), new(1, 0)))) == 1


def test_jobs_of_a_partition_that_is_served_at_once_do_not_wait() -> None:
    settings = sized(at_once=frozenset({"cpu"}))
    assert bought(decided_for(settings, new(1, 0))) == ["small-01"]


def test_a_job_that_became_eligible_just_now_has_waited_for_nothing_yet() -> None:
    decided = decided_for(sized(), new(1, 3600, eligible=ago(seconds=10)))
    assert decided.again_at == NOW + timedelta(seconds=110)


def test_a_job_that_was_submitted_in_the_future_is_not_waited_for() -> None:
    """The clock was set back since: it would wait for others until the clock has caught up."""
    assert bought(decided_for(sized(), new(1, -3600))) == ["small-01"]
    assert bought(decided_for(sized(), new(1, -20))) == []  # clocks differ by that


def test_a_gang_waits_as_single_jobs_do() -> None:
    decided = decided_for(sized(), new(1, 0, cpus=1, nodes=2))
    assert decided.outlooks["1"].verdict is Verdict.WAITS
    assert len(bought(decided_for(sized(), new(1, 121, cpus=1, nodes=2)))) == 2


def test_the_forecast_counts_the_wait_and_the_boot() -> None:
    settings = sized()
    offer = settings.pools["small"].offers[0]
    boots = {f"{offer.site}/{offer.flavor}/{offer.market}": Boots((100.0,) * 20)}
    decided = decided_for(settings, new(1, 30), memory=Memory(boots=boots))
    told = decided.forecasts["1"]
    assert told.likely is not None
    assert told.likely - NOW == pytest.approx(timedelta(seconds=190), abs=timedelta(seconds=30))
    assert told.waits_for == f"more jobs, until {NOW + timedelta(seconds=90):%H:%M:%S} UTC"
