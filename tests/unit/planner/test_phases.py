"""Every move of a claim's life, made by the step that makes it; the deadlines; what must not move."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from clues.lifecycle import MOVES
from clues.model import (
    Breaker,
    Claim,
    ClaimState,
    Facts,
    Gpu,
    InstanceState,
    Memory,
    Observed,
    Operator,
    Resources,
    World,
)
from clues.planner import after_enrolment
from clues.planner.claims.moves import move
from tests.unit.builders import (
    BUSY,
    CLOSED,
    CPU_SHAPE,
    GPU_SHAPE,
    IDLE,
    NOW,
    OFF,
    ago,
    ahead,
    make_claim,
    make_instance,
    make_node,
    make_pool,
    make_settings,
)
from tests.unit.planner.claims import (
    BOOTING,
    DISABLED,
    FAILED,
    GOOD,
    JOINING,
    LAUNCHING,
    LEAVING,
    LONG_MISSING,
    PLANNED,
    READY,
    STOPPING,
    S,
    after,
    one,
    shown,
)
from tests.unit.planner.deciding import cluster, job, launched, listed, opened, plan, state_of

#: each move of the table, and a world in which the planner makes it
WORLDS: dict[tuple[ClaimState, ClaimState], World] = {
    (S.PLANNED, S.LAUNCHING): one(PLANNED, OFF),
    (S.PLANNED, S.GONE): one(PLANNED, OFF, operator=DISABLED),
    (S.LAUNCHING, S.BOOTING): shown(LAUNCHING, InstanceState.PENDING, OFF),
    (S.LAUNCHING, S.FAILED): shown(LAUNCHING, InstanceState.ERROR, OFF),
    (S.BOOTING, S.FAILED): one(replace(BOOTING, launched_at=ago(minutes=16)), OFF),
    (S.BOOTING, S.DRAINING): one(BOOTING, OFF, operator=DISABLED),
    (S.JOINING, S.READY): one(JOINING),
    (S.JOINING, S.FAILED): one(replace(JOINING, facts=replace(GOOD, cpus=4))),
    (S.JOINING, S.DRAINING): one(JOINING, operator=DISABLED),
    (S.READY, S.DRAINING): one(replace(READY, idle_since=ago(minutes=20)), IDLE),
    (S.READY, S.FAILED): shown(READY, InstanceState.GONE, BUSY),
    (S.DRAINING, S.READY): one(replace(LEAVING, since=NOW), CLOSED, jobs=[job()]),
    (S.DRAINING, S.STOPPING): one(LEAVING),
    (S.DRAINING, S.FAILED): shown(LEAVING, InstanceState.GONE, BUSY),
    (S.FAILED, S.STOPPING): one(FAILED),
    (S.FAILED, S.GONE): one(replace(FAILED, failure="no-capacity", instance_id="", launches=1)),
    (S.STOPPING, S.GONE): shown(STOPPING, InstanceState.GONE, OFF),
    (S.GONE, S.STOPPING): replace(
        listed(one(make_claim("cpu-2"), IDLE), make_instance(STOPPING)),
        ended={STOPPING.key: replace(STOPPING, state=S.GONE)},
    ),
}
#: moves that come with a word from outside, between two decisions
WORDS: dict[tuple[ClaimState, ClaimState], Claim] = {
    (S.LAUNCHING, S.JOINING): after_enrolment(LAUNCHING, GOOD, NOW),
    (S.BOOTING, S.JOINING): after_enrolment(BOOTING, GOOD, NOW),
}


@pytest.mark.parametrize("hop", [(one.source, one.target) for one in MOVES], ids=lambda hop: f"{hop[0]}-{hop[1]}")
def test_every_move_of_the_table_is_made(hop: tuple[ClaimState, ClaimState]) -> None:
    if hop in WORDS:
        assert WORDS[hop].state is hop[1]
    else:
        assert after(WORLDS[hop]) is hop[1]


def test_a_claim_moves_once_in_a_decision_so_that_each_state_is_committed() -> None:
    for (source, _), world in WORLDS.items():
        for claim in plan(world).claims:
            before = world.claims.get(claim.key) or world.ended.get(claim.key)
            if before is not None and before.state is not claim.state:
                assert (before.state, claim.state) in {(one.source, one.target) for one in MOVES}, source


def test_a_move_outside_the_table_is_a_defect() -> None:
    with pytest.raises(ValueError, match="may not go"):
        move(READY, S.GONE, "why not", NOW)


# --- planned, launching, booting -------------------------------------------------------------------------------------


def test_a_launch_is_counted_before_it_is_made() -> None:
    decided = plan(cluster([job()]))
    (claim,) = decided.claims
    assert launched(decided) == [claim.key]
    assert (claim.state, claim.launches, claim.launched_at) == (S.LAUNCHING, 1, NOW)


@pytest.mark.parametrize("flags", [IDLE, CLOSED, {"DOWN", "CLOUD", "POWERING_DOWN"}, {"IDLE", "CLOUD", "POWERED_DOWN"}])
def test_nothing_is_launched_for_a_node_that_is_not_seen_closed_and_off(flags: set[str]) -> None:
    assert launched(plan(one(PLANNED, flags))) == []


@pytest.mark.parametrize("age", [timedelta(seconds=-1), timedelta(0)])
def test_a_launch_is_not_repeated_before_a_listing_begun_after_it_lacks_the_vm(age: timedelta) -> None:
    claim = replace(LAUNCHING, launched_at=NOW - age)
    assert launched(plan(listed(one(claim, OFF)))) == []


def test_a_launch_whose_vm_a_later_listing_lacks_is_sent_again_with_the_same_key() -> None:
    assert launched(plan(listed(one(LAUNCHING, OFF)))) == [LAUNCHING.key]


def test_repeated_launches_come_slower_each_time() -> None:
    often = replace(LAUNCHING, launches=8)
    assert launched(plan(listed(one(often, OFF)))) == []


def test_a_launch_under_way_is_not_sent_again() -> None:
    world = replace(listed(one(LAUNCHING, OFF)), in_flight=frozenset({LAUNCHING.key}))
    assert launched(plan(world)) == []


def test_nothing_is_launched_again_while_paused() -> None:
    assert launched(plan(listed(one(LAUNCHING, OFF, operator=Operator(paused=True))))) == []


def test_a_launch_without_a_vm_fails_at_the_boot_deadline_listed_or_not() -> None:
    late = replace(LAUNCHING, since=ago(minutes=16))
    assert after(listed(one(late, OFF))) is S.FAILED
    assert after(replace(one(late, OFF), listings={})) is S.FAILED


def test_the_vm_is_found_by_its_launch_key_after_a_lost_answer() -> None:
    world = listed(one(LAUNCHING, OFF), make_instance(LAUNCHING, id="i-77", addresses=("10.77.1.77",)))
    (claim,) = plan(world).claims
    assert (claim.state, claim.instance_id, claim.address) == (S.BOOTING, "i-77", "10.77.1.77")


def test_a_vm_of_another_cluster_with_our_key_is_not_ours() -> None:
    world = listed(one(LAUNCHING, OFF), make_instance(LAUNCHING, cluster="somebody-else"))
    assert after(world) is S.LAUNCHING


@pytest.mark.parametrize(
    "state", [InstanceState.ERROR, InstanceState.STOPPED, InstanceState.GONE, InstanceState.STOPPING]
)
@pytest.mark.parametrize("claim", [LAUNCHING, BOOTING, JOINING], ids=lambda claim: claim.state.value)
def test_a_vm_that_the_provider_says_is_lost_fails_its_claim(claim: Claim, state: InstanceState) -> None:
    assert after(shown(claim, state, OFF)) is S.FAILED


def test_a_boot_is_given_its_time() -> None:
    assert after(one(replace(BOOTING, launched_at=ago(minutes=14)), OFF)) is S.BOOTING


# --- joining ---------------------------------------------------------------------------------------------------------


def test_a_worker_is_ready_when_its_slurmd_is_registered_and_its_checks_passed() -> None:
    decided = plan(one(JOINING))
    assert decided.claims[0].ready_at == NOW
    assert opened(decided) == ["cpu-1"]


def test_a_worker_that_does_not_register_is_given_up_at_the_join_deadline() -> None:
    assert after(one(replace(JOINING, since=ago(minutes=4)), OFF)) is S.JOINING
    assert after(one(replace(JOINING, since=ago(minutes=6)), OFF)) is S.FAILED


WRONG = [
    replace(GOOD, cpus=7),
    replace(GOOD, memory_mib=20_000),
    replace(GOOD, clock_skew_seconds=61.0),
    replace(GOOD, clock_skew_seconds=-400.0),
    replace(GOOD, clock_skew_seconds=float("nan")),
]


@pytest.mark.parametrize("facts", WRONG)
def test_a_worker_that_is_not_what_was_ordered_is_never_opened(facts: Facts) -> None:
    decided = plan(one(replace(JOINING, facts=facts)))
    assert decided.claims[0].state is S.FAILED
    assert opened(decided) == []


GPU_CLAIM = make_claim("gpu-1", S.JOINING, shape=GPU_SHAPE, since=ago(seconds=20))
GPU_SETTINGS = make_settings([make_pool("gpu", 2, shape=GPU_SHAPE)])


@pytest.mark.parametrize(
    ("gpus", "state"),
    [
        ((Gpu("a10", 1),), S.READY),
        ((Gpu("", 1),), S.READY),
        ((Gpu("a10", 2),), S.READY),
        ((), S.FAILED),
        ((Gpu("v100", 1),), S.FAILED),
    ],
)
def test_gpus_are_checked_by_type_and_count(gpus: tuple[Gpu, ...], state: ClaimState) -> None:
    claim = replace(GPU_CLAIM, facts=Facts(8, GPU_SHAPE.memory_mib, Resources(gpus=gpus)))
    world = cluster((), [claim], GPU_SETTINGS, nodes=[make_node("gpu-1", CLOSED, capacity=GPU_SHAPE)])
    assert state_of(plan(world, GPU_SETTINGS), world, "gpu-1") is state


def test_a_little_less_memory_is_the_kernels_share() -> None:
    assert after(one(replace(JOINING, facts=replace(GOOD, memory_mib=int(CPU_SHAPE.memory_mib * 0.91))))) is S.READY


def test_a_worker_that_slurm_refuses_fails() -> None:
    assert after(one(JOINING, {"IDLE", "CLOUD", "DRAIN", "INVALID_REG"}, reason="Low RealMemory")) is S.FAILED


def test_a_worker_whose_node_an_admin_took_is_not_opened() -> None:
    decided = plan(one(JOINING, CLOSED, reason="broken fan [root]"))
    assert decided.claims[0].state is S.DRAINING
    assert opened(decided) == []


# --- ready, draining, stopping ---------------------------------------------------------------------------------------


def missing(claim: Claim, flags: Any = BUSY) -> World:
    return listed(one(claim, flags))


def test_a_vm_missing_from_one_listing_is_not_gone() -> None:
    (claim,) = plan(missing(replace(READY, launched_at=ago(hours=1)))).claims
    assert (claim.state, claim.missing_since) == (S.READY, NOW)


def test_a_vm_missing_for_long_enough_is_gone() -> None:
    assert after(missing(replace(READY, **LONG_MISSING))) is S.FAILED


def test_a_vm_that_is_listed_again_was_never_missing() -> None:
    (claim,) = plan(one(replace(READY, **LONG_MISSING), BUSY)).claims
    assert (claim.state, claim.missing_since) == (S.READY, None)


def test_a_site_that_cannot_be_listed_loses_nothing() -> None:
    world = missing(replace(READY, **LONG_MISSING))
    blind = replace(world, listings={"cesnet": Observed(error="503")})
    assert after(blind) is S.READY
    old = replace(world, listings={"cesnet": replace(world.listings["cesnet"], taken_at=ago(minutes=5))})
    assert after(old) is S.READY


def test_an_admins_drain_ends_the_vm_only_after_its_jobs() -> None:
    world = one(READY, {"ALLOCATED", "CLOUD", "DRAIN"}, reason="broken fan [root]")
    decided = plan(world)
    assert state_of(decided, world) is S.DRAINING
    leaving = replace(LEAVING, since=ago(minutes=1))
    assert after(one(leaving, {"ALLOCATED", "CLOUD", "DRAIN"}, reason="broken fan [root]")) is S.DRAINING
    assert after(one(leaving, CLOSED, reason="broken fan [root]")) is S.STOPPING


@pytest.mark.parametrize(
    "flags",
    [
        IDLE,
        BUSY,
        {"ALLOCATED", "CLOUD", "DRAIN"},
        {"IDLE", "CLOUD", "DRAIN", "COMPLETING"},
        {"IDLE", "CLOUD", "DRAIN", "SHINY"},
    ],
)
def test_a_draining_node_is_stopped_only_once_seen_drained_and_idle(flags: set[str]) -> None:
    assert after(one(replace(LEAVING, by_operator=True), flags)) is S.DRAINING


def test_a_draining_node_is_looked_at_again_after_the_drain() -> None:
    """The snapshot that showed it idle may be older than the drain: a job may have started in between."""
    assert after(one(replace(LEAVING, since=NOW, by_operator=True))) is S.DRAINING


def test_a_node_that_slurm_does_not_show_is_not_stopped() -> None:
    world = cluster((), [replace(LEAVING, by_operator=True)])
    assert world.lrms.value is not None
    hidden = replace(world.lrms.value, nodes={k: v for k, v in world.lrms.value.nodes.items() if k != "cpu-1"})
    assert after(replace(world, lrms=replace(world.lrms, value=hidden))) is S.DRAINING


def test_a_claim_ends_only_by_the_providers_word() -> None:
    assert after(one(STOPPING, OFF)) is S.STOPPING
    assert after(listed(one(STOPPING, OFF))) is S.STOPPING
    missing_too = replace(STOPPING, **LONG_MISSING)
    assert after(listed(one(missing_too, OFF))) is S.STOPPING  # what is not listed may have lost its tags
    assert after(listed(one(replace(missing_too, confirmed_at=ago(seconds=4)), OFF))) is S.GONE
    assert after(listed(one(replace(missing_too, instance_id=""), OFF))) is S.GONE


def test_a_claim_does_not_end_while_slurm_still_takes_its_node_for_on() -> None:
    assert after(shown(STOPPING, InstanceState.GONE, CLOSED)) is S.STOPPING


@pytest.mark.parametrize(
    "more", [{"launches": 2}, {"instance_id": "i-1"}, {"failure": "boot"}, {"failure": "unknown-outcome"}]
)
def test_a_failed_claim_that_may_have_a_vm_is_stopped_first(more: dict[str, Any]) -> None:
    claim = replace(FAILED, **{"failure": "no-capacity", "instance_id": "", "launches": 1, **more})
    assert after(listed(one(claim, OFF))) is S.STOPPING


def test_a_ready_node_that_slurm_powered_down_is_let_go() -> None:
    assert after(one(READY, {"IDLE", "CLOUD", "POWERED_DOWN"}, reason="")) is S.DRAINING


def test_a_launch_is_not_repeated_while_the_site_wants_to_be_left_alone() -> None:
    waiting = Memory({"cesnet": Breaker("cesnet", "throttled", "slower", NOW, ahead(seconds=60))})
    assert launched(plan(replace(listed(one(LAUNCHING, OFF)), memory=waiting))) == []
    assert launched(plan(listed(one(LAUNCHING, OFF)))) == [LAUNCHING.key]


def test_a_listing_of_an_earlier_run_is_not_counted_apart_from_one_of_this() -> None:
    """The wall clock may have been set while no daemon ran: an hour by it can be a second."""
    claim = replace(READY, **LONG_MISSING)
    before = replace(missing(claim), started_at=ago(seconds=30))
    assert after(before) is S.READY
    assert plan(before).claims[0].missing_since == NOW
    assert after(missing(claim)) is S.FAILED
