"""What the queue buys: no more than it needs, nothing twice, gangs whole or not at all."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from clues.model import ClaimState, Job, Operator, Reservation, Resources, Settings, Verdict, Wish
from clues.planner.buying.demand import find_demand
from clues.planner.buying.placement import Buyer
from clues.planner.view import make_view
from tests.unit.builders import (
    BUSY,
    CLOSED,
    CPU_SHAPE,
    GPU_SHAPE,
    IDLE,
    ahead,
    make_claim,
    make_job,
    make_node,
    make_offer,
    make_pool,
    make_settings,
    make_site,
)
from tests.unit.planner.deciding import NOW, ask, bought, bought_at, cluster, gpu, job, plan

S = ClaimState


def test_one_job_buys_one_node() -> None:
    decided = plan(cluster([job()]))
    assert bought(decided) == ["cpu-1"]
    assert decided.outlooks["101"].verdict is Verdict.BUYING


def test_an_empty_queue_buys_nothing() -> None:
    assert bought(plan(cluster())) == []


def test_eight_one_core_jobs_buy_one_eight_core_node() -> None:
    assert bought(plan(cluster([job(n) for n in range(8)]))) == ["cpu-1"]


def test_the_ninth_job_buys_the_second_node() -> None:
    assert len(bought(plan(cluster([job(n) for n in range(9)])))) == 2


def test_memory_fills_a_node_before_its_cores_do() -> None:
    assert len(bought(plan(cluster([job(n, ask={"memory_per_node_mib": 16 * 1024}) for n in range(2)])))) == 2


def test_an_array_buys_for_the_tasks_that_may_start_now() -> None:
    assert len(bought(plan(cluster([job("100_[1-40%8]", count=8, count_pending=40)])))) == 1
    assert len(bought(plan(cluster([job("100_[1-40%9]", count=9, count_pending=40)])))) == 2


def test_an_array_at_its_throttle_buys_nothing() -> None:
    decided = plan(cluster([job("100_[1-40%8]", count=0, count_pending=40)]))
    assert bought(decided) == []
    assert decided.outlooks["100_[1-40%8]"].verdict is Verdict.WAITS


def test_a_gang_is_bought_whole() -> None:
    decided = plan(cluster([job(cpus=8, nodes=3)]))
    assert bought(decided) == ["cpu-1", "cpu-2", "cpu-3"]
    assert {(claim.gang, claim.gang_size) for claim in decided.claims} == {("101", 3)}


def test_the_gangs_of_an_array_go_by_the_array() -> None:
    """The record's own id changes when its first task starts."""
    decided = plan(cluster([job("100_[1-2]", cpus=8, nodes=2, array_id="100", count=2, count_pending=2)]))
    assert {claim.gang for claim in decided.claims} == {"100"}


def test_a_gang_that_does_not_fit_whole_buys_nothing() -> None:
    broken = make_node("cpu-4", reason="bad disk")
    decided = plan(cluster([job(cpus=8, nodes=4)], nodes=[broken]))
    assert bought(decided) == []
    assert decided.outlooks["101"].verdict is Verdict.BLOCKED


def two_sites(first: int, second: int, **more: Any) -> Settings:
    pool = make_pool(count=8, offers=[make_offer("cesnet"), make_offer("upv", "medium", price_per_hour=0.1)], **more)
    sites = [make_site("cesnet"), make_site("upv")]
    limited = [
        replace(site, limits=replace(site.limits, vms=most)) for site, most in zip(sites, (first, second), strict=True)
    ]
    return make_settings([pool], limited)


def test_a_gang_stays_in_one_site() -> None:
    settings = two_sites(2, 3)
    decided = plan(cluster([job(cpus=8, nodes=3)], settings=settings), settings)
    assert bought_at(decided) == ["upv"] * 3


def test_a_gang_that_fits_in_no_single_site_waits_and_says_why() -> None:
    settings = two_sites(2, 2)
    decided = plan(cluster([job(cpus=8, nodes=3)], settings=settings), settings)
    assert bought(decided) == []
    assert set(decided.outlooks["101"].sites) == {"cesnet", "upv"}


def test_a_burst_goes_on_at_the_next_site_in_the_same_tick() -> None:
    settings = two_sites(1, 8)
    decided = plan(cluster([job(n, cpus=8) for n in range(4)], settings=settings), settings)
    assert sorted(bought_at(decided)) == ["cesnet", "upv", "upv", "upv"]


def test_open_room_is_used_before_anything_is_bought() -> None:
    world = cluster([job()], [make_claim()], flags={"cpu-1": IDLE})
    decided = plan(world)
    assert bought(decided) == []
    assert decided.outlooks["101"].verdict is Verdict.SERVED


def test_half_a_free_node_is_room() -> None:
    half = make_node("cpu-1", {"MIXED", "CLOUD"}, used=Resources(4, 4096))
    world = cluster([job(1, 4), job(2, 4)], [make_claim()], nodes=[half])
    assert bought(plan(world)) == ["cpu-2"]


def test_a_node_on_premises_is_room_too() -> None:
    static = make_node("rack-1", {"IDLE"}, partitions=frozenset({"cpu"}))
    assert bought(plan(cluster([job()], nodes=[static]))) == []
    other = make_node("rack-1", {"IDLE"}, partitions=frozenset({"long"}))
    assert bought(plan(cluster([job()], nodes=[other]))) == ["cpu-1"]


@pytest.mark.parametrize("state", [S.PLANNED, S.LAUNCHING, S.BOOTING, S.JOINING])
def test_nothing_is_bought_twice_while_the_first_is_on_its_way(state: ClaimState) -> None:
    claim = make_claim(state=state, jobs=("101",), launched_at=NOW, since=NOW, launches=1)
    decided = plan(cluster([job()], [claim]))
    assert bought(decided) == []
    assert decided.outlooks["101"].verdict is Verdict.STARTING


def test_what_is_starting_takes_more_jobs_until_it_is_full() -> None:
    claim = make_claim(state=S.BOOTING, jobs=("1",), launched_at=NOW)
    assert bought(plan(cluster([job(n) for n in range(8)], [claim]))) == []
    assert bought(plan(cluster([job(n) for n in range(9)], [claim]))) == ["cpu-2"]


def test_higher_priority_takes_the_last_vm() -> None:
    settings = make_settings(sites=[replace(make_site(), limits=replace(make_site().limits, vms=1))])
    jobs = [job(1, 8, priority=5), job(2, 8, priority=50)]
    decided = plan(cluster(jobs, settings=settings), settings)
    assert [claim.jobs for claim in decided.claims] == [("2",)]
    assert decided.outlooks["1"].verdict is Verdict.BLOCKED


def mixed() -> Settings:
    gpus = make_pool("gpu", 4, shape=GPU_SHAPE, offers=[make_offer("cesnet", "gpu.a10", price_per_hour=1.0)])
    return make_settings([make_pool("cpu", offers=[make_offer(price_per_hour=0.2)]), gpus])


@pytest.mark.parametrize(
    ("asked", "nodes"),
    [
        ({"gpus_per_node": gpu()}, ["gpu-1"]),
        ({"gpus_per_node": gpu(1, "a10")}, ["gpu-1"]),
        ({"gpus_per_node": gpu(1, "v100")}, []),
        ({"gpus_per_task": gpu()}, ["gpu-1"]),
        ({}, ["cpu-1"]),
    ],
)
def test_gpu_jobs_buy_gpu_nodes_and_others_do_not(asked: dict[str, Resources], nodes: list[str]) -> None:
    settings = mixed()
    wanted = job(partitions=("cpu", "gpu"), ask=asked)
    assert bought(plan(cluster([wanted], settings=settings), settings)) == nodes


def test_a_job_that_no_shape_holds_is_told_so() -> None:
    decided = plan(cluster([job(cpus=9)]))
    assert bought(decided) == []
    assert decided.outlooks["101"].verdict is Verdict.NEVER
    assert "8 CPUs" in decided.outlooks["101"].text


def test_a_job_of_another_partition_buys_nothing() -> None:
    assert bought(plan(cluster([job(partitions=("debug",))]))) == []


@pytest.mark.parametrize(
    ("constraint", "site"), [("upv", "upv"), ("cpu&upv", "upv"), ("[upv|nowhere]", "upv"), ("", "cesnet")]
)
def test_a_job_pinned_to_a_site_buys_there(constraint: str, site: str) -> None:
    settings = two_sites(4, 4)
    assert bought_at(plan(cluster([job(constraint=constraint)], settings=settings), settings)) == [site]


def test_an_unreadable_constraint_buys_nothing_and_is_told() -> None:
    decided = plan(cluster([job(constraint="[cpu*2&gpu*1]")]))
    assert bought(decided) == []
    assert decided.outlooks["101"].verdict is Verdict.UNKNOWN


def test_excluded_nodes_are_not_bought() -> None:
    assert bought(plan(cluster([job(excluded_nodes=frozenset({"cpu-1", "cpu-2"}))]))) == ["cpu-3"]


def test_a_wanted_node_is_the_one_that_is_bought() -> None:
    assert bought(plan(cluster([job(wanted_nodes=frozenset({"cpu-3"}))]))) == ["cpu-3"]


def test_a_wanted_node_is_among_those_of_a_gang() -> None:
    assert "cpu-4" in bought(plan(cluster([job(cpus=8, nodes=2, wanted_nodes=frozenset({"cpu-4"}))])))


MAINTENANCE = Reservation("maint", frozenset(f"cpu-{n}" for n in range(1, 5)), ahead(hours=1), ahead(hours=3))


@pytest.mark.parametrize(
    ("limit", "nodes"),
    [
        (timedelta(minutes=30), ["cpu-1"]),
        (timedelta(hours=2), []),
        (None, []),
    ],
)
def test_a_run_that_would_cross_a_reservation_buys_nothing(limit: timedelta | None, nodes: list[str]) -> None:
    world = cluster([job(time_limit=limit)], reservations=(MAINTENANCE,))
    assert bought(plan(world)) == nodes


def test_jobs_whose_runs_cross_the_same_reservations_are_one_class() -> None:
    jobs = [job(number, time_limit=timedelta(hours=number)) for number in (1, 2, 40, 50)]
    world = cluster(jobs, reservations=(replace(MAINTENANCE, start=ahead(hours=10), end=ahead(hours=60)),))
    view = make_view(world, make_settings(), NOW)
    classes = find_demand(view, {}, Buyer(view, {})).classes
    assert classes["1"] is classes["2"] is not classes["40"]
    assert classes["40"] is classes["50"]


def test_nodes_outside_the_reservation_are_bought() -> None:
    part = replace(MAINTENANCE, nodes=frozenset({"cpu-1", "cpu-2"}))
    assert bought(plan(cluster([job(time_limit=timedelta(hours=2))], reservations=(part,)))) == ["cpu-3"]


def test_an_open_node_under_a_reservation_is_no_room_for_a_long_run() -> None:
    part = replace(MAINTENANCE, nodes=frozenset({"cpu-1"}))
    world = cluster([job(time_limit=timedelta(hours=2))], [make_claim()], flags={"cpu-1": IDLE}, reservations=(part,))
    assert bought(plan(world)) == ["cpu-2"]


def test_a_job_in_its_reservation_buys_there_only() -> None:
    mine = Reservation("course", frozenset({"cpu-3"}), NOW - timedelta(hours=1), ahead(hours=5))
    world = cluster([job(reservation="course", time_limit=timedelta(hours=1))], reservations=(mine,))
    assert bought(plan(world)) == ["cpu-3"]


def test_a_reservation_that_is_over_keeps_nobody_away() -> None:
    over = replace(MAINTENANCE, start=NOW - timedelta(hours=3), end=NOW - timedelta(hours=1))
    assert bought(plan(cluster([job(time_limit=timedelta(hours=9))], reservations=(over,)))) == ["cpu-1"]


def het(component: int, **more: Any) -> Job:
    return job(f"200+{component}", cpus=8, het_id="200", **more)


def test_a_het_job_is_bought_whole_and_opens_together() -> None:
    decided = plan(cluster([het(0), het(1, nodes=2)]))
    assert len(bought(decided)) == 3
    assert {(claim.gang, claim.gang_size) for claim in decided.claims} == {("200", 3)}


def test_a_het_job_with_one_component_that_cannot_be_had_buys_nothing() -> None:
    decided = plan(cluster([het(0), het(1, nodes=4)]))
    assert bought(decided) == []
    assert decided.outlooks["200+0"].verdict is Verdict.BLOCKED


def test_a_het_job_with_a_component_that_nothing_can_hold_buys_nothing() -> None:
    assert bought(plan(cluster([het(0), job("200+1", cpus=99, het_id="200")]))) == []


def test_paused_buys_nothing_and_says_so() -> None:
    decided = plan(cluster([job()], operator=Operator(paused=True)))
    assert bought(decided) == []
    assert "paused" in decided.outlooks["101"].sites["cesnet"]


@pytest.mark.parametrize(
    "flags",
    [
        {"IDLE", "CLOUD", "POWERED_DOWN"},
        {"DOWN", "CLOUD", "POWERING_DOWN"},
        {"IDLE", "CLOUD", "DRAIN", "POWERED_DOWN", "NEW_FLAG"},
        {"IDLE", "CLOUD", "DRAIN", "POWERING_UP"},
        CLOSED,
    ],
)
def test_only_nodes_seen_closed_and_off_are_bought(flags: set[str]) -> None:
    world = cluster([job(excluded_nodes=frozenset({"cpu-2", "cpu-3", "cpu-4"}))], flags={"cpu-1": flags})
    assert "cpu-1" not in [claim.node for claim in plan(world).claims if claim.jobs]


def test_a_node_that_an_admin_holds_is_not_bought() -> None:
    held = make_node("cpu-1", reason="broken fan [root]")
    assert bought(plan(cluster([job()], nodes=[held]))) == ["cpu-2"]


def test_without_a_fresh_snapshot_nothing_is_bought() -> None:
    world = cluster([job()])
    assert bought(plan(replace(world, lrms=replace(world.lrms, error="slurmctld does not answer")))) == []


def test_a_node_that_slurm_has_allocated_without_a_vm_gets_one_once_slurm_has_asked_for_it() -> None:
    assert bought(plan(cluster(flags={"cpu-3": {"ALLOCATED", "CLOUD", "POWERED_DOWN"}}))) == []
    assert bought(plan(cluster(flags={"cpu-3": {"ALLOCATED", "CLOUD", "POWERING_UP"}}))) == ["cpu-3"]


def test_a_busy_node_is_no_room() -> None:
    full = make_node("cpu-1", BUSY, used=CPU_SHAPE)
    assert bought(plan(cluster([job()], [make_claim()], nodes=[full]))) == ["cpu-2"]


def test_an_exclusive_job_wants_an_empty_node() -> None:
    half = make_node("cpu-1", {"MIXED", "CLOUD"}, used=Resources(1, 1024))
    world = cluster([job(request=ask(exclusive=True))], [make_claim()], nodes=[half])
    assert bought(plan(world)) == ["cpu-2"]


@pytest.mark.parametrize("wish", [Wish.OFF, Wish.DRAIN, Wish.DISABLED])
def test_a_node_that_an_operator_wants_off_is_not_bought_even_if_slurm_has_allocated_it(wish: Wish) -> None:
    world = cluster(flags={"cpu-3": {"ALLOCATED", "CLOUD", "POWERING_UP"}}, operator=Operator(wishes={"cpu-3": wish}))
    assert plan(world).claims == ()


def test_a_job_that_started_between_the_two_reads_buys_no_second_node() -> None:
    """Jobs are read before nodes: it still reads as pending, and the node that it has just started on as taken."""
    node = make_node("cpu-1", BUSY, reason="", used=CPU_SHAPE)
    claim = make_claim("cpu-1", jobs=("101",), opened_at=NOW)
    assert bought(plan(cluster([job(cpus=8)], nodes=[node], claims=[claim]))) == []
    running = make_job("100", "RUNNING", nodes=("cpu-1",))  # another job has it: then the node is no room
    assert len(bought(plan(cluster([job(cpus=8), running], nodes=[node], claims=[claim])))) == 1
