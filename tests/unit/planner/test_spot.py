"""Spot and on-demand: by what each is expected to cost, and for how long spot is waited for."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from clues.model import Bind, Claim, ClaimState, Market, Memory, Settings, Spot, World
from clues.planner import decide
from clues.planner.money.spot import HALF_LIFE, Interruptions, expected_price, learn_spot, spot_seen, work_at_stake
from tests.unit.builders import (
    BUSY,
    CLOSED,
    NOW,
    ago,
    ahead,
    make_claim,
    make_node,
    make_offer,
    make_pool,
    make_settings,
)
from tests.unit.planner.deciding import FEATURES, cluster, job, of, plan
from tests.unit.planner.test_gates import ended

DEMAND = make_offer("aws", "c7i", price_per_hour=1.0)
SPOT = replace(DEMAND, market=Market.SPOT, price_per_hour=0.4)
S = ClaimState


def settings(**more: Any) -> Settings:
    return make_settings([make_pool(count=8, offers=[DEMAND, SPOT], **more)])


def spot_vm(state: ClaimState = S.READY, **more: Any) -> Claim:
    return make_claim(
        "cpu-8", state, **{"offer": SPOT, "listed_at": ago(hours=10), "launched_at": ago(hours=10), **more}
    )


def stormy(hours: float, interruptions: float) -> Memory:
    return Memory(spot={SPOT.key: Spot(hours, interruptions, NOW)})


def chosen(memory: Memory, configured: Settings | None = None, jobs: Any = None, **more: Any) -> list[str]:
    """Return the markets that are bought from for a job that may run for ten hours."""
    configured = configured or settings()
    jobs = jobs or [job(cpus=8, time_limit=timedelta(hours=10))]
    decided = plan(cluster(jobs, settings=configured, memory=memory, **more), configured)
    return [claim.offer.market.value for claim in decided.claims]


# --- what was seen ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "interruptions"),
    [({}, 0), ({"reclaimed_at": ago(minutes=2)}, 1), ({"failure": "vanished"}, 1)],
    ids=["let-go", "taken-back", "vanished"],
)
def test_the_life_of_a_spot_vm_is_counted_when_it_ends(more: Any, interruptions: int) -> None:
    claim = spot_vm(S.DRAINING, **more)
    memory = learn_spot(Memory(), claim, replace(claim, state=S.STOPPING), NOW)
    assert memory.spot == {SPOT.key: Spot(10.0, interruptions, NOW)}
    assert learn_spot(memory, replace(claim, state=S.STOPPING), replace(claim, state=S.GONE), NOW) is memory


def test_on_demand_vms_and_those_that_never_ran_are_not_counted() -> None:
    for claim in (spot_vm(S.DRAINING, offer=DEMAND), spot_vm(S.DRAINING, listed_at=None)):
        assert learn_spot(Memory(), claim, replace(claim, state=S.STOPPING), NOW) == Memory()


def test_what_was_seen_counts_half_after_a_week_and_what_lives_is_reckoned_in() -> None:
    seen = spot_seen(stormy(40, 4), [spot_vm(reclaimed_at=NOW)], NOW + HALF_LIFE)[SPOT.key]
    assert seen.hours == pytest.approx(20 + 10 + 7 * 24)
    assert seen.interruptions == pytest.approx(2 + 1)


def test_of_a_market_that_nobody_has_seen_one_interruption_in_a_hundred_hours_is_assumed() -> None:
    assert Interruptions().per_hour == pytest.approx(0.01)
    assert Interruptions(950, 0.5).per_hour == pytest.approx(0.001)


def test_a_vm_that_vanished_holds_something_against_its_market() -> None:
    configured = settings()
    claim = spot_vm(missing_since=ago(minutes=5))
    world = cluster([], [claim], configured, nodes=[make_node("cpu-8", BUSY)], taken_at=NOW)
    listed = {"aws": replace(world.listings["aws"], value=replace(world.listings["aws"].value, instances=()))}  # type: ignore[type-var]
    decided = decide(replace(world, listings=listed), configured, NOW)
    assert decided.memory.breakers[SPOT.key].code == "reclaimed"


# --- what it costs ---------------------------------------------------------------------------------------------------


def test_the_price_of_spot_holds_what_its_interruptions_lose_on_all_nodes() -> None:
    seen = Interruptions(950, 99.5)  # one in ten hours
    assert expected_price(0.4, seen, timedelta(hours=5)) == pytest.approx(0.4 * 1.5)
    assert expected_price(0.4, seen, timedelta(hours=5), nodes=4) == pytest.approx(0.4 * 3)


def test_the_work_at_stake_is_what_runs_else_half_of_what_waits_else_an_hour() -> None:
    pool = settings().pools["cpu"]
    waits = job(1, time_limit=timedelta(hours=10))
    runs = replace(job(2), state="RUNNING", nodes=("cpu-1",), started=ago(hours=3))
    for jobs, hours in (([waits, runs], 3.0), ([waits], 5.0), ([], 1.0)):
        assert work_at_stake(pool, cluster(jobs).lrms.value, NOW) == timedelta(hours=hours)


def test_the_cheaper_of_the_two_is_bought_by_what_it_really_costs() -> None:
    assert chosen(Memory()) == ["spot"]
    assert chosen(stormy(50, 40)) == ["on-demand"]  # two in five hours, with five hours at stake each
    assert chosen(stormy(50, 40), jobs=[job(cpus=8, time_limit=timedelta(minutes=30))]) == ["spot"]


def test_a_gang_loses_more_to_each_interruption() -> None:
    seen = stormy(200, 10)
    assert chosen(seen) == ["spot"]
    assert set(chosen(seen, jobs=[job(cpus=8, nodes=8, time_limit=timedelta(hours=10))])) == {"on-demand"}


def test_it_is_spot_again_when_the_storm_is_long_ago() -> None:
    old = Memory(spot={SPOT.key: Spot(50, 40, ago(days=60))})
    assert chosen(old) == ["spot"]


def test_no_node_that_serves_is_let_go_because_another_market_is_cheaper_now() -> None:
    claim = make_claim("cpu-8", offer=DEMAND, opened_at=ago(hours=1), used_at=ago(hours=1))
    world = cluster([job(cpus=8)], [claim], settings(), nodes=[make_node("cpu-8", BUSY)])
    decided = plan(world, settings())
    assert [one.state for one in decided.claims if one.node == "cpu-8"] in ([], [S.READY])


# --- how long it is waited for ---------------------------------------------------------------------------------------

FULL = Memory({SPOT.key: replace(ended(SPOT.key, "no-capacity").breakers[SPOT.key], until=ahead(minutes=5))})


@pytest.mark.parametrize(
    ("fallback", "waited", "market"),
    [(0, 0, ["on-demand"]), (10, 5, []), (10, 11, ["on-demand"]), (10, -60, ["on-demand"])],
    ids=["at-once", "waits", "has-waited", "told-by-a-clock-that-was-set-back-since"],
)
def test_on_demand_only_once_it_has_waited_for_spot(fallback: int, waited: int, market: list[str]) -> None:
    configured = settings(spot_fallback_after=timedelta(minutes=fallback))
    waiting = job(cpus=8, submitted=ago(minutes=waited))
    assert chosen(FULL, configured, [waiting]) == market


def test_it_says_what_it_waits_for() -> None:
    configured = settings(spot_fallback_after=timedelta(minutes=10))
    decided = plan(cluster([job(cpus=8, submitted=ago(minutes=5))], settings=configured, memory=FULL), configured)
    text = decided.outlooks["101"].sites["aws"]
    assert f"no-capacity for {SPOT.key}" in text
    assert "only when it has waited for spot for 10 min" in text


def test_a_job_that_was_interrupted_waits_anew() -> None:
    configured = settings(spot_fallback_after=timedelta(minutes=10))
    again = job(cpus=8, submitted=ago(hours=5), eligible=ago(minutes=2))
    assert chosen(FULL, configured, [again]) == []


def test_two_jobs_alike_wait_each_for_itself() -> None:
    configured = settings(spot_fallback_after=timedelta(minutes=10))
    jobs = [job(1, cpus=8, submitted=ago(minutes=2), priority=9), job(2, cpus=8, submitted=ago(minutes=20))]
    assert chosen(FULL, configured, jobs) == ["on-demand"]


def test_nobody_waits_where_spot_would_be_dearer() -> None:
    configured = settings(spot_fallback_after=timedelta(minutes=10))
    memory = replace(FULL, spot=stormy(50, 40).spot)
    assert chosen(memory, configured, [job(cpus=8, submitted=NOW, time_limit=timedelta(hours=10))]) == ["on-demand"]


@pytest.mark.parametrize("market", ["on-demand", "spot"])
def test_a_job_may_say_which_market(market: str) -> None:
    configured = settings(spot_fallback_after=timedelta(minutes=10))
    said = job(cpus=8, constraint=market, submitted=NOW, time_limit=timedelta(hours=10))
    assert chosen(stormy(50, 40), configured, [said]) == [market]


def test_a_node_has_the_market_of_its_vm_as_a_feature_where_slurm_knows_it() -> None:
    for declared, active in ((FEATURES | {"spot", "on-demand"}, {"cpu", "aws", "spot"}), (FEATURES, {"cpu", "aws"})):
        node = make_node("cpu-8", CLOSED, features=declared, active_features=declared, address="10.77.1.10")
        world: World = cluster([], [spot_vm(S.JOINING)], settings(), nodes=[node])
        (bind,) = [one for one in of(plan(world, settings()), Bind) if one.node == "cpu-8"]
        assert bind.features == active
