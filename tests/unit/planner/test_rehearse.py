"""A rehearsal: the planner's own decision, told in the words of its askers."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from clues.model import Change, ClaimState, Limits, Plan, Published, Settings, World
from clues.planner.rehearse import rehearse
from tests.unit.builders import IDLE, NOW, ago, ahead, make_claim, make_offer, make_pool, make_published, make_settings
from tests.unit.builders import make_site as site_of
from tests.unit.planner.deciding import cluster, job, plan

PRICED = make_pool(offers=[make_offer(price_per_hour=0.5)])
NARROW = make_settings([PRICED], [site_of(limits=Limits(vms=1))])
WIDE = make_settings([PRICED], [site_of(limits=Limits(vms=9))])


def published(world: World, settings: Settings) -> Published:
    return make_published(settings, world, Plan(memory=world.memory))


def test_what_would_be_bought_is_what_the_planner_buys() -> None:
    world = cluster([job(nodes=2, cpus=8), job(102, 8)], settings=WIDE)
    found = rehearse(published(world, WIDE), WIDE, NOW)
    (purchase,) = found.purchases
    assert set(purchase.nodes) == {claim.node for claim in plan(world, WIDE).claims}
    assert (purchase.pool, purchase.jobs, purchase.cost_per_hour) == ("cpu", ("101", "102"), 1.5)
    assert found.cost_per_hour_then == 1.5
    assert [fate.outlook.verdict for fate in found.jobs] == ["buying", "buying"]


def test_other_settings_give_another_plan() -> None:
    world = cluster([job(nodes=2, cpus=8)], settings=NARROW)
    assert rehearse(published(world, NARROW), NARROW, NOW).purchases == ()
    assert rehearse(published(world, NARROW), WIDE, NOW).purchases[0].nodes == ("cpu-1", "cpu-2")


def test_what_would_be_drained_says_why() -> None:
    idle = make_claim("cpu-1", opened_at=ago(hours=1), idle_since=ago(minutes=9), used_at=ago(hours=1))
    world = cluster([], [idle], WIDE, {"cpu-1": IDLE})
    quick = replace(WIDE, pools={"cpu": replace(PRICED, idle=timedelta(minutes=5))})
    assert rehearse(published(world, WIDE), WIDE, NOW).changes == ()
    (change,) = rehearse(published(world, WIDE), quick, NOW).changes
    assert (change.node, change.what) == ("cpu-1", "drain")
    assert "idle" in change.reason


def test_what_was_bought_by_the_last_tick_is_not_bought_again() -> None:
    world = cluster([job()], settings=WIDE)
    last = plan(world, WIDE)
    ticked = make_published(WIDE, replace(world, claims={one.key: one for one in last.claims}), last)
    found = rehearse(ticked, WIDE, NOW)
    assert found.purchases == ()
    assert found.cost_per_hour_now == found.cost_per_hour_then == 0.5


def test_it_says_when_slurm_was_not_seen_lately() -> None:
    world = cluster([job()], settings=WIDE)
    found = rehearse(published(world, WIDE), WIDE, ahead(minutes=4))
    assert (found.purchases, found.blind) == ((), "Slurm was read 4 min ago")


def test_a_node_that_becomes_ready_would_be_opened() -> None:
    joining = make_claim("cpu-1", ClaimState.JOINING, launched_at=ago(minutes=1), enrolled_at=ago(seconds=5))
    world = cluster([], [joining], WIDE, {"cpu-1": {"IDLE", "CLOUD", "DRAIN"}})
    assert rehearse(published(world, WIDE), WIDE, NOW).changes == (
        Change("cpu-1", "open", "slurmd registered, checks passed"),
    )
