"""When pending jobs are expected to start, what they wait for, and that nothing is made up where nobody knows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from clues.model import (
    Boots,
    Breaker,
    Budget,
    Budgets,
    Claim,
    ClaimState,
    Forecast,
    Job,
    Limits,
    Memory,
    Plan,
    Reservation,
    Settings,
)
from clues.planner.forecasts.forecast import MOST_TASKS
from tests.unit.builders import (
    BUSY,
    CPU_SHAPE,
    IDLE,
    NOW,
    ago,
    ahead,
    make_claim,
    make_job,
    make_node,
    make_offer,
    make_pool,
    make_settings,
    make_site,
    spent,
)
from tests.unit.planner.deciding import ask, cluster, job, plan

SEEN = Memory(boots={"cesnet/hpc.8core/on-demand": Boots((60.0, 65.0, 70.0, 75.0, 80.0))})
#: one node, at a site that has room for no other
ONE = make_settings([make_pool(count=1)], [make_site(limits=Limits(vms=1))])


def minutes(moment: datetime | None) -> float | None:
    """Return how far ahead a moment is."""
    return None if moment is None else round((moment - NOW).total_seconds() / 60, 1)


def decided(
    jobs: Iterable[Job],
    claims: Iterable[Claim] = (),
    settings: Settings | None = None,
    flags: Mapping[str, Iterable[str]] | None = None,
    **more: Any,
) -> Plan:
    return plan(cluster(jobs, claims, settings, flags, **more), settings)


def told(*args: Any, name: str = "101", **more: Any) -> Forecast:
    return decided(*args, **more).forecasts[name]


def busy_node(limit: timedelta | None = timedelta(hours=1), **more: Any) -> dict[str, Any]:
    """Return a cluster of one node that job 50 holds since half an hour."""
    runs = make_job("50", "RUNNING", request=ask(8), nodes=("cpu-1",), started=ago(minutes=30), time_limit=limit)
    node = make_node("cpu-1", BUSY, used=CPU_SHAPE)
    claim = make_claim("cpu-1", opened_at=ago(minutes=40), used_at=ago(minutes=30), ready_at=ago(minutes=40))
    return {"running": runs, "claims": [claim], "nodes": [node], "settings": ONE, **more}


def behind(*pending: Job, **more: Any) -> Plan:
    """Decide about jobs that wait behind job 50."""
    given = busy_node(**more)
    return decided([given.pop("running"), *pending], **given)


def whole(number: int, **more: Any) -> Job:
    return job(number, 8, **{"priority": 1000 - number, **more})


def test_a_job_that_open_nodes_have_room_for_starts_in_a_moment() -> None:
    found = told([job()], [make_claim("cpu-1", opened_at=ago(minutes=1))], flags={"cpu-1": IDLE})
    assert found.early == NOW
    assert found.late is not None
    assert found.late <= ahead(seconds=60)


def test_a_boot_under_way_is_expected_as_long_as_boots_of_its_offer_took() -> None:
    booting = make_claim("cpu-1", ClaimState.BOOTING, launched_at=ago(seconds=50), jobs=("101",))
    found = told([job()], [booting], memory=SEEN)
    assert found.early is not None
    assert found.late is not None
    assert NOW < found.early <= ahead(seconds=15)
    assert ahead(seconds=20) < found.late < ahead(seconds=70)
    assert found.waits_for == "cpu-1 (cesnet/hpc.8core/on-demand)"


def test_what_is_bought_now_takes_a_whole_boot() -> None:
    found = told([job()], memory=SEEN)
    assert found.early is not None
    assert found.likely is not None
    assert found.early >= ahead(seconds=45)
    assert found.likely == ahead(seconds=71)


def test_without_a_boot_seen_nothing_is_made_up() -> None:
    found = told([job()])
    assert (found.likely, found.late) == (None, None)
    assert found.waits_for.endswith("no such boot was seen yet")


def test_a_boot_slower_than_all_that_were_seen_is_not_guessed_at() -> None:
    booting = make_claim("cpu-1", ClaimState.BOOTING, launched_at=ago(seconds=200), jobs=("101",))
    found = told([job()], [booting], memory=SEEN)
    assert not found.known
    assert "slower" in found.waits_for


def test_a_gang_waits_for_the_last_of_its_nodes() -> None:
    near = make_claim("cpu-1", ClaimState.BOOTING, launched_at=ago(seconds=55), jobs=("101",), gang="101", gang_size=2)
    far = make_claim("cpu-2", ClaimState.BOOTING, launched_at=ago(seconds=1), jobs=("101",), gang="101", gang_size=2)
    found = told([job(nodes=2)], [near, far], memory=SEEN)
    assert found.early is not None
    assert found.early > ahead(seconds=40)
    assert found.waits_for == "2 nodes that start"


def test_a_job_behind_a_running_one_starts_by_its_time_limit() -> None:
    found = behind(whole(101)).forecasts["101"]
    assert minutes(found.late) == pytest.approx(30, abs=0.5)
    assert found.early is not None
    assert found.early <= ahead(seconds=5), "it may end at any moment, as far as is known"
    assert found.waits_for == "running jobs of cpu"


def test_a_running_job_without_a_limit_is_not_guessed_at() -> None:
    found = behind(whole(101), limit=None).forecasts["101"]
    assert not found.known
    assert found.waits_for == "running jobs of cpu, some without a time limit"


def test_who_is_ahead_in_the_queue_takes_the_node_first() -> None:
    hour = timedelta(hours=1)
    found = behind(whole(101, time_limit=hour), whole(102, time_limit=hour), whole(103)).forecasts
    assert [minutes(found[name].late) for name in ("101", "102", "103")] == pytest.approx([30, 90, 150], abs=1)


def test_small_jobs_share_what_comes_free() -> None:
    small = [job(number, 4, priority=1000 - number, time_limit=timedelta(hours=1)) for number in (101, 102, 103)]
    found = behind(*small).forecasts
    assert [minutes(found[str(number)].late) for number in (101, 102, 103)] == pytest.approx([30, 30, 90], abs=1)


def test_the_tasks_of_an_array_stand_before_what_comes_after_it() -> None:
    array = whole(101, array_id="101", count=3, count_pending=3, time_limit=timedelta(hours=1))
    found = behind(array, whole(102)).forecasts
    assert minutes(found["101"].late) == pytest.approx(30, abs=0.5), "its first task"
    assert minutes(found["102"].late) == pytest.approx(210, abs=1)


def test_one_without_a_limit_ahead_leaves_the_rest_open() -> None:
    found = behind(whole(101), whole(102)).forecasts
    assert found["101"].known
    assert not found["102"].known


def test_what_jobs_used_of_their_limits_tells_when_they_will_end() -> None:
    memory = Memory(runs=tuple([0.6] * 10 + [0.7] * 10 + [0.9] * 10))
    found = behind(whole(101), memory=memory).forecasts["101"]
    assert minutes(found.early) == pytest.approx(6, abs=0.5)
    assert minutes(found.likely) == pytest.approx(12, abs=0.5)
    assert minutes(found.late) == pytest.approx(30, abs=0.5)


def test_nodes_that_boot_for_jobs_ahead_are_not_counted_twice() -> None:
    booting = make_claim("cpu-1", ClaimState.BOOTING, launched_at=ago(seconds=30), jobs=("101",))
    jobs = [whole(101, time_limit=timedelta(minutes=10)), whole(102)]
    found = decided(jobs, [booting], ONE, memory=SEEN).forecasts
    assert found["101"].late is not None
    assert found["102"].late is not None
    assert minutes(found["102"].late - timedelta(minutes=10)) == pytest.approx(minutes(found["101"].late), abs=0.5)


def test_an_offer_that_rests_says_not_before_its_next_try_and_a_boot() -> None:
    offer = make_offer()
    rests = Breaker(offer.key, "no-capacity", "full", ago(minutes=5), ahead(minutes=10), 2)
    found = told([job()], memory=replace(SEEN, breakers={offer.key: rests}))
    assert found.early is not None
    assert found.early > ahead(minutes=10, seconds=40)
    assert (found.likely, found.late) == (None, None)
    assert found.waits_for == "the next try at cesnet (14:10 UTC)"


def test_while_a_first_try_is_under_way_others_wait_for_what_comes_of_it() -> None:
    offer = make_offer()
    rests = Breaker(offer.key, "no-capacity", "full", ago(minutes=5), ago(minutes=1), 2, failed_at=ago(minutes=3))
    trying = make_claim("cpu-1", ClaimState.LAUNCHING, launched_at=ago(seconds=20), jobs=("100",))
    jobs = [whole(100, priority=2000), whole(101)]
    found = told(jobs, [trying], memory=replace(SEEN, breakers={offer.key: rests}))
    assert found.early is not None
    assert found.early > ahead(seconds=40)
    assert not found.known
    assert found.waits_for == "the try at cesnet that is under way"


def test_a_budget_that_is_spent_begins_anew_at_midnight() -> None:
    pool = make_pool(offers=[make_offer(price_per_hour=1.0)])
    settings = make_settings([pool], budgets=Budgets(Budget(per_day=5.0)))
    found = told([job()], settings=settings, memory=SEEN, spent=spent(5.0))
    assert found.late is not None
    assert found.late > NOW.replace(hour=0) + timedelta(days=1)
    assert found.waits_for.startswith("the budget that begins anew (2026-03-03 00:00 UTC)")


def test_the_sooner_of_two_ways_is_told() -> None:
    offer = make_offer("aws", price_per_hour=1.0)
    rests = Breaker(offer.key, "no-capacity", "full", ago(minutes=5), ahead(minutes=10), 2)
    settings = make_settings(
        [make_pool(count=2, offers=[make_offer(), offer])], [make_site(limits=Limits(vms=1)), make_site("aws")]
    )
    found = behind(whole(101), settings=settings, memory=replace(SEEN, breakers={offer.key: rests})).forecasts["101"]
    assert minutes(found.late) == pytest.approx(30, abs=0.5)
    assert found.waits_for == "running jobs of cpu or the next try at aws (14:10 UTC)"


def test_where_nothing_else_can_be_told_slurms_own_word_holds() -> None:
    found = behind(whole(101, expected=ahead(minutes=7)), limit=None).forecasts["101"]
    assert (found.early, found.likely) == (NOW, ahead(minutes=7))
    assert found.known
    known = behind(whole(101, expected=ahead(minutes=7))).forecasts["101"]
    assert minutes(known.late) == pytest.approx(30, abs=0.5), "what follows from time limits is known better"


@pytest.mark.parametrize(
    "more",
    [
        pytest.param({"expected": ahead(days=365)}, id="a year for one without a limit"),
        pytest.param({"expected": ago(minutes=1)}, id="it has passed"),
        pytest.param({"expected": ahead(minutes=7), "reason": "ReqNodeNotAvail"}, id="not its backfill's"),
    ],
)
def test_slurms_word_is_not_always_an_estimate(more: dict[str, Any]) -> None:
    assert not behind(whole(101, **more), limit=None).forecasts["101"].known


def test_a_begin_time_is_the_earliest() -> None:
    found = told([job(reason="BeginTime", eligible=ahead(hours=2))], memory=SEEN)
    assert found == Forecast(early=ahead(hours=2), waits_for="its begin time")


def test_a_reservation_that_a_run_would_cross_ends_first() -> None:
    maintenance = Reservation("maint", frozenset({"cpu-1"}), ahead(minutes=5), ahead(hours=3))
    claim = make_claim("cpu-1", opened_at=ago(minutes=1))
    found = told([whole(101)], [claim], ONE, {"cpu-1": IDLE}, reservations=(maintenance,))
    assert found == Forecast(early=ahead(hours=3), waits_for="the end of reservation maint")


@pytest.mark.parametrize(
    ("more", "waits_for"),
    [
        pytest.param({"reason": "Dependency", "dependency": "afterok:7"}, "other jobs", id="dependency"),
        pytest.param({"reason": "JobHeldUser"}, "somebody to change it", id="held"),
        pytest.param({"reason": "Licenses"}, "licenses", id="licenses"),
        pytest.param({"reason": "Wholly New"}, "Wholly New", id="unknown reason"),
    ],
)
def test_what_nodes_do_not_cure_has_no_time(more: dict[str, Any], waits_for: str) -> None:
    assert told([job(**more)], memory=SEEN) == Forecast(waits_for=waits_for)


def test_what_stands_far_behind_is_not_played_and_says_so() -> None:
    many = [whole(1000 + n, priority=10_000 - n, time_limit=timedelta(hours=1)) for n in range(MOST_TASKS + 2)]
    found = behind(*many).forecasts
    assert found[str(1000 + MOST_TASKS - 1)].known
    assert found[str(1000 + MOST_TASKS)] == Forecast(waits_for=f"{MOST_TASKS} tasks and more before it")


def test_every_pending_job_has_one_and_without_a_snapshot_none_has() -> None:
    world = cluster([job(1), job(2, 99), job(3, reason="Dependency")])
    assert plan(world).forecasts.keys() == {"1", "2", "3"}
    assert plan(replace(world, lrms=replace(world.lrms, error="no answer"))).forecasts == {}
