"""A gang is opened together or not at all, and a lesser job waiting beside it does not take the first node."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest

from clues.model import (
    Claim,
    ClaimState,
    Job,
    Limits,
    Settings,
    Verdict,
    World,
)
from tests.unit.builders import (
    BUSY,
    CLOSED,
    GPU_SHAPE,
    IDLE,
    NOW,
    ago,
    make_claim,
    make_node,
    make_offer,
    make_pool,
    make_settings,
    make_site,
)
from tests.unit.planner.claims import (
    GOOD,
    S,
)
from tests.unit.planner.deciding import ask, bought, cluster, gpu, job, opened, plan, state_of


def mate(number: int, state: ClaimState = S.JOINING, **more: Any) -> Claim:
    return make_claim(
        f"cpu-{number}",
        state,
        **{
            "facts": GOOD,
            "jobs": ("101",),
            "gang": "101",
            "gang_size": 2,
            "since": ago(seconds=20),
            "launched_at": ago(minutes=2),
            **more,
        },
    )


def gang(*claims: Claim, flags: Any = None, jobs: Any = None) -> World:
    wanted = [job(cpus=8, nodes=2)] if jobs is None else jobs
    return cluster(wanted, claims, flags=flags or {claim.node: CLOSED for claim in claims})


def test_a_gang_is_opened_in_one_command_when_all_are_there() -> None:
    decided = plan(gang(mate(1), mate(2)))
    assert sorted(opened(decided)) == ["cpu-1", "cpu-2"]
    assert len([one for one in decided.actions if type(one).__name__ == "Open"]) == 1


def test_the_first_of_a_gang_stays_closed_until_its_mate_has_come() -> None:
    lesser = job(102, priority=1)
    for other in (mate(2, S.BOOTING), mate(2, S.LAUNCHING)):
        world = gang(mate(1), other, flags={"cpu-1": CLOSED}, jobs=[job(cpus=8, nodes=2, priority=1000), lesser])
        decided = plan(world)
        assert opened(decided) == []
        assert state_of(decided, world) is S.JOINING


def test_a_mate_that_fails_its_checks_opens_nobody() -> None:
    decided = plan(gang(mate(1), mate(2, facts=replace(GOOD, cpus=1))))
    assert opened(decided) == []


def test_a_mate_that_an_admin_holds_opens_nobody() -> None:
    claims = [mate(1), mate(2)]
    nodes = [make_node("cpu-1", CLOSED), make_node("cpu-2", CLOSED, reason="broken fan [root]")]
    decided = plan(cluster([job(cpus=8, nodes=2)], claims, nodes=nodes))
    assert opened(decided) == []


def test_an_open_mate_that_an_admin_takes_out_opens_nobody() -> None:
    """Seen in one look with the other's readiness: it would be counted once more while it goes."""
    first, other = mate(1), mate(2, S.READY, opened_at=ago(minutes=9))
    nodes = [make_node("cpu-1", CLOSED), make_node("cpu-2", CLOSED, reason="broken fan [root]")]
    assert opened(plan(cluster([job(cpus=8, nodes=2)], [first, other], nodes=nodes))) == []
    nodes = [make_node("cpu-1", CLOSED), make_node("cpu-2", IDLE, reason="")]
    assert opened(plan(cluster([job(cpus=8, nodes=2)], [first, other], nodes=nodes))) == ["cpu-1"]


def test_a_mate_that_failed_is_bought_again_and_waited_for() -> None:
    world = gang(mate(1), mate(2, S.FAILED, failure="boot"))
    decided = plan(world)
    assert bought(decided) == ["cpu-3"]
    assert opened(decided) == []
    claims = {claim.key: claim for claim in (*world.claims.values(), *decided.claims)}
    assert max(claim.gang_size for claim in claims.values() if claim.gang == "101") == 2


def test_a_gang_whose_job_is_gone_opens_what_it_has() -> None:
    assert opened(plan(gang(mate(1), mate(2, S.BOOTING), flags={"cpu-1": CLOSED}, jobs=[]))) == ["cpu-1"]


def test_mates_that_never_come_are_not_waited_for_for_ever() -> None:
    world = gang(mate(1, ready_at=ago(hours=1)), mate(2, S.LAUNCHING, since=ago(minutes=1)), flags={"cpu-1": CLOSED})
    assert state_of(plan(world), world) is S.DRAINING


def test_a_het_job_waits_for_all_its_components() -> None:
    """All components of a heterogeneous job must be up together; their ids differ from the job's own."""
    parts = [job("200+0", cpus=8, het_id="200"), job("200+1", cpus=8, het_id="200")]
    claims = [mate(1, gang="200", jobs=("200+0",)), mate(2, S.BOOTING, gang="200", jobs=("200+1",))]
    assert opened(plan(gang(*claims, flags={"cpu-1": CLOSED}, jobs=parts))) == []


def test_the_second_task_of_an_array_of_gangs_waits_for_its_own_mates() -> None:
    waiting = job("100_[2]", cpus=8, nodes=2, array_id="100")
    running = job("100_1", cpus=8, nodes=2, state="RUNNING", array_id="100")
    claims = [
        mate(1, S.READY, gang="100"),
        mate(2, S.READY, gang="100"),
        mate(3, gang="100", jobs=("100_[1-2]",)),
        mate(4, S.BOOTING, gang="100", jobs=("100_[1-2]",)),
    ]
    world = gang(*claims, flags={"cpu-1": BUSY, "cpu-2": BUSY, "cpu-3": CLOSED}, jobs=[waiting, running])
    assert opened(plan(world)) == []


def test_mates_that_served_before_and_stand_idle_are_there() -> None:
    """After a requeue: two VMs of the gang live on, the third is new."""
    old = [mate(n, S.READY, gang_size=3, opened_at=ago(hours=1), used_at=ago(hours=1)) for n in (1, 2)]
    flags = {"cpu-1": IDLE, "cpu-2": IDLE, "cpu-3": CLOSED}
    world = gang(*old, mate(3, gang_size=3), flags=flags, jobs=[job(cpus=8, nodes=3)])
    assert opened(plan(world)) == ["cpu-3"]


# --- a gang over several sites ---------------------------------------------------------------------------------------


def spanning(cesnet: int, aws: int, *, span: bool = True, price: float = 0.0) -> Settings:
    offers = [make_offer("cesnet", price_per_hour=price), make_offer("aws", "c7i", price_per_hour=0.5)]
    sites = [make_site("cesnet", limits=Limits(vms=cesnet)), make_site("aws", limits=Limits(vms=aws))]
    return make_settings([make_pool(count=6, offers=offers, span=span)], sites)


def spread(settings: Settings, *jobs: Job, claims: Iterable[Claim] = ()) -> list[tuple[str, int]]:
    """Return where the nodes were bought, and the size of the gang that each belongs to."""
    decided = plan(cluster(jobs, claims, settings=settings), settings)
    return [(one.offer.site, one.gang_size) for one in decided.claims if one.created_at == NOW]


def test_a_gang_that_may_span_is_bought_where_it_costs_least() -> None:
    assert spread(spanning(1, 1), job(cpus=8, nodes=2)) == [("cesnet", 2), ("aws", 2)]
    assert spread(spanning(1, 4), job(cpus=8, nodes=4)) == [("cesnet", 4)] + [("aws", 4)] * 3
    assert spread(spanning(2, 2), job(cpus=8, nodes=3)) == [("cesnet", 3), ("cesnet", 3), ("aws", 3)]


def test_of_what_costs_the_same_one_site_is_better_than_two() -> None:
    assert spread(spanning(1, 4, price=0.5), job(cpus=8, nodes=4)) == [("aws", 4)] * 4


def test_it_is_bought_whole_or_not_at_all_and_only_where_it_may_span() -> None:
    assert spread(spanning(1, 1), job(cpus=8, nodes=3)) == []
    assert spread(spanning(1, 1, span=False), job(cpus=8, nodes=2)) == []


def test_what_is_left_of_it_is_bought_beside_what_comes_already() -> None:
    coming = make_claim("cpu-1", ClaimState.BOOTING, gang="101", gang_size=3, launched_at=NOW)
    assert spread(spanning(2, 1), job(cpus=8, nodes=3), claims=[coming]) == [("cesnet", 3), ("aws", 3)]


# --- a gang of which a part is there ---------------------------------------------------------------------------------


def test_what_a_gang_lacks_is_planned_with_the_rest_of_the_queue() -> None:
    """By itself it would take both VMs of the cheap site, and a lesser job would pay ten times as much elsewhere."""
    sites = [make_site("cesnet", limits=Limits(vms=2)), make_site("aws")]
    cpu = make_pool(count=6, offers=[make_offer("cesnet", price_per_hour=0.2), make_offer("aws", price_per_hour=0.5)])
    offers = [make_offer("cesnet", "gpu", price_per_hour=0.3), make_offer("aws", "gpu", price_per_hour=3.0)]
    settings = make_settings([cpu, make_pool("gpu", 2, shape=GPU_SHAPE, offers=offers, partitions=("cpu",))], sites)
    opened_before = {"opened_at": ago(hours=1), "used_at": ago(hours=1)}
    there = make_claim("cpu-1", S.READY, offer=cpu.offers[1], **opened_before)
    node = make_node("cpu-1", IDLE, features=frozenset({"cpu", "aws"}))
    jobs = [job(101, cpus=8, nodes=2, priority=9), job(102, request=ask(gpus_per_node=gpu(1)))]
    decided = plan(cluster(jobs, [there], settings, nodes=[node]), settings)
    assert sorted(
        (one.pool, one.offer.site, one.gang, one.gang_size) for one in decided.claims if one.key != there.key
    ) == [
        ("cpu", "aws", "101", 1),
        ("gpu", "cesnet", "", 0),
    ]
    assert {one.verdict for one in decided.outlooks.values()} == {Verdict.BUYING}


@pytest.mark.parametrize(("open_already", "size"), [(True, 1), (False, 2)])
def test_the_rest_of_a_gang_is_opened_with_those_mates_that_are_still_on_their_way(
    open_already: bool, size: int
) -> None:
    more = {"opened_at": ago(hours=1), "used_at": ago(hours=1)} if open_already else {}
    mates = [mate(1, S.READY if open_already else S.BOOTING, gang="" if open_already else "101", **more)]
    world = gang(*mates, flags={"cpu-1": IDLE if open_already else CLOSED})
    assert [(one.gang, one.gang_size) for one in plan(world).claims if one.created_at == NOW] == [("101", size)]


def test_a_part_of_a_gang_that_is_bought_elsewhere_is_free_for_others() -> None:
    """The gang's other two nodes cannot be had beside the open one: whole, it comes to another site."""
    sites = [make_site("cesnet"), make_site("aws", limits=Limits(vms=1))]
    cpu = make_pool(count=6, offers=[make_offer("cesnet", price_per_hour=0.2), make_offer("aws", price_per_hour=0.1)])
    settings = make_settings([cpu], sites)
    there = make_claim("cpu-1", S.READY, offer=cpu.offers[1], opened_at=ago(hours=1), used_at=ago(hours=1))
    node = make_node("cpu-1", IDLE, features=frozenset({"cpu", "aws"}))
    by_name = job(102, cpus=8, wanted_nodes=frozenset({"cpu-1"}))
    decided = plan(cluster([job(101, cpus=8, nodes=3, priority=9), by_name], [there], settings, nodes=[node]), settings)
    assert [one.offer.site for one in decided.claims if one.created_at == NOW] == ["cesnet"] * 3
    assert decided.outlooks["102"].verdict is Verdict.SERVED
